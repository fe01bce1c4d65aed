import type { MessageToPut } from '@vernier/broker/internal';
import { encodePropertiesString, MessageSysFlag } from '@vernier/remoting';
import { type ProxyLimits, rules } from '../limits.ts';
import { StatusError } from '../status.ts';
import { hasControls, isBlank } from '../validate.ts';
import { Code, Encoding, type Message, MessageType, type SystemProperties } from '../wire/messages.ts';
import { isTimestamp, millisecondsOf, numberOf } from '../wire/times.ts';
import { type PackedBody, packedBody } from './bodies.ts';
import type { TopicType } from './message-types.ts';
import { systemNames } from './system-names.ts';

/** A message of a client as the broker puts it, but for its queue. */
export interface FromClient {
  readonly message: Omit<MessageToPut, 'queueId' | 'properties'> & { readonly properties: string };
  readonly type: TopicType;
  readonly messageGroup: string;
  readonly messageId: string;
}

export interface FromClientOptions {
  readonly topic: string;
  readonly limits: ProxyLimits;
  /** `host:port` of the client, for messages that do not say where they were born. */
  readonly remoteAddress: string;
  /** Unix milliseconds. */
  readonly now: number;
}

/**
 * Looks at a message as RocketMQ's SendMessageActivity does, in its order, and gives what is stored of it. Rejects with
 * StatusError.
 */
export async function fromClient(message: Message, options: FromClientOptions): Promise<FromClient> {
  const { topic, limits, now } = options;
  const body = bytesOf(message.body);
  checkBodySize(body, limits);
  const system = message.systemProperties ?? {};
  const properties = ownProperties(message, system);
  const messageId = system.messageId ?? '';
  if (isBlank(messageId)) throw new StatusError(Code.ILLEGAL_MESSAGE_ID, 'message id cannot be empty');
  if (hasControls(messageId)) {
    throw new StatusError(Code.ILLEGAL_MESSAGE_ID, 'message id cannot contain control character');
  }
  properties.push(['UNIQ_KEY', messageId]);
  const isTransaction = system.messageType === MessageType.TRANSACTION;
  if (isTransaction) properties.push(['TRAN_MSG', 'true'], ...recoveryTime(system));
  properties.push(...deliveryTime(system, isTransaction, now));
  const attempt = system.deliveryAttempt ?? 0;
  properties.push(['RECONSUME_TIME', String(attempt)]);
  // Who is asked about a half: the producers of its topic.
  properties.push(['PGROUP', topic]);
  const messageGroup = system.messageGroup ?? '';
  if (messageGroup !== '') {
    checkMessageGroup(messageGroup);
    properties.push(['__SHARDINGKEY', messageGroup]);
  }
  properties.push(...placement(system), ...origin(system, options));
  const encoding = system.bodyEncoding ?? 0;
  const packed: PackedBody =
    encoding === Encoding.GZIP ? await packedBody(body, limits.bodyBytesMax) : { body, sysFlag: 0 };
  return {
    message: {
      topic,
      flag: 0,
      sysFlag: packed.sysFlag | (isTransaction ? MessageSysFlag.TRANSACTION_PREPARED : 0),
      bornTimestamp: isTimestamp(system.bornTimestamp) ? Math.max(0, millisecondsOf(system.bornTimestamp)) : now,
      reconsumeTimes: 0,
      body: packed.body,
      properties: encodePropertiesString(properties),
    },
    type: typeOf(system, isTransaction),
    messageGroup,
    messageId,
  };
}

type Properties = [name: string, value: string][];

