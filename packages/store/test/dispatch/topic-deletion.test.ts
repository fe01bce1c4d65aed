import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailpointName } from '@vernier/torture';
import { crashAt, FAILPOINTS } from '@vernier/torture';
import { Machine } from '../../../torture/test/machine.ts';
import type { MessageStore } from '../../src/message-store.ts';

/** Nothing is made durable by time alone. */
const RARELY = { flushConsumeQueueThoroughInterval: 3_600_000, flushIntervalConsumeQueue: 3_600_000 };

async function putAll(machine: Machine, store: MessageStore, names: readonly string[], topic = 'T'): Promise<void> {
  for (const name of names) {
    const { status, reason } = await machine.put(store, name, { topic });
    assert.equal(status, 'PUT_OK', reason);
  }
}

async function keysFound(machine: Machine, store: MessageStore, key: string, topic = 'T'): Promise<number> {
  return (await machine.until(store.queryMessage(topic, key), 'query')).records.length;
}

function deleteTopic(machine: Machine, store: MessageStore, topic = 'T'): Promise<void> {
  return machine.until(store.deleteTopic(topic), 'deletion');
}

async function shutDown(machine: Machine, store: MessageStore): Promise<Machine> {
  await machine.until(store.shutdown(), 'shutdown');
  return machine.kill();
}

const OLD = ['old0', 'old1', 'old2', 'old3', 'old4'];
const NEW = ['new0', 'new1', 'new2'];

const endings = {
  'a kill': (machine: Machine) => Promise.resolve(machine.kill()),
  'a power cut that takes all': (machine: Machine) => Promise.resolve(machine.powerCut(1, 0)),
  'a power cut that takes half': (machine: Machine) => Promise.resolve(machine.powerCut(2, 0.5)),
  'a clean shutdown': shutDown,
};

for (const [ending, end] of Object.entries(endings)) {
  for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
    const under = `${ending}, ${flushDiskType}`;
    test(`lives: a topic is deleted and remade: after ${under} it has the new messages and none of the old`, async () => {
      const machine = new Machine({ ...RARELY, flushDiskType });
      const store = await machine.open();
      await putAll(machine, store, ['x'], 'Other');
      await putAll(machine, store, OLD);
      await deleteTopic(machine, store);
      await putAll(machine, store, NEW);
      await machine.until(store.flush(), 'flush');
      assert.deepEqual(await machine.bodies(store), NEW);

      const next = await end(machine, store);
      const again = await next.open();
      assert.deepEqual(await next.bodies(again), NEW);
      assert.deepEqual(await next.bodies(again, 0, 'Other'), ['x']);
      assert.equal(await keysFound(next, again, 'old0'), 0);
      assert.equal(await keysFound(next, again, 'new0'), 1);
      const { queueOffset } = await next.put(again, 'new3');
      assert.equal(queueOffset, NEW.length);
      next.kill();
    });

    test(`lives: a topic is deleted and not remade: after ${under} it is not there`, async () => {
      const machine = new Machine({ ...RARELY, flushDiskType });
      const store = await machine.open();
      await putAll(machine, store, OLD);
      await deleteTopic(machine, store);
      assert.deepEqual([...store.queuesByTopic().keys()], []);

      const next = await end(machine, store);
      const again = await next.open();
      assert.deepEqual([...again.queuesByTopic().keys()], []);
      assert.equal(await keysFound(next, again, 'old0'), 0);
      const { queueOffset } = await next.put(again, 'new0');
      assert.equal(queueOffset, 0);
      next.kill();
    });
  }

  test(`lives: the end comes right after the first message of the remade topic: after ${ending} it is there`, async () => {
    const machine = new Machine(RARELY);
    const store = await machine.open();
    await putAll(machine, store, OLD);
    await deleteTopic(machine, store);
    await putAll(machine, store, ['new0']);
    const next = await end(machine, store);
    assert.deepEqual(await next.bodies(await next.open()), ['new0']);
    next.kill();
  });
}

test('lives: queues that were on disk before the deletion do not come back, and the next life starts in new files', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 });
  const store = await machine.open();
  await machine.fill(store, 25);
  await machine.advance(200);
  await deleteTopic(machine, store);
  assert.deepEqual(
    machine.fileSystem.paths().filter((path) => path.includes('/consumequeue/')),
    [],
  );
  const bodies = await machine.fill(store, 3);
  await machine.advance(200);
  for (let seed = 0; seed < 10; seed++) {
    const left = machine.powerCut(seed);
    assert.deepEqual(await left.bodies(await left.open()), bodies);
    left.kill();
  }
});

