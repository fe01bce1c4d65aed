import { createConnection, type Socket } from 'node:net';
import { encodeFrame, FrameCutter, HeaderField, readInt32 } from './frames.ts';
import { LatencyHistogram } from './histogram.ts';
import { type BrokerAddress, pullFields, requestHeader } from './requests.ts';

export interface PullLoadOptions extends BrokerAddress {
  topic: string;
  /** First queue offset of each queue, by queue id. */
  minOffsets: number[];
  /** Exclusive end of each queue, by queue id; a queue that reaches its end starts again at its first offset. */
  maxOffsets: number[];
  batchSize: number;
}

export class PullStats {
  readonly latency = new LatencyHistogram();
  /** Records, not requests. */
  records = 0;
  requests = 0;
  bytes = 0;
  /** Records that were not the one after their predecessor. */
  outOfOrder = 0;
  stopping = false;
  inFlight = 0;

  reset(): void {
    this.latency.reset();
    this.records = 0;
    this.requests = 0;
    this.bytes = 0;
  }
}

interface QueueCursor {
  queueId: number;
  offset: number;
  sentAtMs: number;
}

const MAGIC_V1 = 0xdaa320a7 | 0;

/** One connection that keeps one PULL_MESSAGE (11) under way for each of its queues. The opaque is the queue id. */
export class PullConnection {
  private readonly options: PullLoadOptions;
  private readonly stats: PullStats;
  private readonly cursors = new Map<number, QueueCursor>();
  private readonly cutter: FrameCutter;
  private readonly opaqueField = new HeaderField('"opaque":');
  private readonly codeField = new HeaderField('"code":');
  private readonly onFailure: (error: Error) => void;
  private socket: Socket | undefined;
  private now = 0;
  private outgoing: Buffer[] = [];

  constructor(options: PullLoadOptions, queueIds: number[], stats: PullStats, onFailure: (error: Error) => void) {
    this.options = options;
    this.stats = stats;
    this.onFailure = onFailure;
    for (const queueId of queueIds) {
      this.cursors.set(queueId, { queueId, offset: options.minOffsets[queueId]!, sentAtMs: 0 });
    }
    this.cutter = new FrameCutter((bytes, headerStart, bodyStart, end) =>
      this.onResponse(bytes, headerStart, bodyStart, end),
    );
  }

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({
        host: this.options.host,
        port: this.options.port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(1 << 20),
          callback: (length, buffer) => {
            this.onChunk(buffer as Buffer, length);
            return true;
          },
        },
      });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        socket.on('error', this.onFailure);
        socket.on('close', () => {
          if (!this.stats.stopping) this.onFailure(new Error('the broker closed a connection of the load'));
        });
        resolve();
      });
      this.socket = socket;
    });
  }

  start(): void {
    this.now = performance.now();
    for (const cursor of this.cursors.values()) this.pull(cursor);
    this.writeOutgoing();
  }

  close(): void {
    this.socket?.destroy();
  }

  private onChunk(chunk: Buffer, length: number): void {
    this.now = performance.now();
    try {
      this.cutter.push(chunk, length);
    } catch (error) {
      this.onFailure(error as Error);
      return;
    }
    this.writeOutgoing();
  }

  private onResponse(bytes: Buffer, headerStart: number, bodyStart: number, end: number): void {
    const stats = this.stats;
    const cursor = this.cursors.get(this.opaqueField.number(bytes, headerStart, bodyStart));
    if (!cursor) throw new Error('answer to a pull that was never sent');
    const code = this.codeField.number(bytes, headerStart, bodyStart);
    stats.requests += 1;
    stats.bytes += end - bodyStart;
    stats.inFlight -= 1;
    stats.latency.record((this.now - cursor.sentAtMs) * 1000);
    if (code !== 0) throw new Error(`pull answered with ${bytes.toString('utf8', headerStart, bodyStart)}`);
    this.countRecords(bytes, bodyStart, end, cursor);
    if (!stats.stopping) this.pull(cursor);
  }

  private countRecords(bytes: Buffer, start: number, end: number, cursor: QueueCursor): void {
    let at = start;
    while (at < end) {
      // Record layout: i32 totalSize, i32 magic, ..., i64 queueOffset at 20.
      const size = readInt32(bytes, at);
      if (size <= 0 || at + size > end || readInt32(bytes, at + 4) !== MAGIC_V1) {
        throw new Error(`no whole record at byte ${at - start} of a pull's body of ${end - start}`);
      }
      const queueOffset = readInt32(bytes, at + 20) * 4_294_967_296 + (readInt32(bytes, at + 24) >>> 0);
      if (queueOffset !== cursor.offset) this.stats.outOfOrder += 1;
      cursor.offset = queueOffset + 1;
      this.stats.records += 1;
      at += size;
    }
    if (cursor.offset >= this.options.maxOffsets[cursor.queueId]!) {
      cursor.offset = this.options.minOffsets[cursor.queueId]!;
    }
  }

  private pull(cursor: QueueCursor): void {
    cursor.sentAtMs = this.now;
    this.stats.inFlight += 1;
    const { topic, batchSize } = this.options;
    const fields = pullFields(topic, cursor.queueId, cursor.offset, { maxMsgNums: String(batchSize) });
    const header = requestHeader(11, cursor.queueId, fields);
    this.outgoing.push(encodeFrame(header));
  }

  private writeOutgoing(): void {
    if (this.outgoing.length === 0) return;
    this.socket!.write(this.outgoing.length === 1 ? this.outgoing[0]! : Buffer.concat(this.outgoing));
    this.outgoing = [];
  }
}
