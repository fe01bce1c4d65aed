import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest, decodeRecords, encodeBatchBody, MQVersion, RequestCode, ResponseCode } from '@vernier/remoting';
import { type PutMessageResult, StoreError } from '@vernier/store';
import {
  heartbeat,
  property,
  pullFields,
  send,
  sendFields,
  startBroker,
  type TestBroker,
  withStore,
} from '../harness.ts';

const records = async ({ invoke }: TestBroker, topic: string, queueId = 0) => {
  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields(topic, 0, { queueId: String(queueId) }));
  return decodeRecords(pulled.body ?? Buffer.alloc(0));
};

test('refusals before anything is stored carry the exact codes', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  await invoke(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic: 'Ordered',
    readQueueNums: '1',
    writeQueueNums: '1',
    perm: '6',
    order: 'true',
  });
  const cases: [string, Record<string, string>, string | undefined, number, RegExp][] = [
    ['blank topic', { b: '' }, 'x', ResponseCode.INVALID_PARAMETER, /blank/],
    ['illegal characters', { b: 'a b' }, 'x', ResponseCode.INVALID_PARAMETER, /illegal characters/],
    ['too long', { b: 'x'.repeat(128) }, 'x', ResponseCode.INVALID_PARAMETER, /longer than topic max length: 127/],
    ['reserved', { b: 'SCHEDULE_TOPIC_XXXX' }, 'x', ResponseCode.NO_PERMISSION, /is forbidden/],
    ['reserved, not made yet', { b: 'TRANS_CHECK_MAX_TIME_TOPIC' }, 'x', ResponseCode.NO_PERMISSION, /is forbidden/],
    ['no template', { b: 'Nobody', c: 'NoTemplate' }, 'x', ResponseCode.TOPIC_NOT_EXIST, /not exist/],
    ['template without the inherit bit', { b: 'Nobody', c: 'SELF_TEST_TOPIC' }, 'x', ResponseCode.TOPIC_NOT_EXIST, /./],
    ['queue beyond the last', { b: 'Ordered', e: '1' }, 'x', ResponseCode.INVALID_PARAMETER, /queueId\[1\] is illegal/],
    ['no queue', { b: 'Ordered', e: '' }, 'x', ResponseCode.INVALID_PARAMETER, /queueId/],
    ['no body', { b: 'Ordered' }, undefined, ResponseCode.MESSAGE_ILLEGAL, /body is empty/],
    ['no level', { b: 'Ordered', i: property('DELAY', '3s') }, 'x', ResponseCode.MESSAGE_ILLEGAL, /no delay level/],
    [
      'no time',
      { b: 'Ordered', i: property('TIMER_DELAY_MS', '9s') },
      'x',
      ResponseCode.MESSAGE_ILLEGAL,
      /timer message/,
    ],
    ['reserved, timers', { b: 'rmq_sys_wheel_timer' }, 'x', ResponseCode.NO_PERMISSION, /is forbidden/],
    [
      'half, delayed',
      { b: 'Ordered', i: property('TRAN_MSG', 'true') + property('DELAY', '1') },
      'x',
      ResponseCode.MESSAGE_ILLEGAL,
      /transactional message cannot be delayed/,
    ],
    [
      'half by flag',
      { b: 'Ordered', f: '4', i: property('TRAN_MSG', 'false') },
      'x',
      ResponseCode.MESSAGE_ILLEGAL,
      /sysFlag/,
    ],
    [
      'half by flag, TRAN_MSG in a value',
      { b: 'Ordered', f: '4', i: property('KEYS', 'TRAN_MSG') },
      'x',
      ResponseCode.MESSAGE_ILLEGAL,
      /sysFlag/,
    ],
    ['half by flag alone', { b: 'Ordered', f: '4' }, 'x', ResponseCode.MESSAGE_ILLEGAL, /sysFlag/],
  ];
  for (const [name, fields, body, code, remark] of cases) {
    const answer = await invoke(RequestCode.SEND_MESSAGE_V2, sendFields('unused', 0, fields), body);
    assert.equal(answer.code, code, name);
    assert.match(answer.remark ?? '', remark, name);
  }
  assert.equal(broker.broker.store.maxPhyOffset, 0, 'none of them reached the log');
  assert.equal(broker.broker.context.topics.select('Nobody'), undefined);

  broker.broker.config.brokerPermission = 4;
  const closed = await send(broker, 'Ordered', 'x');
  assert.equal(closed.code, ResponseCode.NO_PERMISSION);
});

