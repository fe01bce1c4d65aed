// Topics with batch queues (queue.type=BatchCQ): a batch becomes one record, and the numbers of the queue count messages.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ExtFields, encodeBatchBody, RequestCode, ResponseCode } from '@vernier/remoting';
import { decodeMessage } from '@vernier/store/internal';
import { Machine } from '../../torture/test/machine.ts';
import { pullFields, send, startBroker, type TestBroker } from './harness.ts';
import { caller, MachineBroker } from './machine-broker.ts';

const topicsFile = (root: string): string => join(root, 'config', 'topics.json');
const attributesIn = async (root: string): Promise<unknown> =>
  JSON.parse(await readFile(topicsFile(root), 'utf8')).topicConfigTable.Batch?.attributes;

const topicFields = (more: ExtFields = {}): ExtFields => ({
  ...{ topic: 'Batch', readQueueNums: '3', writeQueueNums: '3', perm: '6', topicFilterType: 'SINGLE_TAG' },
  ...{ topicSysFlag: '0', order: 'false', attributes: '+queue.type=BatchCQ' },
  ...more,
});

async function batchBroker(t: TestContext, directory?: string): Promise<TestBroker> {
  const broker = await startBroker(t, { ...(directory === undefined ? {} : { directory }) });
  if (broker.broker.context.topics.select('Batch') === undefined) {
    const made = await broker.invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields());
    assert.equal(made.code, ResponseCode.SUCCESS, made.remark);
  }
  return broker;
}

const body = (texts: readonly string[]): Buffer =>
  encodeBatchBody(
    texts.map((text) => ({ flag: 3, body: Buffer.from(text), propertiesString: `KEYS\u0001${text}\u0002` })),
  );

