import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RemotingConnection } from '@vernier/remoting';
import type { MessageFilter } from '@vernier/store';
import { ManualClock, settle } from '@vernier/store/testing';
import { PullRequestHoldService } from '../../src/broker/pull-request-hold-service.ts';

const connection = (closed = false): RemotingConnection => ({ closed }) as RemotingConnection;

function fixture() {
  const clock = new ManualClock();
  const holds = new PullRequestHoldService(clock);
  const ran: string[] = [];
  const hold = (
    name: string,
    options: {
      topic?: string;
      queueId?: number;
      offset?: number;
      filter?: MessageFilter;
      on?: RemotingConnection;
      ms?: number;
    } = {},
  ): void =>
    holds.suspend(
      {
        connection: options.on ?? connection(),
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

test('a message wakes those of its queue whose offset it reaches and whose filter it passes', async () => {
  const { holds, ran, hold } = fixture();
  const onlyB: MessageFilter = { isMatchedByConsumeQueue: (tagsCode) => tagsCode === 66 };
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

test('a closed connection takes its requests along; a woken one on it is not run', async () => {
  const { holds, ran, hold } = fixture();
  const on = { closed: false } as { closed: boolean } & RemotingConnection;
  hold('gone', { on });
  hold('gone too', { on, queueId: 1 });
  hold('stays');
  holds.connectionClosed(on);
  assert.equal(holds.count, 1);
  holds.messageArrived('T', 1, 6, 0);
  await settle();
  assert.deepEqual(ran, []);
  hold('closing', { on, queueId: 2 });
  holds.messageArrived('T', 2, 6, 0);
  on.closed = true;
  await settle();
  assert.deepEqual(ran, []);
});

test('stop drops everything and the timer', () => {
  const { clock, holds, hold } = fixture();
  hold('x');
  holds.stop();
  assert.equal(holds.count, 0);
  assert.equal(clock.timerCount, 0);
});
