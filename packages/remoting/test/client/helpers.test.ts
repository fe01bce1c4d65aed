import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  createPullRequest,
  fetchMaxOffset,
  pullMessage,
  queryConsumerOffset,
  updateConsumerOffset,
} from '../../src/client/pull.ts';
import { fetchTopicRoute, readableQueues, writableQueues } from '../../src/client/route.ts';
import { createSendRequest, sendBatch, sendMessage } from '../../src/client/send.ts';
import { decodeBatchBody } from '../../src/message/batch.ts';
import { RemotingClient } from '../../src/net/client.ts';
import { RemotingServer } from '../../src/net/server.ts';
import { createResponse } from '../../src/protocol/remoting-command.ts';
import { encodeTopicRouteData, type TopicRouteData } from '../../src/protocol/route.ts';
import { golden } from '../support/golden.ts';

async function pair(t: TestContext): Promise<{ server: RemotingServer; client: RemotingClient; address: string }> {
  const server = new RemotingServer();
  const { port } = await server.listen({ port: 0 });
  const client = new RemotingClient();
  t.after(async () => {
    await client.close();
    await server.shutdown(0);
  });
  return { server, client, address: `127.0.0.1:${port}` };
}

const queue = { topic: 'T', brokerName: 'b', queueId: 2 };

describe('routes', () => {
  const broker = (brokerName: string, addresses: [number, string][]) => ({
    cluster: 'c',
    brokerName,
    brokerAddrs: new Map(addresses),
    enableActingMaster: false,
    zoneName: undefined,
  });
  const queues = (brokerName: string, perm: number) => ({
    brokerName,
    readQueueNums: 2,
    writeQueueNums: 1,
    perm,
    topicSysFlag: 0,
  });
  const route: TopicRouteData = {
    brokerDatas: [broker('b', [[0, 'h:1']]), broker('a', [[1, 'h:2']])],
    queueDatas: [queues('b', 6), queues('a', 6), queues('gone', 6)],
    filterServerTable: new Map(),
  };

  it('queues to write to are on masters and writable, queues to read from readable', () => {
    assert.deepEqual(writableQueues(route, 'T'), [{ topic: 'T', brokerName: 'b', queueId: 0, brokerAddr: 'h:1' }]);
    assert.deepEqual(
      readableQueues(route, 'T').map((each) => `${each.brokerName}${each.queueId}@${each.brokerAddr}`),
      ['a0@h:2', 'a1@h:2', 'b0@h:1', 'b1@h:1'],
    );
    assert.deepEqual(writableQueues({ ...route, queueDatas: [queues('b', 4)] }, 'T'), []);
    assert.deepEqual(readableQueues({ ...route, queueDatas: [queues('b', 2)] }, 'T'), []);
  });

  it('come from the first name server that answers; an unknown topic is undefined', async (t) => {
    const { server, client, address } = await pair(t);
    server.registerProcessor(105, (request) =>
      request.extFields?.topic === 'T'
        ? createResponse(request, 0, undefined, undefined, encodeTopicRouteData(route))
        : createResponse(request, request.extFields?.topic === 'broken' ? 1 : 17, 'remark'),
    );
    const servers = ['127.0.0.1:1', address];
    assert.equal((await fetchTopicRoute(client, servers, 'T'))?.queueDatas.length, 3);
    assert.equal(await fetchTopicRoute(client, servers, 'U'), undefined);
    await assert.rejects(fetchTopicRoute(client, servers, 'broken'), { code: 'REMOTING_RESPONSE' });
    await assert.rejects(fetchTopicRoute(client, ['127.0.0.1:1'], 'T'), { code: 'REMOTING_CONNECT_FAILED' });
    await assert.rejects(fetchTopicRoute(client, [], 'T'), { code: 'REMOTING_ADDRESS_INVALID' });
  });
});

