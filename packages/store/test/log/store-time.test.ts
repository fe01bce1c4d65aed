import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@vernier/torture';
import { STORE_TIME_HELD_MS } from '../../src/base/limits.ts';
import { StoreTime } from '../../src/log/store-time.ts';
import { MessageStore } from '../../src/message-store.ts';
import { message, openLog } from './harness.ts';

const YEAR = 365 * 24 * 3_600_000;

function make(last = 0) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = (_: object, text: string): void => void lines.push(text);
  const time = new StoreTime(clock, { debug: log, info: log, warn: log, error: log });
  time.resumeAt(last);
  const take = (): number => {
    const next = time.next();
    time.taken(next);
    return next;
  };
  return { clock, lines, time, take };
}

test('store time: it is the clock’s, and stands still while the clock is a little behind', () => {
  const { clock, lines, take } = make();
  const start = clock.now();
  assert.equal(take(), start);
  clock.stepWallClock(-STORE_TIME_HELD_MS);
  assert.equal(take(), start);
  clock.stepWallClock(STORE_TIME_HELD_MS - 1);
  assert.equal(take(), start);
  clock.stepWallClock(2);
  assert.equal(take(), start + 1);
  assert.deepEqual(lines, []);
});

test('store time: a clock that stands far behind is followed at once, and said once', () => {
  const { clock, lines, take } = make();
  const start = clock.now();
  clock.stepWallClock(24 * YEAR);
  assert.equal(take(), start + 24 * YEAR, 'nothing tells a wrong clock from a long pause');
  clock.stepWallClock(-24 * YEAR);
  assert.equal(take(), start);
  assert.equal(take(), start);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /the clock stands at 2026-01-01.*the last message was stored at 2049-/);
});

test('store time: what the log ends with counts the same, within the bound and beyond it', () => {
  const near = make();
  near.time.resumeAt(near.clock.now() + STORE_TIME_HELD_MS);
  assert.equal(near.take(), near.clock.now() + STORE_TIME_HELD_MS);
  const far = make();
  far.time.resumeAt(far.clock.now() + STORE_TIME_HELD_MS + 1);
  assert.equal(far.take(), far.clock.now());
});

test('store time: a refused append changes nothing', async (t) => {
  const clock = new ManualClock();
  const { log } = await openLog(t, {}, { clock });
  clock.stepWallClock(YEAR);
  assert.equal((await log.asyncPutMessage(message({ queueId: -1 }))).status, 'MESSAGE_ILLEGAL');
  clock.stepWallClock(-YEAR + 5);
  const start = clock.now();
  assert.equal((await log.asyncPutMessage(message())).storeTimestamp, start);
});

test('store time: one message of 2050 does not stamp those that come after, nor those of the next process', async (t) => {
  const { context } = await openLog(t);
  const options = {
    storePathRootDir: `${context.config.storePathRootDir}/store`,
    mappedFileSizeCommitLog: 64 * 1024,
    mappedFileSizeConsumeQueue: 2_000,
    maxHashSlotNum: 1_000,
    maxIndexNum: 4_000,
    diskFreeBytesMin: 0,
  };
  const clock = new ManualClock();
  const start = clock.now();
  const store = await MessageStore.open(options, { clock });
  const put = async (opened: MessageStore, key: string): Promise<number> => {
    const done = opened.putMessage({ topic: 'T', body: 'x', keys: key });
    await clock.advance(50);
    return (await done).storeTimestamp;
  };
  const closed = async (opened: MessageStore): Promise<void> => {
    const done = opened.shutdown();
    await clock.advance(50);
    await done;
  };
  await put(store, 'before');
  clock.stepWallClock(24 * YEAR);
  assert.ok((await put(store, 'ahead')) >= start + 24 * YEAR);
  clock.stepWallClock(-24 * YEAR);
  assert.ok((await put(store, 'after')) < start + 60_000);
  clock.stepWallClock(24 * YEAR);
  assert.ok((await put(store, 'ahead-again')) >= start + 24 * YEAR);
  await closed(store);
  clock.stepWallClock(-24 * YEAR);
  const again = await MessageStore.open(options, { clock });
  assert.ok((await put(again, 'next-process')) < start + 60_000);
  // Each is found by its key within its own time, whatever stood beside it.
  const now = clock.now();
  for (const key of ['before', 'after', 'next-process']) {
    assert.equal((await again.queryMessage('T', key, 10, start - 1_000, now)).records.length, 1, key);
  }
  assert.equal((await again.queryMessage('T', 'ahead', 10, start - 1_000, now)).records.length, 0);
  const far = [start + 23 * YEAR, Number.MAX_SAFE_INTEGER] as const;
  assert.equal((await again.queryMessage('T', 'ahead', 10, ...far)).records.length, 1);
  assert.equal((await again.queryMessage('T', 'after', 10, ...far)).records.length, 0);
  // A search by time stays within the queue.
  for (const time of [0, start, now, start + 10 * YEAR, start + 30 * YEAR]) {
    for (const boundary of ['LOWER', 'UPPER'] as const) {
      const offset = await again.getOffsetInQueueByTime('T', 0, time, boundary);
      assert.ok(offset >= 0 && offset <= 5, `${time} ${boundary}: ${offset}`);
    }
  }
  await closed(again);
});
