/**
 * A live broker with its gRPC proxy on a socket. Each round is one of these: a call of any method whose message is sound, odd or
 * damaged; receipts of others, old ones and such that never were; settings that say anything; a stream whose client does not
 * read, or goes; bytes that are no HTTP/2, and TLS that ends in the middle of its handshake.
 *
 * What holds after each: every call ends, with an answer that has a status or with an error of gRPC; nothing fails in a way that
 * nobody thought of (a TypeError in the log); a connection beside it is served; what was stored before reads back byte for byte.
 * At the end of a session nothing is under way, no room is taken, and broker and proxy start on what the inputs left.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { Broker } from '@vernier/broker';
import { GrpcProxy } from '@vernier/proxy';
import { createTopicConfig } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { SERVICE, streamMethods, unaryMethods } from '../../../packages/proxy/src/methods/index.ts';
import {
  codecs,
  type PullMessageResponse,
  type ReceiveMessageResponse,
  type TelemetryCommand,
} from '../../../packages/proxy/src/wire/messages.ts';
import { serviceCodecs } from '../../../packages/proxy/src/wire/services.ts';
import { mutate, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Find, type Session, type Target, within } from '../target.ts';
import { CLIENTS, requests, someNumber, someSettings } from './grpc-messages.ts';

const ANSWER_MS = 20_000;
const CANARIES = 20;
const GROWTH_MAX = 900 * 1024 * 1024;
/** Calls of one session that are under way together. */
const PENDING_MAX = 16;
const HANDLES_MAX = 200;

const canaryBody = (index: number): Buffer => Buffer.alloc(200 + index, `canary ${index} `);

const identity = (bytes: Buffer): Buffer => bytes;

