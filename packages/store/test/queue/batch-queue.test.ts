// Topics with batch queues, on a simulated disk: one record may hold several messages, and its entry says which.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from '../../../torture/test/machine.ts';
import type { MessageExtBrokerInner, PutMessageResult } from '../../src/base/types.ts';
import type { MessageStore } from '../../src/message-store.ts';
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { decodeStoredMessage } from '../../src/record/stored-message.ts';
import { memoryContext, request } from './harness.ts';

const TOPIC = 'Batch';
const FOLDER = '/data/store/batchconsumequeue/Batch/0';
const TOPICS_JSON = '/data/store/config/topics.json';
const HOST = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
/** Six entries a file. */
const settings = { mapperFileSizeBatchConsumeQueue: 6 * 46, flushDiskType: 'SYNC_FLUSH' } as const;

/** What a producer sends as a batch: as many messages as there are texts. */
function batchBody(texts: readonly string[]): Buffer {
  const parts = texts.map((text) => {
    const body = Buffer.from(text);
    const part = Buffer.alloc(22 + body.length);
    part.writeInt32BE(part.length, 0);
    part.writeInt32BE(body.length, 16);
    body.copy(part, 20);
    return part;
  });
  return Buffer.concat(parts);
}

function innerBatch(texts: readonly string[], more: Partial<MessageExtBrokerInner> = {}): MessageExtBrokerInner {
  return {
    ...{ topic: TOPIC, queueId: 0, flag: 0, sysFlag: 0xc0, bornTimestamp: 1, bornHost: HOST, storeHost: HOST },
    ...{ reconsumeTimes: 0, preparedTransactionOffset: 0, body: batchBody(texts) },
    propertiesString: `UNIQ_KEY\u0001${texts[0]}\u0002INNER_NUM\u0001${texts.length}\u0002`,
    ...more,
  };
}

