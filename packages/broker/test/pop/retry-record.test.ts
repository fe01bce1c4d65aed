import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeRecord } from '@vernier/remoting';
import { Machine } from '../../../torture/test/machine.ts';
import { queueOffsetIn, retryRecord } from '../../src/pop/retry-record.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

async function recordOf(topic: string, properties: string): Promise<Buffer> {
  const machine = new Machine({ mappedFileSizeCommitLog: 1024 * 1024 });
  const broker = await MachineBroker.start({ machine });
  broker.context.topics.createInSendMessageBack(topic, 1, 6, 0);
  await broker.machine.until(broker.begin(topic, 'x', {}, 'half'), 'put');
  await broker.machine.until(broker.begin(topic, 'body', { properties, reconsumeTimes: 2 }, 'half'), 'put');
  const found = await broker.machine.until(broker.store.getMessage('', topic, 0, 1, 1), 'read');
  await broker.stop();
  return Buffer.from(found.records[0]!);
}

test('retry record: another topic and a handle, the rest as it is', async () => {
  for (const topic of ['%RETRY%g_T', `%RETRY%g_${'T'.repeat(120)}`]) {
    const record = await recordOf(topic, property('KEYS', 'k') + property('TAGS', 't').slice(0, -1));
    const before = decodeRecord(record);
    assert.equal(queueOffsetIn(record, 'T'), 1);
    const after = decodeRecord(retryRecord(record, 'T', 'the handle'));
    assert.equal(after.topic, 'T');
    assert.deepEqual(after.properties, new Map([...before.properties, ['POP_CK', 'the handle']]));
    const { topic: _t, properties: _p, storeSize: _s, ...rest } = before;
    const { topic: _t2, properties: _p2, storeSize: _s2, ...changed } = after;
    assert.deepEqual(changed, rest);
  }
});

test('retry record: a handle that is there stays, and one that does not fit is left out with the topic', async () => {
  const own = await recordOf('%RETRY%g_T', property('POP_CK', 'own'));
  assert.equal(decodeRecord(retryRecord(own, 'T', 'other')).properties.get('POP_CK'), 'own');
  const full = await recordOf('%RETRY%g_T', property('KEYS', 'k'.repeat(32_700)));
  assert.equal(retryRecord(full, 'T', 'x'.repeat(100)), full);
});
