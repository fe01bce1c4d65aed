import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import type { PutOutcome } from '../../src/put/put-service.ts';
import { QueuesOnDisk } from '../../src/topics/queues-on-disk.ts';
import { caller, MachineBroker } from '../machine-broker.ts';

const queues = (count: number) => ({ readQueueNums: count, writeQueueNums: count });

test('a queue is covered when no file that may be on disk says fewer', () => {
  const onDisk = new QueuesOnDisk();
  assert.ok(onDisk.covers('T', 1_000));
  onDisk.had('T', 2);
  onDisk.had('T', 3);
  assert.deepEqual([onDisk.covers('T', 1), onDisk.covers('T', 2), onDisk.covers('U', 9)], [true, false, true]);
  onDisk.encoding();
  assert.ok(!onDisk.covers('T', 2), 'being saved is not on disk');
  onDisk.had('U', 1);
  onDisk.saved();
  assert.ok(onDisk.covers('T', 2));
  assert.ok(!onDisk.covers('U', 1), 'changed after the writing began');
  onDisk.encoding();
  // That save failed.
  onDisk.encoding();
  assert.ok(!onDisk.covers('U', 1));
  onDisk.saved();
  assert.ok(onDisk.covers('U', 1));
});

test('nothing is stored in a queue that a start would not let consumers read: the table is saved first', async () => {
  let broker = await MachineBroker.start();
  const { topics, metadata } = broker.context;
  topics.update(createTopicConfig('Work', queues(1)));
  await broker.machine.until(metadata.topics.save(), 'topics');
  topics.update({ ...topics.select('Work')!, ...queues(4) });
  const file = metadata.topics;
  const save = file.save.bind(file);
  file.save = () => Promise.reject(new Error('no room'));
  const end = broker.store.maxPhyOffset;
  for (const queueId of [3, -1]) {
    const refused = await broker.send('Work', 'x', '', { queueId });
    assert.ok(refused instanceof Refusal);
    assert.match(refused.remark, /not stored: no room/);
  }
  const batch = {
    ...{ topic: 'Work', queueId: 3, sysFlag: 0, bornTimestamp: 1, reconsumeTimes: 0, properties: '' },
    messages: [{ flag: 0, body: Buffer.from('b'), propertiesString: '' }],
  };
  const putBatch = (): Promise<PutOutcome> =>
    Promise.resolve(broker.context.put.putBatch<PutOutcome>(batch, caller, 'client', (outcome) => outcome));
  assert.ok((await broker.machine.until(putBatch(), 'batch')) instanceof Refusal);
  assert.equal(broker.store.maxPhyOffset, end);
  assert.ok(!((await broker.send('Work', 'in the old queue')) instanceof Refusal));

  file.save = save;
  const body = Buffer.from('kept');
  const put = broker.begin('Work', '', { queueId: 3, body });
  const putOfBatch = putBatch();
  // As the buffer that all connections read into.
  body.fill('x');
  batch.messages[0]!.body.fill('x');
  assert.ok(!((await broker.machine.until(put, 'put')) instanceof Refusal));
  assert.ok(!((await broker.machine.until(putOfBatch, 'batch')) instanceof Refusal));
  broker = await broker.cutPowerAndStart(1);
  assert.deepEqual(await broker.bodies('Work', 3), ['kept', 'b']);
  assert.equal(broker.context.topics.select('Work')?.readQueueNums, 4);
  await broker.stop();
});

test('a message that makes a topic anew while it is being deleted waits until the old entry is gone from the disk', async () => {
  const broker = await MachineBroker.start();
  const { topics, metadata, topicAdmin } = broker.context;
  topics.update(createTopicConfig('Work', queues(1)));
  await broker.machine.until(metadata.topics.save(), 'topics');
  const deletion = topicAdmin.delete('Work');
  const put = broker.begin('Work', 'anew', { queueId: 2, defaultTopicQueueNums: 4 });
  assert.equal(topics.select('Work'), undefined, 'it is not made before');
  await broker.machine.until(deletion, 'deletion');
  assert.ok(!((await broker.machine.until(put, 'put')) instanceof Refusal));
  assert.equal(topics.select('Work')?.readQueueNums, 4);
  await broker.stop();
});