test('what only looks like a delayed or transactional message is stored', async (t) => {
  const broker = await startBroker(t);
  for (const properties of [property('DELAY', '0'), property('TRAN_MSG', 'false'), property('XDELAY', '3')]) {
    assert.equal((await send(broker, 'Plain', 'x', properties)).code, ResponseCode.SUCCESS, properties);
  }
});

test('a message larger than maxMessageSize is MESSAGE_ILLEGAL with the numbers', async (t) => {
  const broker = await startBroker(t, { store: { maxMessageSize: 1024 } });
  const answer = await send(broker, 'Big', 'x'.repeat(1025));
  assert.equal(answer.code, ResponseCode.MESSAGE_ILLEGAL);
  assert.match(answer.remark ?? '', /1024/);
  assert.equal((await send(broker, 'Big', 'x'.repeat(1024))).code, ResponseCode.SUCCESS);
  const properties = await send(broker, 'Big', 'x', property('LONG', 'y'.repeat(33_000)));
  assert.equal(properties.code, ResponseCode.MESSAGE_ILLEGAL);
});

test('a negative queue id is any of the topic’s queues', async (t) => {
  const broker = await startBroker(t);
  const answer = await send(broker, 'Any', 'x', '', -1);
  const queueId = Number(answer.extFields?.queueId);
  assert.ok(queueId >= 0 && queueId < 4);
  assert.equal((await records(broker, 'Any', queueId)).length, 1);
});

test('a message that a broker stored before does not collect the broker’s properties, and loses its POP_CK', async (t) => {
  const broker = await startBroker(t);
  const old =
    property('CLUSTER', 'Other') + property('MSG_REGION', 'r') + property('POP_CK', '1 2 3') + property('KEYS', 'k');
  await send(broker, 'Again', 'x', old);
  const [record] = await records(broker, 'Again');
  assert.equal(record?.properties.get('CLUSTER'), 'DefaultCluster');
  assert.equal(record?.properties.get('POP_CK'), undefined);
  assert.equal(record?.properties.get('KEYS'), 'k');
  const raw = await broker.broker.store.selectOneMessageByOffset(0);
  assert.equal(raw?.toString('latin1').split('CLUSTER').length, 2, 'stored once');
});

test('a sysFlag cannot claim what the broker decides', async (t) => {
  const broker = await startBroker(t);
  const fields = sendFields('Flags', 0, { f: String(0x1 | 0x10 | 0x20 | 0x80) });
  assert.equal((await broker.invoke(RequestCode.SEND_MESSAGE_V2, fields, 'body')).code, ResponseCode.SUCCESS);
  const looked = await broker.broker.store.lookMessageByOffset(0);
  assert.equal((looked?.sysFlag ?? 0) & 0xf0, 0, 'the addresses are IPv4 and there is no inner batch');
  assert.equal((looked?.sysFlag ?? 0) & 1, 1);
});

