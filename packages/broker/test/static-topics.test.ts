// Static topics: clients know logical queues, each of which lies in a queue of the broker.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type ExtFields,
  MessageSysFlag,
  parseJavaJson,
  parseOffsetMessageId,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { decodeMessage } from '@vernier/store/internal';
import { Machine } from '../../torture/test/machine.ts';
import { type QueueMapping, queueMappingFromJson } from '../src/topics/queue-mapping.ts';
import { property, pullFields, send, sendFields, startBroker, type TestBroker } from './harness.ts';
import { MachineBroker } from './machine-broker.ts';

const BROKER = 'static';
const fileOf = ({ directory }: Pick<TestBroker, 'directory'>): string =>
  join(directory, 'config', 'topicQueueMapping.json');

interface Item {
  queueId: number;
  logicOffset?: number;
  [name: string]: unknown;
}

const item = (one: Item) => ({
  ...{ bname: BROKER, endOffset: -1, gen: 0, logicOffset: 0, startOffset: 0, timeOfEnd: -1, timeOfStart: -1 },
  ...one,
});

const mapping = (hosted: Record<number, Item[]>, more: object = {}): object => ({
  ...{ bname: BROKER, currIdMap: {}, dirty: false, epoch: 1_000, scope: '__global__', topic: 'S', totalQueues: 8 },
  hostedQueues: Object.fromEntries(Object.entries(hosted).map(([id, items]) => [id, items.map(item)])),
  ...more,
});

/** Logical queues 5, 2 and 7 are queues 0, 1 and 2; number n of queue 2 is number n + 100 of logical queue 7. */
const three = { 5: [{ queueId: 0 }], 2: [{ queueId: 1 }], 7: [{ queueId: 2, logicOffset: 100 }] };

const make = ({ invoke }: Pick<TestBroker, 'invoke'>, body: object | string, more: ExtFields = {}) =>
  invoke(
    RequestCode.UPDATE_AND_CREATE_STATIC_TOPIC,
    {
      ...{ topic: 'S', defaultTopic: 'TBW102', readQueueNums: '3', writeQueueNums: '3', perm: '6' },
      ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: '0', order: 'false', force: 'false' },
      ...more,
    },
    typeof body === 'string' ? body : JSON.stringify(body),
  );

async function staticBroker(t: TestContext, directory?: string): Promise<TestBroker> {
  const broker = await startBroker(t, {
    broker: { brokerName: BROKER },
    ...(directory === undefined ? {} : { directory }),
  });
  if (directory === undefined) {
    const made = await make(broker, mapping(three));
    assert.equal(made.code, ResponseCode.SUCCESS, made.remark);
  }
  return broker;
}

test('static topics: sends, pulls and offsets are by the logical queue and its numbers', async (t) => {
  const broker = await staticBroker(t);
  const { invoke } = broker;
  for (const [queueId, first] of [
    [5, 0],
    [2, 0],
    [7, 100],
  ] as const) {
    for (let i = 0; i < 3; i++) {
      const sent = await send(broker, 'S', `${queueId}-${i}`, '', queueId);
      assert.equal(sent.code, ResponseCode.SUCCESS, sent.remark);
      assert.deepEqual([sent.extFields?.queueId, sent.extFields?.queueOffset], [String(queueId), String(first + i)]);
    }
    const queue = { topic: 'S', queueId: String(queueId) };
    const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields('S', first + 1, { queueId: String(queueId) }));
    assert.equal(pulled.code, ResponseCode.SUCCESS, pulled.remark);
    const record = decodeMessage(pulled.body!)!;
    assert.equal(String(record.body), `${queueId}-1`);
    const { nextBeginOffset, minOffset, maxOffset, offsetDelta } = pulled.extFields ?? {};
    assert.deepEqual([nextBeginOffset, minOffset, maxOffset, offsetDelta].map(Number), [
      first + 3,
      first,
      first + 3,
      first,
    ]);
    assert.equal(record.queueOffset + Number(offsetDelta), first + 1, 'as clients count');
    const offsetOf = async (code: number, fields: ExtFields = queue): Promise<number> =>
      Number((await invoke(code, fields)).extFields?.offset);
    assert.equal(await offsetOf(RequestCode.GET_MAX_OFFSET), first + 3);
    assert.equal(await offsetOf(RequestCode.GET_MIN_OFFSET), first);
    assert.equal(await offsetOf(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...queue, timestamp: '0' }), first);
    assert.ok(Number((await invoke(RequestCode.GET_EARLIEST_MSG_STORETIME, queue)).extFields?.timestamp) > 0);
    const group = { consumerGroup: 'consumers', ...queue };
    const commitOffset = String(first + 2);
    assert.equal((await invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { ...group, commitOffset })).code, 0);
    assert.equal(await offsetOf(RequestCode.QUERY_CONSUMER_OFFSET, group), first + 2);
  }
  const { offsets } = broker.broker.context;
  assert.deepEqual(
    [0, 1, 2].map((queueId) => offsets.query('consumers', 'S', queueId)),
    [2, 2, 2],
    'as RocketMQ keeps them',
  );
  const end = await invoke(RequestCode.PULL_MESSAGE, pullFields('S', 103, { queueId: '7' }));
  assert.deepEqual([end.code, end.extFields?.nextBeginOffset], [ResponseCode.PULL_NOT_FOUND, '103']);
  const far = await invoke(RequestCode.PULL_MESSAGE, pullFields('S', 500, { queueId: '7' }));
  assert.deepEqual([far.code, far.extFields?.nextBeginOffset], [ResponseCode.PULL_OFFSET_MOVED, '103']);
  const own = await invoke(RequestCode.GET_MAX_OFFSET, { topic: 'S', queueId: '2', lo: 'false' });
  assert.equal(own.extFields?.offset, '3', 'lo=false: the number is the broker’s own');
});