/** The bytes themselves: those of the request are nobody else's. */
function bytesOf(bytes: Uint8Array | null | undefined): Buffer {
  if (bytes === null || bytes === undefined) return Buffer.alloc(0);
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function checkBodySize(body: Buffer, { bodyBytesMax }: ProxyLimits): void {
  if (body.length === 0) throw new StatusError(Code.MESSAGE_BODY_EMPTY, 'message body cannot be empty');
  if (body.length > bodyBytesMax) {
    const text = `message body cannot exceed the max ${bodyBytesMax}; it has ${body.length} bytes`;
    throw new StatusError(Code.MESSAGE_BODY_TOO_LARGE, text);
  }
}

/** What the client says for itself, its tag and its keys. */
function ownProperties(message: Message, system: SystemProperties): Properties {
  const own = Object.entries(message.userProperties ?? {});
  if (own.length > rules.propertiesMax) {
    throw tooLarge(`too many user properties, max is ${rules.propertiesMax}; there are ${own.length}`);
  }
  let bytes = 0;
  for (const [name, value] of own) {
    checkProperty(name, value);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  const tag = system.tag ?? '';
  checkTag(tag);
  bytes += Buffer.byteLength(tag);
  const keys = system.keys ?? [];
  for (const key of keys) {
    checkKey(key);
    bytes += Buffer.byteLength(key);
  }
  if (bytes > rules.propertyBytesMax) {
    throw tooLarge(`the total size of user property is too large, max is ${rules.propertyBytesMax}; it is ${bytes}`);
  }
  const properties: Properties = own;
  if (tag !== '') properties.push(['TAGS', tag]);
  if (keys.length > 0) properties.push(['KEYS', keys.join(' ')]);
  return properties;
}

const tooLarge = (why: string): StatusError => new StatusError(Code.MESSAGE_PROPERTIES_TOO_LARGE, why);

function checkProperty(name: string, value: string): void {
  const code = Code.ILLEGAL_MESSAGE_PROPERTY_KEY;
  if (systemNames.has(name)) throw new StatusError(code, `property is used by system: ${name}`);
  if (hasControls(name)) throw new StatusError(code, 'the key of property cannot contain control character');
  if (hasControls(value)) throw new StatusError(code, 'the value of property cannot contain control character');
}

function checkTag(tag: string): void {
  const code = Code.ILLEGAL_MESSAGE_TAG;
  if (tag === '') return;
  if (isBlank(tag)) throw new StatusError(code, 'tag cannot be the char sequence of whitespace');
  if (tag.includes('|')) throw new StatusError(code, "tag cannot contain '|'");
  if (hasControls(tag)) throw new StatusError(code, 'tag cannot contain control character');
}

function checkKey(key: string): void {
  const code = Code.ILLEGAL_MESSAGE_KEY;
  if (key === '') return;
  if (isBlank(key)) throw new StatusError(code, 'key cannot be the char sequence of whitespace');
  if (hasControls(key)) throw new StatusError(code, 'key cannot contain control character');
}

function checkMessageGroup(group: string): void {
  const illegal = (why: string): StatusError => new StatusError(Code.ILLEGAL_MESSAGE_GROUP, why);
  if (isBlank(group)) throw illegal('message group cannot be the char sequence of whitespace');
  if (Buffer.byteLength(group) >= rules.messageGroupBytesMax) {
    throw illegal(`message group exceed the max size ${rules.messageGroupBytesMax}`);
  }
  if (hasControls(group)) throw illegal('message group cannot contain control character');
}

function recoveryTime({ orphanedTransactionRecoveryDuration: duration }: SystemProperties): Properties {
  if (duration === undefined || duration === null) return [];
  const seconds = numberOf(duration.seconds);
  if (!(seconds >= 0 && seconds <= rules.recoverySecondsMax)) {
    const text = `the max transaction recovery time of message is too large, max is ${rules.recoverySecondsMax}`;
    throw new StatusError(Code.BAD_REQUEST, `${text}; it is ${seconds} seconds`);
  }
  return [['CHECK_IMMUNITY_TIME_IN_SECONDS', String(seconds)]];
}

function deliveryTime(system: SystemProperties, isTransaction: boolean, now: number): Properties {
  const { deliveryTimestamp: time } = system;
  if (time === undefined || time === null) return [];
  const illegal = (why: string): StatusError => new StatusError(Code.ILLEGAL_DELIVERY_TIME, why);
  if (!isTimestamp(time)) throw illegal('the delivery timestamp is none');
  const milliseconds = millisecondsOf(time);
  if (milliseconds - now > rules.delayMsMax) {
    throw illegal(`the max delay time of message is too large, max is ${rules.delayMsMax}`);
  }
  // The half itself would wait, and nobody would ask for it.
  if (isTransaction) {
    const text = 'a transactional message cannot have a delivery timestamp';
    throw new StatusError(Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, text);
  }
  return [['TIMER_DELIVER_MS', String(milliseconds)]];
}

/** Where the message goes beside its topic: a lite topic, or a queue by its rank. */
function placement({ liteTopic, priority }: SystemProperties): Properties {
  const properties: Properties = [];
  if (liteTopic !== undefined && liteTopic !== null && liteTopic !== '') {
    if (hasControls(liteTopic)) throw new StatusError(Code.ILLEGAL_LITE_TOPIC, 'lite topic holds control characters');
    properties.push(['__LITE_TOPIC', liteTopic]);
  }
  if (priority !== undefined && priority !== null && priority >= 0) {
    properties.push(['_SYS_MSG_PRIORITY_', String(priority)]);
  }
  return properties;
}

function origin(system: SystemProperties, { remoteAddress }: FromClientOptions): Properties {
  const properties: Properties = [];
  const { traceContext, bornHost, bornTimestamp } = system;
  for (const [name, value] of [
    ['TRACE_CONTEXT', traceContext],
    ['__BORNHOST', isBlank(bornHost) ? remoteAddress : bornHost],
  ] as const) {
    if (value === undefined || value === null || value === '') continue;
    if (hasControls(value)) {
      throw new StatusError(Code.ILLEGAL_MESSAGE_PROPERTY_KEY, `${name} cannot contain control character`);
    }
    properties.push([name, value]);
  }
  if (isTimestamp(bornTimestamp)) properties.push(['BORN_TIMESTAMP', String(millisecondsOf(bornTimestamp))]);
  return properties;
}

/** RocketMQ's order: TopicMessageType.parseFromMessageProperty. */
function typeOf(system: SystemProperties, isTransaction: boolean): TopicType {
  if (isTransaction) return 'TRANSACTION';
  if (system.deliveryTimestamp !== undefined && system.deliveryTimestamp !== null) return 'DELAY';
  if ((system.messageGroup ?? '') !== '') return 'FIFO';
  if ((system.priority ?? -1) >= 0) return 'PRIORITY';
  return (system.liteTopic ?? '') === '' ? 'NORMAL' : 'LITE';
}
