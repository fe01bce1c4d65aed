/**
 * A live broker and its gRPC proxy, by TLS: each input is a connection with an honest handshake, and then frames of
 * remoting or of HTTP/2 with what gRPC has in them, sound, mutated and cut; as records of one byte; records that are
 * changed, cut, repeated, exchanged or put in between by somebody on the way; handshakes asked for anew; peers that do not
 * read; and an end of any kind.
 *
 * What holds after each: nothing is left of a connection whose peer is gone; a second handshake is never had; the next
 * clients, of both protocols, are served, and those that were there before; what was stored before reads back; memory
 * stays bounded. At the end of a session TLS holds nothing, and broker and proxy start on what the inputs left.
 */
import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { Broker } from '@vernier/broker';
import { GrpcProxy } from '@vernier/proxy';
import {
  createRequest,
  decodeRecords,
  encodeFrame,
  PullSysFlag,
  RemotingClient,
  RequestCode,
  ResponseCode,
  ServerIdentity,
} from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { SERVICE, streamMethods, unaryMethods } from '../../../packages/proxy/src/methods/index.ts';
import { codecs } from '../../../packages/proxy/src/wire/messages.ts';
import { Authority, writeIssued } from '../../support/certificates.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Find, type Session, type Target, within } from '../target.ts';
import { CLIENTS, requests } from './grpc-messages.ts';
import { http2Session } from './http2-bytes.ts';
import { someRequest } from './live-requests.ts';
import { TlsWire } from './tls-wire.ts';

const ANSWER_MS = 20_000;
/** Until nothing is left of anybody: of some the server only learns that they are silent. */
const REST_MS = 40_000;
const CANARIES = 20;
const TOPIC = 'canary';
const GROWTH_MAX = 900 * 1024 * 1024;
/** Connections of one session that are open together. */
const PENDING_MAX = 8;
const LOOK_ROUNDS = 40;

