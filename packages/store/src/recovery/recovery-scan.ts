import type { FileSystem, StoreFile } from '../base/file-system.ts';
import {
  type BadRecord,
  checkMessageAndReturnSize,
  type RecordCheck,
  type RecordLayout,
} from '../record/message-decoder.ts';
import { type LogFile, withFile } from './log-file.ts';

/**
 * Reads the log forward from a record's start, file by file, in pieces of constant size: memory is one piece, or one
 * record when that is larger. Nothing is believed about the end: not file lengths, not zeros behind zeros.
 */
export interface ScanOptions {
  fileSystem: FileSystem;
  checkCrc: boolean;
  verifyPropCrc: boolean;
  /** Look for sectors that a power cut kept from the disk; senseless below the durable point. */
  checkTorn?: boolean;
  /** Bytes of one read. */
  chunkBytes?: number;
}

export interface ScanVisitor {
  /** Each good record in order; `chunk` is valid during the call (until the promise resolves). */
  onRecord?(record: RecordLayout, chunk: Buffer): void | Promise<void>;
  /** Bytes of whole good records (and BLANK markers), in order and without gaps within a file, after onRecord. */
  onVerified?(file: LogFile, position: number, bytes: Buffer): Promise<void>;
  onProgress?(offset: number): void;
}

/** Why a scan stopped. */
export type ScanStop =
  /** `until` was reached, or the last file ends with a BLANK. */
  | { readonly kind: 'end' }
  /** Never written from here on. */
  | { readonly kind: 'zero' }
  /** A record (or BLANK) of `size` bytes starts below `until` and ends above it: `until` is inside it. */
  | { readonly kind: 'crosses'; readonly size: number }
  | BadRecord;

export interface ScanResult {
  /** Where the next record would start: end of the last good record, or the start of the file after a BLANK. */
  end: number;
  records: number;
  bytesScanned: number;
  /** storeTimestamp of the last good record, 0 without. */
  lastStoreTimestamp: number;
  stop: ScanStop;
}

export const SCAN_CHUNK_BYTES = 4 * 1024 * 1024;
const END: ScanStop = { kind: 'end' };

/**
 * Walks from `from` (the start of a record, or a file's end) to the first thing that is no good record, at most to
 * `until`. A record or BLANK that reaches past `until` is not accepted: the scan stops at its start with 'crosses'.
 */
export async function scanLog(
  files: readonly LogFile[],
  from: number,
  until: number,
  options: ScanOptions,
  visitor: ScanVisitor = {},
): Promise<ScanResult> {
  const result: ScanResult = { end: from, records: 0, bytesScanned: 0, lastStoreTimestamp: 0, stop: END };
  for (const file of files) {
    if (file.from + file.size <= from) continue;
    if (result.end >= until || result.end !== Math.max(from, file.from)) break;
    const scan = new FileScan(file, until, options, visitor, result);
    const rolled = await withFile(options.fileSystem, file.path, 'read', (opened) => scan.run(opened));
    if (!rolled) break;
  }
  return result;
}

class FileScan {
  readonly #file: LogFile;
  readonly #until: number;
  readonly #options: ScanOptions;
  readonly #visitor: ScanVisitor;
  readonly #result: ScanResult;
  #buffer: Buffer;
  /** Bytes of #buffer that are filled, and the file position of its first byte. */
  #filled = 0;
  #base: number;

  constructor(file: LogFile, until: number, options: ScanOptions, visitor: ScanVisitor, result: ScanResult) {
    this.#file = file;
    this.#until = until;
    this.#options = options;
    this.#visitor = visitor;
    this.#result = result;
    this.#buffer = Buffer.allocUnsafe(Math.min(options.chunkBytes ?? SCAN_CHUNK_BYTES, file.size));
    this.#base = result.end - file.from;
  }

  /** True when the file ended with a BLANK, so that the log goes on in the next. */
  async run(file: StoreFile): Promise<boolean> {
    while (true) {
      const atEndOfFile = await this.#fill(file);
      const step =
        this.#visitor.onRecord === undefined ? this.#checkChunk(atEndOfFile) : await this.#visitChunk(atEndOfFile);
      await this.#verified(step.at);
      this.#visitor.onProgress?.(this.#result.end);
      if (step.kind !== 'more') {
        this.#result.stop = step.stop;
        return step.kind === 'rolled';
      }
      this.#keepFrom(step.at, step.need);
    }
  }

