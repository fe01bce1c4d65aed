/**
 * Any message that is acknowledged is read back the same, by its queue, its keys and its offset, now and after a power cut;
 * whatever is refused changes nothing. VERNIER_PROPERTY_CASES messages (500), VERNIER_TEST_SEED.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import fc from 'fast-check';
import type { MessageStoreOptions } from '../src/base/config.ts';
import { StoreError } from '../src/base/errors.ts';
import { silentLogger } from '../src/base/logger.ts';
import type {
  Durability,
  MessageExtBatch,
  MessageExtBrokerInner,
  StoredMessage,
  StoreHost,
} from '../src/base/types.ts';
import { MessageStore } from '../src/message-store.ts';
import type { Message } from '../src/record/message.ts';
import { PROPERTY_CRC32, parseProperties } from '../src/record/properties.ts';
import { hasQueueEntry, TRANSACTION_ROLLBACK_TYPE, transactionType } from '../src/record/sys-flag.ts';

const CASES = Number(process.env.VERNIER_PROPERTY_CASES ?? 500);
const PER_HISTORY = 20;
const seed = Number(process.env.VERNIER_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** A query gives no more. */
const QUERY_MAX = 32;

const options = {
  storePathRootDir: '/store',
  mappedFileSizeCommitLog: 128 * 1024,
  mappedFileSizeConsumeQueue: 20 * 20,
  maxHashSlotNum: 100,
  maxIndexNum: 400,
  maxMessageSize: 8 * 1024,
  diskFreeBytesMin: 0,
};

type Put =
  | { kind: 'put'; message: Message; durability: Durability | undefined }
  | { kind: 'inner'; message: MessageExtBrokerInner; durability: Durability | undefined }
  | { kind: 'batch'; batch: MessageExtBatch; durability: Durability | undefined };

/** What must be read back of one record. */
interface Expected {
  topic: string;
  queueId: number;
  body: Buffer;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: StoreHost;
  storeHost: StoreHost | undefined;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  properties: Map<string, string>;
  offset: number;
  queueOffset: number;
  durable: boolean;
}

const odd = fc.constantFrom(
  '',
  '.',
  '..',
  'a/b',
  'a\\b',
  'a\0b',
  '\ud800',
  'x\udc00y',
  'CON',
  '%RETRY%g',
  '%LMQ%q',
  'é',
  'é',
);
const anyText = (maxLength: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.string({ unit: 'grapheme', maxLength }) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength }) },
    { weight: 1, arbitrary: odd },
    {
      weight: 1,
      arbitrary: fc.constantFrom('a\u0001b', 'a\u0002', '__proto__', 'KEYS', 'TAGS', 'UNIQ_KEY', 'WAIT', 'DELAY'),
    },
  );
const topic = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('T', 'Orders', 'SCHEDULE_TOPIC_XXXX', '标签', '%RETRY%group') },
  { weight: 2, arbitrary: anyText(40) },
  { weight: 1, arbitrary: fc.nat(300).map((length) => 'l'.repeat(length)) },
);
const queueId = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(0, 1) },
  { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536, -1, 0.5, 7) },
);
const body = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.nat(9_000).map((length) => Buffer.alloc(length, 7)) },
  { weight: 1, arbitrary: fc.constant(Buffer.alloc(0)) },
);
const int32 = fc.oneof(
  { weight: 5, arbitrary: fc.integer() },
  { weight: 1, arbitrary: fc.constantFrom(0, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31) },
);
const time = fc.oneof(
  { weight: 5, arbitrary: fc.maxSafeInteger() },
  { weight: 1, arbitrary: fc.constantFrom(0, -1, 1.5) },
);
const durability = fc.constantFrom<(Durability | undefined)[]>('sync', 'group', 'async', undefined);
const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('k1', 'k2', 'Aa', 'BB') },
  { weight: 1, arbitrary: anyText(20) },
);
const host = fc.record({
  address: fc
    .constantFrom(4, 16, 4, 16, 4, 16, 4, 16, 4, 16, 5)
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
  port: int32,
});

