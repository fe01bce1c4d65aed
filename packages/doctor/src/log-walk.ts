import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type BadRecord,
  checkMessageAndReturnSize,
  offsetToFileName,
  openRegularSync,
  type RecordCheck,
  type RecordCheckOptions,
  type RecordLayout,
  searchRecords,
} from '@vernier/store/internal';
import type { DataFile } from './store-layout.ts';
import { doctorFileSystem } from './store-layout.ts';

/** Why bytes of the log are no good record. */
export type DamageReason = BadRecord['reason'] | 'zeros' | 'missing-file' | 'unreadable';

/** A stretch of one file of the log that holds no good record; good ones follow somewhere behind it. */
export interface Damage {
  file: DataFile;
  /** Offsets in the log; `to` is the start of the next good record, or the end of the file. */
  from: number;
  to: number;
  /** Nothing good follows in this file. */
  toFileEnd: boolean;
  reason: DamageReason;
  expected: number;
  found: number;
  /** The lengths add up and only a checksum is wrong: what the record says of itself is probably true. */
  record: RecordLayout | undefined;
}

/** How the log ends. */
export interface LogTail {
  /** Offset in the log behind the last good record. */
  from: number;
  /** `end`: the files are full. `zero`: never written from here on. `bad`: something that is no good record. */
  kind: 'end' | 'zero' | 'bad';
  file: DataFile | undefined;
  check: BadRecord | undefined;
  record: RecordLayout | undefined;
}

export interface LogVisitor {
  /** Each good record, in log order. `view` is valid during the call. */
  onRecord?(view: Buffer, record: RecordLayout): void;
  /** In log order, between the records around it. */
  onDamage?(damage: Damage): void;
  /** Bytes passed so far. */
  onProgress?(bytes: number): void;
}

export interface LogWalkOptions {
  /** Compare bodies with their CRC, and records with `__CRC32#` where they have it. */
  checkCrc: boolean;
  /** A broker is appending: what is not good yet may be good a moment later. */
  live: boolean;
  /** Offset in the log at which to begin: the start of a record. Default: the first file. */
  from?: number;
  /** Stop in front of the first record at or above it. */
  until?: number;
  /** Zeros after which nothing more is looked for in a file; Infinity looks at every byte. */
  zeroBytesMax?: number;
  /** From this offset on the log is known to end with its first zeros, and few of them are looked at. */
  endsBehind?: number;
  chunkBytes?: number;
}

export interface LogWalkResult {
  tail: LogTail;
  records: number;
  bytes: number;
  /** Of the last good record, 0 without. */
  lastStoreTimestamp: number;
  firstStoreTimestamp: number;
}

const CHUNK_BYTES = 1024 * 1024;
/** A live broker's append is visible in pieces for microseconds; this is long. */
const LIVE_RETRIES = 5;
const LIVE_RETRY_MS = 20;
const DEFAULT_ZERO_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Reads the log once, from its first record to its end, and goes on behind damage. Memory: two chunks, or one record when
 * that is larger. While one chunk is looked at the next is read.
 */
export async function walkLog(
  files: readonly DataFile[],
  options: LogWalkOptions,
  visitor: LogVisitor,
): Promise<LogWalkResult> {
  return await new LogWalk(files, options, visitor).run();
}

class LogWalk {
  readonly #files: readonly DataFile[];
  readonly #options: LogWalkOptions;
  readonly #visitor: LogVisitor;
  readonly #check: RecordCheckOptions;
  readonly #result: LogWalkResult;
  readonly #until: number;
  #done = false;

