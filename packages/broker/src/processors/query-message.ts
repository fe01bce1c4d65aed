import { createResponse, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { granted, optionalNumber, requiredNumber, requiredText, success } from './requests.ts';

/** RocketMQ MessageConst.INDEX_TAG_TYPE. The other types, K and U, and none at all look for a key. */
const INDEX_TAG_TYPE = 'T';

/** QUERY_MESSAGE */
export async function queryMessage({ messages }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const isUnique = fields?._UNIQUE_KEY_QUERY === 'true';
  const found = await messages.byKey({
    topic: requiredText(fields, 'topic'),
    key: requiredText(fields, 'key'),
    isUnique,
    isTag: fields?.indexType === INDEX_TAG_TYPE,
    maxNum: isUnique ? 0 : requiredNumber(fields, 'maxNum'),
    begin: optionalNumber(fields, 'beginTimestamp', 0),
    end: optionalNumber(fields, 'endTimestamp', Number.MAX_SAFE_INTEGER),
  });
  const header = {
    indexLastUpdateTimestamp: String(found.indexLastUpdateTimestamp),
    indexLastUpdatePhyoffset: String(found.indexLastUpdatePhyoffset),
  };
  if (found.records.length === 0) {
    const remark = 'can not find message, maybe time range not correct';
    return createResponse(request, ResponseCode.QUERY_NOT_FOUND, remark, header);
  }
  return { ...success(request, header), bodyParts: found.records };
}

/** VIEW_MESSAGE_BY_ID */
export async function viewMessageById(
  { messages }: BrokerContext,
  request: RemotingCommand,
  { identity }: Caller,
): Promise<RemotingCommand> {
  const record = await messages.at(requiredNumber(request.extFields, 'offset'), identity);
  return success(request, undefined, granted(record));
}
