import { type PullAsker, type PullOutcome, type PullRequest, type PullResult, Refusal } from '@vernier/broker/internal';
import { type DecodedMessage, decodeRecords, ResponseCode } from '@vernier/remoting';
import type { Queues } from '../backend/backend.ts';
import { served } from '../backend/served.ts';
import type { Call } from '../call.ts';
import { subscriptionOf, tagsOf } from '../clients/subscriptions.ts';
import type { ProxyContext } from '../context.ts';
import { rules } from '../limits.ts';
import { toClient } from '../messages/to-client.ts';
import { OK, StatusError, statusOfRefusal } from '../status.ts';
import { groupOf } from '../validate.ts';
import { Code, type PullMessageRequest, type PullMessageResponse, type Status } from '../wire/messages.ts';
import { millisecondsOf } from '../wire/times.ts';
import type { AnswerStream } from './answer-stream.ts';
import { entryOf, type NamedQueue, queueOf } from './named-queue.ts';
import { RoomClaim } from './room-claim.ts';

/**
 * PullMessage: a status first, then the messages of a queue from an offset on, and at the end the offset to go on at. A pull
 * that finds none waits as long as it asks for. Nothing is noted of what is given: the consumer says how far it is by
 * UpdateOffset.
 *
 * Of an offset that the queue does not have, the status is ILLEGAL_OFFSET, and the offset at the end is one that it has.
 */
export async function pullMessage(
  proxy: ProxyContext,
  request: PullMessageRequest,
  call: Call,
  stream: AnswerStream<PullMessageResponse>,
): Promise<void> {
  const queues = served(proxy.broker.queues, 'PullMessage');
  const queue = queueOf(proxy, queues, request.messageQueue);
  const wanted = pullOf(proxy, request, queue, call);
  const claim = new RoomClaim(proxy, call);
  const outcome = await pulled(queues, wanted, call, claim);
  try {
    if (outcome instanceof Refusal) return await stream.write({ status: statusOfPull(outcome) });
    if (outcome === undefined) {
      // Nobody waits any more, or the proxy stops.
      await stream.write({ status: NO_NEW_MESSAGE });
      return await stream.write({ nextOffset: wanted.queueOffset + queue.delta });
    }
    await stream.write({ status: statusOf(outcome, wanted, queue) });
    if (outcome.code === ResponseCode.SUCCESS) await giveMessages(proxy, outcome, wanted, queue, stream);
    await stream.write({ nextOffset: outcome.nextBeginOffset + queue.delta });
    // Not after a failure: what was not taken may still wait in the stream, and its bytes are those of the buffer.
    queues.pull.release(outcome.buffer);
  } finally {
    // Without an outcome the pull may go on for a moment, and gives back its room itself.
    if (outcome !== undefined) claim.unreserve();
  }
}

function pullOf(proxy: ProxyContext, request: PullMessageRequest, queue: NamedQueue, call: Call): PullRequest {
  const batchSize = request.batchSize ?? 0;
  if (batchSize < 1) throw new StatusError(Code.BAD_REQUEST, `batch size ${batchSize}: allowed are 1 and more`);
  const { subString, expressionType } = subscriptionOf(queue.topic, request.filterExpression, 0);
  const asked = Math.max(0, millisecondsOf(request.longPollingTimeout));
  const pollMs = Math.min(asked, rules.pollMsMax, Math.max(0, call.remainingMs(proxy.broker.clock.now())));
  return {
    consumerGroup: groupOf(request.group),
    topic: queue.topic,
    queueId: queue.queueId,
    queueOffset: entryOf(queue, request.offset),
    maxMsgNums: Math.min(batchSize, rules.pullBatchSize),
    maxMsgBytes: Number.NaN,
    hasSubscription: true,
    subscription: subString,
    expressionType,
    subVersion: 0,
    commits: false,
    commitOffset: 0,
    waits: pollMs > 0,
    suspendTimeoutMillis: pollMs,
    isLite: false,
  };
}

/**
 * The outcome of a pull; undefined when nobody waits for it any more. One that is held for a caller who is gone does not end,
 * and one that is at its queue lets go of what it finds.
 */
function pulled(
  { pull }: Queues,
  wanted: PullRequest,
  { caller }: Call,
  claim: RoomClaim,
): Promise<PullOutcome | undefined> {
  return new Promise((resolve, reject) => {
    const gone = (): void => resolve(undefined);
    if (caller.isGone) return gone();
    caller.signal.addEventListener('abort', gone, { once: true });
    const found = (outcome: PullOutcome): void => {
      caller.signal.removeEventListener('abort', gone);
      if (caller.isGone) {
        claim.unreserve();
        if (!(outcome instanceof Refusal)) pull.release(outcome.buffer);
      } else {
        resolve(outcome);
      }
    };
    const asker: PullAsker<PullOutcome> = {
      answer: (outcome) => outcome,
      send: found,
      reserve: (bytes) => claim.reserve(bytes),
      unreserve: () => claim.unreserve(),
    };
    const begun = async (): Promise<void> => {
      const outcome = await pull.pull(wanted, caller, asker);
      if (outcome !== undefined) found(outcome);
    };
    begun().catch((error: unknown) => {
      claim.unreserve();
      reject(error);
    });
  });
}

const NO_NEW_MESSAGE: Status = { code: Code.MESSAGE_NOT_FOUND, message: 'no new message' };

function statusOf({ code, minOffset, maxOffset }: PullResult, wanted: PullRequest, { delta }: NamedQueue): Status {
  if (code === ResponseCode.SUCCESS) return OK;
  if (code === ResponseCode.PULL_NOT_FOUND) return NO_NEW_MESSAGE;
  if (code === ResponseCode.PULL_RETRY_IMMEDIATELY)
    return { code: Code.MESSAGE_NOT_FOUND, message: 'no match message' };
  const [offset, min, max] = [wanted.queueOffset + delta, minOffset + delta, maxOffset + delta];
  return { code: Code.ILLEGAL_OFFSET, message: `offset ${offset}: the queue goes from ${min} to ${max}` };
}

function statusOfPull(refusal: Refusal): Status {
  switch (refusal.code) {
    case ResponseCode.SUBSCRIPTION_PARSE_FAILED:
      return { code: Code.ILLEGAL_FILTER_EXPRESSION, message: refusal.remark };
    case ResponseCode.NO_PERMISSION:
      return { code: Code.FORBIDDEN, message: refusal.remark };
    default:
      return statusOfRefusal(refusal);
  }
}

/** Tags of one hash are told apart by their text; the broker has looked at the hash. */
async function giveMessages(
  proxy: ProxyContext,
  { buffer }: PullResult,
  { subscription, expressionType }: PullRequest,
  { id, delta }: NamedQueue,
  stream: AnswerStream<PullMessageResponse>,
): Promise<void> {
  const tags = tagsOf(expressionType, subscription);
  for (const stored of decodeRecords(buffer, false)) {
    if (tags !== undefined && !tags.has(stored.properties.get('TAGS') ?? '')) continue;
    const message: DecodedMessage = { ...stored, queueId: id, queueOffset: stored.queueOffset + delta };
    const body = await proxy.bodies.open(message.body, message.sysFlag);
    await stream.write({ message: toClient(message, body) });
  }
}
