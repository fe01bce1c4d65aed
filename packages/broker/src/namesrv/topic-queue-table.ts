import { Perm, type QueueData, type TopicConfig, TopicSysFlag } from '@vernier/remoting';

/**
 * Entries, one a topic and broker name, that the table takes from brokers elsewhere: 380 to 610 bytes each, by the
 * length of the name, and so 120 MB at most. Beyond it a topic that is known may change, and one that is new is left out.
 */
export const TOPIC_ENTRIES_MAX = 200_000;

/** Which brokers have a topic, and with how many queues (RocketMQ RouteInfoManager.topicQueueTable). */
export class TopicQueueTable {
  /** Topic → broker name → queues. No topic without a broker. */
  readonly #topics = new Map<string, Map<string, QueueData>>();
  /** Broker name → its topics. No broker without a topic. */
  readonly #topicsOf = new Map<string, Set<string>>();
  #entryCount = 0;

  get topics(): string[] {
    return [...this.#topics.keys()];
  }

  /** Number of topics. */
  get size(): number {
    return this.#topics.size;
  }

  /** Number of entries: a topic counts once for each broker name that has it. */
  get entryCount(): number {
    return this.#entryCount;
  }

  /** Queues of a topic by broker name; undefined for an unknown topic. */
  queues(topic: string): ReadonlyMap<string, QueueData> | undefined {
    return this.#topics.get(topic);
  }

  has(topic: string, brokerName: string): boolean {
    return this.#topics.get(topic)?.has(brokerName) === true;
  }

  /** Whether an entry can be put: it replaces one, or there is room. */
  hasRoom(topic: string, brokerName: string): boolean {
    return this.#entryCount < TOPIC_ENTRIES_MAX || this.has(topic, brokerName);
  }

  put(topic: string, queue: QueueData): void {
    const { brokerName } = queue;
    const queues = valueIn(this.#topics, topic, () => new Map<string, QueueData>());
    if (!queues.has(brokerName)) {
      this.#entryCount++;
      valueIn(this.#topicsOf, brokerName, () => new Set<string>()).add(topic);
    }
    queues.set(brokerName, queue);
  }

  putConfig(brokerName: string, topic: TopicConfig, perm = topic.perm): void {
    this.put(topic.topicName, {
      brokerName,
      readQueueNums: topic.readQueueNums,
      writeQueueNums: topic.writeQueueNums,
      perm,
      topicSysFlag: topic.topicSysFlag,
    });
  }

  /** Removes a topic from some brokers, or from all. */
  remove(topic: string, brokerNames: Iterable<string> = this.#topics.get(topic)?.keys() ?? []): void {
    for (const brokerName of [...brokerNames]) this.#removeEntry(topic, brokerName);
  }

  /** Removes every topic of a broker name, but for those in `except`. */
  removeBroker(brokerName: string, except?: ReadonlyMap<string, unknown>): void {
    for (const topic of [...(this.#topicsOf.get(brokerName) ?? [])]) {
      if (except === undefined || !except.has(topic)) this.#removeEntry(topic, brokerName);
    }
  }

  /** Topics that one of these brokers has. */
  topicsOf(brokerNames: Iterable<string>): Set<string> {
    const topics = new Set<string>();
    for (const brokerName of brokerNames) for (const topic of this.#topicsOf.get(brokerName) ?? []) topics.add(topic);
    return topics;
  }

  /** Topics whose first queue data has the unit flag as wanted; undefined = either. */
  *topicsByUnit(unit: boolean | undefined, unitSub: boolean | undefined): Generator<string> {
    const matches = (flag: number, bit: number, wanted: boolean | undefined): boolean =>
      wanted === undefined || ((flag & bit) !== 0) === wanted;
    for (const [topic, queues] of this.#topics) {
      const flag = queues.values().next().value?.topicSysFlag ?? 0;
      if (matches(flag, TopicSysFlag.UNIT, unit) && matches(flag, TopicSysFlag.UNIT_SUB, unitSub)) yield topic;
    }
  }

  /** Takes the write permission from a broker's topics, in this table only. Returns how many it has. */
  wipeWritePerm(brokerName: string): number {
    return this.#changePerm(brokerName, (perm) => perm & ~Perm.WRITE);
  }

  /** Makes a broker's topics readable and writable. Returns how many it has. */
  addWritePerm(brokerName: string): number {
    return this.#changePerm(brokerName, () => Perm.READ | Perm.WRITE);
  }

  #removeEntry(topic: string, brokerName: string): void {
    const queues = this.#topics.get(topic);
    if (queues?.delete(brokerName) !== true) return;
    this.#entryCount--;
    if (queues.size === 0) this.#topics.delete(topic);
    const topics = this.#topicsOf.get(brokerName);
    topics?.delete(topic);
    if (topics?.size === 0) this.#topicsOf.delete(brokerName);
  }

  #changePerm(brokerName: string, change: (perm: number) => number): number {
    const topics = this.#topicsOf.get(brokerName);
    for (const topic of topics ?? []) {
      const queues = this.#topics.get(topic);
      const queue = queues?.get(brokerName);
      if (queue !== undefined) queues?.set(brokerName, { ...queue, perm: change(queue.perm) });
    }
    return topics?.size ?? 0;
  }
}

function valueIn<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
