/**
 * The windows of address space through which the mmap engine writes. Each is reserved once, its view made once, and then
 * pointed at one part of a file after the other: a new view for each part would count as external memory and force full
 * collections, and a part that is unmapped while a view lives ends the process when the view is touched.
 */
import { MMAP_APPEND_BYTES_MAX } from '../base/limits.ts';
import type { Native, NativeWindow } from '../io/native.ts';
import { OS_PAGE_SIZE } from './mapped-file-base.ts';

/** Room for the largest put and for the page that it may begin within. */
export const WINDOW_BYTES = MMAP_APPEND_BYTES_MAX + OS_PAGE_SIZE;
/** Windows in use at once; more unflushed data than they hold is backpressure. */
const WINDOWS_MAX = 8;

export interface MappedWindow {
  readonly native: NativeWindow;
  readonly view: Buffer;
  /** Position in the file of the window's first byte, a multiple of the page size. */
  position: number;
  /** Bytes of the file in the window. */
  length: number;
  /** Position in the file where the records written through it end, once another window took over. */
  writtenEnd: number;
}

/** Idle windows of logs that were closed, for the next log of this process: address space is never given back. */
const spare = new WeakMap<Native, MappedWindow[]>();

export class MmapWindows {
  readonly #native: Native;
  readonly #idle: MappedWindow[];
  /** Windows in use by this log. */
  #count = 0;

  constructor(native: Native) {
    this.#native = native;
    this.#idle = spare.get(native) ?? [];
    spare.set(native, this.#idle);
  }

  /** Points a window at the file; undefined when all are in use. Throws the errno error when the kernel refuses. */
  map(fd: number, position: number, length: number): MappedWindow | undefined {
    if (this.#count === WINDOWS_MAX) return undefined;
    const window = this.#idle.pop() ?? this.#reserve();
    try {
      window.native.map(fd, position, length);
    } catch (error) {
      this.#idle.push(window);
      throw error;
    }
    this.#count++;
    window.position = position;
    window.length = length;
    return window;
  }

  /** Takes the file out of the window; nothing is written there any more and no sync of it is under way. */
  release(window: MappedWindow): void {
    window.native.cover();
    window.length = 0;
    this.#count--;
    this.#idle.push(window);
  }

  #reserve(): MappedWindow {
    const native = this.#native.reserveWindow(WINDOW_BYTES);
    return { native, view: native.view, position: 0, length: 0, writtenEnd: 0 };
  }
}
