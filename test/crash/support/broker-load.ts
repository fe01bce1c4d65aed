import { createConnection, type Socket } from 'node:net';
import { encodeFrame, FrameCutter } from '../../../bench/load/frames.ts';
import { type BrokerAddress, createTopic, requestHeader } from '../../../bench/load/requests.ts';
import { BLOCK_SIZE, bodyOf, keyOf, planOf, type RunShape, sequenceOf } from './messages.ts';
import { Kind, WitnessLog } from './witness-log.ts';

const SEND_MESSAGE_V2 = 310;
const SEND_BATCH_MESSAGE = 320;
const PULL_MESSAGE = 11;
const SUCCESS = 0;
const PULL_NOT_FOUND = 19;

interface Answer {
  code: number;
  remark?: string;
  extFields: Record<string, string>;
  body: Buffer;
}

/** One connection; requests that the broker did not live to answer stay unanswered for ever. */
class Connection {
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly socket: Socket;
  private opaque = 0;
  readonly opened: Promise<void>;

  constructor(address: BrokerAddress) {
    this.socket = createConnection({ host: address.host, port: address.port, noDelay: true });
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
    // The broker is killed under this connection; that is the point.
    this.socket.on('error', () => {});
    const cutter = new FrameCutter((bytes, headerStart, bodyStart, end) => {
      const header = JSON.parse(bytes.toString('utf8', headerStart, bodyStart));
      const settle = this.waiting.get(header.opaque);
      this.waiting.delete(header.opaque);
      const body = Buffer.from(bytes.subarray(bodyStart, end));
      settle?.({ code: header.code, remark: header.remark, extFields: header.extFields ?? {}, body });
    });
    this.socket.on('data', (chunk: Buffer) => cutter.push(chunk, chunk.length));
  }

