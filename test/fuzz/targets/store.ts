/**
 * A store's directory, damaged: bits, bytes and pages of the log, the queues, the index, the checkpoint and the lock;
 * files cut off, made longer, swapped, duplicated, removed; stale records of an older file behind the log's end. The
 * store is opened and everything in it read, by queue, by offset and by key.
 *
 * What holds: the opening ends, and is refused only with a code; no message is served in another's place or with another
 * body; where messages are not served any more the store said so, with the place; reading goes on to the end of each
 * queue; and what the first opening left opens a second time, with the same messages.
 */
import {
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { MessageStore, type MessageStoreOptions, type StoreLogger } from '@vernier/store';
import type { Random } from '../random.ts';
import { expectOwnError, Find, type Target, within } from '../target.ts';

const PAGE = 4096;
/** The second one has batch queues. */
const BATCH_TOPIC = 'fuzz-b';
const TOPICS = ['fuzz-a', BATCH_TOPIC];
const QUEUES = 2;
const MESSAGES = 240;
const OPEN_MS = 30_000;

interface Known {
  key: string;
  offset: number;
  body: Buffer;
}

interface Template {
  name: string;
  directory: string;
  options: Partial<MessageStoreOptions>;
  /** By `topic/queueId/queueOffset`. */
  /** Shut down in order, so that all of the log is below the durable point. */
  isClosed: boolean;
  messages: Map<string, Known>;
  byOffset: Map<number, Known>;
}

const small = (storePathRootDir: string, more: Partial<MessageStoreOptions>): MessageStoreOptions => ({
  storePathRootDir,
  flushDiskType: 'ASYNC_FLUSH',
  mappedFileSizeCommitLog: 32 * 1024,
  mappedFileSizeConsumeQueue: 20 * 25,
  mapperFileSizeBatchConsumeQueue: 46 * 25,
  maxMessageSize: 8 * 1024,
  appendBufferSize: 256 * 1024,
  maxHashSlotNum: 20,
  maxIndexNum: 80,
  diskFreeBytesMin: 0,
  fileReservedTime: 24 * 365 * 20,
  diskMaxUsedSpaceRatio: 99,
  diskSpaceWarningLevelRatio: 99,
  diskSpaceCleanForciblyRatio: 99,
  ...more,
});

/** Closed: shut down in order. Crashed: copied while open, all of it flushed. */
async function makeTemplate(
  directory: string,
  name: string,
  options: Partial<MessageStoreOptions>,
  closed: boolean,
): Promise<Template> {
  const live = join(directory, `${name}-live`);
  const template: Template = {
    name,
    directory: join(directory, name),
    options,
    isClosed: closed,
    messages: new Map(),
    byOffset: new Map(),
  };
  const store = await MessageStore.open(small(live, options));
  // Known as one by its directory.
  store.declareBatchTopic(BATCH_TOPIC);
  for (let index = 0; index < MESSAGES; index++) {
    const body = Buffer.alloc(20 + ((index * 37) % 600), `${name} ${index} `);
    const topic = TOPICS[index % TOPICS.length]!;
    const queueId = (index >> 1) % QUEUES;
    const result = await store.putMessage({ topic, queueId, body, keys: `key-${index % 40}`, tags: 'tag' } as never);
    if (result.status !== 'PUT_OK')
      throw new Error(`the template's message ${index}: ${result.status} ${result.reason}`);
    const known = { key: `${topic}/${queueId}/${result.queueOffset}`, offset: result.wroteOffset, body };
    template.messages.set(known.key, known);
    template.byOffset.set(known.offset, known);
  }
  await store.flush();
  if (!closed) {
    cpSync(live, template.directory, { recursive: true });
    await store.shutdown();
  } else {
    await store.shutdown();
    cpSync(live, template.directory, { recursive: true });
  }
  rmSync(live, { recursive: true });
  return template;
}

function* filesIn(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesIn(path);
    else yield path;
  }
}

const isLog = (path: string): boolean => path.includes('/commitlog/');

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, at);
  closeSync(descriptor);
}

