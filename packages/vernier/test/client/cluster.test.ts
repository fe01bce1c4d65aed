// A nameserver or broker that answers whatever it likes ends no command but by an error with a code.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  createRequest,
  createResponse,
  encodeFrame,
  formatAddress,
  RemotingServer,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { eachMemberAs, hostileValues } from '../../../remoting/test/support/hostile.ts';
import { Cluster, numberField, queuesOf } from '../../src/client/cluster.ts';
import { GroupMember } from '../../src/client/group-member.ts';
import { Puller } from '../../src/client/pull.ts';
import { clusterBody, deadAddress, fakePeer, routeBody, socketServer } from '../in-process.ts';

interface Answer {
  body?: string;
  fields?: Record<string, string>;
}

/** A server that answers every request with what `answer` says now. */
async function serverOf(t: TestContext, answer: (code: number) => Answer): Promise<Cluster> {
  const server = new RemotingServer();
  server.registerDefaultProcessor((request) => {
    const { body, fields } = answer(request.code);
    return createResponse(request, 0, undefined, fields, body === undefined ? undefined : Buffer.from(body));
  });
  const { host, port } = await server.listen({ port: 0 });
  const cluster = new Cluster(formatAddress(host, port));
  cleanUp(t, async () => {
    await cluster.close();
    await server.shutdown(0);
  });
  return cluster;
}

const route = (address: string, queues: unknown = 4): unknown => ({
  brokerDatas: [{ brokerAddrs: { 0: address }, brokerName: 'b', cluster: 'c' }],
  queueDatas: [{ brokerName: 'b', perm: 6, readQueueNums: queues, topicSysFlag: 0, writeQueueNums: queues }],
});

const clusterInfo = {
  brokerAddrTable: { b: { brokerAddrs: { 0: 'h:1' }, brokerName: 'b', cluster: 'c' } },
  clusterAddrTable: { c: ['b'] },
};

const own = /^(REMOTING|CLI)_/;

async function endsWell(where: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { code, stack } = error as { code?: unknown; stack?: string };
    assert.ok(typeof code === 'string' && own.test(code), `${where}: ${stack}`);
  }
}

test('cluster: routes and brokers with hostile members are read or refused with a code', async (t) => {
  let body = '';
  const cluster = await serverOf(t, () => ({ body }));
  for (const hostile of hostileValues) {
    for (const [path, text] of eachMemberAs(route('h:1'), hostile)) {
      body = text;
      await endsWell(`${path} = ${hostile.slice(0, 50)}`, async () => queuesOf('T', await cluster.route('T'), 'read'));
    }
    for (const [path, text] of eachMemberAs(clusterInfo, hostile)) {
      body = text;
      await endsWell(`${path} = ${hostile.slice(0, 50)}`, () => cluster.brokers());
    }
  }
  body = JSON.stringify(route('h:1'));
  assert.equal(queuesOf('T', await cluster.route('T'), 'write').length, 4);
});

test('cluster: an answer without a body, or a route of more queues than memory holds, is refused', async (t) => {
  let answer: Answer = {};
  const cluster = await serverOf(t, () => answer);
  await assert.rejects(cluster.route('T'), { code: 'REMOTING_BODY_INVALID' });
  await assert.rejects(cluster.brokers(), { code: 'REMOTING_BODY_INVALID' });
  for (const queues of [1e15, 2 ** 31 - 1, 65_537, -1]) {
    answer = { body: JSON.stringify(route('h:1', queues)) };
    await assert.rejects(cluster.route('T'), { code: 'REMOTING_BODY_INVALID' }, String(queues));
  }
  const many = Array.from({ length: 200 }, (_, index) => `b${index}`);
  answer = {
    body: JSON.stringify({
      brokerDatas: many.map((brokerName) => ({ brokerAddrs: { 0: 'h:1' }, brokerName, cluster: 'c' })),
      queueDatas: many.map((brokerName) => ({ brokerName, perm: 6, readQueueNums: 65_536, writeQueueNums: 1 })),
    }),
  };
  await assert.rejects(cluster.route('T'), { code: 'REMOTING_BODY_INVALID', message: /has 13107200 queues/ });
});

