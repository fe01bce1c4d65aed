import type { MessageStore, StoredMessage } from '@vernier/store';
import { DelayLevels, SCHEDULE_TOPIC, scanLog, tagsStringToTagsCode } from '@vernier/store/internal';
import { isInnerBatch, unwrapped } from './inner-batches.ts';
import type { Random } from './random.ts';
import type { SimulatedFileSystem } from './simulation/simulated-file-system.ts';
import { Violation } from './violation.ts';

/** What a recovered store has. */
export interface StoreContent {
  /** Every message of every queue, in order. */
  messages: Map<string, StoredMessage[]>;
  /** The number that the next message of each queue gets. */
  queueEnds: Map<string, number>;
  /** Where the log begins and ends. */
  minPhyOffset: number;
  maxPhyOffset: number;
}

/** Reads everything; each queue must give as many messages as it says it has. */
export async function readAll(store: MessageStore): Promise<StoreContent> {
  const messages = new Map<string, StoredMessage[]>();
  const queueEnds = new Map<string, number>();
  for (const [topic, queueIds] of store.queuesByTopic()) {
    for (const queueId of queueIds) {
      const list: StoredMessage[] = [];
      for await (const message of store.readQueue(topic, queueId)) list.push(...unwrapped(message));
      const min = store.getMinOffsetInQueue(topic, queueId);
      const max = store.getMaxOffsetInQueue(topic, queueId);
      if (list.length !== max - min) {
        const missing = list.findIndex((message, i) => message.queueOffset !== min + i);
        throw new Violation(
          `queue ${topic}-${queueId} goes from ${min} to ${max} and gives ${list.length} messages, the first without one is ` +
            `${min + (missing < 0 ? list.length : missing)}`,
        );
      }
      messages.set(`${topic}-${queueId}`, list);
      queueEnds.set(`${topic}-${queueId}`, max);
    }
  }
  return { messages, queueEnds, minPhyOffset: store.minPhyOffset, maxPhyOffset: store.maxPhyOffset };
}

/** Every record of the log that is not dead stands in its queue, every entry points at a record, and behind the log's end are zeros. */
export async function checkLog(
  store: MessageStore,
  fileSystem: SimulatedFileSystem,
  messages: ReadonlyMap<string, readonly StoredMessage[]>,
  deadBelow: (topic: string) => number,
): Promise<void> {
  const offsets = new Set<number>();
  for (const [queue, list] of messages) {
    for (const message of isOwn(queue, list) ? list : []) offsets.add(message.commitLogOffset);
  }
  const { mappedFileSizeCommitLog: size, storePathCommitLog: directory } = store.config;
  const files = logPaths(fileSystem, directory).map((path) => ({ path, from: Number(path.slice(-20)), size }));
  let records = 0;
  const options = { fileSystem, checkCrc: true, verifyPropCrc: true };
  const scan = await scanLog(files, store.minPhyOffset, store.maxPhyOffset, options, {
    onRecord: (record, chunk) => {
      const topic = chunk.toString('utf8', record.topicAt, record.topicAt + record.topicLength);
      if (record.physicalOffset < deadBelow(topic)) return;
      records++;
      if (!offsets.has(record.physicalOffset)) {
        throw new Violation(`the record at ${record.physicalOffset} is in the log and in no queue`);
      }
    },
  });
  if (scan.end !== store.maxPhyOffset || records !== offsets.size) {
    throw new Violation(
      `the log is good up to ${scan.end} of ${store.maxPhyOffset} with ${records} records, the queues have ${offsets.size}`,
    );
  }
  for (const file of files) {
    if (file.from + size <= store.maxPhyOffset) continue;
    const tail = fileSystem.volatileContent(file.path).subarray(Math.max(0, store.maxPhyOffset - file.from));
    const at = tail.findIndex((byte) => byte !== 0);
    if (at >= 0) throw new Violation(`${file.path} holds bytes behind the log's end, the first ${at} behind it`);
  }
}

/** Of a light queue the messages are of other topics, which may be deleted. */
function isOwn(queue: string, [first]: readonly StoredMessage[]): boolean {
  return first !== undefined && queue === `${first.topic}-${first.queueId}`;
}

/** The bytes of the log below `end`; two recoveries must leave the same. */
export function logImage(fileSystem: SimulatedFileSystem, directory: string, end: number): Buffer {
  const parts: Buffer[] = [];
  for (const path of logPaths(fileSystem, directory)) {
    const from = Number(path.slice(-20));
    if (from < end) parts.push(fileSystem.volatileContent(path).subarray(0, end - from));
  }
  return Buffer.concat(parts);
}

/** The queues' tag codes, which filters look at, are those of the messages; of those that wait, the time they are due. */
export async function checkTags(
  store: MessageStore,
  messages: ReadonlyMap<string, readonly StoredMessage[]>,
): Promise<void> {
  const levels = new DelayLevels(store.config.messageDelayLevel);
  const codeOf = ({ topic, tags, properties, storeTimestamp }: StoredMessage): number =>
    topic === SCHEDULE_TOPIC
      ? levels.deliverTimestamp(Number(properties.DELAY), storeTimestamp)!
      : tagsStringToTagsCode(tags ?? '');
  for (const [queue, list] of messages) {
    const last = list.at(-1);
    // Entries of light queues are copies of others, and one of a batch queue stands for several messages.
    if (!last || !isOwn(queue, list) || store.hasBatchQueues(last.topic)) continue;
    const codes: number[] = [];
    for (let offset = list[0]!.queueOffset; offset <= last.queueOffset; ) {
      const filter = {
        isMatchedByConsumeQueue: (code: number) => {
          codes.push(code);
          return false;
        },
      };
      const result = await store.getMessage('', last.topic, last.queueId, offset, 32, { filter });
      if (result.nextBeginOffset <= offset) break;
      offset = result.nextBeginOffset;
    }
    for (const [i, message] of list.entries()) {
      if (codes[i] !== codeOf(message)) {
        throw new Violation(`entry ${i} of ${last.topic}-${last.queueId} has another tag than its message`);
      }
    }
  }
}

/** The index finds a few messages of each queue by their keys, and gives none twice. */
export async function checkIndex(
  store: MessageStore,
  messages: ReadonlyMap<string, readonly StoredMessage[]>,
  random: Random,
): Promise<void> {
  for (const list of messages.values()) {
    for (let i = 0; i < Math.min(3, list.length); i++) {
      const message = random.pick(list);
      // Of an inner batch the record is found, by keys of its own.
      if (isInnerBatch(message)) continue;
      const key = message.keys.join(' ');
      const { records } = await store.queryMessage(message.topic, key);
      const found = records.filter((record) => Number(record.readBigInt64BE(28)) === message.commitLogOffset);
      if (found.length === 0) throw new Violation(`the index does not find ${key} of ${message.topic}`);
      if (found.length > 1) throw new Violation(`the index finds ${key} of ${message.topic} ${found.length} times`);
    }
  }
}

function logPaths(fileSystem: SimulatedFileSystem, directory: string): string[] {
  return fileSystem.paths().filter((path) => path.startsWith(`${directory}/`) && /\/\d{20}$/.test(path));
}
