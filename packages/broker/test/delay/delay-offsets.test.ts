import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJavaJson } from '@vernier/remoting';
import { DelayOffsets } from '../../src/delay/delay-offsets.ts';

function fixture(putsOnDisk: () => Promise<boolean> = () => Promise.resolve(true)) {
  const table = { changes: 0, offsets: undefined as unknown as DelayOffsets };
  table.offsets = new DelayOffsets(
    () => 1_000,
    () => table.changes++,
    putsOnDisk,
  );
  return table;
}

const textOf = (offsets: DelayOffsets): string => [...offsets.encode()].join('');
const at = (queueOffset: number) => ({ queueOffset, last: undefined });

test('delayOffset.json: read and written as RocketMQ has it, bare keys and quoted ones', () => {
  const { offsets } = fixture();
  offsets.load(
    parseJavaJson('{"dataVersion":{"counter":3,"stateVersion":7,"timestamp":5},"offsetTable":{12:4,"2":9}}'),
  );
  assert.deepEqual([...offsets.offsets()].sort(), [
    [12, 4],
    [2, 9],
  ]);
  const text = textOf(offsets);
  assert.match(text, /"offsetTable":\{2:9,12:4\}/);
  assert.deepEqual(parseJavaJson(text), {
    dataVersion: { counter: 3, stateVersion: 7, timestamp: 5 },
    offsetTable: { 2: 9, 12: 4 },
  });
});

test('what is no level or no number is left out, and what is no table is refused', () => {
  const { offsets } = fixture();
  offsets.load({ offsetTable: { 0: 1, x: 2, 1.5: 3, 4: '5', 5: -6, 6: 7 }, dataVersion: {} });
  assert.deepEqual(
    [...offsets.offsets()],
    [
      [5, 0],
      [6, 7],
    ],
  );
  for (const wrong of [[], 'x', { offsetTable: 5 }]) {
    assert.throws(() => offsets.load(wrong), { code: 'REMOTING_BODY_INVALID' });
  }
});

test('a change is a new version once a save, the same offset again is none', () => {
  const table = fixture();
  const place = table.offsets.placeOf(2);
  const before = table.offsets.dataVersion.counter;
  place.set('', at(1));
  place.set('', { queueOffset: 1, last: { queueOffset: 0, logOffset: 9 } });
  place.set('', at(2));
  assert.deepEqual([table.changes, table.offsets.dataVersion.counter], [2, before + 1]);
  table.offsets.text();
  place.set('', at(3));
  assert.equal(table.offsets.dataVersion.counter, before + 2);
});

test('clamp: into the queue, and told', () => {
  const table = fixture();
  assert.equal(table.offsets.clamp(1, 0, 5), false, 'a level without an offset has none after it');
  table.offsets.load({ offsetTable: { 1: 7, 2: 3, 3: 4 }, dataVersion: {} });
  assert.deepEqual([table.offsets.clamp(1, 2, 5), table.offsets.offset(1)], [true, 5]);
  assert.deepEqual([table.offsets.clamp(2, 4, 5), table.offsets.offset(2)], [true, 4]);
  assert.deepEqual([table.offsets.clamp(3, 0, 4), table.offsets.offset(3)], [false, 4]);
  assert.equal(table.changes, 2);
});

test('a save has the offsets of before the flush, and there is none when nothing comes to the disk', async () => {
  let flushed: (isOnDisk: boolean) => void = () => {};
  const { offsets } = fixture(
    () =>
      new Promise((resolve) => {
        flushed = resolve;
      }),
  );
  const place = offsets.placeOf(1);
  place.set('', at(1));
  const prepared = offsets.prepareSave();
  place.set('', at(2));
  flushed(true);
  assert.equal(await prepared, true);
  assert.match(textOf(offsets), /\{1:1\}/);
  assert.match(offsets.text(), /\{1:2\}/);
  const again = offsets.prepareSave();
  flushed(false);
  assert.equal(await again, false);
});
