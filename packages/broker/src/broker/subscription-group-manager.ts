import {
  asObject,
  type DataVersion,
  dataVersionFromJson,
  initialDataVersion,
  nextDataVersion,
} from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import type { BrokerConfig } from './config.ts';
import { builtInGroups, groupNameFault } from './names.ts';

/** One consumer group as subscriptionGroup.json has it (RocketMQ SubscriptionGroupConfig). */
export interface SubscriptionGroupConfig {
  groupName: string;
  consumeEnable: boolean;
  consumeFromMinEnable: boolean;
  consumeBroadcastEnable: boolean;
  consumeMessageOrderly: boolean;
  retryQueueNums: number;
  retryMaxTimes: number;
  groupRetryPolicy: unknown;
  brokerId: number;
  whichBrokerWhenConsumeSlowly: number;
  notifyConsumerIdsChangedEnable: boolean;
  groupSysFlag: number;
  consumeTimeoutMinute: number;
  subscriptionDataSet: unknown;
  attributes: Record<string, string>;
}

/** A group with RocketMQ's defaults: everything allowed, one retry queue, 16 retries. */
export function subscriptionGroup(
  groupName: string,
  fields: Partial<Omit<SubscriptionGroupConfig, 'groupName'>> = {},
): SubscriptionGroupConfig {
  return {
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    consumeMessageOrderly: false,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    groupRetryPolicy: { type: 'CUSTOMIZED' },
    brokerId: 0,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
    groupSysFlag: 0,
    consumeTimeoutMinute: 15,
    subscriptionDataSet: undefined,
    attributes: {},
    ...fields,
  };
}

/** A group as a file or a request states it; fields of another type than expected get the default. */
export function subscriptionGroupFrom(groupName: string, value: unknown): SubscriptionGroupConfig {
  const group = subscriptionGroup(groupName);
  if (typeof value !== 'object' || value === null) return group;
  const target = group as unknown as Record<string, unknown>;
  for (const [name, field] of Object.entries(value)) {
    if (name === 'groupName' || field === null || !(name in target)) continue;
    const free = name === 'subscriptionDataSet' || name === 'groupRetryPolicy';
    if (free || typeof target[name] === typeof field) target[name] = field;
  }
  return group;
}

export interface SubscriptionGroupManagerDeps {
  logger: StoreLogger;
  now(): number;
  /** The table changed and has to be saved. */
  changed(): void;
}

/** The broker's consumer groups (RocketMQ SubscriptionGroupManager). */
export class SubscriptionGroupManager {
  readonly table = new Map<string, SubscriptionGroupConfig>();
  /** group → topic → bits of what is forbidden (UPDATE_AND_GET_GROUP_FORBIDDEN); kept as it was read. */
  forbiddenTable: Record<string, Record<string, number>> = {};
  dataVersion: DataVersion;
  readonly #config: BrokerConfig;
  readonly #deps: SubscriptionGroupManagerDeps;

  constructor(config: BrokerConfig, deps: SubscriptionGroupManagerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.dataVersion = initialDataVersion(deps.now());
    for (const name of builtInGroups) this.table.set(name, subscriptionGroup(name));
  }

  /** Takes over a parsed subscriptionGroup.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { subscriptionGroupTable, forbiddenTable, dataVersion } = asObject(file, 'subscriptionGroup.json');
    for (const [name, fields] of Object.entries(asObject(subscriptionGroupTable, 'subscriptionGroupTable'))) {
      this.table.set(name, subscriptionGroupFrom(name, fields));
    }
    this.forbiddenTable = asObject(forbiddenTable, 'forbiddenTable') as Record<string, Record<string, number>>;
    this.dataVersion = dataVersionFromJson(dataVersion);
  }

  /** subscriptionGroup.json in pieces, one group each. */
  *encode(): Iterable<string> {
    yield `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n"forbiddenTable":${JSON.stringify(this.forbiddenTable)},\n"subscriptionGroupTable":{`;
    let separator = '\n';
    for (const [name, group] of this.table) {
      yield `${separator}${JSON.stringify(name)}:${JSON.stringify(group)}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }

  /** The group; made on the spot when autoCreateSubscriptionGroup allows it and the name is a legal one. */
  find(group: string): SubscriptionGroupConfig | undefined {
    const known = this.table.get(group);
    if (known !== undefined) return known;
    if (!this.#config.autoCreateSubscriptionGroup || groupNameFault(group) !== undefined) return undefined;
    const created = subscriptionGroup(group);
    this.#deps.logger.info({ group }, 'consumer group created by its first use');
    this.update(created);
    return created;
  }

  has(group: string): boolean {
    return this.table.has(group);
  }

  update(group: SubscriptionGroupConfig): void {
    this.table.set(group.groupName, group);
    this.#changed();
  }

  delete(group: string): boolean {
    if (!this.table.delete(group)) return false;
    this.#changed();
    return true;
  }

  /** RocketMQ PermName.INDEX_PERM_READ is bit 2: the group may not read this topic. */
  isReadForbidden(group: string, topic: string): boolean {
    return ((this.forbiddenTable[group]?.[topic] ?? 0) & 4) !== 0;
  }

  #changed(): void {
    this.dataVersion = nextDataVersion(this.dataVersion, this.#deps.now());
    this.#deps.changed();
  }
}
