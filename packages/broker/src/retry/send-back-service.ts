import {
  createOffsetMessageId,
  MessageSysFlag,
  ResponseCode,
  responseCodeName,
  TRANSACTION_MASK,
} from '@vernier/remoting';
import type { Clock, MessageExt, MessageStore } from '@vernier/store';
import { decodeMessage, encodeProperties, PROPERTY_CRC32 } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { memberAccess } from '../base/identity.ts';
import { isWriteable, retryTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import { deadLetterProperties, FIRST_RETRY_LEVEL, isLimit } from '../put/dead-letters.ts';
import type { MessageToPut } from '../put/message-to-put.ts';
import { timerNames } from '../put/put-message-hook.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import { ensureDeadLetterTopic, ensureRetryTopic, usableQueueNums } from '../topics/retry-topics.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

export interface SendBack {
  readonly group: string;
  /** Of the message's record in the log. */
  readonly logOffset: number;
  /** How long the copy waits; 0: longer each time, negative: it does not, the message is dead. */
  readonly delayLevel: number;
  /** How often the group tries a message before it is dead, negative: without end; undefined: what the group's configuration says. */
  readonly maxReconsumeTimes: number | undefined;
  readonly unitMode: boolean;
}

export interface SendBackServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly put: PutService;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  /** The broker's address as refusals name it. */
  readonly host: string;
  readonly random: () => number;
}

/** Properties of one delivery that must not go into the next. */
const deliveryNames: readonly string[] = [
  'WAIT',
  'DELAY',
  'REAL_TOPIC',
  'REAL_QID',
  ...timerNames,
  'POP_CK',
  PROPERTY_CRC32,
];

/**
 * A consumer could not process a message (RocketMQ AbstractSendMessageProcessor.consumerSendMsgBack). A copy goes to the
 * group's retry topic, which its consumers always subscribe to, when it has waited as long as its delay level; or to the
 * group's dead letters, at once, when it was tried often enough.
 */
export class SendBackService {
  readonly #parts: SendBackServiceParts;

  constructor(parts: SendBackServiceParts) {
    this.#parts = parts;
  }

  /**
   * Resolves with undefined when the copy is as safe as any message that was put; RocketMQ does not wait for the flush
   * there (WAIT=false), and the consumer's next step is to commit its offset past the original.
   */
  async sendBack(request: SendBack, caller: Caller): Promise<Refusal | undefined> {
    const { config, store, topics, groups, host, random } = this.#parts;
    const { group, logOffset } = request;
    const { identity } = caller;
    const groupConfig = groups.find(group);
    if (groupConfig === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${group}`);
    }
    if (!isWriteable(config.brokerPermission)) {
      return new Refusal(ResponseCode.NO_PERMISSION, `the broker[${host}] sending message is forbidden`);
    }
    const { retryQueueNums, retryMaxTimes } = groupConfig;
    if (retryQueueNums <= 0) return undefined;
    const retryTopic = ensureRetryTopic(topics, retryTopicOf(group), retryQueueNums, request.unitMode);
    if (!isWriteable(retryTopic.perm)) {
      const remark = `the topic[${retryTopic.topicName}] sending message is forbidden`;
      return new Refusal(ResponseCode.NO_PERMISSION, remark);
    }
    const record = await store.selectOneMessageByOffset(logOffset);
    const message = record && decodeMessage(record);
    if (message === undefined) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `look message by offset failed, ${logOffset}`);
    }
    // The offset is anybody's: a copy of what the caller may not read would be read from his retries.
    const isGroup = (name: string): boolean => groups.table.has(name);
    const denied = identity?.refusalOf(memberAccess(message.topic, group, isGroup, ['Sub']));
    if (denied !== undefined) return denied;
    const limit = request.maxReconsumeTimes ?? retryMaxTimes;
    const isDead = request.delayLevel < 0 || (isLimit(limit) && message.reconsumeTimes >= limit);
    const topic = isDead ? ensureDeadLetterTopic(topics, group) : retryTopic;
    // The topic may have fewer queues than the group says: somebody raised the group's number, or took queues away.
    const queueCount = Math.min(retryQueueNums, usableQueueNums(retryTopic));
    const queueId = isDead ? 0 : Math.floor(random() * queueCount);
    const level = request.delayLevel === 0 ? FIRST_RETRY_LEVEL + message.reconsumeTimes : request.delayLevel;
    const outcome = await this.#parts.put.put<PutOutcome>(
      copyForRetry(message, topic.topicName, queueId, isDead ? undefined : level),
      caller,
      'send-back',
      (value) => value,
    );
    // A consumer takes every code but success for a failure, so what may not be on disk is one.
    if (outcome.code !== ResponseCode.SUCCESS) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `${responseCodeName(outcome.code)}: ${outcome.remark ?? ''}`);
    }
    const { stats, clock } = this.#parts;
    const origin = message.properties.get('RETRY_TOPIC') ?? message.topic;
    stats.countSendBack(clock.now(), group, origin);
    if (isDead) stats.meters?.countEvent('deadLetters', origin, group);
    return undefined;
  }
}

/**
 * Body, flags and birth as they were, one more reconsumption; RETRY_TOPIC and ORIGIN_MESSAGE_ID say where it first came from.
 * Without a level it is a dead letter.
 */
function copyForRetry(message: MessageExt, topic: string, queueId: number, level: number | undefined): MessageToPut {
  const properties = new Map(message.properties);
  for (const name of deliveryNames) properties.delete(name);
  if (!properties.has('RETRY_TOPIC')) properties.set('RETRY_TOPIC', message.topic);
  if (!properties.has('ORIGIN_MESSAGE_ID')) {
    const { address, port } = message.storeHost;
    properties.set('ORIGIN_MESSAGE_ID', createOffsetMessageId(address, port, message.commitLogOffset));
  }
  if (level !== undefined) properties.set('DELAY', String(level));
  const encoded = encodeProperties(properties);
  return {
    topic,
    queueId,
    flag: message.flag,
    // The address bits describe this record's hosts, which the encoder knows; the transaction bits are the origin's.
    sysFlag: message.sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6 | TRANSACTION_MASK),
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    reconsumeTimes: message.reconsumeTimes + 1,
    body: message.body,
    properties: level === undefined ? deadLetterProperties(encoded, 0) : encoded,
  };
}
