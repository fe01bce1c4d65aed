import { AUTO_CREATE_TOPIC_KEY_TOPIC, type Caller, decodeRecallHandle, Refusal } from '@vernier/broker/internal';
import {
  type ExtFields,
  encodeBatchBody,
  parseOffsetMessageId,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { queueOfGroup } from '../../messages/consistent-hash.ts';
import type { FromClient } from '../../messages/from-client.ts';
import { StatusError } from '../../status.ts';
import { Code } from '../../wire/messages.ts';
import type { HalfPlace, Messages, Sent, Target, TransactionEnd, Transactions } from '../backend.ts';
import { type Calls, numberField, refusalOf, refused } from './calls.ts';
import { type ClusterNames, readable, writeQueuesOf } from './topics.ts';

export interface RemoteMessagesParts {
  readonly calls: Calls;
  readonly names: ClusterNames;
  /** From 0 up to 1, 1 excluded. */
  readonly random: () => number;
}

/** Answers that say that the messages are stored, as safely as the code says. */
const STORED: ReadonlySet<number> = new Set([
  ResponseCode.SUCCESS,
  ResponseCode.FLUSH_DISK_TIMEOUT,
  ResponseCode.FLUSH_SLAVE_TIMEOUT,
  ResponseCode.SLAVE_NOT_AVAILABLE,
]);

/** Sends to the brokers of a topic. Nothing is sent a second time: a producer that got no answer may do so itself. */
export class RemoteMessages implements Messages {
  readonly #parts: RemoteMessagesParts;

  constructor(parts: RemoteMessagesParts) {
    this.#parts = parts;
  }

  async send(target: Target, messages: readonly FromClient[]): Promise<Sent | Refusal> {
    const { calls, names } = this.#parts;
    const { brokerName, queueId } = this.#queueOf(target);
    const address = names.addressOf(brokerName);
    const { code, fields, body } = requestOf(target.topic, queueId, messages);
    const response = await calls.ask(address, code, fields, body);
    if (!STORED.has(response.code)) return refused(response);
    const isHalf = messages.length === 1 && messages[0]?.type === 'TRANSACTION';
    const offset = numberField(address, response, 'queueOffset');
    const half = { queueOffset: offset, logOffset: isHalf ? logOffsetOf(address, response) : -1, brokerName };
    const isInnerBatch = (response.extFields?.batchUniqId ?? '') !== '';
    const recallHandle = response.extFields?.recallHandle ?? '';
    return { code: response.code, offset, isInnerBatch, recallHandle, half };
  }

  async recall(recall: { topic: string; handle: string; producerGroup: string }): Promise<string | Refusal> {
    const { topic, handle, producerGroup } = recall;
    const { calls, names } = this.#parts;
    const found = decodeRecallHandle(handle);
    if (found === undefined) return illegal('recall handle is invalid');
    if (found.topic !== topic) return illegal('recall failed, topic not match');
    if (!names.hasBroker(found.brokerName)) return illegal(`cannot find broker ${found.brokerName}`);
    const fields = { producerGroup, topic, recallHandle: handle, bname: found.brokerName };
    const response = await calls.ask(names.addressOf(found.brokerName), RequestCode.RECALL_MESSAGE, fields);
    if (response.code !== ResponseCode.SUCCESS) return refused(response);
    return response.extFields?.msgId ?? found.messageId;
  }

  #queueOf({ topic, messageGroup }: Target): { brokerName: string; queueId: number } {
    const route = this.#parts.names.route(topic);
    if (route === undefined) throw new StatusError(Code.TOPIC_NOT_FOUND, `topic[${topic}] not exist`);
    const queues = writeQueuesOf(route);
    const { length } = queues;
    const index =
      messageGroup === '' ? Math.floor(this.#parts.random() * length) : length && queueOfGroup(messageGroup, length);
    const queue = queues[index];
    if (queue === undefined) throw new StatusError(Code.FORBIDDEN, 'no writable queue');
    return queue;
  }
}

const illegal = (remark: string): Refusal => new Refusal(ResponseCode.ILLEGAL_OPERATION, remark);

interface SendRequest {
  readonly code: number;
  readonly fields: ExtFields;
  readonly body: Buffer;
}

/** SEND_MESSAGE_V2, and for several SEND_BATCH_MESSAGE, whose names of fields are the same letters. */
function requestOf(topic: string, queueId: number, messages: readonly FromClient[]): SendRequest {
  const [{ message, messageId }] = messages as readonly [FromClient];
  const isBatch = messages.length > 1;
  const fields: ExtFields = {
    ...{ a: topic, b: topic, c: AUTO_CREATE_TOPIC_KEY_TOPIC, d: '4', e: String(queueId) },
    ...{ f: String(message.sysFlag), g: String(message.bornTimestamp), h: String(message.flag) },
    i: isBatch ? `UNIQ_KEY\u0001${messageId}\u0002` : message.properties,
    ...{ j: String(message.reconsumeTimes), k: 'false', m: String(isBatch) },
  };
  if (!isBatch) return { code: RequestCode.SEND_MESSAGE_V2, fields, body: message.body as Buffer };
  const body = encodeBatchBody(
    messages.map(({ message: one }) => ({ flag: 0, body: one.body, propertiesString: one.properties })),
  );
  return { code: RequestCode.SEND_BATCH_MESSAGE, fields, body };
}

/** Where a half lies: its producer ends it by that. */
function logOffsetOf(address: string, { extFields }: RemotingCommand): number {
  return readable(address, () => parseOffsetMessageId(extFields?.msgId ?? '').commitLogOffset);
}

/** Ends transactions at the broker that has the half. */
export class RemoteTransactions implements Transactions {
  readonly #parts: Pick<RemoteMessagesParts, 'calls' | 'names'>;

  constructor(parts: Pick<RemoteMessagesParts, 'calls' | 'names'>) {
    this.#parts = parts;
  }

  /** RocketMQ's proxy does not wait for the answer. */
  async end(end: TransactionEnd, _caller: Caller): Promise<Refusal | undefined> {
    const { calls, names } = this.#parts;
    const { topic, transactionId, producerGroup, commitOrRollback, isFromCheck, half } = end;
    const fields = {
      ...{ topic, producerGroup, msgId: transactionId, transactionId, bname: half.brokerName },
      tranStateTableOffset: String(half.queueOffset),
      commitLogOffset: String(half.logOffset),
      commitOrRollback: String(commitOrRollback),
      fromTransactionCheck: String(isFromCheck),
    };
    return refusalOf(await calls.ask(names.addressOf(half.brokerName), RequestCode.END_TRANSACTION, fields));
  }

  /** The half is found when its broker asks about it. */
  async find(): Promise<HalfPlace | undefined> {
    return undefined;
  }
}
