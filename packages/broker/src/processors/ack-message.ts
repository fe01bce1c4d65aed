import {
  asArray,
  asObject,
  bodyObject,
  createResponse,
  integerMember,
  type JsonObject,
  type RemotingCommand,
  ResponseCode,
  stringMember,
} from '@vernier/remoting';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import type { Delivered, DeliveredBatch } from '../pop/ack-service.ts';
import { MESSAGES_MAX } from '../pop/check-point.ts';
import { parseHandle, topicOfMark } from '../pop/handle.ts';
import { optionalFlag, RequestFault, refused, requiredNumber, requiredText, success } from './requests.ts';

/** ACK_MESSAGE (E.10); with liteTopic, of a message of a lite topic. */
export async function ackMessage({ pop, lite }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const delivered = deliveredOf(request);
  const liteTopic = request.extFields?.liteTopic ?? '';
  const refusal = await (liteTopic === '' ? pop.acks.ack(delivered) : lite.acks.ack({ ...delivered, liteTopic }));
  return refusal === undefined ? success(request) : refused(request, refusal);
}

/** CHANGE_MESSAGE_INVISIBLETIME: the delivery gets another time, and a new handle. */
export async function changeInvisibleTime(
  { pop, lite }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const delivered = deliveredOf(request);
  const invisibleMs = requiredNumber(request.extFields, 'invisibleTime');
  const liteTopic = request.extFields?.liteTopic ?? '';
  const isSuspended = optionalFlag(request.extFields, 'suspend');
  const changed = await (liteTopic === ''
    ? pop.changes.change(delivered, invisibleMs, isSuspended)
    : lite.acks.change({ ...delivered, liteTopic }, invisibleMs, isSuspended));
  if (changed instanceof Refusal) return refused(request, changed);
  return success(request, {
    popTime: String(changed.popTime),
    invisibleTime: String(changed.invisibleMs),
    reviveQid: String(changed.reviveQueueId),
  });
}

/** BATCH_ACK_MESSAGE: entries that say nothing that can be are left out, as RocketMQ does. */
export async function batchAckMessage({ pop }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const { body } = request;
  const object = body === undefined || body.length === 0 ? {} : bodyObject(body, 'BatchAckMessageRequestBody');
  const acks = asArray(object.acks, 'acks');
  if (acks.length === 0) return createResponse(request, ResponseCode.NO_MESSAGE, 'no acks');
  if (acks.length > ENTRIES_MAX) {
    const remark = `${acks.length} entries, at most ${ENTRIES_MAX}`;
    return createResponse(request, ResponseCode.INVALID_PARAMETER, remark);
  }
  const brokerName = stringMember(object, 'brokerName');
  // It stands in the record of each entry.
  if (brokerName.length > BROKER_NAME_LENGTH_MAX) {
    const remark = `brokerName has ${brokerName.length} characters, at most ${BROKER_NAME_LENGTH_MAX}`;
    return createResponse(request, ResponseCode.INVALID_PARAMETER, remark);
  }
  const batches = acks.flatMap((ack) => batchOf(asObject(ack, 'ack'), brokerName) ?? []);
  const refusal = await pop.acks.ackBatch(batches);
  return refusal === undefined ? success(request) : refused(request, refusal);
}

/** Each is a record at least. */
const ENTRIES_MAX = 1_024;
const BROKER_NAME_LENGTH_MAX = 255;

function deliveredOf({ extFields: fields }: RemotingCommand): Delivered {
  const handle = parseHandle(requiredText(fields, 'extraInfo'));
  if (typeof handle === 'string') throw new RequestFault(ResponseCode.INVALID_PARAMETER, `extraInfo is ${handle}`);
  return {
    group: requiredText(fields, 'consumerGroup'),
    topic: requiredText(fields, 'topic'),
    queueId: requiredNumber(fields, 'queueId'),
    queueOffset: requiredNumber(fields, 'offset'),
    handle,
  };
}

/** Undefined for one that names nothing that there can be. */
function batchOf(ack: JsonObject, brokerName: string): DeliveredBatch | undefined {
  const either = (short: string, long: string): string => (ack[short] === undefined ? long : short);
  const group = stringMember(ack, either('c', 'consumerGroup'));
  const topic = topicOfMark(
    stringMember(ack, either('t', 'topic')),
    group,
    stringMember(ack, either('r', 'retry'), '0'),
  );
  const startOffset = integerMember(ack, either('so', 'startOffset'));
  const handle = {
    ...{ startOffset, brokerName },
    popTime: integerMember(ack, either('pt', 'popTime')),
    invisibleMs: integerMember(ack, either('it', 'invisibleTime')),
    reviveQueueId: integerMember(ack, either('rq', 'reviveQueueId')),
  };
  if (topic === undefined || Object.values(handle).some((value) => typeof value === 'number' && value < 0)) {
    return undefined;
  }
  const bits = stringMember(ack, either('b', 'bitSet'));
  const queueOffsets = bitsOf(bits).map((bit) => startOffset + bit);
  return { group, topic, queueId: integerMember(ack, either('q', 'queueId')), queueOffsets, handle };
}

/** The numbers of the bits that are set in base64 of Java's BitSet: the first byte has bits 0 to 7. */
function bitsOf(base64: string): number[] {
  const bits: number[] = [];
  for (const [index, byte] of Buffer.from(base64.slice(0, BITS_TEXT_MAX), 'base64').entries()) {
    if (byte === 0) continue;
    for (let bit = 0; bit < 8; bit++) {
      if (((byte >> bit) & 1) === 1) bits.push(index * 8 + bit);
      // A checkpoint has no more messages.
      if (bits.length >= MESSAGES_MAX) return bits;
    }
  }
  return bits;
}

/** Messages of a checkpoint may lie far apart: the filter did not want those in between. */
const BITS_TEXT_MAX = 1024 * 1024;
