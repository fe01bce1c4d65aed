import { asArray, asObject, type JsonObject, RemotingError } from '@vernier/remoting';
import { QUEUE_COUNT_MAX } from '@vernier/store/internal';

/**
 * Where a stretch of a logical queue lies: in queue `queueId` of a broker. Number n of the broker's queue is number
 * n − startOffset + logicOffset of the logical one (RocketMQ LogicQueueMappingItem).
 */
export interface QueueMappingItem {
  readonly gen: number;
  readonly queueId: number;
  readonly bname: string;
  readonly logicOffset: number;
  readonly startOffset: number;
  /** Exclusive; −1 while the stretch goes on. */
  readonly endOffset: number;
  /** Unix milliseconds, −1 where nobody knows. */
  readonly timeOfStart: number;
  readonly timeOfEnd: number;
}

/** Which logical queues of a static topic a broker has (RocketMQ TopicQueueMappingDetail). */
export interface QueueMapping {
  readonly topic: string;
  readonly scope: string;
  /** Of the topic, on all brokers. */
  readonly totalQueues: number;
  /** The broker that this is about. */
  readonly bname: string;
  /** Grows with each change; an older one is refused. */
  readonly epoch: number;
  readonly dirty: boolean;
  /** By number of the logical queue, the stretches in order, the one that is written last. */
  readonly hostedQueues: ReadonlyMap<number, readonly QueueMappingItem[]>;
}

const GLOBAL_SCOPE = '__global__';
const TEXT_MAX = 255;
/** A queue moves when an operator says so. */
const ITEMS_MAX = 1_000;
/** Nameservers are told of each; Vernier's take 64 KiB of a topic. */
const HOSTED_MAX = 4_096;
/** The numbers behind it, of more messages than a disk holds, are whole numbers too. */
const LOGIC_OFFSET_MAX = 2 ** 52;

/** Takes a mapping from JSON. Throws REMOTING_BODY_INVALID with the member that is none. */
export function queueMappingFromJson(value: unknown): QueueMapping {
  const object = asObject(value, 'TopicQueueMappingDetail');
  const hosted = asObject(object.hostedQueues ?? {}, 'hostedQueues');
  const hostedQueues = new Map<number, readonly QueueMappingItem[]>();
  for (const [name, items] of Object.entries(hosted)) {
    if (!/^\d{1,5}$/.test(name)) throw invalid(`hostedQueues: ${name.slice(0, 20)} is no number of a queue`);
    const list = asArray(items, `hostedQueues.${name}`);
    if (list.length > ITEMS_MAX) throw invalid(`hostedQueues.${name} has ${list.length} items, at most ${ITEMS_MAX}`);
    hostedQueues.set(
      Number(name),
      list.map((item) => itemFromJson(asObject(item, 'LogicQueueMappingItem'))),
    );
  }
  return {
    topic: text(object, 'topic', ''),
    scope: text(object, 'scope', GLOBAL_SCOPE),
    totalQueues: whole(object, 'totalQueues', 0),
    bname: text(object, 'bname', ''),
    epoch: whole(object, 'epoch', 0),
    dirty: object.dirty === true,
    hostedQueues,
  };
}

function itemFromJson(object: JsonObject): QueueMappingItem {
  return {
    gen: whole(object, 'gen', 0),
    queueId: whole(object, 'queueId', 0),
    bname: text(object, 'bname', ''),
    logicOffset: whole(object, 'logicOffset', 0),
    startOffset: whole(object, 'startOffset', 0),
    endOffset: whole(object, 'endOffset', -1),
    timeOfStart: whole(object, 'timeOfStart', -1),
    timeOfEnd: whole(object, 'timeOfEnd', -1),
  };
}

function whole(object: JsonObject, name: string, absent: number): number {
  const value = object[name] ?? absent;
  if (!Number.isSafeInteger(value)) throw invalid(`${name} is no whole number`);
  return value as number;
}

function text(object: JsonObject, name: string, absent: string): string {
  const value = object[name] ?? absent;
  if (typeof value !== 'string' || value.length > TEXT_MAX)
    throw invalid(`${name} is no text of ${TEXT_MAX} characters`);
  return value;
}

const invalid = (why: string): RemotingError =>
  new RemotingError('REMOTING_BODY_INVALID', `TopicQueueMappingDetail: ${why}`);

/** As topicQueueMapping.json and answers have it. */
export function queueMappingJson(mapping: QueueMapping): object {
  const { hostedQueues, ...rest } = mapping;
  return { ...rest, currIdMap: {}, hostedQueues: Object.fromEntries(hostedQueues) };
}

/** As nameservers and routes have it (RocketMQ TopicQueueMappingInfo): which logical queue is which of the broker's. */
export function queueMappingInfoJson({ hostedQueues, ...rest }: QueueMapping): object {
  const ids: [number, number][] = [];
  for (const [globalId, items] of hostedQueues) {
    const leader = items.at(-1);
    if (leader?.bname === rest.bname) ids.push([globalId, leader.queueId]);
  }
  return { ...rest, currIdMap: Object.fromEntries(ids) };
}

/**
 * Why this broker cannot serve the mapping; undefined when it can. A queue that has lain on another broker, or lies there
 * now, needs that one.
 */