  constructor(files: readonly DataFile[], options: LogWalkOptions, visitor: LogVisitor) {
    this.#files = files;
    this.#options = options;
    this.#visitor = visitor;
    this.#until = options.until ?? Number.POSITIVE_INFINITY;
    this.#check = {
      checkCrc: options.checkCrc,
      verifyPropCrc: options.checkCrc,
      expectedPhysicalOffset: 0,
      maxSize: 0,
    };
    const start = options.from ?? files[0]?.from ?? 0;
    this.#result = {
      tail: { from: start, kind: 'end', file: undefined, check: undefined, record: undefined },
      records: 0,
      bytes: 0,
      lastStoreTimestamp: 0,
      firstStoreTimestamp: 0,
    };
  }

  async run(): Promise<LogWalkResult> {
    let offset = this.#result.tail.from;
    for (const [index, file] of this.#files.entries()) {
      if (file.from + file.size <= offset) continue;
      if (this.#done || offset >= this.#until) break;
      if (file.from > offset) {
        // Not even a file is there. What follows it is read all the same.
        const missing: Damage = {
          file: this.#fileOfGap(index, offset),
          from: offset,
          to: file.from,
          toFileEnd: true,
          reason: 'missing-file',
          expected: offset,
          found: file.from,
          record: undefined,
        };
        if (this.#result.records > 0 || this.#options.from !== undefined) this.#visitor.onDamage?.(missing);
        offset = file.from;
      }
      offset = await this.#walkFile(file, index, offset);
    }
    if (!this.#done) this.#setTail({ from: offset, kind: 'end' });
    return this.#result;
  }

  /** The file in front that is too short, or the one that is missing. */
  #fileOfGap(index: number, offset: number): DataFile {
    const file = this.#files[index]!;
    const before = this.#files[index - 1];
    if (before !== undefined && (offset - before.from) % file.size !== 0) return before;
    const path = join(dirname(file.path), offsetToFileName(offset));
    return { path, from: offset, size: file.from - offset };
  }

  #setTail(tail: Pick<LogTail, 'from' | 'kind'> & Partial<LogTail>): void {
    this.#done = true;
    this.#result.tail = { file: undefined, check: undefined, record: undefined, ...tail };
  }

  /** Answers the offset at which the next file goes on. */
  async #walkFile(file: DataFile, index: number, start: number): Promise<number> {
    let fd: number;
    try {
      fd = openRegularSync(file.path, fs.constants.O_RDONLY);
    } catch (error) {
      // A live broker deletes the oldest files when their time has come.
      if (this.#options.live && (error as NodeJS.ErrnoException).code === 'ENOENT') return file.from + file.size;
      throw error;
    }
    const reader = new ChunkReader(fd, file.size, this.#options.chunkBytes ?? CHUNK_BYTES);
    try {
      let position = start - file.from;
      while (!this.#done) {
        if (file.from + position >= this.#until) {
          this.#setTail({ from: file.from + position, kind: 'end', file });
          return file.from + position;
        }
        if (position >= file.size) return file.from + file.size;
        const chunk = await reader.chunkAt(position);
        const stop = this.#walkChunk(file, chunk, position);
        this.#result.bytes += stop.position - position;
        position = stop.position;
        this.#visitor.onProgress?.(this.#result.bytes);
        if (stop.check === undefined) continue;
        if (stop.check.kind === 'blank') return file.from + file.size;
        // Less than a BLANK is left, and nothing in it: full to the brim.
        if (stop.check.kind === 'zero' && file.size - position < 8) return file.from + file.size;
        if (stop.check.kind === 'short') {
          // The record begins in this chunk and ends in a later one: read as a whole, by itself.
          const single = this.#checkSingle(fd, file, position);
          if (single.check.kind === 'record' && hasBrokenCrcProperty(single.view, single.check)) {
            stop.check = BROKEN_CRC_PROPERTY;
          } else if (single.check.kind === 'record') {
            this.#accept(single.view, single.check);
            this.#result.bytes += single.check.size;
            position += single.check.size;
            continue;
          }
          if (single.check.kind === 'blank') return file.from + file.size;
          if (single.check.kind !== 'record') stop.check = single.check;
        }
        const next = await this.#behindBad(fd, file, index, position, stop.check as Bad);
        if (next === undefined) return file.from + file.size;
        this.#result.bytes += Math.max(0, next - file.from - position);
        if (next >= file.from + file.size) return next;
        position = next - file.from;
      }
      return file.from + position;
    } finally {
      await reader.close();
      fs.closeSync(fd);
    }
  }

  /** Good records of one chunk; stops at its end (no check), or at what is no good record. */
  #walkChunk(file: DataFile, chunk: Chunk, from: number): { position: number; check: RecordCheck | undefined } {
    const { view, position: base } = chunk;
    const options = this.#check;
    let position = from;
    while (true) {
      const at = position - base;
      if (at >= view.length || file.from + position >= this.#until) return { position, check: undefined };
      options.expectedPhysicalOffset = file.from + position;
      options.maxSize = file.size - position;
      const check = checkMessageAndReturnSize(view, at, options);
      if (check.kind !== 'record') return { position, check };
      if (this.#options.checkCrc && hasBrokenCrcProperty(view, check)) return { position, check: BROKEN_CRC_PROPERTY };
      this.#accept(view, check);
      position += check.size;
    }
  }

  #accept(view: Buffer, record: RecordLayout): void {
    const result = this.#result;
    if (result.records === 0) result.firstStoreTimestamp = record.storeTimestamp;
    result.records++;
    result.lastStoreTimestamp = record.storeTimestamp;
    this.#visitor.onRecord?.(view, record);
  }

  #checkSingle(
    fd: number,
    file: DataFile,
    position: number,
    options: RecordCheckOptions = this.#check,
  ): { check: RecordCheck; view: Buffer } {
    let need = 256;
    while (true) {
      const view = Buffer.allocUnsafe(Math.min(need, file.size - position));
      const read = readFully(fd, view, position);
      const check = checkMessageAndReturnSize(view.subarray(0, read), 0, {
        ...options,
        expectedPhysicalOffset: file.from + position,
        maxSize: file.size - position,
      });
      if (check.kind !== 'short') return { check, view };
      if (read < need && need > 256) {
        return { check: { kind: 'bad', reason: 'crosses-end-of-file', expected: read, found: check.need }, view };
      }
      need = Math.max(check.need, need + 1);
    }
  }

  /**
   * What is at `position` is no good record. Answers where good ones go on, in this file or in a later one; undefined when
   * the log ends here, or when the file does and the next one goes on.
   */
  async #behindBad(
    fd: number,
    file: DataFile,
    index: number,
    position: number,
    firstCheck: Bad,
  ): Promise<number | undefined> {
    let check: Bad = firstCheck;
    const offset = file.from + position;
    for (let retry = 0; this.#options.live && retry < LIVE_RETRIES; retry++) {
      const again = this.#checkSingle(fd, file, position).check;
      if (check === BROKEN_CRC_PROPERTY) break;
      if (again.kind === 'record' || again.kind === 'blank') return offset;
      check = again as Bad;
      // Zeros are the usual end of a log that is written to; nothing is to be waited for.
      if (again.kind === 'zero') break;
      await new Promise((resolve) => setTimeout(resolve, LIVE_RETRY_MS));
    }
    const record = this.#layoutOf(fd, file, position);
    const base = {
      file,
      from: offset,
      reason: check.kind === 'zero' ? ('zeros' as const) : check.reason,
      expected: check.kind === 'zero' ? 0 : check.expected,
      found: check.kind === 'zero' ? 0 : check.found,
      record,
    };
    const found = await this.#nextGood(index, offset + 1);
    if (found === undefined) {
      this.#setTail({
        from: offset,
        kind: check.kind === 'zero' ? 'zero' : 'bad',
        file,
        check: check.kind === 'bad' ? check : undefined,
        record,
      });
      return undefined;
    }
    // A broker that appends may have closed a gap that was seen a moment ago.
    if (this.#options.live && check !== BROKEN_CRC_PROPERTY) {
      const again = this.#checkSingle(fd, file, position).check;
      if (again.kind === 'record' || again.kind === 'blank') return offset;
    }
    const fileEnd = file.from + file.size;
    // Good records behind each other end where the next one begins: a wrong body does not spoil where it ends.
    const to = Math.min(found, fileEnd);
    if (record !== undefined && offset + record.size <= to) {
      const behind = this.#checkSingle(fd, file, position + record.size).check;
      if (behind.kind === 'record' || behind.kind === 'blank' || this.#layoutOf(fd, file, position + record.size)) {
        this.#visitor.onDamage?.({ ...base, to: offset + record.size, toFileEnd: false });
        return offset + record.size;
      }
    }
    this.#visitor.onDamage?.({ ...base, to, toFileEnd: found >= fileEnd });
    return to;
  }

  /** The record's own description, when its lengths add up and it lies where it says. */
  #layoutOf(fd: number, file: DataFile, position: number): RecordLayout | undefined {
    if (position >= file.size) return undefined;
    const { check } = this.#checkSingle(fd, file, position, { checkCrc: false });
    return check.kind === 'record' ? check : undefined;
  }

  async #nextGood(index: number, from: number): Promise<number | undefined> {
    let next: number | undefined;
    const { zeroBytesMax: wanted = DEFAULT_ZERO_BYTES_MAX, endsBehind = Number.POSITIVE_INFINITY } = this.#options;
    const zeroBytesMax = from > endsBehind ? Math.min(wanted, DEFAULT_ZERO_BYTES_MAX) : wanted;
    await searchRecords(
      this.#files.slice(index),
      from,
      Number.MAX_SAFE_INTEGER,
      { fileSystem: doctorFileSystem, zeroBytesMax, chunkBytes: CHUNK_BYTES },
      (record) => {
        next = record.physicalOffset;
        return false;
      },
    );
    return next;
  }
}

