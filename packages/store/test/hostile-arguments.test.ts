// Every public method of MessageStore, given everything that is no argument: an error with a code, and a store that works on.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { StoreError } from '../src/base/errors.ts';
import { MessageStore } from '../src/message-store.ts';

const boom = (): never => {
  throw new TypeError('a getter of the caller');
};
const throwing = new Proxy(
  {},
  { get: boom, has: boom, ownKeys: boom, getPrototypeOf: boom, getOwnPropertyDescriptor: boom },
);

/** By name, so that a failure says which it was. */
const hostile: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  'a number': 5,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  'minus one': -1,
  'a fraction': 1.5,
  'beyond integers': 2 ** 60,
  'a text': 'text',
  'no text': '',
  'half a pair': '\ud800',
  'a path': '../../../etc',
  'a zero byte': 'a\0b',
  'a bigint': 5n,
  'a symbol': Symbol('s'),
  true: true,
  'an array': [1],
  'an object': {},
  'without a prototype': Object.create(null),
  'a function': () => {},
  'a date': new Date(Number.NaN),
  'a map': new Map([['topic', 'T']]),
  'a value that throws': { valueOf: boom, toString: boom, [Symbol.toPrimitive]: boom },
  'a getter that throws': Object.defineProperty({}, 'topic', { get: boom, enumerable: true }),
  'a proxy that throws': throwing,
  'a proxy of bytes': new Proxy(new Uint8Array(3), {}),
  'a proxy of a list that throws': new Proxy([1, 2], { get: boom }),
  'a promise': Promise.resolve(1),
};

const host = { address: Uint8Array.of(127, 0, 0, 1), port: 1 };
const inner = {
  topic: 'Hostile',
  queueId: 0,
  flag: 0,
  sysFlag: 0,
  bornTimestamp: 1,
  bornHost: host,
  storeHost: host,
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  body: Buffer.from('x'),
  propertiesString: '',
};
const { body, propertiesString, flag, ...head } = inner;
const batch = { ...head, messages: [{ body, propertiesString, flag }] };

/** Good arguments of each method; each of them is replaced by each hostile value, and each member of an object too. */
const methods: Record<string, readonly unknown[]> = {
  putMessage: [
    {
      topic: 'Hostile',
      body: 'x',
      queueId: 0,
      keys: ['k'],
      tags: 't',
      uniqKey: 'u',
      properties: { a: 'b' },
      flag: 1,
      bornTimestamp: 1,
    },
    { durability: 'async' },
  ],
  asyncPutMessage: [{ ...inner, propertyBytes: undefined }, 'async'],
  asyncPutMessages: [batch, 'async'],
  getMessage: ['g', 'T', 0, 0, 1, { maxBytes: 1, filter: undefined, allocate: undefined, room: undefined }],
  readQueue: ['T', 0, { from: 0, follow: false, signal: undefined }],
  getMaxOffsetInQueue: ['T', 0],
  getMinOffsetInQueue: ['T', 0],
  getOffsetInQueueByTime: ['T', 0, 1, 'LOWER'],
  getMessageStoreTimeStamp: ['T', 0, 0],
  getEarliestMessageTime: ['T', 0],
  selectOneMessageByOffset: [0],
  lookMessageByOffset: [0],
  queryMessage: ['T', 'k', 1, 0, 1, 'key'],
  queueEntries: ['T', 0, 0, 1],
  cleanQueues: [],
  deleteExpiredFiles: [],
  queuesByTopic: [],
  hasBatchQueues: ['T'],
  batchTopicFault: ['T'],
  declareBatchTopic: ['Other'],
  messageFault: [{ ...inner, propertyBytes: undefined }],
  deletedBelow: ['T'],
  deleteTopic: ['Nothing'],
  deleteTopicEndingAt: ['Nothing', 5],
  whenFlushed: [0],
  flush: [],
  changeConfig: [{ maxTransferCountOnMessageInMemory: 32 }],
  checkPlace: ['/tmp'],
  inFlight: [],
  runtimeInfo: [],
};
/** Take no argument, or end the store. */
const others = ['shutdown', 'constructor', 'failWith'];

