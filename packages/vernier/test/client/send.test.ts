import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodePropertiesString, ResponseCode } from '@vernier/remoting';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { Cluster, type RouteEntry } from '../../src/client/cluster.ts';
import { routeForSending, Sender } from '../../src/client/send.ts';
import { type Answering, deadAddress, type FakePeer, fakePeer, routeBody, socketServer } from '../in-process.ts';

const TIMEOUT_MS = 5_000;

async function senderTo(
  t: TestContext,
  answer: Answering,
  more: Partial<RouteEntry> = {},
): Promise<{ sender: Sender; broker: FakePeer; cluster: Cluster; entry: RouteEntry }> {
  const broker = await fakePeer(t, answer);
  const cluster = new Cluster(broker.address);
  cleanUp(t, () => cluster.close());
  const entry = { brokerName: 'b', address: broker.address, readQueueNums: 2, writeQueueNums: 2, perm: 6, ...more };
  return { sender: new Sender(cluster, 'T', [entry], TIMEOUT_MS), broker, cluster, entry };
}

test('send: the topic, the queue, the keys, the tag and the bytes are what the broker is asked to store', async (t) => {
  const { sender, broker } = await senderTo(t, () => ({ fields: { msgId: 'ID', queueOffset: '7', queueId: '0' } }));
  const body = Buffer.from([0, 255, 10]);
  const result = await sender.send({ body, keys: 'k1 k2', tags: 'paid' });
  const [{ extFields, body: sent }] = broker.requests as [(typeof broker.requests)[number]];
  assert.deepEqual([extFields!.b, extFields!.e, sent], ['T', '0', body]);
  const properties = decodePropertiesString(extFields!.i!);
  assert.deepEqual([properties.get('KEYS'), properties.get('TAGS')], ['k1 k2', 'paid']);
  assert.equal(properties.get('UNIQ_KEY'), result.msgId);
  assert.equal(properties.get('WAIT'), 'true', 'an acknowledgement means on disk, where the broker is set so');
  assert.deepEqual(
    { ...result, msgId: '' },
    { status: 'SEND_OK', msgId: '', offsetMsgId: 'ID', brokerName: 'b', queueId: 0, queueOffset: 7 },
  );
});

test('send: without keys and tag, or with empty ones, no such property is stored', async (t) => {
  const { sender, broker } = await senderTo(t, () => ({}));
  await sender.send({ body: Buffer.from('x') });
  await sender.send({ body: Buffer.from('x'), keys: '', tags: '' });
  for (const { extFields } of broker.requests) {
    assert.deepEqual([...decodePropertiesString(extFields!.i!).keys()], ['UNIQ_KEY', 'WAIT']);
  }
});

test('send: the queues take turns, also after a failure, and no two messages have one id', async (t) => {
  let answers = 0;
  const { sender, broker } = await senderTo(t, () => ({ code: answers++ === 1 ? ResponseCode.SYSTEM_ERROR : 0 }));
  const ids = new Set<string>();
  for (let index = 0; index < 5; index++) ids.add((await sender.send({ body: Buffer.from('x') })).msgId);
  assert.deepEqual(
    broker.requests.map(({ extFields }) => extFields!.e),
    ['0', '1', '0', '1', '0'],
  );
  assert.equal(ids.size, 5);
});

test('send: queues of a broker that may not be written get nothing', async (t) => {
  const readOnly = await fakePeer(t, () => ({}));
  const { broker, cluster, entry } = await senderTo(t, () => ({}));
  const closed = { ...entry, brokerName: 'a', address: readOnly.address, perm: 4 };
  const sender = new Sender(cluster, 'T', [closed, entry], TIMEOUT_MS);
  for (let index = 0; index < 4; index++) await sender.send({ body: Buffer.from('x') });
  assert.deepEqual([readOnly.requests.length, broker.requests.length], [0, 4]);
});

