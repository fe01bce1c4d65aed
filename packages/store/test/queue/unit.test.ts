import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  FILLER_UNIT,
  isFillerUnit,
  isGoodUnit,
  unitPhyOffset,
  unitSize,
  unitTagsCode,
  writeUnit,
} from '../../src/queue/unit.ts';

const fixtures: [phyOffset: number, size: number, tagsCode: number, hex: string][] = [
  [0, 1, 0, '0000000000000000' + '00000001' + '0000000000000000'],
  [0x1_0000_0000, 0x1234, 2_598_919, '0000000100000000' + '00001234' + '000000000027a807'],
  // A negative hash is sign-extended.
  [8_589_934_591, 91, -1, '00000001ffffffff' + '0000005b' + 'ffffffffffffffff'],
  [1, 2, -2_147_483_648, '0000000000000001' + '00000002' + 'ffffffff80000000'],
  // A delivery time needs more than 32 bits.
  [2 ** 52, 0x7fff_fffe, 1_700_000_000_123, '0010000000000000' + '7ffffffe' + '0000018bcfe5687b'],
];

for (const [phyOffset, size, tagsCode, hex] of fixtures) {
  test(`unit: ${phyOffset}, ${size}, ${tagsCode} has RocketMQ's bytes and reads back`, () => {
    const bytes = Buffer.alloc(22, 0xee);
    writeUnit(bytes, 1, phyOffset, size, tagsCode);
    assert.equal(bytes.toString('hex'), `ee${hex}ee`);
    assert.equal(unitPhyOffset(bytes, 1), phyOffset);
    assert.equal(unitSize(bytes, 1), size);
    assert.equal(unitTagsCode(bytes, 1), tagsCode);
    assert.equal(isGoodUnit(bytes, 1), true);
    assert.equal(isFillerUnit(bytes, 1), false);
  });
}

test('unit: filler has the bytes of fillPreBlank and counts as written', () => {
  assert.equal(FILLER_UNIT.toString('hex'), '0000000000000000' + '7fffffff' + '0000000000000000');
  assert.equal(isFillerUnit(FILLER_UNIT, 0), true);
  assert.equal(isGoodUnit(FILLER_UNIT, 0), true);
});

test('unit: a place never written, and one with a negative offset, is not good', () => {
  assert.equal(isGoodUnit(Buffer.alloc(20), 0), false);
  const negative = Buffer.alloc(20);
  writeUnit(negative, 0, -1, 100, 0);
  assert.equal(isGoodUnit(negative, 0), false);
});
