import { createTopicConfig, Perm, ResponseCode, type TopicConfig, TopicSysFlag } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { isNotAllowedSendTopic, isRetryTopic, isWriteable, topicNameFault } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { BatchToPut, MessageToPut } from './message-to-put.ts';

const READ_WRITE = Perm.READ | Perm.WRITE;
const DEFAULT_TOPIC_QUEUE_NUMS = 4;

/** What a producer may do (RocketMQ AbstractSendMessageProcessor.msgCheck): the checks before a message is looked at. */
export class Admission {
  readonly #config: BrokerConfig;
  readonly #topics: TopicConfigManager;
  readonly #clock: Clock;
  /** The broker's address as refusals name it. */
  readonly #host: string;

  constructor(config: BrokerConfig, topics: TopicConfigManager, clock: Clock, host: string) {
    this.#config = config;
    this.#topics = topics;
    this.#clock = clock;
    this.#host = host;
  }

  /** The topic that the message may go to, made when it is missing; or why it may not. */
  admit(message: MessageToPut | BatchToPut, caller: Caller): TopicConfig | Refusal {
    // A known topic has a legal name; the checks that remain for it are a set lookup and two comparisons.
    const topic = this.#topics.select(message.topic) ?? this.#create(message, caller);
    if (topic instanceof Refusal) return topic;
    const { startAcceptSendRequestTimeStamp: acceptFrom, brokerPermission } = this.#config;
    if (acceptFrom > 0 && this.#clock.now() < acceptFrom) {
      const until = new Date(acceptFrom).toISOString();
      return new Refusal(ResponseCode.SYSTEM_ERROR, `broker unable to service, until ${until}`);
    }
    // Producers learn of a broker that takes no messages by the route, and leave it; an order topic has nowhere else to go.
    if (!isWriteable(brokerPermission) && topic.order) {
      return new Refusal(ResponseCode.NO_PERMISSION, `the broker[${this.#host}] sending message is forbidden`);
    }
    if (isNotAllowedSendTopic(message.topic)) return reserved(message.topic);
    const queueCount = Math.max(topic.writeQueueNums, topic.readQueueNums);
    // Of a topic without queues there is not any either: such a message could never be read.
    if (Math.max(0, message.queueId) >= queueCount) {
      return new Refusal(
        ResponseCode.INVALID_PARAMETER,
        `request queueId[${message.queueId}] is illegal, topic ${topic.topicName} has ${queueCount} queues. Producer: ${caller.remoteAddress}`,
      );
    }
    return topic;
  }

  #create(message: MessageToPut | BatchToPut, caller: Caller): TopicConfig | Refusal {
    const { topic, defaultTopic = '', unitMode = false } = message;
    const fault = topicNameFault(topic);
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    if (isNotAllowedSendTopic(topic)) return reserved(topic);
    const isRetry = isRetryTopic(topic);
    const topicSysFlag = unitMode ? (isRetry ? TopicSysFlag.UNIT_SUB : TopicSysFlag.UNIT) : 0;
    const wanted = message.defaultTopicQueueNums ?? Number.NaN;
    const queueNums = Number.isSafeInteger(wanted) ? wanted : DEFAULT_TOPIC_QUEUE_NUMS;
    // Any name makes a topic here; those of known groups' retries are made elsewhere.
    if (!this.#topics.hasRoomFor([createTopicConfig(topic)])) {
      return new Refusal(ResponseCode.SYSTEM_BUSY, `topic[${topic}] not made: ${this.#topics.noRoom}`);
    }
    const created =
      this.#topics.createInSendMessage(topic, defaultTopic, queueNums, topicSysFlag, caller.remoteAddress) ??
      (isRetry ? this.#topics.createInSendMessageBack(topic, 1, READ_WRITE, topicSysFlag) : undefined);
    return created ?? new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist, apply first please!`);
  }
}

const reserved = (topic: string): Refusal =>
  new Refusal(ResponseCode.NO_PERMISSION, `Sending message to topic[${topic}] is forbidden.`);
