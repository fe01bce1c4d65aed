/**
 * Our store over one directory, driven by the commands that interop/java/store/StorePeer.java answers too: store.open,
 * store.append, store.status, store.dump, store.look, store.close.
 */
import { open } from 'node:fs/promises';
import { type MessageExtBrokerInner, MessageStore, type StoreHost } from '@vernier/store';
import { generator } from '../peers/generator.ts';
import { readRecord } from '../peers/record.ts';
import { type Arguments, serve } from './serve.ts';

let store: MessageStore;

function below(random: () => number, limit: number): number {
  return Math.floor(random() * limit);
}

const storeHost: StoreHost = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };

function bornHost(index: number): StoreHost {
  const address =
    index % 7 === 6
      ? Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, index & 0xff)
      : Uint8Array.of(10, 9, 8, index & 0xff);
  return { address, port: 30_000 + (index % 1000) };
}

function propertiesOf(random: () => number, run: number, index: number): string {
  const pairs: [string, string][] = [
    ['city', `上海😀-${below(random, 1000)}`],
    ['UNIQ_KEY', `0A090807${run.toString(16).padStart(8, '0')}${index.toString(16).padStart(16, '0')}`.toUpperCase()],
  ];
  if (index % 4 !== 0) pairs.push(['TAGS', index % 3 === 0 ? '标签' : `Tag${index % 5}`]);
  if (index % 2 === 0) pairs.push(['KEYS', `key-${run}-${index} shared-${run}-${index % 97}`]);
  return pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('');
}

function bodyOf(random: () => number, index: number): Buffer {
  const body = Buffer.alloc(index % 50 === 49 ? 60_000 + below(random, 40_000) : 1 + below(random, 3_000));
  for (let i = 0; i < body.length; i += 1) body[i] = below(random, 256);
  return body;
}

function single(random: () => number, run: number, index: number): MessageExtBrokerInner {
  const committed = index % 13 === 12;
  // 0x10 IPv6 bornHost, 0x301 zlib-compressed body, 0x8 committed and 0x4 prepared transaction (MessageSysFlag).
  const sysFlag =
    (index % 7 === 6 ? 0x10 : 0) |
    (index % 9 === 8 ? 0x301 : 0) |
    (committed ? 0x8 : 0) |
    (index % 31 === 30 ? 0x4 : 0);
  return {
    topic: index % 11 === 10 ? `%RETRY%vernier-${'t'.repeat(150)}` : `vernier-topic-${index % 3}`,
    queueId: index % 2,
    flag: below(random, 0x1_0000_0000) | 0,
    sysFlag,
    bornTimestamp: 1_700_000_000_000 + index,
    bornHost: bornHost(index),
    storeHost,
    reconsumeTimes: index % 5,
    preparedTransactionOffset: committed ? 4096 + index : 0,
    body: bodyOf(random, index),
    propertiesString: propertiesOf(random, run, index),
  };
}