const embedded = fc.record(
  {
    topic,
    body: fc.oneof(body, anyText(100)),
    queueId,
    keys: fc.oneof(key, fc.array(key, { maxLength: 3 })),
    tags: anyText(20),
    uniqKey: key,
    properties: fc.dictionary(anyText(20), anyText(50), { maxKeys: 4 }),
    flag: int32,
    bornTimestamp: time,
  },
  { requiredKeys: ['topic', 'body'] },
);
const propertiesString = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(fc.tuple(fc.constantFrom('KEYS', 'TAGS', 'UNIQ_KEY', 'WAIT', 'a', '标', 'a'), anyText(30)), {
        maxLength: 5,
      })
      .map((pairs) => pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')),
  },
  { weight: 1, arbitrary: anyText(100) },
  { weight: 1, arbitrary: fc.nat(34_000).map((length) => `a\u0001${'p'.repeat(length)}\u0002`) },
);
const head = {
  topic,
  queueId,
  // Flags of transactions, compression, hosts; and any others.
  sysFlag: fc.oneof(
    fc.constantFrom(0, 1, 2, 4, 8, 12, 0x10, 0x20, 0x30, 0x100, 0x80, 0x200),
    fc.integer({ max: 0x3ff, min: 0 }),
    int32,
  ),
  bornTimestamp: time,
  bornHost: host,
  storeHost: host,
  reconsumeTimes: int32,
  preparedTransactionOffset: time,
};
const part = fc.record({ flag: int32, body, propertiesString });
const put: fc.Arbitrary<Put> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), message: embedded as fc.Arbitrary<Message>, durability }),
  fc.record({
    kind: fc.constant('inner' as const),
    message: fc.record({ ...head, flag: int32, body, propertiesString }) as fc.Arbitrary<MessageExtBrokerInner>,
    durability,
  }),
  fc.record({
    kind: fc.constant('batch' as const),
    batch: fc.record({ ...head, messages: fc.array(part, { maxLength: 4 }) }) as fc.Arbitrary<MessageExtBatch>,
    durability,
  }),
);

const counts = { messages: 0, acknowledged: 0, refused: 0 };
const isDurable = (given: Durability | undefined): boolean => given === 'sync' || given === 'group';

/** What the caller of putMessage means by its fields. */
function propertiesOf({ keys, tags, uniqKey, properties }: Message): Map<string, string> {
  const all = new Map(Object.entries((properties ?? {}) as Record<string, string>));
  const list = keys === undefined ? [] : typeof keys === 'string' ? [keys] : keys;
  if (list.length > 0) all.set('KEYS', list.join(' '));
  if (tags !== undefined) all.set('TAGS', tags);
  if (uniqKey !== undefined) all.set('UNIQ_KEY', uniqKey);
  return all;
}

function withoutCrc(properties: Map<string, string>): Map<string, string> {
  properties.delete(PROPERTY_CRC32);
  return properties;
}

class History {
  readonly fileSystem = new SimulatedFileSystem();
  readonly clock = new ManualClock();
  readonly expected: Expected[] = [];
  readonly #options: MessageStoreOptions;

  constructor(enabledAppendPropCRC: boolean) {
    this.#options = { ...options, enabledAppendPropCRC };
  }

