import { isRetryOrDlqTopic, Refusal } from '@vernier/broker/internal';
import { ResponseCode } from '@vernier/remoting';
import type { Sent, Target } from '../backend/backend.ts';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { type FromClient, fromClient } from '../messages/from-client.ts';
import { checkType, topicTypeOf } from '../messages/message-types.ts';
import { commonStatus, OK, refusedAs, StatusError } from '../status.ts';
import { topicOf } from '../validate.ts';
import {
  Code,
  type Message,
  type SendMessageRequest,
  type SendMessageResponse,
  type SendResultEntry,
} from '../wire/messages.ts';

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
  const entries = await send(proxy, call, topic, taken);
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

/** Messages of one group go to one queue; of those of a request the first has the group. */
function targetOf(topic: string, taken: readonly FromClient[]): Target {
  const groups = new Set(taken.map(({ messageGroup }) => messageGroup));
  if (groups.size > 1) {
    throw new StatusError(Code.ILLEGAL_MESSAGE_GROUP, 'the messages of one request have different message groups');
  }
  const [messageGroup = ''] = groups;
  return { topic, messageGroup };
}

/** RocketMQ looks at the group only when there is one message. */
async function send(
  { broker, halves }: ProxyContext,
  call: Call,
  topic: string,
  taken: readonly FromClient[],
): Promise<SendResultEntry[]> {
  const target = targetOf(topic, taken);
  const [first] = taken as readonly [FromClient];
  if (taken.some(({ message }) => message.sysFlag !== first.message.sysFlag)) {
    throw new StatusError(Code.MESSAGE_CORRUPTED, 'the messages of one request differ in type or encoding');
  }
  const sent = await broker.messages.send(target, taken, call.caller);
  if (sent instanceof Refusal) throw refusedAs(sent);
  // Also when nobody knows whether it is on disk: its producer may end it all the same.
  if (taken.length === 1 && first.type === 'TRANSACTION') halves.add(topic, first.messageId, sent.half);
  return taken.map(({ messageId }, index) => entryOf(sent, messageId, sent.isInnerBatch ? 0 : index));
}

function entryOf({ code, offset, recallHandle }: Sent, messageId: string, index: number): SendResultEntry {
  const failed = (reason: Code, name: string): SendResultEntry => ({
    status: { code: reason, message: `send message failed, sendStatus=${name}` },
  });
  switch (code) {
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
        offset: offset + index,
        recallHandle,
      };
  }
}
