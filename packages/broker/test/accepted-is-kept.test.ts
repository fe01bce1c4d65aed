// What an operator was told is done is there after a restart, and a restart works, whatever was asked for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  type ExtFields,
  encodeHeartbeatData,
  parseJavaJson,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  requestCodeName,
  tagSubscription,
} from '@vernier/remoting';
import { MessageStore, silentLogger } from '@vernier/store';
import { type KeySpec, storeKeys } from '@vernier/store/internal';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import fc from 'fast-check';
import { type BrokerConfig, defaultBrokerConfig } from '../src/config.ts';
import { brokerKeys, roleKeys } from '../src/config-keys.ts';
import type { BrokerContext } from '../src/context.ts';
import { createBrokerContext, loadTables } from '../src/create-context.ts';
import { allProcessors } from '../src/processors/index.ts';
import { BrokerHosts } from '../src/registration/hosts.ts';
import { pullFields, sendFields } from './harness.ts';

const ROOT = '/data';
const RUNS = Number(process.env.VERNIER_PROPERTY_RUNS ?? 40);
const SEED = Number(process.env.VERNIER_SEED ?? Math.floor(Math.random() * 2 ** 31));

type Table = 'topics' | 'groups' | 'forbidden' | 'offsets' | 'settings';
/** What a broker shows of each of its tables. */
type Shown = Record<Table, unknown>;

/** A broker behind its socket on a simulated disk. */
class SimulatedBroker {
  readonly fileSystem: SimulatedFileSystem;
  readonly #store: MessageStore;
  readonly #context: BrokerContext;
  readonly #handlers: ReadonlyMap<number, RequestHandler>;
  readonly #connection = {
    ...{ remoteAddress: '127.0.0.1:50000', remoteHost: '127.0.0.1', remotePort: 50_000, closed: false },
    destroy: () => {},
    invokeOneway: () => {},
    reserve: () => undefined,
    unreserve: () => {},
  } as unknown as RemotingConnection;

  private constructor(fileSystem: SimulatedFileSystem, store: MessageStore, context: BrokerContext) {
    this.fileSystem = fileSystem;
    this.#store = store;
    this.#context = context;
    this.#handlers = new Map(allProcessors(context));
  }

  static async start(fileSystem: SimulatedFileSystem): Promise<SimulatedBroker> {
    const clock = new ManualClock();
    const options = {
      ...{ storePathRootDir: ROOT, mappedFileSizeCommitLog: 64 * 1024, mappedFileSizeConsumeQueue: 40 * 20 },
      ...{ maxHashSlotNum: 20, maxIndexNum: 100, maxMessageSize: 4_096, appendBufferSize: 64 * 1024 },
      diskFreeBytesMin: 0,
    };
    const store = await MessageStore.open(options, { fileSystem, clock, logger: silentLogger });
    const hosts = new BrokerHosts({
      ...{ configuredHost: '127.0.0.1', bindAddress: '127.0.0.1', port: 10_911, storePort: 10_911 },
    });
    const config: BrokerConfig = { ...defaultBrokerConfig };
    const context = createBrokerContext({
      ...{ config, store, hosts, fileSystem, clock, logger: silentLogger },
      topicsChanged: () => {},
      announce: () => Promise.resolve(),
    });
    await loadTables(context, fileSystem);
    return new SimulatedBroker(fileSystem, store, context);
  }

  async ask(code: number, fields?: ExtFields, body?: string | Buffer): Promise<RemotingCommand> {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const response = await this.#handlers.get(code)!(createRequest(code, fields, bytes), this.#connection);
    assert.ok(response !== undefined, `${requestCodeName(code)} has no answer`);
    return response;
  }

  async #json(code: number): Promise<Record<string, unknown>> {
    const response = await this.ask(code);
    assert.equal(response.code, ResponseCode.SUCCESS, `${requestCodeName(code)}: ${response.remark}`);
    const parts = response.bodyParts ?? [response.body ?? Buffer.alloc(0)];
    return parseJavaJson(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>;
  }

  async shown(): Promise<Shown> {
    const topics = await this.#json(RequestCode.GET_ALL_TOPIC_CONFIG);
    const groups = await this.#json(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
    const offsets = await this.#json(RequestCode.GET_ALL_CONSUMER_OFFSET);
    return {
      topics: topics.topicConfigTable,
      groups: groups.subscriptionGroupTable,
      forbidden: groups.forbiddenTable,
      offsets: offsets.offsetTable,
      settings: String((await this.ask(RequestCode.GET_BROKER_CONFIG)).body),
    };
  }

  async shutdown(): Promise<void> {
    this.#context.holds.stop();
    this.#context.housekeeping.stop();
    await this.#context.metadata.close();
    await this.#store.shutdown();
  }
}

