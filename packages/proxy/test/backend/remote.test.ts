import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  ACCESS_KEY,
  createRequest,
  createResponse,
  decodeTopicRouteData,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  ServerIdentity,
} from '@vernier/remoting';
import { Authority, writeIssued } from '../../../../test/support/certificates.ts';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { startBroker } from '../../../broker/test/harness.ts';
import { ClientType, Code, codecs, type Message, MessageType, TransactionResolution } from '../../src/wire/messages.ts';
import { timeOf } from '../../src/wire/times.ts';
import { makeTopic, message, RawClient, receiveRequest } from '../harness.ts';
import {
  bodyOf,
  namesrvOf,
  receive,
  routedTopic,
  startCluster,
  startImpostor,
  startRaw,
  startRemoteProxy,
  startSlowPops,
} from './remote-harness.ts';

async function ack(client: RawClient, group: string, topic: string, given: Message): Promise<Code> {
  const { receiptHandle = '', messageId = '' } = given.systemProperties!;
  const entries = [{ messageId: messageId!, receiptHandle: receiptHandle! }];
  const response = await client.ack({ group: { name: group }, topic: { name: topic }, entries });
  return response.entries![0]!.status!.code as Code;
}

test('remote: a message is sent, received and acknowledged, and does not come again', async (t) => {
  const cluster = await startCluster(t);
  await routedTopic(cluster, 'T', undefined, 3);
  const { client } = cluster;
  const { messageQueues } = await client.route('T');
  assert.deepEqual(
    messageQueues!.map(({ id, broker }) => [id, broker?.name]),
    [0, 1, 2].map((id) => [id, cluster.broker.broker.config.brokerName]),
  );
  const [port] = messageQueues![0]!.broker!.endpoints!.addresses!.map((address) => address.port);
  assert.equal(String(port), cluster.endpoint.split(':').at(-1), 'clients come to the proxy');
  await client.consumer('g', 'T');
  const waiting = receive(client, 'g', 'T');
  const sent = await client.send(message('T', 'hello', { tag: 'A', keys: ['k'] }));
  assert.equal(sent.status?.code, Code.OK, sent.status?.message);
  const first = await waiting;
  assert.deepEqual([first.code, first.messages.map(bodyOf)], [Code.OK, ['hello']]);
  assert.equal(first.messages[0]!.systemProperties?.deliveryAttempt, 1);
  assert.equal(await ack(client, 'g', 'T', first.messages[0]!), Code.OK);
  const stored = cluster.broker.broker.context;
  assert.ok(
    stored.consumers.group('g') !== undefined || (await heartbeats(cluster.broker.broker.context)),
    'its group is known',
  );
});

/** Until the broker knows of the group. */
async function heartbeats(context: { consumers: { group(name: string): unknown } }): Promise<boolean> {
  while (context.consumers.group('g') === undefined) await new Promise(setImmediate);
  return true;
}

test('remote: a delivery whose time is over comes again with its attempt, and goes to the dead letters when told', async (t) => {
  const cluster = await startCluster(t);
  await routedTopic(cluster, 'T');
  const { client } = cluster;
  await client.consumer('g', 'T');
  await client.send(message('T', 'again'));
  const first = await receive(client, 'g', 'T');
  const change = async (handle: string, ms: number) =>
    client.call(
      'ChangeInvisibleDuration',
      codecs.ChangeInvisibleDurationRequest,
      codecs.ChangeInvisibleDurationResponse,
      {
        ...{ group: { name: 'g' }, topic: { name: 'T' }, receiptHandle: handle, invisibleDuration: timeOf(ms) },
      },
    );
  const changed = await change(first.messages[0]!.systemProperties!.receiptHandle!, 1_000);
  assert.equal(changed.status?.code, Code.OK, changed.status?.message);
  const second = await receive(client, 'g', 'T');
  assert.deepEqual(second.messages.map(bodyOf), ['again']);
  assert.equal(second.messages[0]!.systemProperties?.deliveryAttempt, 2);
  assert.equal(second.messages[0]!.topic?.name, 'T', 'and not the topic of retries');
  const forward = {
    ...{ group: { name: 'g' }, topic: { name: 'T' } },
    receiptHandle: second.messages[0]!.systemProperties!.receiptHandle!,
  };
  const forwarded = await client.call(
    ...(['ForwardMessageToDeadLetterQueue', codecs.ForwardRequest, codecs.ForwardResponse, forward] as const),
  );
  assert.equal(forwarded.status?.code, Code.OK, forwarded.status?.message);
  assert.ok(cluster.broker.broker.context.topics.select('%DLQ%g') !== undefined, 'there are dead letters');
});

