import type { Client, Refusal, TransactionCheck } from '@vernier/broker/internal';
import {
  type ConsumerData,
  decodeRecord,
  encodeHeartbeatData,
  type HeartbeatData,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  ResponseCode,
  type SubscriptionData,
} from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import type { Members } from '../backend.ts';
import { type Calls, numberField } from './calls.ts';
import type { ClusterNames } from './topics.ts';

export interface RemoteMembersParts {
  readonly calls: Calls;
  readonly names: ClusterNames;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** From 0 up to 1, 1 excluded. */
  readonly random: () => number;
  /** What brokers know this proxy by. */
  readonly clientId: string;
}

/** Brokers forget who says nothing for two minutes (RocketMQ's proxy: transactionHeartbeatPeriodSecond). */
const HEARTBEAT_MS = 20_000;
/** Groups that come in a burst are one heartbeat. */
const SOON_MS = 20;
/** Groups of one heartbeat: more are told in several. */
const GROUPS_MAX = 500;

/** A client, and what it is in. */
interface Member {
  producerGroups: readonly string[];
  consumers: readonly ConsumerData[];
}

/**
 * Producers and consumers of this proxy. Brokers know the proxy as one client that is in all of their groups: as a producer it
 * is asked about halves that nobody ended, and passes the question on to one of the group.
 */
export class RemoteMembers implements Members {
  readonly #parts: RemoteMembersParts;
  readonly #members = new Map<Client, Member>();
  /** Group → its producers. */
  readonly #producers = new Map<string, Set<Client>>();
  /** Group → how many consumers it has. */
  readonly #consumers = new Map<string, number>();
  /** Address → whether a broker that is being told has to be told again: there is news since. */
  readonly #telling = new Map<string, boolean>();
  #timer: unknown;
  #isSoon = false;
  #isStopped = false;

  constructor(parts: RemoteMembersParts) {
    this.#parts = parts;
    const { remoting } = parts.calls;
    remoting.registerProcessor(RequestCode.CHECK_TRANSACTION_STATE, (request, connection) => {
      this.#check(request, connection);
      return undefined;
    });
    // Consumers of gRPC do not share queues among them.
    remoting.registerProcessor(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, () => undefined);
  }

