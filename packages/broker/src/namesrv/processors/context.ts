import {
  createResponse,
  type RemotingCommand,
  RemotingError,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { LongAnswers } from '../../long-answers/long-answers.ts';
import type { SettingsAdmin } from '../../settings/settings-admin.ts';
import type { KVConfigManager } from '../kv-config-manager.ts';
import type { NamesrvConfig } from '../namesrv-config.ts';
import type { RouteInfoManager } from '../route-info-manager.ts';

/** What the processors of the name server share. */
export interface NamesrvContext {
  readonly config: NamesrvConfig;
  readonly settingsAdmin: SettingsAdmin;
  readonly routes: RouteInfoManager;
  readonly kv: KVConfigManager;
  readonly longAnswers: LongAnswers;
  /** Whether routes are given out yet (needWaitForService). */
  readonly ready: () => boolean;
}

/** Request code → handler. */
export type Processors = ReadonlyMap<number, RequestHandler>;

/** A header field that the handler cannot do without. Throws REMOTING_BODY_INVALID, which is answered with code 1. */
export function required(request: RemotingCommand, name: string): string {
  const value = request.extFields?.[name];
  if (value === undefined)
    throw new RemotingError('REMOTING_BODY_INVALID', `the header field ${name} is missing`, { name });
  return value;
}

/** A header field that is a whole number; undefined when it is missing. Throws REMOTING_BODY_INVALID. */
export function optionalInteger(request: RemotingCommand, name: string): number | undefined {
  const text = request.extFields?.[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new RemotingError('REMOTING_BODY_INVALID', `the header field ${name} is '${text}', not a whole number`, {
      name,
    });
  }
  return value;
}

export function success(
  request: RemotingCommand,
  extFields?: RemotingCommand['extFields'],
  body?: Buffer,
): RemotingCommand {
  return createResponse(request, ResponseCode.SUCCESS, undefined, extFields, body);
}
