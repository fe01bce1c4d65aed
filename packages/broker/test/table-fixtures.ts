// The three tables of a broker without a broker, for tests of what stands on them.
import { createTopicConfig, parseJavaJson, type TopicConfig } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { type BrokerConfig, defaultBrokerConfig } from '../src/config.ts';
import { SubscriptionGroupManager } from '../src/groups/subscription-group-manager.ts';
import { ConsumerOffsetManager } from '../src/offsets/consumer-offset-manager.ts';
import { BrokerStats } from '../src/stats/broker-stats.ts';
import { StaticTopics } from '../src/topics/static-topics.ts';
import { TopicConfigManager } from '../src/topics/topic-config-manager.ts';
import { tight } from './budgets.ts';

type TableName = 'topics' | 'groups' | 'offsets';

/** What a table that writes itself would have on disk. */
export const textOf = (table: { encode(): Iterable<string> }): string => [...table.encode()].join('');

/** The same as a start reads it. */
export const fileOf = (table: { encode(): Iterable<string> }): unknown => parseJavaJson(textOf(table));

export interface TablesOptions {
  config?: Partial<BrokerConfig>;
  /** Room of a table beside what every broker has in it; without end for one that is not named. */
  room?: Partial<Record<TableName, number>>;
}

export class Tables {
  readonly config: BrokerConfig;
  readonly clock = new ManualClock();
  readonly budgets;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly stats: BrokerStats;
  readonly staticTopics: StaticTopics;
  /** How often each table said that it has to be saved. */
  readonly changes = { topics: 0, groups: 0, offsets: 0 };
  /** Files and announcements in the order in which somebody asked for them. */
  readonly log: string[] = [];
  /** The next saves of this file fail. */
  failing: TableName | 'mappings' | undefined;

  constructor({ config = {}, room = {} }: TablesOptions = {}) {
    this.config = { ...defaultBrokerConfig, ...config };
    const limits = { topics: Infinity, groups: Infinity, offsets: Infinity };
    const budget = (name: TableName) => tight(() => limits[name]);
    this.budgets = { topics: budget('topics'), groups: budget('groups'), offsets: budget('offsets') };
    const now = (): number => this.clock.now();
    const deps = (name: 'topics' | 'groups') => ({
      ...{ logger: silentLogger, now, budget: this.budgets[name] },
      changed: () => void this.changes[name]++,
    });
    this.topics = new TopicConfigManager(this.config, deps('topics'));
    this.groups = new SubscriptionGroupManager(this.config, deps('groups'));
    this.offsets = new ConsumerOffsetManager(now, () => void this.changes.offsets++, this.budgets.offsets);
    this.stats = new BrokerStats('c', now());
    const { brokerName } = this.config;
    this.staticTopics = new StaticTopics(brokerName, { now, budget: this.budgets.topics, changed: () => {} });
    for (const [name, bytes] of Object.entries(room) as [TableName, number][]) {
      limits[name] = this.budgets[name].usedBytes + bytes;
    }
  }

  topic(topicName: string, more: Partial<TopicConfig> = {}): TopicConfig {
    const topic = createTopicConfig(topicName, { readQueueNums: 4, writeQueueNums: 4, ...more });
    this.topics.update(topic);
    return topic;
  }

  file(name: TableName | 'mappings'): { save(): Promise<void> } {
    return {
      save: async () => {
        if (this.failing === name) throw new Error(`${name}: no space left`);
        this.log.push(name);
      },
    };
  }

  announce = async (): Promise<void> => void this.log.push('announced');

  /** Everything that a refusal must leave as it is. */
  shown(): unknown {
    const { topics, groups, offsets, budgets } = this;
    const bytes = [budgets.topics.usedBytes, budgets.groups.usedBytes, budgets.offsets.usedBytes];
    const changes = { ...this.changes };
    // The version of the offsets moves with a change, not with being written out.
    return { topics: textOf(topics), groups: textOf(groups), offsets: textOf(offsets), bytes, changes };
  }
}