  request(code: number, extFields: Record<string, string>, body?: Uint8Array): Promise<Answer> {
    this.opaque += 1;
    const opaque = this.opaque;
    this.socket.write(encodeFrame(requestHeader(code, opaque, extFields), body));
    return new Promise((resolve) => this.waiting.set(opaque, resolve));
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The same load as writer.ts makes, sent to a broker as RocketMQ's clients send it, with the same witness log. */
export class BrokerLoad {
  private readonly address: BrokerAddress;
  private readonly shape: RunShape;
  private readonly syncFlush: boolean;
  private readonly witness: WitnessLog;
  private readonly connections: Connection[] = [];
  private readonly toleratesRefusals: boolean;
  private nextSequence: number;
  /** Sends answered with success; answered otherwise, with the last answer in words; and the messages pulled. */
  acknowledged = 0;
  refused = 0;
  lastRefusal = '';
  pulled = 0;
  /** Sends that began after a refusal and were acknowledged all the same; after a failure of the disk there is none. */
  acknowledgedAfterRefusal = 0;
  private reportFirstAck: () => void = () => {};
  private reportFailure: (error: Error) => void = () => {};
  /** Resolves with the first acknowledgement; rejects when an answer was not as it should be. */
  readonly underLoad: Promise<void>;

  constructor(options: {
    address: BrokerAddress;
    shape: RunShape;
    syncFlush: boolean;
    witnessLog: string;
    firstSequence: number;
    /** Go on after a refused send or pull: the broker's disk fails, and what it answers then is looked at. */
    toleratesRefusals?: boolean;
  }) {
    this.toleratesRefusals = options.toleratesRefusals ?? false;
    this.address = options.address;
    this.shape = options.shape;
    this.syncFlush = options.syncFlush;
    this.witness = new WitnessLog(options.witnessLog);
    this.nextSequence = options.firstSequence;
    this.underLoad = new Promise((resolve, reject) => {
      this.reportFirstAck = resolve;
      this.reportFailure = reject;
    });
    this.underLoad.catch(() => {});
  }

  /** The first answer that was not as it should be. */
  failure: Error | undefined;

  async start(concurrency: number): Promise<void> {
    for (const topic of this.shape.topics) await createTopic(this.address, topic, this.shape.queueCount);
    const [producer, consumer] = [new Connection(this.address), new Connection(this.address)];
    this.connections.push(producer, consumer);
    await Promise.all(this.connections.map((connection) => connection.opened));
    const guard = (work: Promise<void>) =>
      work.catch((error: Error) => {
        this.failure ??= error;
        this.reportFailure(error);
      });
    for (let index = 0; index < concurrency; index++) guard(this.produce(producer));
    for (let topicIndex = 0; topicIndex < this.shape.topics.length; topicIndex++) {
      for (let queueId = 0; queueId < this.shape.queueCount; queueId++) {
        guard(this.consume(consumer, topicIndex, queueId));
      }
    }
  }

  /** Resolves once `isSo()`; there is no event for most of what is waited for. Rejects after `timeoutMs`. */
  async until(what: string, isSo: () => boolean, timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!isSo()) {
      if (this.failure) throw this.failure;
      if (Date.now() > deadline) {
        const state = `${this.acknowledged} acknowledged, ${this.refused} refused (${this.lastRefusal}), ${this.pulled} pulled`;
        throw new Error(`${what}: not within ${timeoutMs} ms; ${state}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** The broker is gone; nothing is witnessed from here on. */
  stop(): void {
    for (const connection of this.connections) connection.close();
    this.witness.close();
  }

  private async produce(connection: Connection): Promise<void> {
    for (;;) {
      const first = this.nextSequence;
      this.nextSequence += BLOCK_SIZE;
      const all = Array.from({ length: BLOCK_SIZE }, (_, index) => first + index);
      if (planOf(this.shape, first).isBatch) await this.send(connection, all);
      else for (const sequence of all) await this.send(connection, [sequence]);
    }
  }

  private async send(connection: Connection, sequences: number[]): Promise<void> {
    const { topicIndex, queueId, durability } = planOf(this.shape, sequences[0]!);
    const properties = sequences.map(
      (sequence) =>
        `KEYS\u0001${keyOf(sequence)}\u0002UNIQ_KEY\u0001unique-${sequence}\u0002` +
        (durability === 'no-wait' ? 'WAIT\u0001false\u0002' : ''),
    );
    const bodies = sequences.map((sequence) => bodyOf(this.shape, sequence));
    const isBatch = sequences.length > 1;
    const refusedBefore = this.refused;
    const answer = await connection.request(
      isBatch ? SEND_BATCH_MESSAGE : SEND_MESSAGE_V2,
      {
        ...{ a: 'crash_producer', b: this.shape.topics[topicIndex]!, c: 'TBW102', d: '4', e: String(queueId), f: '0' },
        ...{ g: String(Date.now()), h: '0', j: '0', k: 'false', m: String(isBatch) },
        // A batch carries its messages' properties in its body; WAIT counts for the request.
        i: isBatch ? (durability === 'no-wait' ? 'WAIT\u0001false\u0002' : '') : properties[0]!,
      },
      isBatch ? encodeBatch(bodies, properties) : bodies[0]!,
    );
    if (answer.code !== SUCCESS) {
      if (!this.toleratesRefusals) throw new Error(`send answered with ${answer.code} ${answer.remark ?? ''}`);
      this.refused += 1;
      this.lastRefusal = `${answer.code} ${answer.remark ?? ''}`;
      // Refusals take no disk call; without a pause they would keep both processes busy with nothing else.
      await new Promise((resolve) => setTimeout(resolve, 5));
      return;
    }
    this.acknowledged += 1;
    if (refusedBefore > 0) this.acknowledgedAfterRefusal += 1;
    const queueOffset = Number(answer.extFields.queueOffset);
    const offsets = answer.extFields.msgId!.split(',').map((id) => Number.parseInt(id.slice(-16), 16));
    sequences.forEach((sequence, index) => {
      this.witness.add({
        kind: this.syncFlush && durability !== 'no-wait' ? Kind.ackedOnDisk : Kind.ackedWritten,
        ...{ topicIndex, queueId, sequence, queueOffset: queueOffset + index, offset: offsets[index]!, bytes: 0 },
      });
    });
    this.reportFirstAck();
  }

  private async consume(connection: Connection, topicIndex: number, queueId: number): Promise<void> {
    let offset = 0;
    for (;;) {
      const answer = await connection.request(PULL_MESSAGE, {
        ...{ consumerGroup: 'crash_consumer', topic: this.shape.topics[topicIndex]!, queueId: String(queueId) },
        ...{ queueOffset: String(offset), maxMsgNums: '32', commitOffset: '0', subscription: '*', subVersion: '0' },
        // Bits 2 and 4: wait for messages, and the subscription is in the request.
        ...{ sysFlag: '6', suspendTimeoutMillis: '2000', expressionType: 'TAG' },
      });
      if (answer.code === PULL_NOT_FOUND) continue;
      if (answer.code !== SUCCESS) {
        if (!this.toleratesRefusals) throw new Error(`pull answered with ${answer.code} ${answer.remark ?? ''}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      for (let at = 0; at < answer.body.length; ) {
        const record = answer.body.subarray(at, at + answer.body.readInt32BE(at));
        const sequence = sequenceOf(this.shape, record.subarray(88, 88 + record.readInt32BE(84)));
        if (typeof sequence === 'string') throw new Error(`pulled ${offset} of queue ${queueId}: ${sequence}`);
        const place = { queueOffset: Number(record.readBigInt64BE(20)), offset: Number(record.readBigInt64BE(28)) };
        if (place.queueOffset !== offset) throw new Error(`pulled ${place.queueOffset} where ${offset} was next`);
        this.pulled += 1;
        this.witness.add({ kind: Kind.seen, topicIndex, queueId, sequence, ...place, bytes: record.length });
        offset += 1;
        at += record.length;
      }
    }
  }
}

/** Body of SEND_BATCH_MESSAGE: i32 size, i32 0, i32 0, i32 flag, i32 body size, body, i16 properties size, properties. */
function encodeBatch(bodies: Buffer[], properties: string[]): Buffer {
  return Buffer.concat(
    bodies.map((body, index) => {
      const tail = Buffer.from(properties[index]!, 'utf8');
      const message = Buffer.alloc(22 + body.length + tail.length);
      message.writeInt32BE(message.length, 0);
      message.writeInt32BE(body.length, 16);
      body.copy(message, 20);
      message.writeInt16BE(tail.length, 20 + body.length);
      tail.copy(message, 22 + body.length);
      return message;
    }),
  );
}
