import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_MODE, makeDirectory, offsetToFileName } from '@vernier/store/internal';
import { syncUpwards } from './durable-names.ts';

/** Writes the files of one queue that is made anew, in a directory of its own. */
export class QueueFileWriter {
  readonly #directory: string;
  readonly #fileSize: number;
  readonly #paths = new Set<string>();

  constructor(directory: string, fileSize: number) {
    this.#directory = directory;
    this.#fileSize = fileSize;
  }

  /** Writes bytes of entries to a place in the queue, in bytes; they lie within one file. */
  async write(bytes: Buffer, where: number): Promise<void> {
    const from = where - (where % this.#fileSize);
    const path = join(this.#directory, offsetToFileName(from));
    await makeDirectory(this.#directory);
    const file = await fs.open(path, this.#paths.has(path) ? 'r+' : 'w+', FILE_MODE);
    try {
      if (!this.#paths.has(path)) await file.truncate(this.#fileSize);
      await file.write(bytes, 0, bytes.length, where - from);
    } finally {
      await file.close();
    }
    this.#paths.add(path);
  }

  /** What was written is another life's: it goes. */
  async restart(): Promise<void> {
    this.#paths.clear();
    await fs.rm(this.#directory, { recursive: true, force: true });
  }

  /** Resolves when everything is on disk. */
  async sync(): Promise<void> {
    for (const path of this.#paths) {
      const file = await fs.open(path, 'r+');
      await file.sync().finally(() => file.close());
    }
    if (this.#paths.size > 0) await syncUpwards(this.#directory, 3);
  }
}