const CODES = /^STORE_[A-Z_]+$/;

/** Calls it and waits for what it gives; an error must have a code, whatever was given. */
async function call(store: MessageStore, method: string, args: readonly unknown[], what: string): Promise<void> {
  try {
    let result = (store as unknown as Record<string, (...given: readonly unknown[]) => unknown>)[method]!(...args);
    if (method === 'readQueue') result = (result as AsyncGenerator).next();
    await result;
  } catch (error) {
    assert.ok(error instanceof StoreError, `${method} with ${what}: ${(error as Error).stack}`);
    assert.match(error.code, CODES);
    assert.ok(error.code !== 'STORE_INTERNAL_ERROR', `${method} with ${what}: ${error.message}`);
  }
}

async function open(t: TestContext): Promise<MessageStore> {
  const store = await MessageStore.open({
    storePathRootDir: join(await temporaryFolder(t, 'hostile'), 'store'),
    flushDiskType: 'ASYNC_FLUSH',
    mappedFileSizeCommitLog: 4 * 1024 * 1024,
    mappedFileSizeConsumeQueue: 2_000,
    maxHashSlotNum: 100,
    maxIndexNum: 4_000,
    diskFreeBytesMin: 0,
  });
  cleanUp(t, () => store.shutdown());
  return store;
}

const withMember = (given: object, name: string, value: unknown): object => ({ ...given, [name]: value });

/** A member that gives the good value when it is first read, and another one later. */
function withTwoFaces(given: object, name: string, value: unknown): object {
  let reads = 0;
  return Object.defineProperty({ ...given }, name, {
    get: () => (reads++ === 0 ? (given as Record<string, unknown>)[name] : value),
    enumerable: true,
  });
}

test('hostile arguments: the table names every public method', () => {
  const prototype = Object.getOwnPropertyDescriptors(MessageStore.prototype);
  const functions = Object.keys(prototype).filter((name) => typeof prototype[name]!.value === 'function');
  assert.deepEqual(functions.sort(), [...Object.keys(methods), ...others].sort());
});

for (const [method, good] of Object.entries(methods)) {
  test(`hostile arguments: ${method}: never an error without a code, and the store works on`, async (t) => {
    const store = await open(t);
    assert.equal((await store.putMessage({ topic: 'T', body: 'before', keys: 'k' })).status, 'PUT_OK');
    await call(store, method, good, 'good arguments');
    await call(store, method, [], 'nothing');
    for (const [index, argument] of good.entries()) {
      for (const [name, value] of Object.entries(hostile)) {
        await call(store, method, good.with(index, value), `${name} as argument ${index}`);
        if (typeof argument !== 'object' || argument === null) continue;
        for (const member of Object.keys(argument)) {
          await call(store, method, good.with(index, withMember(argument, member, value)), `${name} as ${member}`);
          const twoFaced = withTwoFaces(argument, member, value);
          await call(store, method, good.with(index, twoFaced), `${name} as ${member}, the second time it is read`);
        }
        await call(
          store,
          method,
          good.with(index, withMember(argument, 'unknown', value)),
          `${name} as unknown member`,
        );
      }
    }
    assert.equal(store.failure, undefined);
    assert.equal((await store.putMessage({ topic: 'T', body: 'after', keys: 'k' })).status, 'PUT_OK');
    await store.flush();
    const bodies: string[] = [];
    for await (const message of store.readQueue('T')) bodies.push(message.body.toString());
    assert.deepEqual(bodies, ['before', 'after']);
    assert.equal((await store.queryMessage('T', 'k', 32)).records.length, 2);
    // Whatever was taken of the hostile ones is whole.
    for (const [topic, queueIds] of store.queuesByTopic()) {
      for (const queueId of queueIds) {
        let count = 0;
        for await (const _ of store.readQueue(topic, queueId)) count++;
        assert.equal(count, store.getMaxOffsetInQueue(topic, queueId), topic);
      }
    }
  });
}