/** Of the tables that a request saves before it is answered, and of those that are saved later. */
interface Request {
  code: number;
  fields?: ExtFields;
  body?: string | Buffer;
  saves: readonly Table[];
  savesLater: readonly Table[];
}

const request = (
  code: number,
  saves: readonly Table[],
  { savesLater = [], ...rest }: { fields?: ExtFields; body?: string | Buffer; savesLater?: readonly Table[] },
): Request => ({ code, saves, savesLater, ...rest });

// Few names, so that requests meet.
const topicNames = fc.constantFrom(
  'T',
  'U',
  '__proto__',
  'constructor',
  '%RETRY%g',
  '%DLQ%g',
  'x'.repeat(127),
  'TBW102',
);
const groupNames = fc.constantFrom('g', 'h', '__proto__', 'toString', 'y'.repeat(120), 'TOOLS_CONSUMER');
const oddNames = fc.oneof(
  fc.constantFrom('', ' ', 'a b', '../x', 'a/b', '.', '\u0000', 'é', 'z'.repeat(300)),
  fc.string(),
);
const mostly = <T>(common: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 9, arbitrary: common }, { weight: 1, arbitrary: odd });
const topicName = mostly(topicNames, oddNames);
const groupName = mostly(groupNames, oddNames);

const oddNumbers = [-1, 0.5, 1.5, 1e9, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 1e21, -(2 ** 63), 65_535, 65_536, 65_537];
const number = mostly(fc.integer({ min: 0, max: 16 }), fc.constantFrom(...oddNumbers));
const numberText = mostly(
  number.map(String),
  fc.constantFrom('', 'NaN', 'Infinity', '0x10', '1e3', '+5', ' 5', '007', '9223372036854775807', 'null'),
);
const flagText = fc.constantFrom('true', 'false', 'TRUE', 'yes', '');

const attributeText = fc
  .array(
    fc.tuple(
      fc.constantFrom('+', '+', '+', '-', ''),
      fc.constantFrom(
        ...['message.type', 'queue.type', 'cleanup.policy', 'reserve.time', 'lite.topic.expiration'],
        ...['priority.factor', '__proto__', ''],
      ),
      fc.constantFrom(
        ...['FIFO', 'PRIORITY', 'LITE', 'MIXED', 'SimpleCQ', 'BatchCQ', 'DELETE', 'COMPACTION', '-1', '30', '+7'],
        ...['9223372036854775808', '1.5', '', 'x'],
      ),
    ),
    { maxLength: 3 },
  )
  .map((parts) => parts.map(([sign, key, value]) => (sign === '-' ? `-${key}` : `${sign}${key}=${value}`)));

const some = <T extends Record<string, fc.Arbitrary<unknown>>>(model: T) => fc.record(model, { requiredKeys: [] });
const anyJson = fc.jsonValue({ maxDepth: 4 });

