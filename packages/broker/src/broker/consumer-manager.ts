import type { ConsumeType, MessageModel, RemotingConnection, SubscriptionData } from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import { type ClientChannelInfo, GroupChannels } from './client-channel.ts';

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
  /** Tells these clients that the group's members or subscriptions changed, so that they rebalance now. */
  notifyIdsChanged(group: string, members: readonly RemotingConnection[]): void;
  /** The group wants its clients told (SubscriptionGroupConfig.notifyConsumerIdsChangedEnable). */
  notifyEnabled(group: string): boolean;
}

/**
 * Consumers by group (RocketMQ ConsumerManager). Members change by heartbeat, unregistering, a closed connection and
 * silence; each change is told to all members. The first change of a turn is told at once, before the member that caused
 * it has its answer: the others then give their queues up, and commit how far they came, before it asks where to begin.
 * Further changes of the turn are told together at its end: a thousand consumers that start together would otherwise get
 * half a million notifications.
 */
export class ConsumerManager {
  readonly #channels = new GroupChannels();
  readonly #groups = new Map<string, ConsumerGroupInfo>();
  readonly #groupsOfTopic = new Map<string, Set<string>>();
  readonly #toldThisTurn = new Set<string>();
  readonly #changedSince = new Set<string>();
  readonly #deps: ConsumerManagerDeps;

  constructor(deps: ConsumerManagerDeps) {
    this.#deps = deps;
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

  clients(group: string): ClientChannelInfo[] {
    return [...(this.#channels.of(group)?.values() ?? [])];
  }

  findClient(group: string, clientId: string): ClientChannelInfo | undefined {
    for (const client of this.#channels.of(group)?.values() ?? []) if (client.clientId === clientId) return client;
    return undefined;
  }

  /** Groups that subscribe to a topic now. */
  groupsOfTopic(topic: string): string[] {
    return [...(this.#groupsOfTopic.get(topic) ?? [])];
  }

  /** A heartbeat; true when the group's members or topics changed. */
  register(group: string, client: ClientChannelInfo, registration: ConsumerRegistration): boolean {
    let info = this.#groups.get(group);
    if (info === undefined) {
      info = { groupName: group, ...fieldsOf(registration), subscriptionTable: new Map() };
      this.#groups.set(group, info);
    } else {
      Object.assign(info, fieldsOf(registration));
    }
    const isNew = this.#channels.update(group, client);
    if (isNew) {
      this.#deps.logger.info(
        { group, clientId: client.clientId, remoteAddress: client.connection.remoteAddress },
        'consumer joined',
      );
    }
    const subscribed =
      registration.subscriptions === undefined ? false : this.#updateSubscriptions(info, registration.subscriptions);
    if (isNew || subscribed) this.#memberChange(info);
    return isNew || subscribed;
  }

  unregister(group: string, connection: RemotingConnection): boolean {
    const info = this.#groups.get(group);
    if (info === undefined || !this.#channels.remove(group, connection)) return false;
    this.#deps.logger.info({ group, remoteAddress: connection.remoteAddress }, 'consumer left');
    if (this.#channels.of(group) === undefined) {
      for (const topic of info.subscriptionTable.keys()) this.#forgetTopic(topic, group);
      this.#groups.delete(group);
    } else {
      this.#memberChange(info);
    }
    return true;
  }

  connectionClosed(connection: RemotingConnection): void {
    for (const group of this.#channels.groupsOf(connection)) this.unregister(group, connection);
  }

  silentSince(before: number): Set<RemotingConnection> {
    return this.#channels.silentSince(before);
  }

  /** True when a topic came or went; a newer version of a known one replaces it without telling anybody. */
  #updateSubscriptions(info: ConsumerGroupInfo, subscriptions: readonly SubscriptionData[]): boolean {
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

  #forgetTopic(topic: string, group: string): void {
    const groups = this.#groupsOfTopic.get(topic);
    groups?.delete(group);
    if (groups?.size === 0) this.#groupsOfTopic.delete(topic);
  }

  #memberChange(info: ConsumerGroupInfo): void {
    // Each broadcasting client reads every queue whoever else is there.
    if (info.messageModel === 'BROADCASTING' || !this.#deps.notifyEnabled(info.groupName)) return;
    if (this.#toldThisTurn.has(info.groupName)) {
      this.#changedSince.add(info.groupName);
      return;
    }
    if (this.#toldThisTurn.size === 0) setImmediate(() => this.#endTurn());
    this.#toldThisTurn.add(info.groupName);
    this.#notify(info.groupName);
  }

  #endTurn(): void {
    const groups = [...this.#changedSince];
    this.#changedSince.clear();
    this.#toldThisTurn.clear();
    for (const group of groups) this.#notify(group);
  }

  #notify(group: string): void {
    const members = this.#channels.of(group);
    if (members !== undefined) this.#deps.notifyIdsChanged(group, [...members.keys()]);
  }
}

const fieldsOf = (registration: ConsumerRegistration) => ({
  consumeType: registration.consumeType,
  messageModel: registration.messageModel,
  consumeFromWhere: registration.consumeFromWhere,
});
