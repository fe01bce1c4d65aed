import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from '../../../torture/test/machine.ts';
import type { PutMessageResult } from '../../src/base/types.ts';
import type { MessageStore } from '../../src/message-store.ts';
import { lmqPlacesOf, placesFrom } from '../../src/record/multi-dispatch.ts';

const A = '%LMQ%a';
const B = '%LMQ%b';
const LMQ = { enableLmq: true, enableMultiDispatch: true };

const inQueues = (...names: string[]): string => `INNER_MULTI_DISPATCH\u0001${names.join(',')}\u0002`;

const put = (machine: Machine, store: MessageStore, text: string, names: readonly string[], topic = 'T') =>
  machine.put(store, text, { topic, properties: inQueues(...names) });

async function stored(machine: Machine, store: MessageStore, text: string, names: readonly string[], topic = 'T') {
  const { status, reason } = await put(machine, store, text, names, topic);
  assert.equal(status, 'PUT_OK', reason);
}

const bodies = (machine: Machine, store: MessageStore, name: string) => machine.bodies(store, 0, name);

/** INNER_MULTI_QUEUE_OFFSET of the records of a queue. */
async function numbers(machine: Machine, store: MessageStore, topic: string): Promise<(string | undefined)[]> {
  const list: (string | undefined)[] = [];
  const read = async (): Promise<void> => {
    for await (const { properties } of store.readQueue(topic)) list.push(properties.INNER_MULTI_QUEUE_OFFSET);
  };
  await machine.until(read(), 'reading');
  return list;
}

test('light queues: a message is in its own queue and in each that it names, with one counter a queue whatever its topic', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  await stored(machine, store, 'ab', [A, B]);
  await stored(machine, store, 'b', [B], 'Other');
  await stored(machine, store, 'none', []);
  await stored(machine, store, 'ba', [B, A], 'Other');
  await machine.until(store.flush(), 'flush');
  assert.deepEqual(await bodies(machine, store, A), ['ab', 'ba']);
  assert.deepEqual(await bodies(machine, store, B), ['ab', 'b', 'ba']);
  assert.deepEqual(await bodies(machine, store, 'T'), ['ab', 'none']);
  assert.deepEqual(await numbers(machine, store, 'T'), ['0,0', undefined]);
  assert.deepEqual(await numbers(machine, store, 'Other'), ['1', '2,1']);
  machine.kill();
});

test('light queues: who waits for one is told of its messages', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  const arrived: [string, number, number][] = [];
  store.on('arrived', ({ topic, queueId, maxOffset }) => arrived.push([topic, queueId, maxOffset]));
  await stored(machine, store, 'x', [A]);
  await stored(machine, store, 'y', [A, B]);
  await machine.advance(20);
  assert.deepEqual(arrived, [
    ['T', 0, 1],
    [A, 0, 1],
    ['T', 0, 2],
    [A, 0, 2],
    [B, 0, 1],
  ]);
  machine.kill();
});

test('light queues: unless both settings are on the property says nothing, and a number that a producer invents is none', async () => {
  for (const settings of [{}, { enableLmq: true }, { enableMultiDispatch: true }]) {
    const machine = new Machine(settings);
    const store = await machine.open();
    await stored(machine, store, 'x', [A]);
    assert.deepEqual([...store.queuesByTopic().keys()], ['T']);
    assert.deepEqual(await numbers(machine, store, 'T'), [undefined]);
    machine.kill();
  }
  const machine = new Machine(LMQ);
  const store = await machine.open();
  const properties = `${inQueues(A)}INNER_MULTI_QUEUE_OFFSET\u000177\u0002`;
  await machine.put(store, 'x', { properties });
  await machine.put(store, 'lonely', { properties: 'INNER_MULTI_QUEUE_OFFSET\u000177\u0002' });
  assert.deepEqual(await numbers(machine, store, 'T'), ['0', undefined]);
  machine.kill();
});

