// A small store with everything in it that the doctor compares, written once a process and copied for each test.
import { closeSync, cpSync, openSync, readFileSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { deflateSync } from 'node:zlib';
import { type MessageExt, type MessageExtBrokerInner, MessageStore, type MessageStoreOptions } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import lz4 from 'lz4js';
import { cleanUp } from '../../../test/support/clean-up.ts';
import type { Finding, Findings } from '../src/finding.ts';
import { readLayout } from '../src/store-layout.ts';
import { type VerifyOptions, type VerifyResult, verifyStore } from '../src/verify.ts';

/** The log fills three files, the queues several each, the index two. */
export const sizes = {
  mappedFileSizeCommitLog: 64 * 1024,
  mappedFileSizeConsumeQueue: 20 * 60,
  maxHashSlotNum: 100,
  maxIndexNum: 500,
} satisfies Partial<MessageStoreOptions>;

export const openOptions = (root: string, more: Partial<MessageStoreOptions> = {}) => ({
  storePathRootDir: root,
  ...sizes,
  flushDiskType: 'ASYNC_FLUSH' as const,
  diskFreeBytesMin: 0,
  ...more,
});

export const MESSAGES = 600;
const host = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
const hostV6 = { address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9), port: 7 };
export const LONG_TOPIC = `%RETRY%${'g'.repeat(150)}`;

export const textOf = (index: number): string => `body ${index} ${'x'.repeat(index % 200)}`;

/** ZSTD frame of one raw block (RFC 8878): enough to see that it is unpacked. */
export function zstdFrame(content: Buffer): Buffer {
  const head = Buffer.alloc(4 + 1 + 4 + 3);
  head.writeUInt32BE(0x28b52ffd, 0);
  head[4] = 0xa0;
  head.writeUInt32LE(content.length, 5);
  head.writeUIntLE((content.length << 3) | 1, 9, 3);
  return Buffer.concat([head, content]);
}

const packers = [
  (text: Buffer) => ({ body: deflateSync(text), flag: 0x301 }),
  (text: Buffer) => ({ body: Buffer.from(lz4.compress(text)), flag: 0x101 }),
  (text: Buffer) => ({ body: zstdFrame(text), flag: 0x201 }),
];

export function messageOf(index: number): MessageExtBrokerInner {
  const text = Buffer.from(textOf(index));
  const packed = index % 5 === 4 ? packers[index % 3]!(text) : { body: text, flag: 0 };
  const v6 = index % 7 === 6;
  const transaction = index % 41 === 40 ? 0x4 : index % 43 === 42 ? 0x8 : 0;
  const delayed = index % 29 === 28;
  const properties: [string, string][] = [
    ['UNIQ_KEY', `7F000001${index.toString(16).padStart(24, '0')}`],
    ...(index % 2 === 0 ? [['KEYS', `key-${index} shared-${index % 9}`] as [string, string]] : []),
    ...(index % 4 === 0 ? [] : [['TAGS', index % 3 === 0 ? '标签' : `tag-${index % 5}`] as [string, string]]),
    ['city', '上海'],
    ...(delayed ? [['DELAY', String(1 + (index % 18))] as [string, string]] : []),
  ];
  return {
    topic: delayed ? 'SCHEDULE_TOPIC_XXXX' : index % 11 === 10 ? LONG_TOPIC : index % 3 === 0 ? 'orders' : 'events',
    queueId: delayed ? index % 18 : index % 2,
    flag: index,
    sysFlag: packed.flag | transaction | (v6 ? 0x10 : 0),
    bornTimestamp: 1_700_000_000_000 + index,
    bornHost: v6 ? hostV6 : host,
    storeHost: host,
    reconsumeTimes: index % 3,
    preparedTransactionOffset: transaction === 0x8 ? 4096 : 0,
    body: packed.body,
    propertiesString: properties.map(([name, value]) => `${name}\u0001${value}\u0002`).join(''),
  };
}

