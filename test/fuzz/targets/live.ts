/**
 * A live broker and a live nameserver on sockets, in two ways: `streams` sends bytes (frames valid, mutated, cut off,
 * byte by byte, of huge announced length), `requests` sends every request code with random fields and bodies.
 *
 * What holds after each: a connection beside it is served as if nothing had happened; a well-formed request is answered
 * (or its connection closed); memory stays bounded; what was stored before reads back byte for byte. And at the end of a
 * session the broker starts on what the inputs left in its directory.
 */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Broker, Namesrv } from '@vernier/broker';
import {
  createRequest,
  decodeRecords,
  encodeFrame,
  FrameDecoder,
  PullSysFlag,
  RemotingClient,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { overwriteReads } from '../../support/overwritten-reads.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Find, type Session, type Target, within } from '../target.ts';
import { hostileRequest, someRequest } from './live-requests.ts';

// What a handler keeps beyond its call is rubbish at once, and shows in what is stored or answered.
overwriteReads();

const MiB = 1024 * 1024;
const ANSWER_MS = 20_000;
const CANARIES = 20;
/** Bytes that a session's inputs may cost at most, above what the process had when it began. */
const GROWTH_MAX = 900 * 1024 * 1024;

const canaryBody = (index: number): Buffer => Buffer.alloc(200 + index, `canary ${index} `);

class Pipe {
  readonly socket: Socket;
  readonly #decoder = new FrameDecoder();
  readonly #waiting = new Map<number, (answer: RemotingCommand | undefined) => void>();
  readonly closed: Promise<void>;
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        this.isClosed = true;
        for (const settle of this.#waiting.values()) settle(undefined);
        resolve();
      });
    });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk);
      for (let answer = this.#decoder.next(); answer; answer = this.#decoder.next()) {
        // The broker asks its clients too (rebalance notices); those requests carry no response flag.
        if ((answer.flag & 1) === 0) continue;
        this.#waiting.get(answer.opaque)?.(answer);
        this.#waiting.delete(answer.opaque);
      }
    });
  }

  /** The answer; undefined when the connection was closed instead. */
  request(request: RemotingCommand): Promise<RemotingCommand | undefined> {
    return this.raw(request.opaque, encodeFrame(request));
  }

  /** The same for a frame as it is. */
  raw(opaque: number, frame: Buffer): Promise<RemotingCommand | undefined> {
    if (this.isClosed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#waiting.set(opaque, resolve);
      this.socket.write(frame);
    });
  }
}