test('static topics: a logical queue that is not here is 501, for each request that names it', async (t) => {
  const broker = await staticBroker(t);
  const queue = { topic: 'S', queueId: '0' };
  const group = { consumerGroup: 'consumers', ...queue };
  const answers = [
    await send(broker, 'S', 'x', '', 0),
    await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('S', 0)),
    await broker.invoke(RequestCode.GET_MAX_OFFSET, queue),
    await broker.invoke(RequestCode.GET_MIN_OFFSET, queue),
    await broker.invoke(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...queue, timestamp: '0' }),
    await broker.invoke(RequestCode.GET_EARLIEST_MSG_STORETIME, queue),
    await broker.invoke(RequestCode.QUERY_CONSUMER_OFFSET, group),
    await broker.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { ...group, commitOffset: '1' }),
  ];
  for (const { code, remark } of answers) {
    assert.equal(code, ResponseCode.NOT_LEADER_FOR_QUEUE, remark);
    assert.match(remark ?? '', /S-0 does not exist in request process of current broker static/);
  }
  const any = await send(broker, 'S', 'x', '', -1);
  assert.equal(any.code, ResponseCode.SUCCESS, any.remark);
  assert.ok(['5', '2', '7'].includes(any.extFields?.queueId ?? ''), 'without a number any that is here');
  assert.equal((await send(broker, 'Plain', 'x', '', 0)).extFields?.queueId, '0', 'other topics are as they were');
});

test('static topics: the route, the configuration and the list of topics tell which queue is which', async (t) => {
  const broker = await staticBroker(t);
  const { invoke } = broker;
  const route = broker.namesrv.routeOf('S');
  assert.ok(route !== undefined);
  const info = route.topicQueueMappingByBroker?.get(BROKER) as Record<string, unknown>;
  assert.deepEqual(
    [info.currIdMap, info.totalQueues, info.epoch, info.scope],
    [{ 5: 0, 2: 1, 7: 2 }, 8, 1_000, '__global__'],
  );
  const config = await invoke(RequestCode.GET_TOPIC_CONFIG, { topic: 'S', lo: 'true' });
  const { mappingDetail, readQueueNums } = JSON.parse(String(config.body));
  assert.equal(readQueueNums, 3);
  assert.deepEqual(mappingDetail.hostedQueues, (mapping(three) as QueueMapping).hostedQueues);
  const without = await invoke(RequestCode.GET_TOPIC_CONFIG, { topic: 'S' });
  assert.equal(JSON.parse(String(without.body)).mappingDetail, undefined);
  const all = JSON.parse(String((await invoke(RequestCode.GET_ALL_TOPIC_CONFIG)).body));
  assert.deepEqual(Object.keys(all.topicQueueMappingDetailMap), ['S']);
});

