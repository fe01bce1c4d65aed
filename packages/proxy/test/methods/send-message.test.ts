import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, Encoding, type Message, MessageType, type SystemProperties } from '../../src/wire/messages.ts';
import { timeOf } from '../../src/wire/times.ts';
import { MINUTE, ProxyMachine, SECOND } from '../proxy-machine.ts';

const HOUR = 60 * MINUTE;

test('send: stored as RocketMQ’s proxy stores it, and answered with id and offset', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  const message = machine.message('T', 'hello', { tag: 'a', keys: ['k1', 'k2'], traceContext: 'trace' });
  message.userProperties = { color: 'red' };
  const response = await machine.send(message);
  assert.deepEqual(response.status, { code: Code.OK, message: 'OK' });
  const [entry] = response.entries!;
  assert.deepEqual(
    { ...entry, status: entry!.status?.code },
    { status: Code.OK, messageId: 'M0000', transactionId: 'M0000', offset: 0, recallHandle: '' },
  );
  const [stored] = await machine.stored('T');
  assert.equal(stored!.body.toString(), 'hello');
  assert.equal(stored!.sysFlag & 1, 0);
  assert.deepEqual([...stored!.bornHost.address], [10, 0, 0, 7]);
  const properties = Object.fromEntries(stored!.properties);
  for (const [name, value] of Object.entries({
    ...{ color: 'red', TAGS: 'a', KEYS: 'k1 k2', UNIQ_KEY: 'M0000', PGROUP: 'T', TRACE_CONTEXT: 'trace' },
    ...{ __BORNHOST: '10.0.0.7:4711', BORN_TIMESTAMP: String(machine.now) },
  })) {
    assert.equal(properties[name], value, name);
  }
});

test('send: a message of a topic that is not there makes it, where the broker makes topics', async () => {
  const machine = await ProxyMachine.start();
  await machine.sent('New', 'x');
  assert.equal(machine.broker.topics.select('New')?.writeQueueNums, 4);
  const strict = await ProxyMachine.start({ autoCreateTopicEnable: false });
  const { code } = await strict.refusedSend(strict.message('New', 'x'));
  assert.equal(code, Code.TOPIC_NOT_FOUND);
  assert.equal(strict.broker.topics.select('New'), undefined);
});

const refused: readonly [name: string, code: Code, system: SystemProperties, more?: Message][] = [
  ['no id', Code.ILLEGAL_MESSAGE_ID, { messageId: ' ' }],
  ['an id that would break the record', Code.ILLEGAL_MESSAGE_ID, { messageId: 'a\u0001b' }],
  ['an empty body', Code.MESSAGE_BODY_EMPTY, {}, { body: Buffer.alloc(0) }],
  ['a body that is too large', Code.MESSAGE_BODY_TOO_LARGE, {}, { body: Buffer.alloc(4 * 1024 * 1024 + 1) }],
  ['a tag with |', Code.ILLEGAL_MESSAGE_TAG, { tag: 'a||b' }],
  ['a tag of blanks', Code.ILLEGAL_MESSAGE_TAG, { tag: '  ' }],
  ['a tag with a control character', Code.ILLEGAL_MESSAGE_TAG, { tag: 'a\u0002' }],
  ['a key of blanks', Code.ILLEGAL_MESSAGE_KEY, { keys: ['ok', ' '] }],
  ['a key with a control character', Code.ILLEGAL_MESSAGE_KEY, { keys: ['\u0001'] }],
  ['a property of the system', Code.ILLEGAL_MESSAGE_PROPERTY_KEY, {}, { userProperties: { UNIQ_KEY: 'x' } }],
  ['a name with a separator', Code.ILLEGAL_MESSAGE_PROPERTY_KEY, {}, { userProperties: { 'a\u0001': 'x' } }],
  ['a value with a separator', Code.ILLEGAL_MESSAGE_PROPERTY_KEY, {}, { userProperties: { a: 'x\u0002y\u0001z' } }],
  ['a trace context with a separator', Code.ILLEGAL_MESSAGE_PROPERTY_KEY, { traceContext: 'a\u0002TAGS\u0001b' }],
  ['a birthplace with a separator', Code.ILLEGAL_MESSAGE_PROPERTY_KEY, { bornHost: 'a\u0002TAGS\u0001b' }],
  ['129 properties', Code.MESSAGE_PROPERTIES_TOO_LARGE, {}, { userProperties: numbered(129) }],
  ['16 KiB of properties and one byte', Code.MESSAGE_PROPERTIES_TOO_LARGE, { tag: 'x'.repeat(16 * 1024 + 1) }],
  ['a group of 64 bytes', Code.ILLEGAL_MESSAGE_GROUP, { messageGroup: 'é'.repeat(32) }],
  ['a group of blanks', Code.ILLEGAL_MESSAGE_GROUP, { messageGroup: ' ' }],
  ['a delay of more than a day', Code.ILLEGAL_DELIVERY_TIME, { deliveryTimestamp: timeOf(Date.UTC(2200, 0)) }],
  ['a time that is none', Code.ILLEGAL_DELIVERY_TIME, { deliveryTimestamp: { seconds: 1e15, nanos: 0 } }],
  ['a body that is not GZIP', Code.MESSAGE_CORRUPTED, { bodyEncoding: Encoding.GZIP }],
  ['a lite topic with a separator', Code.ILLEGAL_LITE_TOPIC, { liteTopic: 'a\u0002b' }],
];

