import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { heartbeat, property, pullFields, send, startBroker, withStore } from '../harness.ts';

const bodyOf = (response: { body: Buffer | undefined }): unknown => JSON.parse(String(response.body));

test('QUERY_CONSUME_QUEUE shows the entries as they stand, from an index on and no more than asked for', async (t) => {
  const broker = await startBroker(t);
  for (const tag of ['a', 'b', 'c']) await send(broker, 'T', 'x', property('TAGS', tag));
  const query = (more: Record<string, string> = {}) =>
    broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, { topic: 'T', queueId: '0', index: '1', count: '10', ...more });
  const store = broker.broker.store;
  const entries = await store.queueEntries('T', 0, 0, 10);
  assert.deepEqual(
    entries?.map(({ tagsCode }) => tagsCode),
    ['a', 'b', 'c'].map((tag) => tag.charCodeAt(0)),
  );
  const shown = (entries ?? []).map(({ commitLogOffset, size, tagsCode }) => ({
    eval: false,
    physicOffset: commitLogOffset,
    physicSize: size,
    tagsCode,
  }));
  assert.equal(shown[0]?.physicOffset, 0);
  assert.equal((shown[0]?.physicSize ?? 0) * 3, store.maxPhyOffset);
  assert.deepEqual(bodyOf(await query()), { maxQueueIndex: 3, minQueueIndex: 0, queueData: shown.slice(1) });
  assert.deepEqual(bodyOf(await query({ count: '1' })), {
    maxQueueIndex: 3,
    minQueueIndex: 0,
    queueData: shown.slice(1, 2),
  });
});

test('QUERY_CONSUME_QUEUE beyond the end says so and keeps its body, which mqadmin cannot do without', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  for (const index of ['1', '-1', '9007199254740991']) {
    const fields = { topic: 'T', queueId: '0', index, count: '2147483647' };
    const response = await broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, fields);
    assert.equal(response.code, ResponseCode.SUCCESS);
    assert.equal(response.remark, `Index ${index} of 0@T is not exist!`);
    assert.deepEqual(bodyOf(response), { maxQueueIndex: 1, minQueueIndex: 0 });
  }
  for (const [topic, queueId] of [
    ['T', '7'],
    ['None', '0'],
    ['T', '-1'],
  ] as const) {
    const response = await broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, { topic, queueId, index: '0', count: '1' });
    assert.deepEqual(
      [response.code, response.remark],
      [ResponseCode.SYSTEM_ERROR, `${queueId}@${topic} is not exist!`],
    );
  }
  const fields = { topic: 'T', queueId: '0', index: 'x', count: '1' };
  assert.equal((await broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, fields)).code, ResponseCode.INVALID_PARAMETER);
});

test('QUERY_CONSUME_QUEUE names the group’s subscription, or that it is not online', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  const query = async (consumerGroup: string) => {
    const fields = { topic: 'T', queueId: '0', index: '0', count: '1', consumerGroup };
    return bodyOf(await broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, fields)) as Record<string, unknown>;
  };
  const absent = await query('g');
  assert.deepEqual([absent.filterData, absent.subscriptionData], ['g@T is not online!', undefined]);
  await broker.invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { group: 'g', topic: 'T', tags: 'a || b' }));
  const online = await query('g');
  assert.equal(online.filterData, 'null');
  assert.equal((online.subscriptionData as { subString: string }).subString, 'a || b');
});

test('QUERY_CONSUME_QUEUE says of an address in an ext file that it is none of a tag', async (t) => {
  const entry = { commitLogOffset: 0, size: 100, tagsCode: -2_147_483_649 };
  const broker = await startBroker(t, {
    deps: withStore((store) => {
      store.queueEntries = () => Promise.resolve([entry, { ...entry, tagsCode: -2_147_483_648 }]);
    }),
  });
  const fields = { topic: 'T', queueId: '0', index: '0', count: '2' };
  const { queueData } = bodyOf(await broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, fields)) as {
    queueData: { msg?: string }[];
  };
  assert.deepEqual(
    queueData.map(({ msg }) => msg),
    ['Cq extend not exist!addr: -2147483649', undefined],
  );
});

test('CLEAN_UNUSED_TOPIC removes queues of topics that the table does not know, and no others', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Known', 'x');
  const { store } = broker.broker;
  await store.putMessage({ topic: 'Unknown', body: 'x' });
  await store.putMessage({ topic: 'SELF_TEST_TOPIC', body: 'x' });
  await store.putMessage({ topic: '%LMQ%light', body: 'x' });
  assert.ok(store.queuesByTopic().has('Unknown'));
  const response = await broker.invoke(RequestCode.CLEAN_UNUSED_TOPIC);
  assert.equal(response.code, ResponseCode.SUCCESS);
  assert.deepEqual([...store.queuesByTopic().keys()].sort(), ['%LMQ%light', 'Known', 'SELF_TEST_TOPIC']);
  assert.equal(existsSync(join(broker.directory, 'consumequeue', 'Unknown')), false);
});

test('CLEAN_EXPIRED_CONSUMEQUEUE runs the cleaning of the queues; queues that are in use keep their numbers', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  let rounds = 0;
  const { store } = broker.broker;
  const cleanQueues = store.cleanQueues.bind(store);
  store.cleanQueues = () => {
    rounds++;
    return cleanQueues();
  };
  assert.equal((await broker.invoke(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE)).code, ResponseCode.SUCCESS);
  assert.equal(rounds, 1);
  assert.equal((await send(broker, 'T', 'x')).extFields?.queueOffset, '1');
});

test('GET_BROKER_HA_STATUS answers as a master without replicas', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  const status = bodyOf(await broker.invoke(RequestCode.GET_BROKER_HA_STATUS)) as Record<string, unknown>;
  assert.deepEqual(
    [status.master, status.masterCommitLogMaxOffset, status.inSyncSlaveNums, status.haConnectionInfo],
    [true, broker.broker.store.maxPhyOffset, 0, []],
  );
});

test('DELETE_EXPIRED_COMMITLOG asks the store to remove expired files, and removes nothing before its time', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'T', 'x');
  let asked = 0;
  const { store } = broker.broker;
  const deleteExpiredFiles = store.deleteExpiredFiles.bind(store);
  store.deleteExpiredFiles = () => {
    asked++;
    deleteExpiredFiles();
  };
  assert.equal((await broker.invoke(RequestCode.DELETE_EXPIRED_COMMITLOG)).code, ResponseCode.SUCCESS);
  assert.equal(asked, 1);
  assert.equal((await send(broker, 'T', 'x')).extFields?.queueOffset, '1');
  assert.equal((await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0))).code, ResponseCode.SUCCESS);
});

test('what is asked of slaves and of brokers under a controller is answered as by a master without one', async (t) => {
  const { invoke } = await startBroker(t);
  const flushed = await invoke(RequestCode.RESET_MASTER_FLUSH_OFFSET, { masterFlushOffset: '-9223372036854775808' });
  assert.equal(flushed.code, ResponseCode.SUCCESS);
  const epochs = await invoke(RequestCode.GET_BROKER_EPOCH_CACHE);
  assert.deepEqual([epochs.code, epochs.remark], [ResponseCode.SYSTEM_ERROR, 'this request only for controllerMode ']);
});
