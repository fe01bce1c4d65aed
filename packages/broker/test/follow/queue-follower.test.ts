import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock, MessageExt, MessageStore } from '@vernier/store';
import { silentLogger } from '@vernier/store';
import { Machine } from '../../../torture/test/machine.ts';
import { FollowPlaces } from '../../src/follow/follow-places.ts';
import {
  type FollowAction,
  type FollowedStore,
  type FollowOptions,
  QueueFollower,
} from '../../src/follow/queue-follower.ts';

const bodyOf = (message: MessageExt): string => message.body.toString();

/** A follower on a machine, and what its action was given. */
class Following {
  readonly given: string[] = [];
  readonly lines: string[] = [];
  /** Timers that the follower armed. */
  timers = 0;
  readonly follower: QueueFollower;
  act: FollowAction = async (messages) => ({ done: messages.length });

  constructor(machine: Machine, store: FollowedStore, places: FollowPlaces, options: Partial<FollowOptions> = {}) {
    const { scheduler } = machine;
    const clock: Clock = {
      now: () => scheduler.now(),
      monotonic: () => scheduler.monotonic(),
      setTimer: (callback, ms) => {
        this.timers++;
        return scheduler.setTimer(callback, ms);
      },
      clearTimer: (timer) => scheduler.clearTimer(timer),
      defer: (callback) => scheduler.defer(callback),
    };
    const say = (_fields: object, message: string): void => void this.lines.push(message);
    this.follower = new QueueFollower(
      {
        name: 'F',
        topic: 'T',
        queueId: 0,
        act: (messages, signal) => {
          this.given.push(...messages.map(bodyOf));
          return this.act(messages, signal);
        },
        ...options,
      },
      {
        store,
        places,
        clock,
        logger: { ...silentLogger, warn: say, error: say },
      },
    );
    (store as MessageStore).on('arrived', ({ topic, queueId }) => {
      if (topic === this.follower.topic && queueId === this.follower.queueId) this.follower.messageArrived();
    });
  }
}

async function fixture(settings: ConstructorParameters<typeof Machine>[0] = {}) {
  const machine = new Machine(settings);
  const store = await machine.open();
  const places = new FollowPlaces(() => {});
  const follow = (options: Partial<FollowOptions> = {}): Following => new Following(machine, store, places, options);
  const put = async (...bodies: string[]): Promise<void> => {
    for (const body of bodies) assert.equal((await machine.put(store, body)).status, 'PUT_OK');
  };
  const stop = ({ follower }: Following): Promise<void> => machine.until(follower.shutdown(), 'stop');
  return { machine, store, places, follow, put, stop };
}

test('messages that are there and messages that arrive are given once, in their order', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a', 'b');
  const f = follow();
  f.follower.start();
  await machine.advance(10);
  assert.deepEqual(f.given, ['a', 'b']);
  await put('c');
  await machine.advance(0);
  await put('d', 'e');
  await machine.advance(10);
  assert.deepEqual(f.given, ['a', 'b', 'c', 'd', 'e']);
  assert.equal(f.follower.queueOffset, 5);
  assert.equal(f.follower.doneTotal, 5);
  assert.deepEqual(f.lines, []);
  await stop(f);
});

test('a follower that has nothing to do has no timer, and one that begins at the end is given nothing older', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('old');
  const f = follow({ from: 'end' });
  f.follower.start();
  await machine.advance(60_000);
  assert.equal(f.timers, 0);
  assert.deepEqual(f.given, []);
  await put('new');
  await machine.advance(10);
  assert.deepEqual(f.given, ['new']);
  assert.equal(f.timers, 0);
  await stop(f);
});

test('a follower that began at the end begins there after a restart too, although it was given nothing', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('old');
  const first = follow({ from: 'end' });
  first.follower.start();
  await machine.advance(10);
  await stop(first);
  await put('while nobody followed');
  const second = follow({ from: 'end' });
  second.follower.start();
  await machine.advance(10);
  assert.deepEqual(second.given, ['while nobody followed']);
  await stop(second);
});

test('the next start goes on where the last one stopped', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a', 'b', 'c');
  const first = follow({ messagesMax: 2 });
  first.act = async () => ({ done: 1, waitMs: 3_600_000 });
  first.follower.start();
  await machine.advance(10);
  await stop(first);
  assert.deepEqual(first.given, ['a', 'b']);
  const second = follow();
  second.follower.start();
  await machine.advance(10);
  assert.deepEqual(second.given, ['b', 'c'], 'a was done, b was given and not done');
  await stop(second);
});