const CRC_TEMPLATE = Buffer.from(`__CRC32#\u0001##########\u0002`, 'latin1');
/** Bytes of the property's form that may be wrong before it counts as something else. */
const CRC_WRONG_MAX = 3;
const BROKEN_CRC_PROPERTY: BadRecord = { kind: 'bad', reason: 'property-crc', expected: 0, found: 0 };

/**
 * Whether the record ends with something that was a `__CRC32#` property and is none any more: the decoder, which cannot
 * know, takes such a record for one that never had a checksum.
 */
function hasBrokenCrcProperty(view: Buffer, record: RecordLayout): boolean {
  if (record.propertiesLength < CRC_TEMPLATE.length) return false;
  const start = record.propertiesAt + record.propertiesLength - CRC_TEMPLATE.length;
  let wrong = 0;
  for (let i = 0; i < CRC_TEMPLATE.length && wrong <= CRC_WRONG_MAX; i++) {
    const byte = view[start + i]!;
    const right = i >= 9 && i < 19 ? byte >= 0x30 && byte <= 0x39 : byte === CRC_TEMPLATE[i];
    if (!right) wrong++;
  }
  return wrong > 0 && wrong <= CRC_WRONG_MAX;
}

type Bad = BadRecord | { readonly kind: 'zero' };

