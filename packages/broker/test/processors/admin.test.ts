import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  decodeConsumerConnection,
  decodeConsumeStats,
  decodeKVTable,
  decodeProducerConnection,
  decodeProperties,
  decodeTopicConfigTable,
  decodeTopicList,
  decodeTopicStatsTable,
  javaMapEntries,
  parseJavaJsonBody,
  RemotingClient,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { ManualClock } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { heartbeat, property, pullFields, send, startBroker } from '../harness.ts';
import { fetchTopicRoute } from '../requests.ts';

const topicFields = (topic: string, more: Record<string, string> = {}) => ({
  topic,
  defaultTopic: 'TBW102',
  readQueueNums: '2',
  writeQueueNums: '3',
  perm: '6',
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: '0',
  order: 'false',
  ...more,
});

test('a topic is made, changed, listed and deleted; the nameserver knows each time', async (t) => {
  const broker = await startBroker(t);
  const { invoke, client, namesrv } = broker;
  const make = (more: Record<string, string> = {}) =>
    invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields('Made', { attributes: '+message.type=FIFO', ...more }));
  assert.equal((await make()).code, ResponseCode.SUCCESS);
  const route = () => fetchTopicRoute(client, namesrv.address, 'Made');
  assert.deepEqual(
    (await route())?.queueDatas.map((queue) => [queue.readQueueNums, queue.writeQueueNums]),
    [[2, 3]],
  );
  assert.equal((await make({ readQueueNums: '5', attributes: '' })).code, ResponseCode.SUCCESS);
  assert.equal((await route())?.queueDatas[0]?.readQueueNums, 5);

  const one = await invoke(RequestCode.GET_TOPIC_CONFIG, { topic: 'Made' });
  assert.deepEqual(JSON.parse(String(one.body)), {
    attributes: { 'message.type': 'FIFO' },
    order: false,
    perm: 6,
    readQueueNums: 5,
    topicFilterType: 'SINGLE_TAG',
    topicName: 'Made',
    topicSysFlag: 0,
    writeQueueNums: 3,
  });
  const all = decodeTopicConfigTable((await invoke(RequestCode.GET_ALL_TOPIC_CONFIG)).body);
  assert.equal(all.topicConfigTable.get('Made')?.writeQueueNums, 3);
  assert.ok(all.dataVersion.counter > 0);

  await send(broker, 'Made', 'x');
  await invoke(RequestCode.PULL_MESSAGE, pullFields('Made', 0, { sysFlag: '5', commitOffset: '1' }));
  assert.equal((await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'Made' })).code, ResponseCode.SUCCESS);
  assert.equal((await invoke(RequestCode.GET_TOPIC_CONFIG, { topic: 'Made' })).code, ResponseCode.TOPIC_NOT_EXIST);
  assert.equal(broker.broker.context.offsets.query('consumers', 'Made', 0), -1);
  assert.equal(broker.broker.store.getMaxOffsetInQueue('Made', 0), 0);
  await assert.doesNotReject(invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'Made' }));
});

test('DELETE_TOPIC_IN_BROKER leaves the route to DELETE_TOPIC_IN_NAMESRV, which takes it for good', async (t) => {
  const clock = new ManualClock();
  const { invoke, client, namesrv } = await startBroker(t, { deps: { clock } });
  await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields('Made'));
  const route = () => fetchTopicRoute(client, namesrv.address, 'Made');
  assert.equal((await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'Made' })).code, ResponseCode.SUCCESS);
  assert.equal((await route())?.queueDatas.length, 1, 'as with an Apache broker');
  const deletion = createRequest(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: 'Made' });
  assert.equal((await client.invoke(namesrv.address, deletion, 5_000)).code, ResponseCode.SUCCESS);
  assert.equal(await route(), undefined);
  await clock.advance(60_000);
  assert.equal(await route(), undefined, 'the broker does not bring back what it does not have');
});

