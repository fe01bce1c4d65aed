import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  isRetryOrDlqTopic,
  isWriteable,
  type PutOutcome,
  Refusal,
  recallHandleOf,
  type StaticQueue,
  type Stored,
} from '@vernier/broker/internal';
import { ResponseCode } from '@vernier/remoting';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { queueOfGroup } from '../messages/consistent-hash.ts';
import { type FromClient, fromClient } from '../messages/from-client.ts';
import { checkType, topicTypeOf } from '../messages/message-types.ts';
import { commonStatus, OK, StatusError, statusOfRefusal } from '../status.ts';
import { topicOf } from '../validate.ts';
import {
  Code,
  type Message,
  type SendMessageRequest,
  type SendMessageResponse,
  type SendResultEntry,
} from '../wire/messages.ts';
import { routedTopic } from './query-route.ts';

/** Messages of one request. */
const MESSAGES_MAX = 1_024;

/**
 * SendMessage: one message, or several of one topic, which go into one queue and are stored together. The answer has an entry
 * for each of them.
 */
export async function sendMessage(
  proxy: ProxyContext,
  request: SendMessageRequest,
  call: Call,
): Promise<SendMessageResponse> {
  const { broker, limits } = proxy;
  const messages = request.messages ?? [];
  const first = messages[0];
  if (first === undefined) throw new StatusError(Code.MESSAGE_CORRUPTED, 'no message to send');
  if (messages.length > MESSAGES_MAX) {
    throw new StatusError(Code.BAD_REQUEST, `${messages.length} messages, at most ${MESSAGES_MAX} at once`);
  }
  const topic = topicOf(broker, first.topic);
  const options = { topic, limits, remoteAddress: call.peer.address, now: broker.clock.now() };
  const taken: FromClient[] = [];
  for (const message of messages) {
    if (!isOfTopic(message, first)) throw new StatusError(Code.MESSAGE_CORRUPTED, 'topic in message is not same');
    taken.push(await fromClient(message, options));
  }
  if (!isRetryOrDlqTopic(topic)) {
    const topicType = topicTypeOf(broker.topics.select(topic));
    for (const { type } of taken) checkType(topicType, type);
  }
  const entries =
    taken.length === 1
      ? [await sendOne(proxy, call, topic, taken[0] as FromClient)]
      : await sendBatch(proxy, call, topic, taken);
  return {
    status: commonStatus(
      entries.map(({ status }) => status ?? OK),
      'send status is empty',
    ),
    entries,
  };
}

const isOfTopic = ({ topic }: Message, first: Message): boolean =>
  topic?.name === first.topic?.name && (topic?.resourceNamespace ?? '') === (first.topic?.resourceNamespace ?? '');

/** What a message that makes its topic asks for. */
const newTopic = { defaultTopic: AUTO_CREATE_TOPIC_KEY_TOPIC, defaultTopicQueueNums: 4 };

async function sendOne(proxy: ProxyContext, call: Call, topic: string, taken: FromClient): Promise<SendResultEntry> {
  const { broker, halves } = proxy;
  const target = targetOf(proxy, topic, [taken]);
  const { queueId, isQueueFixed } = target;
  const message = { ...taken.message, ...newTopic, queueId, isQueueFixed };
  const outcome = await broker.put.put<PutOutcome>(message, call.caller, 'client', (value) => value);
  if (outcome instanceof Refusal) throw refusal(outcome);
  const isHalf = taken.type === 'TRANSACTION';
  // Also when nobody knows whether it is on disk: its producer may end it all the same.
  if (isHalf) halves.add(topic, taken.messageId, outcome);
  // By the number that a half has it is ended; one that waits for its time stands elsewhere until then.
  const isElsewhere = isHalf || taken.type === 'DELAY';
  const offset = outcome.queueOffset + (isElsewhere ? 0 : deltaOf(target, topic, outcome));
  return entryOf(proxy, outcome, taken.messageId, offset);
}

