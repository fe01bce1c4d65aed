import { hash } from 'node:crypto';
import { createOffsetMessageId, type DecodedMessage, formatAddress, hostBytes } from '@vernier/remoting';
import { DigestType, type Message, MessageType, type SystemProperties } from '../wire/messages.ts';
import { timeOf } from '../wire/times.ts';
import type { UnpackedBody } from './bodies.ts';
import { systemNames } from './system-names.ts';

/** What a delivery adds to a message. */
export interface Delivery {
  /** Empty for a message that is given without one. */
  readonly receiptHandle: string;
  /** 1 and more. */
  readonly attempt: number;
}

/** A stored message as a client gets it (RocketMQ GrpcConverter). Clients look at MD5 alone of the digests. */
export function toClient(message: DecodedMessage, { body, encoding }: UnpackedBody, delivery?: Delivery): Message {
  const { properties } = message;
  // Without a prototype `__proto__` is a name like any other.
  const userProperties: Record<string, string> = Object.create(null);
  for (const [name, value] of properties) if (!systemNames.has(name)) userProperties[name] = value;
  const system: SystemProperties = {
    keys: properties.get('KEYS')?.split(' ') ?? [],
    messageId: messageIdOf(message),
    bodyDigest: { type: DigestType.MD5, checksum: hash('md5', body, 'hex').toUpperCase() },
    bodyEncoding: encoding,
    messageType: typeOf(properties),
    bornTimestamp: timeOf(message.bornTimestamp),
    bornHost: properties.get('__BORNHOST') ?? message.bornHost,
    storeTimestamp: timeOf(message.storeTimestamp),
    storeHost: formatAddress(message.storeHost, message.storePort),
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    deliveryAttempt: delivery?.attempt ?? message.reconsumeTimes + 1,
  };
  if (delivery !== undefined) system.receiptHandle = delivery.receiptHandle;
  addTexts(system, properties);
  return { topic: { resourceNamespace: '', name: message.topic }, userProperties, systemProperties: system, body };
}

/** The key that its producer gave it; else where it is. */
export function messageIdOf({ properties, storeHost, storePort, commitLogOffset }: DecodedMessage): string {
  return properties.get('UNIQ_KEY') ?? createOffsetMessageId(hostBytes(storeHost), storePort, commitLogOffset);
}

/** What is there only when the message says it. */
function addTexts(found: SystemProperties, properties: ReadonlyMap<string, string>): void {
  const tag = properties.get('TAGS');
  if (tag !== undefined) found.tag = tag;
  const messageGroup = properties.get('__SHARDINGKEY');
  if (messageGroup !== undefined) found.messageGroup = messageGroup;
  const traceContext = properties.get('TRACE_CONTEXT');
  if (traceContext !== undefined) found.traceContext = traceContext;
  const liteTopic = properties.get('__LITE_TOPIC');
  if (liteTopic !== undefined) found.liteTopic = liteTopic;
  const priority = Number(properties.get('_SYS_MSG_PRIORITY_') ?? Number.NaN);
  if (Number.isSafeInteger(priority) && priority >= 0 && priority <= 0x7fff_ffff) found.priority = priority;
  const deliverMs = Number(properties.get('TIMER_DELIVER_MS') ?? Number.NaN);
  if (Number.isSafeInteger(deliverMs)) found.deliveryTimestamp = timeOf(deliverMs);
  const [topic, messageId] = [properties.get('DLQ_ORIGIN_TOPIC'), properties.get('DLQ_ORIGIN_MESSAGE_ID')];
  if (topic !== undefined && messageId !== undefined) found.deadLetterQueue = { topic, messageId };
}

function typeOf(properties: ReadonlyMap<string, string>): MessageType {
  if (properties.get('TRAN_MSG') === 'true') return MessageType.TRANSACTION;
  if (['DELAY', 'TIMER_DELIVER_MS', 'TIMER_DELAY_SEC'].some((name) => properties.has(name))) return MessageType.DELAY;
  if (properties.has('__SHARDINGKEY')) return MessageType.FIFO;
  if (properties.has('_SYS_MSG_PRIORITY_')) return MessageType.PRIORITY;
  return properties.has('__LITE_TOPIC') ? MessageType.LITE : MessageType.NORMAL;
}
