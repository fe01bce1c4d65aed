import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePropertiesString } from '@vernier/remoting';
import { PropertyBit, PropertyScan, parseProperties, propertyOf, removeProperties } from '@vernier/store/internal';
import fc from 'fast-check';
import { propertyEntry as entry, terminated } from '../../src/put/properties.ts';

const scan = new PropertyScan();
const foundIn = (properties: string): number => scan.scanText(properties).found;

test('a scan finds each name a broker looks at, and none that only resembles one', () => {
  const cases: [string, number][] = [
    ['', 0],
    [entry('UNIQ_KEY', 'U'), PropertyBit.UNIQ_KEY],
    [entry('DELAY', '3'), PropertyBit.DELAY],
    [entry('TIMER_DELAY_MS', '3'), PropertyBit.TIMER],
    [entry('TIMER_DELAY_SEC', '3'), PropertyBit.TIMER],
    [entry('TIMER_DELIVER_MS', '3'), PropertyBit.TIMER],
    [entry('TRAN_MSG', 'true'), PropertyBit.TRAN_MSG],
    [entry('POP_CK', 'x'), PropertyBit.POP_CK],
    [entry('CLUSTER', 'c'), PropertyBit.BROKER],
    [entry('MSG_REGION', 'r'), PropertyBit.BROKER],
    [entry('TRACE_ON', 'true'), PropertyBit.BROKER],
    [entry('KEYS', 'DELAY') + entry('TAGS', 'UNIQ_KEY'), PropertyBit.KEYS | PropertyBit.TAGS],
    [entry('XDELAY', '3') + entry('DELAYX', '3') + entry('UNIQ_KEYS', 'U'), 0],
    [entry('DELAY', ''), 0],
    ['DELAY', 0],
    ['KEYS\u0001a\u0002DELAY\u00013', PropertyBit.KEYS | PropertyBit.DELAY],
    ['junk\u0002DELAY\u00013', PropertyBit.DELAY],
    [
      `${entry('WAIT', 'false')}${entry('UNIQ_KEY', 'U')}${entry('DELAY', '1')}`,
      PropertyBit.WAIT | PropertyBit.UNIQ_KEY | PropertyBit.DELAY,
    ],
  ];
  for (const [properties, expected] of cases) assert.equal(foundIn(properties), expected, JSON.stringify(properties));
});

test('the last 0x02 may be missing where an entry is appended', () => {
  assert.equal(terminated('C\u00013'), entry('C', '3'));
  assert.equal(terminated(''), '');
});

test('the broker, the store and a client have one rule for what a properties string says', () => {
  const bits: [string, number][] = [
    ['UNIQ_KEY', PropertyBit.UNIQ_KEY],
    ['DELAY', PropertyBit.DELAY],
    ['TRAN_MSG', PropertyBit.TRAN_MSG],
  ];
  // Made of what the format is made of: names, both separators, and what stands where nothing should.
  const piece = fc.constantFrom('UNIQ_KEY', 'DELAY', 'TRAN_MSG', 'X', 'true', '\u0001', '\u0002', '\u0001', '\u0002');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const text = pieces.join('');
      const client = decodePropertiesString(text);
      assert.deepEqual([...parseProperties(text)], [...client]);
      const found = foundIn(text);
      for (const [name, bit] of bits) {
        assert.equal((found & bit) !== 0, client.has(name), JSON.stringify([text, name]));
        assert.equal(propertyOf(text, name), client.get(name), JSON.stringify([text, name]));
      }
      const rest = parseProperties(removeProperties(text, new Set(['DELAY'])));
      client.delete('DELAY');
      assert.deepEqual([...rest], [...client]);
    }),
    { numRuns: Number(process.env.VERNIER_PROPERTY_RUNS ?? 1_000) },
  );
});
