import { extTagsCode, readInt64 } from '@vernier/store/internal';
import { readFully } from './log-walk.ts';
import type { OpenFileCache } from './queue-reader.ts';
import type { DataFile } from './store-layout.ts';

/** Bytes of an extension that are looked at. */
const HEAD_BYTES = 20;
const BLOCK_BYTES = 16 * 1024;

/** What the extension of a queue entry says of its record (RocketMQ ConsumeQueueExt). */
export interface Extension {
  tagsCode: number;
  storeTimestamp: number;
}

/** Extensions of one queue by their offset, read in blocks. */
export class ExtReader {
  readonly #files: readonly DataFile[];
  readonly #cache: OpenFileCache;
  #block: Buffer | undefined;
  #from = 0;
  #length = 0;

  /** `files`: sorted by where they begin. */
  constructor(files: readonly DataFile[], cache: OpenFileCache) {
    this.#files = files;
    this.#cache = cache;
  }

  /** Undefined when nothing was written there. */
  at(offset: number): Extension | undefined {
    if (offset < this.#from || offset + HEAD_BYTES > this.#from + this.#length) this.#load(offset);
    const at = offset - this.#from;
    const tagsCode = this.#block === undefined ? undefined : extTagsCode(this.#block.subarray(0, this.#length), at);
    return tagsCode === undefined ? undefined : { tagsCode, storeTimestamp: readInt64(this.#block!, at + 10) };
  }

  /** The file and the byte of it; undefined when there is no such file. */
  place(offset: number): { path: string; offset: number } | undefined {
    const file = this.#files.findLast(({ from, size }) => offset >= from && offset < from + size);
    return file === undefined ? undefined : { path: file.path, offset: offset - file.from };
  }

  /** The next look reads anew: a live broker may have written meanwhile. */
  forget(): void {
    this.#length = 0;
  }

  #load(offset: number): void {
    this.#from = offset;
    this.#length = 0;
    const place = this.place(offset);
    const fd = place === undefined ? undefined : this.#cache.get(place.path);
    if (place === undefined || fd === undefined) return;
    this.#block ??= Buffer.allocUnsafe(BLOCK_BYTES);
    this.#length = readFully(fd, this.#block, place.offset);
  }
}
