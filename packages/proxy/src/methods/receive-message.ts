import { isReadable, type PopAsker, type PopRequest, Refusal } from '@vernier/broker/internal';
import { ResponseCode } from '@vernier/remoting';
import type { Outgoing, Taken } from '../backend/backend.ts';
import type { Call } from '../call.ts';
import { attemptsOf, isLiteConsumer } from '../clients/settings.ts';
import { subscriptionOf, tagsOf } from '../clients/subscriptions.ts';
import type { ProxyContext } from '../context.ts';
import { rules } from '../limits.ts';
import { messageIdOf, toClient } from '../messages/to-client.ts';
import { receiptText } from '../receipts/handle.ts';
import { OK, StatusError, statusOfRefusal } from '../status.ts';
import { checkInvisibleTime, groupOf, topicOf } from '../validate.ts';
import { Code, type Message, type ReceiveMessageRequest, type ReceiveMessageResponse } from '../wire/messages.ts';
import { millisecondsOf, timeOf } from '../wire/times.ts';
import type { AnswerStream } from './answer-stream.ts';
import { forwardToDeadLetters } from './dead-letters.ts';
import { RoomClaim } from './room-claim.ts';

/** Versions of clients that know ILLEGAL_POLLING_TIME. */
const POLLING_CODE_SINCE = '5.0.3';

/**
 * ReceiveMessage: a status first, then the messages, and at the end when they were sent. A call that finds none waits, and
 * ends with MESSAGE_NOT_FOUND when its time is over.
 */
export async function receiveMessage(
  proxy: ProxyContext,
  request: ReceiveMessageRequest,
  call: Call,
  stream: AnswerStream<ReceiveMessageResponse>,
): Promise<void> {
  const asker = new RoomAsker(proxy, call);
  const pop = popOf(proxy, request, call);
  const isLite = isLiteConsumer(proxy.clients.known(call).settings.clientType);
  const { clientId, caller } = call;
  const wanted = { pop, brokerName: request.messageQueue?.broker?.name ?? '', clientId, isLite };
  const result = await popped(proxy, call, asker, proxy.broker.deliveries.receive(wanted, caller, asker));
  try {
    if (result instanceof Refusal) await stream.write({ status: statusOfPop(result) });
    else if (result === undefined) await stream.write({ status: none(Code.MESSAGE_NOT_FOUND, 'no new message') });
    else await answer(proxy, request, pop, result, call, stream);
  } finally {
    // Without a result the pop may go on for a moment, and gives back its room itself.
    if (result !== undefined) asker.unreserve();
  }
  await stream.write({ deliveryTimestamp: timeOf(proxy.broker.clock.now()) });
}

/**
 * The outcome of a pop; undefined when nobody waits for it any more. A pop that is held for a caller who is gone does not end,
 * and one that is at its queues may still give messages: others get them in a moment.
 */
function popped(
  proxy: ProxyContext,
  { caller }: Call,
  asker: RoomAsker,
  pop: Promise<Taken | Refusal | undefined>,
): Promise<Taken | Refusal | undefined> {
  return new Promise((resolve, reject) => {
    const gone = (): void => resolve(undefined);
    caller.signal.addEventListener('abort', gone, { once: true });
    pop
      .finally(() => caller.signal.removeEventListener('abort', gone))
      .then(async (result) => {
        if (!caller.isGone) return resolve(result);
        resolve(undefined);
        asker.unreserve();
        if (result !== undefined && !(result instanceof Refusal)) await giveBack(proxy, result.found);
      })
      .catch((error: unknown) => {
        asker.unreserve();
        reject(error);
      });
  });
}

const none = (code: Code, message: string) => ({ code, message });

function statusOfPop(refusal: Refusal) {
  // The call came so late that it could not wait.
  if (refusal.code === ResponseCode.POLLING_TIMEOUT) return none(Code.MESSAGE_NOT_FOUND, 'no new message');
  if (refusal.code === ResponseCode.SUBSCRIPTION_PARSE_FAILED) {
    return none(Code.ILLEGAL_FILTER_EXPRESSION, refusal.remark);
  }
  return statusOfRefusal(refusal);
}

function popOf(proxy: ProxyContext, request: ReceiveMessageRequest, call: Call): PopRequest {
  const { broker, clients } = proxy;
  const settings = clients.known(call);
  const pollMs = pollTimeOf(request, call, broker.clock.now(), millisecondsOf(settings.settings.requestTimeout));
  const topic = topicOf(broker, request.messageQueue?.topic);
  const group = groupOf(request.group);
  let invisibleMs = millisecondsOf(request.invisibleDuration);
  if (request.autoRenew === true) invisibleMs = rules.renewedInvisibleMs;
  else checkInvisibleTime(invisibleMs, rules.invisibleMsMin);
  const { subString, expressionType } = subscriptionOf(topic, request.filterExpression, 0);
  const config = broker.topics.select(topic);
  if (config !== undefined && (!isReadable(config.perm) || config.readQueueNums === 0)) {
    throw new StatusError(Code.FORBIDDEN, 'no readable queue');
  }
  const batchSize = request.batchSize ?? 0;
  if (batchSize < 1) throw new StatusError(Code.BAD_REQUEST, `batch size ${batchSize}: allowed are 1 and more`);
  return {
    ...{ group, topic, queueId: -1, maxMessages: Math.min(batchSize, rules.receiveBatchSize), invisibleMs, pollMs },
    ...{ bornTime: 0, startsAtEnd: true, expression: subString, expressionType },
    isOrdered: broker.groups.find(group)?.consumeMessageOrderly === true,
    attemptId: request.attemptId ?? undefined,
  };
}