test('batches: what does not add up, is empty, or holds what a batch may not hold', async (t) => {
  const { invoke, broker } = await startBroker(t);
  const batch = (body: Buffer, topic = 'Batch') =>
    invoke(RequestCode.SEND_BATCH_MESSAGE, sendFields(topic, 0, { m: 'true' }), body);
  const good = encodeBatchBody([{ flag: 0, body: Buffer.from('a'), propertiesString: '' }]);
  const delayed = encodeBatchBody([{ flag: 0, body: Buffer.from('a'), propertiesString: property('DELAY', '1') }]);
  assert.equal((await batch(good.subarray(0, 10))).code, ResponseCode.MESSAGE_ILLEGAL);
  assert.equal((await batch(Buffer.alloc(0))).code, ResponseCode.MESSAGE_ILLEGAL);
  assert.equal((await batch(delayed)).code, ResponseCode.MESSAGE_ILLEGAL);
  assert.equal((await batch(good, '%RETRY%g')).code, ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(broker.store.maxPhyOffset, 0);
  const v2 = await invoke(RequestCode.SEND_MESSAGE_V2, sendFields('Batch', 0, { m: 'true' }), good);
  assert.equal(v2.code, ResponseCode.SUCCESS, 'SEND_MESSAGE_V2 with m=true is a batch too');
  assert.equal((await broker.store.lookMessageByOffset(0))?.body.toString(), 'a');
});

test('each put status has its code; stored ones carry the message’s place', async (t) => {
  let next: Partial<PutMessageResult> = {};
  const broker = await startBroker(t, {
    deps: withStore((store) => {
      store.asyncPutMessage = async () => ({
        status: 'PUT_OK',
        wroteOffset: 291,
        wroteBytes: 100,
        queueOffset: 7,
        storeTimestamp: Date.now(),
        messageCount: 1,
        ...next,
      });
    }),
  });
  const cause = new StoreError('STORE_FLUSH_FAILED', 'fdatasync of 0000: EIO');
  const cases: [PutMessageResult['status'], number, boolean][] = [
    ['PUT_OK', ResponseCode.SUCCESS, true],
    ['FLUSH_DISK_TIMEOUT', ResponseCode.FLUSH_DISK_TIMEOUT, true],
    ['FLUSH_SLAVE_TIMEOUT', ResponseCode.FLUSH_SLAVE_TIMEOUT, true],
    ['SLAVE_NOT_AVAILABLE', ResponseCode.SLAVE_NOT_AVAILABLE, true],
    ['SERVICE_NOT_AVAILABLE', ResponseCode.SERVICE_NOT_AVAILABLE, false],
    ['CREATE_MAPPED_FILE_FAILED', ResponseCode.SYSTEM_ERROR, false],
    ['MESSAGE_ILLEGAL', ResponseCode.MESSAGE_ILLEGAL, false],
    ['PROPERTIES_SIZE_EXCEEDED', ResponseCode.MESSAGE_ILLEGAL, false],
    ['OS_PAGE_CACHE_BUSY', ResponseCode.SYSTEM_BUSY, false],
    ['UNKNOWN_ERROR', ResponseCode.SYSTEM_ERROR, false],
  ];
  for (const [status, code, stored] of cases) {
    next = status === 'PUT_OK' ? {} : { status, reason: 'waited 1234 ms', cause };
    const answer = await send(broker, 'Status', 'x');
    assert.equal(answer.code, code, status);
    assert.equal(answer.extFields?.queueOffset, stored ? '7' : undefined, status);
    if (stored) assert.match(answer.extFields?.msgId ?? '', /0000000000000123$/);
    if (status !== 'PUT_OK') assert.match(answer.remark ?? '', /waited 1234 ms.*STORE_FLUSH_FAILED.*EIO/, status);
    if (status === 'OS_PAGE_CACHE_BUSY') {
      // What clients and their alarms look for.
      assert.ok(
        answer.remark?.startsWith('[PC_SYNCHRONIZED]broker busy, start flow control for a while: waited 1234 ms'),
      );
    }
  }
});

test('a store that failed: sends are refused with the cause, pulls go on', async (t) => {
  const broker = await startBroker(t);
  await send(broker, 'Failed', 'before');
  const cause = new StoreError('STORE_FLUSH_FAILED', 'fdatasync: EIO');
  broker.broker.store.asyncPutMessage = async () => ({
    status: 'SERVICE_NOT_AVAILABLE',
    wroteOffset: -1,
    wroteBytes: 0,
    queueOffset: -1,
    storeTimestamp: 0,
    messageCount: 0,
    reason: 'the store is read-only',
    cause,
  });
  const refused = await send(broker, 'Failed', 'after');
  assert.equal(refused.code, ResponseCode.SERVICE_NOT_AVAILABLE);
  assert.match(refused.remark ?? '', /read-only.*EIO/);
  assert.equal((await records(broker, 'Failed')).length, 1);
});

test('a consumer’s own retry waits for the retry topic, and is a dead letter at once beyond the limit', async (t) => {
  const broker = await startBroker(t);
  await broker.invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'g' }));
  const retry = (reconsumeTimes: number, max: number, version: number = MQVersion.V5_5_0) => {
    const fields = sendFields('%RETRY%g', 0, { j: String(reconsumeTimes), l: String(max), i: property('DELAY', '4') });
    const request = createRequest(RequestCode.SEND_MESSAGE_V2, fields, Buffer.from(`try ${reconsumeTimes}`));
    return broker.client.invoke(broker.address, { ...request, version }, 10_000);
  };
  assert.equal((await retry(3, 3)).code, ResponseCode.SUCCESS);
  assert.equal((await retry(4, 3)).code, ResponseCode.SUCCESS);
  assert.equal((await retry(5, 3, MQVersion.V3_4_9 - 1)).code, ResponseCode.SUCCESS);
  const waiting = await records(broker, 'SCHEDULE_TOPIC_XXXX', 3);
  assert.deepEqual(
    waiting.map(({ body, properties }) => [body.toString(), properties.get('REAL_TOPIC')]),
    [
      ['try 3', '%RETRY%g'],
      ['try 5', '%RETRY%g'],
    ],
    'the group’s 16 count where a client is too old to mean its own number',
  );
  const [dead] = await records(broker, '%DLQ%g');
  assert.equal(dead?.body.toString(), 'try 4');
  assert.equal(dead?.properties.get('DELAY'), '-1');
  const bad = await broker.invoke(RequestCode.SEND_MESSAGE_V2, sendFields('%RETRY%no|such%'.repeat(10)), 'x');
  assert.equal(bad.code, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'a group name may have 120 characters');
});

