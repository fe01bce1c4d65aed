import { Refusal } from '@vernier/broker/internal';
import type { ProxyContext } from '../context.ts';
import { checkLive, parseReceipt, type Receipt, receiptText } from '../receipts/handle.ts';
import { commonStatus, OK, StatusError, statusOfRefusal } from '../status.ts';
import { checkInvisibleTime, groupOf, topicOf } from '../validate.ts';
import {
  type AckMessageRequest,
  type AckMessageResponse,
  type AckMessageResultEntry,
  type ChangeInvisibleDurationRequest,
  type ChangeInvisibleDurationResponse,
  Code,
  type Status,
} from '../wire/messages.ts';
import { millisecondsOf } from '../wire/times.ts';

/** Entries of one request. */
const ENTRIES_MAX = 1_024;

/** AckMessage: each entry has an outcome of its own. */
export async function ackMessage(proxy: ProxyContext, request: AckMessageRequest): Promise<AckMessageResponse> {
  const topic = topicOf(proxy.broker, request.topic);
  const group = groupOf(request.group);
  const wanted = request.entries ?? [];
  if (wanted.length > ENTRIES_MAX) {
    throw new StatusError(Code.BAD_REQUEST, `${wanted.length} entries, at most ${ENTRIES_MAX} at once`);
  }
  const entries = await Promise.all(
    wanted.map(async ({ messageId = '', receiptHandle = '', liteTopic = '' }): Promise<AckMessageResultEntry> => {
      const parse = () => parseReceipt(receiptHandle, group, topic, proxy.broker, liteTopic);
      const status = await ackOne(proxy, parse);
      return { messageId, receiptHandle, status };
    }),
  );
  return {
    status: commonStatus(
      entries.map(({ status }) => status ?? OK),
      'ack message result is empty',
    ),
    entries,
  };
}

async function ackOne(proxy: ProxyContext, parse: () => Receipt): Promise<Status> {
  const { broker, renewals } = proxy;
  try {
    const receipt = await renewals.take(parse());
    checkLive(receipt, broker.clock.now());
    const refusal = await broker.deliveries.ack(receipt);
    return refusal === undefined ? OK : statusOfRefusal(refusal);
  } catch (error) {
    if (error instanceof StatusError) return error.status;
    broker.logger.error({ err: error }, `an ack failed: ${(error as Error).message}`);
    return { code: Code.INTERNAL_SERVER_ERROR, message: (error as Error).message };
  }
}

/** ChangeInvisibleDuration: the message comes again so long from now, and its consumer gets a new receipt. */
export async function changeInvisibleDuration(
  proxy: ProxyContext,
  request: ChangeInvisibleDurationRequest,
): Promise<ChangeInvisibleDurationResponse> {
  const { broker, renewals } = proxy;
  const topic = topicOf(broker, request.topic);
  const group = groupOf(request.group);
  const invisibleMs = millisecondsOf(request.invisibleDuration);
  checkInvisibleTime(invisibleMs, 0);
  const given = parseReceipt(request.receiptHandle ?? '', group, topic, broker, request.liteTopic);
  const receipt = await renewals.take(given);
  checkLive(receipt, broker.clock.now());
  // To come again then does not count as a try.
  const isSuspended = request.suspend === true;
  const changed = await broker.deliveries.change(receipt, invisibleMs, isSuspended);
  if (changed instanceof Refusal) {
    const status = statusOfRefusal(changed);
    // It may ask again with what it has.
    const isBusy = status.code === Code.TOO_MANY_REQUESTS;
    return isBusy ? { status, receiptHandle: receiptText(receipt) } : { status };
  }
  return { status: OK, receiptHandle: receiptText(changed) };
}
