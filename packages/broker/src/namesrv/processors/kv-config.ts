import {
  createResponse,
  encodeKVTable,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { type NamesrvContext, type Processors, required, success } from './context.ts';

/** Names and values by namespace: 100, 101, 102, 219. */
export function kvConfigProcessors(context: NamesrvContext): Processors {
  return new Map<number, RequestHandler>([
    [RequestCode.PUT_KV_CONFIG, (request) => putKVConfig(context, request)],
    [RequestCode.GET_KV_CONFIG, (request) => getKVConfig(context, request)],
    [RequestCode.DELETE_KV_CONFIG, (request) => deleteKVConfig(context, request)],
    [RequestCode.GET_KVLIST_BY_NAMESPACE, (request) => listKVConfig(context, request)],
  ]);
}

/** Answered once the change is on disk, when the name server has a directory. */
async function putKVConfig(context: NamesrvContext, request: RemotingCommand): Promise<RemotingCommand> {
  const { namespace, key, value } = request.extFields ?? {};
  if (namespace === undefined || key === undefined || value === undefined) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, 'namespace, key or value is null');
  }
  const fault = context.kv.fault(namespace, key, value);
  if (fault !== undefined) return createResponse(request, ResponseCode.INVALID_PARAMETER, fault);
  await context.kv.put(namespace, key, value);
  return success(request);
}

function getKVConfig(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const namespace = required(request, 'namespace');
  const key = required(request, 'key');
  const value = context.kv.get(namespace, key);
  if (value !== undefined) return success(request, { value });
  const remark = `No config item, Namespace: ${namespace} Key: ${key}`;
  return createResponse(request, ResponseCode.QUERY_NOT_FOUND, remark);
}

async function deleteKVConfig(context: NamesrvContext, request: RemotingCommand): Promise<RemotingCommand> {
  await context.kv.delete(required(request, 'namespace'), required(request, 'key'));
  return success(request);
}

function listKVConfig(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const namespace = required(request, 'namespace');
  const table = context.kv.list(namespace);
  if (table !== undefined) return success(request, undefined, encodeKVTable(table));
  return createResponse(request, ResponseCode.QUERY_NOT_FOUND, `No config item, Namespace: ${namespace}`);
}
