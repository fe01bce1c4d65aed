import {
  fixedSystemTopics,
  isReadable,
  isWriteable,
  readSubscriptionGroup,
  type SubscriptionGroupConfig,
  SYSTEM_TOPIC_PREFIX,
} from '@vernier/broker/internal';
import {
  bodyObject,
  createTopicConfig,
  decodeTopicRouteData,
  RequestCode,
  ResponseCode,
  responseCodeName,
  type TopicConfig,
  type TopicRouteData,
  topicConfigFromJson,
} from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { invalid } from '../../receipts/handle.ts';
import type { Groups, RoutedBroker, RoutedTopic, Topics } from '../backend.ts';
import { routedBroker } from '../routed-queues.ts';
import { notServed } from '../served.ts';
import { firstOf, within } from './asking.ts';
import { type Calls, unusable } from './calls.ts';
import { FRESH_MS, Known } from './known.ts';

/** Topics, and groups, that are remembered; bytes each. */
const KNOWN_BYTES_MAX = 32 * 1024 * 1024;
const QUEUE_BYTES = 80;
const BROKER_BYTES = 300;
/** Queues of one topic over all brokers. */
const QUEUES_MAX = 262_144;
/** Names of brokers whose addresses are remembered. */
const BROKERS_MAX = 10_000;
const MASTER_ID = 0;
/** A broker that has not answered for so many milliseconds is not waited for alone. */
const STEP_MS = 1_000;
/** The same when what it said before will do, and how long that is waited for in all. */
const KNOWN_STEP_MS = 200;
const KNOWN_WAIT_MS = 600;
/** How often a broker that does not answer is a reason to ask for routes anew. */
const DISTRUST_MS = 1_000;
/** What a broker says of a name that it does not know. */
const NOT_THERE: ReadonlySet<number> = new Set([
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
]);

interface KnownTopic {
  readonly route: RoutedTopic;
  /** Of all brokers together. */
  readonly config: TopicConfig;
  readonly isStatic: boolean;
}

const systemTopics: ReadonlySet<string> = new Set(fixedSystemTopics);

export interface ClusterNamesParts {
  readonly calls: Calls;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

/**
 * Topics, groups and addresses of the brokers behind nameservers. What the first message would make is not there, as with
 * RocketMQ's proxy. Only masters are known.
 */
export class ClusterNames implements Topics, Groups {
  readonly #calls: Calls;
  readonly #clock: Clock;
  readonly #topics: Known<KnownTopic>;
  readonly #groups: Known<SubscriptionGroupConfig>;
  /** Name of a broker → `host:port` of its master, as a nameserver said it last. */
  readonly #addresses = new Map<string, string>();
  /** `host:port` of a broker that did not answer → when, in monotonic milliseconds; the oldest first. */
  readonly #distrusted = new Map<string, number>();