function numbered(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, '']));
}

test('send: what a message cannot be is refused with RocketMQ’s code, and nothing is stored', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', 'MIXED', 1);
  for (const [name, code, system, more] of refused) {
    assert.equal((await machine.refusedSend(machine.message('T', 'x', system, more))).code, code, name);
  }
  for (const [topic, code] of [
    ['', Code.ILLEGAL_TOPIC],
    ['no blanks', Code.ILLEGAL_TOPIC],
    ['rmq_sys_wheel_timer', Code.ILLEGAL_TOPIC],
    ['RMQ_SYS_TRANS_HALF_TOPIC', Code.ILLEGAL_TOPIC],
    ['t'.repeat(128), Code.ILLEGAL_TOPIC],
  ] as const) {
    assert.equal((await machine.refusedSend(machine.message(topic, 'x'))).code, code, topic);
  }
  assert.equal((await machine.refusedSend()).code, Code.MESSAGE_CORRUPTED);
  assert.equal((await machine.refusedSend({})).code, Code.ILLEGAL_TOPIC);
  const other = machine.message('Other', 'y');
  assert.equal((await machine.refusedSend(machine.message('T', 'x'), other)).code, Code.MESSAGE_CORRUPTED);
  assert.deepEqual(await machine.stored('T'), []);
});

test('send: what is at its limit is taken', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', 'MIXED', 1);
  const deliveryTimestamp = timeOf(machine.now + 24 * HOUR);
  for (const message of [
    machine.message('T', 'x', {}, { userProperties: numbered(128) }),
    machine.message('T', 'x', { tag: 'x'.repeat(16 * 1024) }),
    machine.message('T', 'x', { messageGroup: 'g'.repeat(63) }),
    machine.message('T', 'x', { deliveryTimestamp }),
  ]) {
    assert.equal((await machine.send(message)).status?.code, Code.OK);
  }
});

test('send: a topic takes messages of its type, one without a type normal ones, a mixed one all', async () => {
  const machine = await ProxyMachine.start();
  const kinds: Record<string, SystemProperties> = {
    NORMAL: {},
    FIFO: { messageGroup: 'g' },
    DELAY: { deliveryTimestamp: timeOf(machine.now + MINUTE) },
    TRANSACTION: { messageType: MessageType.TRANSACTION },
    PRIORITY: { priority: 1 },
  };
  for (const topicType of [...Object.keys(kinds), 'MIXED', undefined]) {
    const topic = `of-${topicType ?? 'none'}`;
    machine.topic(topic, topicType);
    for (const [kind, system] of Object.entries(kinds)) {
      const message = machine.message(topic, kind, system);
      if (topicType === 'MIXED' || kind === (topicType ?? 'NORMAL')) {
        assert.equal((await machine.send(message)).status?.code, Code.OK, `${kind} to ${topic}`);
      } else {
        const { code } = await machine.refusedSend(message);
        assert.equal(code, Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, `${kind} to ${topic}`);
      }
    }
  }
});

test('send: a group goes to one queue, that of Guava’s consistent hash, whoever sends', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('F', 'FIFO', 8);
  for (let i = 0; i < 12; i++) await machine.sent('F', `${i % 3}-${i}`, { messageGroup: `group-${i % 3}` });
  const queues = new Map<string, Set<number>>();
  for (const { body, queueId } of await machine.stored('F')) {
    const group = body.toString().slice(0, 1);
    queues.set(group, (queues.get(group) ?? new Set()).add(queueId));
  }
  for (const [group, ids] of queues) assert.equal(ids.size, 1, `group ${group}`);
  assert.equal(queues.size, 3);
});

