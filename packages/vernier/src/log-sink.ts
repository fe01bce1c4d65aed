import { writeSync } from 'node:fs';
import { LineLimit } from '@vernier/remoting';

/** Writes bytes to a descriptor as `fs.writeSync` does: some of them, or it throws. For tests another. */
export type WriteBytes = (bytes: Uint8Array, offset: number) => number;

/** Lines of one cause, and lines of one level over all causes, that are written in a second. */
const CAUSE_LINES_MAX = 100;
const LEVEL_LINES_MAX = 1_000;
/** Bytes that wait for a reader who is slow for a moment. */
const PENDING_BYTES_MAX = 256 * 1024;
/** A longer line is cut to its message: what a peer sends does not make it longer. */
const LINE_CHARS_MAX = 32 * 1024;
const MESSAGE_CHARS_MAX = 1_000;
const RETRY_MS = 100;
const SECOND_MS = 1_000;
const INFO = 30;
const WARN = 40;

/** The limits of one level: a flood of warnings leaves no error out. */
interface LevelLimit {
  causes: LineLimit;
  all: LineLimit;
}

interface Pending {
  bytes: Buffer;
  /** How many lines are lost with it: a report of lost lines stands for all of them. */
  lines: number;
}

/**
 * The end of the log: JSON lines go to a descriptor, at once. It never throws, whatever the descriptor does. A line that
 * cannot be written (the reader is gone, the disk is full) is dropped and counted, and when writing works again a line
 * says how many are missing. For a reader who is slow, a few lines wait. Beyond so many lines of a cause or a level in a
 * second, lines are left out and their number is written: what strangers do on a port cannot fill a disk.
 */
export class LogSink {
  readonly #writeBytes: WriteBytes;
  readonly #format: (line: string) => string;
  readonly #clock: { monotonic(): number };
  readonly #limits = new Map<number, LevelLimit>();
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  /** Bytes of the first pending line that are written. */
  #written = 0;
  #dropped = 0;
  #droppedTotal = 0;
  #dropReason = '';
  #retry: NodeJS.Timeout | undefined;
  #tell: NodeJS.Timeout | undefined;

  /** @param format How a JSON line is shown; as it is by default. */
  constructor(
    writeBytes: WriteBytes,
    format: (line: string) => string = (line) => line,
    clock = { monotonic: () => performance.now() },
  ) {
    this.#writeBytes = writeBytes;
    this.#format = format;
    this.#clock = clock;
  }

  /** Lines lost for good that no line has told of yet. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Lines lost for good since the start. */
  get droppedTotal(): number {
    return this.#droppedTotal;
  }

  /** One JSON line with its end. */
  write(line: string): void {
    const { level, message } = partsOf(line);
    // Debug lines are many by their nature, and asked for.
    if (level >= INFO && !this.#admitted(level, message)) return;
    this.#push(line.length > LINE_CHARS_MAX ? cut(line, level, message) : line);
  }

  /** Writes what waits, if that is possible at once. For the end of the process. */
  flush(): void {
    this.#tellAllLeftOut();
    this.#drain();
  }

  #admitted(level: number, message: string): boolean {
    const cause = message.slice(0, 200).replace(/\d+/g, '#');
    const limit = this.#limitOf(level);
    const ofCause = limit.causes.admit(cause);
    const ofLevel = ofCause === undefined ? undefined : limit.all.admit('');
    if (ofCause !== undefined && ofCause > 0) this.#tellLeftOut(level, cause, ofCause);
    if (ofLevel !== undefined && ofLevel > 0) this.#tellLeftOut(level, '', ofLevel);
    if (ofLevel !== undefined) return true;
    this.#tell ??= setTimeout(() => this.#tellAllLeftOut(), SECOND_MS).unref();
    return false;
  }

