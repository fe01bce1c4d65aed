import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MessageStore, silentLogger } from '@vernier/store';
import { seededRandom } from '@vernier/torture';
import { Machine } from '../../../torture/test/machine.ts';
import { FollowPlaces } from '../../src/follow/follow-places.ts';
import { FollowService } from '../../src/follow/follow-service.ts';
import type { FollowAction } from '../../src/follow/queue-follower.ts';
import { MetadataFile } from '../../src/metadata/metadata-files.ts';

const CONFIG = '/data/store/config';

/** The followers of one start, with their table on the machine's disk. */
async function start(machine: Machine, store: MessageStore) {
  const { fileSystem, scheduler: clock } = machine;
  const places: FollowPlaces = new FollowPlaces(() => file.changed());
  const file = new MetadataFile(`${CONFIG}/followOffset.json`, places, 50, fileSystem, clock, silentLogger);
  await machine.until(fileSystem.makeDirectory(CONFIG), 'directory');
  await machine.until(file.load(), 'table');
  const service = new FollowService({ store, places, clock, logger: silentLogger });
  store.on('arrived', ({ topic, queueId }) => service.messageArrived(topic, queueId));
  return { places, file, service };
}

test('a message wakes the followers of its queue and nobody else', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const { service } = await start(machine, store);
  const given: string[] = [];
  const note =
    (name: string): FollowAction =>
    async (messages) => {
      given.push(...messages.map(({ body }) => `${name}: ${body}`));
      return { done: messages.length };
    };
  const follow = (name: string, topic: string, queueId: number) =>
    service.follow({ name, topic, queueId, act: note(name) });
  follow('first', 'T', 0);
  follow('second', 'T', 0);
  follow('other queue', 'T', 1);
  follow('other topic', 'U', 0);
  let looks = 0;
  const { getMessage } = store;
  store.getMessage = (...args) => {
    looks++;
    return getMessage.apply(store, args);
  };
  await machine.advance(10);
  assert.equal(looks, 4, 'each looks once when it starts');
  await machine.put(store, 'x');
  await machine.advance(10);
  assert.deepEqual(given, ['first: x', 'second: x']);
  assert.equal(looks, 8, 'the two that were woken look twice: at the message, and at the end behind it');
  assert.throws(() => follow('first', 'V', 0), /two followers of one name/);
  assert.deepEqual(
    [...service.followers()].map(({ name, queueOffset }) => [name, queueOffset]),
    [
      ['first', 1],
      ['second', 1],
      ['other queue', 0],
      ['other topic', 0],
    ],
  );
  await machine.until(service.stop(), 'stop');
});

test('a stop goes from the last to the first, and none is left out because one fails', async () => {
  const machine = new Machine();
  const store = await machine.open();
  const { service } = await start(machine, store);
  const stopped: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    const act: FollowAction = (_messages, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          stopped.push(name);
          resolve({ done: 1 });
        });
      });
    const follower = service.follow({ name, topic: 'T', queueId: 0, act });
    if (name === 'b') {
      const { shutdown } = follower;
      follower.shutdown = () => shutdown.call(follower).then(() => Promise.reject(new Error('b fails')));
    }
  }
  await machine.put(store, 'x');
  await machine.advance(10);
  await assert.rejects(machine.until(service.stop(), 'stop'), /b fails/);
  assert.deepEqual(stopped, ['c', 'b', 'a']);
  assert.throws(() => service.follow({ name: 'd', topic: 'T', queueId: 0, act: async () => ({ done: 0 }) }), /stopped/);
});

