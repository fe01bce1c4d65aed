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
import { type Calls, unusable } from './calls.ts';
import { Known } from './known.ts';

/** Topics, and groups, that are remembered; bytes each. */
const KNOWN_BYTES_MAX = 32 * 1024 * 1024;
const QUEUE_BYTES = 80;
const BROKER_BYTES = 300;
/** Queues of one topic over all brokers. */
const QUEUES_MAX = 262_144;
/** Names of brokers whose addresses are remembered. */
const BROKERS_MAX = 10_000;
const MASTER_ID = 0;
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
  readonly #topics: Known<KnownTopic>;
  readonly #groups: Known<SubscriptionGroupConfig>;
  /** Name of a broker → `host:port` of its master, as a nameserver said it last. */
  readonly #addresses = new Map<string, string>();

  constructor({ calls, clock, logger }: ClusterNamesParts) {
    this.#calls = calls;
    const common = { clock, logger, bytesMax: KNOWN_BYTES_MAX };
    this.#topics = new Known({ ...common, ask: (name) => this.#askTopic(name), bytesOf: bytesOfTopic });
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

  /** One of the brokers of these topics is asked. */
  learnGroup(name: string, topics: readonly string[]): Promise<void> | undefined {
    return this.#groups.learn(name, topics);
  }

  /** A server did not answer: others may have its place. */
  distrust(): void {
    this.#topics.distrust();
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

  async #askTopic(name: string): Promise<KnownTopic | undefined> {
    const fields = { topic: name, acceptStandardJsonOnly: 'true' };
    const response = await this.#calls.askNamesrv(RequestCode.GET_ROUTEINFO_BY_TOPIC, fields);
    if (response.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
    if (response.code !== ResponseCode.SUCCESS) unusable('the nameserver', said(response));
    const data = readable('the nameserver', () => decodeTopicRouteData(response.body));
    const brokers = this.#brokersOf(data);
    const [first] = brokers;
    if (first === undefined) return undefined;
    const attributes = await this.#attributesOf(name, this.addressOf(first.name));
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

  async #attributesOf(topic: string, address: string): Promise<TopicConfig['attributes']> {
    const response = await this.#calls.ask(address, RequestCode.GET_TOPIC_CONFIG, { topic });
    // The nameserver knows it from another broker, or from before it was deleted.
    if (NOT_THERE.has(response.code)) return new Map();
    if (response.code !== ResponseCode.SUCCESS) unusable(address, said(response));
    return readable(address, () => topicConfigFromJson(bodyObject(response.body, 'TopicConfig'))).attributes;
  }

  async #askGroup(group: string, topics: readonly string[]): Promise<SubscriptionGroupConfig | undefined> {
    const names = topics.flatMap((topic) => this.#topics.get(topic)?.route.brokers ?? []).map(({ name }) => name);
    const [brokerName] = names.length > 0 ? names : this.#addresses.keys();
    if (brokerName === undefined) return undefined;
    const address = this.addressOf(brokerName);
    const response = await this.#calls.ask(address, RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group });
    if (NOT_THERE.has(response.code)) return undefined;
    if (response.code !== ResponseCode.SUCCESS) unusable(address, said(response));
    return readSubscriptionGroup(
      group,
      readable(address, () => bodyObject(response.body, 'SubscriptionGroupConfig')),
    ).group;
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
