import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { QueueInspection } from '../../src/admin/queue-inspection.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { MachineBroker } from '../machine-broker.ts';

async function open(bodies: string[]) {
  const broker = await MachineBroker.start();
  for (const body of bodies) await broker.send('T', body);
  const queues = new QueueInspection(broker.store);
  const entries = async (index: number, count: number, queueId = 0, topic = 'T') => {
    const found = await broker.machine.until(queues.entries(topic, queueId, index, count), 'entries');
    return found instanceof Refusal ? found : found.entries.length;
  };
  return { broker, queues, entries };
}

test('queue inspection: no more entries than there are or are asked for, from the index on', async () => {
  const { broker, entries } = await open(['a', 'b', 'c', 'd', 'e']);
  assert.equal(await entries(0, 2), 2);
  assert.equal(await entries(3, 10), 2);
  assert.equal(await entries(5, 10), 0, 'the index of the next message');
  assert.equal(await entries(2 ** 50, 10), 0);
  assert.equal(await entries(0, 0), 0);
  assert.equal(await entries(0, -5), 0);
  await broker.stop();
});

test('queue inspection: a queue that is not there is refused, and is not made by the question', async () => {
  const { broker, entries } = await open(['a']);
  for (const [queueId, topic] of [
    [1, 'T'],
    [0, 'None'],
    [-1, 'T'],
    [2 ** 40, 'T'],
  ] as const) {
    const outcome = await entries(0, 1, queueId, topic);
    assert.ok(outcome instanceof Refusal, `${queueId}@${topic}`);
    assert.equal(outcome.code, ResponseCode.SYSTEM_ERROR);
    assert.equal(outcome.remark, `${queueId}@${topic} is not exist!`);
  }
  assert.deepEqual([...broker.store.queuesByTopic()], [['T', [0]]]);
  await broker.stop();
});

test('queue inspection: a request for all numbers there are looks at no more than 16,384 entries', async () => {
  const asked: number[] = [];
  const store = {
    queueEntries: async (_topic: string, _queueId: number, _index: number, count: number) => {
      asked.push(count);
      return [];
    },
    getMinOffsetInQueue: () => 0,
    getMaxOffsetInQueue: () => 0,
  };
  const queues = new QueueInspection(store as never);
  for (const count of [-5, 0, 16_383, 16_384, 16_385, 2 ** 31 - 1, Number.MAX_SAFE_INTEGER]) {
    await queues.entries('T', 0, 0, count);
  }
  assert.deepEqual(asked, [0, 0, 16_383, 16_384, 16_384, 16_384, 16_384]);
});

test('queue inspection: the log’s end moves with what is put', async () => {
  const { broker, queues } = await open([]);
  assert.equal(queues.logEnd, 0);
  await broker.send('T', 'a');
  const end = queues.logEnd;
  assert.ok(end > 0);
  await broker.send('T', 'b');
  assert.ok(queues.logEnd > end);
  await broker.stop();
});
