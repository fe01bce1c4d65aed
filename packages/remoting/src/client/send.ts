import { RequestCode } from '../codes/request-code.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { type BatchMessage, encodeBatchBody } from '../message/batch.ts';
import { encodePropertiesString } from '../message/properties.ts';
import type { RemotingClient } from '../net/client.ts';
import { createRequest, type ExtFields, type RemotingCommand } from '../protocol/remoting-command.ts';
import { integerField, responseError } from './response.ts';

/** Where and as what a message is sent. */
export interface SendTarget {
  topic: string;
  queueId: number;
  /** d=`CLI_PRODUCER` */
  producerGroup?: string;
  brokerName?: string;
  sysFlag?: number;
  /** Unix milliseconds; d=now. */
  bornTimestamp?: number;
}

export interface OutgoingMessage {
  body: Uint8Array;
  properties?: Iterable<readonly [string, string]>;
  flag?: number;
}

/** All four mean that the broker has the message; what each says about disk and slave is in its name. */
export type SendStatus = 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE';

export interface SendResult {
  status: SendStatus;
  /** Offset message id; of a batch the ids joined by commas. */
  offsetMsgId: string;
  queueId: number;
  /** Entry number of the (first) message in its queue. */
  queueOffset: number;
}

const STATUS: ReadonlyMap<number, SendStatus> = new Map([
  [ResponseCode.SUCCESS, 'SEND_OK'],
  [ResponseCode.FLUSH_DISK_TIMEOUT, 'FLUSH_DISK_TIMEOUT'],
  [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT'],
  [ResponseCode.SLAVE_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE'],
]);

/** Template topic and queue count that clients send along for topics that are yet to be created. */
const DEFAULT_TOPIC = 'TBW102';
const DEFAULT_TOPIC_QUEUE_NUMS = '4';

/** SEND_MESSAGE_V2 (310). The body must not change until the request has left. */
export function createSendRequest(target: SendTarget, message: OutgoingMessage): RemotingCommand {
  const fields = sendFields(target, message.flag ?? 0, false);
  fields.i = encodePropertiesString(message.properties ?? []);
  return createRequest(RequestCode.SEND_MESSAGE_V2, fields, asBuffer(message.body));
}

/** SEND_BATCH_MESSAGE (320): several messages for one queue. */
export function createBatchSendRequest(target: SendTarget, messages: readonly OutgoingMessage[]): RemotingCommand {
  const batch: BatchMessage[] = messages.map((message) => ({
    flag: message.flag ?? 0,
    body: message.body,
    propertiesString: encodePropertiesString(message.properties ?? []),
  }));
  return createRequest(RequestCode.SEND_BATCH_MESSAGE, sendFields(target, 0, true), encodeBatchBody(batch));
}

/** Sends one message. Resolves with one of the four statuses; any other answer rejects with REMOTING_RESPONSE. */
export async function sendMessage(
  client: RemotingClient,
  address: string,
  target: SendTarget,
  message: OutgoingMessage,
  timeoutMs = 3000,
): Promise<SendResult> {
  return sendResult(await client.invoke(address, createSendRequest(target, message), timeoutMs), address);
}

/** Sends several messages in one request; as `sendMessage`. */
export async function sendBatch(
  client: RemotingClient,
  address: string,
  target: SendTarget,
  messages: readonly OutgoingMessage[],
  timeoutMs = 3000,
): Promise<SendResult> {
  return sendResult(await client.invoke(address, createBatchSendRequest(target, messages), timeoutMs), address);
}

/** Reads the answer to a send. Throws REMOTING_RESPONSE, REMOTING_BODY_INVALID. */
export function sendResult(response: RemotingCommand, address: string): SendResult {
  const status = STATUS.get(response.code);
  if (status === undefined) throw responseError(response, address, 'send');
  const fields = response.extFields;
  return {
    status,
    offsetMsgId: fields?.msgId ?? '',
    queueId: integerField(fields, 'queueId'),
    queueOffset: integerField(fields, 'queueOffset'),
  };
}

/** The one-letter header fields of SEND_MESSAGE_V2 (RocketMQ SendMessageRequestHeaderV2). */
function sendFields(target: SendTarget, flag: number, batch: boolean): ExtFields {
  return {
    a: target.producerGroup ?? 'CLI_PRODUCER',
    b: target.topic,
    c: DEFAULT_TOPIC,
    d: DEFAULT_TOPIC_QUEUE_NUMS,
    e: String(target.queueId),
    f: String(target.sysFlag ?? 0),
    g: String(target.bornTimestamp ?? Date.now()),
    h: String(flag),
    i: '',
    j: '0',
    k: 'false',
    m: String(batch),
    n: target.brokerName,
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
