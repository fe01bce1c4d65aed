import { closeSync, fdatasyncSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LatencyHistogram } from './load/histogram.ts';

export interface DiskTimes {
  count: number;
  /** Of one 4 KiB write at the end of a preallocated file and its fdatasync, microseconds. */
  p50Us: number;
  p99Us: number;
  maxUs: number;
}

/**
 * What the disk itself needs for an append and an fdatasync, measured where the brokers write and in the same minute:
 * other tenants of a virtual disk change it, and no rate of a synchronous flush can be read without it.
 */
export function measureDisk(directory: string, count = 300): DiskTimes {
  const path = join(directory, `fdatasync-${process.pid}.probe`);
  const descriptor = openSync(path, 'w');
  const histogram = new LatencyHistogram();
  try {
    const block = Buffer.alloc(4096, 0x5a);
    // Blocks are taken before the clock runs, as a broker's preallocated log file has them.
    const size = count * block.length;
    for (let at = 0; at < size; at += block.length) writeSync(descriptor, block, 0, block.length, at);
    ftruncateSync(descriptor, size);
    fdatasyncSync(descriptor);
    for (let index = 0; index < count; index++) {
      const before = performance.now();
      writeSync(descriptor, block, 0, block.length, index * block.length);
      fdatasyncSync(descriptor);
      histogram.record((performance.now() - before) * 1000);
    }
  } finally {
    closeSync(descriptor);
    rmSync(path, { force: true });
  }
  const { p50Us, p99Us, maxUs } = histogram.summary();
  return { count, p50Us, p99Us, maxUs };
}
