import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * What a writer was told and what its consumer saw, in a file outside of the disk under test. Every entry is one write
 * call made at once, so it is there when the process is killed or stopped at any later moment: the kernel has it.
 * An entry is made after the store's promise resolved, never before.
 *
 *     0 u8 kind | 1 u8 topic | 2 u16 queueId | 4 u32 sequence | 8 f64 queueOffset | 16 f64 offset | 24 f64 bytes
 */
const ENTRY_SIZE = 32;

export const Kind = {
  /** SEND_OK that promised "on disk". */
  ackedOnDisk: 1,
  /** SEND_OK that promised "written" (with the transient pool: in memory). */
  ackedWritten: 2,
  /** The consumer received this message. */
  seen: 3,
  /** The store's committedWhere: everything below survives a killed process. */
  committed: 4,
  /** The store answered with another status than PUT_OK; `bytes` is its place in `refusals`. */
  refused: 5,
} as const;

export interface WitnessEntry {
  kind: number;
  topicIndex: number;
  queueId: number;
  sequence: number;
  queueOffset: number;
  /** Of the record in the log. */
  offset: number;
  bytes: number;
}

export class WitnessLog {
  private readonly descriptor: number;
  private isOpen = true;
  private readonly entry = Buffer.alloc(ENTRY_SIZE);

  constructor(path: string) {
    this.descriptor = openSync(path, 'a');
  }

  add(entry: WitnessEntry): void {
    const bytes = this.entry;
    bytes[0] = entry.kind;
    bytes[1] = entry.topicIndex;
    bytes.writeUInt16BE(entry.queueId, 2);
    bytes.writeUInt32BE(entry.sequence, 4);
    bytes.writeDoubleBE(entry.queueOffset, 8);
    bytes.writeDoubleBE(entry.offset, 16);
    bytes.writeDoubleBE(entry.bytes, 24);
    writeSync(this.descriptor, bytes, 0, ENTRY_SIZE);
  }

  /** Calling it again does nothing. */
  close(): void {
    if (this.isOpen) closeSync(this.descriptor);
    this.isOpen = false;
  }
}

/** All whole entries from the `from`-th on. The file may still grow, or its writer may be stopped or dead. */
export function readWitnessLog(path: string, from = 0): WitnessEntry[] {
  const bytes = readFileSync(path);
  const entries: WitnessEntry[] = [];
  for (let at = from * ENTRY_SIZE; at + ENTRY_SIZE <= bytes.length; at += ENTRY_SIZE) {
    entries.push({
      kind: bytes[at]!,
      topicIndex: bytes[at + 1]!,
      queueId: bytes.readUInt16BE(at + 2),
      sequence: bytes.readUInt32BE(at + 4),
      queueOffset: bytes.readDoubleBE(at + 8),
      offset: bytes.readDoubleBE(at + 16),
      bytes: bytes.readDoubleBE(at + 24),
    });
  }
  return entries;
}