const groupMembers = some({
  consumeEnable: mostly<unknown>(fc.boolean(), anyJson),
  consumeFromMinEnable: fc.boolean(),
  consumeBroadcastEnable: fc.boolean(),
  consumeMessageOrderly: fc.boolean(),
  retryQueueNums: number,
  retryMaxTimes: number,
  groupRetryPolicy: fc.oneof(
    fc.record({ type: fc.constantFrom('CUSTOMIZED', 'EXPONENTIAL', 'NONE') }),
    fc.record({
      type: fc.constant('CUSTOMIZED'),
      customizedRetryPolicy: fc.record({ next: fc.array(number, { maxLength: 4 }) }),
    }),
    fc.record({
      type: fc.constant('EXPONENTIAL'),
      exponentialRetryPolicy: some({ initial: number, max: number, multiplier: number }),
    }),
    fc.integer({ min: 1, max: 300 }).map((depth) => nested(depth)),
    anyJson,
  ),
  brokerId: number,
  whichBrokerWhenConsumeSlowly: number,
  notifyConsumerIdsChangedEnable: fc.boolean(),
  groupSysFlag: number,
  consumeTimeoutMinute: number,
  subscriptionDataSet: fc.oneof(
    fc.array(some({ topic: topicName, expressionType: fc.string(), expression: fc.string(), version: number })),
    anyJson,
  ),
  attributes: fc.oneof(
    fc.dictionary(
      fc.constantFrom('+priority.factor', '-priority.factor', '+lite.bind.topic', '+lite.sub.model', 'priority.factor'),
      fc.constantFrom('5', '101', 'Shared', 'T', ''),
      { maxKeys: 2 },
    ),
    anyJson,
  ),
  unknownMember: anyJson,
});

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? { a: value } : [value];
  return value;
}

const keySpecs: readonly (readonly [string, KeySpec])[] = Object.entries<KeySpec>({
  ...storeKeys,
  ...brokerKeys,
  ...roleKeys,
});
const changeable = keySpecs.filter(([, spec]) => spec.changeable);

/** A value that the key might have, or nearly so. */
function valueFor(spec: KeySpec): fc.Arbitrary<string> {
  const { min = 0, max = 0, allowed = [] } = spec;
  const odd = fc.oneof(fc.string(), numberText, flagText);
  switch (spec.kind) {
    case 'boolean':
      return mostly(fc.constantFrom('true', 'false'), odd);
    case 'choice':
      return mostly(fc.constantFrom(...allowed), odd);
    case 'integer':
      return mostly(fc.constantFrom(min, min + 1, max, max - 1, min - 1, max + 1).map(String), odd);
    case 'text':
      return mostly(fc.constantFrom('', '04', '04;16', '04,16', '25', 'a:1', 'localhost', spec.default as string), odd);
  }
}
const assignment = (specs: readonly (readonly [string, KeySpec])[]): fc.Arbitrary<string> =>
  fc.constantFrom(...specs).chain(([key, spec]) => valueFor(spec).map((value) => `${key}=${escaped(value)}`));
const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
const configLine = fc.oneof(
  { weight: 8, arbitrary: assignment(changeable) },
  { weight: 1, arbitrary: assignment(keySpecs) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('unknown=1', '__proto__=1', 'constructor=x', '\ufeffbrokerPermission=4', '='),
  },
);