export async function writeStore(root: string, options: Partial<MessageStoreOptions> = {}): Promise<void> {
  const store = await MessageStore.open(openOptions(root, options));
  const puts: Promise<{ status: string }>[] = [];
  for (let index = 0; index < MESSAGES; index++) {
    if (index % 50 !== 49) {
      puts.push(store.asyncPutMessage(messageOf(index), 'async'));
      continue;
    }
    const { body, flag, propertiesString, ...rest } = messageOf(index - 1);
    const part = { body: Buffer.from(textOf(index)), flag, propertiesString };
    puts.push(
      store.asyncPutMessages({ ...rest, topic: 'batch', sysFlag: 0, bornHost: host, messages: [part, part] }, 'async'),
    );
  }
  for (const put of await Promise.all(puts)) if (put.status !== 'PUT_OK') throw new Error(put.status);
  await store.shutdown();
}

const templates = new Map<string, Promise<string>>();
after(async () => {
  for (const path of templates.values()) rmSync(await path, { recursive: true, force: true });
});

function template(crc: boolean): Promise<string> {
  let made = templates.get(String(crc));
  if (made === undefined) {
    made = mkdtemp(join(tmpdir(), 'vernier-doctor-')).then(async (path) => {
      await writeStore(path, crc ? { enabledAppendPropCRC: true } : {});
      return path;
    });
    templates.set(String(crc), made);
  }
  return made;
}

/** A copy of the store, with `__CRC32#` in every record or in none. */
export async function smallStore(t: TestContext, options: { crc?: boolean } = {}): Promise<SmallStore> {
  const root = await mkdtemp(join(tmpdir(), 'vernier-doctor-'));
  cleanUp(t, () => rmSync(root, { recursive: true, force: true }));
  cpSync(await template(options.crc === true), root, { recursive: true });
  return new SmallStore(root);
}

export interface Placed {
  message: MessageExt;
  /** Path of its file below the root, and where it begins there. */
  file: string;
  at: number;
}

export class SmallStore {
  readonly root: string;
  /** In the order of the log, read record by record. */
  readonly records: Placed[] = [];

  constructor(root: string) {
    this.root = root;
    for (let from = 0; ; from += sizes.mappedFileSizeCommitLog) {
      const file = `commitlog/${String(from).padStart(20, '0')}`;
      if (statSync(join(root, file), { throwIfNoEntry: false }) === undefined) break;
      const bytes = readFileSync(join(root, file));
      for (let at = 0; ; ) {
        const message = decodeMessage(bytes, at);
        if (message === undefined) break;
        this.records.push({ message, file, at });
        at += message.storeSize;
      }
    }
  }

  /** The first ordinary record from `index` on of this topic, whose fields can be told by looking. */
  record(index: number, topic = 'events'): Placed {
    const found = this.records.slice(index).find(({ message }) => message.topic === topic && message.sysFlag === 0);
    if (found === undefined) throw new Error(`no record of ${topic} from ${index} on`);
    return found;
  }

  /** Writes bytes over what is there. */
  write(file: string, offset: number, bytes: Uint8Array): void {
    const fd = openSync(join(this.root, file), 'r+');
    writeSync(fd, bytes, 0, bytes.length, offset);
    closeSync(fd);
  }

  flip(file: string, offset: number, bits = 0x10): void {
    this.write(file, offset, Buffer.of(this.read(file, offset, 1)[0]! ^ bits));
  }

  read(file: string, offset: number, length: number): Buffer {
    const fd = openSync(join(this.root, file), 'r');
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, offset);
    closeSync(fd);
    return bytes;
  }

  async verify(options: Partial<VerifyOptions> = {}): Promise<VerifyResult> {
    return await verifyStore(await readLayout(this.root), { depth: 'full', ...options });
  }

  async findings(options: Partial<VerifyOptions> = {}): Promise<Findings> {
    return (await this.verify(options)).findings;
  }
}

/** What of a finding a test names. */
export function brief({ severity, kind, file, offset }: Finding): string {
  return `${severity} ${kind} ${file} ${offset}`;
}

/** The file of an entry of a queue, and where it begins there. */
export function entryPlace(topic: string, queueId: number, index: number): { file: string; at: number } {
  const where = index * 20;
  const from = where - (where % sizes.mappedFileSizeConsumeQueue);
  return { file: `consumequeue/${topic}/${queueId}/${String(from).padStart(20, '0')}`, at: where - from };
}
