import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { groupNameFault, topicNameFault } from '@vernier/broker/internal';
import type { RemotingClientOptions } from '@vernier/remoting';
import { type Clock, type StoreLogger, silentLogger, systemClock } from '@vernier/store';
import { defaultLimits } from '../../limits.ts';
import { invalid } from '../../receipts/handle.ts';
import { StatusError } from '../../status.ts';
import { Code } from '../../wire/messages.ts';
import type { Backend, Names } from '../backend.ts';
import { within } from './asking.ts';
import { Calls } from './calls.ts';
import { RemoteDeliveries } from './deliveries.ts';
import { RemoteMembers } from './members.ts';
import { RemoteMessages, RemoteTransactions } from './messages.ts';
import { ClusterNames } from './topics.ts';

export interface RemoteBackendOptions extends Pick<RemotingClientOptions, 'tls' | 'credentials'> {
  /** `host:port` of each nameserver; one that does not answer is passed over. */
  readonly namesrvs: readonly string[];
  readonly logger?: StoreLogger;
  readonly clock?: Clock;
  /** How long a server may take for an answer, beside what a request lets it wait; d=6,000 milliseconds. */
  readonly answerMs?: number;
  /** Pops that brokers have not answered; d=100,000. */
  readonly popsMax?: number;
  /** From 0 up to 1, 1 excluded. */
  readonly random?: () => number;
}

/** Topics of one call, of which each is a question to a nameserver. */
const TOPICS_MAX = 1_000;
/** Questions of one call at once. */
const ASKED_AT_ONCE = 16;

/**
 * The brokers behind nameservers, Vernier's or RocketMQ's, by requests of RocketMQ's remoting protocol. What a broker did not
 * answer is an error, whatever it did: nothing is taken for stored or acknowledged that it did not say so of.
 */
export class RemoteBackend implements Backend {
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly access = { isOn: false } as const;
  readonly config = { channelExpiredTimeout: 120_000, callClientTimeoutMills: 3_000 };
  readonly reports: Backend['reports'] = new Set();
  readonly tlsPorts: Backend['tlsPorts'] = new Map();
  readonly metadata = undefined;
  readonly topics: ClusterNames;
  readonly groups: ClusterNames;
  readonly members: RemoteMembers;
  readonly messages: RemoteMessages;
  readonly deliveries: RemoteDeliveries;
  readonly transactions: RemoteTransactions;
  readonly queues = undefined;
  readonly lite = undefined;
  readonly #calls: Calls;
  readonly #names: ClusterNames;

  /** Throws REMOTING_ADDRESS_INVALID. */
  constructor(options: RemoteBackendOptions) {
    const { logger = silentLogger, clock = systemClock, random = Math.random } = options;
    const { namesrvs, tls, credentials, answerMs, popsMax = defaultLimits.callsMax } = options;
    this.clock = clock;
    this.logger = logger;
    const connecting = { tls, credentials, logger, clock, ...(answerMs === undefined ? {} : { answerMs }) };
    const calls = new Calls({ ...connecting, namesrvs, unreachable: (address) => this.#names.distrust(address) });
    this.#calls = calls;
    const names = new ClusterNames({ calls, clock, logger });
    this.#names = names;
    this.topics = names;
    this.groups = names;
    const clientId = `${hostname()}@${process.pid}#${randomUUID()}`;
    this.members = new RemoteMembers({ calls, names, clock, logger, random, clientId });
    this.messages = new RemoteMessages({ calls, names, random });
    this.deliveries = new RemoteDeliveries({ calls, names, clock, random, popsMax });
    this.transactions = new RemoteTransactions({ calls, names });
  }

  /** Names that can be none are refused by whoever checks them. */
  learn({ topics, groups }: Names): Promise<void> | undefined {
    const askedTopics = topics.filter((name) => topicNameFault(name) === undefined && !this.topics.isSystemTopic(name));
    if (askedTopics.length > TOPICS_MAX) {
      throw new StatusError(Code.BAD_REQUEST, `${askedTopics.length} topics, at most ${TOPICS_MAX} at once`);
    }
    const askedGroups = groups.filter((name) => groupNameFault(name) === undefined);
    if (askedTopics.length > 1 || askedGroups.length > 1) return this.#learnMany(askedTopics, askedGroups);
    const [[topic], [group]] = [askedTopics, askedGroups];
    const learning = topic === undefined ? undefined : this.#names.learnTopic(topic);
    if (group === undefined) return learning;
    if (learning === undefined) return this.#names.learnGroup(group, askedTopics);
    return learning.then(() => this.#names.learnGroup(group, askedTopics));
  }

  checkBroker(brokerName: string): void {
    if (!this.#names.hasBroker(brokerName)) throw invalid(`cannot find broker ${brokerName}`);
  }

  /**
   * What was found for clients that are gone is given back first, as far as that takes no longer than `graceMs`; then calls
   * that wait for answers fail.
   */
  async close(graceMs = 0): Promise<void> {
    this.members.stop();
    await within(this.clock, this.deliveries.settled(), graceMs, undefined);
    await this.#calls.close();
  }

  async #learnMany(topics: readonly string[], groups: readonly string[]): Promise<void> {
    for (let at = 0; at < topics.length; at += ASKED_AT_ONCE) {
      await Promise.all(topics.slice(at, at + ASKED_AT_ONCE).map((topic) => this.#names.learnTopic(topic)));
    }
    for (const group of groups) await this.#names.learnGroup(group, topics);
  }
}