const requests: fc.Arbitrary<Request> = fc.oneof(
  fc
    .record({
      topic: topicName,
      readQueueNums: numberText,
      writeQueueNums: numberText,
      perm: mostly(fc.constantFrom('2', '4', '6', '7'), numberText),
      topicFilterType: mostly(fc.constantFrom('SINGLE_TAG', 'MULTI_TAG'), fc.string()),
      topicSysFlag: numberText,
      order: flagText,
      attributes: attributeText.map((parts) => parts.join(',')),
    })
    .map((fields) => request(RequestCode.UPDATE_AND_CREATE_TOPIC, ['topics'], { fields })),
  fc
    .array(
      some({
        topicName,
        readQueueNums: number,
        writeQueueNums: number,
        perm: number,
        topicFilterType: fc.constantFrom('SINGLE_TAG', 'MULTI_TAG', 'NONE'),
        topicSysFlag: number,
        order: mostly<unknown>(fc.boolean(), anyJson),
        attributes: mostly<unknown>(
          attributeText.map((parts) => Object.fromEntries(parts.map((part) => part.split('=')))),
          anyJson,
        ),
      }),
      { maxLength: 3 },
    )
    .map((topicConfigList) => {
      const body = JSON.stringify({ topicConfigList });
      return request(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, ['topics'], { body });
    }),
  topicName.map((topic) => request(RequestCode.DELETE_TOPIC_IN_BROKER, ['topics', 'offsets'], { fields: { topic } })),
  fc.tuple(groupName, groupMembers).map(([name, members]) =>
    request(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, ['groups'], {
      body: JSON.stringify({ groupName: name, ...(members as object) }),
    }),
  ),
  fc.array(fc.tuple(groupName, groupMembers), { maxLength: 3 }).map((list) => {
    const groupConfigList = list.map(([name, members]) => ({ groupName: name, ...(members as object) }));
    const body = JSON.stringify({ groupConfigList });
    return request(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, ['groups'], { body });
  }),
  fc.record({ groupName, cleanOffset: flagText }).map((fields) => {
    const saves: Table[] = fields.cleanOffset.toLowerCase() === 'true' ? ['groups', 'offsets'] : ['groups'];
    return request(RequestCode.DELETE_SUBSCRIPTIONGROUP, saves, { fields });
  }),
  fc
    .record({ group: groupName, topic: topicName, readable: flagText })
    .map((fields) => request(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, ['groups', 'forbidden'], { fields })),
  fc
    .record({ srcGroup: groupName, destGroup: groupName, topic: mostly(topicName, fc.constant('')), offline: flagText })
    // One that finds nothing to clone saves nothing.
    .map((fields) => request(RequestCode.CLONE_GROUP_OFFSET, [], { fields, savesLater: ['groups', 'offsets'] })),
  fc.array(configLine, { minLength: 1, maxLength: 4 }).map((lines) =>
    // The topics' announcement, and so their version, depends on the permission; their table does not.
    request(RequestCode.UPDATE_BROKER_CONFIG, ['settings'], { body: lines.join('\n') }),
  ),
  fc
    .record({ consumerGroup: groupName, topic: topicName, queueId: numberText, commitOffset: numberText })
    .map((fields) => request(RequestCode.UPDATE_CONSUMER_OFFSET, [], { fields, savesLater: ['offsets'] })),
  fc
    .record({
      topic: topicName,
      group: groupName,
      timestamp: fc.constantFrom('-1', '0', '5', 'x'),
      isForce: flagText,
      queueId: mostly(fc.constant('-1'), numberText),
      offset: mostly(fc.constant('-1'), numberText),
    })
    .map((fields) => request(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ['offsets'], { fields })),
  fc
    .tuple(groupName, topicName)
    .map(([name, topic]) =>
      request(RequestCode.HEART_BEAT, [], { savesLater: ['groups', 'topics'], body: beatOf(name, topic) }),
    ),
  fc.tuple(topicName, fc.integer({ min: 0, max: 3 })).map(([topic, queueId]) =>
    request(RequestCode.SEND_MESSAGE_V2, [], {
      ...{ fields: sendFields(topic, queueId), body: 'x', savesLater: ['topics', 'groups'] },
    }),
  ),
);

const steps = fc.array(fc.record({ request: requests, next: fc.constantFrom('on', 'on', 'stop', 'cut', 'cut') }), {
  minLength: 1,
  maxLength: 8,
});