/** Throws ILLEGAL_POLLING_TIME when the call will be over before it could have waited. */
function pollTimeOf(request: ReceiveMessageRequest, call: Call, now: number, requestTimeoutMs: number): number {
  const remaining = call.remainingMs(now);
  const wanted =
    request.longPollingTimeout === undefined || request.longPollingTimeout === null
      ? remaining - requestTimeoutMs / 2
      : millisecondsOf(request.longPollingTimeout);
  const pollMs = Math.min(Math.max(wanted, rules.pollMsMin), rules.pollMsMax);
  if (pollMs <= remaining) return pollMs;
  if (remaining >= rules.pollMsMin) return remaining;
  const isOld = call.clientVersion === '' || call.clientVersion < POLLING_CODE_SINCE;
  const text = 'The deadline time remaining is not enough for polling, please check network condition';
  throw new StatusError(isOld ? Code.BAD_REQUEST : Code.ILLEGAL_POLLING_TIME, text);
}

async function answer(
  proxy: ProxyContext,
  request: ReceiveMessageRequest,
  pop: PopRequest,
  { code, found }: Taken,
  call: Call,
  stream: AnswerStream<ReceiveMessageResponse>,
): Promise<void> {
  if (code === ResponseCode.POLLING_FULL) {
    return stream.write({ status: none(Code.TOO_MANY_REQUESTS, 'polling full') });
  }
  if (found.length === 0) {
    return stream.write({ status: none(Code.MESSAGE_NOT_FOUND, 'no new message') });
  }
  const wanted = await wantedOf(proxy, pop, found, call);
  if (wanted.length === 0) return stream.write({ status: none(Code.MESSAGE_NOT_FOUND, 'no match message') });
  let sent = 0;
  try {
    await stream.write({ status: OK });
    for (const one of wanted) {
      const message = await messageOf(proxy, one);
      if (request.autoRenew === true) {
        proxy.renewals.add(call.clientId, one.receipt, one.message.reconsumeTimes);
      }
      await stream.write({ message });
      sent++;
    }
  } catch (error) {
    await giveBack(proxy, wanted.slice(sent));
    throw error;
  }
}

const messageOf = async ({ bodies }: ProxyContext, { receipt, message, attempt }: Outgoing): Promise<Message> => {
  const body = await bodies.open(message.body, message.sysFlag);
  return toClient(message, body, { receiptHandle: receiptText(receipt), attempt });
};

/**
 * Those that the consumer gets: tags of one hash are told apart by their text, and what it had too often goes to the dead
 * letters (RocketMQ PopMessageResultFilterImpl). The others are acknowledged; one that could not be comes again after its time.
 * Does not reject: the batch would be lost to its consumer until then.
 */
async function wantedOf(
  proxy: ProxyContext,
  pop: PopRequest,
  found: readonly Outgoing[],
  call: Call,
): Promise<Outgoing[]> {
  const { broker } = proxy;
  const tags = tagsOf(pop.expressionType, pop.expression);
  const group = broker.groups.preview(pop.group);
  const attempts = group === undefined ? Number.POSITIVE_INFINITY : attemptsOf(group);
  const wanted: Outgoing[] = [];
  let isFailing = false;
  for (const one of found) {
    const isOther = tags !== undefined && !tags.has(one.message.properties.get('TAGS') ?? '');
    if (!isOther && one.attempt <= attempts) {
      wanted.push(one);
      continue;
    }
    // It is better delivered once more than lost.
    let isKept = !isOther;
    try {
      if (isFailing) continue;
      if (isOther) await broker.deliveries.ack(one.receipt);
      else isKept = (await forwardToDeadLetters(proxy, one.receipt, call)) !== undefined;
    } catch (error) {
      // Its broker may be away: the others of the batch do not wait for it again and again.
      isFailing = true;
      const fields = { err: error, messageId: messageIdOf(one.message) };
      broker.logger.warn(fields, 'a message that its consumer shall not have cannot be taken away');
    } finally {
      if (isKept) wanted.push(one);
    }
  }
  return wanted;
}

/** The client did not take them: others get them in a moment. */
async function giveBack(proxy: ProxyContext, left: readonly Outgoing[]): Promise<void> {
  for (const { receipt, message } of left) {
    try {
      const newest = await proxy.renewals.take(receipt);
      await proxy.broker.deliveries.change(newest, rules.untakenMs, false);
    } catch (error) {
      const fields = { err: error, messageId: messageIdOf(message) };
      proxy.broker.logger.warn(fields, 'a message that its consumer did not take comes again after its time');
    }
  }
}

/** Room for the records of a pop. */
class RoomAsker extends RoomClaim implements PopAsker {
  held(): void {}
}
