import {
  asObject,
  type DataVersion,
  dataVersionFromJson,
  dataVersionJson,
  initialDataVersion,
  nextDataVersion,
  ResponseCode,
} from '@vernier/remoting';
import { type Budget, textBytes } from '../base/budget.ts';
import { Refusal } from '../base/refusal.ts';
import {
  numbersFault,
  type QueueMapping,
  queueMappingFromJson,
  queueMappingInfoJson,
  queueMappingJson,
} from './queue-mapping.ts';

/** A logical queue of a static topic, as it lies on this broker. */
export interface StaticQueue {
  readonly globalId: number;
  readonly queueId: number;
  /** Number of a message in the logical queue less its number in the broker's. */
  readonly delta: number;
}

const mappingBytes = (mapping: QueueMapping): number =>
  1_000 + 3 * textBytes(mapping.topic) + mapping.hostedQueues.size * 600;

/**
 * Static topics (RocketMQ TopicQueueMappingManager): their queues have numbers of their own, which clients use, and each
 * lies in a queue of a broker. topicQueueMapping.json is RocketMQ's.
 */
export class StaticTopics {
  readonly #brokerName: string;
  readonly #now: () => number;
  readonly #budget: Budget;
  readonly #changed: () => void;
  readonly #topics = new Map<string, QueueMapping>();
  dataVersion: DataVersion;
  /** There is a file, or has to be one. */
  #hasFile = false;

  constructor(brokerName: string, deps: { now(): number; budget: Budget; changed(): void }) {
    this.#brokerName = brokerName;
    this.#now = deps.now;
    this.#budget = deps.budget;
    this.#changed = deps.changed;
    this.dataVersion = initialDataVersion(deps.now());
  }

  get table(): ReadonlyMap<string, QueueMapping> {
    return this.#topics;
  }

  get(topic: string): QueueMapping | undefined {
    return this.#topics.get(topic);
  }

  /**
   * Where a logical queue lies; undefined for a topic that is not static. Without a number (−1) any of those that can be
   * written, drawn with `random` (0 up to 1). A Refusal for a queue that this broker does not serve.
   */
  queue(topic: string, globalId: number, random?: () => number): StaticQueue | Refusal | undefined {
    if (this.#topics.size === 0) return undefined;
    const mapping = this.#topics.get(topic);
    if (mapping === undefined) return undefined;
    if (globalId >= 0 || random === undefined) return this.#queueOf(mapping, globalId);
    const ids = [...mapping.hostedQueues.keys()];
    const drawn = Math.floor(random() * ids.length);
    let refusal: Refusal | undefined;
    for (let i = 0; i < ids.length; i++) {
      const queue = this.#queueOf(mapping, ids[(drawn + i) % ids.length]!);
      if (!(queue instanceof Refusal)) return queue;
      refusal ??= queue;
    }
    return refusal ?? this.#queueOf(mapping, globalId);
  }

  #queueOf(mapping: QueueMapping, globalId: number): StaticQueue | Refusal {
    const { topic } = mapping;
    const items = mapping.hostedQueues.get(globalId);
    const leader = items?.at(-1);
    if (leader === undefined || leader.bname !== this.#brokerName) {
      const remark = `${topic}-${globalId} does not exist in request process of current broker ${this.#brokerName}`;
      return new Refusal(ResponseCode.NOT_LEADER_FOR_QUEUE, remark);
    }
    if (items!.length > 1 || leader.logicOffset < 0) {
      const remark = `${topic}-${globalId} has lain on broker ${items![0]!.bname}; a queue that moved is not served yet`;
      return new Refusal(ResponseCode.SYSTEM_ERROR, remark);
    }
    const fault = numbersFault(leader);
    if (fault !== undefined) return new Refusal(ResponseCode.SYSTEM_ERROR, `${topic}-${globalId}: ${fault}`);
    return { globalId, queueId: leader.queueId, delta: leader.logicOffset - leader.startOffset };
  }

