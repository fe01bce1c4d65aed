import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { CallerSession } from '../../src/base/caller.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { Admission } from '../../src/put/admission.ts';
import type { MessageToPut } from '../../src/put/message-to-put.ts';
import { Tables, type TablesOptions } from '../table-fixtures.ts';

const caller = new CallerSession('10.0.0.1:5000', { address: Uint8Array.of(10, 0, 0, 1), port: 5_000 });

function open(options: TablesOptions = {}) {
  const tables = new Tables(options);
  const admission = new Admission(tables.config, tables.topics, tables.clock, '10.0.0.9');
  const admit = (topic: string, more: Partial<MessageToPut> = {}) => {
    const message = { topic, queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 1, reconsumeTimes: 0, properties: '' };
    return admission.admit({ ...message, body: Buffer.from('x'), defaultTopic: 'TBW102', ...more }, caller);
  };
  return { tables, admit };
}

function refusedWith(outcome: unknown, code: number, remark: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
}

test('admission: a topic that cannot be is not made, and the producer is told why', () => {
  const { tables, admit } = open();
  const before = tables.shown();
  const cases: [string, Partial<MessageToPut>, number, RegExp][] = [
    ['', {}, ResponseCode.INVALID_PARAMETER, /blank/],
    ['a/b', {}, ResponseCode.INVALID_PARAMETER, /illegal characters/],
    ['..', {}, ResponseCode.INVALID_PARAMETER, /illegal characters/],
    ['a\u0000', {}, ResponseCode.INVALID_PARAMETER, /illegal characters/],
    ['x'.repeat(128), {}, ResponseCode.INVALID_PARAMETER, /max length: 127/],
    [`%RETRY%${'x'.repeat(249)}`, {}, ResponseCode.INVALID_PARAMETER, /max length: 255/],
    ['T', { defaultTopic: 'None' }, ResponseCode.TOPIC_NOT_EXIST, /topic\[T\] not exist, apply first please!/],
    ['T', { defaultTopic: '' }, ResponseCode.TOPIC_NOT_EXIST, /not exist/],
  ];
  for (const [topic, more, code, remark] of cases) refusedWith(admit(topic, more), code, remark);
  assert.deepEqual(tables.shown(), before);
});

test('admission: topics that only the broker writes to are refused, whether they are there or not', () => {
  const { tables, admit } = open();
  for (const topic of [
    'SCHEDULE_TOPIC_XXXX',
    'RMQ_SYS_TRANS_HALF_TOPIC',
    'TRANS_CHECK_MAX_TIME_TOPIC',
    'SELF_TEST_TOPIC',
  ]) {
    refusedWith(
      admit(topic),
      ResponseCode.NO_PERMISSION,
      new RegExp(`Sending message to topic\\[${topic}\\] is forbidden`),
    );
  }
  assert.equal(tables.topics.select('TRANS_CHECK_MAX_TIME_TOPIC'), undefined, 'and it is not made by being refused');
});

test('admission: a queue that the topic does not have is refused by both numbers, at the edge and far beyond', () => {
  const { tables, admit } = open();
  tables.topic('T', { readQueueNums: 2, writeQueueNums: 3 });
  for (const queueId of [0, 1, 2, -1, -5]) assert.ok(!(admit('T', { queueId }) instanceof Refusal), String(queueId));
  for (const queueId of [3, 4, 65_536, 2 ** 40]) {
    const remark = new RegExp(`queueId\\[${queueId}\\] is illegal, topic T has 3 queues. Producer: 10.0.0.1:5000`);
    refusedWith(admit('T', { queueId }), ResponseCode.INVALID_PARAMETER, remark);
  }
});

test('admission: a topic without queues takes no message, not even for any queue', () => {
  const { tables, admit } = open();
  tables.topic('T', { readQueueNums: 0, writeQueueNums: 0 });
  for (const queueId of [0, -1]) {
    refusedWith(admit('T', { queueId }), ResponseCode.INVALID_PARAMETER, /topic T has 0 queues/);
  }
});

test('admission: a producer that asks for no queues, or a number that is none, makes a topic that takes its message', () => {
  const { tables, admit } = open();
  const counts = [0, -3, Number.NaN, 1.5, 2 ** 53, undefined, 2, 100].map((defaultTopicQueueNums, index) => {
    const outcome = admit(`T${index}`, defaultTopicQueueNums === undefined ? {} : { defaultTopicQueueNums });
    assert.ok(!(outcome instanceof Refusal), String(defaultTopicQueueNums));
    return outcome.writeQueueNums;
  });
  assert.deepEqual(counts, [1, 1, 4, 4, 4, 4, 2, 8]);
  assert.equal(tables.changes.topics, counts.length);
});

test('admission: without room for the topic the producer is told to come later, and known topics go on', () => {
  const { tables, admit } = open({ room: { topics: 1_200 } });
  assert.ok(!(admit('First') instanceof Refusal));
  const before = tables.shown();
  refusedWith(admit('Second'), ResponseCode.SYSTEM_BUSY, /topic\[Second\] not made: there is no room/);
  refusedWith(admit('%RETRY%g'), ResponseCode.SYSTEM_BUSY, /not made/);
  assert.deepEqual(tables.shown(), before);
  assert.ok(!(admit('First') instanceof Refusal));
});

test('admission: a retry topic needs no template; any other topic does', () => {
  const { tables, admit } = open({ config: { autoCreateTopicEnable: false } });
  refusedWith(admit('T'), ResponseCode.TOPIC_NOT_EXIST, /topic\[T\]/);
  const retry = admit('%RETRY%g');
  assert.ok(!(retry instanceof Refusal));
  assert.deepEqual([retry.readQueueNums, retry.perm], [1, 6]);
  refusedWith(admit('%DLQ%g'), ResponseCode.TOPIC_NOT_EXIST, /%DLQ%g/);
  assert.equal(tables.topics.select('T'), undefined);
});

test('admission: no message before the time at which the broker begins to take them', () => {
  const { tables, admit } = open();
  const from = tables.clock.now() + 1_000;
  tables.config.startAcceptSendRequestTimeStamp = from;
  refusedWith(admit('BenchmarkTest'), ResponseCode.SYSTEM_ERROR, /unable to service, until 2026-01-01T00:00:01.000Z/);
  tables.clock.pass(999);
  assert.ok(admit('BenchmarkTest') instanceof Refusal);
  tables.clock.pass(1);
  assert.ok(!(admit('BenchmarkTest') instanceof Refusal));
});

test('admission: a broker that takes no messages refuses those of ordered topics, which have nowhere else to go', () => {
  const { tables, admit } = open({ config: { brokerPermission: 4 } });
  tables.topic('Ordered', { order: true });
  tables.topic('T');
  refusedWith(admit('Ordered'), ResponseCode.NO_PERMISSION, /the broker\[10.0.0.9\] sending message is forbidden/);
  assert.ok(!(admit('T') instanceof Refusal), 'its producers learn of it by the route');
  tables.config.brokerPermission = 6;
  assert.ok(!(admit('Ordered') instanceof Refusal));
});