test('remote: order, batches, times and ranks are the broker’s', async (t) => {
  const cluster = await startCluster(t, { broker: { recallMessageEnable: true } });
  await routedTopic(cluster, 'F', 'FIFO', 4);
  await routedTopic(cluster, 'T', undefined, 4);
  await routedTopic(cluster, 'D', 'DELAY');
  await routedTopic(cluster, 'P', 'PRIORITY', 4);
  const { client } = cluster;
  for (const body of ['1', '2', '3']) {
    const { status } = await client.send(message('F', body, { messageType: MessageType.FIFO, messageGroup: 'orders' }));
    assert.equal(status?.code, Code.OK, status?.message);
  }
  await client.consumer('g', 'F');
  assert.deepEqual((await receive(client, 'g', 'F')).messages.map(bodyOf), ['1', '2', '3'], 'one queue');
  const batch = await client.send(message('T', 'a'), message('T', 'b'));
  assert.deepEqual(
    batch.entries!.map(({ status, offset }) => [status?.code, Number(offset)]),
    [
      [Code.OK, 0],
      [Code.OK, 1],
    ],
  );
  const ranked = await client.send(message('P', 'p', { messageType: MessageType.PRIORITY, priority: 2 }));
  assert.equal(ranked.status?.code, Code.OK, ranked.status?.message);
  const later = { messageType: MessageType.DELAY, deliveryTimestamp: timeOf(Date.now() + 3_600_000) };
  const timed = await client.send(message('D', 'later', later));
  const { recallHandle = '' } = timed.entries![0]!;
  assert.notEqual(recallHandle, '', 'it can be recalled');
  const recall = (handle: string) =>
    client.call('RecallMessage', codecs.RecallMessageRequest, codecs.RecallMessageResponse, {
      topic: { name: 'D' },
      recallHandle: handle,
    });
  const recalled = await recall(recallHandle!);
  assert.equal(recalled.status?.code, Code.OK, recalled.status?.message);
  const elsewhere = Buffer.from('v1 D elsewhere 1 M').toString('base64url');
  assert.notEqual((await recall(elsewhere)).status?.code, Code.OK, 'a broker that nobody knows is not asked');
  const mixed = await client.send(message('F', 'x'));
  assert.equal(mixed.status?.code, Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, 'the topic’s type is known');
});

test('remote: a transaction is ended at its broker, and its producer is asked about what nobody ended', async (t) => {
  const cluster = await startCluster(t, {
    broker: { transactionTimeOut: 1, transactionCheckInterval: 50 },
  });
  await routedTopic(cluster, 'T', 'TRANSACTION');
  const { client } = cluster;
  const producer = client.telemetry();
  const settings = { clientType: ClientType.PRODUCER, publishing: { topics: [{ name: 'T' }] } };
  producer.write({ settings });
  await once(producer, 'data');
  const half = { messageType: MessageType.TRANSACTION };
  const asked = once(producer, 'data');
  const begun = await client.send(message('T', 'half', half));
  assert.equal(begun.status?.code, Code.OK, begun.status?.message);
  const [{ recoverOrphanedTransactionCommand: command }] = await asked;
  assert.equal(bodyOf(command.message), 'half');
  assert.equal(command.transactionId, begun.entries![0]!.transactionId);
  const end = (transactionId: string, resolution: TransactionResolution) =>
    client.call('EndTransaction', codecs.EndTransactionRequest, codecs.EndTransactionResponse, {
      ...{ topic: { name: 'T' }, messageId: transactionId, transactionId, resolution },
    });
  const ended = await end(command.transactionId, TransactionResolution.COMMIT);
  assert.equal(ended.status?.code, Code.OK, ended.status?.message);
  await client.consumer('g', 'T');
  assert.deepEqual((await receive(client, 'g', 'T')).messages.map(bodyOf), ['half']);
  assert.notEqual((await end('nobody’s', TransactionResolution.COMMIT)).status?.code, Code.OK);
  producer.end();
});

