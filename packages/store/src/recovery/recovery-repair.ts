import { dirname, join } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import type { StoreFile } from '../base/file-system.ts';
import { endOf, type LogFile } from './log-file.ts';
import { searchRecords } from './recovery-search.ts';

type RepairContext = Pick<StoreContext, 'fileSystem' | 'clock' | 'logger' | 'config'>;

/**
 * A piece in which records are written again: it begins and ends at a multiple of this, so that no page, and no group of
 * pages that the kernel keeps as one (2 MiB at most), lies in two of them.
 */
const REWRITE_BYTES = 4 * 1024 * 1024;

/**
 * Writes accepted records again, the same bytes at the same place, and syncs. After a failed write-back the kernel holds
 * pages that it calls clean and the disk does not have; a process that starts anew reads them as if nothing were wrong.
 *
 * Writing over such a page is not enough. A block that fallocate reserved counts as unwritten, and reads as zeros, until
 * a write-back of it has succeeded. ext4 notes in the cached page that this is being seen to, and does not take the note
 * back when the write-back fails: a later write to the page is synced, reported as such, and reads as zeros after a power
 * cut (Linux 6.18, test/faults/failing-device.test.ts). So each piece is taken out of the page
 * cache first, while its bytes are in memory here; what is then written is looked up on the disk anew.
 *
 * A power cut in between leaves the old bytes or the same ones.
 */
export class Rewriter {
  readonly #context: RepairContext;
  readonly #from: number;
  #path: string | undefined;
  #file: StoreFile | undefined;
  readonly #pieceBytes: number;
  #piece = Buffer.alloc(0);
  /** What the piece has: [start, end) of the file. */
  #start = 0;
  #end = 0;
  #bytes = 0;
  #saidThatCacheStays = false;

  /** Rewrites nothing below offset `from`. */
  constructor(context: RepairContext, from: number, pieceBytes = REWRITE_BYTES) {
    this.#context = context;
    this.#from = from;
    this.#pieceBytes = pieceBytes;
  }

  get bytesRewritten(): number {
    return this.#bytes;
  }

  /** Takes what has been read of a file, in order and without gaps. Resolves when earlier pieces are *written*. */
  async write(file: LogFile, position: number, bytes: Buffer): Promise<void> {
    const skip = Math.max(0, this.#from - (file.from + position));
    if (skip >= bytes.length) return;
    if (this.#path !== file.path) await this.#begin(file, position + skip);
    for (let done = skip; done < bytes.length; ) {
      const at = this.#end % this.#pieceBytes;
      const taken = bytes.copy(this.#piece, at, done);
      done += taken;
      this.#end += taken;
      if (this.#end % this.#pieceBytes === 0) await this.#writePiece();
    }
  }

  /** Resolves when everything written is *on disk*. */
  async finish(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    try {
      await this.#writePiece();
      await file.sync();
    } finally {
      this.#file = undefined;
      this.#path = undefined;
      await file.close();
    }
  }

  /** After a failure elsewhere: closes without syncing. */
  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#path = undefined;
    await file?.close().catch(() => {});
  }

  async #begin(file: LogFile, position: number): Promise<void> {
    await this.finish();
    if (this.#piece.length === 0) this.#piece = Buffer.allocUnsafeSlow(Math.min(this.#pieceBytes, file.size));
    this.#file = await this.#context.fileSystem.open(file.path, 'write');
    this.#path = file.path;
    this.#start = position;
    this.#end = position;
    // Only what is not dirty leaves the cache.
    await this.#file.sync();
  }

  async #writePiece(): Promise<void> {
    if (this.#start === this.#end) return;
    const file = this.#file!;
    const pieceFrom = this.#start - (this.#start % this.#pieceBytes);
    const isDropped = await file.dropCache(pieceFrom, this.#pieceBytes);
    if (!isDropped && !this.#saidThatCacheStays) {
      this.#saidThatCacheStays = true;
      this.#context.logger.info(
        { path: file.path },
        'recovery: the page cache cannot be emptied here (this is not Linux, or the file system has no direct I/O and ' +
          'koffi is missing): after a failed flush some file systems need that before a page can be written again',
      );
    }
    await file.write(this.#piece.subarray(this.#start - pieceFrom, this.#end - pieceFrom), this.#start);
    this.#bytes += this.#end - this.#start;
    this.#start = this.#end;
  }
}

export interface Quarantined {
  /** `<root>/quarantine/commitlog-<end of the log>-<Unix ms>.bin` */
  path: string;
  records: number;
  bytes: number;
}

const QUARANTINE_BATCH_BYTES = 1024 * 1024;

/**
 * Copies the good records at or above `from` to a side file, before the log is cut there: whole records, one after the
 * other; each names its topic, queue and former offset. Resolves with undefined when there are none, else when the copy
 * and its name are *on disk*. Until then the file's name ends in `.part`.
 */
export async function quarantineRecords(
  files: readonly LogFile[],
  from: number,
  context: RepairContext,
): Promise<Quarantined | undefined> {
  const { fileSystem } = context;
  const directory = join(context.config.storePathRootDir, 'quarantine');
  const path = join(directory, `commitlog-${from}-${context.clock.now()}.bin`);
  const part = `${path}.part`;
  let file: StoreFile | undefined;
  let batch: Buffer[] = [];
  let batchBytes = 0;
  let bytes = 0;
  let records = 0;
  const writeBatch = async (): Promise<void> => {
    if (file === undefined) {
      await fileSystem.makeDirectory(directory);
      await fileSystem.syncDirectory(dirname(directory));
      file = await fileSystem.open(part, 'create');
      await file.truncate(0);
    }
    await file.write(batch, bytes);
    bytes += batchBytes;
    batch = [];
    batchBytes = 0;
  };
  try {
    await searchRecords(files, from, endOf(files), { fileSystem }, async (record, chunk) => {
      batch.push(Buffer.from(chunk.subarray(record.at, record.at + record.size)));
      batchBytes += record.size;
      records++;
      if (batchBytes >= QUARANTINE_BATCH_BYTES) await writeBatch();
      return true;
    });
    if (records === 0) return undefined;
    if (batchBytes > 0) await writeBatch();
    await file!.sync();
  } finally {
    await (file as StoreFile | undefined)?.close();
  }
  await fileSystem.rename(part, path);
  await fileSystem.syncDirectory(directory);
  return { path, records, bytes };
}