test('static topics: they are there after a restart, as RocketMQ’s file has them, and go with their topic', async (t) => {
  const broker = await staticBroker(t);
  await send(broker, 'S', 'x', '', 7);
  await broker.broker.shutdown();
  const file = parseJavaJson(await readFile(fileOf(broker), 'utf8')) as {
    topicQueueMappingInfoMap: Record<string, { hostedQueues: Record<string, unknown> }>;
  };
  assert.deepEqual(Object.keys(file.topicQueueMappingInfoMap.S!.hostedQueues).sort(), ['2', '5', '7']);
  // As fastjson writes it: keys that are numbers stand bare.
  const java = JSON.stringify(file).replace(/"(\d)":/g, '$1:');
  await writeFile(fileOf(broker), java);
  const again = await staticBroker(t, broker.directory);
  assert.equal((await again.invoke(RequestCode.GET_MAX_OFFSET, { topic: 'S', queueId: '7' })).extFields?.offset, '101');
  assert.equal((await again.invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'S' })).code, ResponseCode.SUCCESS);
  assert.doesNotMatch(await readFile(fileOf(again), 'utf8'), /"S"/);
  assert.equal((await send(again, 'S', 'x', '', 0)).extFields?.queueId, '0', 'an ordinary topic');
});

test('static topics: a broker without one has no file', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Plain', 'x');
  await broker.broker.shutdown();
  assert.equal(existsSync(fileOf(broker)), false);
});

test('static topics: what one broker cannot serve is refused with the reason, and changes nothing', async (t) => {
  const broker = await startBroker(t, { broker: { brokerName: BROKER } });
  const two = [
    { queueId: 0, bname: 'other', endOffset: 9 },
    { queueId: 1, gen: 1, logicOffset: 9 },
  ];
  const cases: [string, object | string, RegExp, ExtFields?][] = [
    ['another topic', mapping(three, { topic: 'X' }), /of topic X, the request of S/],
    ['another broker', mapping(three, { bname: 'other' }), /of broker other, this one is static/],
    ['no queue in all', mapping({}, { totalQueues: 0 }), /totalQueues=0: allowed are 1 to 65536/],
    ['too many', mapping({}, { totalQueues: 65_537 }), /totalQueues=65537/],
    ['beyond the total', mapping({ 8: [{ queueId: 0 }] }), /logical queue 8 of S: of 8 queues/],
    ['elsewhere', mapping({ 0: [{ queueId: 0, bname: 'other' }] }), /lies or has lain on broker other/],
    [
      'moved here',
      mapping({ 0: two }),
      /has lain on broker other; a queue that moves between brokers is not served yet/,
    ],
    ['moved within', mapping({ 0: [{ queueId: 0 }, { queueId: 1, gen: 1 }] }), /it has 2 stretches/],
    ['no stretch', mapping({ 0: [] }), /it has 0 stretches/],
    ['one queue twice', mapping({ 0: [{ queueId: 1 }], 1: [{ queueId: 1 }] }), /0 and 1 of S are both queue 1/],
    ['a queue it has not', mapping({ 0: [{ queueId: 3 }] }), /is queue 3, the topic has 3 here/],
    ['a negative queue', mapping({ 0: [{ queueId: -1 }] }), /queueId=-1/],
    ['not decided', mapping({ 0: [{ queueId: 0, logicOffset: -1 }] }), /logicOffset=-1/],
    ['ended', mapping({ 0: [{ queueId: 0, endOffset: 5 }] }), /endOffset=5/],
    ['a fraction', mapping({ 0: [{ queueId: 0.5 }] }), /queueId is no whole number/],
    [
      'numbers that would be rounded',
      mapping({ 0: [{ queueId: 0, logicOffset: 2 ** 53 - 2 }] }),
      /logicOffset=9007199254740990/,
    ],
    ['numbers below 0', mapping({ 0: [{ queueId: 0, startOffset: 50 }] }), /startOffset=50: allowed is 0/],
    ['beyond 2⁵³', mapping({ 0: [{ queueId: 0, logicOffset: 2 ** 60 }] }), /logicOffset is no whole number/],
    ['a name', mapping({}, { hostedQueues: { x: [] } }), /x is no number of a queue/],
    ['a list', '[]', /TopicQueueMappingDetail/],
    ['nothing', '', /TopicQueueMappingDetail/],
    ['no JSON', '{', /./],
    ['a system topic', mapping(three, { topic: 'TBW102' }), /system topic/, { topic: 'TBW102' }],
    ['a bad name', mapping(three, { topic: '../x' }), /illegal/, { topic: '../x' }],
    ['too many queues', mapping(three), /readQueueNums=65537/, { readQueueNums: '65537' }],
  ];
  for (const [name, body, remark, fields] of cases) {
    const answer = await make(broker, body, fields);
    assert.notEqual(answer.code, ResponseCode.SUCCESS, name);
    assert.match(answer.remark ?? '', remark, name);
  }
  assert.equal(broker.broker.context.staticTopics.table.size, 0);
  assert.equal(broker.broker.context.topics.select('S'), undefined);
});