test('remote: what cannot be done in front of remote brokers is said to be so', async (t) => {
  const cluster = await startCluster(t);
  await routedTopic(cluster, 'T');
  const { client } = cluster;
  const messageQueue = { topic: { name: 'T' }, id: 0 };
  const group = { name: 'g' };
  const codes = [
    await client.call('GetOffset', codecs.GetOffsetRequest, codecs.GetOffsetResponse, { group, messageQueue }),
    await client.call('QueryOffset', codecs.QueryOffsetRequest, codecs.QueryOffsetResponse, { messageQueue }),
    await client.call('UpdateOffset', codecs.UpdateOffsetRequest, codecs.UpdateOffsetResponse, { group, messageQueue }),
  ].map(({ status }) => status?.code);
  assert.deepEqual(codes, [Code.NOT_IMPLEMENTED, Code.NOT_IMPLEMENTED, Code.NOT_IMPLEMENTED]);
  assert.equal((await client.route('Nowhere')).status?.code, Code.TOPIC_NOT_FOUND);
  const foreign = '0 1 999999999999 0 0 elsewhere 0 0 0';
  const entries = [{ messageId: 'M', receiptHandle: foreign }];
  const acked = await client.ack({ group, topic: { name: 'T' }, entries });
  assert.equal(acked.entries![0]!.status?.code, Code.INVALID_RECEIPT_HANDLE);
});

test('remote: a broker that goes takes nothing that is called stored with it, and calls go on when it is back', async (t) => {
  const cluster = await startCluster(t, {}, { answerMs: 2_000 });
  await routedTopic(cluster, 'T');
  const { client } = cluster;
  assert.equal((await client.send(message('T', 'before'))).status?.code, Code.OK);
  await client.consumer('g', 'T');
  const [found] = (await receive(client, 'g', 'T')).messages;
  await cluster.broker.broker.shutdown();
  assert.notEqual((await client.send(message('T', 'lost'))).status?.code, Code.OK);
  assert.notEqual(await ack(client, 'g', 'T', found!), Code.OK, 'nobody took the ack');
  const { directory } = cluster.broker;
  await startBroker(t, { directory, broker: { namesrvAddr: namesrvOf(cluster.broker) } });
  const sent = async (): Promise<boolean> => (await client.send(message('T', 'after'))).status?.code === Code.OK;
  while (!(await sent())) await new Promise(setImmediate);
  assert.equal(await ack(client, 'g', 'T', found!), Code.OK, 'the receipt is as good as it was');
  const { messages } = await receive(client, 'g', 'T');
  assert.deepEqual([...new Set(messages.map(bodyOf))], ['after']);
});

test('remote: several brokers have a topic together, and each message is acknowledged where it came from', async (t) => {
  const cluster = await startCluster(t);
  const namesrvAddr = namesrvOf(cluster.broker);
  const other = await startBroker(t, { broker: { namesrvAddr, brokerName: 'other' } });
  await routedTopic(cluster, 'T');
  makeTopic(other, 'T');
  const isThere = async (): Promise<boolean> => {
    const request = createRequest(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: 'T' });
    const { body } = await other.client.invoke(namesrvAddr, request, 10_000);
    return decodeTopicRouteData(body).queueDatas.length === 2;
  };
  while (!(await isThere())) await new Promise(setImmediate);
  const { client } = cluster;
  const names = ((await client.route('T')).messageQueues ?? []).map(({ broker }) => broker!.name!);
  assert.deepEqual(names, [cluster.broker.broker.config.brokerName, 'other'].toSorted());
  await client.consumer('g', 'T');
  for (let i = 0; i < 20; i++) assert.equal((await client.send(message('T', String(i)))).status?.code, Code.OK);
  const bodies = new Set<string>();
  for (const name of names) {
    const messageQueue = { topic: { name: 'T' }, id: -1, broker: { name } };
    const { messages } = await receive(client, 'g', 'T', { messageQueue });
    assert.ok(messages.length > 0, `${name} has some`);
    for (const one of messages) {
      bodies.add(bodyOf(one));
      assert.equal(await ack(client, 'g', 'T', one), Code.OK);
    }
  }
  assert.equal(bodies.size, 20);
});

const lies: Record<string, { answer: (request: RemotingCommand) => RemotingCommand | undefined; code: Code }> = {
  'never answers': { answer: () => undefined, code: Code.PROXY_TIMEOUT },
  'answers somebody else': {
    answer: (request) => createResponse({ ...request, opaque: request.opaque + 1 }, ResponseCode.SUCCESS),
    code: Code.PROXY_TIMEOUT,
  },
  'says success and nothing else': {
    answer: (request) => createResponse(request, ResponseCode.SUCCESS),
    code: Code.INTERNAL_SERVER_ERROR,
  },
  'says an offset that is none': {
    answer: (request) => createResponse(request, ResponseCode.SUCCESS, undefined, { queueOffset: '-1e99' }),
    code: Code.INTERNAL_SERVER_ERROR,
  },
  'is busy': {
    answer: (request) => createResponse(request, ResponseCode.SYSTEM_BUSY, 'busy'),
    code: Code.TOO_MANY_REQUESTS,
  },
  'may not have flushed it': {
    answer: (request) => createResponse(request, ResponseCode.FLUSH_DISK_TIMEOUT, undefined, { queueOffset: '0' }),
    code: Code.MASTER_PERSISTENCE_TIMEOUT,
  },
};

