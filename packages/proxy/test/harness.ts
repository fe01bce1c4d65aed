// A broker on the disk and its proxy on a free port, with a client of the gRPC library that makes single calls.
import type { TestContext } from 'node:test';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { createTopicConfig } from '@vernier/remoting';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { startBroker, type TestBroker, type TestBrokerOptions } from '../../broker/test/harness.ts';
import { GrpcProxy, type ProxyOptions } from '../src/index.ts';
import { SERVICE } from '../src/methods/index.ts';
import {
  type AckMessageRequest,
  type AckMessageResponse,
  ClientType,
  type Codec,
  codecs,
  type Message,
  MessageType,
  type QueryRouteResponse,
  type ReceiveMessageRequest,
  type ReceiveMessageResponse,
  type SendMessageResponse,
  type Settings,
  type TelemetryCommand,
} from '../src/wire/messages.ts';
import { timeOf } from '../src/wire/times.ts';

export interface TestProxy extends TestBroker {
  proxy: GrpcProxy;
  /** `host:port` of the proxy. */
  endpoint: string;
}

export interface TestProxyOptions extends TestBrokerOptions {
  proxy?: ProxyOptions;
}

/** All gone at the test's end, the proxy first. */
export async function startProxy(t: TestContext, options: TestProxyOptions = {}): Promise<TestProxy> {
  const started = await startBroker(t, options);
  const proxy = new GrpcProxy({ port: 0, ...options.proxy });
  cleanUp(t, () => proxy.stop());
  const endpoint = await proxy.listen();
  await proxy.serve(started.broker.context);
  return { ...started, proxy, endpoint };
}

export function makeTopic({ broker }: TestBroker, name: string, type?: string, queues = 1): void {
  const attributes = new Map(type === undefined ? [] : [['message.type', type]]);
  const nums = { readQueueNums: queues, writeQueueNums: queues };
  broker.context.topics.update(createTopicConfig(name, { ...nums, attributes }));
}

/** Calls methods as a client of the protocol does. */
export class RawClient {
  readonly clientId: string;
  readonly grpc: Client;

  constructor(
    t: TestContext,
    endpoint: string,
    clientId = 'raw',
    trust: ChannelCredentials = credentials.createInsecure(),
  ) {
    this.clientId = clientId;
    this.grpc = new Client(endpoint, trust, { 'grpc.use_local_subchannel_pool': 1 });
    cleanUp(t, () => this.grpc.close());
  }

  metadata(): Metadata {
    const metadata = new Metadata();
    if (this.clientId !== '') metadata.set('x-mq-client-id', this.clientId);
    metadata.set('x-mq-language', 'NODE_JS');
    metadata.set('x-mq-client-version', '5.0.7');
    return metadata;
  }

  call<Request, Response>(
    method: string,
    request: Codec<Request>,
    response: Codec<Response>,
    value: Request,
    options: CallOptions = { deadline: Date.now() + 10_000 },
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const path = `/${SERVICE}/${method}`;
      const done = (error: ServiceError | null, answer?: Response): void => {
        if (error !== null) reject(error);
        else resolve(answer as Response);
      };
      this.grpc.makeUnaryRequest(path, request.encode, response.decode, value, this.metadata(), options, done);
    });
  }

  send(...messages: Message[]): Promise<SendMessageResponse> {
    return this.call('SendMessage', codecs.SendMessageRequest, codecs.SendMessageResponse, { messages });
  }

  route(topic: string): Promise<QueryRouteResponse> {
    return this.call('QueryRoute', codecs.QueryRouteRequest, codecs.QueryRouteResponse, { topic: { name: topic } });
  }

  ack(request: AckMessageRequest): Promise<AckMessageResponse> {
    return this.call('AckMessage', codecs.AckMessageRequest, codecs.AckMessageResponse, request);
  }

  receive(request: ReceiveMessageRequest, deadlineMs = 30_000): ClientReadableStream<ReceiveMessageResponse> {
    const { ReceiveMessageRequest: asked, ReceiveMessageResponse: answered } = codecs;
    const options = { deadline: Date.now() + deadlineMs };
    const path = `/${SERVICE}/ReceiveMessage`;
    return this.grpc.makeServerStreamRequest(path, asked.encode, answered.decode, request, this.metadata(), options);
  }

  telemetry(timeout?: string): ClientDuplexStream<TelemetryCommand, TelemetryCommand> {
    const { encode, decode } = codecs.TelemetryCommand;
    const metadata = this.metadata();
    if (timeout !== undefined) metadata.set('grpc-timeout', timeout);
    return this.grpc.makeBidiStreamRequest(`/${SERVICE}/Telemetry`, encode, decode, metadata, {});
  }

  /** Says what the client is; resolves with what the proxy makes of it. The stream stays open. */
  settings(settings: Settings): Promise<TelemetryCommand> {
    const stream = this.telemetry();
    return new Promise((resolve, reject) => {
      stream.on('error', reject);
      stream.once('data', resolve);
      stream.write({ settings });
    });
  }

  consumer(group: string, topic: string): Promise<TelemetryCommand> {
    const subscription = { group: { name: group }, subscriptions: [{ topic: { name: topic } }] };
    return this.settings({ clientType: ClientType.PUSH_CONSUMER, subscription });
  }
}

/** What a stream of answers brings until its end. */
export async function answersOf(
  stream: ClientReadableStream<ReceiveMessageResponse>,
): Promise<ReceiveMessageResponse[]> {
  const answers: ReceiveMessageResponse[] = [];
  for await (const answer of stream) answers.push(answer as ReceiveMessageResponse);
  return answers;
}

export const receiveRequest = (
  group: string,
  topic: string,
  more: ReceiveMessageRequest = {},
): ReceiveMessageRequest => ({
  ...{ group: { name: group }, messageQueue: { topic: { name: topic }, id: -1 }, batchSize: 32 },
  ...{ invisibleDuration: timeOf(30_000), longPollingTimeout: timeOf(20_000) },
  ...more,
});

let messageCount = 0;

export const message = (topic: string, body: string | Buffer, system = {}): Message => ({
  topic: { name: topic },
  body: Buffer.from(body),
  systemProperties: { messageId: `ID${messageCount++}`, messageType: MessageType.NORMAL, ...system },
});