async function sendBatch(
  proxy: ProxyContext,
  call: Call,
  topic: string,
  taken: readonly FromClient[],
): Promise<SendResultEntry[]> {
  const first = taken[0] as FromClient;
  const target = targetOf(proxy, topic, taken);
  const batch = {
    ...newTopic,
    topic,
    queueId: target.queueId,
    isQueueFixed: target.isQueueFixed,
    sysFlag: first.message.sysFlag,
    bornTimestamp: first.message.bornTimestamp,
    reconsumeTimes: 0,
    properties: `UNIQ_KEY\u0001${first.messageId}\u0002`,
    messages: taken.map(({ message }) => ({
      flag: 0,
      body: message.body,
      propertiesString: message.properties,
    })),
  };
  if (taken.some(({ message }) => message.sysFlag !== first.message.sysFlag)) {
    throw new StatusError(Code.MESSAGE_CORRUPTED, 'the messages of one request differ in type or encoding');
  }
  const outcome = await proxy.broker.put.putBatch<PutOutcome>(batch, call.caller, 'client', (value) => value);
  if (outcome instanceof Refusal) throw refusal(outcome);
  const offset = outcome.queueOffset + deltaOf(target, topic, outcome);
  return taken.map(({ messageId }, index) =>
    entryOf(proxy, outcome, messageId, offset + (outcome.isInnerBatch ? 0 : index)),
  );
}

/** Where messages are put. */
interface Target {
  /** -1: any. */
  readonly queueId: number;
  readonly isQueueFixed: boolean;
  /** Of a static topic: the number that clients know of a message less the broker's. */
  readonly delta: number;
}

/**
 * Messages of one group go to one queue, whoever sends them; of those of a request the first has the group. Undefined and
 * empty: any queue. RocketMQ looks at the group only when there is one message. Of a static topic the queues are the logical
 * ones.
 */
function targetOf({ broker }: ProxyContext, topic: string, taken: readonly FromClient[]): Target {
  const { perm, writeQueueNums } = routedTopic(broker, topic);
  const hosted = broker.staticTopics.hosted(topic);
  if (!isWriteable(perm) || (hosted?.length ?? writeQueueNums) === 0) {
    throw new StatusError(Code.FORBIDDEN, 'no writable queue');
  }
  const groups = new Set(taken.map(({ messageGroup }) => messageGroup));
  const [group] = groups;
  if (groups.size > 1) {
    throw new StatusError(Code.ILLEGAL_MESSAGE_GROUP, 'the messages of one request have different message groups');
  }
  const isAny = group === undefined || group === '';
  if (hosted === undefined) {
    return { queueId: isAny ? -1 : queueOfGroup(group, writeQueueNums), isQueueFixed: false, delta: 0 };
  }
  const index = isAny ? Math.floor(broker.random() * hosted.length) : queueOfGroup(group, hosted.length);
  const { queueId, delta } = hosted[index] as StaticQueue;
  return { queueId, isQueueFixed: true, delta };
}

/** What belongs to a lite topic does not stand in the logical queue. */
const deltaOf = ({ queueId, delta }: Target, topic: string, stored: Stored): number =>
  stored.topic === topic && stored.queueId === queueId ? delta : 0;

const refusal = (outcome: Refusal): StatusError => {
  const { code, message } = statusOfRefusal(outcome);
  return new StatusError(code as Code, message as string);
};

function entryOf({ broker }: ProxyContext, stored: Stored, messageId: string, offset: number): SendResultEntry {
  const failed = (code: Code, name: string): SendResultEntry => ({
    status: { code, message: `send message failed, sendStatus=${name}` },
  });
  switch (stored.code) {
    case ResponseCode.FLUSH_DISK_TIMEOUT:
      return failed(Code.MASTER_PERSISTENCE_TIMEOUT, 'FLUSH_DISK_TIMEOUT');
    case ResponseCode.FLUSH_SLAVE_TIMEOUT:
      return failed(Code.SLAVE_PERSISTENCE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT');
    case ResponseCode.SLAVE_NOT_AVAILABLE:
      return failed(Code.HA_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE');
    default:
      return {
        status: OK,
        messageId,
        // Also of a message that is in no transaction, as in RocketMQ.
        transactionId: messageId,
        offset,
        recallHandle: recallHandleOf(stored, broker.config.brokerName) ?? '',
      };
  }
}