  constructor({ calls, clock, logger }: ClusterNamesParts) {
    this.#calls = calls;
    this.#clock = clock;
    const common = { clock, logger, bytesMax: KNOWN_BYTES_MAX };
    this.#topics = new Known({
      ...{ ...common, ask: (name: string) => this.#askTopic(name), bytesOf: bytesOfTopic },
      distrustedAt: (topic) => this.#distrustedAt(topic),
    });
    this.#groups = new Known({
      ...common,
      ask: (name, topics) => this.#askGroup(name, topics),
      bytesOf: (group) => 2 * JSON.stringify(group).length,
    });
  }

  /** Of the brokers whose addresses are known. */
  addresses(): ReadonlyMap<string, string> {
    return this.#addresses;
  }

  /** `host:port` of a broker; throws INVALID_RECEIPT_HANDLE for a name that is none. */
  addressOf(brokerName: string): string {
    const address = this.#addresses.get(brokerName);
    if (address === undefined) throw invalid(`cannot find broker ${brokerName}`);
    return address;
  }

  hasBroker(brokerName: string): boolean {
    return this.#addresses.has(brokerName);
  }

  learnTopic(name: string): Promise<void> | undefined {
    return this.#topics.learn(name);
  }

  /** The brokers of these topics are asked, until one knows it. */
  learnGroup(name: string, topics: readonly string[]): Promise<void> | undefined {
    return this.#groups.learn(name, topics);
  }

  /** A broker did not answer: others may have its place in the routes that name it. */
  distrust(address: string): void {
    const now = this.#clock.monotonic();
    const before = this.#distrusted.get(address);
    if (before !== undefined && now - before < DISTRUST_MS) return;
    this.#distrusted.delete(address);
    this.#distrusted.set(address, now);
    // What is known is asked for anew by then in any case.
    for (const [oldest, at] of this.#distrusted) {
      if (now - at < FRESH_MS && this.#distrusted.size <= BROKERS_MAX) return;
      this.#distrusted.delete(oldest);
    }
  }

  /** A broker does not answer: it is forgotten when no route that is known names it any more. */
  forgetUnrouted(address: string): void {
    const gone = new Set([...this.#addresses].filter(([, known]) => known === address).map(([name]) => name));
    for (const { route } of this.#topics.values()) {
      for (const { name } of route.brokers) gone.delete(name);
      if (gone.size === 0) return;
    }
    for (const name of gone) this.#addresses.delete(name);
  }

  isSystemTopic(topic: string): boolean {
    return systemTopics.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX);
  }

  select(topic: string): TopicConfig | undefined {
    return this.#known(topic)?.config;
  }

  route(topic: string): RoutedTopic | undefined {
    return this.#known(topic)?.route;
  }

  find(group: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(group);
  }

  preview(group: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(group);
  }

  #known(topic: string): KnownTopic | undefined {
    const known = this.#topics.get(topic);
    // By the numbers of the brokers its queues would be others.
    if (known?.isStatic === true) throw notServed(`static topic ${topic}`);
    return known;
  }

  #distrustedAt({ route: { brokers } }: KnownTopic): number {
    let newest = Number.NEGATIVE_INFINITY;
    if (this.#distrusted.size === 0) return newest;
    for (const { name } of brokers) {
      newest = Math.max(newest, this.#distrusted.get(this.#addresses.get(name) ?? '') ?? newest);
    }
    return newest;
  }

  async #askTopic(name: string): Promise<KnownTopic | undefined> {
    const fields = { topic: name, acceptStandardJsonOnly: 'true' };
    const response = await this.#calls.askNamesrv(RequestCode.GET_ROUTEINFO_BY_TOPIC, fields);
    if (response.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
    if (response.code !== ResponseCode.SUCCESS) unusable('the nameserver', said(response));
    const data = readable('the nameserver', () => decodeTopicRouteData(response.body));
    const brokers = this.#brokersOf(data);
    if (brokers.length === 0) return undefined;
    const attributes = await this.#attributesOf(name, brokers);
    const config = createTopicConfig(name, {
      attributes,
      perm: brokers.reduce((perm, broker) => perm | broker.perm, 0),
      readQueueNums: brokers.reduce((sum, broker) => sum + broker.readIds.length, 0),
      writeQueueNums: brokers.reduce(
        (sum, { queues }) => sum + queues.filter(({ perm }) => isWriteable(perm)).length,
        0,
      ),
    });
    const isStatic = (data.topicQueueMappingByBroker?.size ?? 0) > 0;
    return { route: { attributes, brokers }, config, isStatic };
  }

  /** In an order that every proxy sees alike: messages of one group go to one queue. */
  #brokersOf({ brokerDatas, queueDatas }: TopicRouteData): RoutedBroker[] {
    for (const { brokerName, brokerAddrs } of brokerDatas) {
      const address = brokerAddrs.get(MASTER_ID);
      if (address !== undefined) this.#moved(brokerName, address);
    }
    const masters = new Set(
      brokerDatas.filter((data) => data.brokerAddrs.has(MASTER_ID)).map((data) => data.brokerName),
    );
    const there = queueDatas.filter(({ brokerName }) => masters.has(brokerName));
    const count = there.reduce((sum, { readQueueNums, writeQueueNums }) => sum + readQueueNums + writeQueueNums, 0);
    if (count > 2 * QUEUES_MAX) unusable('the nameserver', `a topic of ${count} queues, at most ${QUEUES_MAX}`);
    return there
      .toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
      .map((data) => routedBroker(data.brokerName, data));
  }

  #moved(brokerName: string, address: string): void {
    this.#addresses.delete(brokerName);
    this.#addresses.set(brokerName, address);
    if (this.#addresses.size > BROKERS_MAX) this.#addresses.delete(this.#addresses.keys().next().value as string);
  }

  /** As one of its brokers says them; when none does, as one did before. */
  async #attributesOf(topic: string, brokers: readonly RoutedBroker[]): Promise<TopicConfig['attributes']> {
    const addresses = this.#addressesOf(brokers.map(({ name }) => name));
    const known = this.#topics.get(topic)?.route.attributes;
    const stepMs = known === undefined ? STEP_MS : KNOWN_STEP_MS;
    const asked = firstOf(this.#clock, addresses, stepMs, (address) => this.#askAttributes(topic, address));
    // When none has it, it was deleted a moment ago.
    const attributes = asked.then((found) => found ?? new Map<string, string>());
    return known === undefined ? attributes : within(this.#clock, attributes, KNOWN_WAIT_MS, known);
  }

  /** Undefined: the nameserver knows the topic from another broker. */
  async #askAttributes(topic: string, address: string): Promise<TopicConfig['attributes'] | undefined> {
    const response = await this.#calls.askAside(address, RequestCode.GET_TOPIC_CONFIG, { topic });
    if (NOT_THERE.has(response.code)) return undefined;
    if (response.code !== ResponseCode.SUCCESS) unusable(address, said(response));
    return readable(address, () => topicConfigFromJson(bodyObject(response.body, 'TopicConfig'))).attributes;
  }

  #askGroup(group: string, topics: readonly string[]): Promise<SubscriptionGroupConfig | undefined> {
    const names = topics.flatMap((topic) => this.#topics.get(topic)?.route.brokers ?? []).map(({ name }) => name);
    const addresses = this.#addressesOf(names.length > 0 ? names : this.#addresses.keys());
    return firstOf(this.#clock, addresses, STEP_MS, (address) => this.#askGroupOf(group, address));
  }

  async #askGroupOf(group: string, address: string): Promise<SubscriptionGroupConfig | undefined> {
    const response = await this.#calls.askAside(address, RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group });
    if (NOT_THERE.has(response.code)) return undefined;
    if (response.code !== ResponseCode.SUCCESS) unusable(address, said(response));
    const config = readable(address, () => bodyObject(response.body, 'SubscriptionGroupConfig'));
    return readSubscriptionGroup(group, config).group;
  }

  /** Each once; those that did not answer a moment ago are the last. */
  #addressesOf(names: Iterable<string>): string[] {
    const addresses = [...new Set(names)].map((name) => this.addressOf(name));
    const isDistrusted = (address: string): number => (this.#distrusted.has(address) ? 1 : 0);
    return addresses.toSorted((a, b) => isDistrusted(a) - isDistrusted(b));
  }
}