export function queueMappingFault(mapping: QueueMapping, topic: string, brokerName: string): string | undefined {
  const { totalQueues, hostedQueues } = mapping;
  if (mapping.topic !== topic) return `the mapping is of topic ${mapping.topic}, the request of ${topic}`;
  if (mapping.bname !== brokerName) return `the mapping is of broker ${mapping.bname}, this one is ${brokerName}`;
  if (totalQueues < 1 || totalQueues > QUEUE_COUNT_MAX) {
    return `totalQueues=${totalQueues}: allowed are 1 to ${QUEUE_COUNT_MAX}`;
  }
  if (mapping.epoch < 0) return `epoch=${mapping.epoch} is negative`;
  for (const [globalId, items] of hostedQueues) {
    const fault = itemsFault(items, brokerName);
    if (fault !== undefined) return `logical queue ${globalId} of ${topic}: ${fault}`;
  }
  return undefined;
}

/**
 * Why the queues of a mapping, with those that it takes over, do not go together in a topic of `queueCount` queues here: they
 * could be neither written nor read, or two would read the same. Undefined when they do.
 */
export function togetherFault(
  { topic, totalQueues, bname, hostedQueues }: QueueMapping,
  queueCount: number,
): string | undefined {
  if (hostedQueues.size > HOSTED_MAX) {
    return `${hostedQueues.size} logical queues of ${topic} on one broker, at most ${HOSTED_MAX} are allowed`;
  }
  const taken = new Map<number, number>();
  for (const [globalId, items] of hostedQueues) {
    if (globalId >= totalQueues) return `logical queue ${globalId} of ${topic}: of ${totalQueues} queues`;
    for (const { queueId } of items.filter((item) => item.bname === bname)) {
      if (queueId >= queueCount) {
        return `logical queue ${globalId} of ${topic} is queue ${queueId}, the topic has ${queueCount} here`;
      }
      const other = taken.get(queueId) ?? globalId;
      if (other !== globalId) return `logical queues ${other} and ${globalId} of ${topic} are both queue ${queueId}`;
      taken.set(queueId, globalId);
    }
  }
  return undefined;
}

function itemsFault(items: readonly QueueMappingItem[], brokerName: string): string | undefined {
  const elsewhere = items.find(({ bname }) => bname !== brokerName);
  if (elsewhere !== undefined) {
    return `it lies or has lain on broker ${elsewhere.bname}; a queue that moves between brokers is not served yet`;
  }
  if (items.length !== 1) return `it has ${items.length} stretches; a queue that moved is not served yet`;
  const { gen, endOffset } = items[0]!;
  if (gen < 0) return `gen=${gen} is negative`;
  const fault = numbersFault(items[0]!);
  if (fault !== undefined) return fault;
  if (endOffset !== -1) return `endOffset=${endOffset}: the stretch has ended, and there is none behind it`;
  return undefined;
}

/** Why no messages can lie or be numbered so. RocketMQ's own stretches begin at 0 of the broker's queue, always. */
export function numbersFault({ queueId, logicOffset, startOffset }: QueueMappingItem): string | undefined {
  if (queueId < 0 || queueId >= QUEUE_COUNT_MAX) return `queueId=${queueId}: allowed are 0 to ${QUEUE_COUNT_MAX - 1}`;
  if (logicOffset < 0 || logicOffset > LOGIC_OFFSET_MAX) {
    return `logicOffset=${logicOffset}: allowed are 0 to ${LOGIC_OFFSET_MAX}`;
  }
  return startOffset === 0 ? undefined : `startOffset=${startOffset}: allowed is 0`;
}

/** RocketMQ's rules for a mapping that takes the place of another: why it cannot; undefined when it can. */
export function replacementFault(old: QueueMapping, next: QueueMapping): string | undefined {
  if (next.epoch < old.epoch) return `Can't accept data with small epoch ${next.epoch} < ${old.epoch}`;
  if (next.scope !== old.scope) return `Can't accept data with unmatched scope ${next.scope} != ${old.scope}`;
  for (const [globalId, [before]] of old.hostedQueues) {
    const after = next.hostedQueues.get(globalId)?.[0];
    if (after === undefined) {
      if (next.epoch === old.epoch) return 'Cannot accept equal epoch with null data';
      continue;
    }
    if (before === undefined || before.gen > after.gen) continue;
    const isSame =
      before.queueId === after.queueId &&
      before.startOffset === after.startOffset &&
      before.logicOffset === after.logicOffset;
    if (before.gen === after.gen ? !isSame : next.epoch === old.epoch) {
      return `logical queue ${globalId} of ${next.topic} is already queue ${before.queueId} from ${before.logicOffset} on`;
    }
  }
  return undefined;
}

/** The same with the queues of `old` that it does not name. */
export function withQueuesOf(old: QueueMapping | undefined, next: QueueMapping): QueueMapping {
  if (old === undefined) return next;
  const hostedQueues = new Map(next.hostedQueues);
  for (const [globalId, items] of old.hostedQueues) if (!hostedQueues.has(globalId)) hostedQueues.set(globalId, items);
  return { ...next, hostedQueues };
}
