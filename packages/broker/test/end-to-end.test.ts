import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  createRequest,
  decodeRecords,
  FLAG_ONEWAY,
  RemotingClient,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { heartbeat, property, pullFields, send, sendFields, startBroker, type TestBroker } from './harness.ts';
import { createBatchSendRequest, createSendRequest, fetchTopicRoute } from './requests.ts';

const bodiesOf = (body: Buffer | undefined): string[] =>
  decodeRecords(body ?? Buffer.alloc(0)).map((record) => record.body.toString());

test('a message sent is pulled with its body, properties and place', async (t) => {
  const broker = await startBroker(t);
  const sent = await send(broker, 'Orders', 'first', property('TAGS', 'A') + property('UNIQ_KEY', 'U1'));
  assert.equal(sent.code, ResponseCode.SUCCESS);
  assert.equal(sent.extFields?.queueId, '0');
  assert.equal(sent.extFields?.queueOffset, '0');
  assert.equal(sent.extFields?.transactionId, 'U1');
  assert.equal(sent.extFields?.MSG_REGION, 'DefaultRegion');
  assert.equal(sent.extFields?.TRACE_ON, 'true');
  assert.match(sent.extFields?.msgId ?? '', /^[0-9A-F]{32}$/);

  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Orders', 0));
  assert.equal(pulled.code, ResponseCode.SUCCESS);
  assert.equal(pulled.remark, 'FOUND');
  assert.equal(pulled.extFields?.nextBeginOffset, '1');
  assert.equal(pulled.extFields?.minOffset, '0');
  assert.equal(pulled.extFields?.maxOffset, '1');
  assert.equal(pulled.extFields?.suggestWhichBrokerId, '0');
  const [record] = decodeRecords(pulled.body as Buffer);
  assert.equal(record?.body.toString(), 'first');
  assert.equal(record?.topic, 'Orders');
  const properties = record?.properties;
  assert.equal(properties?.get('TAGS'), 'A');
  assert.equal(properties?.get('UNIQ_KEY'), 'U1');
  assert.equal(properties?.get('CLUSTER'), 'DefaultCluster');
  assert.equal(properties?.get('MSG_REGION'), 'DefaultRegion');
  assert.equal(properties?.get('TRACE_ON'), 'true');
});

test('a topic is made by the first send and routed before the answer', async (t) => {
  const broker = await startBroker(t);
  assert.equal((await send(broker, 'Fresh', 'x')).code, ResponseCode.SUCCESS);
  const route = await fetchTopicRoute(broker.client, broker.namesrv.address, 'Fresh');
  assert.equal(route?.queueDatas.length, 1);
  assert.equal(route?.queueDatas[0]?.writeQueueNums, 4, 'what the producer asked for, below the 8 of TBW102');
  assert.equal(route?.queueDatas[0]?.perm, 6);
  assert.equal(route?.brokerDatas[0]?.brokerAddrs.get(0), broker.address);
});

test('an old SEND_MESSAGE with its long names is stored like the new one', async (t) => {
  const broker = await startBroker(t);
  const sent = await broker.invoke(
    RequestCode.SEND_MESSAGE,
    {
      producerGroup: 'p',
      topic: 'Old',
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: '4',
      queueId: '3',
      sysFlag: '0',
      bornTimestamp: '1700000000000',
      flag: '7',
      properties: property('KEYS', 'k1'),
      reconsumeTimes: '0',
      unitMode: 'false',
    },
    'old',
  );
  assert.equal(sent.code, ResponseCode.SUCCESS);
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Old', 0, { queueId: '3' }));
  const [record] = decodeRecords(pulled.body as Buffer);
  assert.equal(record?.flag, 7);
  assert.equal(record?.bornTimestamp, 1_700_000_000_000);
  assert.equal(record?.properties.get('KEYS'), 'k1');
  assert.match(
    record?.properties.get('UNIQ_KEY') ?? '',
    /^[0-9A-F]{32}$/,
    'made by the broker when the producer has none',
  );
});

