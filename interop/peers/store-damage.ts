/**
 * Single wrong bytes in a store that is otherwise sound, chosen by a seed, and what each of them may do. Where the bytes
 * of a store mean what is read here from the formats' description alone, apart from the doctor's own code.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type DumpedMessage, readRecord } from './record.ts';

/** Sizes of the store's files, as the peer that wrote it was told. */
export interface StoreSizes {
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  maxHashSlotNum: number;
  maxIndexNum: number;
}

export interface RecordPlace {
  /** Offset in the log. */
  offset: number;
  size: number;
  /** A `__CRC32#` covers all of it. */
  checked: boolean;
}

/** One byte of a store. */
export interface Site {
  /** Below the store's root. */
  file: string;
  offset: number;
  /** What the byte is part of: `body`, `queue entry`, `index slot` … */
  area: string;
  record?: RecordPlace;
  /** Why no reader ever meets this byte. */
  unread?: string;
}

/** Knows a sound store byte by byte. */
export class StoreMap {
  readonly root: string;
  readonly sizes: StoreSizes;
  readonly records: RecordPlace[] = [];
  readonly #random: () => number;
  readonly #logs: { file: string; from: number; bytes: Buffer; end: number }[] = [];
  readonly #queues: { file: string; written: number }[] = [];
  readonly #indexes: { file: string; count: number }[] = [];

  constructor(root: string, sizes: StoreSizes, random: () => number) {
    this.root = root;
    this.sizes = sizes;
    this.#random = random;
    this.#readLog();
    const queues = fs.readdirSync(join(root, 'consumequeue'), { recursive: true, withFileTypes: true });
    for (const entry of queues) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = fs.readFileSync(path);
      let written = 0;
      while (written < bytes.length && bytes.readInt32BE(written + 8) > 0) written += 20;
      this.#queues.push({ file: path.slice(root.length + 1), written });
    }
    for (const name of fs.readdirSync(join(root, 'index')).sort()) {
      const bytes = fs.readFileSync(join(root, 'index', name));
      this.#indexes.push({ file: `index/${name}`, count: bytes.readInt32BE(36) });
    }
  }

  #readLog(): void {
    for (const name of fs.readdirSync(join(this.root, 'commitlog')).sort()) {
      const bytes = fs.readFileSync(join(this.root, 'commitlog', name));
      const from = Number(name);
      let at = 0;
      while (at + 8 <= bytes.length && bytes.readInt32BE(at) > 0 && bytes.readUInt32BE(at + 4) >>> 8 === 0xdaa320) {
        const size = bytes.readInt32BE(at);
        const checked = bytes.toString('latin1', at + size - 20, at + size - 11) === '__CRC32#\u0001';
        this.records.push({ offset: from + at, size, checked });
        at += size;
      }
      this.#logs.push({ file: `commitlog/${name}`, from, bytes, end: at });
    }
  }

  /** A number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** A random byte. Half of those in the log are spread over the fields, the small ones would hardly be met otherwise. */
  choose(): Site {
    const kind = this.#random();
    if (kind < 0.3) return this.#inLog();
    if (kind < 0.6) return this.#inField();
    if (kind < 0.78) return this.#inQueue();
    if (kind < 0.97) return this.#inIndex();
    const offset = this.below(48);
    return { file: 'checkpoint', offset, area: 'checkpoint' };
  }

  siteOf(record: RecordPlace, at: number): Site {
    const log = this.#logs.findLast(({ from }) => from <= record.offset)!;
    const bytes = this.bytesOf(record);
    return { file: log.file, offset: record.offset - log.from + at, area: fieldOf(bytes, at), record };
  }

  bytesOf(record: RecordPlace): Buffer {
    const log = this.#logs.findLast(({ from }) => from <= record.offset)!;
    return log.bytes.subarray(record.offset - log.from, record.offset - log.from + record.size);
  }

  #inLog(): Site {
    const log = this.#logs[this.below(this.#logs.length)]!;
    const offset = this.below(log.bytes.length);
    const blank = log.end + 8 <= log.bytes.length && log.bytes.readUInt32BE(log.end + 4) === 0xcbd43194;
    if (offset >= log.end + (blank ? 8 : 0)) {
      const unread = blank ? 'filling behind the marker of the file’s end' : 'behind the end of the log';
      return { file: log.file, offset, area: 'unwritten log', unread };
    }
    if (offset >= log.end) return { file: log.file, offset, area: 'file end marker' };
    const record = this.records.findLast((place) => place.offset <= log.from + offset)!;
    return this.siteOf(record, log.from + offset - record.offset);
  }

  #inField(): Site {
    const record = this.records[this.below(this.records.length)]!;
    const bytes = this.bytesOf(record);
    const byField = new Map<string, number[]>();
    for (let at = 0; at < record.size; at++) {
      const name = fieldOf(bytes, at);
      const list = byField.get(name);
      if (list === undefined) byField.set(name, [at]);
      else list.push(at);
    }
    const fields = [...byField.values()];
    const positions = fields[this.below(fields.length)]!;
    return this.siteOf(record, positions[this.below(positions.length)]!);
  }

  #inQueue(): Site {
    const queue = this.#queues[this.below(this.#queues.length)]!;
    // One in ten behind the entries.
    const size = this.sizes.mappedFileSizeConsumeQueue;
    if (queue.written < size && this.#random() < 0.1) {
      const offset = queue.written + this.below(size - queue.written);
      return { file: queue.file, offset, area: 'unwritten queue', unread: 'behind the last entry of the queue' };
    }
    return { file: queue.file, offset: this.below(queue.written), area: 'queue entry' };
  }

  #inIndex(): Site {
    const index = this.#indexes[this.below(this.#indexes.length)]!;
    const unitsAt = 40 + 4 * this.sizes.maxHashSlotNum;
    const place = this.#random();
    if (place < 0.2) {
      const offset = this.below(40);
      return { file: index.file, offset, area: offset >= 32 && offset < 36 ? 'index slot count' : 'index header' };
    }
    if (place < 0.5) return { file: index.file, offset: 40 + this.below(unitsAt - 40), area: 'index slot' };
    if (place < 0.55 && index.count < this.sizes.maxIndexNum) {
      const from = unitsAt + 20 * index.count;
      const offset = from + this.below(unitsAt + 20 * this.sizes.maxIndexNum - from);
      return { file: index.file, offset, area: 'unwritten index', unread: 'behind the last entry of the index' };
    }
    // Entries count from 1.
    const offset = unitsAt + 20 + this.below(20 * (index.count - 1));
    return { file: index.file, offset, area: 'index entry' };
  }

  /** Turns bits of one byte over; answers what undoes it. */
  damage(site: Site, flip: number): () => void {
    const fd = fs.openSync(join(this.root, site.file), 'r+');
    const byte = Buffer.alloc(1);
    fs.readSync(fd, byte, 0, 1, site.offset);
    fs.writeSync(fd, Buffer.of(byte[0]! ^ flip), 0, 1, site.offset);
    fs.closeSync(fd);
    return () => {
      const again = fs.openSync(join(this.root, site.file), 'r+');
      fs.writeSync(again, byte, 0, 1, site.offset);
      fs.closeSync(again);
    };
  }

  /**
   * Why a wrong byte here that nobody reports does no harm; undefined when it does. A record without a checksum of its
   * own has fields that nothing in RocketMQ's formats checks; what a consumer goes by must not be among them.
   */
  harmlessBecause(site: Site, flip: number): string | undefined {
    if (site.unread !== undefined) return site.unread;
    if (site.area === 'checkpoint') {
      return site.offset >= 40 ? 'no release reads it' : 'an earlier time only makes a recovery read more';
    }
    if (site.area === 'index slot count') return 'nothing reads that number';
    if (site.area === 'index header')
      return site.offset < 16 ? 'a time that is wrong by less than a second' : undefined;
    if (site.record === undefined || site.record.checked) return undefined;
    const sound = this.bytesOf(site.record);
    const wrong = Buffer.from(sound);
    const log = this.#logs.findLast(({ from }) => from <= site.record!.offset)!;
    wrong[site.offset + log.from - site.record.offset]! ^= flip;
    let after: DumpedMessage;
    try {
      after = readRecord(wrong);
    } catch {
      return undefined;
    }
    const kept = essence(readRecord(sound));
    const now = essence(after);
    return JSON.stringify(kept) === JSON.stringify(now) ? 'the format has no checksum over this field' : undefined;
  }
}

