import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PutMessageResult, StoredMessage } from '@vernier/store';
import { SCHEDULE_TOPIC } from '@vernier/store/internal';
import type { StoreContent } from '../src/checks.ts';
import { DelayModel } from '../src/delay-model.ts';
import { Model, type Put } from '../src/model.ts';

const body = Buffer.from([0, 0, 0, 1]);
const T = 1_000_000;

function fixture() {
  const foreignTopics = new Set<string>();
  const model = new Model({
    ...{ syncFlush: true, durableReads: true, asyncInMemory: false, reservedMs: 3_600_000, foreignTopics },
  });
  const delays = new DelayModel('Delayed', '1s 5s', model);
  const put: Put = {
    ...{ id: 1, topic: 'Delayed', queueId: 2, body, key: 'k1', tags: '', propertiesString: '', durability: undefined },
    ...{ waitStoreMsgOK: true, putTime: T, afterFailure: false },
  };
  delays.add(put, 2);
  const result: PutMessageResult = {
    ...{ status: 'PUT_OK', wroteOffset: 0, wroteBytes: 100, queueOffset: 0, storeTimestamp: T, messageCount: 1 },
  };
  delays.answered({ put }, result);
  return delays;
}

const message = (topic: string, queueId: number, storeTimestamp: number, queueOffset = 0): StoredMessage =>
  ({
    topic,
    queueId,
    queueOffset,
    storeTimestamp,
    body,
    commitLogOffset: storeTimestamp - T,
    keys: ['k1'],
  }) as unknown as StoredMessage;
const waiting = message(SCHEDULE_TOPIC, 1, T);
const delivered = (at: number, queueOffset = 0): StoredMessage => message('Delayed', 2, at, queueOffset);

const HOUR = 3_600_000;

function check(delays: DelayModel, lists: StoredMessage[][], offset: number, minPhyOffset = 0, now = T): void {
  const messages = new Map(lists.map((list, i) => [String(i), list]));
  const queueEnds = new Map([[`${SCHEDULE_TOPIC}-1`, 1]]);
  const content: StoreContent = { messages, queueEnds, minPhyOffset, maxPhyOffset: 1 };
  delays.checkAfterCrash(content, { offsets: new Map([[2, offset]]), killed: false, now });
}

test('delay model: a message that waits, or is there at its time, or again after a crash, is as it should be', () => {
  const delays = fixture();
  check(delays, [[waiting]], 0);
  check(delays, [[waiting], [delivered(T + 5_000)]], 0);
  check(delays, [[waiting], [delivered(T + 5_000), delivered(T + 9_000, 1)]], 1);
  assert.equal(delays.deliveredTotal, 2);
  check(fixture(), [[waiting], [delivered(T - 60_000)]], 1);
});

test('delay model: broken promises are found', () => {
  const cases: [RegExp, StoredMessage[][], number][] = [
    [/is gone/, [], 0],
    [/was not delivered/, [[waiting]], 1],
    [/was due at/, [[waiting], [delivered(T + 4_999)]], 1],
    [
      /after one more life, in which 0 deliveries of its level failed, 2 times/,
      [[waiting], [delivered(T + 5_000), delivered(T + 5_000, 1)]],
      1,
    ],
    [/its queue ends at 1/, [[waiting]], 2],
    [/its record is gone/, [[delivered(T + 5_000)]], 0],
    [/in queue 3/, [[waiting], [message('Delayed', 3, T + 5_000)]], 1],
    [/nobody put/, [[{ ...waiting, body: Buffer.from([0, 0, 0, 2]) }]], 0],
  ];
  for (const [pattern, lists, offset] of cases) {
    assert.throws(() => check(fixture(), lists, offset), pattern, String(pattern));
  }
});

test('delay model: a delivery that failed may have come to something after all, once for each failure and in that life', () => {
  const copies = (count: number): StoredMessage[][] => [
    [waiting],
    Array.from({ length: count }, (_, i) => delivered(T + 5_000, i)),
  ];
  const delays = fixture();
  delays.failedInThisLife(new Map([[2, 1]]));
  check(delays, copies(2), 1);
  assert.throws(() => check(delays, copies(4), 1), /in which 0 deliveries of its level failed, 4 times/);
  const other = fixture();
  other.failedInThisLife(new Map([[1, 1]]));
  assert.throws(() => check(other, copies(2), 1), /after one more life/);
});

test('delay model: what was delivered outlives a record that has expired, and comes no more', () => {
  const copies = (count: number): StoredMessage[][] => [
    Array.from({ length: count }, (_, i) => delivered(T + 5_000, i)),
  ];
  const delays = fixture();
  check(delays, [[waiting], ...copies(1)], 1);
  for (let crash = 0; crash < 2; crash++) check(delays, copies(1), 1, 100, T + HOUR);
  assert.throws(() => check(delays, copies(2), 1, 100, T + HOUR), /has expired, was there 1 times, and is there 2/);
  const late = fixture();
  check(late, copies(1), 1, 100, T + HOUR);
  check(late, [], 1, 6_000, T + HOUR);
  assert.throws(() => check(late, copies(1), 1, 6_000, T + HOUR), /nobody put/);
  assert.throws(() => check(fixture(), copies(2), 1, 100, T + HOUR), /was there 0 times, and is there 2/);
  assert.throws(() => check(fixture(), copies(1), 1, 100, T + HOUR - 1), /was removed/);
});
