import { ResponseCode } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { groupOfRetryTopic } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { RebalanceLockManager } from '../clients/rebalance-lock-manager.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import { ensureDeadLetterTopic } from '../topics/retry-topics.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { deadLetterProperties, isLimit } from './dead-letters.ts';

/**
 * Where a message goes that a consumer sends to its group's retry topic (the fallback of CONSUMER_SEND_MSG_BACK; RocketMQ
 * SendMessageProcessor.handleRetryAndDLQ): there, or to the group's dead letters without a delay.
 */
export class RetryLimit {
  readonly #topics: TopicConfigManager;
  readonly #groups: SubscriptionGroupManager;
  readonly #locks: RebalanceLockManager;

  constructor(topics: TopicConfigManager, groups: SubscriptionGroupManager, locks: RebalanceLockManager) {
    this.#topics = topics;
    this.#groups = groups;
    this.#locks = locks;
  }

  /**
   * Changes the topic of a message that was tried more than `maxReconsumeTimes` times (NaN: what its group says; negative:
   * without end), or whose group consumes in order.
   */
  apply(message: MessageExtBrokerInner, maxReconsumeTimes: number): Refusal | undefined {
    const group = groupOfRetryTopic(message.topic);
    const config = this.#groups.find(group);
    if (config === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${group}`);
    }
    const retryMax = Number.isSafeInteger(maxReconsumeTimes) ? maxReconsumeTimes : config.retryMaxTimes;
    // An orderly consumer sends a message here only when it has given up on it. New clients count that try, so that the times
    // exceed the limit. Old ones do not; a queue that the group has locked tells it of them.
    const isTriedEnough = isLimit(retryMax) && message.reconsumeTimes > retryMax;
    if (isTriedEnough || this.#locks.isConsumedInOrder(group)) {
      message.topic = ensureDeadLetterTopic(this.#topics, group).topicName;
      message.queueId = 0;
      message.propertiesString = deadLetterProperties(message.propertiesString, -1);
    }
    return undefined;
  }
}
