// What brokers that are away, or do not answer, do to the calls of others.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import {
  createRequest,
  createResponse,
  createTopicConfig,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  topicConfigJson,
} from '@vernier/remoting';
import { ManualClock } from '../../../remoting/test/support/manual-clock.ts';
import { Calls } from '../../src/backend/remote/calls.ts';
import { RemoteDeliveries } from '../../src/backend/remote/deliveries.ts';
import { Code, MessageType } from '../../src/wire/messages.ts';
import { message, RawClient, receiveRequest } from '../harness.ts';
import {
  bodyOf,
  receive,
  routedTopic,
  routeOf,
  startCluster,
  startDeaf,
  startImpostor,
  startRaw,
  startRemoteProxy,
  startSlowPops,
} from './remote-harness.ts';

test('remote: a broker that does not answer for some messages of a batch takes no others of it from their consumer', async (t) => {
  const cluster = await startCluster(t);
  await routedTopic(cluster, 'T');
  for (const tag of ['B', 'A', 'A']) await cluster.client.send(message('T', tag, { tag }));
  const { store } = cluster.broker.broker.context;
  const records: Buffer[] = [];
  for (let at = 0; records.length < 3; at += records.at(-1)!.length) {
    records.push(Buffer.from((await store.selectOneMessageByOffset(at))!));
  }
  const asked: number[] = [];
  const silent = ({ code }: RemotingCommand): undefined => {
    asked.push(code);
  };
  const impostor = await startImpostor(t, {
    [RequestCode.POP_MESSAGE]: (request) => {
      const fields = { popTime: String(Date.now()), invisibleTime: '30000', reviveQid: '0', startOffsetInfo: '0 0 0' };
      const orderCountInfo = '0 qo0%2 99';
      const body = Buffer.concat(records);
      return createResponse(request, ResponseCode.SUCCESS, 'FOUND', { ...fields, orderCountInfo }, body);
    },
    [RequestCode.ACK_MESSAGE]: silent,
    [RequestCode.CONSUMER_SEND_MSG_BACK]: silent,
  });
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address], answerMs: 500 });
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const { code, messages } = await receive(client, 'g', 'T', { filterExpression: { type: 1, expression: 'A' } });
  assert.deepEqual(
    [code, messages.map(bodyOf)],
    [Code.OK, ['A', 'A']],
    'what is no dead letter yet is delivered once more',
  );
  assert.deepEqual(asked, [RequestCode.ACK_MESSAGE], 'the broker is not waited for again');
});