test('topics that cannot be made or deleted', async (t) => {
  const { invoke, broker } = await startBroker(t);
  const make = async (topic: string, more: Record<string, string> = {}) =>
    (await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields(topic, more))).code;
  assert.equal(await make('bad topic'), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('TBW102'), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('rmq_sys_mine'), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { readQueueNums: '' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { readQueueNums: '-1' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { writeQueueNums: '1000000' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { perm: '99' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { order: 'yes' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { topicFilterType: 'NONE' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await make('T', { attributes: '+cleanup.policy=COMPACTION' }), ResponseCode.SYSTEM_ERROR);
  assert.equal(await make('T', { attributes: '+queue.type=OtherCQ' }), ResponseCode.SYSTEM_ERROR);
  const list = JSON.stringify({ topicConfigList: [{ topicName: 'T', topicFilterType: 'NONE' }] });
  const listed = await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, undefined, list);
  assert.match(listed.remark ?? '', /topicFilterType=NONE: allowed are SINGLE_TAG, MULTI_TAG/);
  assert.equal(await make('T', { attributes: '+no.such=1' }), ResponseCode.SYSTEM_ERROR);
  assert.equal(await make('T', { attributes: '+message.type=MIXED' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(broker.context.topics.select('T'), undefined);
  for (const topic of ['TBW102', ' ']) {
    const deleted = await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic });
    assert.equal(deleted.code, ResponseCode.INVALID_PARAMETER, topic);
  }
  // Allowed to touch them, an operator would find them back after the next start.
  broker.config.validateSystemTopicWhenUpdateTopic = false;
  const remade = await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'TBW102' });
  assert.match(remade.remark ?? '', /is made at each start and cannot be deleted/);
  const group = await invoke(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'TOOLS_CONSUMER' });
  assert.match(group.remark ?? '', /is made at each start and cannot be deleted/);
  assert.ok(broker.context.groups.has('TOOLS_CONSUMER'));
  assert.equal((await invoke(RequestCode.DELETE_TOPIC_IN_BROKER)).code, ResponseCode.INVALID_PARAMETER);
});

test('a list of topics is taken as a whole or not at all', async (t) => {
  const { invoke, broker } = await startBroker(t);
  const list = (...topicConfigList: unknown[]) =>
    invoke(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, undefined, JSON.stringify({ topicConfigList }));
  const good = {
    topicName: 'L1',
    readQueueNums: 1,
    writeQueueNums: 1,
    perm: 6,
    attributes: { '+message.type': 'DELAY' },
  };
  assert.equal((await list(good, { topicName: 'bad name' })).code, ResponseCode.INVALID_PARAMETER);
  assert.equal(broker.context.topics.select('L1'), undefined);
  assert.equal((await list(good, { topicName: 'L2' })).code, ResponseCode.SUCCESS);
  assert.equal(broker.context.topics.select('L1')?.attributes.get('message.type'), 'DELAY');
  assert.equal(broker.context.topics.select('L2')?.readQueueNums, 16);
  assert.equal((await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, undefined, '{')).code, 29);
  assert.equal((await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST)).code, ResponseCode.INVALID_PARAMETER);
});

test('system topics are those of a Java broker', async (t) => {
  const { invoke, broker } = await startBroker(t);
  const { topicList } = decodeTopicList((await invoke(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER)).body);
  for (const topic of ['TBW102', 'BenchmarkTest', 'DefaultCluster', 'broker-a', 'DefaultCluster_REPLY_TOPIC']) {
    assert.ok(topicList.includes(topic), topic);
  }
  const { topics } = broker.context;
  assert.deepEqual(
    ['TBW102', 'BenchmarkTest', 'SCHEDULE_TOPIC_XXXX', 'DefaultCluster', 'rmq_sys_REVIVE_LOG_DefaultCluster'].map(
      (name) => [topics.select(name)?.readQueueNums, topics.select(name)?.perm],
    ),
    [
      [8, 7],
      [1024, 6],
      [18, 6],
      [16, 7],
      [8, 6],
    ],
  );
});