test('send: several messages go to one queue together, with an entry for each', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', 'FIFO', 4);
  const system = { messageGroup: 'orders' };
  const response = await machine.send(...['a', 'b', 'c'].map((body) => machine.message('T', body, system)));
  assert.equal(response.status?.code, Code.OK);
  assert.deepEqual(
    response.entries!.map(({ messageId, offset }) => [messageId, offset]),
    [
      ['M0000', 0],
      ['M0001', 1],
      ['M0002', 2],
    ],
  );
  const stored = await machine.stored('T');
  assert.deepEqual(
    stored.map(({ body }) => body.toString()),
    ['a', 'b', 'c'],
  );
  assert.equal(new Set(stored.map(({ queueId }) => queueId)).size, 1);
  const mixed = [machine.message('T', 'x', system), machine.message('T', 'y', { messageGroup: 'other' })];
  assert.equal((await machine.refusedSend(...mixed)).code, Code.ILLEGAL_MESSAGE_GROUP);
  assert.equal((await machine.stored('T')).length, 3);
});

test('send: a message with a rank goes to the queue of that number', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('P', 'PRIORITY', 4);
  for (const priority of [0, 3, 9]) await machine.sent('P', `p${priority}`, { priority });
  const stored = await machine.stored('P');
  assert.deepEqual(
    stored.map(({ body, queueId }) => [body.toString(), queueId]),
    [
      ['p0', 0],
      ['p3', 3],
      ['p9', 3],
    ],
  );
});

test('send: what the broker refuses has its code, and a flush that does not come back in time is no success', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  machine.broker.topics.update({ ...machine.broker.topics.select('T')!, perm: 4 });
  assert.equal((await machine.refusedSend(machine.message('T', 'x'))).code, Code.FORBIDDEN);
  machine.topic('T', undefined, 1);
  const { put } = machine.broker;
  const real = put.put.bind(put);
  put.put = ((message: never, caller: never, origin: never, answer: (outcome: object) => unknown) =>
    real(message, caller, origin, (outcome) => answer({ ...outcome, code: 10 }))) as typeof put.put;
  const response = await machine.send(machine.message('T', 'x'));
  assert.equal(response.status?.code, Code.MASTER_PERSISTENCE_TIMEOUT);
  assert.deepEqual(Object.keys(response.entries![0]!), ['status'], 'nothing that a client could take for a receipt');
});

test('send: of a static topic messages go to its logical queues, which their consumers see too', async () => {
  const machine = await ProxyMachine.start();
  machine.pop.random = () => 0.6;
  machine.staticTopic('S', { 5: 0, 7: 100 });
  machine.broker.topics.update({ ...machine.broker.topics.select('S')!, readQueueNums: 4, writeQueueNums: 4 });
  machine.consumer('g', 'S');
  const offsetOf = async (body: string, system = {}): Promise<number> =>
    Number((await machine.sent('S', body, system)).entries![0]!.offset);
  assert.deepEqual([await offsetOf('a'), await offsetOf('b')], [100, 101]);
  machine.pop.random = () => 0;
  assert.equal(await offsetOf('c'), 0);
  const [d, e] = [machine.message('S', 'd'), machine.message('S', 'e')];
  const batch = await machine.send(d, e);
  assert.deepEqual(
    batch.entries!.map(({ offset }) => Number(offset)),
    [1, 2],
  );
  const { messages } = await machine.receive('g', 'S');
  const places = messages.map(({ body, systemProperties }) => {
    return [Buffer.from(body!).toString(), systemProperties!.queueId, Number(systemProperties!.queueOffset)];
  });
  assert.deepEqual(places.sort(), [
    ...[
      ['a', 7, 100],
      ['b', 7, 101],
      ['c', 5, 0],
      ['d', 5, 1],
      ['e', 5, 2],
    ],
  ]);
  assert.deepEqual(new Set(await machine.ack('g', 'S', ...messages)), new Set([Code.OK]));
  await machine.alive(40 * SECOND);
  assert.deepEqual((await machine.receive('g', 'S')).bodies, []);
});

test('send: messages of one group go to one logical queue of a static topic', async () => {
  const machine = await ProxyMachine.start();
  machine.staticTopic('S', { 3: 0, 5: 1_000, 7: 2_000 });
  const attributes = new Map([['message.type', 'FIFO']]);
  machine.broker.topics.update({ ...machine.broker.topics.select('S')!, attributes });
  for (const group of ['a', 'b', 'c', 'd']) {
    const thousands = new Set<number>();
    for (let i = 0; i < 3; i++) {
      const { entries } = await machine.sent('S', 'x', { messageGroup: group, messageType: MessageType.FIFO });
      thousands.add(Math.floor(Number(entries![0]!.offset) / 1_000));
    }
    assert.equal(thousands.size, 1, group);
  }
});
