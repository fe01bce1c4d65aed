import {
  createResponse,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { guarded, optionalNumber, requiredNumber, requiredText, success } from '../requests.ts';

/** QUERY_MESSAGE and VIEW_MESSAGE_BY_ID (RocketMQ QueryMessageProcessor). */
export function queryMessage(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [RequestCode.QUERY_MESSAGE, guarded((request) => query(broker, request))],
    [RequestCode.VIEW_MESSAGE_BY_ID, guarded((request) => view(broker, request))],
  ];
}

async function query(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const topic = requiredText(fields, 'topic');
  const key = requiredText(fields, 'key');
  // A unique key stands once; the number guards against other keys of the same hash, which the client sorts out.
  const unique = fields?._UNIQUE_KEY_QUERY === 'true';
  const maxNum = unique ? broker.config.defaultQueryMaxNum : requiredNumber(fields, 'maxNum');
  const begin = optionalNumber(fields, 'beginTimestamp', 0);
  const end = optionalNumber(fields, 'endTimestamp', Number.MAX_SAFE_INTEGER);
  const result = await broker.store.queryMessage(topic, key, Math.max(1, maxNum), begin, end);
  const header = {
    indexLastUpdateTimestamp: String(result.indexLastUpdateTimestamp),
    indexLastUpdatePhyoffset: String(result.indexLastUpdatePhyoffset),
  };
  if (result.records.length === 0) {
    const remark = 'can not find message, maybe time range not correct';
    return createResponse(request, ResponseCode.QUERY_NOT_FOUND, remark, header);
  }
  const response = success(request, header);
  response.bodyParts = result.records;
  return response;
}

async function view(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const offset = requiredNumber(request.extFields, 'offset');
  const record = offset < 0 ? undefined : await broker.store.selectOneMessageByOffset(offset);
  if (record === undefined) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${offset}`);
  }
  return success(request, undefined, record);
}