test('cluster: offsets and members that are none end a pull or a join with a code', async (t) => {
  let fields: Record<string, string> = {};
  let body: string | undefined;
  const cluster = await serverOf(t, (code) =>
    code === RequestCode.GET_ROUTEINFO_BY_TOPIC ? { body: JSON.stringify(route('127.0.0.1:1')) } : { fields, body },
  );
  const address = await serverAddress(t, () => ({ fields, body }));
  const queue = { topic: 'T', brokerName: 'b', queueId: 0, address };
  const puller = new Puller(cluster, 'g', '*');
  for (const offset of ['', 'NaN', '1e400', '1.5', '{}', '9'.repeat(30), '__proto__']) {
    fields = { offset, nextBeginOffset: offset };
    await assert.rejects(puller.end(queue), { code: 'REMOTING_BODY_INVALID' }, offset);
    await assert.rejects(puller.beginning(queue, 'first'), { code: 'REMOTING_BODY_INVALID' }, offset);
    await assert.rejects(puller.pull(queue, 0, false), { code: 'REMOTING_BODY_INVALID' }, offset);
  }
  fields = { offset: '-1' };
  assert.equal(await puller.end(queue), 0, 'a Java broker says so of a queue that it does not have');
  fields = { nextBeginOffset: '1' };
  body = 'no records';
  await assert.rejects(puller.pull(queue, 0, false), { code: 'REMOTING_MESSAGE_INVALID' });
  const member = new GroupMember(cluster, 'g', 'T', '*');
  await endsWell('members', () => member.assignment());
});

async function serverAddress(t: TestContext, answer: () => Answer): Promise<string> {
  const server = new RemotingServer();
  server.registerDefaultProcessor((request) => {
    const { body, fields } = answer();
    return createResponse(request, 0, undefined, fields, body === undefined ? undefined : Buffer.from(body));
  });
  const { host, port } = await server.listen({ port: 0 });
  cleanUp(t, () => server.shutdown(0));
  return formatAddress(host, port);
}

const clusterOf = (t: TestContext, namesrv: string): Cluster => {
  const cluster = new Cluster(namesrv);
  cleanUp(t, () => cluster.close());
  return cluster;
};

