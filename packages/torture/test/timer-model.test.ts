import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredMessage } from '@vernier/store';
import { TIMED_TOPIC, TimerModel } from '../src/timers.ts';

const TIME = 1_000_000;

/** What the topic has of one message for TIME. `dequeuedAt`: when its delivery began; without it was never held. */
function came(storeTimestamp: number, dequeuedAt?: number): ReadonlyMap<string, readonly StoredMessage[]> {
  const properties = dequeuedAt === undefined ? {} : { TIMER_DEQUEUE_MS: String(dequeuedAt) };
  const message = { topic: TIMED_TOPIC, queueId: 1, commitLogOffset: 0, body: Buffer.from([0, 0, 0, 1]) };
  return new Map([[`${TIMED_TOPIC}-1`, [{ ...message, storeTimestamp, properties } as unknown as StoredMessage]]]);
}

function check(messages: ReadonlyMap<string, readonly StoredMessage[]>): TimerModel {
  const model = new TimerModel({ syncFlush: true, asyncInMemory: false });
  model.begin(TIME, 1).isPromised = true;
  model.checkEnd(messages, 0);
  return model;
}

test('timer model: at its time, later, or stamped by a clock that was set back in its put', () => {
  for (const messages of [came(TIME, TIME), came(TIME + 900, TIME), came(TIME), came(TIME - 3_600_000, TIME + 5)]) {
    assert.equal(check(messages).deliveredTotal, 1);
  }
});

test('timer model: before its time, or never', () => {
  for (const messages of [came(TIME - 1, TIME - 1), came(TIME - 1), came(TIME - 3_600_000, TIME - 1)]) {
    assert.throws(() => check(messages), /timed message 1 is for 1000000, and came at/);
  }
  assert.throws(() => check(new Map()), /timed message 1 was acknowledged for 1000000, and never comes/);
});