test('a batch is stored as ordinary records with consecutive offsets and answered with all ids', async (t) => {
  const { client, address, invoke } = await startBroker(t);
  const messages = ['a', 'b', 'c'].map((body) => ({ body: Buffer.from(body), properties: [['TAGS', 'T']] as const }));
  const answer = await client.invoke(address, createBatchSendRequest({ topic: 'Batch', queueId: 1 }, messages), 5000);
  assert.equal(answer.code, ResponseCode.SUCCESS);
  assert.equal(answer.extFields?.queueOffset, '0');
  const ids = answer.extFields?.msgId?.split(',') ?? [];
  assert.equal(new Set(ids).size, 3);
  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields('Batch', 0, { queueId: '1' }));
  assert.deepEqual(bodiesOf(pulled.body), ['a', 'b', 'c']);
  for (const [index, id] of ids.entries()) {
    const offset = Number.parseInt(id.slice(16), 16);
    const record = await invoke(RequestCode.VIEW_MESSAGE_BY_ID, { offset: String(offset) });
    assert.deepEqual(bodiesOf(record.body), [['a', 'b', 'c'][index]]);
  }
});

test('a oneway send is stored and never answered, not even when it is refused', async (t) => {
  const { broker, client, address, invoke } = await startBroker(t);
  const connection = await client.connection(address);
  const request = createSendRequest({ topic: 'Oneway', queueId: 0 }, { body: Buffer.from('quiet') });
  const refused = createSendRequest({ topic: 'bad topic', queueId: 0 }, { body: Buffer.from('x') });
  const arrived = once(broker.store, 'arrived');
  connection.invokeOneway({ ...request, flag: FLAG_ONEWAY });
  connection.invokeOneway({ ...refused, flag: FLAG_ONEWAY });
  await arrived;
  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields('Oneway', 0));
  assert.deepEqual(bodiesOf(pulled.body), ['quiet']);
  assert.equal(connection.closed, false);
});

test('a held pull is answered when a message comes, and only by one it matches', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Held', 'zero', property('TAGS', 'A'));
  const more = { sysFlag: '6', suspendTimeoutMillis: '15000', subscription: 'B' };
  const pulling = broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Held', 1, more));
  while (broker.broker.context.holds.count === 0) await new Promise((resolve) => setImmediate(resolve));
  await send(broker, 'Held', 'one', property('TAGS', 'A'));
  assert.equal(broker.broker.context.holds.count, 1, 'tag A does not wake a pull for B');
  await send(broker, 'Held', 'other queue', property('TAGS', 'B'), 1);
  assert.equal(broker.broker.context.holds.count, 1, 'another queue does not wake it');
  await send(broker, 'Held', 'two', property('TAGS', 'B'));
  const pulled = await pulling;
  assert.equal(pulled.code, ResponseCode.SUCCESS);
  assert.deepEqual(bodiesOf(pulled.body), ['two']);
  assert.equal(pulled.extFields?.nextBeginOffset, '3');
  assert.equal(broker.broker.context.holds.count, 0);
});

test('a held pull is answered with PULL_NOT_FOUND when its time is up', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Patience', 'x');
  const more = { sysFlag: '6', suspendTimeoutMillis: '10' };
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Patience', 1, more));
  assert.equal(pulled.code, ResponseCode.PULL_NOT_FOUND);
  assert.equal(pulled.remark, 'OFFSET_OVERFLOW_ONE');
});

test('a closed connection takes its held pulls with it', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Gone', 'x');
  const other = new RemotingClient();
  cleanUp(t, () => other.close());
  const request = createRequest(
    RequestCode.PULL_MESSAGE,
    pullFields('Gone', 1, { sysFlag: '6', suspendTimeoutMillis: '60000' }),
  );
  const pulling = assert.rejects(other.invoke(broker.address, request, 20_000));
  while (broker.broker.context.holds.count === 0) await new Promise((resolve) => setImmediate(resolve));
  (await other.connection(broker.address)).destroy('test');
  await pulling;
  while (broker.broker.context.holds.count > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(broker.broker.context.holds.count, 0);
});

test('tags are filtered on the broker', async (t) => {
  const broker = await startBroker(t);
  for (const tag of ['A', 'B', 'C', 'A']) await send(broker, 'Tagged', tag, property('TAGS', tag));
  const some = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Tagged', 0, { subscription: 'A || C' }));
  assert.deepEqual(bodiesOf(some.body), ['A', 'C', 'A']);
  const none = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Tagged', 0, { subscription: 'Z' }));
  assert.equal(none.code, ResponseCode.PULL_RETRY_IMMEDIATELY);
  assert.equal(none.remark, 'NO_MATCHED_MESSAGE');
  assert.equal(none.extFields?.nextBeginOffset, '4');
});

