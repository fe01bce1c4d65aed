import { dirname, join } from 'node:path';
import type { StoreContext } from '../context.ts';
import type { StoreFile } from '../io/file-system.ts';
import { endOf, type LogFile } from './log-file.ts';
import { searchRecords } from './recovery-search.ts';

type RepairContext = Pick<StoreContext, 'fileSystem' | 'clock' | 'logger' | 'config'>;

/**
 * Writes accepted records again, the same bytes at the same place, and syncs. After a failed fsync the kernel may hold
 * pages that it calls clean and the disk does not have; a process that starts anew reads them as if nothing were wrong.
 * Writing makes them dirty, so that the sync really carries them. A power cut in between leaves the old bytes or the
 * same ones.
 */
export class Rewriter {
  readonly #context: RepairContext;
  readonly #from: number;
  #path: string | undefined;
  #file: StoreFile | undefined;
  #bytes = 0;

  /** Rewrites nothing below offset `from`. */
  constructor(context: RepairContext, from: number) {
    this.#context = context;
    this.#from = from;
  }

  get bytesRewritten(): number {
    return this.#bytes;
  }

  /** Resolves when the part at or above `from` is *written*. */
  async write(file: LogFile, position: number, bytes: Buffer): Promise<void> {
    const skip = Math.max(0, this.#from - (file.from + position));
    if (skip >= bytes.length) return;
    if (this.#path !== file.path) {
      await this.finish();
      this.#file = await this.#context.fileSystem.open(file.path, 'write');
      this.#path = file.path;
    }
    const part = bytes.subarray(skip);
    await this.#file!.write(part, position + skip);
    this.#bytes += part.length;
  }

  /** Resolves when everything written is *on disk*. */
  async finish(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    this.#path = undefined;
    try {
      await file.sync();
    } finally {
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