  async open(fileSystem: SimulatedFileSystem): Promise<MessageStore> {
    return this.done(MessageStore.open(this.#options, { fileSystem, clock: this.clock, logger: silentLogger }));
  }

  /** Lets time and disk calls go on until it is done. */
  async done<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    for (let turn = 0; !isDone && turn < 2_000; turn++) await this.clock.advance(5);
    assert.ok(isDone, 'it ends');
    return work;
  }

  async put(store: MessageStore, given: Put): Promise<void> {
    counts.messages++;
    const before = { end: store.maxPhyOffset, queues: [...store.queuesByTopic()], failure: store.failure };
    let result: Awaited<ReturnType<MessageStore['asyncPutMessage']>> | undefined;
    try {
      const { durability: wanted } = given;
      const putting =
        given.kind === 'put'
          ? store.putMessage(given.message, wanted === undefined ? {} : { durability: wanted })
          : given.kind === 'inner'
            ? store.asyncPutMessage(given.message, wanted)
            : store.asyncPutMessages(given.batch, wanted);
      result = await this.done(putting);
    } catch (error) {
      assert.ok(error instanceof StoreError, String((error as Error).stack));
    }
    if (result?.status === 'PUT_OK') {
      counts.acknowledged++;
      this.#expect(given, result);
      return;
    }
    counts.refused++;
    if (result !== undefined) assert.ok(result.reason, result.status);
    const after = { end: store.maxPhyOffset, queues: [...store.queuesByTopic()], failure: store.failure };
    assert.deepEqual(after, before, 'a refused message changes nothing');
  }

  #expect(given: Put, result: { wroteOffset: number; queueOffset: number; batchOffsets?: number[] }): void {
    const durable = isDurable(given.durability);
    if (given.kind === 'put') {
      const { message } = given;
      this.expected.push({
        topic: message.topic,
        queueId: message.queueId ?? 0,
        body: typeof message.body === 'string' ? Buffer.from(message.body) : Buffer.from(message.body),
        flag: message.flag ?? 0,
        sysFlag: 0,
        bornTimestamp: message.bornTimestamp ?? Number.NaN,
        bornHost: { address: Uint8Array.of(127, 0, 0, 1), port: 0 },
        storeHost: undefined,
        reconsumeTimes: 0,
        preparedTransactionOffset: 0,
        properties: propertiesOf(message),
        offset: result.wroteOffset,
        queueOffset: result.queueOffset,
        durable,
      });
      return;
    }
    const { topic, queueId, sysFlag, bornTimestamp, bornHost, storeHost, reconsumeTimes, preparedTransactionOffset } =
      given.kind === 'inner' ? given.message : given.batch;
    const parts = given.kind === 'inner' ? [given.message] : given.batch.messages;
    for (const [index, { flag, body, propertiesString }] of parts.entries()) {
      const ownBits = (bornHost.address.length === 16 ? 0x10 : 0) | (storeHost.address.length === 16 ? 0x20 : 0);
      const common = { topic, queueId, bornTimestamp, bornHost, storeHost, reconsumeTimes, preparedTransactionOffset };
      this.expected.push({
        ...common,
        flag,
        body: Buffer.from(body),
        sysFlag: (sysFlag & ~0x30) | ownBits,
        properties: withoutCrc(parseProperties(propertiesString)),
        offset: result.batchOffsets?.[index] ?? result.wroteOffset,
        queueOffset: result.queueOffset + (hasQueueEntry(sysFlag) ? index : 0),
        durable,
      });
    }
  }

  /** Every expected message is read back the same, in each of the three ways. */
  async check(store: MessageStore, expected: readonly Expected[], when: string): Promise<void> {
    const queues = new Map<string, Expected[]>();
    for (const each of expected) {
      assertSame(await this.done(store.lookMessageByOffset(each.offset)), each, `${when}: by its offset`);
      if (!hasQueueEntry(each.sysFlag)) continue;
      const name = `${each.queueId}@${each.topic}`;
      queues.set(name, [...(queues.get(name) ?? []), each]);
    }
    for (const messages of queues.values()) {
      const { topic, queueId } = messages[0]!;
      const read = new Map<number, StoredMessage>();
      for await (const message of store.readQueue(topic, queueId)) read.set(message.queueOffset, message);
      for (const each of messages) assertSame(read.get(each.queueOffset), each, `${when}: in its queue`);
    }
    for (const each of expected) {
      if (transactionType(each.sysFlag) === TRANSACTION_ROLLBACK_TYPE) continue;
      const { topic, properties } = each;
      const keys = [properties.get('UNIQ_KEY'), ...(properties.get('KEYS')?.split(' ') ?? [])];
      for (const key of new Set(keys)) {
        if (key === undefined || key === '') continue;
        const { messages } = await this.done(store.queryMessage(topic, key, QUERY_MAX));
        if (messages.length === QUERY_MAX) continue;
        const found = messages.find(({ commitLogOffset }) => commitLogOffset === each.offset);
        assertSame(found, each, `${when}: by its key ${JSON.stringify(key)}`);
      }
    }
  }
}

