// Light queues (RocketMQ LMQ) through a broker: sending to them, pulling from them, their groups and their files.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeRecords, encodeBatchBody, RequestCode, ResponseCode } from '@vernier/remoting';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import {
  property,
  pullFields,
  send,
  sendFields,
  startBroker,
  type TestBroker,
  type TestBrokerOptions,
} from './harness.ts';

const A = '%LMQ%a';
const B = '%LMQ%b';
const GROUP = '%LMQ%g';
const lmq = { enableLmq: true, enableMultiDispatch: true };

const start = (t: TestContext, more: TestBrokerOptions = {}): Promise<TestBroker> =>
  startBroker(t, { ...more, store: { ...lmq, ...more.store } });

const inQueues = (...names: string[]): string => property('INNER_MULTI_DISPATCH', names.join(','));

async function pulled(broker: TestBroker, topic: string, more: Record<string, string> = {}, from = 0) {
  const { code, body } = await broker.invoke(
    RequestCode.PULL_MESSAGE,
    pullFields(topic, from, { consumerGroup: GROUP, ...more }),
  );
  if (code === ResponseCode.PULL_NOT_FOUND) return [];
  assert.equal(code, ResponseCode.SUCCESS);
  return decodeRecords(body ?? Buffer.alloc(0));
}

const texts = (messages: readonly { body: Uint8Array }[]): string[] =>
  messages.map(({ body }) => Buffer.from(body).toString());

const configFile = (directory: string, name: string): Promise<string> =>
  readFile(join(directory, 'config', name), 'utf8');

test('light queues: a message is pulled from each queue that it names, whatever topic it was sent to', async (t) => {
  const broker = await start(t);
  for (const topic of ['T', 'Other']) {
    const { code, remark } = await send(broker, topic, topic, inQueues(A, B));
    assert.equal(code, ResponseCode.SUCCESS, remark);
  }
  await send(broker, 'T', 'none');
  await broker.broker.store.flush();
  for (const name of [A, B]) {
    const messages = await pulled(broker, name);
    assert.deepEqual(texts(messages), ['T', 'Other']);
    assert.deepEqual(
      messages.map(({ properties }) => properties.get('INNER_MULTI_QUEUE_OFFSET')),
      ['0,0', '1,1'],
    );
  }
});

test('light queues: a pull that waits for one is answered by its next message', async (t) => {
  const broker = await start(t);
  await send(broker, 'T', 'first', inQueues(A));
  await broker.broker.store.flush();
  const waiting = pulled(broker, A, { sysFlag: '6', suspendTimeoutMillis: '20000' }, 1);
  await send(broker, 'T', 'other', inQueues(B));
  await send(broker, 'T', 'second', inQueues(A));
  assert.deepEqual(texts(await waiting), ['second']);
});

test('light queues: their topics and groups are in no table and need not be made', async (t) => {
  const broker = await start(t, { broker: { autoCreateSubscriptionGroup: false, autoCreateTopicEnable: false } });
  const { topics, groups } = broker.broker.context;
  const before = [topics.table.size, groups.table.size];
  assert.deepEqual(await pulled(broker, A), []);
  const direct = await send(broker, A, 'direct');
  assert.equal(direct.code, ResponseCode.SUCCESS, direct.remark);
  await broker.broker.store.flush();
  assert.deepEqual(texts(await pulled(broker, A)), ['direct']);
  assert.equal((await send(broker, A, 'x', '', 1)).code, ResponseCode.INVALID_PARAMETER, 'a light queue has one queue');
  assert.deepEqual([topics.table.size, groups.table.size], before);
  topics.update({ ...topics.select(A)!, readQueueNums: 9 });
  assert.equal(topics.select(A)?.readQueueNums, 1);
});

test('light queues: one more than there may be is refused with 2017, and so are names that are none with 13', async (t) => {
  const broker = await start(t, { store: { maxLmqConsumeQueueNum: 1 } });
  assert.equal((await send(broker, 'T', 'x', inQueues(A))).code, ResponseCode.SUCCESS);
  const full = await send(broker, 'T', 'x', inQueues(B));
  assert.equal(full.code, ResponseCode.LMQ_QUOTA_EXCEEDED);
  assert.match(full.remark ?? '', /^\[LMQ_CONSUME_QUEUE_NUM_EXCEEDED\].*maxLmqConsumeQueueNum is 1/);
  const bad = await send(broker, 'T', 'x', inQueues('a'));
  assert.equal(bad.code, ResponseCode.MESSAGE_ILLEGAL);
  assert.match(bad.remark ?? '', /INNER_MULTI_DISPATCH "a" does not begin with %LMQ%/);
});