test('an orderly group’s retry is dead at once: it holds a lock', async (t) => {
  const broker = await startBroker(t);
  await broker.invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'g' }));
  const mqSet = [{ topic: 'T', brokerName: 'broker-a', queueId: 0 }];
  const lock = JSON.stringify({ consumerGroup: 'g', clientId: 'c', onlyThisBroker: true, mqSet });
  await broker.invoke(RequestCode.LOCK_BATCH_MQ, undefined, lock);
  await broker.invoke(RequestCode.SEND_MESSAGE_V2, sendFields('%RETRY%g', 0, { j: '1' }), 'x');
  assert.equal((await records(broker, '%DLQ%g')).length, 1);
  assert.equal((await records(broker, '%RETRY%g')).length, 0);
});

test('sysFlag: what a producer says of its body is stored as it is, what only a broker may say is not', async (t) => {
  const broker = await startBroker(t);
  const sent = [1, 2, 0x100, 0x101, 0x201, 0x301, 0x701, 0x10, 0x20, 0x40, 0x80, 0xf0, 2_147_483_647 & ~0xc, -1 & ~0xc];
  for (const sysFlag of sent) {
    const answer = await broker.invoke(RequestCode.SEND_MESSAGE_V2, sendFields('Bits', 0, { f: String(sysFlag) }), 'x');
    assert.equal(answer.code, ResponseCode.SUCCESS, String(sysFlag));
  }
  const stored = (await records(broker, 'Bits')).map(({ sysFlag }) => sysFlag);
  assert.deepEqual(
    stored,
    sent.map((sysFlag) => sysFlag & ~0xf0),
  );
});
