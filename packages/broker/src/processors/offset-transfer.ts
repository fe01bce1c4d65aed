import type { RemotingCommand } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { granted, optionalFlag, requiredText, success } from './requests.ts';

/** Java's Long.MAX_VALUE, which no number here is. */
const LONG_MAX = '9223372036854775807';

/** CLONE_GROUP_OFFSET */
export async function cloneGroupOffset(
  { offsetTransfer }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const fields = request.extFields;
  const topic = fields?.topic?.trim();
  const refusal = await offsetTransfer.clone({
    source: requiredText(fields, 'srcGroup'),
    target: requiredText(fields, 'destGroup'),
    topic: topic === '' ? undefined : topic,
    isOffline: optionalFlag(fields, 'offline'),
  });
  granted(refusal);
  return success(request);
}

/** QUERY_CORRECTION_OFFSET */
export function correctionOffsets({ offsetTransfer }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const fields = request.extFields;
  const topic = requiredText(fields, 'topic');
  const compared = requiredText(fields, 'compareGroup');
  const without = new Set((fields?.filterGroups ?? '').split(','));
  const members: string[] = [];
  for (const [queueId, offset] of offsetTransfer.corrections(topic, compared, without)) {
    members.push(`"${queueId}":${Number.isFinite(offset) ? offset : LONG_MAX}`);
  }
  return success(request, undefined, Buffer.from(`{"correctionOffsets":{${members.join(',')}}}`));
}