test('no message is given before it is on disk, whatever flushDiskType says', async () => {
  const { machine, store, follow, stop } = await fixture({ flushDiskType: 'ASYNC_FLUSH' });
  const f = follow();
  f.follower.start();
  const { fileSystem } = machine;
  // Every flush hangs until it is let go.
  const held = fileSystem.hold('sync', /commitlog/);
  const { status } = await machine.put(store, 'a');
  assert.equal(status, 'PUT_OK');
  await machine.advance(5_000);
  assert.equal(store.getMaxOffsetInQueue('T', 0), 1, 'readers see it');
  assert.deepEqual(f.given, []);
  held.release();
  await machine.advance(5_000);
  assert.deepEqual(f.given, ['a']);
  await stop(f);
});

test('a follower that waits for a flush that does not come can be stopped', async () => {
  const { machine, store, follow, stop } = await fixture({ flushDiskType: 'ASYNC_FLUSH' });
  const f = follow();
  f.follower.start();
  const held = machine.fileSystem.hold('sync', /commitlog/);
  await machine.put(store, 'a');
  await machine.advance(1_000);
  await stop(f);
  assert.deepEqual(f.given, []);
  assert.equal(f.follower.queueOffset, 0);
  held.release();
});

test('an action that fails is given the same messages again, after a time that doubles up to a limit', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a', 'b');
  const f = follow({ retryMs: 100, retryMsMax: 350 });
  const at: number[] = [];
  f.act = async () => {
    at.push(machine.scheduler.monotonic());
    throw new Error('no room');
  };
  f.follower.start();
  await machine.advance(1);
  await put('c');
  await machine.advance(2_000);
  const gaps = at.slice(1, 6).map((time, i) => Math.round(time - at[i]!));
  assert.deepEqual(gaps, [100, 200, 350, 350, 350], 'a message that arrives does not shorten it');
  assert.ok(f.lines[0]?.includes('failed at offset 0, attempt 1; again in 100 ms'), f.lines[0]);
  assert.equal(f.follower.queueOffset, 0);
  const before = f.given.length;
  f.act = async (messages) => ({ done: messages.length });
  await machine.advance(400);
  assert.deepEqual(f.given.slice(before), ['a', 'b', 'c']);
  // The next failure is a first one again.
  f.lines.length = 0;
  f.act = async () => {
    throw new Error('no room');
  };
  await put('d');
  await machine.advance(50);
  assert.ok(f.lines[0]?.includes('attempt 1; again in 100 ms'), f.lines[0]);
  await stop(f);
});

test('an action that does nothing and does not say until when is a failure and no loop', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a');
  const f = follow();
  f.act = async () => ({ done: 0 });
  f.follower.start();
  await machine.advance(350);
  assert.equal(f.given.length, 3, 'at 0, 100 and 300 ms');
  await stop(f);
});

test('an action may do some and wait for the time of the rest', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a', 'b', 'c');
  const f = follow();
  f.act = async (messages) => ({ done: 1, ...(messages.length > 1 ? { waitMs: 1_000 } : {}) });
  f.follower.start();
  await machine.advance(500);
  await put('d');
  await machine.advance(400);
  assert.deepEqual(f.given, ['a', 'b', 'c']);
  await machine.advance(5_000);
  assert.deepEqual(f.given, ['a', 'b', 'c', 'b', 'c', 'd', 'c', 'd', 'd']);
  assert.equal(f.follower.failuresTotal, 0);
  await stop(f);
});

