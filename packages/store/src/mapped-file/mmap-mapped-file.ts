/**
 * The mmap engine (`writeWithoutMmap=false`, Linux with koffi): records are encoded into a shared mapping, where a byte
 * is *written* as soon as it is appended, and flush is msync of the dirty pages: RocketMQ's default way.
 *
 * - Windows begin at the page of wrotePosition, so a record never crosses the end of the one it is written through; two
 *   windows may share that page, which the page cache keeps equal.
 * - A window stays until all it holds is flushed, and no sync of it runs.
 * - Readers go through the file: a page fault or a bad sector is then an error of a read on another thread, and not a
 *   stop of the event loop or SIGBUS. reserve() is the only way to see the mapping.
 */
import { MMAP_APPEND_BYTES_MAX } from '../base/limits.ts';
import { MappedFileBase, type MappedFilePlace, OS_PAGE_SIZE } from './mapped-file-base.ts';
import { type MappedWindow, type MmapWindows, WINDOW_BYTES } from './mmap-windows.ts';

export class MmapMappedFile extends MappedFileBase {
  readonly #windows: MmapWindows;
  /** In the order of the file; the last one is written to. */
  readonly #mapped: MappedWindow[] = [];
  #current: MappedWindow | undefined;
  #reserved = 0;

  constructor(place: MappedFilePlace, windows: MmapWindows) {
    super(place);
    this.#windows = windows;
  }

  reserve(size: number): boolean {
    const window = this.#current;
    const position = this.wrotePosition;
    if (window === undefined || position + size > window.position + window.length) return this.#mapNext(size);
    this.target = window.view;
    this.targetStart = position - window.position;
    this.#reserved = size;
    return true;
  }

  #mapNext(size: number): boolean {
    if (size > this.fileSize - this.wrotePosition) throw new RangeError('reserve: more than the file has room for');
    if (size > MMAP_APPEND_BYTES_MAX) throw new RangeError('reserve: more than a mapping window holds');
    const fd = this.pinned?.fd;
    if (fd === undefined) {
      // A file taken over from an earlier run is opened first; commit() waits for that, as it does for other reasons.
      this.pin().catch(() => {});
      return false;
    }
    const position = this.wrotePosition - (this.wrotePosition % OS_PAGE_SIZE);
    const length = Math.min(WINDOW_BYTES, this.fileSize - position);
    const window = this.#windows.map(fd, position, length);
    if (window === undefined) return false;
    if (this.#current !== undefined) this.#current.writtenEnd = this.wrotePosition;
    this.#mapped.push(window);
    this.#current = window;
    this.target = window.view;
    this.targetStart = this.wrotePosition - position;
    this.#reserved = size;
    return true;
  }

  advance(size: number, end = false): void {
    if (size > this.#reserved) throw new RangeError('advance: more than was reserved');
    this.#reserved = 0;
    this.wrotePosition = end ? this.fileSize : this.wrotePosition + size;
    this.committedPosition = this.wrotePosition;
  }

  override async commit(commitLeastPages: number): Promise<number> {
    const position = await super.commit(commitLeastPages);
    if (!this.isFull) await this.pin();
    return position;
  }

  /** Nothing to hand over: what was appended is in the page cache. */
  protected async writeOut(): Promise<boolean> {
    return false;
  }

  protected override async force(from: number, to: number): Promise<void> {
    const { fileSystem } = this.context;
    for (const window of this.#mapped.slice()) {
      const start = Math.max(from, window.position);
      const end = Math.min(to, window.position + window.length, this.#writtenEnd(window));
      if (start >= end) continue;
      const first = start - window.position - ((start - window.position) % OS_PAGE_SIZE);
      await fileSystem.track('msync', this.fileName, window.native.sync(first, end - window.position - first));
    }
  }

  protected override onFlushed(): void {
    while (this.#mapped.length > 0) {
      const window = this.#mapped[0]!;
      const inUse = window === this.#current && !this.isFull;
      if (inUse || this.flushedPosition < this.#writtenEnd(window)) return;
      this.#mapped.shift();
      if (window === this.#current) this.#current = undefined;
      this.#windows.release(window);
    }
  }

  /** End of the records written through a window. */
  #writtenEnd(window: MappedWindow): number {
    return window === this.#current ? this.wrotePosition : window.writtenEnd;
  }

  /** Readers go through the file. */
  selectHot(): Buffer | undefined {
    return undefined;
  }

  protected copyUncommitted(): number {
    return 0;
  }

  protected dropMemory(): void {
    this.#current = undefined;
    this.#reserved = 0;
    for (const window of this.#mapped.splice(0)) this.#windows.release(window);
  }
}