test('static topics: a mapping is replaced by a later one that leaves queues where they are, or by force', async (t) => {
  const broker = await staticBroker(t);
  const older = await make(broker, mapping(three, { epoch: 999 }));
  assert.match(older.remark ?? '', /small epoch 999 < 1000/);
  const scope = await make(broker, mapping(three, { scope: 'mine', epoch: 1_001 }));
  assert.match(scope.remark ?? '', /unmatched scope/);
  const fewer = await make(broker, mapping({ 5: [{ queueId: 0 }] }));
  assert.match(fewer.remark ?? '', /equal epoch with null data/);
  const moved = await make(broker, mapping({ ...three, 5: [{ queueId: 1 }], 2: [{ queueId: 0 }] }, { epoch: 1_001 }));
  assert.match(moved.remark ?? '', /logical queue 2 of S is already queue 1 from 0 on/);
  assert.deepEqual(broker.broker.context.staticTopics.get('S')?.epoch, 1_000, 'nothing was changed');
  const more = { ...three, 6: [{ queueId: 3 }] };
  const wide = { readQueueNums: '4', writeQueueNums: '4' };
  const wider = await make(broker, mapping(more, { epoch: 1_001 }), wide);
  assert.equal(wider.code, ResponseCode.SUCCESS, wider.remark);
  assert.equal((await send(broker, 'S', 'x', '', 6)).extFields?.queueOffset, '0');
  const forced = await make(broker, mapping({ 5: [{ queueId: 0, logicOffset: 7 }] }, { epoch: 5 }), {
    ...wide,
    force: 'true',
  });
  assert.equal(forced.code, ResponseCode.SUCCESS, forced.remark);
  assert.equal((await send(broker, 'S', 'x', '', 5)).extFields?.queueOffset, '7');
  assert.equal((await send(broker, 'S', 'x', '', 2)).code, ResponseCode.SUCCESS, 'what it does not name stays');
});

test('static topics: a queue that a Java broker moved is named and not guessed at', async (t) => {
  const broker = await staticBroker(t);
  await broker.broker.shutdown();
  const file = JSON.parse(await readFile(fileOf(broker), 'utf8'));
  const { hostedQueues } = file.topicQueueMappingInfoMap.S;
  hostedQueues[5] = [item({ queueId: 0, bname: 'other', endOffset: 9 }), item({ queueId: 0, gen: 1, logicOffset: 9 })];
  hostedQueues[2] = [item({ queueId: 1, endOffset: 0 }), item({ queueId: 0, gen: 1, bname: 'other' })];
  await writeFile(fileOf(broker), JSON.stringify(file));
  const again = await staticBroker(t, broker.directory);
  const here = await send(again, 'S', 'x', '', 5);
  assert.deepEqual([here.code, /has lain on broker other/.test(here.remark ?? '')], [ResponseCode.SYSTEM_ERROR, true]);
  assert.equal((await send(again, 'S', 'x', '', 2)).code, ResponseCode.NOT_LEADER_FOR_QUEUE);
  assert.equal((await send(again, 'S', 'x', '', 7)).code, ResponseCode.SUCCESS);
  await again.broker.shutdown();
  const kept = JSON.parse(await readFile(fileOf(broker), 'utf8'));
  assert.deepEqual(kept.topicQueueMappingInfoMap.S.hostedQueues, hostedQueues, 'the file is the other broker’s too');
});

