import { checkMessageAndReturnSize } from '../../commit-log/message-decoder.ts';
import { BORNHOST_V6_FLAG, STOREHOSTADDRESS_V6_FLAG } from '../../commit-log/sys-flag.ts';
import { silentLogger } from '../../logger.ts';
import { MessageStore } from '../../message-store.ts';
import { CQ_STORE_UNIT_SIZE } from '../../queue/unit.ts';
import type { MessageExt } from '../../types.ts';
import type { SimulatedFileSystem } from '../simulated-file-system.ts';
import { logImage } from './checks.ts';
import type { Model } from './model.ts';
import type { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
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
  messages: ReadonlyMap<string, readonly MessageExt[]>,
  model: Model,
  random: Random,
  time: number,
  durablePoint = store.maxPhyOffset,
): Promise<'named' | 'left-out' | 'harmless' | 'nothing-there'> {
  const { config, maxPhyOffset, minPhyOffset } = store;
  if (durablePoint <= minPhyOffset) return 'nothing-there';
  const offset = random.integer(minPhyOffset, durablePoint - 1);
  const size = config.mappedFileSizeCommitLog;
  const path = `${config.storePathCommitLog}/${String(offset - (offset % size)).padStart(20, '0')}`;
  fileSystem.flipOnRead(path, offset % size, 1 << random.integer(0, 7));
  const before = logImage(fileSystem, config.storePathCommitLog, maxPhyOffset);

  const scheduler = new Scheduler(time);
  const damaged = await scheduler.complete(
    MessageStore.open(config, { fileSystem, clock: scheduler, logger: silentLogger }),
    'the opening of a damaged store',
    EVENTS_MAX,
  );
  const found = await scheduler.complete(collect(damaged), 'reading a damaged store', EVENTS_MAX);
  for (const [at, { body }] of found) model.checkBody(body, `log offset ${at}`);
  const { failure } = damaged;
  if (failure && failure.code !== 'STORE_DAMAGED') throw failure;
  const { from = 0, to = 0 } = (failure?.details ?? {}) as { from?: number; to?: number };
  if (failure && !(from <= offset && offset < to)) {
    throw new Violation(`a bit of offset ${offset} was flipped, the damage is said to be ${from} to ${to}`);
  }
  const end = failure ? from : maxPhyOffset;
  const mayDisplace = isPlaceOfRecord(offset, messages, before, minPhyOffset);
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

/**
 * The byte belongs to what says where a record stands in which queue. RocketMQ's format has no checksum over that without
 * enabledAppendPropCRC: when the queue is made anew, the record can stand in front of others there (docs/durability.md).
 */
function isPlaceOfRecord(
  offset: number,
  messages: ReadonlyMap<string, readonly MessageExt[]>,
  image: Buffer,
  minPhyOffset: number,
): boolean {
  for (const list of messages.values()) {
    for (const { commitLogOffset, storeSize, topic } of list) {
      const at = offset - commitLogOffset;
      if (at < 0 || at >= storeSize) continue;
      if ((at >= QUEUE_ID_AT && at < QUEUE_ID_AT + 4) || (at >= QUEUE_OFFSET_AT && at < QUEUE_OFFSET_AT + 8))
        return true;
      const record = image.subarray(commitLogOffset - minPhyOffset);
      const sysFlag = record.readInt32BE(36);
      const hostBytes = (sysFlag & BORNHOST_V6_FLAG ? 12 : 0) + (sysFlag & STOREHOSTADDRESS_V6_FLAG ? 12 : 0);
      const topicAt = 88 + hostBytes + record.readInt32BE(84 + hostBytes);
      // In front of the name one or two bytes with its length.
      return at >= topicAt && at < topicAt + 2 + topic.length;
    }
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
  messages: ReadonlyMap<string, readonly MessageExt[]>,
  random: Random,
  time: number,
): Promise<'left-out' | 'harmless' | 'nothing-there'> {
  const { config } = store;
  const lists = [...messages.values()].filter((list) => list.length > 0);
  if (lists.length === 0) return 'nothing-there';
  const hit = random.pick(random.pick(lists));
  const size = Math.ceil(config.mappedFileSizeConsumeQueue / CQ_STORE_UNIT_SIZE) * CQ_STORE_UNIT_SIZE;
  const where = hit.queueOffset * CQ_STORE_UNIT_SIZE + random.integer(0, CQ_STORE_UNIT_SIZE - 1);
  const name = String(where - (where % size)).padStart(20, '0');
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
