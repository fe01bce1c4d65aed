import { ReadBuffer } from '../../packages/remoting/src/net/read-buffer.ts';

/** Overwrites a part of the read buffer, as the next read would. */
const OVERWRITTEN = 0xdd;

let isOn = false;

/**
 * From here on every server of this process has its read buffer overwritten as soon as a read has been taken, before any
 * promise goes on: whoever keeps a view of it finds other bytes there, always and not when another connection happens to
 * read in between.
 */
export function overwriteReads(): void {
  if (isOn) return;
  isOn = true;
  const { adopt } = ReadBuffer.prototype;
  ReadBuffer.prototype.adopt = function (this: ReadBuffer, socket, take) {
    return adopt.call(this, socket, (chunk) => {
      take(chunk);
      chunk.fill(OVERWRITTEN);
    });
  };
}