/** SEND_BATCH_MESSAGE, whose fields have one letter each. */
const sendBatch = (broker: TestBroker, texts: readonly string[], properties: string, more: ExtFields = {}) =>
  broker.invoke(
    RequestCode.SEND_BATCH_MESSAGE,
    {
      ...{ a: 'producers', b: 'Batch', c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000', h: '0' },
      ...{ i: properties, j: '0', k: 'false', m: 'true', ...more },
    },
    body(texts),
  );

const unique = (key: string): string => `UNIQ_KEY\u0001${key}\u0002`;

test('batch topics: a batch becomes one record that says how many messages it holds, and the answer names its key', async (t) => {
  const broker = await batchBroker(t);
  const texts = ['a', 'b', 'c', 'd'];
  const first = await sendBatch(broker, texts, unique('K1'));
  assert.equal(first.code, ResponseCode.SUCCESS, first.remark);
  const { queueOffset, msgId, batchUniqId, transactionId } = first.extFields ?? {};
  assert.deepEqual([queueOffset, batchUniqId, transactionId, msgId?.includes(',')], ['0', 'K1', 'K1', false]);
  const second = await sendBatch(broker, ['e', 'f'], unique('K2'));
  assert.equal(second.extFields?.queueOffset, '4');
  const queue = { topic: 'Batch', queueId: '0' };
  assert.equal((await broker.invoke(RequestCode.GET_MAX_OFFSET, queue)).extFields?.offset, '6');
  assert.equal((await broker.invoke(RequestCode.GET_MIN_OFFSET, queue)).extFields?.offset, '0');

  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Batch', 2, { maxMsgNums: '1' }));
  assert.equal(pulled.code, ResponseCode.SUCCESS, pulled.remark);
  assert.deepEqual([pulled.extFields?.nextBeginOffset, pulled.extFields?.maxOffset], ['4', '6']);
  const record = decodeMessage(pulled.body!)!;
  assert.equal(record.sysFlag & 0xc0, 0xc0, 'clients take such records apart');
  assert.deepEqual([record.queueOffset, record.flag], [0, 0]);
  assert.deepEqual(record.body, body(texts));
  const { properties } = record;
  assert.deepEqual(
    ['INNER_NUM', 'INNER_BASE', 'UNIQ_KEY', 'CLUSTER'].map((name) => properties.get(name)),
    ['4', '0', 'K1', 'DefaultCluster'],
  );
  const found = await broker.invoke(RequestCode.VIEW_MESSAGE_BY_ID, { offset: String(record.commitLogOffset) });
  assert.deepEqual(found.body, pulled.body);
  await broker.broker.shutdown();
  assert.equal(existsSync(join(broker.directory, 'consumequeue', 'Batch')), false, 'Apache’s broker would not start');
  assert.equal(existsSync(join(broker.directory, 'batchconsumequeue', 'Batch', '0')), true);
});

test('batch topics: single messages, and batches without a key, are records of one message each', async (t) => {
  const broker = await batchBroker(t);
  assert.equal((await sendBatch(broker, ['a', 'b'], '')).extFields?.msgId?.split(',').length, 2);
  assert.equal((await send(broker, 'Batch', 'single')).extFields?.queueOffset, '2');
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Batch', 0));
  assert.equal(pulled.extFields?.nextBeginOffset, '3');
  assert.equal(decodeMessage(pulled.body!)!.sysFlag & 0xc0, 0);
});

test('batch topics: what says of itself that it is a batch, or asks for a delay, is refused and takes no number', async (t) => {
  const broker = await batchBroker(t);
  const single = await send(broker, 'Batch', 'x', 'INNER_NUM\u00012\u0002');
  assert.equal(single.code, ResponseCode.MESSAGE_ILLEGAL);
  assert.match(single.remark ?? '', /INNER_NUM is an inner batch's alone/);
  const half = await send(broker, 'Batch', 'x', 'INNER_NUM\u00012\u0002TRAN_MSG\u0001true\u0002');
  assert.equal(half.code, ResponseCode.MESSAGE_ILLEGAL, 'a half that could never be committed');
  const delayed = await send(broker, 'Batch', 'x', 'INNER_NUM\u00012\u0002DELAY\u00011\u0002');
  assert.equal(delayed.code, ResponseCode.MESSAGE_ILLEGAL, 'a message that could never be delivered');
  for (const name of ['DELAY\u00011\u0002', 'TIMER_DELAY_SEC\u00011\u0002', 'TRAN_MSG\u0001true\u0002']) {
    const batch = await sendBatch(broker, ['a'], unique('K') + name);
    assert.equal(batch.code, ResponseCode.MESSAGE_ILLEGAL, name);
  }
  assert.equal(
    (await sendBatch(broker, ['a'], unique('K'), { f: '1' })).code,
    ResponseCode.MESSAGE_ILLEGAL,
    'compressed',
  );
  // What the sender says of the numbers is the broker's to say.
  const own = await sendBatch(broker, ['a', 'b'], `INNER_NUM\u00019\u0002INNER_BASE\u00017\u0002${unique('K')}`);
  assert.deepEqual([own.code, own.extFields?.queueOffset], [ResponseCode.SUCCESS, '0']);
  assert.equal((await send(broker, 'Batch', 'y')).extFields?.queueOffset, '2');
});

test('batch topics: an inner batch is not sent back; the client then sends the message itself', async (t) => {
  const broker = await batchBroker(t);
  await sendBatch(broker, ['a', 'b'], unique('K'));
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Batch', 0));
  const { commitLogOffset } = decodeMessage(pulled.body!)!;
  const back = await broker.invoke(RequestCode.CONSUMER_SEND_MSG_BACK, {
    ...{ offset: String(commitLogOffset), group: 'consumers', delayLevel: '1', originTopic: 'Batch' },
    ...{ originMsgId: 'x', unitMode: 'false' },
  });
  assert.equal(back.code, ResponseCode.SYSTEM_ERROR);
  assert.match(back.remark ?? '', /inner batch/);
});

test('batch topics: progress, times and resets count messages; such topics are not popped', async (t) => {
  const broker = await batchBroker(t);
  await sendBatch(broker, ['a', 'b', 'c'], unique('K1'));
  await sendBatch(broker, ['d', 'e'], unique('K2'));
  const group = { consumerGroup: 'consumers', topic: 'Batch', queueId: '0' };
  await broker.invoke(RequestCode.PULL_MESSAGE, pullFields('Batch', 0));
  assert.equal((await broker.invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { ...group, commitOffset: '3' })).code, 0);
  const stats = await broker.invoke(RequestCode.GET_CONSUME_STATS, { consumerGroup: 'consumers' });
  assert.match(String(stats.body), /"brokerOffset":5,"consumerOffset":3/);
  const time = { topic: 'Batch', queueId: '0', timestamp: '0' };
  assert.equal((await broker.invoke(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, time)).extFields?.offset, '0');
  const earliest = await broker.invoke(RequestCode.GET_EARLIEST_MSG_STORETIME, { topic: 'Batch', queueId: '0' });
  assert.ok(Number(earliest.extFields?.timestamp) > 0);
  const entries = await broker.invoke(RequestCode.QUERY_CONSUME_QUEUE, { ...group, index: '1', count: '8' });
  assert.equal(entries.code, ResponseCode.SUCCESS, entries.remark);
  const popped = await broker.invoke(RequestCode.POP_MESSAGE, {
    ...{ consumerGroup: 'consumers', topic: 'Batch', queueId: '-1', maxMsgNums: '8', invisibleTime: '10000' },
    ...{ pollTime: '0', bornTime: String(Date.now()), initMode: '0' },
  });
  assert.equal(popped.code, ResponseCode.SYSTEM_ERROR);
  assert.match(popped.remark ?? '', /Batch has batch queues \(queue\.type=BatchCQ\), which cannot be popped/);
});

test('batch topics: a topic that topics.json has lost is adopted with its kind', async (t) => {
  const broker = await batchBroker(t);
  const root = broker.directory;
  await sendBatch(broker, ['a', 'b'], unique('K'), { e: '2' });
  await broker.broker.shutdown();
  const table = JSON.parse(await readFile(topicsFile(root), 'utf8'));
  delete table.topicConfigTable.Batch;
  await writeFile(topicsFile(root), JSON.stringify(table));
  const again = await startBroker(t, { directory: root });
  const topic = again.broker.context.topics.select('Batch');
  assert.equal(topic?.readQueueNums, 3);
  assert.deepEqual([...(topic?.attributes ?? [])], [['queue.type', 'BatchCQ']]);
  const max = await again.invoke(RequestCode.GET_MAX_OFFSET, { topic: 'Batch', queueId: '2' });
  assert.equal(max.extFields?.offset, '2');
  await again.broker.shutdown();
  assert.deepEqual(await attributesIn(root), { 'queue.type': 'BatchCQ' });
});

test('batch topics: the kind of a topic does not change; deleted it is free again', async (t) => {
  const broker = await batchBroker(t);
  const { invoke, directory } = broker;
  const change = (more: ExtFields) => invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields(more));
  assert.equal((await change({ attributes: '', readQueueNums: '6' })).code, ResponseCode.SUCCESS);
  assert.deepEqual(await attributesIn(directory), { 'queue.type': 'BatchCQ' });
  assert.equal((await change({ attributes: '+queue.type=SimpleCQ' })).code, ResponseCode.SYSTEM_ERROR);
  await sendBatch(broker, ['a', 'b'], unique('K'));
  assert.equal((await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'Batch' })).code, ResponseCode.SUCCESS);
  assert.equal(existsSync(join(directory, 'batchconsumequeue', 'Batch')), false, 'Apache’s would not start beside it');
  assert.equal((await send(broker, 'Batch', 'an ordinary one')).extFields?.queueOffset, '0');
  const over = await change({});
  assert.equal(over.code, ResponseCode.SYSTEM_ERROR, 'it has consume queues');
});

