import { ResponseCode, type TopicConfig } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { BATCH_CQ, QUEUE_TYPE } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { isReadable } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { AskedFilter, SizedFilter } from '../filter/sized-filter.ts';
import { SQL92, type SqlFilters } from '../filter/sql-filters.ts';
import { buildSubscription, expressionRefusal, isTagType, tagFilter } from '../filter/tag-filter.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { PopRequest, QueueOfGroup } from './pop-request.ts';

export interface PopPermissionParts {
  readonly config: BrokerConfig;
  readonly store: Pick<MessageStore, 'hasBatchQueues'>;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly sqlFilters: SqlFilters;
  /** The broker's address as refusals name it. */
  readonly host: string;
}

/** Who may pop what: the checks of RocketMQ's PopMessageProcessor, in its order. */
export class PopPermission {
  readonly #parts: PopPermissionParts;

  constructor(parts: PopPermissionParts) {
    this.#parts = parts;
  }

  /** The topic; or why the group gets nothing of it. */
  topic({ group, topic: name, queueId }: QueueOfGroup, caller: Caller): TopicConfig | Refusal {
    const { config, topics, groups, store, host } = this.#parts;
    if (!isReadable(config.brokerPermission)) {
      return new Refusal(ResponseCode.NO_PERMISSION, `the broker[${host}] pop message is forbidden`);
    }
    if (!config.timerWheelEnable) {
      const remark = `the broker[${host}] pop message is forbidden because timerWheelEnable is false`;
      return new Refusal(ResponseCode.SYSTEM_ERROR, remark);
    }
    const topic = topics.select(name);
    if (topic === undefined) {
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist, apply first please!`);
    }
    if (!isReadable(topic.perm)) {
      return new Refusal(ResponseCode.NO_PERMISSION, `the topic[${name}] peeking message is forbidden`);
    }
    if (queueId >= topic.readQueueNums || queueId < -1) {
      const remark = `queueId[${queueId}] is illegal, topic:[${name}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${caller.remoteAddress}]`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    if (store.hasBatchQueues(name)) {
      const remark = `topic ${name} has batch queues (${QUEUE_TYPE}=${BATCH_CQ}), which cannot be popped`;
      return new Refusal(ResponseCode.SYSTEM_ERROR, remark);
    }
    const groupConfig = groups.find(group);
    if (groupConfig === undefined) {
      const remark = `subscription group [${group}] does not exist`;
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    }
    if (!groupConfig.consumeEnable) {
      return new Refusal(ResponseCode.NO_PERMISSION, `subscription group no permission, ${group}`);
    }
    if (groups.isReadForbidden(group, name)) {
      const remark = `the consumer group[${group}] is forbidden for topic[${name}]`;
      return new Refusal(ResponseCode.NO_PERMISSION, remark);
    }
    return topic;
  }

  /** What the pop wants of the topic and of its retries; undefined: everything. A promise when its expression waits. */
  filter({ topic, expression, expressionType }: PopRequest, caller: Caller): AskedFilter | Promise<AskedFilter> {
    if (expression === undefined || expression === '') return undefined;
    const subscription = buildSubscription(topic, expression, expressionType, 0);
    if (subscription === undefined) return unparsable('it holds no tag');
    if (isTagType(expressionType)) return tagFilter(subscription);
    const { sqlFilters } = this.#parts;
    if (expressionType !== SQL92 || !sqlFilters.isEnabled) return expressionRefusal(expressionType);
    const filter = sqlFilters.of(expression, caller);
    return filter instanceof Promise ? filter.then(readable) : readable(filter);
  }
}

const readable = (filter: SizedFilter | string | Refusal): SizedFilter | Refusal =>
  typeof filter === 'string' ? unparsable(filter) : filter;

const unparsable = (why: string): Refusal =>
  new Refusal(ResponseCode.SUBSCRIPTION_PARSE_FAILED, `parse the consumer's subscription failed: ${why}`);
