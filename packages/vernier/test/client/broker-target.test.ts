import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ImportedMessage } from '@vernier/doctor';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { BrokerTarget, inTurn } from '../../src/client/broker-target.ts';
import type { RouteEntry } from '../../src/client/cluster.ts';
import {
  type Answering,
  deadAddress,
  type FakePeer,
  fakeNamesrv,
  fakePeer,
  type RouteOf,
  routeBody,
  socketServer,
} from '../in-process.ts';

const host = { address: new Uint8Array(4), port: 0 };
const message = (more: Partial<ImportedMessage> = {}): ImportedMessage => ({
  ...{ topic: 'T', queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 1, bornHost: host, storeHost: host },
  ...{ reconsumeTimes: 0, preparedTransactionOffset: 0, propertiesString: '', body: Buffer.from('x') },
  ...more,
});

/** A target whose nameserver knows one broker, which answers as told. */
async function targetOf(
  t: TestContext,
  answer: Answering,
  route?: RouteOf,
): Promise<{ target: BrokerTarget; broker: FakePeer; namesrv: FakePeer }> {
  const broker = await fakePeer(t, answer);
  const namesrv = await fakeNamesrv(t, { b: broker.address }, route);
  const target = new BrokerTarget(namesrv.address);
  cleanUp(t, () => target.close());
  return { target, broker, namesrv };
}

const entry = (brokerName: string, writeQueueNums: number, perm = 6): RouteEntry => ({
  ...{ brokerName, address: `${brokerName}:1`, readQueueNums: 99, writeQueueNums, perm },
});

test('in turn: the first queue of each broker, then the second, with brokers that have fewer left out', () => {
  const names = (route: RouteEntry[]): string[] =>
    inTurn(route).map((queue) => `${queue.entry.brokerName}${queue.queueId}`);
  assert.deepEqual(names([entry('b', 1), entry('a', 3), entry('c', 2)]), ['a0', 'b0', 'c0', 'a1', 'c1', 'a2']);
  assert.deepEqual(
    names([entry('a', 2, 4), entry('b', 1, 2)]),
    ['b0'],
    'a broker that may not be written gets nothing',
  );
  assert.deepEqual(names([]), []);
  assert.deepEqual(names([entry('a', 0)]), []);
});

test('broker target: what was exported is what is sent, member by member', async (t) => {
  const { target, broker } = await targetOf(t, () => ({}), { queues: 2 });
  const body = Buffer.from([0, 255]);
  const given = { flag: 7, sysFlag: 0x1, bornTimestamp: 123, reconsumeTimes: 3, propertiesString: 'KEYS\u0001k\u0002' };
  assert.deepEqual(await target.put(message({ ...given, queueId: 3, body })), { status: 'stored' });
  const [{ code, extFields, body: sent }] = broker.requests as [(typeof broker.requests)[number]];
  const { b, e, f, g, h, i, j, k, m } = extFields!;
  assert.deepEqual([code, sent], [RequestCode.SEND_MESSAGE_V2, body]);
  assert.deepEqual([b, e, f, g, h, i, j], ['T', '1', '1', '123', '7', given.propertiesString, '3']);
  assert.deepEqual([k, m], ['false', 'false'], 'no unit and no batch');
});

test('broker target: flags of transactions and address kinds are not sent, for they are not true of what is sent', async (t) => {
  const { target, broker } = await targetOf(t, () => ({}));
  for (const sysFlag of [0x4, 0x8, 0xc, 0x10, 0x20, 0x3c]) await target.put(message({ sysFlag }));
  await target.put(message({ sysFlag: 0x301 | 0x10 }));
  assert.deepEqual(
    broker.requests.map(({ extFields }) => Number(extFields!.f)),
    [0, 0, 0, 0, 0, 0, 0x301],
  );
});