/** Words at the beginning of a connection that mean something to somebody. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const CLIENT_HELLO = Buffer.from('16030100c8010000c40303', 'hex');

class GrpcSession {
  readonly #directory: string;
  readonly #rssBefore = process.memoryUsage.rss();
  #broker!: Broker;
  #proxy!: GrpcProxy;
  #port = 0;
  #clients: Client[] = [];
  #pending: Promise<unknown>[] = [];
  #handles: string[] = [];
  #rounds = 0;
  #failure: unknown;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<void> {
    const noticed = (fields: object, message: string): void => {
      const { err } = fields as { err?: unknown };
      if (err instanceof TypeError || err instanceof RangeError || err instanceof ReferenceError) {
        this.#failure ??= new Find(`${message}: ${err.stack}`, err);
      }
    };
    const logger = { ...silentLogger, warn: noticed, error: noticed };
    const store = {
      ...{ storePathRootDir: join(this.#directory, 'broker'), flushDiskType: 'ASYNC_FLUSH' as const },
      ...{ mappedFileSizeCommitLog: 8 * 1024 * 1024, mappedFileSizeConsumeQueue: 20 * 300, maxHashSlotNum: 1_000 },
      ...{ maxIndexNum: 4_000, diskFreeBytesMin: 0, diskMaxUsedSpaceRatio: 99, diskSpaceWarningLevelRatio: 99 },
      diskSpaceCleanForciblyRatio: 99,
    };
    this.#broker = new Broker({ listenPort: 0, shortPollingTimeMills: 20 }, { store, logger });
    this.#proxy = new GrpcProxy({ port: 0, logger, limits: { firstByteMs: 500, stopMs: 3_000 } });
    const address = await this.#proxy.listen();
    await this.#broker.start();
    await this.#proxy.serve(this.#broker.context);
    this.#port = Number(address.split(':').at(-1));
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    const open = (): Client => new Client(address, credentials.createInsecure(), options);
    this.#clients = Array.from({ length: 4 }, open);
    const types = { 'fuzz-a': 'MIXED', 'fuzz-fifo': 'FIFO', 'fuzz-delay': 'DELAY', 'fuzz-half': 'TRANSACTION' };
    for (const [name, type] of Object.entries({ ...types, canary: 'NORMAL' })) {
      const attributes = new Map([['message.type', type]]);
      const queues = { readQueueNums: name === 'canary' ? 1 : 3, writeQueueNums: name === 'canary' ? 1 : 3 };
      this.#broker.context.topics.update(createTopicConfig(name, { ...queues, attributes }));
    }
  }

  async sendCanaries(): Promise<void> {
    for (let index = 0; index < CANARIES; index++) {
      const systemProperties = { messageId: `canary-${index}`, messageType: 1 };
      const message = { topic: { name: 'canary' }, body: canaryBody(index), systemProperties };
      const { encode } = codecs.SendMessageRequest;
      const bytes = await this.#unary('SendMessage', encode({ messages: [message] }), 'canary');
      const { status } = codecs.SendMessageResponse.decode(bytes as Buffer);
      if (status?.code !== 20_000) throw new Find(`a canary is not taken: ${status?.code} ${status?.message}`);
    }
  }

  async #checkCanaries(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const request = {
      group: { name: 'canary-reader' },
      messageQueue: { topic: { name: 'canary' }, id: 0 },
      batchSize: 32,
    };
    const bytes = codecs.PullMessageRequest.encode({ ...request, offset: 0 });
    const answers = (await this.#answers('PullMessage', bytes, 'canary')) as PullMessageResponse[];
    const bodies = answers.flatMap(({ message }) => (message ? [Buffer.from(message.body!)] : []));
    const isSound =
      bodies.length >= CANARIES && bodies.slice(0, CANARIES).every((body, i) => canaryBody(i).equals(body));
    if (!isSound) throw new Find(`what was stored before is served otherwise: ${bodies.length} of ${CANARIES} records`);
    const growth = process.memoryUsage.rss() - this.#rssBefore;
    if (growth > GROWTH_MAX) throw new Find(`the process has grown by ${Math.round(growth / 1048576)} MiB`);
    if (this.#broker.store.failure) throw new Find(`the store failed: ${this.#broker.store.failure.message}`);
  }

  #metadata(clientId: string): Metadata {
    const metadata = new Metadata();
    metadata.set('x-mq-client-id', clientId);
    metadata.set('x-mq-language', 'JAVA');
    metadata.set('x-mq-client-version', '5.0.7');
    return metadata;
  }

  #client(random?: Random): Client {
    return random === undefined ? this.#clients[0]! : random.pick(this.#clients.slice(1));
  }

  /** The answer's bytes, or the error of gRPC that the call ended with. */
  #unary(method: string, bytes: Buffer, clientId: string, random?: Random): Promise<Buffer | ServiceError> {
    const deadline = Date.now() + ANSWER_MS / 2;
    const path = `/${SERVICE}/${method}`;
    const call = new Promise<Buffer | ServiceError>((resolve) => {
      const done = (error: ServiceError | null, answer?: Buffer): void => resolve(error ?? (answer as Buffer));
      const metadata = this.#metadata(clientId);
      this.#client(random).makeUnaryRequest(path, identity, identity, bytes, metadata, { deadline }, done);
    });
    return within(ANSWER_MS, method, call);
  }

  /** What a stream brings until its end, or until it is cancelled after `cancelMs`. */
  #answers(method: string, bytes: Buffer, clientId: string, random?: Random, cancelMs?: number): Promise<unknown[]> {
    const { response } = streamMethods.find(({ name }) => name === method)!;
    const deadline = Date.now() + ANSWER_MS / 2;
    const stream = this.#client(random).makeServerStreamRequest(
      ...([`/${SERVICE}/${method}`, identity, identity, bytes, this.#metadata(clientId), { deadline }] as const),
    );
    const answers: unknown[] = [];
    const ended = new Promise<unknown[]>((resolve, reject) => {
      stream.on('data', (answer: Buffer) => {
        try {
          answers.push(response.decode(answer));
        } catch (error) {
          reject(new Find(`an answer to ${method} cannot be read: ${(error as Error).message}`, error));
        }
      });
      stream.on('error', () => resolve(answers));
      stream.on('end', () => resolve(answers));
    });
    const timer = cancelMs === undefined ? undefined : setTimeout(() => stream.cancel(), cancelMs);
    return within(ANSWER_MS, method, ended).finally(() => clearTimeout(timer));
  }

  /** One call of any method, with a message that is sound, odd or damaged. */
  async call(random: Random): Promise<void> {
    const method = random.pick([...unaryMethods, ...streamMethods]);
    const clientId = random.chance(0.97) ? random.pick(CLIENTS) : someText(random).replace(/[^ -~]/g, '?');
    let bytes: Buffer = method.request.encode(requests[method.name]!(random, this.#handle(random)));
    if (random.chance(0.5)) bytes = mutate(random, bytes);
    if (streamMethods.some(({ name }) => name === method.name)) {
      const answers = await this.#answers(method.name, bytes, clientId, random, random.below(60));
      this.#keepHandles(random, answers as ReceiveMessageResponse[]);
      return;
    }
    const answer = await this.#unary(method.name, bytes, clientId, random);
    if (!Buffer.isBuffer(answer)) return;
    const { status } = method.response.decode(answer) as { status?: { code?: number } };
    if (status?.code === undefined || status.code === 0) throw new Find(`${method.name} is answered without a status`);
  }

  /** A receipt that somebody got, changed or not, or none. */
  #handle(random: Random): string {
    if (this.#handles.length === 0 || random.chance(0.1)) return someText(random).slice(0, 3_000);
    const handle = random.pick(this.#handles);
    if (random.chance(0.6)) return handle;
    const fields = handle.split(' ');
    const value = random.chance(0.7) ? String(someNumber(random)) : someText(random).slice(0, 100);
    return fields.with(random.below(fields.length), value).join(' ');
  }

  #keepHandles(random: Random, answers: readonly ReceiveMessageResponse[]): void {
    for (const { message } of answers) {
      const handle = message?.systemProperties?.receiptHandle ?? '';
      if (handle === '') continue;
      if (this.#handles.length < HANDLES_MAX) this.#handles.push(handle);
      else this.#handles[random.below(HANDLES_MAX)] = handle;
    }
  }

  /** A telemetry stream with some commands, which is ended, cancelled, or not read. */
  async telemetry(random: Random): Promise<void> {
    const metadata = this.#metadata(random.pick(CLIENTS));
    const stream = this.#client(random).makeBidiStreamRequest<Buffer, Buffer>(
      ...([`/${SERVICE}/Telemetry`, identity, identity, metadata, { deadline: Date.now() + ANSWER_MS / 2 }] as const),
    );
    const ended = new Promise<void>((resolve) => {
      stream.on('error', () => resolve());
      stream.on('end', () => resolve());
      // Also when its client does not read what is left in it.
      stream.on('status', () => resolve());
    });
    if (random.chance(0.8)) stream.on('data', () => {});
    for (let count = 1 + random.skewed(random.chance(0.05) ? 300 : 4); count > 0; count--) {
      const command: TelemetryCommand = random.chance(0.8)
        ? { settings: someSettings(random) }
        : { status: { code: 20_000 }, threadStackTrace: { nonce: someText(random).slice(0, 50) } };
      const bytes = codecs.TelemetryCommand.encode(command);
      stream.write(random.chance(0.3) ? mutate(random, bytes) : bytes);
    }
    if (random.chance(0.5)) stream.end();
    else setTimeout(() => stream.cancel(), random.below(30));
    setTimeout(() => stream.cancel(), 200);
    await within(ANSWER_MS, 'a telemetry stream', ended);
  }

  /** Who asks and does not read. */
  async unread(random: Random): Promise<void> {
    const metadata = this.#metadata(random.pick(CLIENTS));
    const deadline = Date.now() + ANSWER_MS / 2;
    const client = this.#client(random);
    if (random.chance(0.5)) {
      const stream = client.makeBidiStreamRequest<Buffer, Buffer>(
        ...(['/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', identity, identity, metadata] as const),
        { deadline },
      );
      stream.on('error', () => {});
      const bytes = serviceCodecs.ReflectionRequest.encode({ fileContainingSymbol: SERVICE });
      for (let count = random.skewed(2_000); count > 0; count--) {
        stream.write(random.chance(0.05) ? mutate(random, Buffer.from(bytes)) : bytes);
      }
      await new Promise((resolve) => setTimeout(resolve, random.below(50)));
      stream.cancel();
      return;
    }
    const method = random.pick(streamMethods);
    const bytes = method.request.encode(requests[method.name]!(random, ''));
    const path = `/${SERVICE}/${method.name}`;
    const stream = client.makeServerStreamRequest(path, identity, identity, bytes, metadata, { deadline });
    stream.on('error', () => {});
    await new Promise((resolve) => setTimeout(resolve, random.below(50)));
    stream.cancel();
  }

  /** A connection of its own, with bytes that are not what should come. */
  async bytes(random: Random): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', () => {});
    const noise = random.bytes(random.skewed(3_000));
    const parts = [
      ...[Buffer.alloc(0), PREFACE, mutate(random, PREFACE), Buffer.concat([PREFACE, noise]), noise, CLIENT_HELLO],
      ...[Buffer.concat([CLIENT_HELLO, noise]), mutate(random, CLIENT_HELLO), Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ];
    socket.write(random.pick(parts));
    await new Promise((resolve) => setTimeout(resolve, random.below(30)));
    if (random.chance(0.5)) socket.resetAndDestroy();
    else socket.end();
    await within(ANSWER_MS, 'a connection whose peer is gone', closed).finally(() => socket.destroy());
  }

  async round(random: Random): Promise<void> {
    const kind = random.below(20);
    let work: Promise<void>;
    if (kind < 14) work = this.call(random);
    else if (kind < 16) work = this.telemetry(random);
    else if (kind < 18) work = this.unread(random);
    else work = this.bytes(random);
    // Calls of one connection are under way together, as clients have them.
    this.#pending.push(work);
    if (this.#pending.length >= PENDING_MAX) await this.#settle();
    this.#rounds++;
    if (this.#rounds % 64 === 0) await this.#checkCanaries();
  }

  async #settle(): Promise<void> {
    const results = await Promise.allSettled(this.#pending.splice(0));
    const find = results.find((result) => result.status === 'rejected');
    if (find !== undefined) throw (find as PromiseRejectedResult).reason;
  }

  async end(): Promise<void> {
    await this.#settle();
    await this.#checkCanaries();
    for (const client of this.#clients) client.close();
    await within(ANSWER_MS, 'the calls of those who are gone', this.#atRest());
    await within(60_000, 'broker and proxy stop', this.#stop());
    await this.start();
    await this.#checkCanaries();
    for (const client of this.#clients) client.close();
    await within(60_000, 'broker and proxy stop', this.#stop());
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Nothing is under way, and no room is taken. */
  async #atRest(): Promise<void> {
    for (;;) {
      const { proxyCalls, proxyAnswerBytes, proxyAnswersWaiting } = await this.#broker.context.runtimeInfo();
      if ([proxyCalls, proxyAnswerBytes, proxyAnswersWaiting].every((number) => number === '0')) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #stop(): Promise<void> {
    await this.#proxy.stop();
    await this.#broker.shutdown();
  }
}

export const grpc: Target = {
  name: 'grpc',
  sessionRounds: 1_000,
  async open(directory): Promise<Session> {
    const session = new GrpcSession(directory);
    await session.start();
    await session.sendCanaries();
    return { round: (random) => session.round(random), close: () => session.end() };
  },
};

/** Each method has inputs. */
for (const { name } of [...unaryMethods, ...streamMethods]) {
  if (requests[name] === undefined) throw new Error(`the target grpc has no input for ${name}`);
}