test('lives: messages that wait for their flush at the deletion are not dispatched after it', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  const held = machine.fileSystem.hold('sync', /commitlog\/\d+$/);
  const heldWrites = machine.fileSystem.hold('write', /commitlog\/\d+$/);
  const inFlight = ['f0', 'f1', 'f2'].map((text) => machine.begin(store, text));
  const deletion = store.deleteTopic('T');
  const during = machine.begin(store, 'new0');
  await machine.advance(20);
  held.release();
  heldWrites.release();
  for (const put of inFlight) assert.equal((await machine.until(put, 'put in flight')).status, 'PUT_OK');
  await machine.until(deletion, 'deletion');
  const first = await machine.until(during, 'put during the deletion');
  assert.deepEqual([first.status, first.queueOffset], ['PUT_OK', 0]);
  await putAll(machine, store, ['new1', 'new2']);
  assert.deepEqual(await machine.bodies(store), NEW);
  const next = machine.kill();
  assert.deepEqual(await next.bodies(await next.open()), NEW);
  next.kill();
});

test('lives: a message that waits for room when its topic is deleted is refused, the others are not', async () => {
  const machine = new Machine({ ...RARELY, putMessageTimeout: 60_000 });
  const store = await machine.open();
  await putAll(machine, store, ['old0']);
  const held = machine.fileSystem.hold('allocate', /commitlog/);
  const puts = Array.from({ length: 80 }, (_, i) =>
    machine.begin(store, `${i}`.padEnd(500, '.'), { topic: i % 2 === 0 ? 'T' : 'Other' }),
  );
  await machine.advance(10);
  const deletion = store.deleteTopic('T');
  held.release();
  await machine.until(deletion, 'deletion');
  const statuses = (await machine.until(Promise.all(puts), 'puts')).map(({ status }, i) => `${i % 2} ${status}`);
  assert.deepEqual([...new Set(statuses)].sort(), ['0 PUT_OK', '0 SERVICE_NOT_AVAILABLE', '1 PUT_OK']);
  assert.equal((await machine.bodies(store, 0, 'Other')).length, 40);
  assert.deepEqual(await machine.bodies(store), []);
  machine.kill();
});

test('lives: a topic is deleted and remade again and again, each life with its own numbers', async () => {
  let machine = new Machine(RARELY);
  let store = await machine.open();
  for (let life = 0; life < 5; life++) {
    const names = Array.from({ length: 5 - life }, (_, i) => `life${life}-${i}`);
    await putAll(machine, store, names);
    machine = life % 2 === 0 ? machine.kill() : machine.powerCut(life);
    store = await machine.open();
    assert.deepEqual(await machine.bodies(store), names);
    await deleteTopic(machine, store);
    await deleteTopic(machine, store);
  }
  machine = machine.kill();
  store = await machine.open();
  assert.deepEqual([...store.queuesByTopic().keys()], []);
  machine.kill();
});

/** The steps at which a deletion can be interrupted. */
const STEPS: readonly FailpointName[] = FAILPOINTS.filter((name) => name.startsWith('deletion:'));

for (const step of STEPS) {
  for (const ending of ['kill', 'power cut'] as const) {
    test(`lives: the machine stops at ${step} (${ending}): all old messages are there or none, and the new ones`, async () => {
      let deletions = 0;
      for (let seed = 0; seed < 6; seed++) {
        const machine = new Machine({ flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 });
        const store = await machine.open();
        await putAll(machine, store, OLD);
        await machine.advance(seed % 2 === 0 ? 0 : 100);
        const crash = crashAt(machine.fileSystem, step);
        let isAnswered = false;
        let isAcknowledged = false;
        const deletion = store.deleteTopic('T').then(() => {
          isAnswered = true;
        });
        void machine.begin(store, 'new0').then(({ status }) => {
          isAcknowledged = status === 'PUT_OK';
        });
        await machine.scheduler.run(() => crash.isReached, 10_000);
        assert.ok(crash.isReached, `${step} is passed`);
        deletion.catch(() => {});
        const next = ending === 'kill' ? machine.kill() : machine.powerCut(seed);
        const again = await next.open();
        const bodies = await next.bodies(again);
        const isOld = bodies[0] === OLD[0];
        if (isAnswered || isAcknowledged) assert.ok(!isOld, 'the deletion was answered, or a later message was');
        if (isOld) assert.deepEqual(bodies, OLD);
        else {
          deletions++;
          assert.deepEqual(bodies, isAcknowledged ? ['new0'] : bodies.slice(0, 1).filter((body) => body === 'new0'));
        }
        await deleteTopic(next, again);
        await putAll(next, again, NEW);
        const last = next.kill();
        assert.deepEqual(await last.bodies(await last.open()), NEW);
        last.kill();
      }
      assert.ok(deletions >= 0);
    });
  }
}