test('hostile arguments: bytes with a length of their own do not damage the log', async (t) => {
  const store = await open(t);
  class Long extends Uint8Array {
    override get length(): number {
      return 1_000;
    }
  }
  const bytes = Object.defineProperty(Buffer.from('own'), 'length', { get: () => 1_000 });
  for (const body of [new Long(3), bytes, new Proxy(new Uint8Array(3), {})]) {
    await call(store, 'putMessage', [{ topic: 'T', body }, { durability: 'async' }], 'a body');
    await call(store, 'asyncPutMessage', [{ ...inner, topic: 'T', body }, 'async'], 'a body');
    const messages = [{ body, flag: 0, propertiesString: '' }];
    await call(store, 'asyncPutMessages', [{ ...batch, topic: 'T', messages }, 'async'], 'a body');
    const address = body as Uint8Array;
    await call(store, 'asyncPutMessage', [{ ...inner, topic: 'T', bornHost: { address, port: 1 } }, 'async'], 'a host');
  }
  assert.equal((await store.putMessage({ topic: 'T', body: 'after' })).status, 'PUT_OK');
  const read: string[] = [];
  for await (const message of store.readQueue('T')) read.push(message.body.toString());
  assert.equal(read.length, store.getMaxOffsetInQueue('T', 0));
  assert.equal(read.at(-1), 'after');
  assert.ok(read.every((text) => text.length <= 5));
});

test('hostile arguments: open: an error with a code, and nothing is made', async (t) => {
  const storePathRootDir = join(await temporaryFolder(t, 'hostile'), 'store');
  const good = { storePathRootDir };
  const opened = async (options: unknown, more: unknown, what: string): Promise<void> => {
    try {
      const store = await MessageStore.open(options as never, more as never);
      await store.shutdown();
    } catch (error) {
      assert.ok(error instanceof StoreError, `${what}: ${(error as Error).stack}`);
      assert.match(error.code, CODES);
    }
  };
  const small = { mappedFileSizeCommitLog: 65_536, maxHashSlotNum: 100, maxIndexNum: 400, diskFreeBytesMin: 0 };
  for (const [name, value] of Object.entries(hostile)) {
    // A text is a place for a store, and this is no place for one.
    if (typeof value !== 'string') {
      await opened(value, {}, name);
      await opened({ storePathRootDir: value }, {}, `${name} as storePathRootDir`);
    }
    await opened({ ...good, ...small, flushDiskType: value }, {}, `${name} as flushDiskType`);
    if (value === undefined) continue;
    await opened({ ...good, ...small }, value, `${name} as the second argument`);
    for (const member of ['logger', 'clock', 'fileSystem', 'onRecoveryProgress']) {
      await opened({ ...good, ...small }, { [member]: value }, `${name} as ${member}`);
    }
  }
});

test('what is no object of settings, no path and no clock is an argument error that names the function', async (t) => {
  const store = await open(t);
  const isArgumentError = (error: unknown): boolean =>
    error instanceof StoreError && error.code === 'STORE_ARGUMENT_INVALID';
  for (const settings of [undefined, null, -1, 'x', [], () => 1]) {
    assert.throws(() => store.changeConfig(settings as never), isArgumentError);
  }
  for (const cause of [undefined, null, 'x', new Error('x')]) {
    assert.throws(() => store.failWith(cause as never), isArgumentError);
  }
  for (const path of [undefined, null, 1, {}]) await assert.rejects(store.checkPlace(path as never), isArgumentError);
  const options = { storePathRootDir: join(await temporaryFolder(t, 'hostile'), 'store') };
  for (const clock of [{}, null, 1, 'now', { now: () => 1 }]) {
    await assert.rejects(MessageStore.open(options, { clock: clock as never }), isArgumentError);
  }
});