test('light queues: copies and halves take no number and no entry (retries, dead letters, what waits, transactions)', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  await stored(machine, store, 'x', [A]);
  const copy = `${inQueues(A)}INNER_MULTI_QUEUE_OFFSET\u00010\u0002`;
  const topics = ['%RETRY%g', '%DLQ%g', 'rmq_sys_wheel_timer', 'SCHEDULE_TOPIC_XXXX', 'RMQ_SYS_TRANS_HALF_TOPIC'];
  for (const topic of topics) {
    const { status } = await machine.put(store, topic, { topic, properties: copy });
    assert.equal(status, 'PUT_OK', topic);
    assert.deepEqual(await numbers(machine, store, topic), [undefined], topic);
  }
  await stored(machine, store, 'y', [A]);
  assert.deepEqual(await bodies(machine, store, A), ['x', 'y']);
  assert.deepEqual(await numbers(machine, store, 'T'), ['0', '1']);
  const next = machine.kill();
  const again = await next.open();
  assert.deepEqual(await bodies(next, again, A), ['x', 'y'], 'nor after a start that makes the queues anew');
  next.kill();
});

test('light queues: a batch is in none', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  const host = { address: Uint8Array.of(127, 0, 0, 1), port: 1 };
  const faked = `${inQueues(A)}INNER_MULTI_QUEUE_OFFSET\u00010\u0002`;
  const batch = {
    ...{ topic: 'T', queueId: 0, sysFlag: 0, bornTimestamp: 1, bornHost: host, storeHost: host, reconsumeTimes: 0 },
    preparedTransactionOffset: 0,
    messages: [{ flag: 0, body: Buffer.from('x'), propertiesString: faked }],
  };
  const { status } = await machine.until(store.asyncPutMessages(batch), 'batch');
  assert.equal(status, 'PUT_OK');
  const next = machine.kill();
  const again = await next.open();
  assert.deepEqual([...again.queuesByTopic().keys()], ['T']);
  assert.deepEqual(await numbers(next, again, 'T'), [undefined]);
  next.kill();
});

test('light queues: a name that cannot be one is refused before anything changes, with what is wrong', async () => {
  const machine = new Machine({ ...LMQ, mappedFileSizeCommitLog: 1024 * 1024 });
  const store = await machine.open();
  const refusals: [string[], RegExp][] = [
    [['a'], /"a" does not begin with %LMQ% and a name/],
    [['%LMQ%'], /does not begin with/],
    [[A, '', B], /"" does not begin with/],
    [[` ${A}`], /does not begin with/],
    [[A, A], /"%LMQ%a" stands there twice/],
    [['%LMQ%../../x'], /cannot be the name of a directory/],
    [['%LMQ%x\u0000'], /zero byte/],
    [[`%LMQ%${'x'.repeat(300)}`], /allowed are 1 to 127/],
    [['%LMQ%\ud800'], /surrogate/],
  ];
  for (const [names, reason] of refusals) {
    const result: PutMessageResult = await put(machine, store, 'x', names);
    assert.equal(result.status, 'MESSAGE_ILLEGAL', names.join());
    assert.match(result.reason ?? '', reason);
  }
  const own = await put(machine, store, 'x', [A], A);
  assert.match(own.reason ?? '', /stands there twice/);
  const many = Array.from({ length: 2_000 }, (_, i) => `%LMQ%${i}`);
  const wide = await put(machine, store, 'x', many);
  assert.equal(wide.status, 'PROPERTIES_SIZE_EXCEEDED', 'with the numbers they do not fit');
  assert.deepEqual([...store.queuesByTopic().keys()], []);
  await stored(machine, store, 'y', [A, B, '']);
  assert.deepEqual(await numbers(machine, store, 'T'), ['0,0'], 'no number was taken');
  machine.kill();
});

