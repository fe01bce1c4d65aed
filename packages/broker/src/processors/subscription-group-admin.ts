import { asArray, bodyObject, type RemotingCommand } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import type { AnswerText } from '../long-answers/answer-text.ts';
import { granted, isTrue, json, longAnswer, optionalFlag, requiredText, success } from './requests.ts';

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP. Answered once the table is on disk, as all changes here. */
export async function updateGroup({ groupAdmin }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  granted(await groupAdmin.update([bodyObject(request.body, 'SubscriptionGroupConfig')]));
  return success(request);
}

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST */
export async function updateGroupList(
  { groupAdmin }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const { groupConfigList } = bodyObject(request.body, 'SubscriptionGroupList');
  granted(await groupAdmin.update(asArray(groupConfigList, 'groupConfigList')));
  return success(request);
}

/** DELETE_SUBSCRIPTIONGROUP */
export async function deleteGroup({ groupAdmin }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const { cleanOffset } = request.extFields ?? {};
  granted(await groupAdmin.delete(requiredText(request.extFields, 'groupName'), isTrue(cleanOffset)));
  return success(request);
}

/** GET_ALL_SUBSCRIPTIONGROUP_CONFIG */
export function allGroups(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const { groups } = broker;
  const write = async (text: AnswerText): Promise<void> => {
    for (const piece of groups.encode()) await text.add(piece);
  };
  return longAnswer(broker, request, caller, write, { totalGroupNum: String(groups.table.size) });
}

/** GET_SUBSCRIPTIONGROUP_CONFIG */
export function oneGroup(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  return json(request, granted(broker.groupAdmin.find(requiredText(request.extFields, 'group'))));
}

/** UPDATE_AND_GET_GROUP_FORBIDDEN */
export async function groupForbidden(
  { groupAdmin }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const fields = request.extFields;
  const group = requiredText(fields, 'group');
  const topic = requiredText(fields, 'topic');
  const wanted = fields?.readable === undefined ? undefined : optionalFlag(fields, 'readable');
  return json(request, { group, readable: granted(await groupAdmin.readable(group, topic, wanted)), topic });
}