const texts = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name}${i}`);

async function declare(machine: Machine, topic = TOPIC): Promise<void> {
  const { fileSystem } = machine;
  await fileSystem.makeDirectory('/data/store/config');
  const file = await fileSystem.open(TOPICS_JSON, 'create');
  const content = JSON.stringify({ topicConfigTable: { [topic]: { attributes: { 'queue.type': 'BatchCQ' } } } });
  await file.write(Buffer.from(content), 0);
  await file.sync();
  await file.close();
  for (const path of ['/data/store/config', '/data/store', '/data', '/']) await fileSystem.syncDirectory(path);
}

async function started(
  more: ConstructorParameters<typeof Machine>[0] = {},
): Promise<{ machine: Machine; store: MessageStore }> {
  const machine = new Machine({ ...settings, ...more });
  await machine.until(declare(machine), 'topics.json');
  return { machine, store: await machine.open() };
}

const put = (machine: Machine, store: MessageStore, message: MessageExtBrokerInner): Promise<PutMessageResult> =>
  machine.until(store.asyncPutMessage(message), 'put');

async function mustPut(machine: Machine, store: MessageStore, message: MessageExtBrokerInner): Promise<number> {
  const { status, reason, queueOffset } = await put(machine, store, message);
  assert.equal(status, 'PUT_OK', reason);
  return queueOffset;
}

interface Seen {
  at: number;
  inner: string | undefined;
  next: number;
  count: number;
}

async function pull(machine: Machine, store: MessageStore, offset: number, most = 1): Promise<Seen> {
  const result = await machine.until(store.getMessage('g', TOPIC, 0, offset, most), 'pull');
  assert.equal(result.status, 'FOUND', `pull of ${offset}`);
  const message = decodeStoredMessage(result.records[0]!)!;
  return {
    at: message.queueOffset,
    inner: message.properties.INNER_BASE,
    next: result.nextBeginOffset,
    count: result.messageCount,
  };
}

/** The files of the queue, entry by entry: [log offset, size, first number, count]. */
async function entriesOf(machine: Machine): Promise<number[][]> {
  const { fileSystem } = machine;
  const entries: number[][] = [];
  for (const name of (await fileSystem.list(FOLDER)).sort()) {
    const bytes = (await fileSystem.readFile(`${FOLDER}/${name}`))!;
    for (let at = 0; at < bytes.length && bytes.readInt32BE(at + 8) !== 0; at += 46) {
      assert.equal(bytes.readInt32BE(at + 38), -1, 'compacted offset');
      assert.equal(bytes.readInt32BE(at + 42), 0, 'reserved');
      assert.ok(bytes.readBigInt64BE(at + 20) > 0n, 'storeTimestamp');
      const long = (position: number): number => Number(bytes.readBigInt64BE(at + position));
      entries.push([long(0), bytes.readInt32BE(at + 8), long(28), bytes.readInt16BE(at + 36)]);
    }
  }
  return entries;
}

test('batch queue: numbers count messages, a pull from the middle gives the record that holds the message', async () => {
  const { machine, store } = await started();
  assert.equal(await mustPut(machine, store, innerBatch(texts('a', 10))), 0);
  assert.equal((await machine.put(store, 'single', { topic: TOPIC })).queueOffset, 10);
  const third = await put(machine, store, innerBatch(texts('c', 3)));
  assert.deepEqual([third.queueOffset, third.messageCount, third.batchOffsets], [11, 3, undefined]);
  assert.equal(store.getMinOffsetInQueue(TOPIC, 0), 0);
  assert.equal(store.getMaxOffsetInQueue(TOPIC, 0), 14);
  for (let offset = 0; offset < 10; offset++) {
    assert.deepEqual(await pull(machine, store, offset), { at: 0, inner: '0', next: 10, count: 10 });
  }
  assert.deepEqual(await pull(machine, store, 10), { at: 10, inner: undefined, next: 11, count: 1 });
  for (const offset of [11, 12, 13]) {
    assert.deepEqual(await pull(machine, store, offset), { at: 11, inner: '11', next: 14, count: 3 });
  }
  // As many messages as were asked for at most, but for the first record.
  assert.deepEqual((await pull(machine, store, 3, 10)).next, 10);
  assert.deepEqual((await pull(machine, store, 3, 11)).next, 11);
  assert.deepEqual((await pull(machine, store, 3, 14)).next, 14);
  const beyond = await machine.until(store.getMessage('g', TOPIC, 0, 14, 1), 'end');
  assert.deepEqual([beyond.status, beyond.nextBeginOffset], ['OFFSET_OVERFLOW_ONE', 14]);
  await machine.until(store.shutdown(), 'shutdown');
});

test('batch queue: its files are RocketMQ’s, 46 bytes an entry, and nothing is written into consumequeue', async () => {
  const { machine, store } = await started();
  const results: PutMessageResult[] = [];
  for (let i = 0; i < 8; i++) results.push(await put(machine, store, innerBatch(texts(`m${i}-`, 300))));
  await machine.until(store.shutdown(), 'shutdown');
  assert.deepEqual(
    await entriesOf(machine),
    results.map(({ wroteOffset, wroteBytes }, i) => [wroteOffset, wroteBytes, i * 300, 300]),
  );
  assert.deepEqual(await machine.fileSystem.list(FOLDER), ['0'.repeat(20), String(6 * 46).padStart(20, '0')]);
  const others = await machine.fileSystem.list('/data/store/consumequeue').catch((): string[] => []);
  assert.ok(!others.includes(TOPIC));
});

test('batch queue: after a clean exit and after kill and power cut every acknowledged message has its number', async () => {
  for (const end of ['clean', 'kill', 'cut'] as const) {
    for (let seed = 1; seed <= 12; seed++) {
      let { machine, store } = await started();
      let next = 0;
      for (let life = 0; life < 3; life++) {
        const counts = [7, 1, 20, 2, 1, 3, 11].slice(0, 2 + ((seed + life) % 6));
        for (const count of counts) {
          assert.equal(await mustPut(machine, store, innerBatch(texts(`l${life}`, count))), next, `${end} ${seed}`);
          next += count;
          if (count === 1) await machine.advance(seed * 20);
        }
        if (end === 'clean') await machine.until(store.shutdown(), 'shutdown');
        machine = end === 'cut' ? machine.powerCut(seed) : end === 'kill' ? machine.kill() : machine;
        store = await machine.open();
        assert.equal(store.getMaxOffsetInQueue(TOPIC, 0), next, `${end} ${seed}`);
        assert.equal(store.getMinOffsetInQueue(TOPIC, 0), 0);
        let offset = 0;
        while (offset < next) {
          const seen = await pull(machine, store, offset);
          assert.deepEqual([seen.at, seen.inner, seen.next], [offset, String(offset), offset + seen.count]);
          offset = seen.next;
        }
      }
      await machine.until(store.shutdown(), 'shutdown');
    }
  }
});

test('batch queue: the directory gone, and a checkpoint gone: the entries are made anew from the log, byte for byte', async () => {
  for (const gone of [FOLDER, '/data/store/checkpoint']) {
    const { machine, store } = await started();
    for (const count of [3, 1, 9]) await mustPut(machine, store, innerBatch(texts('x', count)));
    await machine.put(store, 'plain', { topic: TOPIC });
    await machine.until(store.shutdown(), 'shutdown');
    const before = await entriesOf(machine);
    assert.equal(before.length, 4);
    if (gone === FOLDER) await machine.until(machine.fileSystem.removeDirectory(FOLDER), 'remove');
    else await machine.until(machine.fileSystem.remove(gone), 'remove');
    const again = await machine.open();
    assert.equal(again.getMaxOffsetInQueue(TOPIC, 0), 14);
    assert.equal((await machine.put(again, 'more', { topic: TOPIC })).queueOffset, 14);
    await machine.until(again.shutdown(), 'shutdown');
    assert.deepEqual((await entriesOf(machine)).slice(0, 4), before);
  }
});

test('batch queue: expiry moves the min offset to the first message of the first record that is left', async () => {
  const context = memoryContext({ mapperFileSizeBatchConsumeQueue: 6 * 46 });
  const kinds = { has: () => true, isDeclared: () => true };
  const open = async (durableWhere?: number): Promise<ConsumeQueueStore> => {
    const queues = new ConsumeQueueStore(context, undefined, kinds);
    await queues.load();
    await queues.recover(durableWhere);
    return queues;
  };
  const entry = (i: number) => ({
    consumeQueueOffset: i * 5,
    innerCount: 5,
    commitLogOffset: i * 1_000,
    msgSize: 1_000,
  });
  let queues = await open();
  for (let i = 0; i < 20; i++) assert.ok(queues.dispatch(request({ topic: TOPIC, ...entry(i) })));
  assert.equal(queues.dispatch(request({ topic: TOPIC, ...entry(19) })), undefined, 'the same record again');
  await queues.flush(0);
  const check = (min: number, note: string): void => {
    const queue = queues.find(TOPIC, 0)!;
    assert.deepEqual([queue.minOffsetInQueue, queue.maxOffsetInQueue], [min, 100], note);
  };
  assert.equal(await queues.deleteExpired(7_500), 1);
  check(40, 'in the second file');
  assert.equal(await queues.find(TOPIC, 0)!.entryOf(0), 8);
  assert.equal(await queues.deleteExpired(12_000), 1);
  check(60, 'at the start of the third');
  assert.equal(await queues.deleteExpired(1_000_000), 1, 'never the last file');
  check(100, 'nothing is left, and the number of the next message is kept');
  queues = await open(20_000);
  check(90, 'what the last file has');
  await queues.deleteExpired(1_000_000);
  assert.ok(queues.dispatch(request({ topic: TOPIC, ...entry(20), innerCount: 2 })));
  const queue = queues.find(TOPIC, 0)!;
  assert.deepEqual([queue.minOffsetInQueue, queue.maxOffsetInQueue], [100, 102]);
});

test('batch queue: a time belongs to the first message of a record; behind the last to the last record’s', async () => {
  const { machine, store } = await started();
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    times.push((await put(machine, store, innerBatch(texts('t', 10)))).storeTimestamp);
    await machine.advance(1_000);
  }
  const at = (time: number, boundary: 'LOWER' | 'UPPER' = 'LOWER'): Promise<number> =>
    machine.until(store.getOffsetInQueueByTime(TOPIC, 0, time, boundary), 'time');
  assert.equal(await at(0), 0);
  for (const [i, time] of times.entries()) {
    assert.equal(await at(time), i * 10);
    assert.equal(await at(time, 'UPPER'), i * 10);
    assert.equal(await at(time - 1), i * 10);
    assert.equal(await at(time + 1, 'UPPER'), i * 10);
  }
  assert.equal(await at(times.at(-1)! + 1), 80, 'RocketMQ: the last record, not behind it');
  assert.equal(await at(0, 'UPPER'), 0);
  assert.equal(await machine.until(store.getMessageStoreTimeStamp(TOPIC, 0, 25), 'time'), times[2]);
  assert.equal(await machine.until(store.getEarliestMessageTime(TOPIC, 0), 'time'), times[0]);
  const entries = await machine.until(store.queueEntries(TOPIC, 0, 15, 2), 'entries');
  assert.equal(entries?.length, 2);
  await machine.until(store.shutdown(), 'shutdown');
});

test('batch queue: what is no sound inner batch is refused with its numbers, and takes no number', async () => {
  const { machine, store } = await started();
  const whole = batchBody(['a', 'b', 'c']);
  const damaged = (at: number, value: number): Buffer => {
    const copy = Buffer.from(whole);
    copy.writeInt32BE(value, at);
    return copy;
  };
  const num = (value: string): string => `INNER_NUM\u0001${value}\u0002`;
  const cases: [string, Partial<MessageExtBrokerInner>, RegExp][] = [
    ['says more', { propertiesString: num('4') }, /holds 3 messages, its property INNER_NUM says 4/],
    ['says nothing', { propertiesString: '' }, /INNER_NUM says nothing/],
    ['says no number', { propertiesString: num('3 ') }, /INNER_NUM says 3 /],
    ['last INNER_NUM counts', { propertiesString: num('3') + num('1') }, /says 1/],
    ['no body', { body: Buffer.alloc(0) }, /not made of whole messages/],
    ['cut', { body: whole.subarray(0, -1) }, /not made of whole messages/],
    ['a rest', { body: Buffer.concat([whole, Buffer.of(0)]) }, /not made of whole messages/],
    ['size 0', { body: damaged(0, 0) }, /not made of whole messages/],
    ['negative size', { body: damaged(0, -5) }, /not made of whole messages/],
    ['huge size', { body: damaged(0, 0x7fff_ffff) }, /not made of whole messages/],
    ['negative body', { body: damaged(16, -1) }, /not made of whole messages/],
    ['huge body', { body: damaged(16, 0x7fff_fff0) }, /not made of whole messages/],
    ['compressed', { sysFlag: 0xc1 }, /compressed/],
    ['half', { sysFlag: 0xc4 }, /transaction/],
    ['unwrap alone', { sysFlag: 0x40 }, /inner batch/],
    ['a number without a batch', { sysFlag: 0, propertiesString: num('3') }, /INNER_NUM is an inner batch's alone/],
    ['another topic', { topic: 'Plain' }, /only a topic with batch queues/],
  ];
  for (const [name, more, reason] of cases) {
    const result = await put(machine, store, innerBatch(['a', 'b', 'c'], { body: whole, ...more }));
    assert.equal(result.status, 'MESSAGE_ILLEGAL', name);
    assert.match(result.reason ?? '', reason, name);
  }
  const many = Array.from({ length: 32_768 }, () => '');
  const tooMany = await put(machine, store, innerBatch(many, { propertiesString: num('32768') }));
  assert.match(tooMany.reason ?? '', /holds 32768 messages, 32767 are the most|bytes in the log/);
  const { messages: _, ...head } = { messages: [], ...innerBatch(['a'], { sysFlag: 0 }) };
  const list = await machine.until(
    store.asyncPutMessages({ ...head, messages: [{ flag: 0, body: Buffer.from('x'), propertiesString: num('2') }] }),
    'list',
  );
  assert.match(list.reason ?? '', /INNER_NUM is an inner batch's alone/);
  assert.equal(store.getMaxOffsetInQueue(TOPIC, 0), 0);
  assert.equal(await mustPut(machine, store, innerBatch(['a', 'b', 'c'])), 0);
  await machine.until(store.shutdown(), 'shutdown');
});

test('batch queue: INNER_BASE of the sender is replaced; properties that fill their field leave room for it', async () => {
  const { machine, store } = await started({ mappedFileSizeCommitLog: 256 * 1024 });
  await mustPut(machine, store, innerBatch(texts('a', 4)));
  const base = 'INNER_BASE\u0001999\u0002';
  await mustPut(machine, store, innerBatch(texts('b', 2), { propertiesString: `${base}INNER_NUM\u00012\u0002` }));
  assert.equal((await pull(machine, store, 5)).inner, '4');
  const filled = (bytes: number): string => `INNER_NUM\u00011\u0002P\u0001${'p'.repeat(bytes - 15)}\u0002`;
  const refused = await put(machine, store, innerBatch(['c'], { propertiesString: filled(32_767) }));
  assert.equal(refused.status, 'PROPERTIES_SIZE_EXCEEDED', refused.reason);
  assert.equal(await mustPut(machine, store, innerBatch(['c'], { propertiesString: filled(32_700) })), 6);
  await machine.until(store.shutdown(), 'shutdown');
  const again = await machine.open();
  assert.equal((await pull(machine, again, 6)).inner, '6');
  await machine.until(again.shutdown(), 'shutdown');
});

test('batch queue: a list of messages without an inner batch is records of one message each', async () => {
  const { machine, store } = await started();
  const { body: _, flag: __, propertiesString: ___, ...head } = innerBatch(['a'], { sysFlag: 0 });
  const messages = texts('m', 4).map((text) => ({ flag: 0, body: Buffer.from(text), propertiesString: '' }));
  const result = await machine.until(store.asyncPutMessages({ ...head, messages }), 'list');
  assert.deepEqual([result.status, result.batchOffsets?.length], ['PUT_OK', 4]);
  assert.equal(store.getMaxOffsetInQueue(TOPIC, 0), 4);
  assert.deepEqual(await machine.bodies(store, 0, TOPIC), texts('m', 4));
  await machine.until(store.shutdown(), 'shutdown');
});

test('batch queue: an entry with a wrong number gives the right record, and passes over nothing', async () => {
  const { machine, store } = await started({ mapperFileSizeBatchConsumeQueue: 46 * 100 });
  for (let i = 0; i < 5; i++) await mustPut(machine, store, innerBatch(texts('x', 10)));
  await machine.until(store.shutdown(), 'shutdown');
  const path = `${FOLDER}/${'0'.repeat(20)}`;
  const file = await machine.until(machine.fileSystem.open(path, 'write'), 'open');
  const wrong = Buffer.alloc(8);
  wrong.writeBigInt64BE(33n);
  // The number of the last entry.
  await machine.until(file.write(wrong, 4 * 46 + 28), 'write');
  await machine.until(file.sync(), 'sync');
  await machine.until(file.close(), 'close');
  const again = await machine.open();
  const seen = await machine.until(again.getMessage('g', TOPIC, 0, 20, 30), 'pull');
  const numbers = seen.records.map((record) => decodeStoredMessage(record)!.queueOffset);
  assert.deepEqual(numbers, [20, 30, 40]);
  assert.equal(seen.nextBeginOffset, 50);
  await machine.until(again.shutdown(), 'shutdown');
});

test('batch queue: any wrong byte in the numbers of an entry: readers come to the end, and pass over no message', async () => {
  const counts = [10, 3, 1, 20, 7, 1, 5];
  const { machine, store } = await started({ mapperFileSizeBatchConsumeQueue: 46 * 100 });
  const bases: number[] = [];
  for (const count of counts) bases.push(await mustPut(machine, store, innerBatch(texts('x', count))));
  await machine.until(store.shutdown(), 'shutdown');
  const path = `${FOLDER}/${'0'.repeat(20)}`;
  const sound = Buffer.from((await machine.fileSystem.readFile(path))!);
  const write = async (bytes: Buffer): Promise<void> => {
    const file = await machine.until(machine.fileSystem.open(path, 'write'), 'open');
    await machine.until(file.write(bytes, 0), 'write');
    await machine.until(file.sync(), 'sync');
    await machine.until(file.close(), 'close');
  };
  for (let entry = 0; entry < counts.length; entry++) {
    for (const byte of [28, 32, 33, 34, 35, 36, 37]) {
      for (const bits of [0x01, 0x04, 0x10, 0x80]) {
        const wrong = Buffer.from(sound);
        wrong[entry * 46 + byte]! ^= bits;
        await write(wrong);
        const again = await machine.open();
        const bounds = [again.getMinOffsetInQueue(TOPIC, 0), again.getMaxOffsetInQueue(TOPIC, 0)];
        assert.deepEqual(bounds, [0, 47], `entry ${entry} byte ${byte} ${bits}`);
        for (const most of [1, 4, 100]) {
          const seen = new Set<number>();
          let offset = 0;
          for (let calls = 0; offset < 47; calls++) {
            assert.ok(calls < 60_000, `entry ${entry} byte ${byte} ${bits}: no end`);
            const found = await machine.until(again.getMessage('g', TOPIC, 0, offset, most), 'pull');
            for (const record of found.records) seen.add(decodeStoredMessage(record)!.queueOffset);
            assert.ok(found.nextBeginOffset > offset, `entry ${entry} byte ${byte} ${bits}: stays at ${offset}`);
            offset = found.nextBeginOffset;
          }
          assert.deepEqual(
            [...seen].sort((x, y) => x - y),
            bases,
            `entry ${entry} byte ${byte} ${bits} by ${most}`,
          );
        }
        await machine.until(again.shutdown(), 'shutdown');
      }
    }
  }
});

test('batch queue: a topic is declared while the store runs, and not over consume queues; deleted it begins at 0', async () => {
  const machine = new Machine(settings);
  const store = await machine.open();
  await machine.put(store, 'x', { topic: 'Plain' });
  assert.match(store.batchTopicFault('Plain') ?? '', /has consume queues/);
  assert.throws(() => store.declareBatchTopic('Plain'), { code: 'STORE_QUEUE_TYPE_MISMATCH' });
  assert.equal(store.hasBatchQueues(TOPIC), false);
  store.declareBatchTopic(TOPIC);
  assert.equal(store.hasBatchQueues(TOPIC), true);
  await mustPut(machine, store, innerBatch(texts('a', 3)));
  await machine.until(store.deleteTopic(TOPIC), 'delete');
  assert.equal(store.hasBatchQueues(TOPIC), false);
  assert.deepEqual(await machine.fileSystem.list('/data/store/batchconsumequeue').catch(() => []), []);
  assert.equal((await put(machine, store, innerBatch(['x']))).status, 'MESSAGE_ILLEGAL', 'an ordinary topic again');
  store.declareBatchTopic(TOPIC);
  assert.equal(await mustPut(machine, store, innerBatch(texts('b', 2))), 0);
  assert.equal(store.getMaxOffsetInQueue(TOPIC, 0), 2);
  await machine.until(declare(machine), 'topics.json');
  const cut = machine.powerCut(3);
  const again = await cut.open();
  assert.equal(again.getMaxOffsetInQueue(TOPIC, 0), 2, 'the earlier life does not come back');
  assert.equal((await pull(cut, again, 0)).count, 2);
  await cut.until(again.shutdown(), 'shutdown');
});

test('batch queue: a power cut while files expire takes no number back that was given', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const { machine, store } = await started({ mapperFileSizeBatchConsumeQueue: 2 * 46, fileReservedTime: 1 });
    for (let i = 0; i < 12; i++) await mustPut(machine, store, innerBatch(texts(`${i}`.padEnd(300, 'x'), 5)));
    await machine.fill(store, 30);
    await machine.advance(1_000);
    machine.scheduler.stepWallClock(2 * 3_600_000);
    store.deleteExpiredFiles();
    await machine.advance(20_000);
    assert.equal(store.getMinOffsetInQueue(TOPIC, 0), 60, 'all its records are gone');
    const next = machine.powerCut(seed);
    const again = await next.open();
    assert.equal(again.getMaxOffsetInQueue(TOPIC, 0), 60, `seed ${seed}`);
    assert.equal(await mustPut(next, again, innerBatch(['a', 'b'])), 60);
    await next.until(again.shutdown(), 'shutdown');
  }
});
