// A directory of Apache's broker with a topic of batch queues (queue.type=BatchCQ), which this broker leaves as they are.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { pullFields, send, startBroker, type TestBroker } from './harness.ts';

const batchFile = (root: string): string => join(root, 'batchconsumequeue', 'Batch', '2', '0'.repeat(20));
const topicsFile = (root: string): string => join(root, 'config', 'topics.json');
const attributesIn = async (root: string): Promise<unknown> =>
  JSON.parse(await readFile(topicsFile(root), 'utf8')).topicConfigTable.Batch?.attributes;

/** As Java leaves it: messages of Batch in the log, its entries in files of their own; `declared` in topics.json. */
async function javaDirectory(t: TestContext, declared = true): Promise<string> {
  const root = await temporaryFolder(t, 'broker');
  const made = await startBroker(t, { directory: root });
  for (const topic of ['Batch', 'Plain']) await send(made, topic, `of ${topic}`);
  await made.broker.shutdown();
  await rm(join(root, 'consumequeue', 'Batch'), { recursive: true });
  await rm(join(root, 'checkpoint'));
  await mkdir(join(batchFile(root), '..'), { recursive: true });
  await writeFile(batchFile(root), Buffer.alloc(46 * 10, 3));
  const table = JSON.parse(await readFile(topicsFile(root), 'utf8'));
  if (declared) table.topicConfigTable.Batch.attributes = { 'queue.type': 'BatchCQ' };
  else delete table.topicConfigTable.Batch;
  await writeFile(topicsFile(root), JSON.stringify(table));
  return root;
}

/** What Apache's broker wants of the directory: a topic has queues of one kind, the one that topics.json says. */
async function assertOneKind(root: string): Promise<void> {
  assert.equal(existsSync(join(root, 'consumequeue', 'Batch')), false);
  assert.deepEqual(await attributesIn(root), { 'queue.type': 'BatchCQ' });
  assert.deepEqual(await readFile(batchFile(root)), Buffer.alloc(46 * 10, 3));
}

async function assertRefused(answer: ReturnType<TestBroker['invoke']>, code: number): Promise<void> {
  const { code: got, remark } = await answer;
  assert.equal(got, code, remark);
  assert.match(remark ?? '', /Batch has batch queues \(queue\.type=BatchCQ\)/);
}

test('batch queues: sends and pulls are refused with the reason, other topics are served, and the directory stays as Java wants it', async (t) => {
  const root = await javaDirectory(t);
  const errors: unknown[] = [];
  const logger = { ...silentLogger, error: (...line: unknown[]) => void errors.push(line) };
  const broker = await startBroker(t, { directory: root, deps: { logger } });
  const { invoke } = broker;
  const queue = { topic: 'Batch', queueId: '0' };
  await assertRefused(send(broker, 'Batch', 'x'), ResponseCode.MESSAGE_ILLEGAL);
  for (const offset of [0, 5]) {
    await assertRefused(invoke(RequestCode.PULL_MESSAGE, pullFields('Batch', offset)), ResponseCode.SYSTEM_ERROR);
  }
  const group = { consumerGroup: 'consumers', ...queue };
  assert.equal((await invoke(RequestCode.UPDATE_CONSUMER_OFFSET, { ...group, commitOffset: '500' })).code, 0);
  for (const [code, fields] of [
    [RequestCode.GET_MAX_OFFSET, queue],
    [RequestCode.GET_MIN_OFFSET, queue],
    [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...queue, timestamp: '0' }],
    [RequestCode.GET_EARLIEST_MSG_STORETIME, queue],
    [RequestCode.GET_TOPIC_STATS_INFO, queue],
    [RequestCode.QUERY_CONSUME_TIME_SPAN, { ...queue, group: 'consumers' }],
    [RequestCode.QUERY_CONSUME_QUEUE, { ...queue, index: '0', count: '1' }],
    [
      RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      { topic: 'Batch', group: 'consumers', timestamp: '0', isForce: 'true' },
    ],
    [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, { ...queue, group: 'consumers', offset: '0', isForce: 'true' }],
  ] as const) {
    await assertRefused(invoke(code, fields), ResponseCode.SYSTEM_ERROR);
  }
  const kept = await invoke(RequestCode.QUERY_CONSUMER_OFFSET, group);
  assert.equal(kept.extFields?.offset, '500', 'the place of a group is still the one that it had with Java');
  const stats = await invoke(RequestCode.GET_CONSUME_STATS, { consumerGroup: 'consumers' });
  assert.equal(stats.code, ResponseCode.SUCCESS, stats.remark);
  assert.doesNotMatch(String(stats.body), /Batch/, 'no numbers are better than wrong ones');

  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields('Plain', 0));
  assert.match(String(pulled.body), /of Plain/);
  await broker.broker.shutdown();
  await assertOneKind(root);
  assert.deepEqual(errors, [], 'a client that asks for it is no error of ours');
});

test('batch queues: a topic that topics.json has lost is adopted with its kind', async (t) => {
  const root = await javaDirectory(t, false);
  const { broker } = await startBroker(t, { directory: root });
  const topic = broker.context.topics.select('Batch');
  assert.equal(topic?.readQueueNums, 3);
  assert.deepEqual([...(topic?.attributes ?? [])], [['queue.type', 'BatchCQ']]);
  await broker.shutdown();
  await assertOneKind(root);
});

test('batch queues: other changes of such a topic keep its kind; deleting it takes its files along', async (t) => {
  const root = await javaDirectory(t);
  const { broker, invoke } = await startBroker(t, { directory: root });
  const fields = {
    topic: 'Batch',
    readQueueNums: '6',
    writeQueueNums: '6',
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: '0',
    order: 'false',
  };
  assert.equal((await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, fields)).code, ResponseCode.SUCCESS);
  assert.deepEqual(await attributesIn(root), { 'queue.type': 'BatchCQ' });
  assert.equal((await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'Batch' })).code, ResponseCode.SUCCESS);
  assert.equal(existsSync(join(root, 'batchconsumequeue', 'Batch')), false, 'Java would not start beside it');
  await broker.shutdown();
  assert.equal(await attributesIn(root), undefined);
});

test('batch queues: a new topic with them is refused, alone and in a list', async (t) => {
  const { broker, invoke } = await startBroker(t);
  const fields = { topic: 'New', readQueueNums: '1', writeQueueNums: '1', perm: '6', topicFilterType: 'SINGLE_TAG' };
  const one = await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    ...fields,
    topicSysFlag: '0',
    order: 'false',
    attributes: '+queue.type=BatchCQ',
  });
  const list = await invoke(
    RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
    {},
    JSON.stringify({
      topicConfigList: [
        { topicName: 'Fine', readQueueNums: 1, writeQueueNums: 1, perm: 6, attributes: {} },
        { topicName: 'New', readQueueNums: 1, writeQueueNums: 1, perm: 6, attributes: { '+queue.type': 'BatchCQ' } },
      ],
    }),
  );
  for (const { code, remark } of [one, list]) {
    assert.equal(code, ResponseCode.SYSTEM_ERROR);
    assert.match(remark ?? '', /queue\.type=BatchCQ: is not supported by this broker yet/);
  }
  assert.equal(broker.context.topics.select('New'), undefined);
  assert.equal(broker.context.topics.select('Fine'), undefined, 'a list is taken as a whole or not at all');
});
