import { type ConsumeType, type MessageModel, ResponseCode, type SubscriptionData } from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { type Budget, textBytes } from '../base/budget.ts';
import { Refusal } from '../base/refusal.ts';
import type { Client } from './client.ts';
import { GroupAgreement } from './group-agreement.ts';
import { GroupClients, type GroupMember } from './group-clients.ts';
import { MemberNotices } from './member-notices.ts';

/** What the clients of a consumer group agree on; the last heartbeat decides (RocketMQ ConsumerGroupInfo). */
export interface ConsumerGroupInfo {
  readonly groupName: string;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
  readonly subscriptionTable: Map<string, SubscriptionData>;
}

export interface ConsumerRegistration {
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
  /** Undefined: keep what is known (a heartbeat V2 without subscriptions). */
  subscriptions: readonly SubscriptionData[] | undefined;
}

export interface ConsumerManagerDeps {
  logger: StoreLogger;
  clock: Pick<Clock, 'monotonic'>;
  /** Of members and subscriptions. */
  budget: Budget;
  /** The group's configuration wants members notified (SubscriptionGroupConfig.notifyConsumerIdsChangedEnable). */
  notifyEnabled(group: string): boolean;
}

/**
 * Consumers by group (RocketMQ ConsumerManager). A group's members change by heartbeat, by unregistering, at a client's end
 * and by silence. Each change notifies all members, see MemberNotices.
 */
export class ConsumerManager {
  readonly #members: GroupClients;
  readonly #groups = new Map<string, ConsumerGroupInfo>();
  readonly #groupsOfTopic = new Map<string, Set<string>>();
  readonly #notices = new MemberNotices((group) => this.#members.of(group)?.keys() ?? []);
  readonly #agreement: GroupAgreement;
  readonly #deps: ConsumerManagerDeps;