test('consumer groups are made, read and deleted', async (t) => {
  const { invoke, broker } = await startBroker(t);
  const update = (body: string) => invoke(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, undefined, body);
  assert.equal((await update('{"groupName":"g","retryMaxTimes":3}')).code, ResponseCode.SUCCESS);
  for (const [body, remark] of [
    ['{"groupName":"g","consumeEnable":"no"}', /group g: consumeEnable=no: allowed are true and false/],
    ['{"groupName":"g","retryQueueNums":1.5}', /retryQueueNums=1.5: allowed are whole numbers from 0 to 65536/],
    ['{"groupName":"g","retryQueueNums":1000000000}', /retryQueueNums=1000000000/],
    [`{"groupName":"g","groupRetryPolicy":${'{"a":'.repeat(100)}1${'}'.repeat(100)}}`, /^$/],
    [`{"groupName":"g","groupRetryPolicy":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, /at most 128 levels/],
    ['{"groupName":"g","attributes":{"+priority.factor":"101"}}', /priority.factor=101/],
  ] as const) {
    const answer = await update(body);
    assert.match(answer.remark ?? '', remark, body.slice(0, 80));
    assert.equal(answer.code === ResponseCode.SUCCESS, remark.source === '^$');
  }
  assert.equal((await update('{"groupName":"g","retryMaxTimes":3}')).code, ResponseCode.SUCCESS);
  assert.equal((await update('{"groupName":"bad name"}')).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await update('{}')).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await update('[1]')).code, ResponseCode.INVALID_PARAMETER);
  const one = JSON.parse(String((await invoke(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'g' })).body));
  assert.equal(one.retryMaxTimes, 3);
  assert.equal((await invoke(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'bad name' })).code, 26);
  const asked = await invoke(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'unheard-of' });
  assert.equal(JSON.parse(String(asked.body)).retryMaxTimes, 16, 'what its first use would make');
  assert.equal(broker.context.groups.has('unheard-of'), false, 'to ask for a group makes none');
  const all = JSON.parse(String((await invoke(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)).body));
  assert.equal(all.subscriptionGroupTable.g.retryMaxTimes, 3);
  assert.ok(all.subscriptionGroupTable.TOOLS_CONSUMER);
  broker.context.offsets.commit('g', 'T', 0, 5);
  await invoke(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'g' });
  assert.equal(broker.context.groups.has('g'), false);
  assert.equal(broker.context.offsets.query('g', 'T', 0), 5, 'offsets stay without cleanOffset');
  await invoke(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'g', cleanOffset: 'true' });
  assert.equal(broker.context.offsets.query('g', 'T', 0), -1);
});

test('topic and consumer statistics in the shape that mqadmin reads', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  for (let count = 0; count < 3; count++) await send(broker, 'Stat', 'x');
  await invoke(RequestCode.PULL_MESSAGE, pullFields('Stat', 0, { sysFlag: '5', commitOffset: '2' }));
  const raw = await invoke(RequestCode.GET_TOPIC_STATS_INFO, { topic: 'Stat' });
  assert.match(String(raw.body), /\{\{"brokerName":"broker-a","queueId":0,"topic":"Stat"\}:/);
  const stats = decodeTopicStatsTable(raw.body);
  assert.equal(stats.offsetTable.length, 4);
  const [first] = stats.offsetTable.filter(([queue]) => queue.queueId === 0);
  assert.equal(first?.[1].maxOffset, 3);
  assert.ok((first?.[1].lastUpdateTimestamp ?? 0) > 1_600_000_000_000);
  assert.ok(stats.topicPutTps > 0);
  const consumed = decodeConsumeStats(
    (await invoke(RequestCode.GET_CONSUME_STATS, { consumerGroup: 'consumers' })).body,
  );
  const [progress] = consumed.offsetTable.filter(([queue]) => queue.queueId === 0);
  assert.deepEqual([progress?.[1].brokerOffset, progress?.[1].consumerOffset, progress?.[1].pullOffset], [3, 2, 3]);
  assert.ok((progress?.[1].lastTimestamp ?? 0) > 0);
  const unknown = await invoke(RequestCode.GET_TOPIC_STATS_INFO, { topic: 'Nothing' });
  assert.equal(unknown.code, ResponseCode.TOPIC_NOT_EXIST);
  const span = await invoke(RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: 'Stat', group: 'consumers' });
  const spans = JSON.parse(String(span.body)).consumeTimeSpanSet;
  assert.equal(spans.length, 4);
  assert.ok(spans[0].maxTimeStamp >= spans[0].minTimeStamp && spans[0].minTimeStamp > 0);
  assert.equal(spans[1].maxTimeStamp, -1);
  const who = await invoke(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'Stat' });
  assert.deepEqual(JSON.parse(String(who.body)), { groupList: ['consumers'] });
  const data = await invoke(RequestCode.VIEW_BROKER_STATS_DATA, { statsName: 'TOPIC_PUT_NUMS', statsKey: 'Stat' });
  assert.equal(JSON.parse(String(data.body)).statsMinute.sum, 3);
  const none = await invoke(RequestCode.VIEW_BROKER_STATS_DATA, { statsName: 'TOPIC_PUT_NUMS', statsKey: 'None' });
  assert.equal(none.code, ResponseCode.SYSTEM_ERROR);
  const offsets = await invoke(RequestCode.GET_ALL_CONSUMER_OFFSET);
  assert.deepEqual(JSON.parse(String(offsets.body)).offsetTable, { 'Stat@consumers': { 0: 2 } });
});

test('runtime info holds what brokerStatus and clusterList print', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0));
  const table = decodeKVTable((await broker.invoke(RequestCode.GET_BROKER_RUNTIME_INFO)).body);
  for (const key of [
    'bootTimestamp',
    'runtime',
    'brokerVersionDesc',
    'brokerActive',
    'sendThreadPoolQueueSize',
    'sendThreadPoolQueueHeadWaitTimeMills',
    'pullThreadPoolQueueSize',
    'pullThreadPoolQueueHeadWaitTimeMills',
    'pageCacheLockTimeMills',
    'earliestMessageTimeStamp',
    'commitLogDiskRatio',
    'consumeQueueDiskRatio',
    'timerReadBehind',
    'timerOffsetBehind',
    'timerCongestNum',
    'timerEnqueueTps',
    'timerDequeueTps',
    'msgGetTotalTodayNow',
    'putMessageDistributeTime',
    'commitLogDirCapacity',
  ]) {
    assert.ok(table.has(key), key);
  }
  assert.equal(table.get('msgPutTotalTodayNow'), '1');
  assert.equal(table.get('msgGetTotalTodayNow'), '1');
  assert.equal(table.get('putTps')?.split(' ').length, 3);
  assert.ok(Number(table.get('putTps')?.split(' ')[0]) > 0);
  assert.equal(table.get('putMessageTimesTotal'), '1');
});

test('the configuration is read, and only what a running broker can take is changed', async (t) => {
  const { invoke, broker } = await startBroker(t);
  const read = decodeProperties(String((await invoke(RequestCode.GET_BROKER_CONFIG)).body));
  assert.equal(read.get('brokerName'), 'broker-a');
  assert.equal(read.get('flushDiskType'), 'ASYNC_FLUSH');
  const update = (body: string) => invoke(RequestCode.UPDATE_BROKER_CONFIG, undefined, body);
  assert.equal((await update('autoCreateTopicEnable=false\nbrokerPermission=4')).code, ResponseCode.SUCCESS);
  assert.equal(broker.config.autoCreateTopicEnable, false);
  const refused = await update('autoCreateTopicEnable=true\nflushDiskType=SYNC_FLUSH');
  assert.equal(refused.code, ResponseCode.NO_PERMISSION);
  assert.match(refused.remark ?? '', /flushDiskType can only be set at start; nothing was changed/);
  assert.equal(broker.config.autoCreateTopicEnable, false, 'all or none');
  const unknown = await update('noSuchKey=1');
  assert.equal(unknown.code, ResponseCode.NO_PERMISSION);
  assert.match(unknown.remark ?? '', /noSuchKey: there is no such key here; nothing was changed/);
  const beside = await update('noSuchKey=1\nbrokerPermission=6');
  assert.equal(beside.code, ResponseCode.SUCCESS);
  assert.equal(beside.remark, 'there is no such key here: noSuchKey');
  assert.equal(broker.config.brokerPermission, 6);
  const version = JSON.parse((await invoke(RequestCode.GET_BROKER_CONFIG)).extFields?.version ?? '');
  assert.equal(version.counter, 2, 'what was changed so far');
  assert.equal((await update('brokerPermission=lots')).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await update('autoCreateTopicEnable=perhaps')).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await update('')).code, ResponseCode.SYSTEM_ERROR);
});

test('who is connected, and questions passed on to a client', async (t) => {
  const { invoke, client, address, broker } = await startBroker(t);
  const beat = heartbeat('c1', { producers: ['p'], group: 'g', topic: 'T', tags: 'A' });
  await invoke(RequestCode.HEART_BEAT, undefined, beat);
  const consumers = decodeConsumerConnection(
    (await invoke(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'g' })).body,
  );
  assert.deepEqual(
    consumers.connectionSet.map(({ clientId }) => clientId),
    ['c1'],
  );
  assert.deepEqual(consumers.subscriptionTable.get('T')?.tagsSet, ['A']);
  assert.equal(consumers.messageModel, 'CLUSTERING');
  const producers = await invoke(RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: 'p' });
  assert.deepEqual(
    decodeProducerConnection(producers.body).map(({ clientId }) => clientId),
    ['c1'],
  );
  const offline = await invoke(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'nobody' });
  assert.equal(offline.code, ResponseCode.CONSUMER_NOT_ONLINE);
  assert.equal((await invoke(RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: 'nobody' })).code, 1);
  const { data } = JSON.parse(String((await invoke(RequestCode.GET_ALL_PRODUCER_INFO)).body));
  assert.match(data.p[0].remoteIP, /^\/127\.0\.0\.1:\d+$/, 'as Java writes a socket’s address');

  client.registerProcessor(RequestCode.GET_CONSUMER_RUNNING_INFO, (request) => ({
    ...request,
    code: ResponseCode.SUCCESS,
    flag: 1,
    extFields: undefined,
    body: Buffer.from(`running ${request.extFields?.jstackEnable}`),
  }));
  const asker = new RemotingClient();
  cleanUp(t, () => asker.close());
  const ask = (clientId: string) =>
    asker.invoke(
      address,
      createRequest(RequestCode.GET_CONSUMER_RUNNING_INFO, { consumerGroup: 'g', clientId, jstackEnable: 'true' }),
      5000,
    );
  const answer = await ask('c1');
  assert.equal(answer.code, ResponseCode.SUCCESS);
  assert.equal(String(answer.body), 'running true');
  assert.match((await ask('c2')).remark ?? '', /not online/);

  const left = await invoke(RequestCode.UNREGISTER_CLIENT, { clientID: 'c1', producerGroup: 'p', consumerGroup: 'g' });
  assert.equal(left.code, ResponseCode.SUCCESS);
  assert.equal(broker.context.consumers.group('g'), undefined);
  assert.equal(broker.context.producers.members('p'), undefined);
  assert.equal((await invoke(RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'g' })).code, 1);
});

test('a message is handed to a client to consume, with its record', async (t) => {
  const broker = await startBroker(t);
  const { invoke, client } = broker;
  const sent = await send(broker, 'T', 'direct');
  await invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c1', { group: 'g' }));
  let given: { fields: unknown; body: string } | undefined;
  client.registerProcessor(RequestCode.CONSUME_MESSAGE_DIRECTLY, (request) => {
    given = { fields: request.extFields, body: request.body?.toString('latin1') ?? '' };
    return { ...request, code: ResponseCode.SUCCESS, flag: 1, body: Buffer.from('{"consumeResult":"CR_SUCCESS"}') };
  });
  const fields = { consumerGroup: 'g', clientId: 'c1', msgId: sent.extFields?.msgId };
  const answer = await invoke(RequestCode.CONSUME_MESSAGE_DIRECTLY, fields);
  assert.equal(answer.code, ResponseCode.SUCCESS);
  assert.deepEqual(given?.fields, { ...fields, brokerName: 'broker-a', groupSysFlag: '0' });
  assert.match(given?.body ?? '', /direct/);
  await invoke(RequestCode.CONSUME_MESSAGE_DIRECTLY, { ...fields, topic: 'T' });
  assert.deepEqual(given?.fields, {
    ...fields,
    topic: 'T',
    brokerName: 'broker-a',
    topicSysFlag: '0',
    groupSysFlag: '0',
  });
});

test('a reset is committed, told to the next pull of each queue, and ignores late commits until then', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  for (let count = 0; count < 3; count++) await send(broker, 'T', 'x');
  await invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0, { sysFlag: '5', commitOffset: '3' }));
  const reset = (more: Record<string, string>) =>
    invoke(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, {
      topic: 'T',
      group: 'consumers',
      timestamp: '0',
      isForce: 'true',
      ...more,
    });
  assert.equal((await reset({ topic: 'None' })).code, ResponseCode.TOPIC_NOT_EXIST);
  assert.equal((await reset({ group: 'None' })).code, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  assert.equal((await reset({ queueId: '0', offset: '9' })).code, ResponseCode.SYSTEM_ERROR);
  const answer = await reset({});
  const entries = javaMapEntries((parseJavaJsonBody(answer.body) as { offsetTable: unknown }).offsetTable);
  assert.equal(entries.length, 4);
  const update = { consumerGroup: 'consumers', topic: 'T', queueId: '0', commitOffset: '3' };
  const late = await invoke(RequestCode.UPDATE_CONSUMER_OFFSET, update);
  assert.equal(late.remark, 'Offset has been previously reset');
  const query = { consumerGroup: 'consumers', topic: 'T', queueId: '0' };
  assert.equal((await invoke(RequestCode.QUERY_CONSUMER_OFFSET, query)).extFields?.offset, '0');
  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields('T', 3));
  assert.deepEqual([pulled.code, pulled.remark], [ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_RESET']);
  assert.equal(pulled.extFields?.nextBeginOffset, '0');
  assert.equal((await invoke(RequestCode.PULL_MESSAGE, pullFields('T', 3))).remark, 'OFFSET_OVERFLOW_ONE');
  await invoke(RequestCode.UPDATE_CONSUMER_OFFSET, update);
  assert.equal((await invoke(RequestCode.QUERY_CONSUMER_OFFSET, query)).extFields?.offset, '3');
  const one = await reset({ queueId: '0', offset: '2' });
  assert.equal(one.code, ResponseCode.SUCCESS);
  assert.equal((await invoke(RequestCode.PULL_MESSAGE, pullFields('T', 3))).extFields?.nextBeginOffset, '2');
});

test('offsets of queues and messages by key and id', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  await send(broker, 'Q', 'one', property('KEYS', 'k1 k2') + property('UNIQ_KEY', 'U1') + property('TAGS', 'TagA'));
  const second = await send(broker, 'Q', 'two', property('KEYS', 'k2'));
  const queue = { topic: 'Q', queueId: '0' };
  const offset = async (code: number, more = {}) => (await invoke(code, { ...queue, ...more })).extFields?.offset;
  assert.equal(await offset(RequestCode.GET_MAX_OFFSET), '2');
  assert.equal(await offset(RequestCode.GET_MIN_OFFSET), '0');
  assert.equal(await offset(RequestCode.GET_MAX_OFFSET, { queueId: '3' }), '0');
  assert.equal(await offset(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { timestamp: '0' }), '0');
  const later = { timestamp: String(Date.now() + 60_000) };
  assert.equal(await offset(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, later), '2');
  assert.equal(await offset(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...later, boundaryType: 'upper' }), '1');
  assert.equal((await invoke(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, queue)).code, ResponseCode.INVALID_PARAMETER);
  const earliest = await invoke(RequestCode.GET_EARLIEST_MSG_STORETIME, queue);
  assert.ok(Number(earliest.extFields?.timestamp) > 1_600_000_000_000);
  const none = await invoke(RequestCode.GET_EARLIEST_MSG_STORETIME, { topic: 'Q', queueId: '9' });
  assert.equal(none.extFields?.timestamp, '-1');

  // mqadmin asks with Java's Long.MAX_VALUE for "until now".
  const times = { beginTimestamp: '0', endTimestamp: '9223372036854775807' };
  const byKey = (key: string, more = {}) =>
    invoke(RequestCode.QUERY_MESSAGE, { topic: 'Q', key, maxNum: '32', ...times, ...more });
  assert.match(String((await byKey('k2')).body), /one[\s\S]*two/, 'in the order of the log, as Apache answers');
  const newest = String((await byKey('k2', { maxNum: '1' })).body);
  assert.match(newest, /two/);
  assert.doesNotMatch(newest, /one/);
  for (const indexType of ['K', 'U', 'other', '']) {
    assert.match(String((await byKey('k1', { indexType })).body), /one/, `indexType ${indexType} is a key`);
    assert.equal((await byKey('TagA', { indexType })).code, ResponseCode.QUERY_NOT_FOUND, indexType);
  }
  assert.equal((await byKey('T#TagA')).code, ResponseCode.QUERY_NOT_FOUND, 'what a tag is filed under is no key');
  const byTag = String((await byKey('TagA', { indexType: 'T', lastKey: 'ignored' })).body);
  assert.match(byTag, /one/);
  assert.doesNotMatch(byTag, /two/);
  assert.equal((await byKey('k1', { indexType: 'T' })).code, ResponseCode.QUERY_NOT_FOUND, 'a key is no tag');
  const unique = await byKey('TagA', { indexType: 'T', _UNIQUE_KEY_QUERY: 'true' });
  assert.equal(unique.code, ResponseCode.QUERY_NOT_FOUND, '_UNIQUE_KEY_QUERY counts before indexType');
  assert.match(String((await byKey('U1', { _UNIQUE_KEY_QUERY: 'true', maxNum: undefined })).body), /one/);
  const missing = await byKey('k9');
  assert.equal(missing.code, ResponseCode.QUERY_NOT_FOUND);
  assert.ok(missing.extFields?.indexLastUpdatePhyoffset !== undefined);

  const place = Number.parseInt(second.extFields?.msgId?.slice(16) ?? '', 16);
  assert.match(String((await invoke(RequestCode.VIEW_MESSAGE_BY_ID, { offset: String(place) })).body), /two/);
  for (const wrong of [place + 1, 10_000_000, -5]) {
    const answer = await invoke(RequestCode.VIEW_MESSAGE_BY_ID, { offset: String(wrong) });
    assert.equal(answer.code, ResponseCode.SYSTEM_ERROR, String(wrong));
  }
});

test('consumer offsets: a young queue begins at 0, setZeroIfNotFound=false and unknown ones are not found', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  await send(broker, 'T', 'x');
  const query = (more = {}) =>
    invoke(RequestCode.QUERY_CONSUMER_OFFSET, { consumerGroup: 'new', topic: 'T', queueId: '0', ...more });
  assert.equal((await query()).extFields?.offset, '0');
  assert.equal((await query({ setZeroIfNotFound: 'false' })).code, ResponseCode.QUERY_NOT_FOUND);
  assert.equal((await query({ queueId: '3' })).code, ResponseCode.QUERY_NOT_FOUND, 'an empty queue has no beginning');
  const update = (more = {}) =>
    invoke(RequestCode.UPDATE_CONSUMER_OFFSET, {
      consumerGroup: 'TOOLS_CONSUMER',
      topic: 'T',
      queueId: '0',
      commitOffset: '7',
      ...more,
    });
  assert.equal((await update()).code, ResponseCode.SUCCESS);
  assert.equal((await update({ consumerGroup: 'unknown' })).code, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  assert.equal((await update({ topic: 'Unknown' })).code, ResponseCode.TOPIC_NOT_EXIST);
  assert.equal((await update({ commitOffset: undefined })).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await update({ commitOffset: '3' })).code, ResponseCode.SUCCESS, 'going back is allowed');
});

test('a client asks whether its filter is understood', async (t) => {
  const { invoke } = await startBroker(t);
  const check = (subscriptionData: unknown) =>
    invoke(RequestCode.CHECK_CLIENT_CONFIG, undefined, JSON.stringify({ clientId: 'c', group: 'g', subscriptionData }));
  assert.equal((await check({ topic: 'T', subString: 'A || B', expressionType: 'TAG' })).code, ResponseCode.SUCCESS);
  assert.equal((await check({ topic: 'T', subString: '||' })).code, ResponseCode.SUBSCRIPTION_PARSE_FAILED);
  assert.equal((await check({ topic: 'T', subString: 'a > 1', expressionType: 'SQL92' })).code, ResponseCode.SUCCESS);
  assert.equal(
    (await check({ topic: 'T', subString: 'a > 1', expressionType: 'XPATH' })).code,
    ResponseCode.SYSTEM_ERROR,
  );
  assert.equal((await check(undefined)).code, ResponseCode.SUCCESS);
});

test('orderly locks: the holder keeps it, the other waits, unlocking frees only one’s own', async (t) => {
  const { invoke } = await startBroker(t);
  const mqSet = [0, 1].map((queueId) => ({ topic: 'T', brokerName: 'broker-a', queueId }));
  const ask = async (code: number, clientId: string) => {
    const body = JSON.stringify({ consumerGroup: 'g', clientId, onlyThisBroker: true, mqSet });
    const answer = await invoke(code, undefined, body);
    return answer.body === undefined ? undefined : JSON.parse(String(answer.body)).lockOKMQSet.length;
  };
  assert.equal(await ask(RequestCode.LOCK_BATCH_MQ, 'a'), 2);
  assert.equal(await ask(RequestCode.LOCK_BATCH_MQ, 'b'), 0);
  await ask(RequestCode.UNLOCK_BATCH_MQ, 'b');
  assert.equal(await ask(RequestCode.LOCK_BATCH_MQ, 'b'), 0);
  assert.equal(await ask(RequestCode.LOCK_BATCH_MQ, 'a'), 2);
  await ask(RequestCode.UNLOCK_BATCH_MQ, 'a');
  assert.equal(await ask(RequestCode.LOCK_BATCH_MQ, 'b'), 2);
  assert.equal((await invoke(RequestCode.LOCK_BATCH_MQ, undefined, 'nonsense')).code, ResponseCode.INVALID_PARAMETER);
});