const said = ({ code, remark }: { code: number; remark: string | undefined }): string =>
  `${responseCodeName(code)} (${code})${remark === undefined ? '' : `: ${remark.slice(0, 200)}`}`;

/** What a reader makes of bytes; throws INTERNAL_SERVER_ERROR when they are none of what it reads. */
export function readable<Value>(address: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    return unusable(address, (error as Error).message);
  }
}

const bytesOfTopic = ({ route: { attributes, brokers } }: KnownTopic): number => {
  let bytes = 0;
  for (const [name, value] of attributes) bytes += 2 * (name.length + value.length);
  for (const { name, queues, readIds } of brokers) {
    bytes += BROKER_BYTES + 2 * name.length + QUEUE_BYTES * queues.length + 8 * readIds.length;
  }
  return bytes;
};

/** Queues of all brokers that may be written, in order. */
export const writeQueuesOf = ({ brokers }: RoutedTopic): { brokerName: string; queueId: number }[] =>
  brokers.flatMap(({ name: brokerName, queues }) =>
    queues.filter(({ perm }) => isWriteable(perm)).map(({ id }) => ({ brokerName, queueId: id })),
  );

/** Names of brokers that have a queue to read. */
export const readBrokersOf = ({ brokers }: RoutedTopic): string[] =>
  brokers.filter(({ perm, readIds }) => isReadable(perm) && readIds.length > 0).map(({ name }) => name);
