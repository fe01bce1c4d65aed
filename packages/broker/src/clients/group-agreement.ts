import type { SubscriptionData } from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { LineRate, shownValue } from '@vernier/store/internal';
import { builtInGroups } from '../base/names.ts';
import type { Client } from './client.ts';
import type { ConsumerGroupInfo, ConsumerRegistration } from './consumer-manager.ts';

/** One line about a group in this time: its members say what they say with every heartbeat. */
export const GROUP_LINE_INTERVAL_MS = 10 * 60_000;
const DIFFERENCES_MAX = 3;

/** Who said last what a group is, and what it subscribes to. */
interface Said {
  by: Client;
  subscriptionsBy: Client | undefined;
  /** Of these subscriptions: the table may hold those of another member, whose version is newer. */
  subscriptionsHash: number;
  /** Monotonic milliseconds. */
  lineAt: number;
}

/**
 * Tells whoever reads the log that two members of a group say different things of it. The last heartbeat decides, as with
 * RocketMQ, so that such a group changes with each of them: tags that one member wants are filtered away for the other,
 * and offsets go past messages that nobody got.
 */
export class GroupAgreement {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #logger: StoreLogger;
  readonly #lines: LineRate;
  /** An entry goes with its group. */
  readonly #said = new WeakMap<ConsumerGroupInfo, Said>();

  constructor(clock: Pick<Clock, 'monotonic'>, logger: StoreLogger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#lines = new LineRate(clock);
  }

  /** A member's heartbeat, before the group becomes what it says. */
  heard(info: ConsumerGroupInfo, client: Client, registration: ConsumerRegistration): void {
    const { subscriptions } = registration;
    const hash = subscriptions === undefined ? 0 : hashOf(subscriptions);
    const said = this.#said.get(info);
    if (said === undefined) {
      const subscriptionsBy = subscriptions === undefined ? undefined : client;
      this.#said.set(info, { by: client, subscriptionsBy, subscriptionsHash: hash, lineAt: Number.NEGATIVE_INFINITY });
      return;
    }
    if (this.#mayBeTold(said, info)) this.#compare(said, info, client, registration, hash);
    said.by = client;
    if (subscriptions === undefined) return;
    said.subscriptionsBy = client;
    said.subscriptionsHash = hash;
  }

  /**
   * A client has joined; `others` are the members. Ids are what members share the queues by: two clients with one id
   * (containers without a host name of their own) take the same queues, and some queues nobody takes.
   */
  joined(group: string, client: Client, others: Iterable<Client>): void {
    for (const other of others) {
      if (other.clientId !== client.clientId || !isOther(other, client)) continue;
      if (this.#lines.admit() === undefined) return;
      this.#logger.warn(
        {
          group,
          clientId: client.clientId,
          remoteAddress: other.remoteAddress,
          otherRemoteAddress: client.remoteAddress,
        },
        `group ${group} has the client ${shownValue(client.clientId)} twice, from ${other.remoteAddress} and now from ` +
          `${client.remoteAddress}: unless the first connection is broken, give each its own instanceName`,
      );
      return;
    }
  }

  #mayBeTold({ lineAt }: Said, { groupName }: ConsumerGroupInfo): boolean {
    return this.#clock.monotonic() - lineAt >= GROUP_LINE_INTERVAL_MS && !builtInGroups.includes(groupName);
  }

  #compare(
    said: Said,
    info: ConsumerGroupInfo,
    client: Client,
    registration: ConsumerRegistration,
    hash: number,
  ): void {
    const { subscriptions } = registration;
    const differences = isOther(said.by, client) ? kindDifferences(info, registration) : [];
    let other = said.by;
    if (differences.length === 0) {
      const { subscriptionsBy } = said;
      if (subscriptions === undefined || subscriptionsBy === undefined || hash === said.subscriptionsHash) return;
      if (!isOther(subscriptionsBy, client)) return;
      other = subscriptionsBy;
      differences.push(...subscriptionDifferences(info.subscriptionTable, subscriptions));
    }
    if (differences.length === 0 || this.#lines.admit() === undefined) return;
    said.lineAt = this.#clock.monotonic();
    const shown = differences.slice(0, DIFFERENCES_MAX).join('; ');
    const more = differences.length > DIFFERENCES_MAX ? `; and ${differences.length - DIFFERENCES_MAX} more` : '';
    this.#logger.warn(
      {
        group: info.groupName,
        clientId: other.clientId,
        remoteAddress: other.remoteAddress,
        otherClientId: client.clientId,
        otherRemoteAddress: client.remoteAddress,
      },
      `members of group ${info.groupName} differ: ${nameOf(other)} and ${nameOf(client)}: ${shown}${more}. ` +
        'The last heartbeat decides for all of them.',
    );
  }
}

/** A client that is gone, or that changed its own mind, contradicts nobody. */
const isOther = (before: Client, now: Client): boolean => before !== now && !before.isGone;

const nameOf = ({ clientId, remoteAddress }: Client): string => `${shownValue(clientId)} (${remoteAddress})`;

function kindDifferences(info: ConsumerGroupInfo, registration: ConsumerRegistration): string[] {
  const differences: string[] = [];
  for (const key of ['messageModel', 'consumeType', 'consumeFromWhere'] as const) {
    if (info[key] === registration[key]) continue;
    differences.push(`${key} ${shownValue(info[key])} and ${shownValue(registration[key])}`);
  }
  return differences;
}

function subscriptionDifferences(
  known: ReadonlyMap<string, SubscriptionData>,
  said: readonly SubscriptionData[],
): string[] {
  const differences: string[] = [];
  const topics = new Set<string>();
  for (const subscription of said) {
    const { topic } = subscription;
    topics.add(topic);
    const before = known.get(topic);
    if (before === undefined) differences.push(`topic ${shownValue(topic)} of the latter alone`);
    else if (expressionOf(before) !== expressionOf(subscription)) {
      const [one, two] = [before, subscription].map((each) => shownValue(expressionOf(each)));
      differences.push(`topic ${shownValue(topic)} by ${one} and by ${two}`);
    }
  }
  for (const topic of known.keys()) {
    if (!topics.has(topic)) differences.push(`topic ${shownValue(topic)} of the former alone`);
  }
  return differences;
}

const expressionOf = ({ expressionType, subString }: SubscriptionData): string =>
  expressionType === '' || expressionType === 'TAG' ? subString : `${expressionType} ${subString}`;

/** Of what is subscribed to, in whatever order; 32 bits (FNV-1a of each, summed up). */
function hashOf(subscriptions: readonly SubscriptionData[]): number {
  let sum = 0;
  for (const subscription of subscriptions) {
    const text = `${subscription.topic}\n${expressionOf(subscription)}`;
    let hash = 0x811c9dc5;
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    sum = (sum + hash) | 0;
  }
  return sum;
}