test('members of a group are told when one joins and when one leaves', async (t) => {
  const { client, address } = await startBroker(t);
  const told: string[] = [];
  let wake = (): void => {};
  client.registerProcessor(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, (request) => {
    told.push(request.extFields?.consumerGroup ?? '');
    wake();
    return undefined;
  });
  const toldTimes = async (times: number): Promise<void> => {
    while (told.length < times) await new Promise<void>((resolve) => (wake = resolve));
  };
  const beat = (who: RemotingClient, id: string) =>
    who.invoke(address, createRequest(RequestCode.HEART_BEAT, undefined, heartbeat(id, { group: 'g' })), 5000);
  const first = await beat(client, 'one');
  assert.equal(first.extFields?.IS_SUPPORT_HEART_BEAT_V2, 'true');
  await toldTimes(1);
  await beat(client, 'one');
  const other = new RemotingClient();
  cleanUp(t, () => other.close());
  await beat(other, 'two');
  await toldTimes(2);
  const list = await client.invoke(
    address,
    createRequest(RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'g' }),
    5000,
  );
  assert.deepEqual(JSON.parse(String(list.body)), { consumerIdList: ['one', 'two'] });
  await other.close();
  await toldTimes(3);
  assert.deepEqual(told, ['g', 'g', 'g'], 'an unchanged heartbeat tells nobody');
});

test('notifyConsumerIdsChangedEnable off, of the broker or of a group: its members are not told', async (t) => {
  const { client, invoke, broker } = await startBroker(t);
  const told: string[] = [];
  client.registerProcessor(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, (request) => {
    told.push(request.extFields?.consumerGroup ?? '');
    return undefined;
  });
  const join = async (group: string) => {
    await invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group }));
    // A notice would come before the answers to these.
    for (let count = 0; count < 3; count++)
      await invoke(RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: group });
  };
  await join('told');
  const silent = '{"groupName":"silent","notifyConsumerIdsChangedEnable":false}';
  await invoke(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, undefined, silent);
  await join('silent');
  await invoke(RequestCode.UPDATE_BROKER_CONFIG, undefined, 'notifyConsumerIdsChangedEnable=false');
  assert.equal(broker.context.config.notifyConsumerIdsChangedEnable, false);
  await join('any');
  assert.deepEqual(told, ['told']);
});

test('messages, topics, groups and offsets survive a restart, with the port of message ids', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const first = await startBroker(t, { directory });
  const sent = await send(first, 'Kept', 'kept');
  await first.invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'consumers', topic: 'Kept' }));
  const update = { consumerGroup: 'consumers', topic: 'Kept', queueId: '0', commitOffset: '1' };
  assert.equal((await first.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, update)).code, ResponseCode.SUCCESS);
  const { port } = first.broker.context.hosts.storeHost;
  await first.client.close();
  await first.broker.shutdown();

  for (const name of ['topics.json', 'subscriptionGroup.json', 'consumerOffset.json']) {
    JSON.parse(await readFile(join(directory, 'config', name), 'utf8'));
  }
  const second = await startBroker(t, { directory });
  assert.equal(second.broker.context.hosts.storeHost.port, port);
  const query = { consumerGroup: 'consumers', topic: 'Kept', queueId: '0' };
  const offset = await second.invoke(RequestCode.QUERY_CONSUMER_OFFSET, query);
  assert.equal(offset.extFields?.offset, '1');
  const pulled = await second.invoke(RequestCode.PULL_MESSAGE, pullFields('Kept', 0));
  assert.deepEqual(bodiesOf(pulled.body), ['kept']);
  const again = await send(second, 'Kept', 'again');
  assert.equal(again.extFields?.msgId?.slice(0, 16), sent.extFields?.msgId?.slice(0, 16));
  assert.equal(second.broker.context.topics.select('Kept')?.writeQueueNums, 4);
  assert.ok(second.broker.context.topics.select('%RETRY%consumers'));
});

