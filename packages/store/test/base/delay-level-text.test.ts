import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESSAGE_DELAY_LEVEL, delayLevels, parseDelayLevels } from '../../src/base/delay-level-text.ts';
import { MessageStore, StoreError } from '../../src/index.ts';
import { DelayLevels } from '../../src/record/delay-levels.ts';

test('delay levels: RocketMQ’s table', () => {
  const delays = parseDelayLevels(DEFAULT_MESSAGE_DELAY_LEVEL);
  assert.ok(typeof delays !== 'string');
  assert.deepEqual([delays.length, delays[0], delays[4], delays[17]], [18, 1_000, 60_000, 7_200_000]);
  assert.deepEqual(parseDelayLevels(' 0s  2d '), [0, 172_800_000]);
});

test('delay levels: what is no table is refused with what is wrong, also when a store is opened with it', async () => {
  for (const text of ['', '1', '1 s', '1S', '-1s', '1.5s', '1s,2s', '1w', '9999999999s', '367d']) {
    assert.ok(typeof parseDelayLevels(text) === 'string', text);
    assert.ok(delayLevels.fault(text) !== undefined, text);
    assert.throws(() => new DelayLevels(text), RangeError);
  }
  assert.equal(delayLevels.fault(Array(128).fill('1s').join(' ')), undefined);
  assert.match(delayLevels.fault(Array(129).fill('1s').join(' ')) ?? '', /129 levels/);
  await assert.rejects(
    MessageStore.open({ storePathRootDir: '/nowhere/at/all', messageDelayLevel: '1 s' }),
    (error: StoreError) => error instanceof StoreError && error.code === 'STORE_CONFIG_INVALID',
  );
});

test('delay levels: beyond the table the last one counts, 0 and below are no delay', () => {
  const levels = new DelayLevels('1s 5s');
  assert.equal(levels.maxLevel, 2);
  assert.deepEqual([levels.delayMs(1), levels.delayMs(2), levels.delayMs(9)], [1_000, 5_000, 5_000]);
  assert.deepEqual([levels.deliverTimestamp(2, 100), levels.deliverTimestamp(0, 100)], [5_100, undefined]);
});