test('lives: a deletion is neither answered nor in force while its record is not on disk', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  const syncing = machine.fileSystem.hold('sync', 'deletions.json');
  let isAnswered = false;
  const deletion = store.deleteTopic('T').then(() => {
    isAnswered = true;
  });
  await machine.until(syncing.entered, 'the sync of the record');
  await machine.advance(1_000);
  assert.equal(isAnswered, false);
  assert.deepEqual(await machine.bodies(store), OLD);
  syncing.release();
  await machine.until(deletion, 'deletion');
  const left = machine.powerCut(1, 0);
  assert.deepEqual(await left.bodies(await left.open()), []);
  left.kill();
});

test('lives: once a deletion is answered, no power cut brings a file of the topic’s queues back', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 });
  const store = await machine.open();
  await machine.fill(store, 25);
  await machine.advance(200);
  const files = (paths: readonly string[]): string[] => paths.filter((path) => path.includes('/consumequeue/T/'));
  assert.equal(files(machine.fileSystem.paths()).length, 3);
  await deleteTopic(machine, store);
  for (let seed = 1; seed <= 20; seed++) {
    assert.deepEqual(files(machine.fileSystem.crash(seed).paths()), [], `power cut ${seed}`);
  }
  machine.kill();
});

test('lives: a deletion that cannot be put on record is refused, and nothing has changed', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  machine.fileSystem.inject({ operation: 'write', path: 'deletions.json', code: 'ENOSPC' });
  const deletion = store.deleteTopic('T');
  const during = machine.begin(store, 'old5');
  await assert.rejects(machine.until(deletion, 'deletion'), { code: 'STORE_DISK_FULL' });
  assert.equal((await machine.until(during, 'put during the deletion')).queueOffset, 5);
  assert.deepEqual(await machine.bodies(store), [...OLD, 'old5']);
  assert.equal(store.failure, undefined);
  await deleteTopic(machine, store);
  await putAll(machine, store, NEW);
  const next = machine.kill();
  assert.deepEqual(await next.bodies(await next.open()), NEW);
  next.kill();
});

test('lives: queues that cannot be removed do not come into the next life', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 });
  const warnings: string[] = [];
  const store = await machine.open({ warn: (_fields, message) => void warnings.push(message) });
  await putAll(machine, store, OLD);
  await machine.advance(100);
  machine.fileSystem.inject({ operation: 'removeDirectory', path: 'consumequeue', code: 'EIO', times: 2 });
  await deleteTopic(machine, store);
  assert.match(warnings.join(), /could not be removed/);
  await putAll(machine, store, ['new0']);
  await machine.advance(200);
  const next = machine.kill();
  assert.deepEqual(await next.bodies(await next.open()), ['new0']);
  next.kill();
});

test('lives: messages of the next life can be read after the old queues were removed late', async () => {
  const machine = new Machine({ flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 });
  const store = await machine.open();
  await putAll(machine, store, OLD);
  await machine.advance(100);
  // The deletion's own attempt, and that of the flush which has the new message to write.
  machine.fileSystem.inject({ operation: 'removeDirectory', path: 'consumequeue', code: 'EIO', times: 2 });
  await deleteTopic(machine, store);
  await putAll(machine, store, ['new0']);
  // Until memory has let go of the entry.
  await machine.advance(10_000);
  assert.deepEqual(await machine.bodies(store), ['new0']);
  machine.kill();
});

test('lives: a topic without messages, or with a name that leads elsewhere, is deleted without a write', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  const before = machine.fileSystem.operations.length;
  for (const name of ['never there', '../../T', '', '.', 'T/0']) await deleteTopic(machine, store, name);
  assert.deepEqual(machine.fileSystem.operations.slice(before), []);
  assert.deepEqual(await machine.bodies(store), OLD);
  machine.kill();
});