/** What decides which consumer gets a message, by which key it is found, and what the consumer gets as its body. */
function essence(message: DumpedMessage): unknown {
  const { topic, queueId, queueOffset, commitLogOffset, storeSize, bodyDigest, bodyLength, sysFlag } = message;
  const { TAGS, KEYS, UNIQ_KEY, DELAY } = message.properties;
  // Prepared and rolled back messages (bit 2) are in no queue and in nobody's hands.
  const place = (sysFlag & 0x4) === 0 ? [topic, queueId, queueOffset, TAGS, DELAY] : [];
  // Packing, batch, kinds of hosts; 8 only tells a committed message from an ordinary one.
  const flags = sysFlag & 0x7b5;
  return { place, commitLogOffset, storeSize, bodyDigest, bodyLength, flags, KEYS, UNIQ_KEY };
}

/** The field of a record that its byte `at` belongs to. */
export function fieldOf(record: Buffer, at: number): string {
  const wide = record[7] === 0xab;
  const sysFlag = record.readInt32BE(36);
  const hosts: number[] = [(sysFlag & 0x10) === 0 ? 8 : 20, (sysFlag & 0x20) === 0 ? 8 : 20];
  const parts: [string, number][] = [
    ['totalSize', 4],
    ['magic', 4],
    ['bodyCRC', 4],
    ['queueId', 4],
    ['flag', 4],
    ['queueOffset', 8],
    ['physicalOffset', 8],
    ['sysFlag', 4],
    ['bornTimestamp', 8],
    ['bornHost', hosts[0]!],
    ['storeTimestamp', 8],
    ['storeHost', hosts[1]!],
    ['reconsumeTimes', 4],
    ['preparedTransactionOffset', 8],
    ['bodyLength', 4],
  ];
  let end = 0;
  for (const [name, size] of parts) {
    end += size;
    if (at < end) return name;
  }
  end += record.readInt32BE(end - 4);
  if (at < end) return 'body';
  const topicLength = wide ? record.readInt16BE(end) : record.readUInt8(end);
  end += wide ? 2 : 1;
  if (at < end) return 'topicLength';
  end += topicLength;
  if (at < end) return 'topic';
  return at < end + 2 ? 'propertiesLength' : 'properties';
}