describe('send', () => {
  it('says in one-letter fields what is sent', () => {
    const request = createSendRequest(
      { topic: 'T', queueId: 2, producerGroup: 'g', bornTimestamp: 5 },
      {
        body: Buffer.from('x'),
        properties: [['TAGS', 'a']],
        flag: 7,
      },
    );
    assert.equal(request.code, 310);
    assert.deepEqual(request.extFields, {
      a: 'g',
      b: 'T',
      c: 'TBW102',
      d: '4',
      e: '2',
      f: '0',
      g: '5',
      h: '7',
      i: 'TAGS\u0001a\u0002',
      j: '0',
      k: 'false',
      m: 'false',
      n: undefined,
    });
  });

  it('the four codes that mean stored are statuses, every other one an error', async (t) => {
    const { server, client, address } = await pair(t);
    let code = 0;
    server.registerProcessor(310, (request) =>
      createResponse(request, code, 'why', { msgId: 'M', queueId: '2', queueOffset: '9' }),
    );
    const send = () => sendMessage(client, address, { topic: 'T', queueId: 2 }, { body: Buffer.from('x') });
    for (const [each, status] of [
      [0, 'SEND_OK'],
      [10, 'FLUSH_DISK_TIMEOUT'],
      [12, 'FLUSH_SLAVE_TIMEOUT'],
      [11, 'SLAVE_NOT_AVAILABLE'],
    ] as const) {
      code = each;
      assert.deepEqual(await send(), { status, offsetMsgId: 'M', queueId: 2, queueOffset: 9 });
    }
    code = 13;
    await assert.rejects(send(), {
      code: 'REMOTING_RESPONSE',
      message: `send: ${address} answered MESSAGE_ILLEGAL (13): why`,
    });
  });

  it('a batch goes as one body', async (t) => {
    const { server, client, address } = await pair(t);
    server.registerProcessor(320, (request) => {
      const bodies = decodeBatchBody(request.body as Buffer).map((message) => message.body.toString());
      assert.equal(request.extFields?.m, 'true');
      return createResponse(request, 0, undefined, { msgId: bodies.join(','), queueId: '0', queueOffset: '0' });
    });
    const result = await sendBatch(client, address, { topic: 'T', queueId: 0 }, [
      { body: Buffer.from('a') },
      { body: Buffer.from('b') },
    ]);
    assert.equal(result.offsetMsgId, 'a,b');
  });
});

describe('pull', () => {
  it('asks to be held only when told how long', () => {
    assert.equal(createPullRequest(queue, { consumerGroup: 'g', queueOffset: 1 }).extFields?.sysFlag, '4');
    const held = createPullRequest(queue, { consumerGroup: 'g', queueOffset: 1, suspendTimeoutMs: 500 });
    assert.deepEqual([held.extFields?.sysFlag, held.extFields?.suspendTimeoutMillis], ['6', '500']);
  });

  it('reads offsets and records; codes 19, 20 and 21 are statuses', async (t) => {
    const { server, client, address } = await pair(t);
    let code = 0;
    const record = Buffer.from(golden.recordV4, 'hex');
    record.writeInt32BE(0, 84);
    const empty = Buffer.concat([record.subarray(0, 88), record.subarray(94)]);
    empty.writeInt32BE(empty.length);
    server.registerProcessor(11, (request) =>
      createResponse(
        request,
        code,
        undefined,
        { nextBeginOffset: '2', minOffset: '0', maxOffset: '5' },
        code === 0 ? empty : undefined,
      ),
    );
    const pull = () => pullMessage(client, address, queue, { consumerGroup: 'g', queueOffset: 1 });
    const found = await pull();
    assert.deepEqual(
      [found.status, found.nextBeginOffset, found.maxOffset, found.messages[0]?.topic],
      ['FOUND', 2, 5, 'TopicTest'],
    );
    for (const [each, status] of [
      [19, 'NO_NEW_MSG'],
      [20, 'NO_MATCHED_MSG'],
      [21, 'OFFSET_ILLEGAL'],
    ] as const) {
      code = each;
      assert.deepEqual(await pull(), { status, nextBeginOffset: 2, minOffset: 0, maxOffset: 5, messages: [] });
    }
    code = 16;
    await assert.rejects(pull(), { code: 'REMOTING_RESPONSE' });
  });

  it('offsets: none is undefined, a missing field is an error', async (t) => {
    const { server, client, address } = await pair(t);
    let offset: string | undefined;
    server.registerProcessor(14, (request) =>
      createResponse(request, offset === undefined ? 22 : 0, undefined, { offset }),
    );
    server.registerProcessor(15, (request) => {
      offset = request.extFields?.commitOffset;
      return createResponse(request, 0);
    });
    server.registerProcessor(30, (request) => createResponse(request, 0));
    assert.equal(await queryConsumerOffset(client, address, queue, 'g'), undefined);
    await updateConsumerOffset(client, address, queue, 'g', 77);
    assert.equal(await queryConsumerOffset(client, address, queue, 'g'), 77);
    await assert.rejects(fetchMaxOffset(client, address, queue), { code: 'REMOTING_BODY_INVALID' });
  });
});