test('static topics: a mapping that was answered is there after a power cut, one that could not be saved is not', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const broker = await MachineBroker.start({ config: { brokerName: BROKER } });
    const { context, machine } = broker;
    const topic = { ...context.topics.select('TBW102')!, topicName: 'S', perm: 6, readQueueNums: 3, writeQueueNums: 3 };
    const asked = context.topicAdmin.updateStatic(topic, queueMappingFromJson(mapping(three)), false);
    assert.equal(await machine.until(asked, 'update'), undefined);
    const next = await MachineBroker.start({ config: { brokerName: BROKER }, machine: machine.powerCut(seed) });
    assert.equal(next.context.staticTopics.get('S')?.hostedQueues.size, 3, `seed ${seed}`);
    assert.equal(next.context.topics.select('S')?.readQueueNums, 3);
  }
  const broker = await MachineBroker.start({ config: { brokerName: BROKER }, machine: new Machine() });
  const { context, machine } = broker;
  machine.fileSystem.intercept = (_operation, path) => {
    if (path.includes('topicQueueMapping')) throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  const topic = { ...context.topics.select('TBW102')!, topicName: 'S', perm: 6, readQueueNums: 3, writeQueueNums: 3 };
  const failing = context.topicAdmin.updateStatic(topic, queueMappingFromJson(mapping(three)), false);
  await assert.rejects(machine.until(failing, 'update'), { code: 'BROKER_METADATA_WRITE_FAILED' });
  assert.equal(context.staticTopics.get('S'), undefined);
  assert.equal(context.topics.select('S'), undefined, 'no producer learns of it');
});

test('static topics: what a mapping takes over from the one before has to go with it, by force too', async (t) => {
  const broker = await staticBroker(t);
  for (const force of ['false', 'true']) {
    const twice = await make(broker, mapping({ 3: [{ queueId: 0 }] }, { epoch: 1_001 }), { force });
    assert.match(twice.remark ?? '', /logical queues 3 and 5 of S are both queue 0/);
    const fewer = await make(broker, mapping({}, { epoch: 1_001, totalQueues: 5 }), { force });
    assert.match(fewer.remark ?? '', /logical queue 5 of S: of 5 queues/);
    const narrow = { readQueueNums: '2', writeQueueNums: '2', force };
    const outside = await make(broker, mapping({}, { epoch: 1_001 }), narrow);
    assert.match(outside.remark ?? '', /logical queue 7 of S is queue 2, the topic has 2 here/);
  }
  const hosted = Object.fromEntries(Array.from({ length: 4_097 }, (_, id) => [id, [{ queueId: id }]]));
  const wide = { readQueueNums: '5000', writeQueueNums: '5000', force: 'true' };
  const many = await make(broker, mapping(hosted, { epoch: 1_001, totalQueues: 5_000 }), wide);
  assert.match(many.remark ?? '', /logical queues of S on one broker, at most 4096/);
  assert.equal(broker.broker.context.staticTopics.get('S')?.epoch, 1_000, 'nothing was changed');
});

test('static topics: one that is made anew as an ordinary topic has no mapping in its route', async (t) => {
  const broker = await staticBroker(t);
  const mappings = () => broker.namesrv.routeOf('S')?.topicQueueMappingByBroker?.size ?? 0;
  assert.equal(mappings(), 1);
  await broker.invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'S' });
  const fields = { topic: 'S', readQueueNums: '3', writeQueueNums: '3', perm: '6', topicFilterType: 'SINGLE_TAG' };
  const made = await broker.invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, fields);
  assert.equal(made.code, ResponseCode.SUCCESS, made.remark);
  assert.equal(mappings(), 0);
  assert.equal(broker.namesrv.routeOf('S')?.queueDatas[0]?.readQueueNums, 3);
});

test('static topics: a priority does not take a message out of its logical queue', async (t) => {
  const broker = await staticBroker(t);
  const sent = await send(broker, 'S', 'x', property('_SYS_MSG_PRIORITY_', '0'), 7);
  assert.deepEqual([sent.extFields?.queueId, sent.extFields?.queueOffset], ['7', '100']);
  const ends = await Promise.all(
    ['5', '7'].map((queueId) => broker.invoke(RequestCode.GET_MAX_OFFSET, { topic: 'S', queueId })),
  );
  assert.deepEqual(
    ends.map(({ extFields }) => extFields?.offset),
    ['0', '101'],
  );
});