  beat(heartbeat: HeartbeatData, client: Client): Refusal | undefined {
    if (client.isGone || this.#isStopped) return undefined;
    const known = this.#members.get(client);
    if (known !== undefined && heartbeat.withoutSub) return undefined;
    const { producerGroups, consumers } = heartbeat;
    const isNew = producerGroups.some((group) => !this.#producers.has(group)) || consumers.some(this.#isNewGroup);
    this.#leave(client);
    this.#members.set(client, { producerGroups, consumers });
    for (const group of producerGroups) {
      const producers = this.#producers.get(group) ?? new Set();
      this.#producers.set(group, producers.add(client));
    }
    for (const { groupName } of consumers) {
      this.#consumers.set(groupName, (this.#consumers.get(groupName) ?? 0) + 1);
    }
    this.#watch(isNew);
    return undefined;
  }

  remove(client: Client): void {
    const member = this.#members.get(client);
    if (member === undefined) return;
    this.#leave(client);
    this.#members.delete(client);
    for (const group of member.producerGroups) {
      if (!this.#producers.has(group)) this.#unregister({ producerGroup: group });
    }
    for (const { groupName } of member.consumers) {
      if (!this.#consumers.has(groupName)) this.#unregister({ consumerGroup: groupName });
    }
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  readonly #isNewGroup = ({ groupName }: ConsumerData): boolean => !this.#consumers.has(groupName);

  #leave(client: Client): void {
    const member = this.#members.get(client);
    for (const group of member?.producerGroups ?? []) {
      const producers = this.#producers.get(group);
      producers?.delete(client);
      if (producers?.size === 0) this.#producers.delete(group);
    }
    for (const { groupName } of member?.consumers ?? []) {
      const count = (this.#consumers.get(groupName) ?? 0) - 1;
      if (count > 0) this.#consumers.set(groupName, count);
      else this.#consumers.delete(groupName);
    }
  }

  /** `isSoon`: brokers do not know of a group yet. */
  #watch(isSoon: boolean): void {
    if (this.#isStopped || this.#members.size === 0) return;
    const { clock } = this.#parts;
    if (this.#timer !== undefined) {
      if (!isSoon || this.#isSoon) return;
      clock.clearTimer(this.#timer);
    }
    this.#isSoon = isSoon;
    this.#timer = clock.setTimer(
      () => {
        this.#timer = undefined;
        this.#tellAll();
        this.#watch(false);
      },
      isSoon ? SOON_MS : HEARTBEAT_MS,
    );
  }

  #tellAll(): void {
    const bodies = this.#bodies();
    for (const address of new Set(this.#parts.names.addresses().values())) {
      if (this.#telling.has(address)) this.#telling.set(address, true);
      else void this.#tell(address, bodies);
    }
  }

  /** One heartbeat after the other, so that a slow broker does not collect them. */
  async #tell(address: string, bodies: readonly Buffer[]): Promise<void> {
    let newest = bodies;
    do {
      this.#telling.set(address, false);
      await this.#tellOnce(address, newest);
      newest = this.#telling.get(address) === true && !this.#isStopped ? this.#bodies() : [];
    } while (newest.length > 0);
    this.#telling.delete(address);
  }

  /** A broker that is away gets the next one, as long as a route names it. */
  async #tellOnce(address: string, bodies: readonly Buffer[]): Promise<void> {
    for (const body of bodies) {
      try {
        const { code, remark } = await this.#parts.calls.askAside(address, RequestCode.HEART_BEAT, {}, body);
        if (code === ResponseCode.SUCCESS) continue;
        this.#parts.logger.warn({ address, code, remark }, `${address} refuses the heartbeat of this proxy`);
      } catch (error) {
        this.#parts.logger.info({ address, reason: (error as Error).message }, `no heartbeat for ${address}`);
        this.#parts.names.forgetUnrouted(address);
        return;
      }
    }
  }

  *#heartbeats(): Iterable<Pick<HeartbeatData, 'producerGroups' | 'consumers'>> {
    const producers = [...this.#producers.keys()];
    for (let at = 0; at < producers.length; at += GROUPS_MAX) {
      yield { producerGroups: producers.slice(at, at + GROUPS_MAX), consumers: [] };
    }
    const consumers = [...this.#groups().values()];
    for (let at = 0; at < consumers.length; at += GROUPS_MAX) {
      yield { producerGroups: [], consumers: consumers.slice(at, at + GROUPS_MAX) };
    }
  }

  #bodies(): Buffer[] {
    const common = { clientID: this.#parts.clientId, heartbeatFingerprint: 0, withoutSub: false };
    return [...this.#heartbeats()].map((groups) => encodeHeartbeatData({ ...common, ...groups }));
  }

  /** Each group once, with what any of its consumers subscribes to; of one topic the newest counts. */
  #groups(): Map<string, ConsumerData> {
    const groups = new Map<string, ConsumerData>();
    const subscriptions = new Map<string, Map<string, SubscriptionData>>();
    for (const { consumers } of this.#members.values()) {
      for (const consumer of consumers) {
        const { groupName } = consumer;
        const topics = subscriptions.get(groupName) ?? new Map<string, SubscriptionData>();
        subscriptions.set(groupName, topics);
        for (const subscription of consumer.subscriptionDataSet) {
          const known = topics.get(subscription.topic);
          if (known === undefined || known.subVersion < subscription.subVersion) {
            topics.set(subscription.topic, subscription);
          }
        }
        groups.set(groupName, consumer);
      }
    }
    for (const [name, consumer] of groups) {
      groups.set(name, { ...consumer, subscriptionDataSet: [...(subscriptions.get(name)?.values() ?? [])] });
    }
    return groups;
  }

  #unregister(group: { producerGroup: string } | { consumerGroup: string }): void {
    if (this.#isStopped) return;
    const fields = { clientID: this.#parts.clientId, ...group };
    for (const address of this.#parts.names.addresses().values()) {
      // One that cannot be told forgets it by itself.
      this.#parts.calls.askAside(address, RequestCode.UNREGISTER_CLIENT, fields).catch(() => {});
    }
  }

  #check(request: RemotingCommand, connection: RemotingConnection): void {
    try {
      const check = this.#checkOf(request, connection);
      if (check !== undefined && this.#ask(check.group, check)) return;
      this.#parts.logger.info({ broker: connection.remoteAddress }, 'nobody here can be asked about a half');
    } catch (error) {
      const fields = { err: error, broker: connection.remoteAddress };
      this.#parts.logger.warn(fields, `a question about a half cannot be read: ${(error as Error).message}`);
    }
  }

  /** Undefined: it is none of a broker that is known. The body is the connection's until this returns. */
  #checkOf(
    request: RemotingCommand,
    { remoteAddress }: RemotingConnection,
  ): (TransactionCheck & { group: string }) | undefined {
    const { extFields: fields = {} } = request;
    const record = Buffer.from(request.body ?? '');
    const { topic, properties } = decodeRecord(record, 0, false);
    const { names } = this.#parts;
    const named = fields.bname ?? '';
    const brokerName = names.hasBroker(named)
      ? named
      : [...names.addresses()].find(([, address]) => address === remoteAddress)?.[0];
    if (brokerName === undefined) return undefined;
    return {
      queueOffset: numberField(remoteAddress, request, 'tranStateTableOffset'),
      logOffset: numberField(remoteAddress, request, 'commitLogOffset'),
      offsetMessageId: fields.offsetMsgId ?? '',
      uniqKey: properties.get('UNIQ_KEY') ?? fields.transactionId,
      ...{ topic, brokerName, record, group: properties.get('PGROUP') ?? '' },
    };
  }

  /** One of the group that can be asked; they begin at a random one. */
  #ask(group: string, check: TransactionCheck): boolean {
    const producers = [...(this.#producers.get(group) ?? [])];
    const first = Math.floor(this.#parts.random() * producers.length);
    return producers.some((_, index) => {
      const producer = producers[(first + index) % producers.length] as Client;
      return !producer.isGone && producer.checkTransactionState(check);
    });
  }
}
