import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseProperties } from '../../src/record/properties.ts';
import { PropertyBytes } from '../../src/record/property-bytes.ts';
import { hashBehind, keyHashesOf, PropertyBit, PropertyScan } from '../../src/record/property-scan.ts';
import { javaStringHashCode } from '../../src/record/tags-code.ts';

const scanOf = (text: string): PropertyScan => new PropertyScan().scanText(text);
const none = Buffer.alloc(0);

/** Both walks; the bytes lie inside a larger buffer whose other bytes would change everything. */
function both(text: string): [PropertyScan, PropertyScan] {
  const around = Buffer.from(`UNIQ_KEY\u0001no\u0002${text}\u0002TAGS\u0001no\u0002`, 'latin1');
  const from = 12;
  return [scanOf(text), new PropertyScan().scanBytes(around, from, from + text.length)];
}

const facts = (scan: PropertyScan) => [scan.found, scan.waits, scan.uniqKey, scan.tagsHash, scan.keyHashes()];

const word = fc.constantFrom(
  ...[
    'UNIQ_KEY',
    'KEYS',
    'TAGS',
    'WAIT',
    'DELAY',
    'TRAN_MSG',
    'POP_CK',
    'CLUSTER',
    'TIMER_DELIVER_MS',
    '_SYS_MSG_PRIORITY_',
    '__LITE_TOPIC',
    'INNER_MULTI_DISPATCH',
    'MYTAGS',
    'TAGSX',
    '',
  ],
  ...[
    '__CRC32#',
    'x__CRC32#y',
    'false',
    'falsely',
    'true',
    'a',
    'a b',
    ' a  b ',
    '\u0000',
    '\u007f',
    '\u0001',
    'k'.repeat(300),
  ],
);
const property = fc
  .tuple(
    word,
    fc.constantFrom('\u0001', '\u0001', '\u0001', '', '\u0002'),
    word,
    fc.constantFrom('\u0002', '\u0002', '', '\u0001'),
  )
  .map((parts) => parts.join(''));
const ascii = fc.string({ unit: fc.integer({ min: 0, max: 127 }).map((code) => String.fromCharCode(code)) });
const properties = fc.oneof(
  fc.array(property, { maxLength: 6 }).map((parts) => parts.join('')),
  ascii,
);
const numRuns = Number(process.env.PROPERTY_RUNS ?? 2_000);

test('property scan: text and bytes say the same', () => {
  fc.assert(
    fc.property(properties, (text) => {
      const [ofText, ofBytes] = both(text);
      assert.deepEqual(facts(ofBytes), facts(ofText));
    }),
    { numRuns },
  );
});

test('property scan: what it finds is what a parser of the whole finds', () => {
  fc.assert(
    fc.property(properties, (text) => {
      const map = parseProperties(text);
      const scan = scanOf(text);
      const names = (bit: number): boolean => (scan.found & bit) !== 0;
      assert.equal(names(PropertyBit.UNIQ_KEY), map.has('UNIQ_KEY'));
      assert.equal(names(PropertyBit.DELAY), map.has('DELAY'));
      assert.equal(names(PropertyBit.TRAN_MSG), map.has('TRAN_MSG'));
      assert.equal(names(PropertyBit.POP_CK), map.has('POP_CK'));
      assert.equal(scan.waits, map.get('WAIT') !== 'false');
      assert.equal(scan.uniqKey, map.get('UNIQ_KEY'));
      const hashes = keyHashesOf(map.get('UNIQ_KEY'), map.get('KEYS') ?? '', map.get('TAGS') ?? '');
      assert.deepEqual(scan.keyHashes(), hashes);
    }),
    { numRuns },
  );
});

test('property scan: a name that ends or begins like a known one is none of them', () => {
  for (const text of [
    'MYTAGS\u0001a\u0002',
    'TAGSX\u0001a\u0002',
    'tags\u0001a\u0002',
    'x\u0001TAGS\u0002',
    'TAGS\u0001\u0002',
    'TAGS\u0002',
  ]) {
    for (const scan of both(text)) assert.deepEqual([scan.found, scan.tagsHash], [0, 0], JSON.stringify(text));
  }
});

test('property scan: nothing of one message is left for the next', () => {
  const scan = new PropertyScan();
  scan.scanText('UNIQ_KEY\u0001u\u0002KEYS\u0001k\u0002TAGS\u0001t\u0002WAIT\u0001false\u0002a\u0001\u0000');
  scan.giveUniqKey('given');
  scan.scanBytes(none, 0, 0);
  assert.deepEqual(facts(scan), facts(new PropertyScan()));
});

test('property scan: a key that the broker gives is filed like one of the message', () => {
  const scan = scanOf('TAGS\u0001t\u0002');
  scan.giveUniqKey('ABC');
  assert.deepEqual(scan.keyHashes(), keyHashesOf('ABC', '', 't'));
  assert.equal(scan.uniqKey, 'ABC');
});

test('key hashes: behind any topic they are the hash of the whole', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ minLength: 1 }), (prefix, key) => {
      const [hash, power] = keyHashesOf(key.replaceAll(' ', '_'), '', '').keys as [number, number];
      assert.equal(
        hashBehind(javaStringHashCode(prefix), hash, power),
        javaStringHashCode(prefix + key.replaceAll(' ', '_')),
      );
    }),
  );
});

test('property bytes: as text and in the record they are the same, with the separator that was left out', () => {
  const suffix = Buffer.from('CLUSTER\u0001cé\u0002', 'utf8');
  for (const text of ['', 'A\u00011', 'A\u00011\u0002', 'odd']) {
    const own = Buffer.from(`__${text}__`, 'latin1');
    const bytes = new PropertyBytes(own, 2, own.length - 2, suffix, scanOf(text));
    const target = Buffer.alloc(100, 0x7f);
    const end = bytes.writeTo(target, 7);
    const whole = text + (text === '' || text.endsWith('\u0002') ? '' : '\u0002') + suffix.toString('utf8');
    assert.equal(bytes.text(), whole);
    assert.equal(target.toString('utf8', 7, end), whole);
    assert.equal(end - 7, bytes.length);
    assert.equal(target[end], 0x7f);
  }
});
