import { MessageSysFlag } from '@vernier/remoting';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { OK, StatusError, statusOfRefusal } from '../status.ts';
import { isBlank, topicOf } from '../validate.ts';
import {
  Code,
  type EndTransactionRequest,
  type EndTransactionResponse,
  TransactionResolution,
  TransactionSource,
} from '../wire/messages.ts';

/** EndTransaction: the outcome is the answer; RocketMQ's proxy does not wait for it. */
export async function endTransaction(
  { broker, halves }: ProxyContext,
  request: EndTransactionRequest,
  call: Call,
): Promise<EndTransactionResponse> {
  const topic = topicOf(broker, request.topic);
  const transactionId = request.transactionId ?? '';
  if (isBlank(transactionId)) throw new StatusError(Code.INVALID_TRANSACTION_ID, 'transaction id cannot be empty');
  const half = await halves.find(topic, transactionId);
  if (half === undefined) throw new StatusError(Code.INTERNAL_SERVER_ERROR, 'cannot found transaction data');
  const commitOrRollback = commitOrRollbackOf(request.resolution);
  // The producer does not know yet; it is asked again.
  if (commitOrRollback === 0) return { status: OK };
  const end = {
    ...{ producerGroup: topic, topic, transactionId, half },
    commitOrRollback,
    isFromCheck: request.source === TransactionSource.SOURCE_SERVER_CHECK,
  };
  const refusal = await broker.transactions.end(end, call.caller);
  if (refusal !== undefined) return { status: statusOfRefusal(refusal) };
  halves.ended(topic, transactionId);
  return { status: OK };
}

function commitOrRollbackOf(resolution: TransactionResolution | null | undefined): number {
  if (resolution === TransactionResolution.COMMIT) return MessageSysFlag.TRANSACTION_COMMIT;
  return resolution === TransactionResolution.ROLLBACK ? MessageSysFlag.TRANSACTION_ROLLBACK : 0;
}