test('message ids keep their port when it is taken at a restart', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const first = await startBroker(t, { directory });
  const { hosts } = first.broker.context;
  assert.equal(hosts.storeHost.port, hosts.port);
  await first.broker.shutdown();
  await startBroker(t, { broker: { listenPort: hosts.port } });
  const second = await startBroker(t, { directory });
  assert.equal(second.broker.context.hosts.storeHost.port, hosts.port);
  assert.notEqual(second.broker.context.hosts.port, hosts.port);
  const sent = await send(second, 'T', 'x');
  assert.equal(Number.parseInt(sent.extFields?.msgId?.slice(8, 16) ?? '', 16), hosts.port);
});

test('a topic whose entry in topics.json was lost is restored from its queues', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const first = await startBroker(t, { directory });
  await send(first, 'Lost', 'x', '', 2);
  first.broker.context.topics.table.delete('Lost');
  await first.broker.context.metadata.topics.save();
  await first.broker.shutdown();
  const second = await startBroker(t, { directory });
  assert.equal(second.broker.context.topics.select('Lost')?.readQueueNums, 3);
  const pulled = await second.invoke(RequestCode.PULL_MESSAGE, pullFields('Lost', 0, { queueId: '2' }));
  assert.deepEqual(bodiesOf(pulled.body), ['x']);
});

test('a topic from which an operator took queues away keeps the fewer over a restart, and the messages that were in them', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const first = await startBroker(t, { directory });
  const resize = (queues: string) =>
    first.invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, {
      topic: 'Shrunk',
      readQueueNums: queues,
      writeQueueNums: queues,
      perm: '6',
      topicFilterType: 'SINGLE_TAG',
      topicSysFlag: '0',
      order: 'false',
    });
  assert.equal((await resize('8')).code, ResponseCode.SUCCESS);
  for (let queueId = 0; queueId < 8; queueId++) await send(first, 'Shrunk', `in ${queueId}`, '', queueId);
  assert.equal((await resize('2')).code, ResponseCode.SUCCESS);
  await first.broker.shutdown();
  for (let restart = 0; restart < 2; restart++) {
    const again = await startBroker(t, { directory });
    const { readQueueNums, writeQueueNums } = again.broker.context.topics.select('Shrunk')!;
    assert.deepEqual([readQueueNums, writeQueueNums], [2, 2]);
    assert.equal((await send(again, 'Shrunk', 'x', '', 5)).code, ResponseCode.INVALID_PARAMETER);
    const { records } = await again.broker.store.getMessage('g', 'Shrunk', 7, 0, 1);
    assert.match(String(records[0]), /in 7/);
    await again.broker.shutdown();
  }
});

/** What a killed broker would leave: the files as they are now, with no table half written. */
async function afterKill(t: TestContext, { broker, directory }: TestBroker): Promise<string> {
  const copy = await temporaryFolder(t, 'broker');
  for (const table of [broker.context.metadata.topics, broker.context.metadata.groups]) await table.save();
  await cp(directory, copy, { recursive: true, filter: (path) => !path.endsWith('tmp') });
  return copy;
}

test('a topic is deleted and remade, then the broker is killed: the new messages are there, the old ones are not', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const first = await startBroker(t, { directory, store: { flushDiskType: 'SYNC_FLUSH' } });
  for (let i = 0; i < 5; i++) await send(first, 'Remade', `old${i}`);
  await send(first, 'Gone', 'old');
  const commit = { consumerGroup: 'consumers', topic: 'Remade', queueId: '0', commitOffset: '5' };
  await first.invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'consumers', topic: 'Remade' }));
  assert.equal((await first.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, commit)).code, ResponseCode.SUCCESS);
  for (const topic of ['Remade', 'Gone']) {
    assert.equal((await first.invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })).code, ResponseCode.SUCCESS);
  }
  const atOnce = await afterKill(t, first);
  await send(first, 'Remade', 'new0');
  const afterOne = await afterKill(t, first);
  for (const body of ['new1', 'new2']) await send(first, 'Remade', body);
  const afterThree = await afterKill(t, first);

  for (const [left, bodies] of [
    [atOnce, []],
    [afterOne, ['new0']],
    [afterThree, ['new0', 'new1', 'new2']],
  ] as const) {
    const second = await startBroker(t, { directory: left });
    assert.equal(second.broker.context.topics.select('Gone'), undefined);
    assert.equal(second.broker.context.offsets.query('consumers', 'Remade', 0), -1);
    const pulled = await second.invoke(RequestCode.PULL_MESSAGE, pullFields('Remade', 0));
    if (bodies.length === 0) assert.equal(pulled.code, ResponseCode.TOPIC_NOT_EXIST);
    else assert.deepEqual(bodiesOf(pulled.body), bodies);
    const sent = await send(second, 'Remade', 'next');
    assert.equal(sent.extFields?.queueOffset, String(bodies.length));
  }
});