  /** Which logical queue lies in a queue of the broker; undefined for none, and for a topic that is not static. */
  logical(topic: string, queueId: number): StaticQueue | undefined {
    if (this.#topics.size === 0) return undefined;
    const mapping = this.#topics.get(topic);
    for (const globalId of mapping?.hostedQueues.keys() ?? []) {
      const queue = this.#queueOf(mapping as QueueMapping, globalId);
      if (!(queue instanceof Refusal) && queue.queueId === queueId) return queue;
    }
    return undefined;
  }

  /** The logical queues of a topic that are here, by number; undefined for a topic that is not static. */
  hosted(topic: string): readonly StaticQueue[] | undefined {
    const mapping = this.#topics.get(topic);
    if (mapping === undefined) return undefined;
    const queues = [...mapping.hostedQueues.keys()].map((globalId) => this.#queueOf(mapping, globalId));
    return queues
      .filter((queue): queue is StaticQueue => !(queue instanceof Refusal))
      .sort((a, b) => a.globalId - b.globalId);
  }

  /** What nameservers are told, by topic. */
  infos(): Map<string, object> {
    return new Map([...this.#topics].map(([topic, mapping]) => [topic, queueMappingInfoJson(mapping)]));
  }

  /** Whether the mapping may take its place; when not, `noRoom` says why. */
  hasRoomFor(mapping: QueueMapping): boolean {
    return this.#budget.hasRoomFor(mappingBytes(mapping) - this.#bytesOf(mapping.topic));
  }

  get noRoom(): string {
    return this.#budget.reason;
  }

  /** Makes the topic a static one, or its mapping another. */
  set(mapping: QueueMapping): void {
    this.#put(mapping);
    this.#touch();
  }

  delete(topic: string): void {
    this.#budget.give(this.#bytesOf(topic));
    if (this.#topics.delete(topic)) this.#touch();
  }

  /**
   * Forgets the topics that are not there (`isThere`): a crash came between a deletion and the save of this table, or between
   * its save and that of a new topic. A topic made anew by that name is an ordinary one. Gives their names.
   */
  keepOnly(isThere: (topic: string) => boolean): string[] {
    const gone = [...this.#topics.keys()].filter((topic) => !isThere(topic));
    for (const topic of gone) this.delete(topic);
    return gone;
  }

  /** Takes over a parsed topicQueueMapping.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { topicQueueMappingInfoMap, dataVersion } = asObject(file, 'topicQueueMapping.json');
    for (const [topic, value] of Object.entries(asObject(topicQueueMappingInfoMap ?? {}, 'topicQueueMappingInfoMap'))) {
      this.#put({ ...queueMappingFromJson(value), topic });
    }
    if (dataVersion !== undefined) this.dataVersion = dataVersionFromJson(dataVersion);
    this.#hasFile = true;
  }

  /** A broker that never had a static topic has no file. */
  async prepareSave(): Promise<boolean> {
    return this.#hasFile;
  }

  *encode(): Iterable<string> {
    yield `{\n"dataVersion":${JSON.stringify(dataVersionJson(this.dataVersion))},\n"topicQueueMappingInfoMap":{`;
    let separator = '\n';
    for (const [topic, mapping] of this.#topics) {
      yield `${separator}${JSON.stringify(topic)}:${JSON.stringify(queueMappingJson(mapping))}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }

  #bytesOf(topic: string): number {
    const known = this.#topics.get(topic);
    return known === undefined ? 0 : mappingBytes(known);
  }

  #put(mapping: QueueMapping): void {
    this.#budget.add(mappingBytes(mapping) - this.#bytesOf(mapping.topic));
    this.#topics.set(mapping.topic, mapping);
  }

  #touch(): void {
    this.#hasFile = true;
    this.dataVersion = nextDataVersion(this.dataVersion, this.#now());
    this.#changed();
  }
}
