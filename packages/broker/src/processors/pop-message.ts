import { createResponse, type ExtFields, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import { PEEK_BYTES } from '../pop/peek-service.ts';
import type { PopRequest, PopResult } from '../pop/pop-request.ts';
import type { PopAsker } from '../pop/pop-service.ts';
import type { ConnectionCaller } from './connection-callers.ts';
import { optionalFlag, optionalNumber, refused, requiredNumber, requiredText } from './requests.ts';

/** POP_MESSAGE (E.10). */
export function popMessage(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const wanted: PopRequest = {
    group: requiredText(fields, 'consumerGroup'),
    topic: requiredText(fields, 'topic'),
    queueId: requiredNumber(fields, 'queueId'),
    maxMessages: requiredNumber(fields, 'maxMsgNums'),
    invisibleMs: requiredNumber(fields, 'invisibleTime'),
    pollMs: optionalNumber(fields, 'pollTime', 0),
    bornTime: optionalNumber(fields, 'bornTime', 0),
    startsAtEnd: optionalNumber(fields, 'initMode', 0) !== 0,
    expression: fields?.exp,
    expressionType: fields?.expType,
    isOrdered: optionalFlag(fields, 'order'),
    attemptId: fields?.attemptId,
  };
  const responder = new PopResponder(request, caller, fieldsOf);
  return responder.answered(broker.pop.pop.pop(wanted, caller, responder));
}

const fieldsOf = ({ popTime, invisibleMs, reviveQueueId, restCount, infos, isOrdered }: PopResult): ExtFields => ({
  popTime: String(popTime),
  invisibleTime: String(invisibleMs),
  reviveQid: String(reviveQueueId),
  restNum: String(restCount),
  startOffsetInfo: infos.startOffsetInfo,
  msgOffsetInfo: infos.msgOffsetInfo,
  ...(isOrdered ? { orderCountInfo: infos.orderCountInfo } : {}),
});

/** PEEK_MESSAGE: what a pop would give. */
export async function peekMessage(
  { pop }: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const wanted = {
    group: requiredText(fields, 'consumerGroup'),
    topic: requiredText(fields, 'topic'),
    queueId: requiredNumber(fields, 'queueId'),
    maxMessages: requiredNumber(fields, 'maxMsgNums'),
  };
  const { connection } = caller;
  await connection.reserve(PEEK_BYTES);
  let isUsed = false;
  try {
    const result = await pop.peeks.peek(wanted, caller);
    if (result instanceof Refusal) return refused(request, result);
    const isFound = result.records.length > 0;
    const code = isFound ? ResponseCode.SUCCESS : ResponseCode.PULL_NOT_FOUND;
    const status = isFound ? 'FOUND' : 'NO_MESSAGE_IN_QUEUE';
    const response = createResponse(request, code, status, { restNum: String(result.restCount) });
    if (isFound) response.body = Buffer.concat(result.records);
    response.reservedBytes = PEEK_BYTES;
    isUsed = true;
    return response;
  } finally {
    if (!isUsed) connection.unreserve(PEEK_BYTES);
  }
}

/** The answer to a pop of any kind. */
interface Popped {
  readonly code: number;
  readonly records: readonly Buffer[];
}

/** A pop as far as it is needed after its frame is gone; small, because thousands may be held. */
export class PopResponder<Result extends Popped> implements PopAsker {
  readonly opaque: number;
  readonly serializeType: RemotingCommand['serializeType'];
  readonly #caller: ConnectionCaller;
  readonly #fieldsOf: (result: Result) => ExtFields;
  #reservedBytes = 0;
  #isHeld = false;
  #nowHeld: () => void = () => {};

  constructor(request: RemotingCommand, caller: ConnectionCaller, fieldsOf: (result: Result) => ExtFields) {
    this.opaque = request.opaque;
    this.serializeType = request.serializeType;
    this.#caller = caller;
    this.#fieldsOf = fieldsOf;
  }

  /** The answer, as soon as there is one; undefined when it is sent later. */
  answered(popped: Promise<Result | Refusal | undefined>): Promise<RemotingCommand | undefined> {
    return new Promise((resolve, reject) => {
      this.#nowHeld = () => resolve(undefined);
      popped.then(
        (outcome) => {
          const answer = outcome === undefined ? undefined : this.#answer(outcome);
          if (!this.#isHeld) resolve(answer);
          else if (answer !== undefined) this.#caller.connection.send(answer);
        },
        (error: unknown) => {
          if (!this.#isHeld) return reject(error);
          const remark = error instanceof Error ? error.message : String(error);
          this.#caller.connection.send(this.#answer(new Refusal(ResponseCode.SYSTEM_ERROR, remark)));
        },
      );
    });
  }

  held(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.#nowHeld();
  }

  reserve(bytes: number): Promise<void> | undefined {
    this.#reservedBytes += bytes;
    return this.#caller.connection.reserve(bytes);
  }

  unreserve(): void {
    if (this.#reservedBytes > 0) this.#caller.connection.unreserve(this.#reservedBytes);
    this.#reservedBytes = 0;
  }

  #answer(outcome: Result | Refusal): RemotingCommand {
    if (outcome instanceof Refusal) {
      this.unreserve();
      return createResponse(this, outcome.code, outcome.remark);
    }
    const { records } = outcome;
    const status = records.length > 0 ? 'FOUND' : 'NO_MESSAGE_IN_QUEUE';
    const response = createResponse(this, outcome.code, status, this.#fieldsOf(outcome));
    if (records.length > 0) response.body = Buffer.concat(records);
    if (this.#reservedBytes > 0) response.reservedBytes = this.#reservedBytes;
    this.#reservedBytes = 0;
    return response;
  }
}