interface Chunk {
  view: Buffer;
  /** Position in the file of the view's first byte. */
  position: number;
}

/** Reads a file in chunks, one ahead. */
class ChunkReader {
  readonly #fd: number;
  readonly #size: number;
  readonly #chunkBytes: number;
  readonly #buffers: [Buffer, Buffer];
  #turn = 0;
  #ahead: { position: number; view: Promise<Buffer> } | undefined;

  constructor(fd: number, size: number, chunkBytes: number) {
    this.#fd = fd;
    this.#size = size;
    this.#chunkBytes = chunkBytes;
    this.#buffers = [Buffer.allocUnsafeSlow(chunkBytes), Buffer.allocUnsafeSlow(chunkBytes)];
  }

  /** The chunk that begins at `position`; valid until the call after the next. */
  async chunkAt(position: number): Promise<Chunk> {
    // A record that lay over a chunk's end was read by itself, so the chunk read ahead begins a little before.
    const ahead = this.#ahead;
    const usable = ahead !== undefined && ahead.position <= position && position < ahead.position + this.#chunkBytes;
    if (ahead !== undefined && !usable) await ahead.view;
    const start = usable ? ahead.position : position;
    const view = usable ? await ahead.view : await this.#read(start);
    this.#ahead = undefined;
    const next = start + view.length;
    if (next < this.#size && view.length > 0) this.#ahead = { position: next, view: this.#read(next) };
    if (view.length === 0) throw new Error(`read nothing at ${position} of ${this.#size}`);
    return { view, position: start };
  }

  async close(): Promise<void> {
    await this.#ahead?.view.catch(() => {});
  }

  #read(position: number): Promise<Buffer> {
    const target = this.#buffers[this.#turn]!;
    this.#turn = 1 - this.#turn;
    const length = Math.min(this.#chunkBytes, this.#size - position);
    const reading = new Promise<Buffer>((resolve, reject) => {
      let done = 0;
      const next = (): void => {
        fs.read(this.#fd, target, done, length - done, position + done, (error, count) => {
          done += error ? 0 : count;
          if (error) reject(error);
          else if (count === 0 || done === length) resolve(target.subarray(0, done));
          else next();
        });
      };
      next();
    });
    // A chunk read ahead may fail before anybody waits for it; who waits is told all the same.
    reading.catch(() => {});
    return reading;
  }
}

export function readFully(fd: number, target: Buffer, position: number): number {
  let done = 0;
  while (done < target.length) {
    const count = fs.readSync(fd, target, done, target.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
