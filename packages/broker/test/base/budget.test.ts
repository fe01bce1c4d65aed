import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeKVTable, encodeLockBatchRequest, RequestCode, ResponseCode } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { Budget } from '../../src/base/budget.ts';
import { heartbeat, startBroker } from '../harness.ts';

test('budget: takes up to its maximum, refuses more, and says so once a flood', () => {
  let max = 100;
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: object, message: string) => void lines.push(message) };
  const budget = new Budget('thingBytesMax', () => max, logger);
  assert.equal(budget.take(60), true);
  assert.equal(budget.take(40), true);
  for (let i = 0; i < 1_000; i++) assert.equal(budget.take(1), false);
  assert.deepEqual(lines, ['thingBytesMax is reached: more of it is refused until there is room']);
  assert.equal(budget.refusedCount, 1_000);
  assert.equal(budget.usedBytes, 100);
  assert.match(budget.reason, /100 bytes are taken, thingBytesMax is 100/);
  budget.give(50);
  assert.equal(budget.take(50), true);
  assert.equal(budget.take(1), false);
  assert.equal(lines.length, 2, 'a flood after there was room is another');
  max = 200;
  assert.equal(budget.take(100), true, 'the maximum may change');
});

test('budget: what is there already is counted whatever the maximum', () => {
  const budget = new Budget('thingBytesMax', () => 10, silentLogger);
  budget.add(50);
  assert.equal(budget.take(0), true);
  assert.equal(budget.take(-5), true, 'what gets smaller is never refused');
  assert.equal(budget.take(1), false);
  assert.equal(budget.usedBytes, 45);
});

test('budgets of a broker: names that clients invent stay within them, and the refusals are counted', async (t) => {
  const KiB = 1024;
  const { invoke, broker } = await startBroker(t, {
    broker: {
      ...{ clientTableBytesMax: 64 * KiB, queueLockBytesMax: 64 * KiB, consumerOffsetBytesMax: 64 * KiB },
      ...{ subscriptionGroupBytesMax: 64 * KiB, topicTableBytesMax: 64 * KiB },
    },
  });
  const { context } = broker;
  const refusedAt = async (
    what: string,
    act: (i: number) => Promise<{ code: number }>,
    code: number,
  ): Promise<void> => {
    for (let i = 0; i < 1_000; i++) {
      const answer = await act(i);
      if (answer.code === code) return;
      assert.equal(answer.code, ResponseCode.SUCCESS, `${what} ${i}`);
    }
    assert.fail(`${what}: never refused`);
  };
  const beat = (i: number) =>
    invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { producers: [`made-up-${i}`] }));
  await refusedAt('producers', beat, ResponseCode.SYSTEM_BUSY);
  const group = (i: number) =>
    invoke(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, undefined, JSON.stringify({ groupName: `g${i}` }));
  await refusedAt('groups', group, ResponseCode.SYSTEM_BUSY);
  const made = context.groups.table.size;
  assert.equal(context.groups.find('one-more'), undefined);
  const topic = (i: number) => {
    const fields = { topic: `T${i}`, readQueueNums: '1', writeQueueNums: '1', perm: '6' };
    return invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, fields);
  };
  await refusedAt('topics', topic, ResponseCode.SYSTEM_BUSY);
  const offset = (i: number) => {
    const fields = { consumerGroup: 'g0', topic: 'T0', queueId: String(i * 60), commitOffset: '1' };
    return invoke(RequestCode.UPDATE_CONSUMER_OFFSET, fields);
  };
  context.offsets.load({ offsetTable: { 'T@g': Object.fromEntries(Array.from({ length: 1_300 }, (_, i) => [i, 1])) } });
  await refusedAt('offsets', offset, ResponseCode.SYSTEM_BUSY);
  for (const fields of [{ queueId: '-1' }, { queueId: '65536' }, { commitOffset: '-1' }]) {
    const request = { consumerGroup: 'g0', topic: 'T0', queueId: '0', commitOffset: '1', ...fields };
    const answer = await invoke(RequestCode.UPDATE_CONSUMER_OFFSET, request);
    assert.equal(answer.code, ResponseCode.INVALID_PARAMETER, JSON.stringify(fields));
  }
  const mqSet = Array.from({ length: 5_000 }, (_, queueId) => ({ topic: 'T', brokerName: 'b', queueId }));
  const lock = encodeLockBatchRequest({ consumerGroup: 'g', clientId: 'c', onlyThisBroker: false, mqSet });
  const locked = await invoke(RequestCode.LOCK_BATCH_MQ, undefined, lock);
  assert.equal(locked.code, ResponseCode.SUCCESS);

  const { body } = await invoke(RequestCode.GET_BROKER_RUNTIME_INFO);
  const info = decodeKVTable(body);
  for (const name of ['clientTable', 'queueLock', 'consumerOffset', 'subscriptionGroup', 'topicTable']) {
    assert.ok(Number(info.get(`${name}Bytes`)) > 0, name);
    assert.ok(Number(info.get(`${name}BytesRefused`)) > 0, `${name} refused`);
  }
  assert.ok(context.groups.table.size === made);
  const long = heartbeat('c'.repeat(2_000), { producers: ['p'] });
  assert.equal((await invoke(RequestCode.HEART_BEAT, undefined, long)).code, ResponseCode.INVALID_PARAMETER);
});

test('budget: what is asked for is refused to the byte and counted, and asking takes nothing', () => {
  const budget = new Budget('thingBytesMax', () => 100, silentLogger);
  assert.equal(budget.hasRoomFor(100), true);
  assert.equal(budget.hasRoomFor(101), false);
  assert.equal(budget.usedBytes, 0);
  assert.equal(budget.refusedCount, 1);
  for (const nothing of [0, -1, -1_000]) assert.equal(budget.hasRoomFor(nothing), true);
  assert.equal(budget.usedBytes, 0);
});

test('budget: a maximum that falls below what is there refuses more, and takes nothing away', () => {
  let max = 100;
  const budget = new Budget('thingBytesMax', () => max, silentLogger);
  budget.take(80);
  max = 50;
  assert.equal(budget.take(1), false);
  assert.equal(budget.usedBytes, 80);
  budget.give(40);
  assert.equal(budget.take(10), true);
  assert.equal(budget.take(1), false);
});

test('budget: room of less than a tenth begins no new flood of lines', () => {
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: object, message: string) => void lines.push(message) };
  const budget = new Budget('thingBytesMax', () => 100, logger);
  budget.take(100);
  for (let i = 0; i < 100; i++) {
    assert.equal(budget.take(20), false);
    budget.give(10);
    budget.take(10);
  }
  assert.equal(lines.length, 1, 'at 90 of 100 it is as good as full');
  budget.give(11);
  budget.take(11);
  assert.equal(budget.take(20), false);
  assert.equal(lines.length, 2);
});
