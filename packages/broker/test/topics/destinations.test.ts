import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '../../src/base/refusal.ts';
import { Destinations } from '../../src/topics/destinations.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const level = (number: number): string => property('DELAY', String(number));
const MINUTE = 60_000;

/** The queues of a topic, as topics.json on the disk has them. */
function savedQueues(broker: MachineBroker, topic: string): [read: number, write: number] | undefined {
  const text = broker.file('topics.json');
  const { topicConfigTable } = JSON.parse(text ?? '{"topicConfigTable":{}}') as {
    topicConfigTable: Record<string, { readQueueNums: number; writeQueueNums: number }>;
  };
  const saved = topicConfigTable[topic];
  return saved && [saved.readQueueNums, saved.writeQueueNums];
}

/** An operator leaves the topic one queue. */
async function shrink(broker: MachineBroker, topic: string): Promise<void> {
  const { topics, metadata } = broker.context;
  topics.update({ ...topics.select(topic)!, readQueueNums: 1, writeQueueNums: 1 });
  await broker.machine.until(metadata.topics.save(), 'topics');
}

test('a message that is due for a queue that was taken away is read by consumers, over a crash too', async () => {
  let broker = await MachineBroker.start();
  assert.ok(!((await broker.send('Work', 'first')) instanceof Refusal));
  assert.ok(!((await broker.send('Work', 'later', level(1), { queueId: 2 })) instanceof Refusal));
  await shrink(broker, 'Work');
  await broker.machine.advance(MINUTE);
  assert.deepEqual(await broker.bodies('Work', 2), ['later']);
  assert.deepEqual(savedQueues(broker, 'Work'), [3, 1], 'producers have the one that the operator left');
  assert.equal(broker.lines.filter((line) => line.includes('is due for queue 2 of Work')).length, 1);
  broker = await broker.cutPowerAndStart(1);
  const { readQueueNums, writeQueueNums } = broker.context.topics.select('Work')!;
  assert.deepEqual([readQueueNums, writeQueueNums], [3, 1]);
  await broker.stop();
});

test('nothing is put before topics.json says that its queue is read', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'first');
  await broker.send('Work', 'later', level(1), { queueId: 2 });
  await broker.send('Work', 'last', level(1), { queueId: 2 });
  await shrink(broker, 'Work');
  const { topics } = broker.context.metadata;
  const save = topics.save.bind(topics);
  topics.save = () => Promise.reject(new Error('no room'));
  await broker.machine.advance(MINUTE);
  assert.deepEqual(await broker.bodies('Work', 2), []);
  assert.equal(broker.context.topics.select('Work')?.readQueueNums, 3, 'said once is not saved yet');
  topics.save = save;
  await broker.machine.advance(MINUTE);
  assert.deepEqual(await broker.bodies('Work', 2), ['later', 'last']);
  assert.deepEqual(savedQueues(broker, 'Work'), [3, 1]);
  await broker.stop();
});

test('what is due for a queue of the topic changes nothing, and a queue that no topic has is refused', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'first');
  const { topics, config, logger } = broker.context;
  const destinations = new Destinations({ config, topics, logger });
  const before = topics.select('Work')!;
  destinations.ready('Work', before.readQueueNums - 1);
  assert.equal(topics.select('Work'), before);
  assert.throws(
    () => destinations.ready('Work', 4_000_000_000),
    /queue 4000000000 of topic Work: a topic has \d+ queues at most/,
  );
  assert.throws(() => destinations.ready('Missing', 2 ** 40), /queues at most/);
  assert.equal(topics.select('Missing'), undefined);
  assert.deepEqual(topics.select('Work'), before);
  await broker.stop();
});