test('places: what was written is read, what is none is refused', () => {
  const read = (text: string): FollowPlaces => {
    const places = new FollowPlaces(() => {});
    places.load(JSON.parse(text));
    return places;
  };
  const places = new FollowPlaces(() => {});
  places.set('delay "3"', { queueOffset: 7, last: { queueOffset: 6, logOffset: 2 ** 40 } });
  places.set('new', { queueOffset: 0, last: undefined });
  places.set('gone', { queueOffset: 1, last: undefined });
  places.remove('gone');
  const again = read([...places.encode()].join(''));
  assert.deepEqual(again.get('delay "3"'), { queueOffset: 7, last: { queueOffset: 6, logOffset: 2 ** 40 } });
  assert.deepEqual(again.get('new'), { queueOffset: 0, last: undefined });
  assert.equal(again.get('gone'), undefined);
  for (const place of [
    '{"queueOffset":-1}',
    '{"queueOffset":1.5}',
    '{"queueOffset":"1"}',
    '{}',
    '{"queueOffset":1,"lastLogOffset":5}',
    '{"queueOffset":1,"lastQueueOffset":-2,"lastLogOffset":5}',
    '{"queueOffset":1,"lastQueueOffset":0,"lastLogOffset":-5}',
    '{"queueOffset":1e400,"lastQueueOffset":0,"lastLogOffset":0}',
    '[]',
    'null',
  ]) {
    assert.throws(() => read(`{"places":{"F":${place}}}`), { code: 'REMOTING_BODY_INVALID' }, place);
  }
});

for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
  test(`histories with power cuts, ${flushDiskType}: no message is left out, none below the saved place is given again`, async () => {
    for (let seed = 1; seed <= 12; seed++) {
      await history(seed, flushDiskType).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      });
    }
  });
}

/** Puts, follows and deletes on one machine until the power goes, then looks at what the next start does. */
async function history(seed: number, flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH'): Promise<void> {
  const random = seededRandom(seed);
  const below = (count: number): number => Math.floor(random() * count);
  let machine = new Machine({ flushDiskType, flushIntervalCommitLog: 200 });
  let number = 0;
  const givenOnce = new Set<string>();
  for (let life = 0; life < 3; life++) {
    const store = await machine.open();
    const { service, places, file } = await start(machine, store);
    const max = store.getMaxOffsetInQueue('T', 0);
    const saved = places.get('F');
    const bodies = await machine.bodies(store);
    const finished = new Set<string>();
    if (saved !== undefined && saved.last !== undefined && saved.queueOffset > 0) {
      const entry = (await machine.until(store.queueEntries('T', 0, saved.queueOffset - 1, 1), 'entry'))?.[0];
      // A deletion after the last save leaves a place of the old queue behind; then the log says so.
      const isOfThisQueue = entry?.commitLogOffset === saved.last.logOffset;
      if (isOfThisQueue) {
        assert.ok(saved.queueOffset <= max, `the place ${saved.queueOffset} is behind the end ${max}`);
        for (const body of bodies.slice(0, saved.queueOffset))
          assert.ok(givenOnce.has(body), `${body} was never given`);
      } else {
        assert.ok(saved.last.logOffset < store.maxPhyOffset, 'the place names a message that the log does not have');
      }
    }
    const given: string[] = [];
    const follower = service.follow({
      name: 'F',
      topic: 'T',
      queueId: 0,
      messagesMax: 1 + below(4),
      act: async (messages) => {
        await machine.scheduler.delay(below(30));
        const done = below(messages.length + 1);
        for (const message of messages.slice(0, done)) given.push(message.body.toString());
        if (done === 0) throw new Error('not now');
        return { done };
      },
    });
    const steps = 5 + below(15);
    for (let step = 0; step < steps; step++) {
      if (below(12) === 0) await machine.until(store.deleteTopic('T'), 'deletion');
      else await machine.put(store, `${seed}-${number++}`);
      if (below(3) === 0) await machine.advance(below(200));
    }
    if (life === 2) await machine.advance(60_000);
    for (const body of given) {
      assert.ok(!finished.has(body), `${body} lies below the saved place and was given again`);
      givenOnce.add(body);
    }
    if (life < 2) {
      machine.scheduler.stop();
      machine = machine.powerCut(seed, random());
      continue;
    }
    const left = await machine.bodies(store);
    for (const body of left) assert.ok(givenOnce.has(body), `${body} is there and was never given`);
    // A deletion wakes nobody: the next message does.
    if (left.length > 0) assert.equal(follower.queueOffset, left.length);
    await machine.until(service.stop(), 'stop');
    await machine.until(file.close(), 'table');
    await machine.until(store.shutdown(), 'shutdown');
  }
}
