import { type RecordLayout, searchRecords } from '@vernier/store/internal';
import { EXPLAINED_BYTES_MAX, findWrongByte, type WrongByte } from './diagnose.ts';
import { LogReader } from './log-reader.ts';
import { type Damage, walkLog } from './log-walk.ts';
import { topicOf } from './record-facts.ts';
import { doctorFileSystem, type StoreLayout } from './store-layout.ts';

/** What lies at one place of the log, good or not. */
export type RawPiece =
  | {
      kind: 'record';
      offset: number;
      size: number;
      topic: string;
      queueId: number;
      queueOffset: number;
      storeTimestamp: number;
      bodyLength: number;
      propertiesLength: number;
      bytes: Buffer;
    }
  | {
      kind: 'damage';
      offset: number;
      size: number;
      reason: string;
      expected: number;
      found: number;
      wrongByte: WrongByte | undefined;
      bytes: Buffer;
    }
  | { kind: 'end'; offset: number; size: number; reason: string; bytes: Buffer };

const WINDOW_BYTES = 64 * 1024;
/** Bytes of a piece that are kept to be shown. */
const SHOWN_BYTES = 512;

/**
 * The pieces around an offset: from a record or so in front of it on, `count` of them. The offset need not be a record's
 * start.
 */
export async function rawPieces(layout: StoreLayout, at: number, count: number): Promise<RawPiece[]> {
  const log = new LogReader(layout.logFiles);
  try {
    const file = log.fileAt(at);
    if (file === undefined) return [];
    const from = await startInFront(layout, file.from, at);
    const pieces: RawPiece[] = [];
    const isLive = layout.state === 'live';
    const until = Math.min(file.from + file.size, at + WINDOW_BYTES + count * 4 * 1024 * 1024);
    const walk = await walkLog(
      layout.logFiles,
      { checkCrc: true, live: isLive, from, until, chunkBytes: WINDOW_BYTES },
      {
        onRecord(view, record) {
          // Of those in front of the place the last one is enough.
          if (record.physicalOffset + record.size <= at) pieces.length = 0;
          if (pieces.length < count + 1) pieces.push(recordPiece(view, record));
        },
        onDamage(damage) {
          if (pieces.length < count + 1) pieces.push(damagePiece(log, damage));
        },
      },
    );
    if (pieces.length < count + 1 && walk.tail.file !== undefined && walk.tail.kind !== 'end') {
      const { from: offset, check } = walk.tail;
      const bytes = log.bytesAt(offset, SHOWN_BYTES);
      const reason = check === undefined ? 'nothing was written from here on' : `no whole record (${check.reason})`;
      pieces.push({ kind: 'end', offset, size: 0, reason, bytes });
    }
    return pieces;
  } finally {
    log.close();
  }
}

/** Start of a record a little in front of `at`; the file's start when there is none nearby. */
async function startInFront(layout: StoreLayout, fileFrom: number, at: number): Promise<number> {
  let start = fileFrom;
  const from = Math.max(fileFrom, at - WINDOW_BYTES);
  await searchRecords(
    layout.logFiles,
    from,
    at + 1,
    { fileSystem: doctorFileSystem, chunkBytes: 1024 * 1024 },
    (record) => {
      start = record.physicalOffset;
      return false;
    },
  );
  return Math.min(start, at);
}

function recordPiece(view: Buffer, record: RecordLayout): RawPiece {
  return {
    kind: 'record',
    offset: record.physicalOffset,
    size: record.size,
    topic: topicOf(view, record),
    queueId: record.queueId,
    queueOffset: record.queueOffset,
    storeTimestamp: record.storeTimestamp,
    bodyLength: record.bodyLength,
    propertiesLength: record.propertiesLength,
    bytes: Buffer.from(view.subarray(record.at, record.at + Math.min(record.size, SHOWN_BYTES))),
  };
}

function damagePiece(log: LogReader, damage: Damage): RawPiece {
  const { from, to, reason, expected, found, record } = damage;
  const isExplained = record === undefined && to - from <= EXPLAINED_BYTES_MAX;
  const whole = isExplained ? log.bytesAt(from, to - from) : Buffer.alloc(0);
  return {
    kind: 'damage',
    offset: from,
    size: to - from,
    reason,
    expected,
    found,
    wrongByte: isExplained ? findWrongByte(whole, from) : undefined,
    bytes: log.bytesAt(from, Math.min(SHOWN_BYTES, to - from)),
  };
}

/** The usual picture of bytes: position, hexadecimal, and what of it is text. */
export function hexDump(bytes: Buffer, from: number): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = [...row].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`  ${String(from + at).padStart(12)}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join('\n');
}