/** What a peer does with a connection that must not pass for an answer. */
const brokenPeers: [what: string, bytes: Buffer | undefined][] = [
  ['hangs up', undefined],
  ['speaks HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['sends half a frame', encodeFrame(createResponse(createRequest(1), 0)).subarray(0, 11)],
  ['sends a frame longer than any', Buffer.from('7fffffff00000004', 'hex')],
  ['sends a header that is no JSON', Buffer.from(`0000000900000005${Buffer.from('{"co,').toString('hex')}`, 'hex')],
];

for (const [what, bytes] of brokenPeers) {
  test(`cluster: a peer that ${what} is CLI_UNREACHABLE with its address, and no answer`, async (t) => {
    const address = await socketServer(t, (socket) => {
      socket.once('data', () => (bytes === undefined ? socket.destroy() : socket.end(bytes)));
    });
    const cluster = clusterOf(t, address);
    await assert.rejects(cluster.call(address, RequestCode.GET_BROKER_RUNTIME_INFO), (error: Error) => {
      const { code, details } = error as Error & { code: string; details: object };
      assert.deepEqual([code, details], ['CLI_UNREACHABLE', { address }], error.stack);
      assert.ok(error.message.startsWith(`${address} does not answer: `), error.message);
      return true;
    });
    await assert.rejects(cluster.route('T'), { code: 'CLI_UNREACHABLE' });
    await assert.rejects(cluster.brokers(), { code: 'CLI_UNREACHABLE' });
  });
}

test('cluster: a peer that never answers is given up after the time, with that time', async (t) => {
  const address = await socketServer(t, (socket) => socket.resume());
  await assert.rejects(clusterOf(t, address).call(address, RequestCode.HEART_BEAT, {}, { timeoutMs: 30 }), {
    code: 'CLI_UNREACHABLE',
    message: /does not answer: .* in \d\d? ms$/,
  });
});

test('cluster: the answer to another request is not taken for ours', async (t) => {
  const address = await socketServer(t, (socket) => {
    const strangers = createRequest(RequestCode.HEART_BEAT);
    socket.once('data', () => socket.write(encodeFrame(createResponse({ ...strangers, opaque: 999_999 }, 0))));
  });
  await assert.rejects(clusterOf(t, address).call(address, RequestCode.HEART_BEAT, {}, { timeoutMs: 50 }), {
    code: 'CLI_UNREACHABLE',
  });
});

test('cluster: a refusal names the address, the request, the answer with its number, and the remark', async (t) => {
  const broker = await fakePeer(t, () => ({ code: ResponseCode.NO_PERMISSION, remark: 'not for you' }));
  const cluster = clusterOf(t, broker.address);
  await assert.rejects(cluster.call(broker.address, RequestCode.UPDATE_AND_CREATE_TOPIC), {
    code: 'CLI_REFUSED',
    message: `${broker.address} answered UPDATE_AND_CREATE_TOPIC with NO_PERMISSION (16): not for you`,
    details: { address: broker.address, request: 17, response: 16, remark: 'not for you' },
  });
  broker.answer = () => ({ code: 54_321 });
  await assert.rejects(cluster.call(broker.address, 9_999), {
    code: 'CLI_REFUSED',
    message: /answered .*9999.* with .*\(54321\)$/,
  });
  const { code } = await cluster.call(broker.address, 9_999, {}, { accept: [54_321] });
  assert.equal(code, 54_321, 'what is accepted is no error');
});

test('cluster: the next nameserver is asked when one is away or speaks nonsense, and not when one refuses', async (t) => {
  const nonsense = await socketServer(t, (socket) => socket.end('no frame at all, but long enough to be one'));
  const good = await fakePeer(t, () => ({ body: clusterBody({ b: '127.0.0.1:1' }) }));
  const unasked = await fakePeer(t, () => ({ body: clusterBody({}) }));
  const through = clusterOf(t, ` ${await deadAddress()} ; ${nonsense};;${good.address};${unasked.address}`);
  assert.deepEqual(await through.brokers(), [{ cluster: 'C', brokerName: 'b', address: '127.0.0.1:1' }]);
  assert.deepEqual([good.requests.length, unasked.requests.length], [1, 0]);

  good.answer = () => ({ code: ResponseCode.SYSTEM_ERROR, remark: 'broken' });
  await assert.rejects(through.brokers(), { code: 'CLI_REFUSED', message: /SYSTEM_ERROR \(1\): broken/ });
  assert.equal(unasked.requests.length, 0, 'an answer counts, whatever it says');
});

test('cluster: when no nameserver answers, the last one is named', async (t) => {
  const [first, last] = [await deadAddress(), await deadAddress()];
  await assert.rejects(clusterOf(t, `${first};${last}`).brokers(), (error: Error) => {
    assert.ok(error.message.startsWith(`${last} does not answer: `), error.message);
    return true;
  });
});

test('cluster: no address, or one that is none, is refused before anybody is called', async (t) => {
  for (const namesrv of ['', ' ', ';', ' ; ;']) {
    assert.throws(() => new Cluster(namesrv), { code: 'CLI_USAGE', message: /--namesrv is empty/ });
  }
  for (const namesrv of ['host', '127.0.0.1', ':9876', '127.0.0.1:port', '127.0.0.1:99999']) {
    await assert.rejects(clusterOf(t, namesrv).brokers(), { code: 'REMOTING_ADDRESS_INVALID' }, namesrv);
  }
});

test('cluster: a topic that is not there is an empty route; brokers without a master are left out', async (t) => {
  const namesrv = await fakePeer(t, () => ({ code: ResponseCode.TOPIC_NOT_EXIST }));
  const cluster = clusterOf(t, namesrv.address);
  assert.deepEqual(await cluster.route('T'), []);
  assert.equal(namesrv.requests[0]!.extFields!.topic, 'T');

  const withoutMaster = JSON.stringify({
    brokerDatas: [
      { brokerAddrs: { 1: 'h:2' }, brokerName: 'slave-only', cluster: 'c' },
      { brokerAddrs: { 0: 'h:1', 1: 'h:2' }, brokerName: 'b', cluster: 'c' },
    ],
    queueDatas: ['slave-only', 'b', 'in-no-list'].map((brokerName) => ({
      ...{ brokerName, perm: 6, readQueueNums: 2, writeQueueNums: 2, topicSysFlag: 0 },
    })),
  });
  namesrv.answer = () => ({ body: withoutMaster });
  assert.deepEqual(
    (await cluster.route('T')).map(({ brokerName, address }) => [brokerName, address]),
    [['b', 'h:1']],
  );
  const info = {
    brokerAddrTable: {
      'slave-only': { brokerAddrs: { 1: 'h:2' }, brokerName: 'slave-only', cluster: 'c' },
      b: { brokerAddrs: { 0: 'h:1' }, brokerName: 'b', cluster: '' },
      unlisted: { brokerAddrs: { 0: 'h:3' }, brokerName: 'unlisted', cluster: '' },
    },
    clusterAddrTable: { fromTable: ['b'] },
  };
  namesrv.answer = () => ({ body: JSON.stringify(info) });
  assert.deepEqual(await cluster.brokers(), [
    { cluster: 'fromTable', brokerName: 'b', address: 'h:1' },
    { cluster: '', brokerName: 'unlisted', address: 'h:3' },
  ]);
});

test('queues of a route: in the order of the brokers’ names, only where the permission allows', () => {
  const entry = { address: 'h:1', readQueueNums: 2, writeQueueNums: 1 };
  const some = [
    { ...entry, brokerName: 'z', perm: 6 },
    { ...entry, brokerName: 'a', perm: 4 },
    { ...entry, brokerName: 'm', perm: 2 },
    { ...entry, brokerName: 'n', perm: 1 },
  ];
  const names = (access: 'read' | 'write') =>
    queuesOf('T', some, access).map(({ brokerName, queueId }) => `${brokerName}${queueId}`);
  assert.deepEqual(names('read'), ['a0', 'a1', 'z0', 'z1']);
  assert.deepEqual(names('write'), ['m0', 'z0']);
  assert.deepEqual(
    some.map(({ brokerName }) => brokerName),
    ['z', 'a', 'm', 'n'],
    'the route itself is not sorted',
  );
});

test('number field: whole numbers as they are; what a Number would bend is refused and shown', () => {
  const answer = (offset?: string) =>
    createResponse(createRequest(1), 0, undefined, offset === undefined ? {} : { offset });
  for (const [text, value] of [
    ['0', 0],
    ['-1', -1],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ] as const) {
    assert.equal(numberField(answer(text), 'offset'), value);
  }
  for (const text of ['9007199254740992', '0x10', ' 1', '1 ', '1e3', '+1', '--1', '١']) {
    assert.throws(() => numberField(answer(text), 'offset'), {
      code: 'REMOTING_BODY_INVALID',
      message: `the field offset of the answer is '${text}', not a whole number`,
    });
  }
  assert.throws(() => numberField(answer(), 'offset'), { message: 'the field offset of the answer is missing' });
  const long = 'x'.repeat(100_000);
  assert.throws(
    () => numberField(answer(long), 'offset'),
    (error: Error) => error.message.length < 1_000,
    'an error does not repeat what a peer makes long',
  );
});

test('route: the limit of queues counts the larger of both numbers, over all brokers', async (t) => {
  const brokers = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, 'h:1']));
  const namesrv = await fakePeer(t, () => ({ body: routeBody(brokers, { queues: 65_536 }) }));
  await assert.rejects(clusterOf(t, namesrv.address).route('T'), {
    code: 'REMOTING_BODY_INVALID',
    details: { topic: 'T', queues: 327_680, queuesMax: 262_144 },
  });
});
