import {
  asObject,
  asStrings,
  createTopicConfig,
  type DataVersion,
  dataVersionFromJson,
  initialDataVersion,
  nextDataVersion,
  Perm,
  type TopicConfig,
  topicConfigFromJson,
  topicConfigJson,
} from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import type { BrokerConfig } from './config.ts';
import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  BENCHMARK_TOPIC,
  fixedSystemTopics,
  isInherited,
  OFFSET_MOVED_EVENT,
  SCHEDULE_TOPIC,
  SCHEDULE_TOPIC_QUEUE_NUM,
  SELF_TEST_TOPIC,
  SYSTEM_TOPIC_PREFIX,
  TIMER_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
} from './names.ts';

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
    createTopicConfig(`${SYSTEM_TOPIC_PREFIX}REVIVE_LOG_${config.brokerClusterName}`, queues(config.reviveQueueNum)),
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

/** Deleted topics remembered; the log's end, which recovery reads again, names far fewer. */
const DELETED_TOPICS_MAX = 10_000;

export interface TopicConfigManagerDeps {
  logger: StoreLogger;
  now(): number;
  /** The table changed and has to be saved and announced. */
  changed(topics: readonly TopicConfig[]): void;
}

/** The broker's topics (RocketMQ TopicConfigManager). A table in memory; who owns it saves and announces it. */
export class TopicConfigManager {
  readonly table = new Map<string, TopicConfig>();
  dataVersion: DataVersion;
  readonly #config: BrokerConfig;
  readonly #deps: TopicConfigManagerDeps;
  readonly #systemTopics: Set<string>;
  /**
   * Topics that an operator deleted. Recovery after a crash builds queues anew from the end of the log, those of a
   * deleted topic too; without this list they would look like a topic whose entry was lost.
   */
  readonly #deleted = new Set<string>();

  constructor(config: BrokerConfig, deps: TopicConfigManagerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.dataVersion = initialDataVersion(deps.now());
    this.#systemTopics = new Set(fixedSystemTopics);
    for (const topic of bootTopics(config)) {
      this.#systemTopics.add(topic.topicName);
      this.table.set(topic.topicName, topic);
    }
  }

  /**
   * Takes over a parsed topics.json; topics of the boot that it does not know stay. Throws REMOTING_BODY_INVALID when it
   * is something else.
   */
  load(file: unknown): void {
    const { topicConfigTable, dataVersion, deletedTopics } = asObject(file, 'topics.json');
    for (const name of asStrings(deletedTopics, 'deletedTopics')) this.#deleted.add(name);
    for (const [name, fields] of Object.entries(asObject(topicConfigTable, 'topicConfigTable'))) {
      this.table.set(name, { ...topicConfigFromJson(fields), topicName: name });
    }
    this.dataVersion = dataVersionFromJson(dataVersion);
  }

  /** topics.json in pieces, one topic each. */
  *encode(): Iterable<string> {
    // Java's reader leaves out members it does not know.
    const deleted = this.#deleted.size === 0 ? '' : `"deletedTopics":${JSON.stringify([...this.#deleted])},\n`;
    yield `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n${deleted}"topicConfigTable":{`;
    let separator = '\n';
    for (const [name, topic] of this.table) {
      yield `${separator}${JSON.stringify(name)}:${JSON.stringify(topicConfigJson(topic))}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }

  /**
   * Topics that the store has queues of and the table does not know: topics.json was older than the log when the power
   * went. Their messages were acknowledged, so they must stay reachable.
   */
  adoptStoredQueues(queuesByTopic: ReadonlyMap<string, readonly number[]>): TopicConfig[] {
    const adopted: TopicConfig[] = [];
    for (const [topic, queueIds] of queuesByTopic) {
      if (queueIds.length === 0 || this.#deleted.has(topic)) continue;
      const highest = Math.max(...queueIds) + 1;
      const known = this.table.get(topic);
      if (known === undefined) adopted.push(createTopicConfig(topic, queues(highest)));
      else if (known.readQueueNums < highest && known.writeQueueNums < highest && !this.isSystemTopic(topic)) {
        adopted.push({ ...known, readQueueNums: highest });
      }
    }
    for (const topic of adopted) {
      this.#deps.logger.warn({ ...topic }, 'topics.json was older than the log; topic restored from its queues');
      this.table.set(topic.topicName, topic);
    }
    if (adopted.length > 0) this.#changed(adopted);
    return adopted;
  }

  /** Deleted topics that have queues again. */
  deletedAmong(queuesByTopic: ReadonlyMap<string, unknown>): string[] {
    return [...this.#deleted].filter((topic) => queuesByTopic.has(topic));
  }

  select(topic: string): TopicConfig | undefined {
    return this.table.get(topic);
  }

  isSystemTopic(topic: string): boolean {
    return this.#systemTopics.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX);
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
      ...queues(Math.max(0, Math.min(clientDefaultTopicQueueNums, template.writeQueueNums))),
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

  /** Makes or replaces a topic. */
  update(topic: TopicConfig): void {
    this.#put(topic);
  }

  delete(topic: string): boolean {
    if (!this.table.delete(topic)) return false;
    this.#deleted.add(topic);
    for (const oldest of this.#deleted) {
      if (this.#deleted.size <= DELETED_TOPICS_MAX) break;
      this.#deleted.delete(oldest);
    }
    this.#changed([]);
    return true;
  }

  /** Something that every topic's announcement depends on (the broker's permission) changed. */
  touch(): void {
    this.#changed([...this.table.values()]);
  }

  #put(topic: TopicConfig): void {
    this.table.set(topic.topicName, topic);
    this.#deleted.delete(topic.topicName);
    this.#changed([topic]);
  }

  #changed(topics: readonly TopicConfig[]): void {
    this.dataVersion = nextDataVersion(this.dataVersion, this.#deps.now());
    this.#deps.changed(topics);
  }
}