function beatOf(groupName: string, topic: string): string {
  const consumer = {
    ...({ groupName, consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', unitMode: false } as const),
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptionDataSet: [tagSubscription(topic, '*', 1)],
  };
  const fingerprint = { heartbeatFingerprint: 0, withoutSub: false };
  return encodeHeartbeatData({
    ...{ clientID: 'c', producerGroups: [groupName], consumers: [consumer], ...fingerprint },
  }).toString();
}

async function joinAll(broker: SimulatedBroker): Promise<void> {
  const { groups } = await broker.shown();
  for (const group of Object.keys(groups as object)) {
    const { code } = await broker.ask(RequestCode.HEART_BEAT, undefined, beatOf(group, 'T'));
    assert.equal(code, ResponseCode.SUCCESS);
  }
}

/** After the last step there is always a restart. */
async function history(list: readonly { request: Request; next: string }[], seed: number, count: () => void) {
  let broker = await SimulatedBroker.start(new SimulatedFileSystem({ now: () => 0 }));
  /** Tables with something in them that is to be saved later: a power cut may take it. */
  const unsaved = new Set<Table>();
  for (const [index, step] of list.entries()) {
    const { code, fields, body, saves, savesLater } = step.request;
    const response = await broker.ask(code, fields, body);
    const accepted = response.code === ResponseCode.SUCCESS;
    // Also one that is refused may have made a topic or a group on its way.
    for (const table of savesLater) unsaved.add(table);
    if (accepted) {
      count();
      for (const table of saves) unsaved.delete(table);
    }
    if (step.next === 'on' && index < list.length - 1) continue;
    const isCut = step.next === 'cut';
    // What groups say is used by their consumers, who make the retry topics.
    if (!isCut) await joinAll(broker);
    const shown = await broker.shown();
    let left = broker.fileSystem;
    if (isCut) {
      left = broker.fileSystem.crash(seed + index);
      broker.fileSystem.halt();
    } else {
      await broker.shutdown();
      unsaved.clear();
    }
    const what = `${requestCodeName(code)}, ${accepted ? 'accepted' : `refused (${response.remark})`}, then ${step.next}`;
    try {
      broker = await SimulatedBroker.start(left);
    } catch (error) {
      throw new Error(`after ${what}: the next start is refused: ${(error as Error).message}`, { cause: error });
    }
    const now = await broker.shown();
    for (const table of ['topics', 'groups', 'forbidden', 'offsets', 'settings'] as const) {
      if (!unsaved.has(table)) assert.deepEqual(now[table], shown[table], `after ${what}: ${table}`);
    }
    unsaved.clear();
    const works = await broker.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
      ...{ topic: 'works', readQueueNums: '1', writeQueueNums: '1', perm: '6', topicFilterType: 'SINGLE_TAG' },
    });
    assert.equal(works.code, ResponseCode.SUCCESS, `after ${what}: ${works.remark}`);
  }
  await broker.shutdown();
}

test('after every accepted request of an operator a restart works and shows the same', async (t) => {
  t.diagnostic(`VERNIER_SEED=${SEED} VERNIER_PROPERTY_RUNS=${RUNS}`);
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), (list, seed) => history(list, seed, () => accepted++)),
    { seed: SEED, numRuns: RUNS },
  );
  t.diagnostic(`${accepted} accepted`);
  assert.ok(accepted > RUNS, 'a property over requests that are all refused says nothing');
});

/** So many power cuts of one moment, each with other remains. */
const CUTS = 20;

/** Each time what another power cut leaves, started again. */
async function afterPowerCuts(broker: SimulatedBroker, check: (left: SimulatedBroker, cut: string) => Promise<void>) {
  for (let seed = 1; seed <= CUTS; seed++) {
    const left = await SimulatedBroker.start(broker.fileSystem.crash(seed));
    await check(left, `power cut ${seed}`);
    await left.shutdown();
  }
}