test('a stop lets the action end what it does, and counts it; nothing is given afterwards', async () => {
  const { machine, places, follow, put, stop } = await fixture();
  await put('a', 'b');
  const f = follow({ messagesMax: 1 });
  let end: () => void = () => {};
  let isCalledOff = false;
  f.act = (_messages, signal) => {
    signal.addEventListener('abort', () => {
      isCalledOff = true;
    });
    return new Promise((resolve) => {
      end = () => resolve({ done: 1 });
    });
  };
  f.follower.start();
  await machine.advance(10);
  let isStopped = false;
  const stopped = f.follower.shutdown().then(() => {
    isStopped = true;
  });
  await machine.advance(100);
  assert.deepEqual([isCalledOff, isStopped], [true, false]);
  end();
  await machine.until(stopped, 'stop');
  assert.deepEqual(f.given, ['a']);
  assert.equal(places.get('F')?.queueOffset, 1);
  await put('c');
  await machine.advance(1_000);
  assert.deepEqual(f.given, ['a']);
  const next = follow();
  next.follower.start();
  await machine.advance(10);
  assert.deepEqual(next.given, ['b', 'c']);
  await stop(next);
});

test('an action that a stop calls off may reject: its messages are not done, and that is no failure', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a');
  const f = follow();
  f.act = (_messages, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('called off'))));
  f.follower.start();
  await machine.advance(10);
  await stop(f);
  assert.equal(f.follower.queueOffset, 0);
  assert.equal(f.follower.failuresTotal, 0);
  assert.deepEqual(f.lines, []);
});

test('a stop ends a pause after a failure at once', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a');
  const f = follow({ retryMs: 3_600_000, retryMsMax: 3_600_000 });
  f.act = async () => {
    throw new Error('no room');
  };
  f.follower.start();
  await machine.advance(10);
  const before = machine.scheduler.monotonic();
  await stop(f);
  assert.ok(machine.scheduler.monotonic() - before < 1_000);
});

for (const [count, what] of [
  [1, 'fewer messages'],
  [3, 'as many messages'],
  [5, 'more messages'],
] as const) {
  test(`a topic that is deleted and made again with ${what} is followed from its first one`, async () => {
    const { machine, store, follow, put, stop } = await fixture();
    await put('old 0', 'old 1', 'old 2');
    const f = follow();
    f.follower.start();
    await machine.advance(10);
    f.given.length = 0;
    await machine.until(store.deleteTopic('T'), 'deletion');
    const news = Array.from({ length: count }, (_, i) => `new ${i}`);
    await put(...news);
    await machine.advance(10);
    assert.deepEqual(f.given, news);
    assert.equal(f.lines.length, 1, 'it says so once');
    await stop(f);
  });

  test(`the same while nobody follows, over a restart (${what})`, async () => {
    const { machine, store, follow, put, stop } = await fixture();
    await put('old 0', 'old 1', 'old 2');
    const f = follow();
    f.follower.start();
    await machine.advance(10);
    await stop(f);
    await machine.until(store.deleteTopic('T'), 'deletion');
    const news = Array.from({ length: count }, (_, i) => `new ${i}`);
    await put(...news);
    const next = follow();
    next.follower.start();
    await machine.advance(10);
    assert.deepEqual(next.given, news);
    await stop(next);
  });
}

test('a topic that is deleted while an action has its messages: what the action did counts for the old queue alone', async () => {
  const { machine, store, follow, put, stop } = await fixture();
  await put('old 0', 'old 1');
  const f = follow();
  let end: () => void = () => {};
  f.act = (messages) =>
    new Promise((resolve) => {
      end = () => resolve({ done: messages.length });
    });
  f.follower.start();
  await machine.advance(10);
  await machine.until(store.deleteTopic('T'), 'deletion');
  await put('new 0', 'new 1', 'new 2');
  f.act = async (messages) => ({ done: messages.length });
  end();
  await machine.advance(10);
  assert.deepEqual(f.given, ['old 0', 'old 1', 'new 0', 'new 1', 'new 2']);
  await stop(f);
});

test('a topic that is deleted and not made again: the follower waits, without a timer and without a line a second', async () => {
  const { machine, store, follow, put, stop } = await fixture();
  await put('old');
  const f = follow();
  f.follower.start();
  await machine.advance(10);
  await machine.until(store.deleteTopic('T'), 'deletion');
  f.follower.messageArrived();
  await machine.advance(60_000);
  assert.equal(f.lines.length, 1);
  assert.equal(f.follower.queueOffset, 0);
  await stop(f);
});

