import { createResponse, decodeProperties, encodeKVTable, type RemotingCommand, ResponseCode } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { granted, success } from './requests.ts';

/** GET_BROKER_RUNTIME_INFO */
export async function brokerRuntimeInfo(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const table = await broker.runtimeInfo();
  return success(request, undefined, encodeKVTable(new Map(Object.entries(table))));
}

/** GET_BROKER_CONFIG */
export function getConfig({ settingsAdmin, startedAt }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const version = JSON.stringify({ counter: settingsAdmin.changeCount, stateVersion: 0, timestamp: startedAt });
  return success(request, { version }, Buffer.from(settingsAdmin.text()));
}

/** UPDATE_BROKER_CONFIG */
export async function updateConfig(
  { settingsAdmin }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const unknown = granted(await settingsAdmin.change(decodeProperties(request.body?.toString('utf8') ?? '')));
  return unknown === undefined ? success(request) : createResponse(request, ResponseCode.SUCCESS, unknown);
}
