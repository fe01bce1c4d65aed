import {
  asObject,
  createTopicConfig,
  type DataVersion,
  dataVersionFromJson,
  initialDataVersion,
  nextDataVersion,
  Perm,
  type TopicConfig,
  topicConfigJson,
} from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import { BATCH_CQ, isLmq, QUEUE_TYPE, SCHEDULE_TOPIC } from '@vernier/store/internal';
import { type Budget, textBytes } from '../base/budget.ts';
import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  BENCHMARK_TOPIC,
  fixedSystemTopics,
  isInherited,
  OFFSET_MOVED_EVENT,
  reviveTopicOf,
  SCHEDULE_TOPIC_QUEUE_NUM,
  SELF_TEST_TOPIC,
  SYSTEM_TOPIC_PREFIX,
  TIMER_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
} from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import { QueuesOnDisk } from './queues-on-disk.ts';
import { isBatchTopic } from './topic-attributes.ts';
import { topicConfigOfFile } from './topic-config-rules.ts';

const queues = (count: number): Pick<TopicConfig, 'readQueueNums' | 'writeQueueNums'> => ({
  readQueueNums: count,
  writeQueueNums: count,
});

/** The topics every broker has from its first start (RocketMQ TopicConfigManager). */
function bootTopics(config: BrokerConfig): TopicConfig[] {
  const all = Perm.READ | Perm.WRITE | Perm.INHERIT;
  const topics = [
    createTopicConfig(SELF_TEST_TOPIC, queues(1)),
    createTopicConfig(BENCHMARK_TOPIC, queues(1024)),
    createTopicConfig(config.brokerClusterName, { perm: config.clusterTopicEnable ? all : Perm.INHERIT }),
    createTopicConfig(config.brokerName, { ...queues(1), perm: config.brokerTopicEnable ? all : Perm.INHERIT }),
    createTopicConfig(OFFSET_MOVED_EVENT, queues(1)),
    createTopicConfig(SCHEDULE_TOPIC, queues(SCHEDULE_TOPIC_QUEUE_NUM)),
    createTopicConfig(`${config.brokerClusterName}_REPLY_TOPIC`, queues(1)),
    createTopicConfig(reviveTopicOf(config.brokerClusterName), queues(config.reviveQueueNum)),
    createTopicConfig(`${SYSTEM_TOPIC_PREFIX}SYNC_BROKER_MEMBER_${config.brokerName}`, {
      ...queues(1),
      perm: Perm.INHERIT,
    }),
    createTopicConfig(TRANS_HALF_TOPIC, queues(1)),
    createTopicConfig(TRANS_OP_HALF_TOPIC, queues(1)),
  ];
  if (config.autoCreateTopicEnable) {
    topics.push(createTopicConfig(AUTO_CREATE_TOPIC_KEY_TOPIC, { ...queues(config.defaultTopicQueueNums), perm: all }));
  }
  if (config.traceTopicEnable) topics.push(createTopicConfig(config.msgTraceTopicName, queues(1)));
  if (config.timerWheelEnable) topics.push(createTopicConfig(TIMER_TOPIC, queues(1)));
  return topics;
}

export interface TopicConfigManagerDeps {
  logger: StoreLogger;
  now(): number;
  /** Light queues are in use (enableLmq): each is a topic of one queue that no table has. */
  hasLmqs?: boolean;
  /** Of the table. */
  budget: Budget;
  /** The table changed and has to be saved and announced. */
  changed(topics: readonly TopicConfig[]): void;
}

/** An entry here, in the files' text and in the routes. */
const topicBytes = ({ topicName, attributes }: TopicConfig): number =>
  600 + 3 * textBytes(topicName) + attributes.size * 400;

/** The broker's topics (RocketMQ TopicConfigManager). A table in memory; who owns it saves and announces it. */
export class TopicConfigManager {
  readonly table = new Map<string, TopicConfig>();
  dataVersion: DataVersion;
  readonly #config: BrokerConfig;
  readonly #deps: TopicConfigManagerDeps;
  readonly #systemTopics: Set<string>;
  readonly #madeAtStart = new Set<string>();
  /** By topic how many deletions of it are under way. */
  readonly #beingDeleted = new Map<string, number>();
  readonly #onDisk = new QueuesOnDisk();