test('broker target: only SUCCESS is stored; a doubt is unconfirmed; a no is refused; each with its reason', async (t) => {
  const { target, broker } = await targetOf(t, () => ({}));
  const cases: [code: number, status: string, reason: RegExp][] = [
    [ResponseCode.FLUSH_DISK_TIMEOUT, 'unconfirmed', /^stored, and not confirmed: FLUSH_DISK_TIMEOUT$/],
    [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'unconfirmed', /^stored, and not confirmed: FLUSH_SLAVE_TIMEOUT$/],
    [ResponseCode.SLAVE_NOT_AVAILABLE, 'unconfirmed', /^stored, and not confirmed: SLAVE_NOT_AVAILABLE$/],
    [ResponseCode.SYSTEM_ERROR, 'unconfirmed', /SYSTEM_ERROR \(1\): as told$/],
    [ResponseCode.NO_PERMISSION, 'refused', /NO_PERMISSION \(16\): as told$/],
    [ResponseCode.MESSAGE_ILLEGAL, 'refused', /MESSAGE_ILLEGAL \(13\): as told$/],
    [9_999, 'refused', /\(9999\): as told$/],
  ];
  for (const [code, status, reason] of cases) {
    broker.answer = () => ({ code, remark: 'as told' });
    const outcome = await target.put(message());
    assert.equal(outcome.status, status, String(code));
    assert.match(outcome.reason!, reason);
  }
});

test('broker target: who hangs up after a send may have stored it; who was never asked has not', async (t) => {
  const hangsUp = await socketServer(t, (socket) => socket.once('data', () => socket.destroy()));
  const namesrv = await fakeNamesrv(t, { b: hangsUp });
  const target = new BrokerTarget(namesrv.address);
  cleanUp(t, () => target.close());
  const { status, reason } = await target.put(message());
  assert.equal(status, 'unconfirmed');
  assert.ok(reason!.startsWith(`${hangsUp} does not answer: `), reason);

  const without = new BrokerTarget(await deadAddress());
  cleanUp(t, () => without.close());
  assert.equal((await without.put(message())).status, 'refused');
});

test('broker target: a route without a queue to write is refused by name and nothing is sent', async (t) => {
  for (const route of [{ perm: 4 }, { queues: 0 }]) {
    const { target, broker } = await targetOf(t, () => ({}), route);
    assert.deepEqual(await target.put(message()), {
      status: 'refused',
      reason: 'no broker takes messages for the topic T',
    });
    assert.equal(broker.requests.length, 0);
  }
});

test('broker target: a nameserver is asked once a topic, and again after it had no answer', async (t) => {
  const { target, broker, namesrv } = await targetOf(t, () => ({}));
  const good = namesrv.answer;
  namesrv.answer = () => ({ code: ResponseCode.SYSTEM_ERROR, remark: 'a moment' });
  const first = await target.put(message());
  assert.equal(first.status, 'refused');
  assert.match(first.reason!, /SYSTEM_ERROR \(1\): a moment/);
  assert.equal(broker.requests.length, 0);
  namesrv.answer = good;
  namesrv.requests.length = 0;
  const outcomes = await Promise.all([1, 2, 3].map(() => target.put(message())));
  await target.put(message({ topic: 'U' }));
  assert.deepEqual(new Set(outcomes.map(({ status }) => status)), new Set(['stored']));
  assert.deepEqual(
    namesrv.requests.map(({ extFields }) => extFields!.topic),
    ['T', 'U'],
  );
});

test('broker target: messages of one queue stay in one queue, whatever comes between them', async (t) => {
  const a = await fakePeer(t, () => ({}));
  const b = await fakePeer(t, () => ({}));
  const namesrv = await fakePeer(t, () => ({ body: routeBody({ a: a.address, b: b.address }, { queues: 2 }) }));
  const target = new BrokerTarget(namesrv.address);
  cleanUp(t, () => target.close());
  for (const queueId of [5, 0, 5, 3, 5, 1_000_001]) await target.put(message({ queueId }));
  const got = (peer: FakePeer): string[] => peer.requests.map(({ extFields }) => extFields!.e!);
  // Four queues in turn: a0 b0 a1 b1; 5 and 1,000,001 are b0.
  assert.deepEqual([got(a), got(b)], [['0'], ['0', '0', '1', '0', '0']]);
});
