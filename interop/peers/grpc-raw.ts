/**
 * The stubs of RocketMQ's gRPC protocol, made at run time from the .proto files that rocketmq-client-nodejs ships: single
 * calls, as no client makes them, and apart from what packages/proxy is made of.
 */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  status as grpcStatus,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export type Fields = Record<string, unknown>;

export interface Status {
  code: string;
  message: string;
}

/** An instant or a time, as protobuf has it. */
export interface Time {
  seconds: number;
  nanos: number;
}

export const timeOf = (milliseconds: number): Time => ({
  seconds: Math.floor(milliseconds / 1_000),
  nanos: (milliseconds - Math.floor(milliseconds / 1_000) * 1_000) * 1_000_000,
});

export const millisecondsOf = ({ seconds, nanos }: Time): number => seconds * 1_000 + nanos / 1_000_000;

export interface Queue {
  topic: { name: string };
  id: number;
  permission: string;
  broker: { name: string; id: number; endpoints: { scheme: string; addresses: { host: string; port: number }[] } };
  acceptMessageTypes: string[];
}

/** What a call answers: each method has some of these fields. */
export interface Answer {
  /** `gRPC NAME` is a status of gRPC itself. */
  status: Status;
  entries: { status: Status; messageId: string; transactionId: string; offset: number; recallHandle: string }[];
  messageQueues: Queue[];
  assignments: { messageQueue: Queue }[];
  receiptHandle: string;
  messageId: string;
}

export interface GrpcMessage {
  topic: { name: string };
  userProperties: Record<string, string>;
  systemProperties: Fields & {
    messageId: string;
    receiptHandle: string;
    deliveryAttempt: number;
    bodyDigest: { type: string; checksum: string };
    bodyEncoding: string;
  };
  body: Buffer;
}

export interface Received extends Pick<Answer, 'status'> {
  messages: GrpcMessage[];
}

const installed = createRequire(import.meta.url).resolve('rocketmq-client-nodejs');
const protos = join(
  installed.slice(0, installed.lastIndexOf('rocketmq-client-nodejs')),
  'rocketmq-client-nodejs',
  'proto',
);
const definition = loadSync(join(protos, 'apache', 'rocketmq', 'v2', 'service.proto'), {
  ...{ includeDirs: [protos], longs: Number, enums: String, defaults: true, oneofs: true },
});
/** How messages of each method become bytes, and bytes messages. */
export const methods = definition['apache.rocketmq.v2.MessagingService'] as ServiceDefinition;

const loaded = loadPackageDefinition(definition) as unknown as {
  apache: { rocketmq: { v2: { MessagingService: ServiceClientConstructor } } };
};
const { MessagingService } = loaded.apache.rocketmq.v2;

const statusOf = ({ code, details }: ServiceError): Status => ({
  code: `gRPC ${grpcStatus[code]}`,
  message: details,
});

/** A stream of settings and commands. */
export class Telemetry {
  readonly commands: Fields[] = [];
  /** Why it ended; undefined while it is open. */
  ended: Status | undefined;
  readonly #stream: ClientDuplexStream<Fields, Fields>;

  constructor(stream: ClientDuplexStream<Fields, Fields>) {
    this.#stream = stream;
    stream.on('data', (command: Fields) => void this.commands.push(command));
    stream.on('error', (error: ServiceError) => {
      this.ended ??= statusOf(error);
    });
    stream.on('end', () => {
      this.ended ??= { code: 'ended', message: '' };
    });
  }

  write(command: Fields): void {
    this.#stream.write(command);
  }

  /** Resolves with the next command, or undefined when the stream ended. */
  async next(): Promise<Fields | undefined> {
    const count = this.commands.length;
    const over = new AbortController();
    try {
      const { signal } = over;
      const error = once(this.#stream, 'end', { signal });
      await Promise.race([once(this.#stream, 'data', { signal }), error]).catch(() => undefined);
    } finally {
      over.abort();
    }
    return this.commands[count];
  }

  close(): void {
    this.#stream.cancel();
  }
}

/** One client of the protocol, by its id. Nothing rejects: a status of gRPC is the status of the answer. */
export class RawGrpc {
  readonly clientId: string;
  readonly version: string;
  readonly #client: InstanceType<ServiceClientConstructor>;
  readonly #streams: Telemetry[] = [];

  constructor(address: string, clientId: string, version = '5.0.8') {
    this.clientId = clientId;
    this.version = version;
    this.#client = new MessagingService(address, credentials.createInsecure(), {
      ...{ 'grpc.use_local_subchannel_pool': 1, 'grpc.max_send_message_length': -1 },
      'grpc.max_receive_message_length': -1,
    });
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.clientId !== '') metadata.set('x-mq-client-id', this.clientId);
    metadata.set('x-mq-language', 'JAVA');
    metadata.set('x-mq-client-version', this.version);
    metadata.set('x-mq-protocol', 'v2');
    return metadata;
  }

  call(method: string, request: Fields, deadlineMs = 20_000): Promise<Answer> {
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, answer: Answer): void => {
        resolve(error === null ? answer : ({ status: statusOf(error) } as Answer));
      };
      this.#client[method]!(request, this.#metadata(), { deadline: Date.now() + deadlineMs }, done);
    });
  }

  receive(request: Fields, deadlineMs = 30_000): Promise<Received> {
    const options = { deadline: Date.now() + deadlineMs };
    const stream: ClientReadableStream<Fields> = this.#client.ReceiveMessage!(request, this.#metadata(), options);
    const received: Received = { status: { code: 'no status', message: '' }, messages: [] };
    return new Promise((resolve) => {
      stream.on('data', ({ content, ...answer }: Fields) => {
        if (content === 'status') received.status = answer.status as Status;
        if (content === 'message') received.messages.push(answer.message as GrpcMessage);
      });
      stream.on('error', (error: ServiceError) => resolve({ ...received, status: statusOf(error) }));
      stream.on('end', () => resolve(received));
    });
  }

  /** Says what the client is. The stream stays open until close(). */
  async settings(settings: Fields): Promise<{ stream: Telemetry; settings: Fields | undefined }> {
    const stream = new Telemetry(this.#client.Telemetry!(this.#metadata(), {}));
    this.#streams.push(stream);
    const answer = stream.next();
    stream.write({ settings });
    return { stream, settings: (await answer)?.settings as Fields | undefined };
  }

  close(): void {
    for (const stream of this.#streams) stream.close();
    this.#client.close();
  }
}