test('batch topics: messages whose topic topics.json lost keep a topic from getting queues of another kind', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Batch', 'x');
  broker.broker.context.topics.delete('Batch');
  const made = await broker.invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields());
  assert.equal(made.code, ResponseCode.SYSTEM_ERROR);
  assert.match(made.remark ?? '', /has consume queues/);
  assert.equal(broker.broker.context.topics.select('Batch'), undefined);
});

test('batch topics: the first batch is stored when topics.json says the kind, so that a power cut loses none of it', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const broker = await MachineBroker.start({ machine: new Machine({ flushDiskType: 'SYNC_FLUSH' }) });
    const { context, machine } = broker;
    const topic = { ...context.topics.select('TBW102')!, topicName: 'Batch' };
    // The table has it, its file not.
    machine.fileSystem.intercept = (_operation, path) => {
      if (path.includes('topics.json')) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    const making = context.topicAdmin.update([{ topic: { ...topic, perm: 6 }, attributes: '+queue.type=BatchCQ' }]);
    const batch = {
      ...{ topic: 'Batch', queueId: 0, sysFlag: 0, bornTimestamp: 1, reconsumeTimes: 0, properties: unique('K') },
      messages: ['a', 'b', 'c'].map((text) => ({ flag: 0, body: Buffer.from(text), propertiesString: '' })),
    };
    const put = () =>
      machine.until(Promise.resolve(context.put.putBatch(batch, caller, 'client', (value) => value)), 'batch');
    await assert.rejects(machine.until(making, 'topic'), { code: 'BROKER_METADATA_WRITE_FAILED' });
    const early = await put();
    assert.equal(early.code, ResponseCode.SYSTEM_ERROR);
    assert.match(early.remark ?? '', /not stored: .*topics\.json/);
    machine.fileSystem.intercept = undefined;
    const outcome = await put();
    assert.equal(outcome.code, ResponseCode.SUCCESS, outcome.remark);
    const next = await MachineBroker.start({ machine: machine.powerCut(seed) });
    assert.equal(next.store.hasBatchQueues('Batch'), true, `seed ${seed}`);
    assert.equal(next.store.getMaxOffsetInQueue('Batch', 0), 3);
    assert.equal(next.context.topics.select('Batch')?.attributes.get('queue.type'), 'BatchCQ');
    const found = await next.machine.until(next.store.getMessage('g', 'Batch', 0, 1, 1), 'pull');
    assert.equal(found.messageCount, 3);
  }
});

test('batch topics: a list is taken as a whole or not at all', async (t) => {
  const { broker, invoke } = await startBroker(t);
  const config = (topicName: string, attributes: Record<string, string>) => ({
    ...{ topicName, readQueueNums: 1, writeQueueNums: 1, perm: 6, attributes },
  });
  const list = (topicConfigList: unknown[]) =>
    invoke(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, {}, JSON.stringify({ topicConfigList }));
  const batch = { '+queue.type': 'BatchCQ' };
  const refused = await list([config('One', batch), config('Two', { '+queue.type': 'Other' })]);
  assert.equal(refused.code, ResponseCode.SYSTEM_ERROR);
  assert.equal(broker.context.topics.select('One'), undefined);
  assert.equal(broker.context.store.hasBatchQueues('One'), false);
  assert.equal((await list([config('One', batch), config('Three', {})])).code, ResponseCode.SUCCESS);
  assert.equal(broker.context.store.hasBatchQueues('One'), true);
  assert.equal(broker.context.store.hasBatchQueues('Three'), false);
});
