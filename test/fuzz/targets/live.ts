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
  encodeHeartbeatData,
  FrameDecoder,
  PullSysFlag,
  RemotingClient,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  tagSubscription,
} from '@vernier/remoting';
import { overwriteReads } from '../../support/overwritten-reads.ts';
import { frameOf, withHostileMembers } from '../hostile.ts';
import { mutate, someJson, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { requestBodies } from '../sound-bodies.ts';
import { Find, type Session, type Target, within } from '../target.ts';
import { someCommand } from './frames.ts';
import { FIELD_VALUES, HOLDS } from './live-fields.ts';

// What a handler keeps beyond its call is rubbish at once, and shows in what is stored or answered.
overwriteReads();

const MiB = 1024 * 1024;
const ANSWER_MS = 20_000;
const CANARIES = 20;
/** Bytes that a session's inputs may cost at most, above what the process had when it began. */
const GROWTH_MAX = 900 * 1024 * 1024;

const canaryBody = (index: number): Buffer => Buffer.alloc(200 + index, `canary ${index} `);

const FIELDS = Object.keys(FIELD_VALUES);
const JSON_NAMES = [
  ...['clientID', 'producerDataSet', 'consumerDataSet', 'groupName', 'subscriptionDataSet', 'topic', 'subString'],
  ...[
    'tagsSet',
    'codeSet',
    'mqSet',
    'queueId',
    'brokerName',
    'consumerGroup',
    'topicConfigSerializeWrapper',
    'dataVersion',
  ],
  ...['topicConfigTable', 'counter', 'timestamp', 'stateVersion', 'topicName', 'perm', 'readQueueNums', 'offsetTable'],
  ...['writeQueueNums', 'topicConfigList', 'attributes', 'retryMaxTimes', 'consumeEnable', 'filterServerList', 'table'],
];
const CODES = Object.values(RequestCode);
/** Codes that are meant to end or change what the oracle itself relies on. */
const NOT_SENT = new Set<number>([RequestCode.UPDATE_BROKER_CONFIG, RequestCode.WIPE_WRITE_PERM_OF_BROKER]);

const HELD_CODES = new Set<number>([
  ...[RequestCode.PULL_MESSAGE, RequestCode.LITE_PULL_MESSAGE, RequestCode.POP_MESSAGE, RequestCode.NOTIFICATION],
  RequestCode.POP_LITE_MESSAGE,
]);
/** Requests that stand in front of one another in the life of a message that is popped. */
const POP_CODES = [
  ...[RequestCode.POP_MESSAGE, RequestCode.POP_MESSAGE, RequestCode.ACK_MESSAGE, RequestCode.BATCH_ACK_MESSAGE],
  ...[RequestCode.CHANGE_MESSAGE_INVISIBLETIME, RequestCode.NOTIFICATION, RequestCode.PEEK_MESSAGE],
];

function someBody(random: Random): Buffer | undefined {
  // What its code reads is one of these; which one, the code decides.
  if (random.chance(0.4)) return Buffer.from(withHostileMembers(random, random.pick(requestBodies)).text);
  switch (random.below(5)) {
    case 0:
      return undefined;
    case 1:
      return random.bytes(random.skewed(20_000));
    case 2:
      return Buffer.from(someText(random));
    case 3:
      return Buffer.from(someJson(random, JSON_NAMES));
    default: {
      const heartbeat = encodeHeartbeatData({
        clientID: 'fuzz@1',
        producerGroups: ['group-a'],
        consumers: [
          {
            groupName: 'group-a',
            consumeType: 'CONSUME_PASSIVELY',
            messageModel: 'CLUSTERING',
            consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
            subscriptionDataSet: [tagSubscription('fuzz-a', '*', 1)],
            unitMode: false,
          },
        ],
        heartbeatFingerprint: 0,
        withoutSub: false,
      });
      return random.chance(0.5) ? heartbeat : mutate(random, heartbeat);
    }
  }
}

/** A request of any code; half of its fields hold what is expected there, the others anything. */
function someRequest(random: Random): RemotingCommand {
  let code: number = random.chance(0.95) ? random.pick(CODES) : random.below(70_000) - 2_000;
  if (NOT_SENT.has(code)) code = RequestCode.SEND_MESSAGE_V2;
  if (random.chance(0.15))
    code = random.pick([RequestCode.SEND_MESSAGE_V2, RequestCode.SEND_BATCH_MESSAGE, RequestCode.PULL_MESSAGE]);
  if (random.chance(0.1)) code = random.pick(POP_CODES);
  const request = someCommand(random, code, someBody(random));
  request.flag = random.chance(0.05) ? 2 : 0;
  if (code < -32_768 || code > 32_767) request.serializeType = 0;
  if (random.chance(0.9)) {
    const strange = random.pick([0, 0, 0.1, 0.5]);
    request.extFields = {};
    for (const name of FIELDS) {
      if (random.chance(0.1)) continue;
      const isStrange = !HOLDS.has(name) && random.chance(strange);
      request.extFields[name] = isStrange ? someText(random).slice(0, 2_000) : FIELD_VALUES[name]!(random);
    }
  }
  return request;
}

/** A request whose header holds what no header should; `isAnswerable` when its answer can be told from others. */
function hostileRequest(random: Random, opaque: number): { bytes: Buffer; isAnswerable: boolean } {
  const request = someRequest(random);
  const header = {
    ...{ code: request.code, extFields: request.extFields ?? {}, flag: 0, language: 'JAVA', opaque, version: 513 },
    ...{ remark: 'r', serializeTypeCurrentRPC: 'JSON' },
  };
  const { text, touched } = withHostileMembers(random, header);
  // It may ask to be held for an hour.
  const mayBeHeld = HELD_CODES.has(request.code) && touched.has('extFields');
  const isAnswerable = !['', 'opaque', 'flag'].some((name) => touched.has(name)) && !mayBeHeld;
  return { bytes: frameOf(text, request.body), isAnswerable };
}

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