  #limitOf(level: number): LevelLimit {
    let limit = this.#limits.get(level);
    if (limit === undefined) {
      limit = {
        causes: new LineLimit(this.#clock, CAUSE_LINES_MAX),
        all: new LineLimit(this.#clock, LEVEL_LINES_MAX),
      };
      this.#limits.set(level, limit);
    }
    return limit;
  }

  #tellAllLeftOut(): void {
    clearTimeout(this.#tell);
    this.#tell = undefined;
    for (const [level, { causes, all }] of this.#limits) {
      for (const [cause, leftOut] of causes.takeLeftOut()) this.#tellLeftOut(level, cause, leftOut);
      for (const [, leftOut] of all.takeLeftOut()) this.#tellLeftOut(level, '', leftOut);
    }
  }

  #tellLeftOut(level: number, cause: string, leftOut: number): void {
    const what = cause === '' ? '' : ` like: ${cause}`;
    this.#push(ownLine(`${leftOut} lines were left out${what}`, { leftOut }, level));
  }

  #push(line: string): void {
    const bytes = this.#bytesOf(line);
    if (this.#pendingBytes + bytes.length > PENDING_BYTES_MAX) {
      // The reader may be back.
      this.#drain();
      if (this.#pendingBytes + bytes.length > PENDING_BYTES_MAX) {
        this.#drop(1);
        return;
      }
    }
    if (this.#dropped > 0) {
      const text = `${this.#dropped} log lines before this one could not be written: ${this.#dropReason}`;
      this.#add(this.#bytesOf(ownLine(text, { dropped: this.#dropped })), this.#dropped);
      this.#dropped = 0;
    }
    this.#add(bytes, 1);
    this.#drain();
  }

  #bytesOf(line: string): Buffer {
    try {
      return Buffer.from(this.#format(line));
    } catch {
      return Buffer.from(line);
    }
  }

  #add(bytes: Buffer, lines: number): void {
    this.#pending.push({ bytes, lines });
    this.#pendingBytes += bytes.length;
  }

  #drain(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    try {
      for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
        const count = this.#writeBytes(first.bytes, this.#written);
        if (count === 0) throw Object.assign(new Error('nothing was taken'), { code: 'EAGAIN' });
        this.#written += count;
        if (this.#written >= first.bytes.length) this.#removeFirst();
      }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.#dropReason = code ?? message;
      // A pipe whose reader is slow takes more in a moment; everything else is dropped, but for the rest of a line that
      // is half written: without it the next one could not be read either.
      if (code === 'EAGAIN') this.#retry = setTimeout(() => this.#drain(), RETRY_MS).unref();
      else this.#dropPending();
    }
  }

  #removeFirst(): void {
    this.#pendingBytes -= this.#pending.shift()?.bytes.length ?? 0;
    this.#written = 0;
  }

  #dropPending(): void {
    const half = this.#written > 0 ? this.#pending.shift() : undefined;
    for (const { lines } of this.#pending) this.#drop(lines);
    this.#pending.length = 0;
    this.#pendingBytes = 0;
    if (half !== undefined) this.#add(half.bytes, half.lines);
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#droppedTotal += lines;
  }
}

/** Writes to a descriptor that stays open until the process ends. */
export function descriptorSink(descriptor: number, format?: (line: string) => string): LogSink {
  return endedSink((bytes, offset) => writeSync(descriptor, bytes, offset), format);
}

/** What still waits is written when the process ends, as far as that is possible at once. */
export function endedSink(writeBytes: WriteBytes, format?: (line: string) => string): LogSink {
  const sink = new LogSink(writeBytes, format);
  process.on('exit', () => sink.flush());
  return sink;
}

/** Level and message of a pino line, found without parsing it: level stands first and the message last. */
function partsOf(line: string): { level: number; message: string } {
  const level = Number(/^\{"level":(\d{1,3})/.exec(line)?.[1] ?? WARN);
  const at = line.lastIndexOf('"msg":"');
  if (at < 0) return { level, message: '' };
  const end = line.endsWith('"}\n') ? line.length - 3 : line.length;
  return { level, message: line.slice(at + 7, Math.min(end, at + 7 + MESSAGE_CHARS_MAX)) };
}

function cut(line: string, level: number, message: string): string {
  return ownLine(`${message}… (a line of ${line.length} characters)`, { chars: line.length }, level);
}

/** A line about the log itself. */
export function ownLine(msg: string, fields: object, level = WARN): string {
  return `${JSON.stringify({ level, time: Date.now(), pid: process.pid, ...fields, msg })}\n`;
}