function assertSame(found: StoredMessage | undefined, expected: Expected, where: string): void {
  assert.ok(found !== undefined, `${where}: ${expected.topic}/${expected.queueId} at ${expected.offset} is not there`);
  const properties = new Map(Object.entries(found.properties));
  // As the caller of the broker's way in sees them; blanks in KEYS are separators.
  const keys = expected.properties.get('KEYS');
  const rest = new Map(expected.properties);
  for (const name of ['KEYS', 'TAGS', 'UNIQ_KEY']) rest.delete(name);
  assert.deepEqual(
    {
      topic: found.topic,
      queueId: found.queueId,
      body: found.body,
      flag: found.flag,
      sysFlag: found.sysFlag,
      bornTimestamp: Number.isNaN(expected.bornTimestamp) ? Number.NaN : found.bornTimestamp,
      bornHost: { address: Buffer.from(found.bornHost.address), port: found.bornHost.port },
      reconsumeTimes: found.reconsumeTimes,
      preparedTransactionOffset: found.preparedTransactionOffset,
      keys: found.keys,
      tags: found.tags,
      uniqKey: found.uniqKey,
      properties,
    },
    {
      topic: expected.topic,
      queueId: expected.queueId,
      body: expected.body,
      flag: expected.flag,
      sysFlag: expected.sysFlag,
      bornTimestamp: expected.bornTimestamp,
      bornHost: { address: Buffer.from(expected.bornHost.address), port: expected.bornHost.port },
      reconsumeTimes: expected.reconsumeTimes,
      preparedTransactionOffset: expected.preparedTransactionOffset,
      keys: keys?.split(' ').filter((each) => each !== '') ?? [],
      tags: expected.properties.get('TAGS'),
      uniqKey: expected.properties.get('UNIQ_KEY'),
      properties: rest,
    },
    where,
  );
  if (expected.storeHost !== undefined) {
    assert.deepEqual(Buffer.from(found.storeHost.address), Buffer.from(expected.storeHost.address), where);
    assert.equal(found.storeHost.port, expected.storeHost.port, where);
  }
}

test(`put and read: what is acknowledged is read back the same, now and after a power cut (seed ${seed})`, async (t) => {
  const history = fc.asyncProperty(
    fc.array(put, { minLength: PER_HISTORY, maxLength: PER_HISTORY }),
    fc.boolean(),
    fc.boolean(),
    fc.nat(),
    async (puts, flushes, enabledAppendPropCRC, crashSeed) => {
      const run = new History(enabledAppendPropCRC);
      const store = await run.open(run.fileSystem);
      for (const each of puts) await run.put(store, each);
      // Readers see what is dispatched, and that follows what is written.
      await run.done(store.flush());
      await run.clock.advance(10);
      await run.check(store, run.expected, 'now');
      const flushed = run.expected.length;
      if (!flushes) {
        // As many again that nobody flushes: of these only what was asked to be on disk is.
        for (const each of puts) await run.put(store, each);
      }
      const promised = run.expected.filter(({ durable }, index) => durable || index < flushed);
      const after = run.fileSystem.crash(crashSeed);
      const again = await run.open(after);
      await run.check(again, promised, 'after a power cut');
      await run.done(again.shutdown());
      run.fileSystem.halt();
    },
  );
  await fc.assert(history, { seed, numRuns: Math.ceil(CASES / PER_HISTORY), endOnFailure: CASES > 500 });
  t.diagnostic(`${counts.messages} messages, ${counts.acknowledged} acknowledged, ${counts.refused} refused`);
  assert.ok(counts.acknowledged > counts.messages / 10, 'enough of them can be stored');
});
