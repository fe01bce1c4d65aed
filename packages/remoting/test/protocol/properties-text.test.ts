import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeProperties, encodeProperties, parseProperties } from '../../src/protocol/properties-text.ts';

const entries = (text: string): [string, string][] => [...decodeProperties(text)];

describe('properties text', () => {
  it('comments, escapes and both separators', () => {
    const text = '# c\n! c\n a = b \r\nc:d\nempty=\npath=C:\\\\x\\n\nk\\=y=v\\u0041\nbare\nblank separated\n';
    assert.deepEqual(entries(text), [
      ['a', 'b '],
      ['c', 'd'],
      ['empty', ''],
      ['path', 'C:\\x\n'],
      ['k=y', 'vA'],
      ['bare', ''],
      ['blank', 'separated'],
    ]);
  });

  it('the last of a doubled key counts, and every assignment is told with its line', () => {
    const text = '\ufeffa=1\r\n# c\r\n\ra = 2\n\nb=\\\n   3 \\\r\n 4\nc=5';
    assert.deepEqual(parseProperties(text), [
      { key: 'a', value: '1', line: 1 },
      { key: 'a', value: '2', line: 4 },
      { key: 'b', value: '3 4', line: 6 },
      { key: 'c', value: '5', line: 9 },
    ]);
    assert.equal(decodeProperties(text).get('a'), '2');
  });

  it('what Java refuses or leaves open ends in no error and loses no other key', () => {
    assert.deepEqual(entries('a=\\u00g\nb=1'), [
      ['a', 'u00g'],
      ['b', '1'],
    ]);
    assert.deepEqual(entries('a=b\\'), [['a', 'b']]);
    assert.deepEqual(entries('=v'), [['', 'v']]);
    assert.deepEqual(entries('__proto__=x\nconstructor=y'), [
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  });

  it('a table is read back as it was written, whatever its keys and values hold', () => {
    const char = fc.constantFrom(...'\\=:#! \t\n\r\fau0\u2028\ufeffü');
    const text = fc.string({ unit: char, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text)), (pairs) => {
        const table = new Map(pairs);
        assert.deepEqual(decodeProperties(encodeProperties(table)), table);
      }),
    );
  });

  it('a peer’s text costs time by its length alone', () => {
    const hostile = [
      `a${' '.repeat(1_000_000)}x\u2028y`,
      `${' '.repeat(1_000_000)}=\u2028`,
      '\\'.repeat(1_000_001),
      '\\\n'.repeat(500_000),
      `${'a='.repeat(500_000)}\u2029`,
      `#${'#'.repeat(1_000_000)}`,
    ];
    const began = performance.now();
    for (const text of hostile) parseProperties(text);
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 5_000, `${tookMs} ms for ${hostile.length} texts of a megabyte`);
  });
});
