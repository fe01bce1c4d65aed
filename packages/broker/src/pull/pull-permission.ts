import { ResponseCode, type SubscriptionData, type TopicConfig } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import { isReadable } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';
import type { BrokerConfig } from '../config.ts';
import type { AskedFilter, SizedFilter } from '../filter/sized-filter.ts';
import { SQL92, type SqlFilters } from '../filter/sql-filters.ts';
import { buildSubscription, expressionRefusal, isTagType, tagFilter } from '../filter/tag-filter.ts';
import type { SubscriptionGroupConfig } from '../groups/subscription-group-config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { ForbiddenPull, ForbiddenType, type PullRequest } from './pull-request.ts';

export interface PullPermissionParts {
  readonly config: BrokerConfig;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly consumers: ConsumerManager;
  readonly sqlFilters: SqlFilters;
  /** The broker's address as refusals name it. */
  readonly host: string;
}

const forbidden = (type: number, remark: string): ForbiddenPull =>
  new ForbiddenPull(ResponseCode.NO_PERMISSION, type, remark);

/** Who may pull what: the checks of RocketMQ's PullMessageProcessor, in its order. */
export class PullPermission {
  readonly #parts: PullPermissionParts;

  constructor(parts: PullPermissionParts) {
    this.#parts = parts;
  }

  /** The group; made on the spot when that is allowed. */
  group(request: PullRequest): SubscriptionGroupConfig | Refusal {
    const { config, groups, host } = this.#parts;
    if (!isReadable(config.brokerPermission) || (request.isLite && !config.litePullMessageEnable)) {
      return forbidden(ForbiddenType.BROKER, `the broker[${host}] pulling message is forbidden`);
    }
    const { consumerGroup } = request;
    const group = groups.find(consumerGroup);
    if (group === undefined) {
      const remark = `subscription group [${consumerGroup}] does not exist`;
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    }
    if (!group.consumeEnable) {
      return forbidden(ForbiddenType.GROUP, `subscription group no permission, ${consumerGroup}`);
    }
    return group;
  }

  /** The topic, which has the queue. */
  topic(request: PullRequest, caller: Caller): TopicConfig | Refusal {
    const topic = this.#parts.topics.select(request.topic);
    if (topic === undefined) {
      const remark = `topic[${request.topic}] not exist, apply first please!`;
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, remark);
    }
    if (!isReadable(topic.perm)) {
      return forbidden(ForbiddenType.TOPIC, `the topic[${request.topic}] pulling message is forbidden`);
    }
    if (request.queueId < 0 || request.queueId >= topic.readQueueNums) {
      const remark = `queueId[${request.queueId}] is illegal, topic:[${request.topic}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${caller.remoteAddress}]`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    return topic;
  }

  /**
   * What the pull wants of the topic, as it says itself or as the group's last heartbeat said; undefined: everything. A
   * promise when its expression waits to be compiled.
   */
  filter(
    request: PullRequest,
    group: SubscriptionGroupConfig,
    caller: Pick<Caller, 'host'>,
  ): AskedFilter | Promise<AskedFilter> {
    const subscription = request.hasSubscription ? ownSubscription(request) : this.#ofHeartbeat(request, group);
    if (subscription instanceof Refusal) return subscription;
    if (isTagType(subscription.expressionType)) return tagFilter(subscription);
    const { sqlFilters } = this.#parts;
    if (subscription.expressionType !== SQL92 || !sqlFilters.isEnabled) {
      return expressionRefusal(subscription.expressionType);
    }
    const filter = sqlFilters.of(subscription.subString, caller);
    if (!(filter instanceof Promise)) return readable(request.hasSubscription, filter);
    const { hasSubscription } = request;
    return filter.then((compiled) => readable(hasSubscription, compiled));
  }

  #ofHeartbeat(request: PullRequest, group: SubscriptionGroupConfig): SubscriptionData | Refusal {
    const { consumerGroup, topic } = request;
    const info = this.#parts.consumers.group(consumerGroup);
    if (info === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist");
    }
    if (!group.consumeBroadcastEnable && info.messageModel === 'BROADCASTING') {
      const remark = `the consumer group[${consumerGroup}] can not consume by broadcast way`;
      return forbidden(ForbiddenType.BROADCASTING, remark);
    }
    if (this.#parts.groups.isReadForbidden(consumerGroup, topic)) {
      const remark = `the consumer group[${consumerGroup}] is forbidden for topic[${topic}]`;
      return forbidden(ForbiddenType.SUBSCRIPTION, remark);
    }
    const subscription = info.subscriptionTable.get(topic);
    if (subscription === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist");
    }
    if (subscription.subVersion < request.subVersion) {
      return new Refusal(ResponseCode.SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest");
    }
    return subscription;
  }
}

function readable(hasSubscription: boolean, filter: SizedFilter | string | Refusal): SizedFilter | Refusal {
  if (typeof filter !== 'string') return filter;
  // A heartbeat is not answered with what is wrong in it; RocketMQ has kept nothing of such an expression then.
  return hasSubscription
    ? new Refusal(ResponseCode.SUBSCRIPTION_PARSE_FAILED, `parse the consumer's subscription failed: ${filter}`)
    : new Refusal(
        ResponseCode.FILTER_DATA_NOT_EXIST,
        `The broker's consumer filter data is not exist!Your expression may be wrong! ${filter}`,
      );
}

function ownSubscription({ topic, subscription, expressionType, subVersion }: PullRequest): SubscriptionData | Refusal {
  return (
    buildSubscription(topic, subscription, expressionType, subVersion) ??
    new Refusal(ResponseCode.SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed")
  );
}
