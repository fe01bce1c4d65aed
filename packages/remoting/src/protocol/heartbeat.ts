import {
  asArray,
  asIntegers,
  asObject,
  asStrings,
  bodyObject,
  booleanMember,
  choiceMember,
  integerMember,
  type JsonObject,
  longMember,
  stringMember,
} from './json-members.ts';

export const CONSUME_TYPES = ['CONSUME_ACTIVELY', 'CONSUME_PASSIVELY', 'CONSUME_POP'] as const;
export type ConsumeType = (typeof CONSUME_TYPES)[number];

export const MESSAGE_MODELS = ['BROADCASTING', 'CLUSTERING'] as const;
export type MessageModel = (typeof MESSAGE_MODELS)[number];

/** RocketMQ ConsumeFromWhere, the three that are deprecated included. */
export const CONSUME_FROM_WHERE = [
  'CONSUME_FROM_LAST_OFFSET',
  'CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST',
  'CONSUME_FROM_MIN_OFFSET',
  'CONSUME_FROM_MAX_OFFSET',
  'CONSUME_FROM_FIRST_OFFSET',
  'CONSUME_FROM_TIMESTAMP',
] as const;

/** One topic that a consumer subscribes to (RocketMQ SubscriptionData). */
export interface SubscriptionData {
  topic: string;
  /** `*`, `A || B`, or an SQL expression. */
  subString: string;
  tagsSet: string[];
  /** Java's String.hashCode of each tag. */
  codeSet: number[];
  /** Unix milliseconds at which the subscription was made; the newer one wins. */
  subVersion: number;
  /** `TAG` or `SQL92`. */
  expressionType: string;
  classFilterMode: boolean;
}

export interface ConsumerData {
  groupName: string;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
  subscriptionDataSet: SubscriptionData[];
  unitMode: boolean;
}

/** Body of HEART_BEAT (RocketMQ HeartbeatData). */
export interface HeartbeatData {
  clientID: string;
  /** Producer groups of this client. */
  producerGroups: string[];
  consumers: ConsumerData[];
  /** 0 = classic heartbeat; otherwise V2. */
  heartbeatFingerprint: number;
  /** V2: keep the subscriptions of the previous heartbeat. */
  withoutSub: boolean;
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeHeartbeatData(body: Uint8Array | undefined): HeartbeatData {
  const object = bodyObject(body, 'HeartbeatData');
  return {
    clientID: stringMember(object, 'clientID'),
    producerGroups: asArray(object.producerDataSet, 'producerDataSet').map((item) =>
      stringMember(asObject(item, 'ProducerData'), 'groupName'),
    ),
    consumers: asArray(object.consumerDataSet, 'consumerDataSet').map((item) =>
      consumerDataFromJson(asObject(item, 'ConsumerData')),
    ),
    heartbeatFingerprint: integerMember(object, 'heartbeatFingerprint'),
    // fastjson names the member after Java's getter isWithoutSub or the field, depending on its version.
    withoutSub: booleanMember(object, 'withoutSub') || booleanMember(object, 'isWithoutSub'),
  };
}

export function encodeHeartbeatData(heartbeat: HeartbeatData): Buffer {
  return Buffer.from(
    JSON.stringify({
      clientID: heartbeat.clientID,
      consumerDataSet: heartbeat.consumers.map((consumer) => ({
        consumeFromWhere: consumer.consumeFromWhere,
        consumeType: consumer.consumeType,
        groupName: consumer.groupName,
        messageModel: consumer.messageModel,
        subscriptionDataSet: consumer.subscriptionDataSet.map(subscriptionDataJson),
        unitMode: consumer.unitMode,
      })),
      heartbeatFingerprint: heartbeat.heartbeatFingerprint,
      producerDataSet: heartbeat.producerGroups.map((groupName) => ({ groupName })),
      withoutSub: heartbeat.withoutSub,
    }),
  );
}

function consumerDataFromJson(object: JsonObject): ConsumerData {
  return {
    groupName: stringMember(object, 'groupName'),
    consumeType: choiceMember(object, 'consumeType', CONSUME_TYPES, 'CONSUME_PASSIVELY'),
    messageModel: choiceMember(object, 'messageModel', MESSAGE_MODELS, 'CLUSTERING'),
    consumeFromWhere: choiceMember(object, 'consumeFromWhere', CONSUME_FROM_WHERE, 'CONSUME_FROM_LAST_OFFSET'),
    subscriptionDataSet: asArray(object.subscriptionDataSet, 'subscriptionDataSet').map(subscriptionDataFromJson),
    unitMode: booleanMember(object, 'unitMode'),
  };
}

export function subscriptionDataFromJson(value: unknown): SubscriptionData {
  const object = asObject(value, 'SubscriptionData');
  return {
    topic: stringMember(object, 'topic'),
    subString: stringMember(object, 'subString', '*'),
    tagsSet: asStrings(object.tagsSet, 'tagsSet'),
    codeSet: asIntegers(object.codeSet, 'codeSet'),
    subVersion: longMember(object, 'subVersion'),
    expressionType: stringMember(object, 'expressionType', 'TAG'),
    classFilterMode: booleanMember(object, 'classFilterMode'),
  };
}

export function subscriptionDataJson(subscription: SubscriptionData): object {
  return {
    classFilterMode: subscription.classFilterMode,
    codeSet: subscription.codeSet,
    expressionType: subscription.expressionType,
    subString: subscription.subString,
    subVersion: subscription.subVersion,
    tagsSet: subscription.tagsSet,
    topic: subscription.topic,
  };
}

/** Java's String.hashCode: the tags code of consume queues and subscriptions, a signed 32-bit number. */
export function javaHashCode(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  return hash;
}

/** The subscription that a tag expression means (RocketMQ FilterAPI.buildSubscriptionData): `*` or empty is all. */
export function tagSubscription(topic: string, expression: string, subVersion: number): SubscriptionData {
  const subString = expression.trim() === '' ? '*' : expression;
  const tagsSet =
    subString === '*' ? [] : [...new Set(subString.split('||').map((tag) => tag.trim()))].filter((tag) => tag !== '');
  return {
    topic,
    subString,
    tagsSet,
    codeSet: tagsSet.map(javaHashCode),
    subVersion,
    expressionType: 'TAG',
    classFilterMode: false,
  };
}
