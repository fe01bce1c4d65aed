import assert from 'node:assert/strict';
import { test } from 'node:test';
import { javaMapEntries, parseJavaJsonBody, RequestCode, ResponseCode } from '@vernier/remoting';
import { heartbeat, pullFields, send, startBroker, withStore } from '../harness.ts';

const topicFields = (topic: string, queues: number, more: Record<string, string> = {}) => ({
  topic,
  defaultTopic: 'TBW102',
  readQueueNums: String(queues),
  writeQueueNums: String(queues),
  perm: '6',
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: '0',
  order: 'false',
  ...more,
});

interface BrokerConsumeStats {
  brokerAddr: string;
  consumeStatsList: Record<string, { consumeTps: number; offsetTable: unknown }[]>[];
  totalDiff: number;
  totalInflightDiff: number;
}

test('GET_BROKER_CONSUME_STATS shows each group’s progress in its topics, or in the ordered ones alone', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields('Plain', 2));
  await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields('Ordered', 1, { order: 'true' }));
  for (const topic of ['Plain', 'Plain', 'Ordered']) await send(broker, topic, 'x');
  await invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { group: 'g' }));
  await invoke(RequestCode.UNREGISTER_CLIENT, { clientID: 'c1', consumerGroup: 'g' });
  const commit = (topic: string, commitOffset: string) =>
    invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { consumerGroup: 'g', topic, queueId: '0', commitOffset });
  await commit('Plain', '1');
  await commit('Ordered', '1');
  await invoke(RequestCode.PULL_MESSAGE, pullFields('Plain', 1, { consumerGroup: 'g' }));

  const ask = async (isOrder: string): Promise<BrokerConsumeStats> =>
    parseJavaJsonBody(
      (await invoke(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder })).body,
    ) as unknown as BrokerConsumeStats;
  const of = (stats: BrokerConsumeStats, group: string) =>
    stats.consumeStatsList.find((entry) => group in entry)?.[group];
  const all = await ask('false');
  assert.equal(all.brokerAddr, broker.address);
  const rows = (of(all, 'g') ?? []).flatMap(({ offsetTable }) =>
    javaMapEntries(offsetTable).map(([queue, progress]) => {
      const { topic, queueId } = queue as { topic: string; queueId: number };
      const { brokerOffset, consumerOffset, pullOffset, lastTimestamp } = progress as Record<string, number>;
      return [topic, queueId, brokerOffset, consumerOffset, pullOffset, (lastTimestamp ?? 0) > 0];
    }),
  );
  assert.deepEqual(rows.sort(), [
    ['Ordered', 0, 1, 1, 1, true],
    ['Plain', 0, 2, 1, 2, true],
    ['Plain', 1, 0, 0, 0, false],
  ]);
  assert.deepEqual([all.totalDiff, all.totalInflightDiff], [1, 1]);
  assert.deepEqual(of(all, 'TOOLS_CONSUMER'), [], 'a group without offsets is there');

  const ordered = await ask('true');
  assert.equal(of(ordered, 'g')?.length, 1);
  assert.equal(ordered.totalDiff, 0);
  assert.equal((await invoke(RequestCode.GET_BROKER_CONSUME_STATS)).code, ResponseCode.INVALID_PARAMETER);
});

test('an online group’s offsets in a topic that it does not subscribe to are left out', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Old', 'x');
  await send(broker, 'New', 'x');
  await broker.invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { group: 'g', topic: 'New' }));
  for (const topic of ['Old', 'New']) {
    const fields = { consumerGroup: 'g', topic, queueId: '0', commitOffset: '0' };
    await broker.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, fields);
  }
  const response = await broker.invoke(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: 'false' });
  assert.ok(!String(response.body).includes('"topic":"Old"'));
  assert.ok(String(response.body).includes('"topic":"New"'));
});

/** A topic may have eight times as many. */
const WIDE = 8_192;

test('long answers leave the event loop to the others', async (t) => {
  // Each queue has a message whose time is found without a wait: the worst case for the loop.
  let lookups = 0;
  const lookUp = (): Promise<number> => {
    lookups++;
    return Promise.resolve(1_700_000_000_000);
  };
  const deps = withStore((store) => {
    store.getMaxOffsetInQueue = () => 5;
    store.getMessageStoreTimeStamp = lookUp;
    store.getEarliestMessageTime = lookUp;
  });
  const broker = await startBroker(t, { deps });
  const { invoke } = broker;
  await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields('Wide', WIDE));
  await invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { group: 'g', topic: 'Wide' }));
  for (let queueId = 0; queueId < WIDE; queueId++) broker.broker.context.offsets.commit('g', 'Wide', queueId, 1);
  const long: [number, Record<string, string>][] = [
    [RequestCode.GET_TOPIC_STATS_INFO, { topic: 'Wide' }],
    [RequestCode.GET_CONSUME_STATS, { consumerGroup: 'g', topic: 'Wide' }],
    [RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: 'false' }],
    [RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: 'Wide', group: 'g' }],
  ];
  for (const [code, fields] of long) {
    let isDone = false;
    const answer = invoke(code, fields).then((response) => {
      isDone = true;
      return response;
    });
    lookups = 0;
    let before = 0;
    let atOnce = 0;
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      atOnce = Math.max(atOnce, lookups - before);
      before = lookups;
    }
    const { code: status, body } = await answer;
    assert.equal(status, ResponseCode.SUCCESS, `request ${code}`);
    assert.equal(String(body).split('"queueId"').length - 1, WIDE, `request ${code}`);
    assert.ok(lookups >= WIDE, `request ${code}: ${lookups} lookups`);
    assert.ok(atOnce < lookups / 2, `request ${code}: ${atOnce} of ${lookups} lookups in one turn of the loop`);
  }
});

test('GET_ALL_CONSUMER_OFFSET changes nothing: not the version, and not by being asked again', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  await broker.invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { group: 'g', topic: 'T' }));
  const commit = (commitOffset: string) =>
    broker.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { consumerGroup: 'g', topic: 'T', queueId: '0', commitOffset });
  const ask = async () => JSON.parse(String((await broker.invoke(RequestCode.GET_ALL_CONSUMER_OFFSET)).body));
  await commit('1');
  const first = await ask();
  assert.deepEqual(first.offsetTable, { 'T@g': { 0: 1 } });
  assert.deepEqual(await ask(), first);
  assert.deepEqual(broker.broker.context.offsets.dataVersion, first.dataVersion);
  await commit('0');
  const second = await ask();
  assert.notDeepEqual(second.dataVersion, first.dataVersion, 'other content under the same version');
  assert.deepEqual(second.offsetTable, { 'T@g': { 0: 0 } });
});