for (const what of ['is gone', 'says nothing', 'knows none of it']) {
  test(`remote: a topic and a group are known when the first of two brokers ${what}`, async (t) => {
    const unknown = (request: RemotingCommand) => createResponse(request, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
    const first = await startImpostor(t, {
      [RequestCode.GET_TOPIC_CONFIG]: (request) => createResponse(request, ResponseCode.TOPIC_NOT_EXIST),
      [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG]: unknown,
    });
    let { address } = first;
    if (what === 'says nothing') address = await startRaw(t, () => {});
    if (what === 'is gone') await first.server.shutdown(0);
    const body = (request: RemotingCommand, value: object) =>
      createResponse(request, ResponseCode.SUCCESS, undefined, undefined, Buffer.from(JSON.stringify(value)));
    const orders: (string | undefined)[] = [];
    const second = await startImpostor(t, {
      [RequestCode.GET_ROUTEINFO_BY_TOPIC]: (request) => routeOf(request, { a: address, b: second.address }),
      [RequestCode.GET_TOPIC_CONFIG]: (request) => {
        const attributes = new Map([['message.type', 'FIFO']]);
        return body(request, topicConfigJson(createTopicConfig('T', { attributes })));
      },
      [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG]: (request) => {
        if (request.extFields?.group === 'nowhere') return unknown(request);
        return body(request, { groupName: 'g', consumeMessageOrderly: true });
      },
      [RequestCode.POP_MESSAGE]: (request) => {
        orders.push(request.extFields?.order);
        return createResponse(request, ResponseCode.POLLING_TIMEOUT);
      },
    });
    const random = () => 0.99;
    const { endpoint } = await startRemoteProxy(t, { namesrvs: [second.address], answerMs: 20_000, random });
    const client = new RawClient(t, endpoint);
    const { messageQueues } = await client.route('T');
    assert.deepEqual(
      messageQueues!.map(({ broker, acceptMessageTypes }) => [broker?.name, acceptMessageTypes]),
      ['a', 'b'].map((name) => [name, [MessageType.FIFO]]),
    );
    await client.consumer('g', 'T');
    assert.equal((await receive(client, 'g', 'T')).code, Code.MESSAGE_NOT_FOUND);
    assert.deepEqual(orders, ['true']);
    if (what !== 'knows none of it') return;
    await client.consumer('nowhere', 'T');
    assert.equal((await receive(client, 'nowhere', 'T')).code, Code.CONSUMER_GROUP_NOT_FOUND);
    assert.deepEqual(orders, ['true'], 'and is not asked for out of order');
  });
}

test('remote: what is found while the proxy stops is given back before its connections end', async (t) => {
  const { told, popped, address } = await startSlowPops(t);
  const given: (string | undefined)[] = [];
  told.on('given', (fields) => given.push(fields.offset));
  const limits = { stopMs: 60_000 };
  const { proxy, endpoint } = await startRemoteProxy(t, { namesrvs: [address] }, { limits });
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const receiving = receive(client, 'g', 'T');
  const [answer] = await popped;
  const stopped = proxy.stop();
  assert.equal((await receiving).code, Code.MESSAGE_NOT_FOUND, 'the call does not wait for its pop');
  while (proxy.connectionCount > 0) await new Promise(setImmediate);
  answer();
  await stopped;
  assert.deepEqual(given, ['0']);
});

test('remote: a broker that reads nothing does not keep the proxy from stopping', async (t) => {
  const address = await startDeaf(t);
  const calls = new Calls({ namesrvs: [], unreachable: () => {} });
  await calls.remoting.connection(address);
  // More than the kernels of both sides take.
  const body = Buffer.alloc(12 * 1024 * 1024);
  const asked = Array.from({ length: 2 }, () => calls.ask(address, RequestCode.SEND_MESSAGE_V2, {}, body));
  const outcomes = Promise.allSettled(asked);
  await new Promise(setImmediate);
  await calls.close();
  assert.ok((await outcomes).every(({ status }) => status === 'rejected'));
});

test('remote: pops that nobody waits for any more count until their broker answers', async (t) => {
  const told = new EventEmitter();
  const impostor = await startImpostor(t, {
    [RequestCode.POP_MESSAGE]: (request, connection) => {
      told.emit('popped', () => connection.send(createResponse(request, ResponseCode.POLLING_TIMEOUT)));
      return undefined;
    },
  });
  const limits = { callsMax: 2, stopMs: 0 };
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address] }, { limits });
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const answers: (() => void)[] = [];
  for (let i = 0; i < 2; i++) {
    const popped = once(told, 'popped');
    const call = client.receive(receiveRequest('g', 'T'));
    call.on('error', () => {});
    answers.push((await popped)[0]);
    call.cancel();
    await client.route('T');
  }
  const refused = await receive(client, 'g', 'T');
  assert.equal(refused.code, Code.TOO_MANY_REQUESTS, refused.text);
  answers[0]!();
  const popped = once(told, 'popped').then(([answer]) => answer());
  let last = await receive(client, 'g', 'T');
  while (last.code === Code.TOO_MANY_REQUESTS) last = await receive(client, 'g', 'T');
  assert.equal(last.code, Code.MESSAGE_NOT_FOUND);
  await popped;
});

test('remote: no pop is begun while the room for answers is full', async () => {
  const clock = new ManualClock();
  const polls: (string | undefined)[] = [];
  const calls = {
    ask: async (_address: string, code: number, fields: Record<string, string>) => {
      polls.push(fields.pollTime);
      return { ...createRequest(code, {}), code: ResponseCode.POLLING_TIMEOUT };
    },
  };
  const brokers = [{ name: 'b', perm: 6, queues: [], readIds: [0] }];
  const names = { route: () => ({ brokers }), addressOf: () => 'one:1', find: () => ({}) };
  const parts = { calls, names, clock } as never as { calls: never; names: never; clock: never };
  const deliveries = new RemoteDeliveries({ ...parts, random: () => 0, popsMax: 1 });
  let grant: () => void = () => {};
  const asker = {
    reserve: () =>
      new Promise<void>((resolve) => {
        grant = resolve;
      }),
    ...{ unreserve() {}, held() {} },
  };
  const pop = { group: 'g', topic: 'T', pollMs: 5_000 };
  const request = { pop, brokerName: '', clientId: 'c', isLite: false } as never;
  const receiving = deliveries.receive(request, {} as never, asker);
  clock.advance(2_000);
  await new Promise(setImmediate);
  assert.deepEqual(polls, []);
  grant();
  await receiving;
  assert.deepEqual(polls, ['3000'], 'and it waits no longer than its call');
});