for (const [what, { answer, code }] of Object.entries(lies)) {
  test(`remote: a broker that ${what}: the message is not called stored`, async (t) => {
    const impostor = await startImpostor(t, {
      [RequestCode.SEND_MESSAGE_V2]: (request, connection) => {
        const response = answer(request);
        if (response !== undefined) connection.send(response);
        return undefined;
      },
    });
    const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address], answerMs: 200 });
    const { status } = await new RawClient(t, endpoint).send(message('T', 'x'));
    assert.equal(status?.code, code, status?.message);
  });
}

test('remote: an answer to a pop that cannot be is an error, and no message', async (t) => {
  const fields = { popTime: '1', invisibleTime: '30000', reviveQid: '0', startOffsetInfo: '0 0 0' };
  const answers: [object, Buffer | undefined][] = [
    [fields, undefined],
    [fields, Buffer.from('these are no records of anything')],
    [{ ...fields, popTime: 'now' }, Buffer.alloc(0)],
    [{ ...fields, startOffsetInfo: '9 0 0' }, Buffer.alloc(0)],
  ];
  let turn = 0;
  const impostor = await startImpostor(t, {
    [RequestCode.POP_MESSAGE]: (request) => {
      const [given, body] = answers[turn++]!;
      return createResponse(request, ResponseCode.SUCCESS, 'FOUND', { ...given }, body);
    },
  });
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address], answerMs: 500 });
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  for (const _ of answers) {
    const { code, messages } = await receive(client, 'g', 'T');
    assert.deepEqual([code, messages], [Code.INTERNAL_SERVER_ERROR, []]);
  }
});

test('remote: bytes that are no frames, and frames that are too large, end the connection and the calls on it', async (t) => {
  for (const bytes of [
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]),
  ]) {
    const address = await startRaw(t, (socket) => socket.write(bytes));
    const { endpoint } = await startRemoteProxy(t, { namesrvs: [address], answerMs: 2_000 });
    const { status } = await new RawClient(t, endpoint).route('T');
    assert.equal(status?.code, Code.INTERNAL_SERVER_ERROR, status?.message);
  }
});

test('remote: a connection that is lost after a send leaves the message not stored', async (t) => {
  const impostor = await startImpostor(t, {
    [RequestCode.SEND_MESSAGE_V2]: (_request, connection) => {
      connection.destroy('on purpose');
      return undefined;
    },
    [RequestCode.ACK_MESSAGE]: (_request, connection) => {
      connection.destroy('on purpose');
      return undefined;
    },
  });
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address] });
  const client = new RawClient(t, endpoint);
  const { status } = await client.send(message('T', 'x'));
  assert.equal(status?.code, Code.INTERNAL_SERVER_ERROR);
  const receiptHandle = `0 ${Date.now()} 60000 0 0 b 0 0 0`;
  const acked = await client.ack({
    ...{ group: { name: 'g' }, topic: { name: 'T' } },
    entries: [{ messageId: 'M', receiptHandle }],
  });
  assert.equal(acked.entries![0]!.status?.code, Code.INTERNAL_SERVER_ERROR);
});

test('remote: an ack that its broker refuses is not called done', async (t) => {
  const impostor = await startImpostor(t, {
    [RequestCode.ACK_MESSAGE]: (request) => createResponse(request, ResponseCode.SYSTEM_ERROR, 'no disk'),
    [RequestCode.CHANGE_MESSAGE_INVISIBLETIME]: (request) => createResponse(request, ResponseCode.SUCCESS),
  });
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address] });
  const client = new RawClient(t, endpoint);
  const receiptHandle = `0 ${Date.now()} 60000 0 0 b 0 0 0`;
  const common = { group: { name: 'g' }, topic: { name: 'T' } };
  const acked = await client.ack({ ...common, entries: [{ messageId: 'M', receiptHandle }] });
  const { code, message: text } = acked.entries![0]!.status!;
  assert.deepEqual([code, text], [Code.INTERNAL_SERVER_ERROR, 'no disk']);
  const changed = await client.call(
    ...(['ChangeInvisibleDuration', codecs.ChangeInvisibleDurationRequest] as const),
    ...([
      codecs.ChangeInvisibleDurationResponse,
      { ...common, receiptHandle, invisibleDuration: timeOf(1_000) },
    ] as const),
  );
  assert.equal(changed.status?.code, Code.INTERNAL_SERVER_ERROR, 'there is no new receipt');
});

