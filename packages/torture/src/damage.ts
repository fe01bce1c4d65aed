import type { StoredMessage } from '@vernier/store';
import { MessageStore, silentLogger } from '@vernier/store';
import { CQ_STORE_UNIT_SIZE, checkMessageAndReturnSize, offsetToFileName } from '@vernier/store/internal';
import { logImage } from './checks.ts';
import type { Model } from './model.ts';
import type { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import type { SimulatedFileSystem } from './simulation/simulated-file-system.ts';
import { Violation } from './violation.ts';

/** Events that opening and reading a damaged store may take. */
const EVENTS_MAX = 200_000;
/** Messages asked for at a time. */
const PULL_NUMS = 32;
/** Where these fields stand in a record (message-decoder.ts). */
const QUEUE_ID_AT = 12;
const QUEUE_OFFSET_AT = 20;

/**
 * A byte of the log comes back from the disk with other bits, below the durable point. Either recovery reads it: then it
 * names the range and the store is read-only up to there. Or a reader does: then the one message is left out. Nobody is
 * given a wrong byte of a body, no other message is lost, and nothing in the log is changed. `durablePoint`: the whole log
 * without it.
 */
export async function probeDamage(
  store: MessageStore,
  fileSystem: SimulatedFileSystem,
  messages: ReadonlyMap<string, readonly StoredMessage[]>,
  model: Model,
  random: Random,
  time: number,
  durablePoint = store.maxPhyOffset,
): Promise<'named' | 'left-out' | 'harmless' | 'nothing-there'> {
  const { config, maxPhyOffset, minPhyOffset } = store;
  if (durablePoint <= minPhyOffset) return 'nothing-there';
  const offset = random.integer(minPhyOffset, durablePoint - 1);
  const size = config.mappedFileSizeCommitLog;
  const path = `${config.storePathCommitLog}/${offsetToFileName(offset - (offset % size))}`;
  fileSystem.flipOnRead(path, offset % size, 1 << random.integer(0, 7));
  const before = logImage(fileSystem, config.storePathCommitLog, maxPhyOffset);

  const scheduler = new Scheduler(time);
  const damaged = await scheduler.complete(
    MessageStore.open(config, { fileSystem, clock: scheduler, logger: silentLogger }),
    'the opening of a damaged store',
    EVENTS_MAX,
  );
  const found = await scheduler.complete(collect(damaged), 'reading a damaged store', EVENTS_MAX);
  const foreign = foreignBodies(messages, model);
  for (const [at, { body }] of found) {
    const known = foreign.get(at);
    if (known === undefined) model.checkBody(body, `log offset ${at}`);
    else if (!known.equals(body)) throw new Violation(`the message at ${at} of the log has another body than before`);
  }
  const { failure } = damaged;
  if (failure && failure.code !== 'STORE_DAMAGED') throw failure;
  const { from = 0, to = 0 } = (failure?.details ?? {}) as { from?: number; to?: number };
  if (failure && !(from <= offset && offset < to)) {
    throw new Violation(`a bit of offset ${offset} was flipped, the damage is said to be ${from} to ${to}`);
  }
  const end = failure ? from : maxPhyOffset;
  const mayDisplace = isPlaceOfRecord(offset, before, minPhyOffset, size);
  let missing = 0;
  for (const list of messages.values()) {
    for (const { commitLogOffset, storeSize } of list) {
      if (commitLogOffset >= end || found.has(commitLogOffset)) continue;
      missing++;
      if (mayDisplace) continue;
      if (offset < commitLogOffset || offset >= commitLogOffset + storeSize) {
        const until = failure ? `, which is damaged from ${from} to ${to}` : '';
        throw new Violation(
          `a bit of offset ${offset} was flipped, and the message at ${commitLogOffset} of the log${until} is gone`,
        );
      }
    }
  }
  scheduler.stop();
  if (!logImage(fileSystem, config.storePathCommitLog, maxPhyOffset).equals(before)) {
    throw new Violation(`a bit of offset ${offset} was flipped, and the log was changed`);
  }
  if (failure) return 'named';
  return missing > 0 ? 'left-out' : 'harmless';
}

/** By offset in the log: bodies of which the model knows nothing. */
function foreignBodies(messages: ReadonlyMap<string, readonly StoredMessage[]>, model: Model): Map<number, Buffer> {
  const lists = [...messages.values()].filter(([first]) => first !== undefined && model.isForeign(first.topic));
  return new Map(lists.flat().map(({ commitLogOffset, body }) => [commitLogOffset, body]));
}

/**
 * The byte belongs to what says where a record stands in which queue. RocketMQ's format has no checksum over that without
 * enabledAppendPropCRC: when the queue is made anew, the record can stand in front of others there (docs/durability.md).
 */
function isPlaceOfRecord(offset: number, image: Buffer, minPhyOffset: number, fileSize: number): boolean {
  for (let at = 0; at < image.length; ) {
    const check = checkMessageAndReturnSize(image, at);
    if (check.kind === 'blank') at += fileSize - (at % fileSize);
    if (check.kind === 'blank') continue;
    if (check.kind !== 'record') return false;
    const inRecord = offset - minPhyOffset - at;
    if (inRecord < check.size) {
      if (inRecord >= QUEUE_ID_AT && inRecord < QUEUE_ID_AT + 4) return true;
      if (inRecord >= QUEUE_OFFSET_AT && inRecord < QUEUE_OFFSET_AT + 8) return true;
      // The topic's length stands behind the body, in one byte or two.
      return (
        offset - minPhyOffset >= check.bodyAt + check.bodyLength &&
        offset - minPhyOffset < check.topicAt + check.topicLength
      );
    }
    at += check.size;
  }
  return false;
}

/** What a consumer is sent: nobody has looked at the checksums but the reader. */
interface PulledMessage {
  topic: string;
  queueId: number;
  queueOffset: number;
  body: Buffer;
}

/** All that is to be had from the queues, as a broker sends it, by offset in the log. */
async function collect(store: MessageStore): Promise<Map<number, PulledMessage>> {
  const found = new Map<number, PulledMessage>();
  for (const [topic, queueIds] of store.queuesByTopic()) {
    for (const queueId of queueIds) {
      const end = store.getMaxOffsetInQueue(topic, queueId);
      for (let offset = store.getMinOffsetInQueue(topic, queueId); offset < end; ) {
        const { records, nextBeginOffset } = await store.getMessage('', topic, queueId, offset, PULL_NUMS);
        for (const record of records) {
          const { physicalOffset, ...message } = pulled(record);
          if (message.topic !== topic || message.queueId !== queueId || found.has(physicalOffset)) {
            throw new Violation(`queue ${topic}-${queueId} gives the message at ${physicalOffset}, which is not its`);
          }
          found.set(physicalOffset, message);
        }
        if (nextBeginOffset <= offset) break;
        offset = nextBeginOffset;
      }
    }
  }
  return found;
}

function pulled(record: Buffer): PulledMessage & { physicalOffset: number } {
  const layout = checkMessageAndReturnSize(record, 0);
  if (layout.kind !== 'record') throw new Violation(`a consumer was given ${record.length} bytes that are no record`);
  const { queueId, queueOffset, physicalOffset, topicAt, topicLength, bodyAt, bodyLength } = layout;
  const topic = record.toString('utf8', topicAt, topicAt + topicLength);
  return { topic, queueId, queueOffset, physicalOffset, body: record.subarray(bodyAt, bodyAt + bodyLength) };
}

/**
 * A byte of a queue's entry comes back with other bits. The entry is made anew, or the reader leaves it out: every other
 * message is given, each at its place, and nobody is given one that stands elsewhere.
 */
export async function probeQueueDamage(
  store: MessageStore,
  fileSystem: SimulatedFileSystem,
  messages: ReadonlyMap<string, readonly StoredMessage[]>,
  random: Random,
  time: number,
): Promise<'left-out' | 'harmless' | 'nothing-there'> {
  const { config } = store;
  const lists = [...messages.values()].filter((list) => list.length > 0);
  if (lists.length === 0) return 'nothing-there';
  const hit = random.pick(random.pick(lists));
  const size = Math.ceil(config.mappedFileSizeConsumeQueue / CQ_STORE_UNIT_SIZE) * CQ_STORE_UNIT_SIZE;
  const where = hit.queueOffset * CQ_STORE_UNIT_SIZE + random.integer(0, CQ_STORE_UNIT_SIZE - 1);
  const name = offsetToFileName(where - (where % size));
  const path = `${config.storePathRootDir}/consumequeue/${hit.topic}/${hit.queueId}/${name}`;
  if (!fileSystem.paths().includes(path)) return 'nothing-there';
  fileSystem.flipOnRead(path, where % size, 1 << random.integer(0, 7));

  const scheduler = new Scheduler(time);
  const damaged = await scheduler.complete(
    MessageStore.open(config, { fileSystem, clock: scheduler, logger: silentLogger }),
    'the opening of a store with a damaged queue',
    EVENTS_MAX,
  );
  if (damaged.failure) throw damaged.failure;
  const found = await scheduler.complete(collect(damaged), 'reading a store with a damaged queue', EVENTS_MAX);
  scheduler.stop();
  const wasHit = `entry ${hit.queueOffset} of ${hit.topic}-${hit.queueId} was flipped in byte ${where % CQ_STORE_UNIT_SIZE}`;
  let isMissing = false;
  for (const list of lists) {
    for (const message of list) {
      const seen = found.get(message.commitLogOffset);
      if (!seen && message !== hit) {
        throw new Violation(
          `${wasHit}, and entry ${message.queueOffset} of ${message.topic}-${message.queueId} is gone`,
        );
      }
      if (!seen) isMissing = true;
      else if (!isSamePlace(seen, message)) {
        throw new Violation(`${wasHit}, and the message at ${message.commitLogOffset} of the log has another place`);
      }
    }
  }
  return isMissing ? 'left-out' : 'harmless';
}

function isSamePlace(a: PulledMessage, b: PulledMessage): boolean {
  return a.topic === b.topic && a.queueId === b.queueId && a.queueOffset === b.queueOffset && a.body.equals(b.body);
}
