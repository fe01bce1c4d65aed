import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from '../../src/output/progress.ts';
import { bytes, facts, grouped, table } from '../../src/output/table.ts';

test('table: columns line up and no line ends in blanks', () => {
  assert.equal(
    table(
      ['QUEUE', 'MAX', 'NOTE'],
      [
        ['0', '5', ''],
        ['10', '1234', 'x'],
      ],
      [1],
    ),
    'QUEUE   MAX  NOTE\n0         5\n10     1234  x',
  );
});

test('facts: further values stand below the first', () => {
  assert.equal(
    facts(
      [
        ['a', '1', '2'],
        ['long', '3'],
      ],
      '',
    ),
    'a     1\n      2\nlong  3',
  );
});

test('bytes and numbers: readable', () => {
  assert.deepEqual([0, 60.25, 1023, 1024, 1.5 * 1024 ** 2, 1024 ** 5].map(bytes), [
    '0 bytes',
    '60 bytes',
    '1023 bytes',
    '1.0 KiB',
    '1.5 MiB',
    '1024.0 TiB',
  ]);
  assert.equal(grouped(1_234_567), '1,234,567');
});

test('progress: nothing at all when stderr is no terminal', () => {
  const written: string[] = [];
  const progress = new Progress({
    isTTY: false,
    write: (text: string) => written.push(text),
  } as unknown as NodeJS.WriteStream);
  progress.update(() => 'half');
  progress.clear();
  assert.deepEqual(written, []);
});

test('progress: a terminal sees one line, cut to its width, and it is taken away', () => {
  const written: string[] = [];
  const stream = {
    isTTY: true,
    columns: 5,
    write: (text: string) => written.push(text),
  } as unknown as NodeJS.WriteStream;
  const progress = new Progress(stream);
  progress.update(() => '123456789');
  progress.update(() => 'too soon');
  progress.clear();
  assert.deepEqual(written, ['\r\x1b[K1234', '\r\x1b[K']);
});