const canaryBody = (index: number): Buffer => Buffer.alloc(200 + index, `canary ${index} `);
const identity = (bytes: Buffer): Buffer => bytes;
const methods = [...unaryMethods, ...streamMethods];
const pull = (): ReturnType<typeof createRequest> =>
  createRequest(RequestCode.PULL_MESSAGE, {
    ...{ consumerGroup: 'canary-reader', topic: TOPIC, queueId: '0', queueOffset: '0', maxMsgNums: '32' },
    ...{ sysFlag: String(PullSysFlag.SUBSCRIPTION), commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*' },
    ...{ subVersion: '0', expressionType: 'TAG' },
  });

/** A record of TLS with any type, whose length is true or not. */
function foreignRecord(random: Random): Buffer {
  const body = random.bytes(random.skewed(400));
  const head = Buffer.from([random.pick([20, 21, 22, 23, 23, 24, 128]), 3, random.below(5), 0, 0]);
  head.writeUInt16BE(random.chance(0.7) ? body.length : random.below(65_536), 3);
  return Buffer.concat([head, body]);
}

/** What somebody on the way makes of records. */
function tampering(random: Random): (records: Buffer) => Buffer {
  let before: Buffer = Buffer.alloc(0);
  return (records) => {
    if (random.chance(0.3)) return records;
    const last = before;
    before = records;
    switch (random.below(6)) {
      case 0:
        return mutate(random, records);
      case 1:
        return records.subarray(0, random.below(records.length));
      case 2:
        // Once more what was sent before.
        return Buffer.concat([records, records]);
      case 3:
        return Buffer.concat([records, last]);
      case 4:
        return Buffer.concat([foreignRecord(random), records]);
      default:
        return Buffer.concat([records, foreignRecord(random)]);
    }
  };
}

class InsideTls implements Session {
  readonly #directory: string;
  readonly #rssBefore = process.memoryUsage.rss();
  #authority!: Authority;
  #identity!: ServerIdentity;
  #broker!: Broker;
  #proxy!: GrpcProxy;
  #client!: RemotingClient;
  #grpc!: Client;
  #pending: Promise<void>[] = [];
  #rounds = 0;
  #failure: Find | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    this.#authority = await Authority.create();
    await mkdir(this.#directory, { recursive: true });
    await this.#start();
    for (let index = 0; index < CANARIES; index++) {
      const fields = { a: 'canary', b: TOPIC, c: 'TBW102', d: '1', e: '0', f: '0', g: '1700000000000', h: '0', i: '' };
      const send = createRequest(RequestCode.SEND_MESSAGE_V2, { ...fields, j: '0', k: 'false', m: 'false' });
      const answer = await this.#client.invoke(this.#broker.address, { ...send, body: canaryBody(index) }, ANSWER_MS);
      if (answer.code !== ResponseCode.SUCCESS)
        throw new Find(`a canary is not taken: ${answer.code} ${answer.remark}`);
    }
  }

  async #start(): Promise<void> {
    const noticed = (fields: object, message: string): void => {
      const { err } = fields as { err?: unknown };
      if (err instanceof TypeError || err instanceof RangeError || err instanceof ReferenceError) {
        this.#failure ??= new Find(`${message}: ${err.stack}`, err);
      }
    };
    const logger = { ...silentLogger, warn: noticed, error: noticed };
    const issued = await this.#authority.issue('server');
    const files = writeIssued(this.#directory, 'server', issued);
    const authorityPath = join(this.#directory, 'authority.pem');
    writeFileSync(authorityPath, this.#authority.certificate);
    this.#identity = new ServerIdentity({ ...files, logger });
    await this.#identity.open();
    const store = {
      ...{ storePathRootDir: join(this.#directory, 'broker'), flushDiskType: 'ASYNC_FLUSH' as const },
      ...{ mappedFileSizeCommitLog: 8 * 1024 * 1024, mappedFileSizeConsumeQueue: 20 * 300, maxHashSlotNum: 1_000 },
      ...{ maxIndexNum: 4_000, diskFreeBytesMin: 0, diskMaxUsedSpaceRatio: 99, diskSpaceWarningLevelRatio: 99 },
      diskSpaceCleanForciblyRatio: 99,
    };
    this.#broker = new Broker(
      { listenPort: 0, shortPollingTimeMills: 20, callClientTimeoutMills: 50 },
      { store, logger, tls: this.#identity },
    );
    // Node leaves a connection open whose HTTP/2 was broken, and a ping finds it.
    const limits = { pingMs: 1_000, stopMs: 3_000 };
    this.#proxy = new GrpcProxy({ port: 0, logger, tls: this.#identity, limits });
    await this.#proxy.listen();
    await this.#broker.start();
    await this.#proxy.serve(this.#broker.context);
    this.#client = new RemotingClient({ tls: { trust: 'any' } });
    this.#grpc = this.#grpcClient();
  }

  #grpcClient(): Client {
    const trust = credentials.createSsl(Buffer.from(this.#authority.certificate));
    return new Client(this.#proxy.address!, trust, { 'grpc.use_local_subchannel_pool': 1 });
  }

  async round(random: Random): Promise<void> {
    // Connections are under way together.
    this.#pending.push(this.#connection(random));
    if (this.#pending.length >= PENDING_MAX) await this.#settle();
    this.#rounds++;
    if (this.#rounds % LOOK_ROUNDS === 0) await this.#look();
  }

  async #settle(): Promise<void> {
    const results = await Promise.allSettled(this.#pending.splice(0));
    const find = results.find((result) => result.status === 'rejected');
    if (find !== undefined) throw (find as PromiseRejectedResult).reason;
  }

  /** One connection, from its handshake to its end. */
  async #connection(random: Random): Promise<void> {
    const isGrpc = random.chance(0.5);
    const version = random.pick(['TLSv1.2', 'TLSv1.3'] as const);
    const port = Number((isGrpc ? this.#proxy.address! : this.#broker.address).split(':').at(-1));
    const wire = await within(
      ANSWER_MS,
      'an honest handshake',
      TlsWire.connect({ port, version, ...(isGrpc || random.chance(0.1) ? { alpn: ['h2'] } : {}) }),
    );
    try {
      let bytes: Buffer = isGrpc ? this.#http2(random) : this.#frames(random);
      if (random.chance(0.5)) bytes = mutate(random, bytes);
      const kind = random.below(10);
      if (kind < 3) wire.tamper = tampering(random);
      else if (kind < 5) bytes = await this.#slowly(random, wire, bytes);
      else if (kind === 5 && version === 'TLSv1.2') await this.#renegotiate(random, wire);
      else if (kind === 6) wire.raw.pause();
      else if (kind === 7) wire.writeRaw(foreignRecord(random));
      await this.#inPieces(random, wire, bytes);
      await this.#end(random, wire);
    } finally {
      wire.destroy();
    }
  }

  #frames(random: Random): Buffer {
    const sent = Array.from({ length: 1 + random.below(4) }, () => (random.chance(0.3) ? pull() : someRequest(random)));
    return Buffer.concat(sent.map((request) => encodeFrame(request)));
  }

  #http2(random: Random): Buffer {
    const calls = Array.from({ length: 1 + random.below(4) }, () => {
      const { name, request } = random.pick(methods);
      const message = request.encode(requests[name]!(random, 'a handle'));
      return {
        path: `/${SERVICE}/${name}`,
        clientId: random.pick(CLIENTS),
        message: random.chance(0.5) ? mutate(random, message) : message,
      };
    });
    return http2Session(random, calls);
  }

  /** The first bytes, each a record of its own; gives what is left. */
  async #slowly(random: Random, wire: TlsWire, bytes: Buffer): Promise<Buffer> {
    const count = Math.min(bytes.length, 16 + random.below(100));
    for (let at = 0; at < count && !wire.isClosed; at++) await wire.write(bytes.subarray(at, at + 1));
    return bytes.subarray(count);
  }

  async #inPieces(random: Random, wire: TlsWire, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && !wire.isClosed; ) {
      const length = random.chance(0.6) ? bytes.length - at : 1 + random.skewed(bytes.length - at - 1);
      await wire.write(bytes.subarray(at, at + length));
      at += length;
    }
  }

  /** Asks for handshakes anew; no answer may be that there was one. */
  async #renegotiate(random: Random, wire: TlsWire): Promise<void> {
    for (let times = 1 + random.skewed(20); times > 0 && !wire.isClosed; times--) {
      const refused = new Promise<boolean>((resolve) => {
        wire.stream.once('error', () => resolve(true));
        wire.stream.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error !== null));
      });
      const waited = new Promise<boolean>((resolve) => setTimeout(resolve, 50, true));
      const isRefused = await Promise.race([refused, waited, wire.closed.then(() => true)]);
      if (!isRefused) throw new Find('a second handshake was had on a connection');
    }
  }

  async #end(random: Random, wire: TlsWire): Promise<void> {
    if (random.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, random.below(40)));
    switch (random.below(5)) {
      case 0:
        // As TLS wants it: its own end, then that of TCP.
        wire.tamper = undefined;
        if (!wire.isClosed) wire.stream.end();
        await new Promise((resolve) => setImmediate(resolve));
        wire.raw.end();
        break;
      case 1:
        // Without a word of TLS.
        wire.raw.end();
        break;
      case 2:
        // In the middle of a record.
        wire.writeRaw(Buffer.from([23, 3, 3, 64, 0, ...random.bytes(random.below(100))]));
        wire.raw.end();
        break;
      case 3:
        // The half of it: it goes on reading.
        wire.tamper = undefined;
        if (!wire.isClosed) wire.stream.end();
        await new Promise((resolve) => setTimeout(resolve, random.below(20)));
        wire.raw.end();
        break;
      default:
        wire.raw.resetAndDestroy();
    }
    wire.raw.resume();
    await within(ANSWER_MS, 'a connection whose peer is gone', wire.closed);
  }

  /** Clients from before and new ones are served, in both protocols. */
  async #look(): Promise<void> {
    await this.#settle();
    await this.#serves(this.#client, this.#grpc);
    const client = new RemotingClient({ tls: { trust: 'any' } });
    const grpc = this.#grpcClient();
    try {
      await this.#serves(client, grpc);
    } finally {
      grpc.close();
      await client.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#broker.store.failure) throw new Find(`the store failed: ${this.#broker.store.failure.message}`);
    const growth = process.memoryUsage.rss() - this.#rssBefore;
    if (growth > GROWTH_MAX) throw new Find(`the process has grown by ${Math.round(growth / 1048576)} MiB`);
  }

  async #serves(client: RemotingClient, grpc: Client): Promise<void> {
    const answer = await within(ANSWER_MS, 'a pull', client.invoke(this.#broker.address, pull(), ANSWER_MS));
    if (answer.code !== ResponseCode.SUCCESS) throw new Find(`a pull is answered ${answer.code} ${answer.remark}`);
    expectCanaries(decodeRecords(answer.body ?? Buffer.alloc(0)).map(({ body }) => body));
    const bytes = codecs.PullMessageRequest.encode({
      ...{
        group: { name: 'canary-reader' },
        messageQueue: { topic: { name: TOPIC }, id: 0 },
        batchSize: 32,
        offset: 0,
      },
    });
    const metadata = new Metadata();
    metadata.set('x-mq-client-id', 'canary');
    const path = `/${SERVICE}/PullMessage`;
    const deadline = Date.now() + ANSWER_MS;
    const stream = grpc.makeServerStreamRequest(path, identity, identity, bytes, metadata, { deadline });
    const bodies: Buffer[] = [];
    stream.on('data', (part: Buffer) => {
      const { message } = codecs.PullMessageResponse.decode(part);
      if (message) bodies.push(Buffer.from(message.body!));
    });
    const ended = new Promise<void>((resolve, reject) => {
      stream.on('error', (error) => reject(new Find(`a gRPC client is not served: ${error.message}`, error)));
      stream.on('end', () => resolve());
    });
    await within(ANSWER_MS, 'a pull by gRPC', ended);
    expectCanaries(bodies);
  }

  async close(): Promise<void> {
    await this.#look();
    await this.#stop();
    await this.#start();
    await this.#look();
    await this.#stop();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #stop(): Promise<void> {
    this.#grpc.close();
    await this.#client.close();
    await this.#atRest();
    const stopped = async (): Promise<void> => {
      await this.#proxy.stop();
      await this.#broker.shutdown();
      this.#identity.close();
    };
    await within(60_000, 'broker and proxy stop', stopped());
  }

  /** Resolves when nothing is under way, and TLS holds nothing. */
  async #atRest(): Promise<void> {
    const names = ['tlsHandshakes', 'tlsBytes', 'proxyHandshakes', 'proxyTlsBytes', 'proxyCalls', 'proxyAnswerBytes'];
    for (const end = Date.now() + REST_MS; ; ) {
      const info: Record<string, string> = await this.#broker.context.runtimeInfo();
      const left = names.filter((name) => info[name] !== '0');
      if (left.length === 0) return;
      if (Date.now() > end)
        throw new Find(`left of those who are gone: ${left.map((name) => `${name} ${info[name]}`)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function expectCanaries(bodies: readonly Buffer[]): void {
  const isSound = bodies.length >= CANARIES && bodies.slice(0, CANARIES).every((body, i) => canaryBody(i).equals(body));
  if (!isSound) throw new Find(`what was stored before is served otherwise: ${bodies.length} of ${CANARIES} records`);
}

export const insideTls: Target = {
  name: 'inside-tls',
  sessionRounds: 400,
  async open(directory) {
    const session = new InsideTls(directory);
    await session.open();
    return session;
  },
};
