// A proxy in front of brokers that it reaches by remoting alone, all in this process on free ports.
import { EventEmitter, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import {
  createRequest,
  createResponse,
  createTopicConfig,
  encodeTopicRouteData,
  type RemotingCommand,
  RemotingServer,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  type ServerIdentity,
  topicConfigJson,
} from '@vernier/remoting';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { startBroker, type TestBroker, type TestBrokerOptions } from '../../../broker/test/harness.ts';
import { GrpcProxy, type ProxyOptions, type RemoteBackendOptions } from '../../src/index.ts';
import type { Code, Message } from '../../src/wire/messages.ts';
import { answersOf, makeTopic, message, RawClient, receiveRequest } from '../harness.ts';

export interface RemoteProxy {
  proxy: GrpcProxy;
  endpoint: string;
}

/** Stopped at the test's end. */
export async function startRemoteProxy(
  t: TestContext,
  options: RemoteBackendOptions,
  proxyOptions: ProxyOptions = {},
): Promise<RemoteProxy> {
  const proxy = new GrpcProxy({ port: 0, ...proxyOptions });
  cleanUp(t, () => proxy.stop());
  const endpoint = await proxy.listen();
  await proxy.serveRemote(options);
  return { proxy, endpoint };
}

export interface RemoteCluster extends RemoteProxy {
  broker: TestBroker;
  client: RawClient;
}

/** A broker, a nameserver, and a proxy in front of them. */
export async function startCluster(
  t: TestContext,
  options: TestBrokerOptions = {},
  remote: Partial<RemoteBackendOptions> = {},
): Promise<RemoteCluster> {
  const broker = await startBroker(t, options);
  const front = await startRemoteProxy(t, { namesrvs: [namesrvOf(broker)], ...remote });
  return { broker, ...front, client: new RawClient(t, front.endpoint) };
}

export const namesrvOf = ({ namesrv }: TestBroker): string => namesrv.address as string;

/** Makes a topic, and waits until the nameserver knows it. */
export async function routedTopic({ broker }: Pick<RemoteCluster, 'broker'>, name: string, type?: string, queues = 1) {
  makeTopic(broker, name, type, queues);
  const isRouted = async (): Promise<boolean> => {
    const request = createRequest(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic: name });
    return (await broker.client.invoke(namesrvOf(broker), request, 10_000)).code === ResponseCode.SUCCESS;
  };
  while (!(await isRouted())) await new Promise(setImmediate);
}

/** A nameserver and broker in one that says what a test wants it to say, of one topic with one queue. */
export async function startImpostor(
  t: TestContext,
  handlers: Readonly<Record<number, RequestHandler>> = {},
  topicQueueMappingByBroker?: Map<string, unknown>,
  tls?: ServerIdentity,
): Promise<{ server: RemotingServer; address: string }> {
  const server = new RemotingServer({ tls });
  cleanUp(t, () => server.shutdown(0));
  const { host, port } = await server.listen({ port: 0 });
  const address = `${host}:${port}`;
  const topic = createTopicConfig('T', { readQueueNums: 1, writeQueueNums: 1 });
  const json = (request: RemotingCommand, value: object) =>
    createResponse(request, ResponseCode.SUCCESS, undefined, undefined, Buffer.from(JSON.stringify(value)));
  const usual: Record<number, RequestHandler> = {
    [RequestCode.GET_ROUTEINFO_BY_TOPIC]: (request) => {
      const brokerAddrs = new Map([[0, address]]);
      const body = encodeTopicRouteData({
        queueDatas: [{ brokerName: 'b', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
        brokerDatas: [{ cluster: 'c', brokerName: 'b', brokerAddrs, enableActingMaster: false }],
        filterServerTable: new Map(),
        topicQueueMappingByBroker,
      });
      return createResponse(request, ResponseCode.SUCCESS, undefined, undefined, body);
    },
    [RequestCode.GET_TOPIC_CONFIG]: (request) => json(request, topicConfigJson(topic)),
    [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG]: (request) => json(request, { groupName: 'g' }),
    [RequestCode.HEART_BEAT]: (request) => createResponse(request, ResponseCode.SUCCESS),
    [RequestCode.UNREGISTER_CLIENT]: (request) => createResponse(request, ResponseCode.SUCCESS),
    ...handlers,
  };
  for (const [code, handler] of Object.entries(usual)) server.registerProcessor(Number(code), handler);
  return { server, address };
}

export async function receive(client: RawClient, group: string, topic: string, more = {}) {
  const answers = await answersOf(client.receive(receiveRequest(group, topic, more)));
  const { code, message: text = '' } = answers[0]!.status!;
  return { code: code as Code, text, messages: answers.flatMap((answer) => answer.message ?? []) };
}

export const bodyOf = ({ body }: Message): string => Buffer.from(body!).toString();

/**
 * A broker with a message of topic T that answers a pop when it is told to: `popped` has what sends the answer. What is given
 * back is emitted by `told`, as `given` with the fields.
 */
export async function startSlowPops(t: TestContext) {
  const cluster = await startCluster(t);
  await routedTopic(cluster, 'T');
  await cluster.client.send(message('T', 'x'));
  const record = await cluster.broker.broker.context.store.selectOneMessageByOffset(0);
  const told = new EventEmitter();
  const popped = once(told, 'popped');
  const { address } = await startImpostor(t, {
    [RequestCode.POP_MESSAGE]: (request, connection) => {
      const fields = { popTime: String(Date.now()), invisibleTime: '30000', reviveQid: '0', startOffsetInfo: '0 0 0' };
      told.emit('popped', () => {
        connection.send(createResponse(request, ResponseCode.SUCCESS, 'FOUND', fields, Buffer.from(record!)));
      });
      return undefined;
    },
    [RequestCode.CHANGE_MESSAGE_INVISIBLETIME]: (request) => {
      told.emit('given', request.extFields);
      const fields = { popTime: '1', invisibleTime: '1000', reviveQid: '0' };
      return createResponse(request, ResponseCode.SUCCESS, undefined, fields);
    },
  });
  return { told, popped, address };
}

/** A server that does to each frame what a test wants; one connection after the other. */
export function startRaw(t: TestContext, act: (socket: Socket, request: Buffer) => void): Promise<string> {
  return startSockets(t, createServer(), (socket) => socket.on('data', (chunk) => act(socket, chunk)));
}

/** A server that accepts connections and never reads. */
export const startDeaf = (t: TestContext): Promise<string> =>
  startSockets(t, createServer({ pauseOnConnect: true }), () => {});

async function startSockets(t: TestContext, server: Server, accept: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    accept(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

/** The route of topic T, one queue at each broker. */
export function routeOf(request: RemotingCommand, addresses: Readonly<Record<string, string>>): RemotingCommand {
  const body = encodeTopicRouteData({
    queueDatas: Object.keys(addresses).map((brokerName) => ({
      ...{ brokerName, readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 },
    })),
    brokerDatas: Object.entries(addresses).map(([brokerName, address]) => ({
      ...{ cluster: 'c', brokerName, brokerAddrs: new Map([[0, address]]), enableActingMaster: false },
    })),
    ...{ filterServerTable: new Map(), topicQueueMappingByBroker: undefined },
  });
  return createResponse(request, ResponseCode.SUCCESS, undefined, undefined, body);
}
