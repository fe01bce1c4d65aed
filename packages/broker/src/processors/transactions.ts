import {
  MessageSysFlag,
  parseOffsetMessageId,
  type RemotingCommand,
  RemotingError,
  ResponseCode,
} from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { isTrue, RequestFault, refused, requiredNumber, requiredText, success } from './requests.ts';

/** END_TRANSACTION: a producer says what is to become of a half. Oneway from RocketMQ's clients. */
export async function endTransaction(
  { transactions }: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const commitOrRollback = requiredNumber(fields, 'commitOrRollback');
  const end = {
    producerGroup: requiredText(fields, 'producerGroup'),
    queueOffset: requiredNumber(fields, 'tranStateTableOffset'),
    logOffset: requiredNumber(fields, 'commitLogOffset'),
    commitOrRollback,
    isFromCheck: isTrue(fields?.fromTransactionCheck),
  };
  // The producer does not know yet; RocketMQ gives no answer to that.
  if (
    commitOrRollback !== MessageSysFlag.TRANSACTION_COMMIT &&
    commitOrRollback !== MessageSysFlag.TRANSACTION_ROLLBACK
  ) {
    return undefined;
  }
  const refusal = await transactions.end(end, caller);
  return refusal === undefined ? success(request) : refused(request, refusal);
}

/** RESUME_CHECK_HALF_MESSAGE: a transaction that was given up is taken up again. */
export async function resumeCheckHalfMessage(
  { transactions }: BrokerContext,
  request: RemotingCommand,
  { identity }: Caller,
): Promise<RemotingCommand> {
  const logOffset = logOffsetOf(requiredText(request.extFields, 'msgId'));
  const refusal = await transactions.resume(logOffset, identity);
  return refusal === undefined ? success(request) : refused(request, refusal);
}

function logOffsetOf(messageId: string): number {
  try {
    return parseOffsetMessageId(messageId).commitLogOffset;
  } catch (error) {
    if (!(error instanceof RemotingError)) throw error;
    throw new RequestFault(ResponseCode.INVALID_PARAMETER, error.message);
  }
}