test('light queues: there are maxLmqConsumeQueueNum of them, over a restart too; known ones go on', async () => {
  let machine = new Machine({ ...LMQ, maxLmqConsumeQueueNum: 2 });
  let store = await machine.open();
  await stored(machine, store, 'x', [A, B]);
  for (let life = 0; life < 2; life++) {
    const full = await put(machine, store, 'y', ['%LMQ%c']);
    assert.equal(full.status, 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED');
    assert.match(full.reason ?? '', /there are 2 and maxLmqConsumeQueueNum is 2/);
    assert.equal((await put(machine, store, 'y', [], '%LMQ%c')).status, 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED', 'as a topic');
    await stored(machine, store, 'more', [A]);
    machine = machine.kill();
    store = await machine.open();
  }
  await machine.until(store.deleteTopic(B), 'deletion');
  await stored(machine, store, 'z', ['%LMQ%c']);
  machine.kill();
});

for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
  test(`light queues: counters and entries are right at once after any end (${flushDiskType})`, async () => {
    const ends: ((machine: Machine, store: MessageStore) => Promise<Machine>)[] = [
      async (machine) => machine.kill(),
      async (machine) => machine.powerCut(1, 0),
      async (machine) => machine.powerCut(2, 0.5),
      async (machine, store) => {
        await machine.until(store.shutdown(), 'shutdown');
        return machine.kill();
      },
    ];
    for (const [at, end] of ends.entries()) {
      const machine = new Machine({ ...LMQ, flushDiskType, flushConsumeQueueThoroughInterval: 3_600_000 });
      const store = await machine.open();
      for (let i = 0; i < 30; i++) await stored(machine, store, `m${i}`, i % 3 === 0 ? [A, B] : [A]);
      await machine.until(store.flush(), 'flush');
      const next = await end(machine, store);
      const again = await next.open();
      assert.equal(again.getMaxOffsetInQueue(A, 0), 30, `end ${at}`);
      assert.equal(again.getMaxOffsetInQueue(B, 0), 10, `end ${at}`);
      await stored(next, again, 'more', [B, A]);
      assert.equal((await numbers(next, again, 'T')).at(-1), '10,30', `end ${at}`);
      assert.equal((await bodies(next, again, A)).length, 31);
      next.kill();
    }
  });
}

test('light queues: made anew from the log when their files are gone', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  for (let i = 0; i < 20; i++) await stored(machine, store, `m${i}`, i % 2 === 0 ? [A, B] : [B]);
  await machine.until(store.shutdown(), 'shutdown');
  const next = machine.kill();
  for (const path of next.fileSystem.paths()) {
    if (path.includes('/consumequeue/')) await next.until(next.fileSystem.remove(path), 'removal');
  }
  const again = await next.open();
  assert.equal(again.getMaxOffsetInQueue(A, 0), 10);
  assert.deepEqual(
    await bodies(next, again, B),
    Array.from({ length: 20 }, (_, i) => `m${i}`),
  );
  next.kill();
});

test('light queues: one is deleted while messages come to it: numbers begin at 0 again, over a kill too', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  await stored(machine, store, 'old0', [A, B]);
  await stored(machine, store, 'old1', [A]);
  const deletion = store.deleteTopic(A);
  // The record is put while the deletion is under way; only those that name the queue wait for it.
  const waiting = machine.begin(store, 'new0', { properties: inQueues(B, A) });
  const other = machine.begin(store, 'other', { properties: inQueues(B) });
  await machine.until(deletion, 'deletion');
  assert.equal((await machine.until(waiting, 'put')).status, 'PUT_OK');
  assert.equal((await machine.until(other, 'put')).status, 'PUT_OK');
  await stored(machine, store, 'new1', [A]);
  const expected = { [A]: ['new0', 'new1'], [B]: ['old0', 'other', 'new0'] };
  for (const [name, texts] of Object.entries(expected)) assert.deepEqual(await bodies(machine, store, name), texts);
  assert.deepEqual((await numbers(machine, store, 'T')).at(-1), '1');
  const next = machine.kill();
  const again = await next.open();
  for (const [name, texts] of Object.entries(expected)) assert.deepEqual(await bodies(next, again, name), texts);
  next.kill();
});

test('light queues: the topic that the messages were sent to is deleted, their light queues stay', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  await stored(machine, store, 'x', [A]);
  await machine.until(store.deleteTopic('T'), 'deletion');
  assert.deepEqual(await bodies(machine, store, A), ['x']);
  const next = machine.kill();
  const again = await next.open();
  assert.deepEqual(await bodies(next, again, A), ['x']);
  assert.deepEqual(await bodies(next, again, 'T'), []);
  next.kill();
});

test('light queues: histories with kills, power cuts and deletions lose no message and give no number twice', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    let state = seed * 2_654_435_761;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    let machine = new Machine({ ...LMQ, flushDiskType: 'SYNC_FLUSH' });
    let store = await machine.open();
    const names = [A, B, '%LMQ%$p$c'];
    const expected = new Map<string, string[]>(names.map((name) => [name, []]));
    for (let step = 0; step < 60; step++) {
      const act = draw(20);
      if (act < 16) {
        const chosen = names.filter(() => draw(2) === 0);
        const text = `s${seed}-${step}`.padEnd(draw(600) + 10, '.');
        await stored(machine, store, text, chosen, draw(2) === 0 ? 'T' : 'Other');
        for (const name of chosen) expected.get(name)!.push(text);
      } else if (act < 17) {
        const name = names[draw(3)]!;
        await machine.until(store.deleteTopic(name), 'deletion');
        expected.set(name, []);
      } else {
        machine = act < 18 ? machine.kill() : machine.powerCut(draw(1_000), draw(3) / 2);
        store = await machine.open();
      }
    }
    for (const [name, texts] of expected) {
      assert.deepEqual(await bodies(machine, store, name), texts, `seed ${seed}: ${name}`);
      assert.equal(store.getMaxOffsetInQueue(name, 0), texts.length, `seed ${seed}: ${name}`);
    }
    machine.kill();
  }
});