test('static topics: a producer commits its half by the number that it was told', async (t) => {
  const broker = await staticBroker(t);
  const properties = property('TRAN_MSG', 'true') + property('PGROUP', 'producers') + property('UNIQ_KEY', 'K');
  const fields = sendFields('S', 7, { f: '4', i: properties });
  const half = await broker.invoke(RequestCode.SEND_MESSAGE_V2, fields, 'x');
  const { queueId, queueOffset, msgId } = half.extFields ?? {};
  assert.deepEqual([queueId, queueOffset], ['7', '0']);
  const ended = await broker.invoke(RequestCode.END_TRANSACTION, {
    ...{ producerGroup: 'producers', tranStateTableOffset: queueOffset, msgId: 'K', fromTransactionCheck: 'false' },
    commitLogOffset: String(parseOffsetMessageId(msgId!).commitLogOffset),
    commitOrRollback: String(MessageSysFlag.TRANSACTION_COMMIT),
  });
  assert.equal(ended.code, ResponseCode.SUCCESS, ended.remark);
  const end = await broker.invoke(RequestCode.GET_MAX_OFFSET, { topic: 'S', queueId: '7' });
  assert.equal(end.extFields?.offset, '101');
});

test('static topics: a kill between a deletion and the save of the mappings leaves no mapping for a topic of that name', async () => {
  const config = { brokerName: BROKER };
  const broker = await MachineBroker.start({ config });
  const { context, machine } = broker;
  const topic = { ...context.topics.select('TBW102')!, topicName: 'S', perm: 6, readQueueNums: 3, writeQueueNums: 3 };
  await machine.until(context.topicAdmin.updateStatic(topic, queueMappingFromJson(mapping(three)), false), 'update');
  await broker.send('S', 'x');
  machine.fileSystem.intercept = (_operation, path) => {
    if (path.includes('topicQueueMapping')) throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  await assert.rejects(machine.until(context.topicAdmin.delete('S'), 'deletion'));
  const next = await MachineBroker.start({ config, machine: broker.kill() });
  assert.equal(next.context.staticTopics.get('S'), undefined);
  assert.match(next.lines.join(), /names a topic that there is not: S/);
  const sent = await next.send('S', 'an ordinary one');
  assert.equal(sent.code, ResponseCode.SUCCESS);
  await next.machine.until(next.context.metadata.mappings.save(), 'save');
  assert.doesNotMatch(next.file('topicQueueMapping.json') ?? '', /"S"/);
});

test('static topics: none is made while a topic of that name is being deleted', async () => {
  const broker = await MachineBroker.start({ config: { brokerName: BROKER } });
  const { context, machine } = broker;
  const topic = { ...context.topics.select('TBW102')!, topicName: 'S', perm: 6, readQueueNums: 3, writeQueueNums: 3 };
  const made = () => context.topicAdmin.updateStatic(topic, queueMappingFromJson(mapping(three)), false);
  await machine.until(made(), 'update');
  const deleting = context.topicAdmin.delete('S');
  const refused = await machine.until(made(), 'update meanwhile');
  assert.match(refused?.remark ?? '', /topic S is being deleted/);
  await machine.until(deleting, 'deletion');
  assert.equal(await machine.until(made(), 'update after it'), undefined);
  assert.equal(context.staticTopics.get('S')?.hostedQueues.size, 3);
});

test('static topics: a file that names no queue of a broker is refused at its queues, and a send to any goes to another', async (t) => {
  const broker = await staticBroker(t);
  await broker.broker.shutdown();
  const file = JSON.parse(await readFile(fileOf(broker), 'utf8'));
  const { hostedQueues } = file.topicQueueMappingInfoMap.S;
  hostedQueues[5] = [item({ queueId: -3 })];
  hostedQueues[2] = [];
  await writeFile(fileOf(broker), JSON.stringify(file));
  const again = await staticBroker(t, broker.directory);
  const negative = await send(again, 'S', 'x', '', 5);
  assert.deepEqual(
    [negative.code, negative.remark],
    [ResponseCode.SYSTEM_ERROR, 'S-5: queueId=-3: allowed are 0 to 65535'],
  );
  assert.equal((await send(again, 'S', 'x', '', 2)).code, ResponseCode.NOT_LEADER_FOR_QUEUE);
  for (let i = 0; i < 8; i++) assert.equal((await send(again, 'S', 'x', '', -1)).extFields?.queueId, '7');
});
