import {
  asObject,
  type DataVersion,
  dataVersionFromJson,
  initialDataVersion,
  nextDataVersion,
} from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import { isLmq } from '@vernier/store/internal';
import { type Budget, textBytes } from '../base/budget.ts';
import { builtInGroups, groupNameFault } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import { ForbiddenTopics } from './forbidden-topics.ts';
import { readSubscriptionGroup, type SubscriptionGroupConfig, subscriptionGroup } from './subscription-group-config.ts';

export interface SubscriptionGroupManagerDeps {
  logger: StoreLogger;
  now(): number;
  /** Light queues are in use (enableLmq): a group whose name begins as theirs do is in no table. */
  hasLmqs?: boolean;
  /** Of the table. */
  budget: Budget;
  /** The table changed and has to be saved. */
  changed(): void;
}

/** An entry here and in the file's text, which is made whole. */
const groupBytes = (group: SubscriptionGroupConfig): number => 600 + textBytes(JSON.stringify(group));

/** The broker's consumer groups (RocketMQ SubscriptionGroupManager). */
export class SubscriptionGroupManager {
  readonly table = new Map<string, SubscriptionGroupConfig>();
  dataVersion: DataVersion;
  readonly #forbidden: ForbiddenTopics;
  readonly #config: BrokerConfig;
  readonly #deps: SubscriptionGroupManagerDeps;

  constructor(config: BrokerConfig, deps: SubscriptionGroupManagerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#forbidden = new ForbiddenTopics(deps.budget);
    this.dataVersion = initialDataVersion(deps.now());
    for (const name of builtInGroups) this.#set(subscriptionGroup(name));
  }

  /** Takes over a parsed subscriptionGroup.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { subscriptionGroupTable, forbiddenTable, dataVersion } = asObject(file, 'subscriptionGroup.json');
    for (const [name, fields] of Object.entries(asObject(subscriptionGroupTable, 'subscriptionGroupTable'))) {
      const { group, faults } = readSubscriptionGroup(name, fields);
      if (faults.length > 0) {
        this.#deps.logger.warn({ group: name, faults }, `subscriptionGroup.json: defaults of group ${name} stand in`);
      }
      this.#set(group);
    }
    const faultCount = this.#forbidden.load(forbiddenTable);
    if (faultCount > 0) {
      this.#deps.logger.warn(
        { faultCount },
        'subscriptionGroup.json: entries of forbiddenTable are no bits, and left out',
      );
    }
    this.dataVersion = dataVersionFromJson(dataVersion);
  }

  /** subscriptionGroup.json in pieces, one group each. */
  *encode(): Iterable<string> {
    yield `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n"forbiddenTable":{`;
    let separator = '';
    for (const piece of this.#forbidden.encode()) {
      yield separator + piece;
      separator = ',';
    }
    yield '},\n"subscriptionGroupTable":{';
    separator = '\n';
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
    if (this.#isLmqGroup(group)) return subscriptionGroup(group);
    if (!this.#mayMake(group)) return undefined;
    const created = subscriptionGroup(group);
    if (!this.hasRoomFor([created])) return undefined;
    this.#deps.logger.info({ group }, 'consumer group created by its first use');
    this.update(created);
    return created;
  }

  /** As `find`, and makes nothing. */
  preview(group: string): SubscriptionGroupConfig | undefined {
    const isMade = this.#isLmqGroup(group) || this.#mayMake(group);
    return this.table.get(group) ?? (isMade ? subscriptionGroup(group) : undefined);
  }

  #isLmqGroup(group: string): boolean {
    // Tables of offsets have topics and groups in one name, with an @ between them.
    return this.#deps.hasLmqs === true && isLmq(group) && !group.includes('@');
  }

  #mayMake(group: string): boolean {
    return this.#config.autoCreateSubscriptionGroup && groupNameFault(group) === undefined;
  }

  has(group: string): boolean {
    return this.table.has(group) || this.#isLmqGroup(group);
  }

  /** Whether these may be made or replaced; when not, `noRoom` says why. */
  hasRoomFor(groups: readonly SubscriptionGroupConfig[]): boolean {
    let bytes = 0;
    for (const group of groups) bytes += groupBytes(group) - this.#bytesOf(group.groupName);
    return this.#deps.budget.hasRoomFor(bytes);
  }

  get noRoom(): string {
    return this.#deps.budget.reason;
  }

  #bytesOf(group: string): number {
    const known = this.table.get(group);
    return known === undefined ? 0 : groupBytes(known);
  }

  /** The one way into the table; what is there is counted, and who may be refused asks `hasRoomFor` before. */
  #set(group: SubscriptionGroupConfig): void {
    this.#deps.budget.add(groupBytes(group) - this.#bytesOf(group.groupName));
    this.table.set(group.groupName, group);
  }

  update(group: SubscriptionGroupConfig): void {
    if (this.#isLmqGroup(group.groupName)) return;
    this.#set(group);
    this.#changed();
  }

  /** With what it may not read. */
  delete(group: string): boolean {
    this.#deps.budget.give(this.#bytesOf(group));
    const hadForbidden = this.#forbidden.forgetGroup(group);
    const isDeleted = this.table.delete(group);
    if (isDeleted || hadForbidden) this.#changed();
    return isDeleted;
  }

  isReadForbidden(group: string, topic: string): boolean {
    return this.#forbidden.isReadForbidden(group, topic);
  }

  /** False, and nothing is changed, when there is no room for it; `noRoom` says why. */
  setReadable(group: string, topic: string, isReadable: boolean): boolean {
    const isChanged = this.#forbidden.setReadable(group, topic, isReadable);
    if (isChanged === true) this.#changed();
    return isChanged !== undefined;
  }

  #changed(): void {
    this.dataVersion = nextDataVersion(this.dataVersion, this.#deps.now());
    this.#deps.changed();
  }
}