test('a deletion that the disk refuses leaves the topic and its messages', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  const { store, topics } = broker.broker.context;
  const { deleteTopic } = store;
  store.deleteTopic = () => Promise.reject(new Error('no room'));
  const refused = await broker.invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'T' });
  assert.equal(refused.code, ResponseCode.SYSTEM_ERROR);
  assert.equal(topics.select('T')?.writeQueueNums, 4);
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0));
  assert.deepEqual(bodiesOf(pulled.body), ['x']);
  store.deleteTopic = deleteTopic;
  assert.equal((await broker.invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'T' })).code, ResponseCode.SUCCESS);
});

test('offset boundaries: below, at and beyond the end', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Bounds', 'x');
  const pull = (offset: number, more = {}) =>
    broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Bounds', offset, more));
  const cases: [Promise<{ code: number; remark: string | undefined }>, number, string][] = [
    [pull(1), ResponseCode.PULL_NOT_FOUND, 'OFFSET_OVERFLOW_ONE'],
    [pull(2), ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_OVERFLOW_BADLY'],
    [pull(-1), ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_TOO_SMALL'],
    [pull(0, { queueId: '3' }), ResponseCode.PULL_NOT_FOUND, 'NO_MATCHED_LOGIC_QUEUE'],
    [pull(5, { queueId: '3' }), ResponseCode.PULL_OFFSET_MOVED, 'NO_MATCHED_LOGIC_QUEUE'],
  ];
  for (const [answer, code, remark] of cases) {
    const { code: got, remark: said } = await answer;
    assert.deepEqual([got, said], [code, remark]);
  }
});

test('an unknown request code is answered with REQUEST_CODE_NOT_SUPPORTED', async (t) => {
  const { invoke } = await startBroker(t);
  const answer = await invoke(987_654);
  assert.equal(answer.code, ResponseCode.REQUEST_CODE_NOT_SUPPORTED);
  assert.equal(answer.remark, ' request type 987654 not supported');
});

test('a broker registers with a nameserver of another process, over the wire, and leaves it at its shutdown', async (t) => {
  const outside = await startBroker(t);
  const { broker } = await startBroker(t, {
    broker: { brokerName: 'broker-b', namesrvAddr: outside.namesrv.address },
  });
  await broker.routable;
  const route = () => fetchTopicRoute(outside.client, outside.namesrv.address, 'TBW102');
  assert.deepEqual((await route())?.brokerDatas.map(({ brokerName }) => brokerName).sort(), ['broker-a', 'broker-b']);
  await broker.shutdown();
  assert.deepEqual(
    (await route())?.brokerDatas.map(({ brokerName }) => brokerName),
    ['broker-a'],
  );
});

test('a shutdown answers what is in flight and then refuses connections', async (t) => {
  const { broker, client, address } = await startBroker(t, { store: { flushDiskType: 'SYNC_FLUSH' } });
  const warm = createSendRequest({ topic: 'Last', queueId: 0 }, { body: Buffer.from('warm') });
  assert.equal((await client.invoke(address, warm, 5_000)).code, ResponseCode.SUCCESS);
  const sending = client.invoke(
    address,
    createRequest(RequestCode.SEND_MESSAGE_V2, sendFields('Last'), Buffer.from('last')),
    5000,
  );
  await once(broker.store, 'arrived');
  const [answer] = await Promise.all([sending, broker.shutdown()]);
  assert.equal(answer.code, ResponseCode.SUCCESS);
  await assert.rejects(client.invoke(address, createRequest(RequestCode.GET_BROKER_RUNTIME_INFO), 2000));
});
