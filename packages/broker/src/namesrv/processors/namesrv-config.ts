import {
  createResponse,
  decodeProperties,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { Refusal } from '../../base/refusal.ts';
import { blackListed } from '../namesrv-config.ts';
import { type NamesrvContext, type Processors, success } from './context.ts';

/** The name server's own settings: 318, 319. */
export function namesrvConfigProcessors(context: NamesrvContext): Processors {
  return new Map<number, RequestHandler>([
    [RequestCode.UPDATE_NAMESRV_CONFIG, (request) => updateConfig(context, request)],
    [RequestCode.GET_NAMESRV_CONFIG, (request) => getConfig(context, request)],
  ]);
}

/** Answered once the change is on disk, when the nameserver has a directory. */
async function updateConfig(context: NamesrvContext, request: RemotingCommand): Promise<RemotingCommand> {
  const properties = decodeProperties(request.body?.toString('utf8') ?? '');
  if (blackListed(context.config, properties.keys()) !== undefined) {
    return createResponse(request, ResponseCode.NO_PERMISSION, 'Can not update config in black list.');
  }
  const unknown = await context.settingsAdmin.change(properties);
  if (unknown instanceof Refusal) return createResponse(request, unknown.code, unknown.remark);
  return unknown === undefined ? success(request) : createResponse(request, ResponseCode.SUCCESS, unknown);
}

function getConfig(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  return success(request, undefined, Buffer.from(context.settingsAdmin.text()));
}
