import * as fs from 'node:fs';
import { promisify } from 'node:util';

/** Of its types Node's have nothing. */
declare const WebAssembly: { Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer } };

const open = promisify(fs.open);
const close = promisify(fs.close);
const fdatasync = promisify(fs.fdatasync);

const WASM_PAGE_BYTES = 64 * 1024;
const STEP_BYTES = 1024 * 1024;
/** Direct I/O goes by blocks of the device, of 512 bytes or of these. */
const PAGE_BYTES = 4_096;

/**
 * Empties the page cache of a range without a system call that Node lacks: what reads see is written past the cache
 * (O_DIRECT), and Linux drops the pages that such a write goes around. So afterwards the disk has what the cache showed.
 * Pages of zeros are passed over, which keeps sparse files sparse. Resolves when it is *on disk*; with false where that
 * cannot be done: not Linux, no O_DIRECT on this file system, or the range ends in a part of a page that is in use.
 * `read` fills a buffer as StoreFile.read does.
 */
export async function rewriteDirectly(
  path: string,
  position: number,
  length: number,
  read: (target: Uint8Array, position: number) => Promise<number>,
): Promise<boolean> {
  const flag = fs.constants.O_DIRECT as number | undefined;
  if (process.platform !== 'linux' || flag === undefined) return false;
  let fd: number | undefined;
  try {
    fd = await open(path, fs.constants.O_WRONLY | flag);
    const from = position - (position % PAGE_BYTES);
    const isWhole = await rewrite(fd, from, Math.ceil((position + length) / PAGE_BYTES) * PAGE_BYTES, read);
    await fdatasync(fd);
    return isWhole;
  } catch (error) {
    // A file system without direct I/O says so at the opening or at the first write, before anything has changed.
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw error;
  } finally {
    if (fd !== undefined) await close(fd);
  }
}

/** [from, to) begins and ends at a page; the file may end in it. */
async function rewrite(
  fd: number,
  from: number,
  to: number,
  read: (target: Uint8Array, position: number) => Promise<number>,
): Promise<boolean> {
  const bytes = pageAligned(Math.min(STEP_BYTES, to - from));
  const zeros = Buffer.alloc(PAGE_BYTES);
  for (let position = from; position < to; position += bytes.length) {
    const wanted = Math.min(bytes.length, to - position);
    const count = await read(bytes.subarray(0, wanted), position);
    const whole = count - (count % PAGE_BYTES);
    for (let at = 0; at < whole; ) {
      const isZero = bytes.compare(zeros, 0, PAGE_BYTES, at, at + PAGE_BYTES) === 0;
      let end = at + PAGE_BYTES;
      if (!isZero) {
        while (end < whole && bytes.compare(zeros, 0, PAGE_BYTES, end, end + PAGE_BYTES) !== 0) end += PAGE_BYTES;
        await write(fd, bytes.subarray(at, end), position + at);
      }
      at = end;
    }
    const rest = count - whole;
    if (rest > 0) return bytes.compare(zeros, 0, rest, whole, count) === 0;
    if (count < wanted) break;
  }
  return true;
}

/** Node's buffers begin anywhere; direct I/O wants a page's beginning, and a WebAssembly memory has one. */
function pageAligned(length: number): Buffer {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(length / WASM_PAGE_BYTES) });
  return Buffer.from(memory.buffer, 0, length);
}

function write(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, 0, bytes.length, position, (error, count) => {
      if (error) reject(error);
      else if (count < bytes.length)
        reject(new Error(`direct write at ${position}: ${count} of ${bytes.length} bytes`));
      else resolve();
    });
  });
}