/** Does one damage and says which; the names are those of the file inside the store. */
function damage(random: Random, root: string): string {
  const all = [...filesIn(root)].sort();
  const log = all.filter(isLog);
  const path = random.chance(0.45) ? random.pick(log) : random.pick(all);
  const name = relative(root, path);
  const size = statSync(path).size;
  const at = random.below(Math.max(1, size));
  const others = all.filter((other) => other !== path && dirname(other) === dirname(path));
  switch (random.below(11)) {
    case 0:
    case 1:
    case 2: {
      if (size === 0) return `${name} is empty`;
      const bytes = readFileSync(path);
      const bit = random.below(8);
      overwrite(path, at, Buffer.of(bytes[at]! ^ (1 << bit)));
      return `bit ${bit} of byte ${at} of ${name}`;
    }
    case 3: {
      const length = 1 + random.skewed(Math.max(0, Math.min(500, size - at) - 1));
      overwrite(path, at, random.bytes(length));
      return `${length} bytes at ${at} of ${name}`;
    }
    case 4: {
      const start = at - (at % PAGE);
      overwrite(path, start, Buffer.alloc(Math.min(PAGE, Math.max(0, size - start))));
      return `page at ${start} of ${name} zeroed`;
    }
    case 5:
    case 6: {
      const descriptor = openSync(path, 'r+');
      const length = random.chance(0.7) ? at : size + 1 + random.below(5_000);
      ftruncateSync(descriptor, length);
      closeSync(descriptor);
      return `${name} made ${length} bytes long instead of ${size}`;
    }
    case 7: {
      if (others.length === 0) return damage(random, root);
      const other = random.pick(others);
      renameSync(path, `${path}.swap`);
      renameSync(other, path);
      renameSync(`${path}.swap`, other);
      return `${name} and ${relative(root, other)} swapped`;
    }
    case 8: {
      if (others.length > 0 && random.chance(0.6)) {
        const other = random.pick(others);
        copyFileSync(other, path);
        return `${name} is a copy of ${relative(root, other)}`;
      }
      const twin = join(
        dirname(path),
        random.pick(['00000000000000000001', '00000000000000032768', '99999999999999999999', 'copy']),
      );
      if (existsSync(twin)) return damage(random, root);
      copyFileSync(path, twin);
      return `${name} is there once more as ${relative(root, twin)}`;
    }
    case 9:
      rmSync(path);
      return `${name} removed`;
    default: {
      // Stale records of an older file behind the end of the log, as in a file that was used before.
      const last = log.at(-1)!;
      const older = readFileSync(random.pick(log));
      const bytes = readFileSync(last);
      let end = bytes.length;
      while (end > 0 && bytes[end - 1] === 0) end -= 1;
      const gap = random.pick([0, 0, 1, 4, 300]);
      if (end + gap >= bytes.length) return damage(random, root);
      overwrite(
        last,
        end + gap,
        older
          .subarray(random.chance(0.5) ? end + gap : 0, bytes.length - end - gap + (random.chance(0.5) ? 0 : 0))
          .subarray(0, bytes.length - end - gap),
      );
      return `records of an older file at ${end + gap} of ${relative(root, last)}`;
    }
  }
}

/**
 * What no start can notice without a look at the whole log, which is what verifying a store is for: an entry that is gone
 * from a queue; the oldest file gone, as in the ordinary course of things; anything behind the durable point, where what
 * is missing was never promised, and that is the whole log when the checkpoint is damaged too.
 */
function cannotBeKnown(template: Template, damages: readonly string[]): boolean {
  if (!template.isClosed) return true;
  return damages.some((one) => /consumequeue\/|checkpoint|commitlog\/0{20} removed/.test(one));
}

interface Outcome {
  served: Set<string>;
  refused: string | undefined;
  /** What the store said at level warn or error, or as its failure. */
  said: string[];
}

function checked(template: Template, place: string, record: Buffer, what: string): Known {
  const offset = Number(record.readBigInt64BE(28));
  const known = template.byOffset.get(offset);
  if (!known) throw new Find(`${what}: ${place} is a record with the offset ${offset}, where none was written`);
  const sysFlag = record.readInt32BE(36);
  const bodyAt = 84 + (sysFlag & 0x10 ? 12 : 0) + (sysFlag & 0x20 ? 12 : 0);
  const body = record.subarray(bodyAt + 4, bodyAt + 4 + record.readInt32BE(bodyAt));
  if (!known.body.equals(body))
    throw new Find(`${what}: ${place} is served with another body than ${known.key} was sent with`);
  return known;
}

async function openAndRead(
  template: Template,
  directory: string,
  what: string,
  random: Random,
  saidBefore: readonly string[] = [],
): Promise<Outcome> {
  const outcome: Outcome = { served: new Set(), refused: undefined, said: [...saidBefore] };
  const note = (fields: object, message: string): void => {
    outcome.said.push(`${message} ${JSON.stringify(fields)}`);
  };
  const logger: StoreLogger = { debug() {}, info() {}, warn: note, error: note };
  let store: MessageStore;
  try {
    store = await within(
      OPEN_MS,
      `${what}: opening`,
      MessageStore.open(small(directory, template.options), { logger }),
    );
  } catch (error) {
    if (error instanceof Find) throw error;
    expectOwnError(error, what, /^STORE_/);
    outcome.refused = (error as { code: string }).code;
    outcome.said.push((error as Error).message);
    return outcome;
  }
  try {
    await within(OPEN_MS, `${what}: reading`, readAll(template, store, what, outcome, random));
  } finally {
    if (store.failure) outcome.said.push(store.failure.message);
    await within(
      OPEN_MS,
      `${what}: closing`,
      store.shutdown().catch((error) => {
        expectOwnError(error, `${what}: closing`, /^STORE_/);
        outcome.said.push((error as Error).message);
      }),
    );
  }
  return outcome;
}

