import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { encodeKVTable, RequestCode, ResponseCode } from '@vernier/remoting';
import { statusText } from '../../src/commands/status.ts';
import {
  assertFails,
  clusterBody,
  command,
  deadAddress,
  type FakePeer,
  fakePeer,
  socketServer,
} from '../in-process.ts';

const info = {
  brokerVersionDesc: 'V5_5_0',
  runtime: '[ 0 days, 0 hours, 3 minutes, 7 seconds ]',
  storeEngine: 'channel',
  flushDiskType: 'SYNC_FLUSH',
  commitLogMinOffset: '1048576',
  commitLogMaxOffset: '3145728',
  remainHowManyDataToFlush: '2048',
  remainHowManyDataToCommit: '0',
  dispatchBehindBytes: '0',
  flushWaiters: '12',
  flushOldestWaiterMs: '1500',
  flushCount: '469',
  flushTimeAverageMs: '1.760',
  flushTimeMaxMs: '14.635',
  flushGroupSizeAverage: '63.966',
  putMessageTimesTotal: '30000',
  putTps: '3990.42 12.0 0.0',
};

test('status text: the flush pipeline in words, with who waits and for how long', () => {
  assert.deepEqual(statusText('127.0.0.1:10911', 'broker-a', info).split('\n'), [
    'broker         127.0.0.1:10911  broker-a',
    'speaks as      RocketMQ V5_5_0',
    'running        3 minutes, 7 seconds',
    'engine         channel',
    'flush mode     SYNC_FLUSH',
    'log            2.0 MiB from offset 1,048,576 to 3,145,728',
    'not on disk    2.0 KiB',
    'not written    0 bytes',
    'not in queues  0 bytes',
    'waiting        12 messages for their flush, the oldest for 1,500 ms',
    'flushes        469, 1.760 ms on average, 14.635 ms at most, 63.966 messages each',
    'put            30,000 messages',
    'put a second   3,990.4, 12, 0 (over 10 s, 1 min, 10 min)',
  ]);
});

test('status text: the calls of each method of gRPC, and how many failed', () => {
  const calls = { proxySendMessageTotal: '1204', proxySendMessageFailedTotal: '0', proxySendMessageAverageMs: '0.5' };
  const acks = { proxyAckMessageTotal: '3', proxyAckMessageFailedTotal: '1' };
  const text = statusText('a:1', 'b', { proxyAddress: '127.0.0.1:8081', proxyClients: '2', ...calls, ...acks });
  assert.match(text, /\ngRPC proxy {2}127\.0\.0\.1:8081 {2}2 clients\n/);
  assert.match(text, /\ngRPC calls {2}SendMessage 1,204, AckMessage 3 \(1 failed\)$/);
});

test('status text: a failed store is said first of all', () => {
  const failure = 'STORE_FLUSH_FAILED: fdatasync failed with EIO';
  assert.match(
    statusText('a:1', 'b', { ...info, storeFailure: failure }),
    /\nstore failed {3}STORE_FLUSH_FAILED: .*\nengine/,
  );
});

test('status text: a Java broker’s sizes are text, its rates may be blank, and its log may have no file yet', () => {
  const java = {
    brokerVersionDesc: 'V5_5_0',
    commitLogMinOffset: '-1',
    commitLogMaxOffset: '0',
    remainHowManyDataToFlush: '1.5 KiB',
    dispatchBehindBytes: '0',
    putMessageTimesTotal: '1',
    putTps: '  ',
    getTransferredTps: '0.1 NaN 0.0',
  };
  assert.deepEqual(statusText('a:1', 'b', java).split('\n'), [
    'broker         a:1  b',
    'speaks as      RocketMQ V5_5_0',
    'log            0 bytes from offset 0 to 0',
    'not on disk    1.5 KiB',
    'not in queues  0 bytes',
    'put            1 messages',
    'got a second   0.1, NaN, 0 (over 10 s, 1 min, 10 min)',
  ]);
});

test('status text: values that are none of their kind are shown as they are', () => {
  const text = statusText('a:1', 'b', { commitLogMaxOffset: 'x', flushCount: 'y', runtime: 'z', putTps: 'w' });
  assert.match(text, /log +from offset 0 to x\n/);
  assert.doesNotMatch(text, /NaN/);
});

test('status text: what a Java broker does not say is left out', () => {
  const text = statusText('a:1', 'b', { brokerVersionDesc: 'V5_3_3', putTps: '1.0 1.0 1.0' });
  assert.doesNotMatch(text, /undefined|NaN|waiting|engine/);
});

const infoOf = (entries: Record<string, string>): Buffer => encodeKVTable(new Map(Object.entries(entries)));

async function namesrvOf(t: TestContext, brokers: Record<string, string>): Promise<FakePeer> {
  return await fakePeer(t, () => ({ body: clusterBody(brokers) }));
}