test('light queues: numbers that a producer invents are removed, and a batch with some is refused', async (t) => {
  for (const store of [lmq, { enableLmq: false }]) {
    const broker = await start(t, { store });
    await send(broker, 'T', 'x', property('INNER_MULTI_QUEUE_OFFSET', '77'));
    await broker.broker.store.flush();
    const [message] = await pulled(broker, 'T', { consumerGroup: 'g' });
    assert.equal(message?.properties.get('INNER_MULTI_QUEUE_OFFSET'), undefined);
    const part = { flag: 0, body: Buffer.from('y'), propertiesString: property('INNER_MULTI_QUEUE_OFFSET', '1') };
    const body = encodeBatchBody([part]);
    const refused = await broker.invoke(RequestCode.SEND_BATCH_MESSAGE, sendFields('T', 0, { m: 'true' }), body);
    assert.equal(refused.code, ResponseCode.MESSAGE_ILLEGAL);
  }
});

test('light queues: a half is in none until it is committed', async (t) => {
  const broker = await start(t);
  const properties = inQueues(A) + property('TRAN_MSG', 'true') + property('UNIQ_KEY', 'u') + property('PGROUP', 'p');
  const half = await broker.invoke(
    RequestCode.SEND_MESSAGE_V2,
    sendFields('T', 0, { i: properties, f: '4' }),
    Buffer.from('half'),
  );
  assert.equal(half.code, ResponseCode.SUCCESS, half.remark);
  await broker.broker.store.flush();
  assert.deepEqual(await pulled(broker, A), []);
  const offset = broker.broker.store.getMaxOffsetInQueue('RMQ_SYS_TRANS_HALF_TOPIC', 0) - 1;
  const logOffset = (await broker.broker.store.queueEntries('RMQ_SYS_TRANS_HALF_TOPIC', 0, offset, 1))?.[0];
  await broker.invoke(RequestCode.END_TRANSACTION, {
    ...{ producerGroup: 'p', tranStateTableOffset: String(offset), transactionId: 'u', msgId: 'u' },
    ...{ commitLogOffset: String(logOffset?.commitLogOffset), commitOrRollback: '8', fromTransactionCheck: 'false' },
  });
  await broker.broker.store.flush();
  assert.deepEqual(texts(await pulled(broker, A)), ['half']);
});

test('light queues: offsets are in lmqConsumerOffset.json, and queues are no topics after a restart', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const commit = (broker: TestBroker, topic: string, consumerGroup: string, commitOffset: string) =>
    broker.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { consumerGroup, topic, queueId: '0', commitOffset });
  const first = await start(t, { directory });
  await send(first, 'T', 'x', inQueues(A));
  await first.broker.store.flush();
  assert.equal((await commit(first, A, GROUP, '1')).code, ResponseCode.SUCCESS);
  await pulled(first, A, { consumerGroup: 'ordinary' });
  await commit(first, A, 'ordinary', '1');
  await first.broker.shutdown();
  const file = JSON.parse(await configFile(directory, 'lmqConsumerOffset.json')) as Record<string, unknown>;
  assert.deepEqual(file.lmqOffsetTable, { [`${A}@${GROUP}`]: 1 });
  assert.deepEqual((file.offsetTable as Record<string, unknown>)[`${A}@ordinary`], { 0: 1 });
  assert.ok(!(await readdir(join(directory, 'config'))).includes('consumerOffset.json'));

  const again = await start(t, { directory });
  assert.equal(again.broker.context.offsets.query(GROUP, A, 0), 1);
  assert.ok(!again.broker.context.topics.table.has(A), 'not adopted as a topic');
  await send(again, 'T', 'y', inQueues(A));
  await again.broker.store.flush();
  assert.deepEqual(texts(await pulled(again, A, {}, 1)), ['y']);
  await again.invoke(RequestCode.CLEAN_UNUSED_TOPIC);
  assert.deepEqual(texts(await pulled(again, A)), ['x', 'y'], 'nor cleaned as an unused one');
});

test('light queues: who switches them on keeps the offsets of before', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  await mkdir(join(directory, 'config'), { recursive: true });
  const before = '{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1},"offsetTable":{"T@g":{0:7}}}';
  await writeFile(join(directory, 'config', 'consumerOffset.json'), before);
  const broker = await start(t, { directory });
  assert.equal(broker.broker.context.offsets.query('g', 'T', 0), 7);
  await broker.broker.shutdown();
  assert.match(await configFile(directory, 'lmqConsumerOffset.json'), /"T@g":\{"0":7\}/);
  assert.equal(await configFile(directory, 'consumerOffset.json'), before, 'the old file stays as it is');
});