class LiveSession {
  readonly #directory: string;
  #namesrv!: Namesrv;
  #broker!: Broker;
  readonly #client = new RemotingClient();
  readonly rssBefore = process.memoryUsage.rss();
  #opaque = 1;
  #pipes: (Pipe | undefined)[] = [];
  #rounds = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<void> {
    this.#namesrv = new Namesrv({ port: 0, directory: join(this.#directory, 'namesrv') });
    await this.#namesrv.start();
    this.#broker = new Broker(
      { listenPort: 0, callClientTimeoutMills: 50, shortPollingTimeMills: 20 },
      {
        namesrv: this.#namesrv,
        store: {
          storePathRootDir: join(this.#directory, 'broker'),
          flushDiskType: 'ASYNC_FLUSH',
          enableLmq: true,
          enableMultiDispatch: true,
          maxLmqConsumeQueueNum: 50,
          mappedFileSizeCommitLog: 8 * 1024 * 1024,
          mappedFileSizeConsumeQueue: 20 * 300,
          maxHashSlotNum: 1_000,
          maxIndexNum: 4_000,
          diskFreeBytesMin: 0,
          diskMaxUsedSpaceRatio: 99,
          diskSpaceWarningLevelRatio: 99,
          diskSpaceCleanForciblyRatio: 99,
        },
      },
    );
    await this.#broker.start();
  }

  get brokerPort(): number {
    return Number(this.#broker.address.split(':').at(-1));
  }

  get namesrvPort(): number {
    return Number(this.#namesrv.address.split(':').at(-1));
  }

  async sendCanaries(): Promise<void> {
    for (let index = 0; index < CANARIES; index++) {
      const answer = await this.#client.invoke(
        this.#broker.address,
        createRequest(
          RequestCode.SEND_MESSAGE_V2,
          {
            a: 'canary',
            b: 'canary',
            c: 'TBW102',
            d: '4',
            e: '0',
            f: '0',
            g: '1700000000000',
            h: '0',
            i: '',
            j: '0',
            k: 'false',
            m: 'false',
          },
          canaryBody(index),
        ),
        ANSWER_MS,
      );
      if (answer.code !== ResponseCode.SUCCESS)
        throw new Find(`a canary is not taken: ${answer.code} ${answer.remark}`);
    }
  }

  /** A connection that was there before is served, and what was stored before is what it was. */
  async checkCanaries(): Promise<void> {
    const answer = await within(
      ANSWER_MS,
      'pulling what was stored before',
      this.#client.invoke(
        this.#broker.address,
        createRequest(RequestCode.PULL_MESSAGE, {
          consumerGroup: 'canary-reader',
          topic: 'canary',
          queueId: '0',
          queueOffset: '0',
          maxMsgNums: '32',
          sysFlag: String(PullSysFlag.SUBSCRIPTION),
          commitOffset: '0',
          suspendTimeoutMillis: '0',
          subscription: '*',
          subVersion: '0',
          expressionType: 'TAG',
        }),
        ANSWER_MS,
      ),
    );
    if (answer.code !== ResponseCode.SUCCESS)
      throw new Find(`what was stored before is not served: ${answer.code} ${answer.remark}`);
    const records = decodeRecords(answer.body ?? Buffer.alloc(0));
    const sound =
      records.length === CANARIES && records.every((record, index) => canaryBody(index).equals(record.body));
    if (!sound) throw new Find(`what was stored before is served otherwise: ${records.length} of ${CANARIES} records`);
    const routes = await within(
      ANSWER_MS,
      'asking the nameserver',
      this.#client.invoke(this.#namesrv.address, createRequest(RequestCode.GET_BROKER_CLUSTER_INFO), ANSWER_MS),
    );
    if (routes.code !== ResponseCode.SUCCESS) throw new Find(`the nameserver answers ${routes.code} ${routes.remark}`);
    const growth = process.memoryUsage.rss() - this.rssBefore;
    if (growth > GROWTH_MAX) throw new Find(`the process has grown by ${Math.round(growth / 1048576)} MiB`);
    if (this.#broker.store.failure) throw new Find(`the store failed: ${this.#broker.store.failure.message}`);
  }

  /** One request, to the broker or the nameserver. Every request that wants an answer gets one or loses its connection. */
  async request(random: Random): Promise<void> {
    const request = someRequest(random);
    // Numbers within a session differ, or an answer could be taken for another's.
    request.opaque = this.#opaque++;
    const which = random.chance(0.75) ? 0 : 1;
    let pipe = this.#pipes[which];
    if (pipe === undefined || pipe.isClosed) {
      pipe = new Pipe(which === 0 ? this.brokerPort : this.namesrvPort);
      this.#pipes[which] = pipe;
    }
    if (random.chance(0.3)) {
      const { bytes, isAnswerable } = hostileRequest(random, request.opaque);
      if (isAnswerable) this.#pending.push(within(ANSWER_MS, 'a hostile header', pipe.raw(request.opaque, bytes)));
      else pipe.socket.write(bytes);
      if (this.#pending.length >= 16) await this.settle();
      return;
    }
    if ((request.flag & 2) !== 0) {
      pipe.socket.write(encodeFrame(request));
      return;
    }
    // Requests of one connection are under way together, as clients have them; what is unanswered is seen here.
    const answered = within(
      ANSWER_MS,
      `request ${request.code} ${JSON.stringify(request.extFields)}`,
      pipe.request(request),
    );
    this.#pending.push(answered);
    if (this.#pending.length >= 16) await this.settle();
  }
  #pending: Promise<unknown>[] = [];

  async settle(): Promise<void> {
    const results = await Promise.allSettled(this.#pending.splice(0));
    const find = results.find((result) => result.status === 'rejected');
    if (find) throw (find as PromiseRejectedResult).reason;
  }

  /** Bytes on a connection of their own: whole requests with faults in them. */
  async stream(random: Random): Promise<void> {
    const pipe = new Pipe(random.chance(0.7) ? this.brokerPort : this.namesrvPort);
    const requests = Array.from({ length: 1 + random.below(4) }, () => someRequest(random));
    let bytes: Buffer = Buffer.concat(requests.map((request) => encodeFrame(request)));
    const kind = random.below(6);
    if (kind <= 2) bytes = mutate(random, bytes);
    else if (kind === 3)
      bytes.writeInt32BE(random.pick([0x7fffffff, -1, 16_777_217, 16_777_215, 0, 3, -0x80000000]), 0);
    else if (kind === 4) bytes = random.bytes(random.skewed(3_000));
    if (random.chance(0.01)) {
      // A frame as large as it says: around what a message, and what a frame, may have.
      const size = random.pick([4 * MiB - 200, 4 * MiB + 1, 16 * MiB - 4096, 16 * MiB + 1]);
      const head = encodeFrame({ ...requests[0]!, body: undefined });
      bytes = Buffer.concat([head, Buffer.alloc(size, random.below(256))]);
      bytes.writeInt32BE(bytes.length - 4, 0);
    }
    if (random.chance(0.2)) {
      const slow = bytes.subarray(0, 64);
      for (const byte of slow) if (!pipe.isClosed) await this.#write(pipe, Buffer.of(byte));
      bytes = bytes.subarray(slow.length);
    }
    await this.#write(pipe, bytes);
    // The end of the stream: a half-closed or reset connection must leave nothing behind.
    if (random.chance(0.5)) pipe.socket.end();
    else pipe.socket.resetAndDestroy();
    this.#pending.push(
      within(ANSWER_MS, 'a connection whose peer is gone', pipe.closed).finally(() => pipe.socket.destroy()),
    );
    if (this.#pending.length >= 16) await this.settle();
  }

  #write(pipe: Pipe, bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (pipe.isClosed || bytes.length === 0) return resolve();
      pipe.socket.write(bytes, () => resolve());
    });
  }

  async roundDone(): Promise<void> {
    this.#rounds += 1;
    if (this.#rounds % 64 === 0) await this.checkCanaries();
  }

  async end(): Promise<void> {
    await this.settle();
    await this.checkCanaries();
    for (const pipe of this.#pipes) pipe?.socket.destroy();
    this.#pipes = [];
    await within(60_000, 'the broker shuts down', this.#stop());
    // What the inputs left in topics.json, consumerOffset.json and the store is input of the next start.
    await this.start();
    await this.checkCanaries();
    await this.#stop();
    await this.#client.close();
  }

  async #stop(): Promise<void> {
    await this.#broker.shutdown();
    await this.#namesrv.shutdown(0);
  }
}

async function openLive(
  directory: string,
  input: (session: LiveSession, random: Random) => Promise<void>,
): Promise<Session> {
  const session = new LiveSession(directory);
  await session.start();
  await session.sendCanaries();
  return {
    async round(random) {
      await input(session, random);
      await session.roundDone();
    },
    close: () => session.end(),
  };
}

export const requests: Target = {
  name: 'requests',
  sessionRounds: 3_000,
  open: (directory) => openLive(directory, (session, random) => session.request(random)),
};

export const streams: Target = {
  name: 'streams',
  sessionRounds: 2_000,
  open: (directory) => openLive(directory, (session, random) => session.stream(random)),
};