test('the first table that is saved does not go with the name of its directory', async () => {
  const broker = await SimulatedBroker.start(new SimulatedFileSystem({ now: () => 0 }));
  const fields = { topic: 'T', readQueueNums: '3', writeQueueNums: '3', perm: '6', topicFilterType: 'SINGLE_TAG' };
  assert.equal((await broker.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, fields)).code, ResponseCode.SUCCESS);
  await afterPowerCuts(broker, async (left, cut) => {
    assert.ok(Object.hasOwn((await left.shown()).topics as object, 'T'), cut);
  });
});

test('a topic whose messages are there and whose configuration was never saved is there after a power cut', async () => {
  const broker = await SimulatedBroker.start(new SimulatedFileSystem({ now: () => 0 }));
  const sent = await broker.ask(RequestCode.SEND_MESSAGE_V2, sendFields('T', 2), 'x');
  assert.equal(sent.code, ResponseCode.SUCCESS);
  await afterPowerCuts(broker, async (left, cut) => {
    assert.ok(Object.hasOwn((await left.shown()).topics as object, 'T'), cut);
    const pulled = await left.ask(RequestCode.PULL_MESSAGE, pullFields('T', 0, { queueId: '2' }));
    assert.equal(pulled.code, ResponseCode.SUCCESS, `${cut}: ${pulled.remark}`);
  });
});

test('offsets that were cloned, and what was forbidden, are there after a power cut', async () => {
  const broker = await SimulatedBroker.start(new SimulatedFileSystem({ now: () => 0 }));
  for (let i = 0; i < 3; i++) await broker.ask(RequestCode.SEND_MESSAGE_V2, sendFields('T', 0), 'x');
  assert.equal((await broker.ask(RequestCode.HEART_BEAT, undefined, beatOf('g', 'T'))).code, ResponseCode.SUCCESS);
  const commit = { consumerGroup: 'g', topic: 'T', queueId: '0', commitOffset: '2' };
  assert.equal((await broker.ask(RequestCode.UPDATE_CONSUMER_OFFSET, commit)).code, ResponseCode.SUCCESS);
  const clone = { srcGroup: 'g', destGroup: 'made', offline: 'true' };
  assert.equal((await broker.ask(RequestCode.CLONE_GROUP_OFFSET, clone)).code, ResponseCode.SUCCESS);
  const forbid = { group: 'to-come', topic: 'T', readable: 'false' };
  assert.equal((await broker.ask(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, forbid)).code, ResponseCode.SUCCESS);
  await afterPowerCuts(broker, async (left, cut) => {
    const { offsets, groups, forbidden } = await left.shown();
    assert.deepEqual((offsets as Record<string, unknown>)['T@made'], { 0: 2 }, cut);
    assert.ok(Object.hasOwn(groups as object, 'made'), cut);
    assert.deepEqual(forbidden, { 'to-come': { T: 4 } }, cut);
  });
});

test('no offset of a deleted topic comes back after its deletion was answered', async () => {
  let broker = await SimulatedBroker.start(new SimulatedFileSystem({ now: () => 0 }));
  for (let i = 0; i < 3; i++) await broker.ask(RequestCode.SEND_MESSAGE_V2, sendFields('T', 0), 'x');
  // Its consumer makes the group.
  assert.equal((await broker.ask(RequestCode.HEART_BEAT, undefined, beatOf('g', 'T'))).code, ResponseCode.SUCCESS);
  const commit = { consumerGroup: 'g', topic: 'T', queueId: '0', commitOffset: '2' };
  assert.equal((await broker.ask(RequestCode.UPDATE_CONSUMER_OFFSET, commit)).code, ResponseCode.SUCCESS);
  await broker.shutdown();
  broker = await SimulatedBroker.start(broker.fileSystem);
  assert.ok(Object.hasOwn((await broker.shown()).offsets as object, 'T@g'), 'on disk');
  const deletion = await broker.ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'T' });
  assert.equal(deletion.code, ResponseCode.SUCCESS, deletion.remark);
  await afterPowerCuts(broker, async (left, cut) => {
    assert.ok(!Object.hasOwn((await left.shown()).offsets as object, 'T@g'), cut);
  });
});
