import { createOffsetMessageId, MessageSysFlag, Perm, TopicSysFlag, TRANSACTION_MASK } from '@vernier/remoting';
import type { MessageExt, MessageExtBrokerInner, StoreHost } from '@vernier/store';
import type { BrokerContext } from './broker-context.ts';
import { dlqTopicOf } from './names.ts';
import { propertiesToString, removeProperties } from './properties.ts';

const READ_WRITE = Perm.READ | Perm.WRITE;

/** A dead-letter topic has one queue. */
const DLQ_QUEUE_NUMS = 1;

const delayNames: ReadonlySet<string> = new Set(['DELAY']);

/** Sends a message that was meant for a retry topic to the group's dead letters instead, without a delay. */
export function divertToDeadLetterQueue(broker: BrokerContext, message: MessageExtBrokerInner, group: string): void {
  const topic = dlqTopicOf(group);
  broker.topics.createInSendMessageBack(topic, DLQ_QUEUE_NUMS, READ_WRITE, 0);
  message.topic = topic;
  message.queueId = 0;
  message.propertiesString = removeProperties(message.propertiesString, delayNames);
}

/** Properties of one delivery that must not go into the next. */
const deliveryNames: readonly string[] = [
  'WAIT',
  'DELAY',
  'TIMER_DELAY_SEC',
  'TIMER_DELAY_MS',
  'TIMER_DELIVER_MS',
  'POP_CK',
];

/**
 * The copy of a consumed message that goes to a retry or dead-letter topic (RocketMQ consumerSendMsgBack): body, flags
 * and birth as they were, one more reconsumption, RETRY_TOPIC and ORIGIN_MESSAGE_ID saying where it came from.
 */
export function copyForRetry(
  origin: MessageExt,
  topic: string,
  queueId: number,
  storeHost: StoreHost,
): MessageExtBrokerInner {
  const properties = new Map(origin.properties);
  for (const name of deliveryNames) properties.delete(name);
  if (!properties.has('RETRY_TOPIC')) properties.set('RETRY_TOPIC', origin.topic);
  if (!properties.has('ORIGIN_MESSAGE_ID')) {
    const { address, port } = origin.storeHost;
    properties.set('ORIGIN_MESSAGE_ID', createOffsetMessageId(address, port, origin.commitLogOffset));
  }
  return {
    topic,
    queueId,
    flag: origin.flag,
    // The address bits describe this record's hosts, which the encoder knows; the transaction bits are the origin's.
    sysFlag: origin.sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6 | TRANSACTION_MASK),
    bornTimestamp: origin.bornTimestamp,
    bornHost: origin.bornHost,
    storeHost,
    reconsumeTimes: origin.reconsumeTimes + 1,
    preparedTransactionOffset: 0,
    body: origin.body,
    propertiesString: propertiesToString(properties),
  };
}

/** The topic a group's retries go to, made when it is missing. */
export function ensureRetryTopic(broker: BrokerContext, topic: string, queueNums: number, unitMode: boolean): void {
  broker.topics.createInSendMessageBack(topic, queueNums, READ_WRITE, unitMode ? TopicSysFlag.UNIT_SUB : 0);
}

/** The group's dead-letter topic, made when it is missing. */
export function ensureDeadLetterTopic(broker: BrokerContext, group: string): string {
  const topic = dlqTopicOf(group);
  broker.topics.createInSendMessageBack(topic, DLQ_QUEUE_NUMS, READ_WRITE, 0);
  return topic;
}