test('status: every broker that the nameserver knows, in words and as JSON with the same values', async (t) => {
  const a = await fakePeer(t, () => ({ body: infoOf(info) }));
  const b = await fakePeer(t, () => ({ body: infoOf({ brokerVersionDesc: 'V5_3_3' }) }));
  const namesrv = await namesrvOf(t, { a: a.address, b: b.address });
  const plain = await command(['status', '--namesrv', namesrv.address]);
  assert.deepEqual([plain.code, plain.stderr], [0, '']);
  assert.equal(
    plain.stdout,
    `${statusText(a.address, 'a', info)}\n\n${statusText(b.address, 'b', { brokerVersionDesc: 'V5_3_3' })}\n`,
  );
  const json = JSON.parse((await command(['status', '--json', '--namesrv', namesrv.address])).stdout);
  assert.deepEqual(json, [
    { cluster: 'C', brokerName: 'a', address: a.address, info },
    { cluster: 'C', brokerName: 'b', address: b.address, info: { brokerVersionDesc: 'V5_3_3' } },
  ]);
});

test('status: brokers that are away, refuse or speak nonsense are each told, and hide none that answers', async (t) => {
  const good = await fakePeer(t, () => ({ body: infoOf(info) }));
  const refuses = await fakePeer(t, () => ({ code: ResponseCode.NO_PERMISSION, remark: 'not for you' }));
  const nonsense = await socketServer(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n\r\n\r\n\r\n'));
  const empty = await fakePeer(t, () => ({}));
  const brokers = { a: await deadAddress(), b: refuses.address, c: nonsense, d: empty.address };
  const namesrv = await namesrvOf(t, { ...brokers, e: good.address });
  for (const json of [[], ['--json']]) {
    const { code, stdout, stderr } = await command(['status', ...json, '--namesrv', namesrv.address]);
    assert.equal(code, 1);
    assert.ok(stdout.includes(good.address));
    for (const address of Object.values(brokers)) assert.ok(!stdout.includes(address), `${address} said nothing`);
    const told = stderr.trimEnd().split('\n');
    assert.equal(told.length, 4, stderr);
    for (const [index, code] of [
      'CLI_UNREACHABLE',
      'CLI_REFUSED',
      'CLI_UNREACHABLE',
      'REMOTING_BODY_INVALID',
    ].entries()) {
      assert.match(told[index]!, new RegExp(`^vernier: .*\\[${code}\\]$`));
    }
  }
});

test('status: when no broker answers, each of them is told and stdout is empty', async (t) => {
  const brokers = { a: await deadAddress(), b: await deadAddress(), c: await deadAddress() };
  const namesrv = await namesrvOf(t, brokers);
  for (const json of [[], ['--json']]) {
    const { code, stdout, stderr } = await command(['status', ...json, '--namesrv', namesrv.address]);
    assert.deepEqual([code, stdout], [1, '']);
    for (const address of Object.values(brokers)) assert.equal(stderr.split(`${address} does not answer`).length, 2);
  }
});

test('status: a nameserver without brokers is CLI_NO_ROUTE with its address, and no empty list', async (t) => {
  const namesrv = await namesrvOf(t, {});
  for (const json of [[], ['--json']]) {
    const refused = await command(['status', ...json, '--namesrv', namesrv.address]);
    assertFails(refused, 1, 'CLI_NO_ROUTE', new RegExp(`the nameserver ${namesrv.address} knows no broker`));
  }
});

test('status: --broker asks that one and no nameserver; its name is what it says of itself', async (t) => {
  const broker = await fakePeer(t, () => ({ body: infoOf({ brokerName: 'self' }) }));
  const namesrv = await namesrvOf(t, {});
  const asked = await command(['status', '--json', '--broker', broker.address, '--namesrv', namesrv.address]);
  assert.equal(JSON.parse(asked.stdout)[0].brokerName, 'self');
  assert.deepEqual([namesrv.requests.length, broker.requests[0]!.code], [0, RequestCode.GET_BROKER_RUNTIME_INFO]);
  const wrong = await command(['status', '--broker', 'nonsense']);
  assertFails(wrong, 2, 'REMOTING_ADDRESS_INVALID', /'nonsense' is not HOST:PORT/);
});

test('status: names of JavaScript objects and values that are none are shown and break nothing', async (t) => {
  const table =
    '{"table":{"__proto__":"x","constructor":"y","flushCount":"NaN","commitLogMaxOffset":"1e999","runtime":"[]"}}';
  const broker = await fakePeer(t, () => ({ body: table }));
  const plain = await command(['status', '--broker', broker.address]);
  assert.equal(plain.code, 0, plain.stderr);
  assert.match(plain.stdout, /log +from offset 0 to 1e999\n/);
  const json = JSON.parse((await command(['status', '--json', '--broker', broker.address])).stdout);
  assert.deepEqual(Object.getOwnPropertyNames(json[0].info).sort(), [
    '__proto__',
    'commitLogMaxOffset',
    'constructor',
    'flushCount',
    'runtime',
  ]);
});

test('status text: a runtime of days and one of nothing', () => {
  assert.match(
    statusText('a:1', 'b', { runtime: '[ 2 days, 0 hours, 0 minutes, 7 seconds ]' }),
    /2 days, 0 hours, 0 minutes/,
  );
  assert.match(statusText('a:1', 'b', { runtime: '[ 0 days, 0 hours, 0 minutes, 0 seconds ]' }), /running +0 seconds$/);
});

test('status text: a broker whose waiters wait for no time, and whose flushes are none, says so without a nought too many', () => {
  const text = statusText('a:1', 'b', { flushWaiters: '0', flushOldestWaiterMs: '0', flushCount: '0' });
  assert.deepEqual(text.split('\n').slice(1), ['waiting  0 messages for their flush', 'flushes  none yet']);
});
