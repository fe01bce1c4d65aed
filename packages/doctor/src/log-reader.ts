import { checkMessageAndReturnSize, RECORD_BYTES_CEILING, type RecordLayout } from '@vernier/store/internal';
import { readFully } from './log-walk.ts';
import { OpenFileCache } from './queue-reader.ts';
import type { DataFile } from './store-layout.ts';

export interface FoundRecord {
  view: Buffer;
  record: RecordLayout;
}

/** Single records by their offset in the log, past the walk. */
export class LogReader {
  readonly #files: readonly DataFile[];
  readonly #cache = new OpenFileCache();

  constructor(files: readonly DataFile[]) {
    this.#files = files;
  }

  /** The good record that starts here; with `checkCrc` false also one whose body is wrong. */
  recordAt(offset: number, checkCrc = true): FoundRecord | undefined {
    const file = this.fileAt(offset);
    const fd = file === undefined ? undefined : this.#cache.get(file.path);
    if (file === undefined || fd === undefined) return undefined;
    const position = offset - file.from;
    for (let need = 4_096; ; ) {
      const view = Buffer.allocUnsafe(Math.min(need, file.size - position));
      const read = readFully(fd, view, position);
      const check = checkMessageAndReturnSize(view.subarray(0, read), 0, {
        checkCrc,
        expectedPhysicalOffset: offset,
        maxSize: Math.min(file.size - position, RECORD_BYTES_CEILING),
      });
      if (check.kind === 'record') return { view, record: check };
      if (check.kind !== 'short' || read < view.length || check.need <= need) return undefined;
      need = check.need;
    }
  }

  /** Raw bytes of the log from `offset` on, within one file: fewer at its end, none outside. */
  bytesAt(offset: number, length: number): Buffer {
    const file = this.fileAt(offset);
    const fd = file === undefined ? undefined : this.#cache.get(file.path);
    if (file === undefined || fd === undefined) return Buffer.alloc(0);
    const position = offset - file.from;
    const view = Buffer.allocUnsafe(Math.max(0, Math.min(length, file.size - position)));
    return view.subarray(0, readFully(fd, view, position));
  }

  fileAt(offset: number): DataFile | undefined {
    return this.#files.find(({ from, size }) => offset >= from && offset < from + size);
  }

  close(): void {
    this.#cache.close();
  }
}