test('a queue that lost its end is followed from where it ends now, and nothing is given again', async () => {
  const { machine, places, follow, put, stop } = await fixture();
  await put('a', 'b');
  const f = follow();
  f.follower.start();
  await machine.advance(10);
  await stop(f);
  const { last } = places.get('F')!;
  // As after a restore of an older copy of the store beside a newer table.
  places.set('F', { queueOffset: 7, last: { queueOffset: 6, logOffset: last!.logOffset + 10_000 } });
  await put('c');
  const next = follow();
  next.follower.start();
  await machine.advance(10);
  assert.deepEqual(next.given, [], 'all three lie in front of the place in the log');
  assert.equal(next.follower.queueOffset, 3);
  await put('d');
  await machine.advance(10);
  assert.deepEqual(next.given, ['d']);
  await stop(next);
});

test('messages that expired before they were given are stepped over, with their number', async () => {
  const { machine, store, put, stop } = await fixture();
  await put('a', 'b', 'c', 'd');
  const { getMessage } = store;
  let min = 0;
  // What the store answers when its first files are gone.
  store.getMinOffsetInQueue = () => min;
  store.getMessage = async (group, topic, queueId, offset, count) => {
    if (offset >= min) return getMessage.call(store, group, topic, queueId, offset, count);
    const none = { buffer: Buffer.alloc(0), records: [], messageCount: 0, bufferTotalSize: 0, fromDisk: false };
    return { status: 'OFFSET_TOO_SMALL', nextBeginOffset: min, minOffset: min, maxOffset: 4, ...none };
  };
  const places = new FollowPlaces(() => {});
  const f = new Following(machine, store, places, { messagesMax: 1 });
  f.act = async (messages) => {
    if (f.given.length < 2) return { done: messages.length };
    min = 3;
    throw new Error('too late');
  };
  f.follower.start();
  await machine.advance(10);
  f.act = async (messages) => ({ done: messages.length });
  await machine.advance(1_000);
  assert.deepEqual(f.given, ['a', 'b', 'd'], 'b was given and not done, c never');
  assert.ok(
    f.lines.some((line) => line.includes('steps over 2 messages')),
    f.lines.join(),
  );
  assert.equal(places.get('F')?.queueOffset, 4);
  await stop(f);
});

test('a reset puts the follower back or forward, within the bounds of the queue', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a', 'b', 'c');
  const f = follow();
  f.follower.start();
  await machine.advance(10);
  const reset = async (target: number | 'start' | 'end'): Promise<[number, string[]]> => {
    f.given.length = 0;
    const offset = await machine.until(f.follower.reset(target), 'reset');
    await machine.advance(10);
    return [offset, [...f.given]];
  };
  assert.deepEqual(await reset(1), [1, ['b', 'c']]);
  assert.deepEqual(await reset('start'), [0, ['a', 'b', 'c']]);
  assert.deepEqual(await reset('end'), [3, []]);
  assert.deepEqual(await reset(99), [3, []]);
  assert.deepEqual(await reset(-5), [0, ['a', 'b', 'c']]);
  await put('d');
  await machine.advance(10);
  assert.equal(f.given.at(-1), 'd');
  await stop(f);
});

test('a reset while an action is at work: what it did does not count, and it is not a failure', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a', 'b', 'c');
  const f = follow({ messagesMax: 1 });
  f.act = (_messages, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve({ done: 1 })));
  f.follower.start();
  await machine.advance(10);
  const both = Promise.all([f.follower.reset(1), f.follower.reset(2)]);
  f.act = async (messages) => ({ done: messages.length });
  assert.deepEqual(await machine.until(both, 'reset'), [2, 2], 'the last one counts');
  await machine.advance(10);
  assert.deepEqual(f.given, ['a', 'c']);
  assert.equal(f.follower.failuresTotal, 0);
  await stop(f);
});

test('a reset that comes with a stop holds at the next start', async () => {
  const { machine, follow, put } = await fixture();
  await put('a', 'b');
  const f = follow();
  f.follower.start();
  await machine.advance(10);
  const stopped = f.follower.shutdown();
  const reset = f.follower.reset(0);
  await machine.until(Promise.all([stopped, reset]), 'stop');
  const next = follow();
  next.follower.start();
  await machine.advance(10);
  assert.deepEqual(next.given, ['a', 'b']);
  await machine.until(next.follower.shutdown(), 'stop');
});