/** Appends with up to 64 in flight, all three durabilities in turn; answers the messages by their status. */
async function append(args: Arguments): Promise<unknown> {
  const seed = args.number('seed');
  const random = generator(seed);
  const status: Record<string, number> = {};
  const prepared: number[] = [];
  const inFlight = new Set<Promise<void>>();
  for (let index = 0; index < args.number('count'); index += 1) {
    const durability = (['sync', 'group', 'async'] as const)[index % 3];
    const batched = index % 25 === 24;
    const message = single(random, seed, index);
    const put = batched
      ? store.asyncPutMessages(
          {
            ...{ ...message, topic: 'vernier-topic-batch', queueId: 0, sysFlag: 0, preparedTransactionOffset: 0 },
            bornHost: bornHost(0),
            messages: Array.from({ length: 5 }, (_, part) => ({
              flag: part,
              body: Buffer.from(`part ${part} of 批 ${index}`),
              propertiesString: propertiesOf(random, seed, 1_000_000 + index * 10 + part),
            })),
          },
          durability,
        )
      : store.asyncPutMessage(message, durability);
    const counted = put.then((result) => {
      status[result.status] = (status[result.status] ?? 0) + 1;
      if (!batched && (message.sysFlag & 0xc) === 0x4) prepared.push(result.wroteOffset);
    });
    inFlight.add(counted);
    void counted.then(() => inFlight.delete(counted));
    if (inFlight.size >= 64) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  return { status, prepared };
}

/** A line of the dump: where the messages of a `topic#key` or a `topic#T#tag` are. */
async function offsetsOf(name: string): Promise<string> {
  const [, topic, mark, key] = /^([^#]*)(#T#|#)(.*)$/s.exec(name)!;
  const type = mark === '#T#' ? 'tag' : 'key';
  const found = await store.queryMessage(topic!, key!, 64, 0, Number.MAX_SAFE_INTEGER, type);
  const offsets = found.records.map((record) => readRecord(record).commitLogOffset).sort((a, b) => a - b);
  return JSON.stringify({ key: name, offsets });
}

async function dump(args: Arguments): Promise<unknown> {
  const keys = new Set<string>();
  const queues: Record<string, [number, number]> = {};
  const file = await open(args.text('file'), 'w');
  try {
    for (const [topic, queueIds] of [...store.queuesByTopic()].sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const queueId of [...queueIds].sort((a, b) => a - b)) {
        const [min, max] = [store.getMinOffsetInQueue(topic, queueId), store.getMaxOffsetInQueue(topic, queueId)];
        if (min === max) continue;
        queues[`${topic}/${queueId}`] = [min, max];
        for (let offset = min; offset < max; ) {
          const result = await store.getMessage('dump', topic, queueId, offset, 32);
          // Without a message, but further on: what a repair took out.
          if (result.nextBeginOffset === offset) {
            throw new Error(`${topic}/${queueId} at ${offset} of ${max}: ${result.status}`);
          }
          let lines = '';
          for (const record of result.records) {
            const message = readRecord(record);
            lines += `${JSON.stringify(message)}\n`;
            for (const property of ['UNIQ_KEY', 'KEYS']) {
              for (const key of message.properties[property]?.split(' ') ?? []) keys.add(`${topic}#${key}`);
            }
            if (message.properties.TAGS !== undefined) keys.add(`${topic}#T#${message.properties.TAGS}`);
          }
          await file.write(lines);
          offset = result.nextBeginOffset;
        }
      }
    }
    // Side by side and written together: each call by itself waits for a thread, which on a busy machine is long.
    const sorted = args.text('keys', 'true') === 'true' ? [...keys].sort() : [];
    for (let from = 0; from < sorted.length; from += 32) {
      const lines = await Promise.all(sorted.slice(from, from + 32).map(offsetsOf));
      await file.write(`${lines.join('\n')}\n`);
    }
  } finally {
    await file.close();
  }
  return { queues, minPhyOffset: store.minPhyOffset, maxPhyOffset: store.maxPhyOffset };
}

const offsets = () => ({ minPhyOffset: store.minPhyOffset, maxPhyOffset: store.maxPhyOffset });

serve({
  'store.open': async (args) => {
    store = await MessageStore.open({
      storePathRootDir: args.text('dir'),
      flushDiskType: args.text('flushDiskType') === 'SYNC_FLUSH' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
      writeWithoutMmap: args.text('writeWithoutMmap', 'true') === 'true',
      mappedFileSizeCommitLog: args.number('mappedFileSizeCommitLog'),
      mappedFileSizeConsumeQueue: args.number('mappedFileSizeConsumeQueue'),
      maxHashSlotNum: args.number('maxHashSlotNum'),
      maxIndexNum: args.number('maxIndexNum'),
    });
    return offsets();
  },
  'store.append': append,
  'store.status': offsets,
  'store.dump': dump,
  'store.look': async (args) => {
    const record = await store.selectOneMessageByOffset(args.number('offset'));
    return record ? readRecord(record) : 'none';
  },
  'store.close': async () => {
    await store.shutdown();
    return 'closed';
  },
});
