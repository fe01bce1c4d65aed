import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bodyCrc } from './messages.ts';

/**
 * Reads a store's files without any code of the store, so that a fault of its codec cannot hide itself: commit-log
 * records (RocketMQ's V1 and V2 layout) and consume-queue entries (20 bytes).
 */
const MAGIC_V1 = 0xdaa320a7 | 0;
const MAGIC_V2 = 0xdaa320ab | 0;
const MAGIC_BLANK = 0xcbd43194 | 0;
const ENTRY_SIZE = 20;

export interface RawRecord {
  offset: number;
  size: number;
  topic: string;
  queueId: number;
  queueOffset: number;
  body: Buffer;
}

export interface RawLog {
  records: RawRecord[];
  /** Where the last whole record ends. */
  end: number;
  /** What is wrong: a checksum, a wrong own offset, bytes behind the end that are not zero. */
  faults: string[];
}

const storeFiles = (directory: string) =>
  existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => /^\d{20}$/.test(name))
        .sort()
    : [];

export function readRawLog(root: string): RawLog {
  const directory = join(root, 'commitlog');
  const log: RawLog = { records: [], end: 0, faults: [] };
  let ended = false;
  for (const name of storeFiles(directory)) {
    const start = Number(name);
    const file = readFileSync(join(directory, name));
    if (ended) {
      if (!isZero(file, 0)) log.faults.push(`commit-log file ${name} behind the log's end ${log.end} is not empty`);
      continue;
    }
    let at = 0;
    while (at + 8 <= file.length) {
      const magic = file.readInt32BE(at + 4);
      if (magic === MAGIC_BLANK) {
        at = file.length;
        break;
      }
      if (magic !== MAGIC_V1 && magic !== MAGIC_V2) break;
      const record = readRecord(file, at, start + at, magic, log.faults);
      if (!record) break;
      log.records.push(record);
      at += record.size;
    }
    log.end = start + at;
    if (at < file.length) {
      ended = true;
      if (!isZero(file, at)) log.faults.push(`bytes behind the log's end ${log.end} are not zero`);
    }
  }
  return log;
}

function readRecord(file: Buffer, at: number, offset: number, magic: number, faults: string[]): RawRecord | undefined {
  const size = file.readInt32BE(at);
  if (size < 91 || at + size > file.length) {
    faults.push(`record at ${offset} has size ${size}`);
    return undefined;
  }
  if (Number(file.readBigInt64BE(at + 28)) !== offset) {
    faults.push(`record at ${offset} names offset ${file.readBigInt64BE(at + 28)}`);
  }
  const sysFlag = file.readInt32BE(at + 36);
  const bornHostSize = sysFlag & 0x10 ? 20 : 8;
  const storeHostSize = sysFlag & 0x20 ? 20 : 8;
  const bodyAt = at + 48 + bornHostSize + 8 + storeHostSize + 12;
  const bodySize = file.readInt32BE(bodyAt);
  const body = file.subarray(bodyAt + 4, bodyAt + 4 + bodySize);
  if (bodyCrc(body) !== file.readInt32BE(at + 8)) faults.push(`record at ${offset} fails its checksum`);
  const topicAt = bodyAt + 4 + bodySize;
  const topicSize = magic === MAGIC_V1 ? file[topicAt]! : file.readInt16BE(topicAt);
  const topicStart = topicAt + (magic === MAGIC_V1 ? 1 : 2);
  return {
    offset,
    size,
    topic: file.toString('utf8', topicStart, topicStart + topicSize),
    queueId: file.readInt32BE(at + 12),
    queueOffset: Number(file.readBigInt64BE(at + 20)),
    body,
  };
}

function isZero(bytes: Buffer, from: number): boolean {
  for (let at = from; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** Entry n of every consume queue as `topic/queueId/n` → `offset/size` of the record it names. */
export function readRawQueues(root: string): Map<string, string> {
  const entries = new Map<string, string>();
  const queuesRoot = join(root, 'consumequeue');
  if (!existsSync(queuesRoot)) return entries;
  for (const topic of readdirSync(queuesRoot)) {
    for (const queueId of readdirSync(join(queuesRoot, topic))) {
      const directory = join(queuesRoot, topic, queueId);
      if (!statSync(directory).isDirectory()) continue;
      for (const name of storeFiles(directory)) {
        const file = readFileSync(join(directory, name));
        for (let at = 0; at + ENTRY_SIZE <= file.length; at += ENTRY_SIZE) {
          const size = file.readInt32BE(at + 8);
          if (size === 0) continue;
          const index = (Number(name) + at) / ENTRY_SIZE;
          entries.set(`${topic}/${queueId}/${index}`, `${Number(file.readBigInt64BE(at))}/${size}`);
        }
      }
    }
  }
  return entries;
}
