import { randomBytes } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import { encodeFrame, FrameCutter, HeaderField, patchDecimal, patchHex32 } from './frames.ts';
import { LatencyHistogram } from './histogram.ts';
import { type BrokerAddress, requestHeader } from './requests.ts';

export interface SendLoadOptions extends BrokerAddress {
  topic: string;
  /** 1 to 10: the queue id is one digit, patched in place. */
  queueCount: number;
  connections: number;
  /** Requests in flight a connection; the next is sent when one is answered (closed loop). */
  inFlight: number;
  bodySize: number;
}

/** ResponseCode.SUCCESS; everything else is a refusal and no message of any rate. */
const SUCCESS = 0;
/** Opaques have ten digits, so that a frame keeps its length; Java's `int` ends at 2,147,483,647. */
const OPAQUE_BASE = 1_000_000_000;
const OPAQUE_RANGE = 1_000_000_000;

/** What all connections of one load count together. */
export class SendStats {
  readonly latency = new LatencyHistogram();
  /** Answers other than SUCCESS by their response code. */
  readonly refusals = new Map<number, number>();
  succeeded = 0;
  sent = 0;
  /** Answers to a request that nobody waits for. */
  unexpected = 0;
  /** No further request is sent once this many were. */
  sendLimit = Number.POSITIVE_INFINITY;
  stopping = false;
  inFlight = 0;

  reset(): void {
    this.latency.reset();
    this.refusals.clear();
    this.succeeded = 0;
  }
}

interface SendFrame {
  bytes: Buffer;
  opaqueAt: number;
  bornAt: number;
  queueAt: number;
  uniqueAt: number;
}

/** SEND_MESSAGE_V2 (310) as the Java client writes it, with placeholders whose places are found once. */
function buildSendFrame(options: SendLoadOptions): SendFrame {
  const unique = `7F000001${randomBytes(8).toString('hex').toUpperCase()}`;
  const extFields = {
    a: 'bench_producer',
    b: options.topic,
    c: 'TBW102',
    d: '4',
    e: '0',
    f: '0',
    g: '1700000000000',
    h: '0',
    i: `UNIQ_KEY\u0001${unique}00000000\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002`,
    j: '0',
    k: 'false',
    m: 'false',
  };
  const bytes = encodeFrame(requestHeader(310, OPAQUE_BASE, extFields), randomBytes(options.bodySize));
  const placeOf = (prefix: string) => {
    const at = bytes.indexOf(prefix);
    if (at < 0) throw new Error(`no ${prefix} in the frame`);
    return at + prefix.length;
  };
  return {
    bytes,
    opaqueAt: placeOf('"opaque":'),
    bornAt: placeOf('"g":"'),
    queueAt: placeOf('"e":"'),
    uniqueAt: placeOf(unique),
  };
}

/**
 * One connection with its own ring of ready frames. A ring place is patched again only after `inFlight` later frames were
 * sent, of which at least one is then answered; the kernel has therefore taken the earlier bytes.
 */
export class SendConnection {
  private readonly options: SendLoadOptions;
  private readonly stats: SendStats;
  private readonly frame: SendFrame;
  private readonly ring: Buffer;
  private readonly ringSlots: number;
  private ringAt = 0;
  private readonly sentAtMs: Float64Array;
  private readonly expected: Float64Array;
  private readonly free: Int32Array;
  private freeCount: number;
  private sequence = 0;
  private readonly opaqueRounds: number;
  private queueId: number;
  private readonly cutter: FrameCutter;
  private readonly opaqueField = new HeaderField('"opaque":');
  private readonly codeField = new HeaderField('"code":');
  private now = 0;
  private socket: Socket | undefined;
  private readonly onFailure: (error: Error) => void;