test('a follower says how far it is behind', async () => {
  const { machine, follow, put, stop } = await fixture();
  const f = follow();
  assert.deepEqual(await machine.until(f.follower.behind(), 'behind'), { entries: 0, ms: 0 });
  f.act = async () => ({ done: 0, waitMs: 3_600_000 });
  f.follower.start();
  await put('a');
  await machine.advance(5_000);
  await put('b');
  const { entries, ms } = await machine.until(f.follower.behind(), 'behind');
  assert.equal(entries, 2);
  assert.ok(ms >= 5_000 && ms < 5_100, String(ms));
  await stop(f);
});

test('a store that cannot be read is a failure that is retried; a store that is closed ends the follower', async () => {
  const { machine, store, follow, put } = await fixture();
  await put('a');
  const f = follow();
  const { getMessage } = store;
  store.getMessage = () => Promise.reject(new Error('STORE_READ_FAILED'));
  f.follower.start();
  await machine.advance(50);
  assert.equal(f.follower.failuresTotal, 1);
  store.getMessage = getMessage;
  await machine.advance(200);
  assert.deepEqual(f.given, ['a']);
  await machine.until(store.shutdown(), 'shutdown');
  f.follower.messageArrived();
  await machine.advance(10);
  assert.equal(f.follower.failuresTotal, 1);
  await machine.until(f.follower.shutdown(), 'stop');
});

test('a message that is to wait is not read, and what is ready in front of it is given alone', async () => {
  const { machine, store, follow, put, stop } = await fixture();
  await put('a', 'b', 'c');
  let reads = 0;
  const { getMessage } = store;
  store.getMessage = (...args) => {
    reads++;
    return getMessage.apply(store, args);
  };
  const start = machine.scheduler.monotonic();
  const dueAt = [0, 0, 500];
  const f = follow({ waitMs: (_entry, queueOffset) => start + dueAt[queueOffset]! - machine.scheduler.monotonic() });
  f.follower.start();
  await machine.advance(499);
  assert.deepEqual(f.given, ['a', 'b']);
  const before = reads;
  await machine.advance(2);
  assert.deepEqual(f.given, ['a', 'b', 'c']);
  assert.equal(before, 1);
  await stop(f);
});

test('a message that arrives between the question and the read is not given unasked', async () => {
  const { machine, store, follow, stop } = await fixture();
  const { getMessage } = store;
  let puts = 0;
  // The store is asked for messages while the entries are those of before.
  store.getMessage = async (...args) => {
    if (puts++ < 3) {
      void machine.begin(store, `late ${puts}`);
      await machine.scheduler.delay(5);
    }
    return getMessage.apply(store, args);
  };
  const asked = new Set<number>();
  const f = follow({
    waitMs: (_entry, queueOffset) => {
      asked.add(queueOffset);
      return queueOffset === 1 ? 50 : 0;
    },
  });
  f.act = async (messages) => {
    for (const { queueOffset } of messages) assert.ok(asked.has(queueOffset) && queueOffset !== 1, `${queueOffset}`);
    return { done: messages.length };
  };
  f.follower.start();
  await machine.advance(500);
  assert.deepEqual(f.given, ['late 1']);
  assert.equal(f.follower.failuresTotal, 0);
  await stop(f);
});

test('waiting: a question that fails is asked again later; a message that arrives behind does not end the wait', async () => {
  const { machine, follow, put, stop } = await fixture();
  await put('a');
  let asked = 0;
  const f = follow({
    waitMs: () => {
      if (asked++ === 0) throw new Error('not now');
      return asked > 2 ? 0 : 1_000;
    },
  });
  f.follower.start();
  await machine.advance(50);
  assert.equal(asked, 1);
  assert.equal(f.follower.failuresTotal, 1);
  await machine.advance(100);
  await put('b');
  await machine.advance(800);
  assert.equal(asked, 2);
  assert.deepEqual(f.given, []);
  await machine.advance(200);
  assert.deepEqual(f.given, ['a', 'b']);
  await stop(f);
});

test('a place is kept in the table that the follower brings', async () => {
  const { machine, places, follow, put, stop } = await fixture();
  await put('a', 'b');
  const own = new FollowPlaces(() => {});
  own.set('F', { queueOffset: 1, last: undefined });
  const f = follow({ places: own });
  f.follower.start();
  await machine.advance(10);
  assert.deepEqual(f.given, ['b']);
  assert.equal(own.get('F')?.queueOffset, 2);
  assert.equal(places.get('F'), undefined);
  await stop(f);
});
