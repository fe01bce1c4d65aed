import {
  createResponse,
  decodeProperties,
  encodeProperties,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { applyProperties, blackListed } from '../namesrv-config.ts';
import { type NamesrvContext, type Processors, success } from './context.ts';

/** The name server's own settings: 318, 319. Changes last until it ends. */
export function namesrvConfigProcessors(context: NamesrvContext): Processors {
  return new Map<number, RequestHandler>([
    [RequestCode.UPDATE_NAMESRV_CONFIG, (request) => updateConfig(context, request)],
    [RequestCode.GET_NAMESRV_CONFIG, (request) => getConfig(context, request)],
  ]);
}

function updateConfig(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const properties = decodeProperties(request.body?.toString('utf8') ?? '');
  if (blackListed(context.config, properties.keys()) !== undefined) {
    return createResponse(request, ResponseCode.NO_PERMISSION, 'Can not update config in black list.');
  }
  const wrong = applyProperties(context.config, properties);
  if (wrong === undefined) return success(request);
  const remark = `${wrong}=${properties.get(wrong)} is not a value of that setting`;
  return createResponse(request, ResponseCode.INVALID_PARAMETER, remark);
}

function getConfig(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const entries = Object.entries(context.config).map(([name, value]): [string, string] => [name, String(value)]);
  return success(request, undefined, Buffer.from(encodeProperties(new Map(entries))));
}