  constructor(options: SendLoadOptions, stats: SendStats, index: number, onFailure: (error: Error) => void) {
    this.options = options;
    this.stats = stats;
    this.onFailure = onFailure;
    this.frame = buildSendFrame(options);
    this.ringSlots = options.inFlight * 2;
    this.opaqueRounds = Math.floor(OPAQUE_RANGE / options.inFlight);
    this.ring = Buffer.concat(Array.from({ length: this.ringSlots }, () => this.frame.bytes));
    this.sentAtMs = new Float64Array(options.inFlight);
    this.expected = new Float64Array(options.inFlight).fill(-1);
    this.free = Int32Array.from({ length: options.inFlight }, (_, slot) => slot);
    this.freeCount = options.inFlight;
    this.queueId = index % options.queueCount;
    this.cutter = new FrameCutter((bytes, headerStart, bodyStart) => this.onResponse(bytes, headerStart, bodyStart));
  }

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({
        host: this.options.host,
        port: this.options.port,
        noDelay: true,
        // One buffer a connection, reused by every read: no allocation a chunk.
        onread: {
          buffer: Buffer.allocUnsafe(1 << 16),
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
          if (!this.stats.stopping || this.freeCount < this.options.inFlight) {
            this.onFailure(new Error('the broker closed a connection of the load'));
          }
        });
        resolve();
      });
      this.socket = socket;
    });
  }

  start(): void {
    this.now = performance.now();
    this.sendFree();
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
    this.sendFree();
  }

  private onResponse(bytes: Buffer, headerStart: number, headerEnd: number): void {
    const stats = this.stats;
    const opaque = this.opaqueField.number(bytes, headerStart, headerEnd);
    const slot = (opaque - OPAQUE_BASE) % this.options.inFlight;
    if (this.expected[slot] !== opaque) {
      stats.unexpected += 1;
      return;
    }
    const code = this.codeField.number(bytes, headerStart, headerEnd);
    this.expected[slot] = -1;
    this.free[this.freeCount++] = slot;
    stats.inFlight -= 1;
    if (code === SUCCESS) {
      stats.succeeded += 1;
      stats.latency.record((this.now - this.sentAtMs[slot]!) * 1000);
    } else {
      stats.refusals.set(code, (stats.refusals.get(code) ?? 0) + 1);
    }
  }

  private sendFree(): void {
    const stats = this.stats;
    if (stats.stopping) return;
    const count = Math.min(this.freeCount, stats.sendLimit - stats.sent);
    const bornTimestamp = Date.now();
    const frameSize = this.frame.bytes.length;
    let firstUnwritten = this.ringAt;
    for (let sent = 0; sent < count; sent++) {
      if (this.ringAt === this.ringSlots) {
        this.write(firstUnwritten, this.ringAt);
        this.ringAt = 0;
        firstUnwritten = 0;
      }
      this.patch(this.ringAt * frameSize, this.free[--this.freeCount]!, bornTimestamp);
      this.ringAt += 1;
    }
    this.write(firstUnwritten, this.ringAt);
    stats.sent += count;
    stats.inFlight += count;
  }

  private patch(at: number, slot: number, bornTimestamp: number): void {
    const { frame, ring, options } = this;
    this.sequence += 1;
    // Unique among the requests in flight, different at each use of the slot, and the slot can be read off it again.
    const opaque = OPAQUE_BASE + (this.sequence % this.opaqueRounds) * options.inFlight + slot;
    this.expected[slot] = opaque;
    this.sentAtMs[slot] = this.now;
    patchDecimal(ring, at + frame.opaqueAt, 10, opaque);
    patchDecimal(ring, at + frame.bornAt, 13, bornTimestamp);
    patchHex32(ring, at + frame.uniqueAt, this.sequence);
    ring[at + frame.queueAt] = 0x30 + this.queueId;
    this.queueId = this.queueId + 1 === options.queueCount ? 0 : this.queueId + 1;
  }

  private write(fromSlot: number, toSlot: number): void {
    if (toSlot === fromSlot) return;
    const frameSize = this.frame.bytes.length;
    this.socket!.write(this.ring.subarray(fromSlot * frameSize, toSlot * frameSize));
  }
}