async function readAll(
  template: Template,
  store: MessageStore,
  what: string,
  outcome: Outcome,
  random: Random,
): Promise<void> {
  for (const topic of TOPICS) {
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      const end = store.getMaxOffsetInQueue(topic, queueId);
      // No checksum covers a record's queue offset (unless __CRC32# is on), so a bit of it can make a queue seem long.
      // Then it was said, and the far end is only looked at.
      const isLong = end > MESSAGES * 10;
      if (isLong && outcome.said.length === 0) {
        throw new Find(`${what}: ${topic}/${queueId} claims to end at ${end} and nothing was said`);
      }
      const stop = isLong ? MESSAGES * 10 : end;
      if (isLong) await store.getMessage('fuzz', topic, queueId, end - 1, 32).catch(() => {});
      for (let offset = store.getMinOffsetInQueue(topic, queueId); offset < stop; ) {
        let next: number;
        try {
          const result = await store.getMessage('fuzz', topic, queueId, offset, 32);
          next = result.nextBeginOffset;
          for (const record of result.records) {
            const known = checked(template, `${topic}/${queueId}/${offset}`, record, what);
            if (!known.key.startsWith(`${topic}/${queueId}/`))
              throw new Find(`${what}: ${known.key} is served from ${topic}/${queueId}`);
            const at = Number(known.key.split('/')[2]);
            if (at < offset || at >= next)
              throw new Find(`${what}: ${known.key} is served for offsets ${offset} to ${next}`);
            outcome.served.add(known.key);
          }
          if (next <= offset) throw new Find(`${what}: ${topic}/${queueId} stays at ${offset} with ${result.status}`);
        } catch (error) {
          if (error instanceof Find) throw error;
          expectOwnError(error, `${what}: reading`, /^STORE_/);
          outcome.said.push((error as Error).message);
          next = offset + 1;
        }
        offset = next;
      }
    }
  }
  for (let times = 0; times < 6; times++) {
    const known = random.pick([...template.byOffset.values()]);
    const record = await store.selectOneMessageByOffset(known.offset).catch((error) => {
      expectOwnError(error, `${what}: reading by offset`, /^STORE_/);
      return undefined;
    });
    if (record) checked(template, `the record at ${known.offset}`, record, what);
    const near = await store.selectOneMessageByOffset(known.offset + 1 + random.below(60)).catch((error) => {
      expectOwnError(error, `${what}: reading by offset`, /^STORE_/);
      return undefined;
    });
    if (near) checked(template, 'a record that begins inside another', near, what);
    try {
      const { records } = await store.queryMessage(known.key.split('/')[0]!, `key-${random.below(40)}`, 32);
      for (const found of records) checked(template, 'a record found by its key', found, what);
    } catch (error) {
      if (error instanceof Find) throw error;
      expectOwnError(error, `${what}: reading by key`, /^STORE_/);
    }
  }
}

export const store: Target = {
  name: 'store',
  sessionRounds: 200,
  async open(directory) {
    mkdirSync(directory, { recursive: true });
    const templates = [
      await makeTemplate(directory, 'closed', {}, true),
      await makeTemplate(directory, 'crashed', {}, false),
      await makeTemplate(directory, 'sync', { flushDiskType: 'SYNC_FLUSH', damagedStorePolicy: 'refuse' }, false),
      await makeTemplate(directory, 'mmap', { writeWithoutMmap: false }, true),
    ];
    const work = join(directory, 'work');
    return {
      async round(random) {
        const template = random.pick(templates);
        rmSync(work, { recursive: true, force: true });
        cpSync(template.directory, work, { recursive: true });
        const damages = Array.from({ length: 1 + random.skewed(2) }, () => damage(random, work));
        const what = `${template.name}: ${damages.join('; ')}`;
        const first = await openAndRead(template, work, what, random);
        const missing = template.messages.size - first.served.size;
        if (missing > 0 && first.said.length === 0 && !cannotBeKnown(template, damages)) {
          throw new Find(
            `${what}: ${missing} of ${template.messages.size} messages are not served and nothing was said`,
          );
        }
        if (!random.chance(0.3)) return;
        const second = await openAndRead(template, work, `${what}; opened again`, random, first.said);
        if (first.refused === undefined && second.refused !== undefined) {
          throw new Find(`${what}: opens once and then is refused with ${second.refused}: ${second.said.at(-1)}`);
        }
        const lost = [...first.served].filter((key) => !second.served.has(key));
        if (lost.length > 0 && first.refused === undefined) {
          throw new Find(
            `${what}: ${lost.length} messages are served after the first opening and not after the second, ${lost[0]} first`,
          );
        }
      },
      async close() {
        rmSync(work, { recursive: true, force: true });
      },
    };
  },
};