test('lives: deletions that the log has outlived are forgotten; those of a log that was replaced count no more', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  await deleteTopic(machine, store);
  const next = await shutDown(machine, store);
  for (const path of next.fileSystem.paths()) {
    if (path.includes('/commitlog/') || path.endsWith('/checkpoint')) await next.fileSystem.remove(path);
  }
  const again = await next.open();
  await putAll(next, again, NEW);
  const last = next.kill();
  assert.deepEqual(await last.bodies(await last.open()), NEW, 'the new log is shorter than the old one was');
  last.kill();
});

test('lives: a damaged record of deletions is replaced by the copy before it; without one the store does not open', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  await deleteTopic(machine, store);
  await putAll(machine, store, ['x'], 'U');
  await deleteTopic(machine, store, 'U');
  let next = machine.kill();
  const path = '/data/store/deletions.json';
  const errors: string[] = [];
  const logger = { error: (_fields: object, message: string) => void errors.push(message) };
  next.fileSystem.flipOnRead(path, 30, 1);
  const again = await next.open(logger);
  assert.match(errors.join(), /previous copy is used/);
  assert.deepEqual(await next.bodies(again), [], 'the copy knows the first deletion');
  next = next.kill();
  next.fileSystem.flipOnRead(path, 30, 1);
  next.fileSystem.flipOnRead(`${path}.bak`, 30, 1);
  await assert.rejects(next.open(), { code: 'STORE_METADATA_DAMAGED' });
  next = next.kill();
  next.fileSystem.inject({ operation: 'readFile', path, code: 'EIO' });
  await assert.rejects(next.open(), { code: 'STORE_METADATA_DAMAGED' }, 'a copy is no answer to a disk that fails');
  next = next.kill();
  assert.deepEqual(await next.bodies(await next.open()), []);
  next.kill();
});

test('lives: a store that has failed deletes nothing', async () => {
  const machine = new Machine(RARELY);
  const store = await machine.open();
  await putAll(machine, store, OLD);
  machine.fileSystem.inject({ operation: 'sync', path: /commitlog/, code: 'EIO', times: Number.POSITIVE_INFINITY });
  machine.fileSystem.inject({ operation: 'write', path: /commitlog/, code: 'EIO', times: Number.POSITIVE_INFINITY });
  const put = machine.begin(store, 'lost');
  const deletion = store.deleteTopic('T');
  await assert.rejects(machine.until(deletion, 'deletion'), (error: Error) => error === store.failure);
  assert.notEqual((await machine.until(put, 'put')).status, 'PUT_OK');
  await assert.rejects(machine.until(store.deleteTopic('T'), 'deletion'), (error: Error) => error === store.failure);
  const next = machine.kill();
  assert.deepEqual((await next.bodies(await next.open())).slice(0, OLD.length), OLD);
  next.kill();
});

test('lives: after a shutdown no start reads the log again on account of a deleted topic', async () => {
  for (const remade of [false, true]) {
    let machine = new Machine(RARELY);
    let store = await machine.open();
    await machine.fill(store, 5, 1);
    await putAll(machine, store, OLD);
    await deleteTopic(machine, store);
    if (remade) await putAll(machine, store, ['new0']);
    machine = await shutDown(machine, store);
    for (let start = 0; start < 2; start++) {
      const done: Record<string, unknown>[] = [];
      store = await machine.open({
        info: (fields, message) => void (message === 'recovery: done' && done.push(fields as Record<string, unknown>)),
      });
      assert.deepEqual([done[0]!.dispatched, done[0]!.records], [0, 0], `start ${start}, remade ${remade}`);
      machine = start === 0 ? await shutDown(machine, store) : machine.kill();
    }
  }
});

test('lives: the log is on disk up to a deletion before the deletion is on record', async () => {
  const machine = new Machine({ ...RARELY, flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 60_000 });
  const store = await machine.open();
  await putAll(machine, store, OLD);
  await putAll(machine, store, ['y'], 'Other');
  const end = store.maxPhyOffset;
  assert.ok(store.flushedWhere < end, 'nothing but the deletion flushes it');
  const crash = crashAt(machine.fileSystem, 'deletion:before-write');
  store.deleteTopic('T').catch(() => {});
  await machine.scheduler.run(() => crash.isReached, 10_000);
  assert.ok(crash.isReached);
  assert.equal(store.flushedWhere, end);
  const next = machine.powerCut(1, 0);
  const again = await next.open();
  assert.equal(again.maxPhyOffset, end);
  assert.deepEqual(await next.bodies(again), OLD);
  next.kill();
});
