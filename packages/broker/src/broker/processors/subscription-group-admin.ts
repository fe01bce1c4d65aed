import {
  asArray,
  bodyObject,
  createResponse,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { groupNameFault } from '../names.ts';
import { guarded, isTrue, RequestFault, requiredText, success } from '../requests.ts';
import { type SubscriptionGroupConfig, subscriptionGroupFrom } from '../subscription-group-manager.ts';

/** What an operator does with consumer groups (RocketMQ AdminBrokerProcessor). Answered once the table is on disk. */
export function subscriptionGroupAdmin(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
      guarded((request) => updateGroups(broker, request, [bodyObject(request.body, 'SubscriptionGroupConfig')])),
    ],
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      guarded((request) => {
        const { groupConfigList } = bodyObject(request.body, 'SubscriptionGroupList');
        return updateGroups(broker, request, asArray(groupConfigList, 'groupConfigList'));
      }),
    ],
    [RequestCode.DELETE_SUBSCRIPTIONGROUP, guarded((request) => deleteGroup(broker, request))],
    [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, guarded((request) => allGroups(broker, request))],
    [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, guarded((request) => oneGroup(broker, request))],
  ];
}

async function updateGroups(
  broker: BrokerContext,
  request: RemotingCommand,
  values: readonly unknown[],
): Promise<RemotingCommand> {
  const groups: SubscriptionGroupConfig[] = [];
  for (const value of values) {
    const name = (value as { groupName?: unknown } | null)?.groupName;
    const group = typeof name === 'string' ? name : '';
    const fault = groupNameFault(group);
    if (fault !== undefined) throw new RequestFault(ResponseCode.INVALID_PARAMETER, fault);
    groups.push(subscriptionGroupFrom(group, value));
  }
  for (const group of groups) broker.groups.update(group);
  await broker.metadata.groups.save();
  return success(request);
}

async function deleteGroup(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const group = requiredText(request.extFields, 'groupName');
  broker.groups.delete(group);
  broker.stats.forgetGroup(group);
  if (isTrue(request.extFields?.cleanOffset)) {
    broker.offsets.removeGroup(group);
    await broker.metadata.offsets.save();
  }
  await broker.metadata.groups.save();
  return success(request);
}

function allGroups(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { groups } = broker;
  const body = Buffer.from(
    JSON.stringify({
      dataVersion: groups.dataVersion,
      forbiddenTable: groups.forbiddenTable,
      subscriptionGroupTable: Object.fromEntries(groups.table),
    }),
  );
  return success(request, { totalGroupNum: String(groups.table.size) }, body);
}

function oneGroup(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const group = broker.groups.find(requiredText(request.extFields, 'group'));
  if (group === undefined) {
    return createResponse(request, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'No group in this broker');
  }
  return success(request, undefined, Buffer.from(JSON.stringify(group)));
}
