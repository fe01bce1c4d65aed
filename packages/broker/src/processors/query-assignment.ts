import {
  bodyObject,
  choiceMember,
  messageQueueJson,
  type RemotingCommand,
  ResponseCode,
  stringMember,
} from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import { requestModeOf } from '../pop/request-modes.ts';
import { json, RequestFault, refused, success } from './requests.ts';

/** QUERY_ASSIGNMENT: which queues are a member's, and whether it pulls or pops them. */
export async function queryAssignment({ pop }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const body = bodyObject(request.body, 'QueryAssignmentRequestBody');
  const assignments = await pop.assignments.query({
    topic: stringMember(body, 'topic'),
    group: stringMember(body, 'consumerGroup'),
    clientId: stringMember(body, 'clientId'),
    strategyName: stringMember(body, 'strategyName'),
    messageModel: choiceMember(body, 'messageModel', ['CLUSTERING', 'BROADCASTING'], 'CLUSTERING'),
  });
  const messageQueueAssignments = assignments?.map(({ messageQueue, mode }) => ({
    messageQueue: messageQueueJson(messageQueue),
    mode,
  }));
  return json(request, { messageQueueAssignments });
}

/** SET_MESSAGE_REQUEST_MODE: an operator says whether a group pulls or pops a topic. */
export async function setMessageRequestMode(
  { pop }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const body = bodyObject(request.body, 'SetMessageRequestModeRequestBody');
  const mode = requestModeOf(body, stringMember(body, 'topic'), stringMember(body, 'consumerGroup'));
  if (mode === undefined) throw new RequestFault(ResponseCode.INVALID_PARAMETER, 'mode is neither PULL nor POP');
  const refusal = await pop.assignments.setMode(mode);
  return refusal === undefined ? success(request) : refused(request, refusal);
}
