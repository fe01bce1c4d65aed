import { RequestCode, ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { liteNameOf, liteTopicFault, lmqOf } from '../base/lite-names.ts';
import { Refusal } from '../base/refusal.ts';
import type { Client } from '../clients/client.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { OrderInfos } from '../pop/order-infos.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { LiteEvents } from './lite-events.ts';
import { isLiteTopic, type LiteGroup, liteGroupOf } from './lite-rules.ts';
import type { LiteSubscription, LiteSubscriptions } from './lite-subscriptions.ts';

export type LiteAction = 'PARTIAL_ADD' | 'PARTIAL_REMOVE' | 'COMPLETE_ADD' | 'COMPLETE_REMOVE';

/** Where a new subscription begins (RocketMQ OffsetOption). */
export type LiteStart =
  | { readonly kind: 'POLICY' | 'OFFSET' | 'TAIL_N'; readonly value: number }
  /** Says nothing: RocketMQ has not made it yet. */
  | { readonly kind: 'TIMESTAMP'; readonly value: number };

/** What a client says of its lite topics. */
export interface LiteChange {
  readonly action: LiteAction;
  readonly clientId: string;
  readonly group: string;
  readonly topic: string;
  readonly liteTopics: readonly string[];
  readonly start: LiteStart | undefined;
}

/** Why there are no lite topics. */
export const NEEDS_LMQS = 'lite topics need enableLmq and enableMultiDispatch';

const CLIENT_ID_LENGTH_MAX = 1_024;
/** RocketMQ OffsetOption.POLICY_MIN_VALUE and POLICY_MAX_VALUE; 0 is where the group is. */
const POLICY_MIN = 1;
const POLICY_MAX = 2;

export interface LiteSubscriptionServiceParts {
  readonly hasLmqs: boolean;
  readonly store: Pick<MessageStore, 'getMaxOffsetInQueue'>;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly orders: OrderInfos;
  readonly subscriptions: LiteSubscriptions;
  readonly events: LiteEvents;
}

/** Subscribes clients to lite topics (RocketMQ LiteSubscriptionCtlProcessor). */
export class LiteSubscriptionService {
  readonly #parts: LiteSubscriptionServiceParts;

  constructor(parts: LiteSubscriptionServiceParts) {
    this.#parts = parts;
  }

  /** In order; the first that cannot be is the refusal, those before it are done. `client`: who is told when one ends. */
  change(changes: readonly LiteChange[], client: Client): Refusal | undefined {
    for (const change of changes) {
      const refusal = this.#change(change, client);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #change(change: LiteChange, client: Client): Refusal | undefined {
    const { subscriptions, hasLmqs } = this.#parts;
    const { action, clientId, group, topic, liteTopics } = change;
    const fault = hasLmqs ? faultOf(change) : NEEDS_LMQS;
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    if (action === 'COMPLETE_REMOVE') {
      subscriptions.remove(clientId);
      return undefined;
    }
    const lmqs = [...new Set(liteTopics.map((lite) => lmqOf(topic, lite)))];
    if (action === 'PARTIAL_REMOVE') {
      this.#remove(subscriptions.get(clientId), lmqs);
      return undefined;
    }
    const rules = this.#rulesOf(group, topic);
    if (rules instanceof Refusal) return rules;
    const known = subscriptions.touch(clientId, group, topic, client);
    if (known === undefined) return quota('lite subscription quota exceeded: there is no room for more clients');
    if (action === 'PARTIAL_ADD') return this.#add(known, lmqs, rules, change.start);
    return this.#replace(known, lmqs, rules);
  }

  #rulesOf(group: string, topic: string): LiteGroup | Refusal {
    const { groups, topics } = this.#parts;
    const config = groups.find(group);
    if (config?.consumeEnable !== true) {
      return new Refusal(ResponseCode.ILLEGAL_OPERATION, `Consumer group ${group} is not allowed to consume.`);
    }
    const rules = liteGroupOf(config);
    if (rules?.bindTopic !== topic || !isLiteTopic(topics.select(topic))) {
      const remark = `group ${group} is bound to ${rules?.bindTopic ?? 'no topic'}, and ${topic} has to be a topic of the type LITE`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    return rules;
  }

  #add(
    known: LiteSubscription,
    lmqs: readonly string[],
    rules: LiteGroup,
    start: LiteStart | undefined,
  ): Refusal | undefined {
    const { subscriptions } = this.#parts;
    if (rules.isWildcard) {
      const remark = `subscribe lite operation is not supported for this group: ${known.group} has all lite topics`;
      return new Refusal(ResponseCode.ILLEGAL_OPERATION, remark);
    }
    const full = subscriptions.fullReason(known, lmqs, rules.clientQuota);
    if (full !== undefined) return quota(full);
    for (const lmq of lmqs) {
      if (known.lmqs.has(lmq)) continue;
      if (rules.isExclusive) this.#takeFromOthers(known, lmq, rules);
      this.#begin(known.group, lmq, start);
      subscriptions.add(known, lmq);
    }
    return undefined;
  }

  #replace(known: LiteSubscription, lmqs: readonly string[], rules: LiteGroup): Refusal | undefined {
    const { subscriptions } = this.#parts;
    if (rules.isWildcard) {
      subscriptions.addWildcard(known);
      return undefined;
    }
    const full = subscriptions.fullReason(known, lmqs, rules.clientQuota);
    if (full !== undefined) return quota(full);
    const wanted = new Set(lmqs);
    for (const lmq of [...known.lmqs]) if (!wanted.has(lmq)) this.#drop(known, lmq);
    for (const lmq of lmqs) {
      // Another client has taken it: this one has not heard of that yet, or the word was lost.
      const isTaken = rules.isExclusive && !known.lmqs.has(lmq) && this.#holderOf(known, lmq) !== undefined;
      if (isTaken) this.#tellEnd(known, lmq);
      else subscriptions.add(known, lmq);
    }
    return undefined;
  }

  #remove(known: LiteSubscription | undefined, lmqs: readonly string[]): void {
    if (known === undefined) return;
    const { groups } = this.#parts;
    const resets = liteGroupOf(groups.table.get(known.group))?.resetsOnUnsubscribe === true;
    for (const lmq of lmqs) {
      if (this.#drop(known, lmq) && resets) this.#reset(known.group, lmq, 0);
    }
  }

  #drop(known: LiteSubscription, lmq: string): boolean {
    const { subscriptions, events } = this.#parts;
    if (!subscriptions.drop(known, lmq)) return false;
    events.forget(known.clientId, lmq);
    events.offer(known.group, lmq);
    return true;
  }

  #holderOf(known: LiteSubscription, lmq: string): string | undefined {
    for (const clientId of this.#parts.subscriptions.subscribersOf(lmq, known.group)) {
      if (clientId !== known.clientId) return clientId;
    }
    return undefined;
  }

  #takeFromOthers(known: LiteSubscription, lmq: string, rules: LiteGroup): void {
    const { subscriptions, events } = this.#parts;
    for (const clientId of [...subscriptions.subscribersOf(lmq, known.group)]) {
      const other = subscriptions.get(clientId);
      if (other === undefined || other === known || !subscriptions.drop(other, lmq)) continue;
      events.forget(clientId, lmq);
      this.#tellEnd(other, lmq);
      if (rules.resetsWhenTaken) this.#reset(known.group, lmq, 0);
    }
  }

  /** NOTIFY_UNSUBSCRIBE_LITE. A client that cannot be told says at its next word that it still subscribes. */
  #tellEnd({ client, clientId, group }: LiteSubscription, lmq: string): void {
    const liteTopic = liteNameOf(lmq)?.lite ?? '';
    client?.tell(RequestCode.NOTIFY_UNSUBSCRIBE_LITE, { liteTopic, consumerGroup: group, clientId }, undefined);
  }

  #begin(group: string, lmq: string, start: LiteStart | undefined): void {
    if (start === undefined) return;
    const { store, offsets } = this.#parts;
    const { kind, value } = start;
    const current = offsets.query(group, lmq, 0);
    let target: number | undefined;
    if (kind === 'POLICY' && value === POLICY_MIN) target = 0;
    const end = store.getMaxOffsetInQueue(lmq, 0);
    if (kind === 'POLICY' && value === POLICY_MAX) target = end;
    // A group behind the end would not be told of messages before it gets there.
    if (kind === 'OFFSET') target = Math.min(value, end);
    if (kind === 'TAIL_N' && current >= 0) target = Math.max(0, current - value);
    if (target !== undefined && target !== current) this.#reset(group, lmq, target);
  }

  /** A group that cannot be given an offset for want of room begins where every new group does. */
  #reset(group: string, lmq: string, offset: number): void {
    const { offsets, orders } = this.#parts;
    offsets.assignResets(group, lmq, new Map([[0, offset]]));
    orders.clear(lmq, group, 0);
  }
}

const quota = (why: string): Refusal => new Refusal(ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED, why);

function faultOf({ clientId, group, topic, liteTopics, start }: LiteChange): string | undefined {
  if (clientId.trim() === '' || clientId.length > CLIENT_ID_LENGTH_MAX) {
    return `clientId has ${clientId.length} characters, allowed are 1 to ${CLIENT_ID_LENGTH_MAX}`;
  }
  if (group.trim() === '' || topic.trim() === '') return 'group and topic are needed';
  if (start !== undefined && start.value < 0) return `an offset option of ${start.value}`;
  for (const lite of liteTopics) {
    const fault = liteTopicFault(lite) ?? nameFault(lmqOf(topic, lite));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** No message of a longer name is taken, so nobody would ever hear of it. */
const LMQ_BYTES_MAX = 127;
function nameFault(lmq: string): string | undefined {
  const bytes = Buffer.byteLength(lmq);
  return bytes <= LMQ_BYTES_MAX ? undefined : `${lmq.slice(0, 127)} has ${bytes} bytes, at most ${LMQ_BYTES_MAX}`;
}