  constructor(deps: ConsumerManagerDeps) {
    this.#deps = deps;
    this.#agreement = new GroupAgreement(deps.clock, deps.logger);
    this.#members = new GroupClients((client) => this.remove(client), deps.budget);
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  groups(): string[] {
    return [...this.#groups.keys()];
  }

  group(group: string): ConsumerGroupInfo | undefined {
    return this.#groups.get(group);
  }

  members(group: string): GroupMember[] {
    return [...(this.#members.of(group)?.values() ?? [])];
  }

  /** The group as its clients have it, with its members; or that it has no members. */
  online(group: string): { info: ConsumerGroupInfo; members: GroupMember[] } | Refusal {
    const info = this.#groups.get(group);
    return info === undefined
      ? new Refusal(ResponseCode.CONSUMER_NOT_ONLINE, `the consumer group[${group}] not online`)
      : { info, members: this.members(group) };
  }

  /** Ids of the members, each once; or that there are none. */
  clientIds(group: string): string[] | Refusal {
    const ids = new Set<string>();
    for (const client of this.#members.of(group)?.keys() ?? []) ids.add(client.clientId);
    return ids.size > 0 ? [...ids] : new Refusal(ResponseCode.SYSTEM_ERROR, `no consumer for this group, ${group}`);
  }

  findClient(group: string, clientId: string): Client | undefined {
    for (const client of this.#members.of(group)?.keys() ?? []) if (client.clientId === clientId) return client;
    return undefined;
  }

  /** Groups that subscribe to a topic now. */
  groupsOfTopic(topic: string): string[] {
    return [...(this.#groupsOfTopic.get(topic) ?? [])];
  }

  /**
   * A heartbeat; true when the group's members or topics changed. Undefined when there is no room for the member, which is
   * then none, or for the subscriptions, which then stay as they were.
   */
  register(group: string, member: GroupMember, registration: ConsumerRegistration): boolean | undefined {
    const isNew = this.#members.update(group, member);
    if (isNew === undefined) return undefined;
    let info = this.#groups.get(group);
    if (info === undefined) {
      info = { groupName: group, ...fieldsOf(registration), subscriptionTable: new Map() };
      this.#groups.set(group, info);
      this.#agreement.heard(info, member.client, registration);
    } else {
      this.#agreement.heard(info, member.client, registration);
      Object.assign(info, fieldsOf(registration));
    }
    if (isNew) {
      const { clientId, remoteAddress } = member.client;
      this.#deps.logger.info({ group, clientId, remoteAddress }, 'consumer joined');
      this.#agreement.joined(group, member.client, this.#members.of(group)?.keys() ?? []);
    }
    const subscribed =
      registration.subscriptions === undefined ? false : this.#updateSubscriptions(info, registration.subscriptions);
    if (isNew || subscribed === true) this.#memberChange(info);
    return subscribed === undefined ? undefined : isNew || subscribed;
  }

  unregister(group: string, client: Client): boolean {
    const info = this.#groups.get(group);
    if (info === undefined || !this.#members.remove(group, client)) return false;
    this.#deps.logger.info({ group, remoteAddress: client.remoteAddress }, 'consumer left');
    if (this.#members.of(group) === undefined) {
      for (const [topic, subscription] of info.subscriptionTable) {
        this.#forgetTopic(topic, group);
        this.#deps.budget.give(subscriptionBytes(subscription));
      }
      this.#groups.delete(group);
    } else {
      this.#memberChange(info);
    }
    return true;
  }

  /** Takes the client out of all its groups. */
  remove(client: Client): void {
    for (const group of this.#members.groupsOf(client)) this.unregister(group, client);
  }

  silentSince(before: number): Set<Client> {
    return this.#members.silentSince(before);
  }

  /**
   * True when a topic came or went; a newer version of a known one replaces it without telling anybody. Undefined, and
   * nothing is changed, when there is no room.
   */
  #updateSubscriptions(info: ConsumerGroupInfo, subscriptions: readonly SubscriptionData[]): boolean | undefined {
    if (!this.#takeRoom(info, subscriptions)) return undefined;
    let changed = false;
    const topics = new Set<string>();
    for (const subscription of subscriptions) {
      topics.add(subscription.topic);
      const known = info.subscriptionTable.get(subscription.topic);
      if (known === undefined) {
        changed = true;
        let groups = this.#groupsOfTopic.get(subscription.topic);
        if (groups === undefined) {
          groups = new Set();
          this.#groupsOfTopic.set(subscription.topic, groups);
        }
        groups.add(info.groupName);
      }
      if (known === undefined || subscription.subVersion > known.subVersion) {
        info.subscriptionTable.set(subscription.topic, subscription);
      }
    }
    for (const topic of [...info.subscriptionTable.keys()]) {
      if (topics.has(topic)) continue;
      info.subscriptionTable.delete(topic);
      this.#forgetTopic(topic, info.groupName);
      changed = true;
    }
    return changed;
  }

  /** Takes what the group's subscriptions need once these are its own, and gives back what goes. */
  #takeRoom(info: ConsumerGroupInfo, subscriptions: readonly SubscriptionData[]): boolean {
    const after = new Map<string, SubscriptionData>();
    for (const subscription of subscriptions) {
      const known = after.get(subscription.topic) ?? info.subscriptionTable.get(subscription.topic);
      const isNewer = known === undefined || subscription.subVersion > known.subVersion;
      after.set(subscription.topic, isNewer ? subscription : known);
    }
    let bytes = 0;
    for (const subscription of after.values()) bytes += subscriptionBytes(subscription);
    for (const subscription of info.subscriptionTable.values()) bytes -= subscriptionBytes(subscription);
    return this.#deps.budget.take(bytes);
  }

  #forgetTopic(topic: string, group: string): void {
    const groups = this.#groupsOfTopic.get(topic);
    groups?.delete(group);
    if (groups?.size === 0) this.#groupsOfTopic.delete(topic);
  }

  #memberChange(info: ConsumerGroupInfo): void {
    // A broadcasting client reads every queue, however many members there are.
    if (info.messageModel === 'BROADCASTING' || !this.#deps.notifyEnabled(info.groupName)) return;
    this.#notices.changed(info.groupName);
  }
}

/** With its place in the table of topics. */
function subscriptionBytes({ topic, subString, expressionType, tagsSet, codeSet }: SubscriptionData): number {
  let bytes = 400 + 2 * textBytes(topic) + textBytes(subString) + textBytes(expressionType) + 16 * codeSet.length;
  for (const tag of tagsSet) bytes += textBytes(tag);
  return bytes;
}

const fieldsOf = (registration: ConsumerRegistration) => ({
  consumeType: registration.consumeType,
  messageModel: registration.messageModel,
  consumeFromWhere: registration.consumeFromWhere,
});