test('light queues: what a record says is read with care', () => {
  assert.deepEqual(placesFrom(`${A},${B}`, '1,2'), [
    { name: A, queueOffset: 1 },
    { name: B, queueOffset: 2 },
  ]);
  assert.equal(placesFrom(`${A},${B}`, '1'), undefined, 'as many numbers as names, or none');
  assert.equal(placesFrom('', ''), undefined);
  assert.deepEqual(placesFrom(`${A},other,${B}`, '1,2,x'), [{ name: A, queueOffset: 1 }]);
  for (const number of ['-1', '1.5', '99999999999999999999', '9007199254740993', ' 1', '0x1']) {
    assert.equal(placesFrom(A, number), undefined, number);
  }
  assert.equal(placesFrom('%LMQ%/etc', '1'), undefined);
  const properties = `${inQueues(A)}INNER_MULTI_QUEUE_OFFSET\u00015\u0002`;
  assert.deepEqual(lmqPlacesOf('T', properties), [{ name: A, queueOffset: 5 }]);
  assert.equal(lmqPlacesOf('%RETRY%g', properties), undefined);
  assert.deepEqual(lmqPlacesOf('T', `X\u0001INNER_MULTI_QUEUE_OFFSET\u0002${properties}`), [
    { name: A, queueOffset: 5 },
  ]);
});

test('light queues: an entry that leads to a record of another queue gives nothing', async () => {
  const machine = new Machine(LMQ);
  const store = await machine.open();
  for (const text of ['a0', 'a1', 'a2']) await stored(machine, store, text, [A]);
  await stored(machine, store, 'b0', [B]);
  await machine.until(store.shutdown(), 'shutdown');
  const next = machine.kill();
  const file = (name: string): string => `/data/store/consumequeue/${name}/0/${'0'.repeat(20)}`;
  // The entry of b0 in A's third place: what is there stands behind all in front of it.
  const wrong = await next.until(next.fileSystem.open(file(A), 'write'), 'open');
  await next.until(wrong.write(next.fileSystem.volatileContent(file(B)).subarray(0, 20), 40), 'write');
  await next.until(wrong.close(), 'close');
  const again = await next.open();
  assert.deepEqual(await bodies(next, again, A), ['a0', 'a1']);
  next.kill();
});

test('light queues: neither messages that waited for a deletion nor a batch make more of them than there may be', async () => {
  const machine = new Machine({ ...LMQ, maxLmqConsumeQueueNum: 2 });
  const store = await machine.open();
  await stored(machine, store, 'x', []);
  const deletion = store.deleteTopic('T');
  const waiting = ['a', 'b', 'c', 'd'].map((name) =>
    machine.begin(store, name, { properties: inQueues(`%LMQ%${name}`) }),
  );
  await machine.until(deletion, 'deletion');
  const results = await machine.until(Promise.all(waiting), 'puts');
  const full = 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED';
  assert.deepEqual(
    results.map(({ status }) => status),
    ['PUT_OK', 'PUT_OK', full, full],
  );
  const host = { address: Uint8Array.of(127, 0, 0, 1), port: 1 };
  const batch = {
    ...{ topic: '%LMQ%e', queueId: 0, sysFlag: 0, bornTimestamp: 1, bornHost: host, storeHost: host },
    ...{ reconsumeTimes: 0, preparedTransactionOffset: 0 },
    messages: [{ flag: 0, body: Buffer.from('x'), propertiesString: '' }],
  };
  const { status, reason, wroteOffset } = await machine.until(store.asyncPutMessages(batch), 'batch');
  assert.deepEqual([status, wroteOffset], [full, -1]);
  assert.match(reason ?? '', /maxLmqConsumeQueueNum is 2/);
  await machine.advance(100);
  assert.deepEqual([...store.queuesByTopic().keys()].sort(), [A, B, 'T']);
  assert.deepEqual(await bodies(machine, store, 'T'), ['a', 'b'], 'what is refused is not there');
  machine.kill();
});