test('remote: a dead letter that is stored is not stored again because its delivery cannot be acknowledged', async (t) => {
  let copies = 0;
  const impostor = await startImpostor(t, {
    [RequestCode.CONSUMER_SEND_MSG_BACK]: (request) => {
      copies++;
      return createResponse(request, ResponseCode.SUCCESS);
    },
    [RequestCode.ACK_MESSAGE]: (_request, connection) => {
      connection.destroy('on purpose');
      return undefined;
    },
  });
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address] });
  const receiptHandle = `0 ${Date.now()} 60000 0 0 b 0 0 0`;
  const forward = { group: { name: 'g' }, topic: { name: 'T' }, receiptHandle };
  const { status } = await new RawClient(t, endpoint).call(
    ...(['ForwardMessageToDeadLetterQueue', codecs.ForwardRequest, codecs.ForwardResponse, forward] as const),
  );
  assert.deepEqual([status?.code, copies], [Code.OK, 1]);
});

test('remote: what is found for a client that is gone is given back at once', async (t) => {
  const { told, popped, address } = await startSlowPops(t);
  const given = once(told, 'given');
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [address] });
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const call = client.receive(receiveRequest('g', 'T'));
  call.on('error', () => {});
  const [answer] = await popped;
  call.cancel();
  // Its end comes to the proxy before what is asked for after it.
  await client.route('T');
  answer();
  const [fields] = await given;
  assert.deepEqual([fields.offset, fields.invisibleTime], ['0', '1000']);
});

test('remote: a static topic is not taken for one of its brokers’ queues', async (t) => {
  const mapping = new Map([['b', { topic: 'T', bname: 'b', totalQueues: 1 }]]);
  const impostor = await startImpostor(t, {}, mapping);
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address] });
  const client = new RawClient(t, endpoint);
  assert.equal((await client.route('T')).status?.code, Code.NOT_IMPLEMENTED);
  assert.equal((await client.send(message('T', 'x'))).status?.code, Code.NOT_IMPLEMENTED);
});

test('remote: requests are signed, and go by TLS', async (t) => {
  const folder = await temporaryFolder(t, 'proxy');
  const authority = await Authority.create();
  const files = writeIssued(folder, 'server', await authority.issue('server'));
  const tls = new ServerIdentity({ mode: 'enforcing', ...files });
  cleanUp(t, async () => tls.close());
  await tls.open();
  const signers: (string | undefined)[] = [];
  const impostor = await startImpostor(
    t,
    {
      [RequestCode.SEND_MESSAGE_V2]: (request) => {
        signers.push(request.extFields?.[ACCESS_KEY]);
        const fields = { queueOffset: '7', msgId: '' };
        return createResponse(request, ResponseCode.SUCCESS, undefined, fields);
      },
    },
    undefined,
    tls,
  );
  const credentials = { accessKey: 'proxy', secretKey: 'secret' };
  const connecting = { tls: { trust: 'any' as const }, credentials };
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [impostor.address], ...connecting });
  const { status, entries } = await new RawClient(t, endpoint).send(message('T', 'x'));
  assert.equal(status?.code, Code.OK, status?.message);
  assert.equal(Number(entries![0]!.offset), 7);
  assert.deepEqual(signers, ['proxy']);
  const plain = await startRemoteProxy(t, { namesrvs: [impostor.address], credentials, answerMs: 1_000 });
  const refused = await new RawClient(t, plain.endpoint).send(message('T', 'x'));
  assert.equal(refused.status?.code, Code.INTERNAL_SERVER_ERROR);
});

test('remote: a nameserver that is gone is passed over, and what is known is used without any', async (t) => {
  const cluster = await startCluster(t);
  await routedTopic(cluster, 'T');
  const dead = await startRaw(t, (socket) => socket.destroy());
  const { endpoint } = await startRemoteProxy(t, { namesrvs: [dead, namesrvOf(cluster.broker)] });
  const client = new RawClient(t, endpoint);
  assert.equal((await client.send(message('T', 'a'))).status?.code, Code.OK);
  await cluster.broker.namesrv.shutdown(0);
  assert.equal((await client.send(message('T', 'b'))).status?.code, Code.OK);
  assert.equal(
    (await client.route('Other')).status?.code,
    Code.INTERNAL_SERVER_ERROR,
    'nobody knows whether it is there',
  );
});