  constructor(config: BrokerConfig, deps: TopicConfigManagerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.dataVersion = initialDataVersion(deps.now());
    this.#systemTopics = new Set(fixedSystemTopics);
    for (const topic of bootTopics(config)) {
      this.#systemTopics.add(topic.topicName);
      this.#madeAtStart.add(topic.topicName);
      this.#set(topic);
    }
  }

  /**
   * Takes over a parsed topics.json; topics of the boot that it does not know stay. Throws REMOTING_BODY_INVALID when it
   * is something else.
   */
  load(file: unknown): void {
    const { topicConfigTable, dataVersion } = asObject(file, 'topics.json');
    for (const [name, fields] of Object.entries(asObject(topicConfigTable, 'topicConfigTable'))) {
      this.#set(topicConfigOfFile(name, fields, this.#deps.logger));
    }
    this.dataVersion = dataVersionFromJson(dataVersion);
  }

  /** topics.json in pieces, one topic each. */
  *encode(): Iterable<string> {
    this.#onDisk.encoding();
    yield `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n"topicConfigTable":{`;
    let separator = '\n';
    for (const [name, topic] of this.table) {
      yield `${separator}${JSON.stringify(name)}:${JSON.stringify(topicConfigJson(topic))}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }

  saved(): void {
    this.#onDisk.saved();
  }

  /**
   * After a crash at this moment consumers would read the queue. False: topics.json may say fewer queues than the table, and
   * has to be saved before a message in that queue is acknowledged.
   */
  isQueueSaved(topic: string, queueId: number): boolean {
    return this.#onDisk.covers(topic, queueId);
  }

  /**
   * Topics that the store has queues of and the table does not know: topics.json was older than the log when the power
   * went. Their messages were acknowledged, so they must stay reachable. A topic that the table knows stays as it is: it
   * may have fewer queues than the store because an operator took some away. Of a deleted topic the store has no
   * queues.
   */
  adoptStoredQueues(
    queuesByTopic: ReadonlyMap<string, readonly number[]>,
    hasBatchQueues: (topic: string) => boolean = () => false,
  ): TopicConfig[] {
    const adopted: TopicConfig[] = [];
    for (const [topic, queueIds] of queuesByTopic) {
      if (queueIds.length === 0 || this.table.has(topic) || isLmq(topic)) continue;
      const count = queueIds.reduce((highest, queueId) => Math.max(highest, queueId), 0) + 1;
      // RocketMQ does not start when the table says another kind of queues than the directory has.
      const attributes = new Map(hasBatchQueues(topic) ? [[QUEUE_TYPE, BATCH_CQ]] : []);
      adopted.push(createTopicConfig(topic, { ...queues(count), attributes }));
    }
    for (const topic of adopted) {
      this.#deps.logger.warn({ ...topic }, 'topics.json was older than the log; topic restored from its queues');
      this.#set(topic);
    }
    if (adopted.length > 0) this.#changed(adopted);
    return adopted;
  }

  /** A topic that has messages and is not in the table, because topics.json was older than they are. */
  restore(topic: string, queueNums: number): TopicConfig {
    const restored = createTopicConfig(topic, queues(queueNums));
    this.#deps.logger.warn(
      { ...restored },
      'topics.json was older than the log; topic restored for a message that is due',
    );
    this.#put(restored);
    return restored;
  }

  select(topic: string): TopicConfig | undefined {
    const known = this.table.get(topic);
    if (known !== undefined || this.#deps.hasLmqs !== true || !isLmq(topic)) return known;
    return createTopicConfig(topic, queues(1));
  }

  isSystemTopic(topic: string): boolean {
    return this.#systemTopics.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX);
  }

  /** A start with this configuration makes it when it is not there. */
  isMadeAtStart(topic: string): boolean {
    return this.#madeAtStart.has(topic);
  }

  systemTopics(): string[] {
    return [...this.#systemTopics];
  }

  /**
   * The topic a producer sends to without having made it: as many queues as the producer asks for, at most those of the
   * template (TBW102), whose permissions it inherits. Undefined when the template does not allow it.
   */
  createInSendMessage(
    topic: string,
    defaultTopic: string,
    clientDefaultTopicQueueNums: number,
    topicSysFlag: number,
    remoteAddress: string,
  ): TopicConfig | undefined {
    const existing = this.table.get(topic);
    if (existing !== undefined) return existing;
    const template = this.table.get(defaultTopic);
    const forbidden = defaultTopic === AUTO_CREATE_TOPIC_KEY_TOPIC && !this.#config.autoCreateTopicEnable;
    if (template === undefined || forbidden || !isInherited(template.perm)) {
      this.#deps.logger.warn(
        { topic, defaultTopic, perm: template?.perm, remoteAddress },
        'topic not created: its template does not exist or may not be inherited from',
      );
      return undefined;
    }
    const created = createTopicConfig(topic, {
      // One at least: a topic without queues would refuse this message and all that follow.
      ...queues(Math.max(1, Math.min(clientDefaultTopicQueueNums, template.writeQueueNums))),
      perm: template.perm & ~Perm.INHERIT,
      topicFilterType: template.topicFilterType,
      topicSysFlag,
    });
    this.#deps.logger.info({ ...created, remoteAddress }, 'topic created by the first send to it');
    this.#put(created);
    return created;
  }

  /** Retry and dead-letter topics, made without a template. */
  createInSendMessageBack(topic: string, queueNums: number, perm: number, topicSysFlag: number): TopicConfig {
    const existing = this.table.get(topic);
    if (existing !== undefined) return existing;
    const created = createTopicConfig(topic, { ...queues(queueNums), perm, topicSysFlag });
    this.#put(created);
    return created;
  }

  /** Whether these may be made or replaced; when not, `noRoom` says why. */
  hasRoomFor(topics: readonly TopicConfig[]): boolean {
    let bytes = 0;
    for (const topic of topics) bytes += topicBytes(topic) - this.#bytesOf(topic.topicName);
    return this.#deps.budget.hasRoomFor(bytes);
  }

  get noRoom(): string {
    return this.#deps.budget.reason;
  }

  #bytesOf(topic: string): number {
    const known = this.table.get(topic);
    return known === undefined ? 0 : topicBytes(known);
  }

  /** The one way into the table; what is there is counted, and who may be refused asks `hasRoomFor` before. */
  #set(topic: TopicConfig): void {
    this.#deps.budget.add(topicBytes(topic) - this.#bytesOf(topic.topicName));
    this.table.set(topic.topicName, topic);
  }

  /** Makes or replaces a topic; a light queue is as it is. */
  update(topic: TopicConfig): void {
    if (this.#deps.hasLmqs === true && isLmq(topic.topicName)) return;
    this.#put(topic);
  }

  /** Out of the table already, while its messages are still on their way out of the store. */
  isBeingDeleted(topic: string): boolean {
    return this.#beingDeleted.has(topic);
  }

  /** Resolves or rejects as `act` does; the topics count as being deleted until then. */
  async whileDeleting(names: readonly string[], act: () => Promise<void>): Promise<void> {
    for (const name of names) this.#countDeletion(name, 1);
    try {
      await act();
    } finally {
      for (const name of names) this.#countDeletion(name, -1);
    }
  }

  #countDeletion(topic: string, by: 1 | -1): void {
    const count = (this.#beingDeleted.get(topic) ?? 0) + by;
    if (count === 0) this.#beingDeleted.delete(topic);
    else this.#beingDeleted.set(topic, count);
  }

  delete(topic: string): boolean {
    this.#noteQueues(topic, 0);
    this.#deps.budget.give(this.#bytesOf(topic));
    if (!this.table.delete(topic)) return false;
    this.#changed([]);
    return true;
  }

  /** Something that every topic's announcement depends on (the broker's permission) changed. */
  touch(): void {
    this.#changed([...this.table.values()]);
  }

  #noteQueues(topic: string, readQueueNums: number, isBatch = false): void {
    const known = this.table.get(topic);
    // A start that found messages and no topic would take its queues for consume queues, which have no place for them.
    if (isBatch && known === undefined) this.#onDisk.had(topic, 0);
    const before = known?.readQueueNums ?? 0;
    if (before > 0 && (readQueueNums === 0 || before < readQueueNums)) this.#onDisk.had(topic, before);
  }

  #put(topic: TopicConfig): void {
    this.#noteQueues(topic.topicName, topic.readQueueNums, isBatchTopic(topic));
    this.#set(topic);
    this.#changed([topic]);
  }

  #changed(topics: readonly TopicConfig[]): void {
    this.dataVersion = nextDataVersion(this.dataVersion, this.#deps.now());
    this.#deps.changed(topics);
  }
}
