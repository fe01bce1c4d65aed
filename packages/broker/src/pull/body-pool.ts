/** The smallest and largest size class; a pull response of 32 messages of 1 KiB is in between. */
const CLASS_BYTES_MIN = 16 * 1024;
const CLASS_BYTES_MAX = 1024 * 1024;
/** Free memory kept for the next responses. */
const FREE_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Memory for pull responses, used again once the kernel has taken one. Fresh buffers of this size are memory outside the
 * heap, and a stream of them made the garbage collector a fifth of a pull's cost.
 */
export class BodyPool {
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of exactly `size` bytes with whatever is in it. */
  readonly take = (size: number): Buffer => {
    if (size > CLASS_BYTES_MAX) return Buffer.allocUnsafeSlow(size);
    const classBytes = classOf(size);
    const slab = this.#free.get(classBytes)?.pop();
    if (slab) this.#freeBytes -= classBytes;
    return (slab ?? Buffer.allocUnsafeSlow(classBytes)).subarray(0, size);
  };

  /** Gives back what take() gave; it must not be read afterwards. */
  give(buffer: Buffer): void {
    const classBytes = buffer.buffer.byteLength;
    const isWhole = buffer.byteOffset === 0 && classBytes === classOf(buffer.length);
    if (!isWhole || classBytes > CLASS_BYTES_MAX || this.#freeBytes + classBytes > FREE_BYTES_MAX) return;
    this.#freeBytes += classBytes;
    const slab = Buffer.from(buffer.buffer as ArrayBuffer);
    const list = this.#free.get(classBytes);
    if (list) list.push(slab);
    else this.#free.set(classBytes, [slab]);
  }
}

/** The next power of two. */
function classOf(size: number): number {
  return Math.max(CLASS_BYTES_MIN, 2 ** (32 - Math.clz32(size - 1)));
}
