import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { CallerSession } from '../../src/base/caller.ts';
import { HeldFilters } from '../../src/filter/held-filters.ts';
import type { SizedFilter } from '../../src/filter/sized-filter.ts';
import { PullRequestHoldService, RUNS_A_TURN } from '../../src/pull/pull-request-hold-service.ts';
import { roomy } from '../budgets.ts';

const caller = (): CallerSession => new CallerSession('127.0.0.1:1', { address: Uint8Array.of(127, 0, 0, 1), port: 1 });

function fixture() {
  const clock = new ManualClock();
  const holds = new PullRequestHoldService(clock, new HeldFilters(roomy()));
  const ran: string[] = [];
  const hold = (
    name: string,
    options: {
      topic?: string;
      queueId?: number;
      offset?: number;
      filter?: SizedFilter;
      on?: CallerSession;
      ms?: number;
    } = {},
  ): void =>
    holds.suspend(
      {
        caller: options.on ?? caller(),
        topic: options.topic ?? 'T',
        queueId: options.queueId ?? 0,
        offset: options.offset ?? 5,
        filter: options.filter,
        run: () => ran.push(name),
      },
      options.ms ?? 15_000,
    );
  return { clock, holds, ran, hold };
}

test('a pull that comes when the broker stops is dropped: it is not run and leaves no timer', async () => {
  const { clock, holds, ran, hold } = fixture();
  hold('before');
  holds.messageArrived('T', 0, 6, 0);
  holds.stop();
  hold('late', { ms: 3_600_000 });
  assert.equal(holds.count, 0);
  assert.equal(clock.timerCount, 0);
  holds.wake('T', 0, 9);
  await clock.advance(4_000_000);
  await settle();
  assert.deepEqual(ran, []);
});

test('a message wakes those of its queue whose offset it reaches and whose filter it passes', async () => {
  const { holds, ran, hold } = fixture();
  const onlyB: SizedFilter = { bytes: 100, isMatchedByConsumeQueue: (tagsCode) => tagsCode === 66 };
  hold('at the end');
  hold('further on', { offset: 6 });
  hold('other queue', { queueId: 1 });
  hold('other topic', { topic: 'U' });
  hold('tag B', { filter: onlyB });
  holds.messageArrived('T', 0, 6, 65);
  assert.deepEqual(ran, [], 'runs after the turn, with what else arrives in it');
  await settle();
  assert.deepEqual(ran, ['at the end']);
  holds.messageArrived('T', 0, 6, 66);
  await settle();
  assert.deepEqual(ran, ['at the end', 'tag B']);
  holds.messageArrived('T', 0, 7, 65);
  holds.messageArrived('T', 0, 8, 65);
  await settle();
  assert.deepEqual(ran, ['at the end', 'tag B', 'further on'], 'two messages of one turn wake it once');
  assert.equal(holds.count, 2);
  holds.stop();
});

test('a request whose time is up runs, the others stay; one timer serves all of a second', async () => {
  const { clock, holds, ran, hold } = fixture();
  assert.equal(clock.timerCount, 0);
  for (let index = 0; index < 100; index++) hold('early', { ms: 1_500 });
  hold('late', { ms: 10_000 });
  assert.equal(clock.timerCount, 1);
  await clock.advance(1_400);
  assert.deepEqual(ran, []);
  await clock.advance(700);
  assert.equal(ran.length, 100);
  assert.equal(holds.count, 1);
  await clock.advance(8_000);
  assert.equal(ran.at(-1), 'late');
  assert.equal(clock.timerCount, 0, 'nothing held, no timer');
});

test('a request held for a shorter time moves the timer forward', async () => {
  const { clock, ran, hold } = fixture();
  hold('long', { ms: 60_000 });
  hold('short', { ms: 500 });
  assert.equal(clock.timerCount, 1);
  await clock.advance(1_000);
  assert.deepEqual(ran, ['short']);
});

test('a timer that outlives its request finds nothing and is not armed again', async () => {
  const { clock, holds, ran, hold } = fixture();
  hold('woken');
  holds.messageArrived('T', 0, 6, 0);
  await clock.advance(60_000);
  assert.deepEqual(ran, ['woken']);
  assert.equal(clock.timerCount, 0);
});

test('a caller that is gone takes its requests along; a woken one of it is not run', async () => {
  const { holds, ran, hold } = fixture();
  const on = caller();
  hold('gone', { on });
  hold('gone too', { on, queueId: 1 });
  hold('stays');
  hold('closing', { on, queueId: 2 });
  holds.messageArrived('T', 2, 6, 0);
  on.end();
  assert.equal(holds.count, 1);
  holds.messageArrived('T', 1, 6, 0);
  await settle();
  assert.deepEqual(ran, []);
});

test('a caller that has been woken a thousand times is listened to once', async () => {
  const { holds, ran, hold } = fixture();
  const on = caller();
  let listeners = 0;
  const { signal } = on;
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  }) as typeof add;
  for (let i = 0; i < 1_000; i++) {
    hold('again', { on });
    holds.messageArrived('T', 0, 6, 0);
    await settle();
  }
  assert.equal(ran.length, 1_000);
  assert.equal(listeners, 1);
});

test('a caller that goes after a stop changes nothing', () => {
  const { holds, hold } = fixture();
  const on = caller();
  hold('x', { on });
  holds.stop();
  on.end();
  assert.equal(holds.count, 0);
});

test('stop drops everything and the timer', () => {
  const { clock, holds, hold } = fixture();
  hold('x');
  holds.stop();
  assert.equal(holds.count, 0);
  assert.equal(clock.timerCount, 0);
});

for (const how of ['woken by one message', 'expired in one second'] as const) {
  test(`thousands ${how} run some a turn of the event loop, in their order, and those who have gone do not`, async () => {
    const { clock, holds } = fixture();
    const count = 5 * RUNS_A_TURN;
    const leaver = caller();
    const ran: number[] = [];
    let [inTurn, most, isWatching] = [0, 0, true];
    const nextTurn = (): void => {
      inTurn = 0;
      if (isWatching) setImmediate(nextTurn);
    };
    nextTurn();
    for (let i = 0; i < count; i++) {
      const run = (): void => {
        ran.push(i);
        most = Math.max(most, ++inTurn);
        if (i === 0) leaver.end();
      };
      const on = i === count - 1 ? leaver : caller();
      holds.suspend({ caller: on, topic: 'T', queueId: 0, offset: 5, filter: undefined, run }, 5_000);
    }
    if (how === 'woken by one message') holds.messageArrived('T', 0, 6, 0);
    else await clock.advance(7_000);
    while (ran.length < count - 1) await new Promise((resolve) => setImmediate(resolve));
    await settle();
    isWatching = false;
    // The first ones run at once, and the next ones may at the end of the same turn.
    assert.ok(most <= 2 * RUNS_A_TURN, `${most} in one turn`);
    assert.deepEqual(
      ran,
      Array.from({ length: count - 1 }, (_, i) => i),
    );
    holds.stop();
  });
}

test('what waits for a later turn does not run after the service has stopped', async () => {
  const { holds, ran, hold } = fixture();
  for (let i = 0; i < RUNS_A_TURN + 50; i++) hold(String(i));
  holds.messageArrived('T', 0, 6, 0);
  await Promise.resolve();
  holds.stop();
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ran.length, RUNS_A_TURN);
});