  /** Fills the buffer as far as the file goes; true when the file has no more. */
  async #fill(file: StoreFile): Promise<boolean> {
    const left = this.#file.size - this.#base - this.#filled;
    const wanted = Math.min(left, this.#buffer.length - this.#filled);
    if (wanted === 0) return left === 0;
    const position = this.#base + this.#filled;
    const read = await file.read(this.#buffer.subarray(this.#filled, this.#filled + wanted), position);
    this.#filled += read;
    this.#result.bytesScanned += read;
    return read < wanted || read === left;
  }

  #keepFrom(at: number, need: number): void {
    const kept = this.#filled - at;
    if (need > this.#buffer.length) {
      // One record longer than the piece: the decoder has made sure that its lengths are plausible.
      const larger = Buffer.allocUnsafe(need);
      this.#buffer.copy(larger, 0, at, this.#filled);
      this.#buffer = larger;
    } else {
      this.#buffer.copyWithin(0, at, this.#filled);
    }
    this.#base += at;
    this.#filled = kept;
  }

  async #verified(end: number): Promise<void> {
    if (end === 0) return;
    await this.#visitor.onVerified?.(this.#file, this.#base, this.#buffer.subarray(0, end));
  }

  #check(view: Buffer, at: number): RecordCheck {
    const position = this.#base + at;
    return checkMessageAndReturnSize(view, at, {
      checkCrc: this.#options.checkCrc,
      verifyPropCrc: this.#options.verifyPropCrc,
      expectedPhysicalOffset: this.#file.from + position,
      checkTorn: this.#options.checkTorn ?? false,
      maxSize: this.#file.size - position,
    });
  }

  /** The loop over one piece without visitor: nothing is awaited per record. */
  #checkChunk(atEndOfFile: boolean): Step {
    const view = this.#buffer.subarray(0, this.#filled);
    let at = 0;
    while (true) {
      if (this.#file.from + this.#base + at >= this.#until) return { kind: 'stopped', at, stop: END };
      const check = this.#check(view, at);
      const step = this.#accept(check, at, atEndOfFile);
      if (step !== undefined) return step;
      at += (check as RecordLayout).size;
    }
  }

  async #visitChunk(atEndOfFile: boolean): Promise<Step> {
    const view = this.#buffer.subarray(0, this.#filled);
    let at = 0;
    while (true) {
      if (this.#file.from + this.#base + at >= this.#until) return { kind: 'stopped', at, stop: END };
      const check = this.#check(view, at);
      const step = this.#accept(check, at, atEndOfFile);
      if (step !== undefined) return step;
      const pending = this.#visitor.onRecord?.(check as RecordLayout, view);
      if (pending !== undefined) await pending;
      at += (check as RecordLayout).size;
    }
  }

  /** Takes a good record into the result; otherwise says how the piece ends. */
  #accept(check: RecordCheck, at: number, atEndOfFile: boolean): Step | undefined {
    const offset = this.#file.from + this.#base + at;
    switch (check.kind) {
      case 'record': {
        if (offset + check.size > this.#until) return crosses(at, check.size);
        this.#result.end = offset + check.size;
        this.#result.records++;
        this.#result.lastStoreTimestamp = check.storeTimestamp;
        return undefined;
      }
      case 'blank': {
        if (offset + check.size > this.#until) return crosses(at, check.size);
        this.#result.end = offset + check.size;
        // What follows the marker is not ours to judge or to rewrite: writers leave it as it is.
        return { kind: 'rolled', at: at + 8, stop: END };
      }
      case 'short': {
        if (!atEndOfFile) return { kind: 'more', at, need: check.need };
        // The file is shorter than its name and size promise: the rest of this record does not exist.
        const stop: ScanStop = {
          kind: 'bad',
          reason: 'crosses-end-of-file',
          expected: this.#filled - at,
          found: check.need,
        };
        return { kind: 'stopped', at, stop };
      }
      case 'zero':
        return { kind: 'stopped', at, stop: check };
      case 'bad':
        return { kind: 'stopped', at, stop: check };
    }
  }
}

/** How a piece ended: read on from `at`, the file is through, or the scan is. */
type Step =
  | { readonly kind: 'more'; readonly at: number; readonly need: number }
  | { readonly kind: 'rolled' | 'stopped'; readonly at: number; readonly stop: ScanStop };

function crosses(at: number, size: number): Step {
  return { kind: 'stopped', at, stop: { kind: 'crosses', size } };
}