test('send: stored and not on disk in time is none of SEND_OK and FAILED, and says why', async (t) => {
  const { sender, broker } = await senderTo(t, () => ({}));
  for (const status of ['FLUSH_DISK_TIMEOUT', 'FLUSH_SLAVE_TIMEOUT', 'SLAVE_NOT_AVAILABLE'] as const) {
    broker.answer = () => ({ code: ResponseCode[status], fields: { queueOffset: '1', msgId: 'ID' } });
    const result = await sender.send({ body: Buffer.from('x') });
    assert.deepEqual([result.status, result.reason, result.queueOffset], [status, status, 1]);
    broker.answer = () => ({ code: ResponseCode[status], remark: 'the disk is slow' });
    assert.equal((await sender.send({ body: Buffer.from('x') })).reason, 'the disk is slow');
  }
});

test('send: every other answer is FAILED with the numbers, has no place, and rejects nothing', async (t) => {
  const { sender, broker } = await senderTo(t, () => ({}));
  for (const code of [1, 2, 13, 14, 16, 215, 4_711]) {
    broker.answer = () => ({ code, remark: 'because', fields: { queueOffset: '1', msgId: 'ID' } });
    const { status, reason, queueOffset, offsetMsgId } = await sender.send({ body: Buffer.from('x') });
    assert.deepEqual([status, queueOffset, offsetMsgId], ['FAILED', undefined, undefined], String(code));
    assert.match(reason!, new RegExp(`answered SEND_MESSAGE_V2 with .*\\(${code}\\): because$`));
  }
});

test('send: a broker that is away, hangs up or does not answer in time is FAILED with its address', async (t) => {
  const { cluster, entry } = await senderTo(t, () => ({}));
  const dead = await deadAddress();
  const hangsUp = await socketServer(t, (socket) => socket.destroy());
  const silent = await socketServer(t, (socket) => socket.resume());
  for (const address of [dead, hangsUp, silent]) {
    const sender = new Sender(cluster, 'T', [{ ...entry, address }], 40);
    const { status, reason } = await sender.send({ body: Buffer.from('x') });
    assert.equal(status, 'FAILED');
    assert.ok(reason!.startsWith(`${address} does not answer: `), reason);
  }
});

test('send: a place that is no number does not make a stored message a failed one, nor NaN its offset', async (t) => {
  const { sender, broker } = await senderTo(t, () => ({}));
  for (const queueOffset of ['', 'x', 'NaN', '1e400', '1.5', '99999999999999999999']) {
    broker.answer = () => ({ fields: { queueOffset } });
    const result = await sender.send({ body: Buffer.from('x') });
    assert.deepEqual([result.status, result.queueOffset], ['SEND_OK', undefined], queueOffset);
    assert.ok(!('queueOffset' in JSON.parse(JSON.stringify(result))));
  }
});

test('route for sending: a topic that is there keeps its queues and permissions; nobody asks for the template', async (t) => {
  const namesrv = await fakePeer(t, () => ({ body: routeBody({ b: 'h:1' }, { queues: 9, perm: 4 }) }));
  const cluster = new Cluster(namesrv.address);
  cleanUp(t, () => cluster.close());
  const [entry] = await routeForSending(cluster, 'T');
  assert.deepEqual([entry!.writeQueueNums, entry!.perm], [9, 4]);
  assert.deepEqual(
    namesrv.requests.map(({ extFields }) => extFields!.topic),
    ['T'],
  );
});

test('route for sending: a topic that is not there gets four queues of the template and not its right to inherit', async (t) => {
  const namesrv = await fakePeer(t, ({ extFields }) =>
    extFields!.topic === 'TBW102'
      ? { body: routeBody({ b: 'h:1' }, { queues: 8, perm: 7 }) }
      : { code: ResponseCode.TOPIC_NOT_EXIST },
  );
  const cluster = new Cluster(namesrv.address);
  cleanUp(t, () => cluster.close());
  const [entry] = await routeForSending(cluster, 'fresh');
  assert.deepEqual([entry!.writeQueueNums, entry!.perm], [4, 6]);
  namesrv.answer = () => ({ code: ResponseCode.TOPIC_NOT_EXIST });
  assert.deepEqual(await routeForSending(cluster, 'fresh'), [], 'and none where brokers create no topics');
});
