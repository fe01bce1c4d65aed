import type { FileSystem, StoreFile } from '../base/file-system.ts';
import { RECORD_BYTES_CEILING } from '../base/limits.ts';
import { checkMessageAndReturnSize, type RecordLayout } from '../record/message-decoder.ts';
import { type LogFile, withFile } from './log-file.ts';
import { SCAN_CHUNK_BYTES } from './recovery-scan.ts';

/** First bytes of both magics (V1 0xDAA320A7, V2 0xDAA320AB); they stand four bytes into a record. */
const MAGIC_PREFIX = Buffer.from([0xda, 0xa3, 0x20]);
const MAGIC_AT = 4;
const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Bytes of zeros after which the rest of a file is taken for unwritten. Writes of one flush can reach the disk in any
 * order, so zeros alone prove nothing; but a hole of this size is more than one flush interval of a fast disk. The bound
 * keeps a restart from reading a gigabyte of preallocated zeros.
 */
export const SEARCH_ZERO_BYTES_MAX = 64 * 1024 * 1024;

export interface SearchOptions {
  fileSystem: FileSystem;
  chunkBytes?: number;
  zeroBytesMax?: number;
}

/**
 * Finds good records whose start is not known: the magic, then lengths, own offset and body CRC must all be right.
 * Calls `onRecord` for each in [from, until), in order, without overlap; `record.at` is its index in `chunk`, which is
 * valid during the call. It returns false to stop. Resolves with the bytes read.
 */
export async function searchRecords(
  files: readonly LogFile[],
  from: number,
  until: number,
  options: SearchOptions,
  onRecord: (record: RecordLayout, chunk: Buffer) => boolean | Promise<boolean>,
): Promise<number> {
  let bytesRead = 0;
  for (const file of files) {
    if (file.from + file.size <= from || file.from >= until) continue;
    const search = new FileSearch(file, Math.max(0, from - file.from), until - file.from, options, onRecord);
    const goOn = await withFile(options.fileSystem, file.path, 'read', (opened) => search.run(opened));
    bytesRead += search.bytesRead;
    if (!goOn) break;
  }
  return bytesRead;
}

class FileSearch {
  bytesRead = 0;
  readonly #file: LogFile;
  readonly #end: number;
  readonly #onRecord: (record: RecordLayout, chunk: Buffer) => boolean | Promise<boolean>;
  readonly #zeroBytesMax: number;
  #buffer: Buffer;
  #filled = 0;
  #base: number;
  #zeroBytes = 0;

  constructor(
    file: LogFile,
    from: number,
    end: number,
    options: SearchOptions,
    onRecord: (record: RecordLayout, chunk: Buffer) => boolean | Promise<boolean>,
  ) {
    this.#file = file;
    this.#base = from;
    this.#end = Math.min(end, file.size);
    this.#onRecord = onRecord;
    this.#zeroBytesMax = options.zeroBytesMax ?? SEARCH_ZERO_BYTES_MAX;
    this.#buffer = Buffer.allocUnsafe(Math.min(options.chunkBytes ?? SCAN_CHUNK_BYTES, file.size));
  }

  /** False when the visitor wants no more. */
  async run(file: StoreFile): Promise<boolean> {
    while (true) {
      // A record that starts below the end may reach past it, so reading goes on to the end of the file.
      const wanted = Math.min(this.#buffer.length - this.#filled, this.#file.size - this.#base - this.#filled);
      const target = this.#buffer.subarray(this.#filled, this.#filled + wanted);
      const read = wanted === 0 ? 0 : await file.read(target, this.#base + this.#filled);
      this.bytesRead += read;
      this.#filled += read;
      const ended = read < wanted || this.#base + this.#filled >= this.#file.size;
      const zero = this.#isZero(target.subarray(0, read));
      this.#zeroBytes = zero ? this.#zeroBytes + read : 0;
      if (this.#zeroBytes >= this.#zeroBytesMax) return true;
      // Nothing can start in a piece of zeros alone; the one before it is searched to its end.
      const next = zero && read === this.#filled ? { at: read, need: 0 } : await this.#searchChunk(ended);
      if (next === undefined) return false;
      if (ended || this.#base + next.at >= this.#end) return true;
      this.#keepFrom(next.at, next.need);
    }
  }

  #isZero(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; at += ZEROS.length) {
      const piece = bytes.subarray(at, at + ZEROS.length);
      if (!piece.equals(ZEROS.subarray(0, piece.length))) return false;
    }
    return bytes.length > 0;
  }

  /** Where to go on and how many bytes are needed from there; undefined when the visitor wants no more. */
  async #searchChunk(ended: boolean): Promise<{ at: number; need: number } | undefined> {
    const view = this.#buffer.subarray(0, this.#filled);
    let at = 0;
    while (this.#base + at < this.#end) {
      const magicAt = view.indexOf(MAGIC_PREFIX, at + MAGIC_AT);
      // The prefix may be cut by the end of this piece; the bytes that could still start it are kept.
      if (magicAt < 0) return { at: Math.max(at, view.length - MAGIC_AT - MAGIC_PREFIX.length + 1), need: 0 };
      const start = magicAt - MAGIC_AT;
      if (this.#base + start >= this.#end) return { at: this.#end - this.#base, need: 0 };
      const check = checkMessageAndReturnSize(view, start, {
        checkCrc: true,
        expectedPhysicalOffset: this.#file.from + this.#base + start,
        checkTorn: true,
        maxSize: Math.min(this.#file.size - this.#base - start, RECORD_BYTES_CEILING),
      });
      if (check.kind === 'record') {
        if (!(await this.#onRecord(check, view))) return undefined;
        at = start + check.size;
      } else if (check.kind === 'short' && !ended) {
        return { at: start, need: check.need };
      } else {
        at = start + 1;
      }
    }
    return { at, need: 0 };
  }

  #keepFrom(at: number, need: number): void {
    const from = Math.min(at, this.#filled);
    const kept = this.#filled - from;
    // Room for progress: what is kept must leave space to read more, else a piece of garbage would be read forever.
    const size = Math.max(need, this.#buffer.length);
    if (size > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(size);
      this.#buffer.copy(larger, 0, from, this.#filled);
      this.#buffer = larger;
    } else {
      this.#buffer.copyWithin(0, from, this.#filled);
    }
    this.#base += from;
    this.#filled = kept;
  }
}
