import { Perm, type QueueData, type TopicConfig, TopicSysFlag } from '@vernier/remoting';

/** Which brokers have a topic, and with how many queues (RocketMQ RouteInfoManager.topicQueueTable). */
export class TopicQueueTable {
  /** Topic → broker name → queues. No topic without a broker. */
  readonly #topics = new Map<string, Map<string, QueueData>>();

  get topics(): string[] {
    return [...this.#topics.keys()];
  }

  /** Queues of a topic by broker name; undefined for an unknown topic. */
  queues(topic: string): ReadonlyMap<string, QueueData> | undefined {
    return this.#topics.get(topic);
  }

  has(topic: string, brokerName: string): boolean {
    return this.#topics.get(topic)?.has(brokerName) === true;
  }

  put(topic: string, queue: QueueData): void {
    let queues = this.#topics.get(topic);
    if (queues === undefined) {
      queues = new Map();
      this.#topics.set(topic, queues);
    }
    queues.set(queue.brokerName, queue);
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
  remove(topic: string, brokerNames?: Iterable<string>): void {
    const queues = this.#topics.get(topic);
    if (queues === undefined) return;
    if (brokerNames === undefined) queues.clear();
    else for (const brokerName of brokerNames) queues.delete(brokerName);
    if (queues.size === 0) this.#topics.delete(topic);
  }

  /** Removes every topic of a broker name, but for those in `except`. */
  removeBroker(brokerName: string, except?: ReadonlyMap<string, unknown>): void {
    for (const topic of this.topics) {
      if (except === undefined || !except.has(topic)) this.remove(topic, [brokerName]);
    }
  }

  /** Topics that one of these brokers has. */
  topicsOf(brokerNames: ReadonlySet<string>): string[] {
    return this.topics.filter((topic) => {
      for (const brokerName of this.#topics.get(topic)?.keys() ?? []) if (brokerNames.has(brokerName)) return true;
      return false;
    });
  }

  /** Topics whose first queue data has the unit flag as wanted; undefined = either. */
  topicsByUnit(unit: boolean | undefined, unitSub: boolean | undefined): string[] {
    const matches = (flag: number, bit: number, wanted: boolean | undefined): boolean =>
      wanted === undefined || ((flag & bit) !== 0) === wanted;
    return this.topics.filter((topic) => {
      const flag = this.#topics.get(topic)?.values().next().value?.topicSysFlag ?? 0;
      return matches(flag, TopicSysFlag.UNIT, unit) && matches(flag, TopicSysFlag.UNIT_SUB, unitSub);
    });
  }

  /** Takes the write permission from a broker's topics, in this table only. Returns how many it has. */
  wipeWritePerm(brokerName: string): number {
    return this.#changePerm(brokerName, (perm) => perm & ~Perm.WRITE);
  }

  /** Makes a broker's topics readable and writable. Returns how many it has. */
  addWritePerm(brokerName: string): number {
    return this.#changePerm(brokerName, () => Perm.READ | Perm.WRITE);
  }

  #changePerm(brokerName: string, change: (perm: number) => number): number {
    let count = 0;
    for (const queues of this.#topics.values()) {
      const queue = queues.get(brokerName);
      if (queue === undefined) continue;
      queues.set(brokerName, { ...queue, perm: change(queue.perm) });
      count++;
    }
    return count;
  }
}
