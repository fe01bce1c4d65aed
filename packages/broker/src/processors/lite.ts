import {
  asArray,
  asObject,
  bodyObject,
  createResponse,
  type ExtFields,
  integerMember,
  type JsonObject,
  type RemotingCommand,
  ResponseCode,
  stringMember,
} from '@vernier/remoting';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import type { LiteAction, LiteChange, LiteStart } from '../lite/lite-subscription-service.ts';
import type { PopLiteRequest, PopLiteResult } from '../lite/pop-lite-service.ts';
import { ORDER_REVIVE_QUEUE } from '../pop/handle.ts';
import type { ConnectionCaller } from './connection-callers.ts';
import { PopResponder } from './pop-message.ts';
import { json, optionalNumber, RequestFault, refused, requiredNumber, requiredText, success } from './requests.ts';

/** POP_LITE_MESSAGE. */
export function popLiteMessage(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const wanted: PopLiteRequest = {
    clientId: requiredText(fields, 'clientId'),
    group: requiredText(fields, 'consumerGroup'),
    topic: requiredText(fields, 'topic'),
    maxMessages: requiredNumber(fields, 'maxMsgNum'),
    invisibleMs: requiredNumber(fields, 'invisibleTime'),
    pollMs: optionalNumber(fields, 'pollTime', 0),
    bornTime: optionalNumber(fields, 'bornTime', 0),
    attemptId: fields?.attemptId,
  };
  const responder = new PopResponder(request, caller, poppedFields);
  return responder.answered(broker.lite.pop.pop(wanted, caller, responder));
}

/** A count for each message; messages of several lite topics have no offsets of one queue. */
const poppedFields = ({ popTime, invisibleMs, counts }: PopLiteResult): ExtFields => ({
  popTime: String(popTime),
  invisibleTime: String(invisibleMs),
  reviveQid: String(ORDER_REVIVE_QUEUE),
  orderCountInfo: counts.join(';'),
});

/** Clients in one body, and lite topics of one. */
const CHANGES_MAX = 10_000;
const LITE_TOPICS_MAX = 100_000;

/** LITE_SUBSCRIPTION_CTL. */
export function changeSubscriptions(
  { lite }: BrokerContext,
  request: RemotingCommand,
  caller: ConnectionCaller,
): RemotingCommand {
  const { body } = request;
  if (body === undefined || body.length === 0) {
    return createResponse(request, ResponseCode.ILLEGAL_OPERATION, 'Request body is null.');
  }
  const entries = asArray(bodyObject(body, 'LiteSubscriptionCtlRequestBody').subscriptionSet, 'subscriptionSet');
  if (entries.length === 0) {
    return createResponse(request, ResponseCode.ILLEGAL_OPERATION, 'LiteSubscriptionCtlRequestBody is empty.');
  }
  if (entries.length > CHANGES_MAX) {
    const remark = `${entries.length} subscriptions, at most ${CHANGES_MAX} at once`;
    return createResponse(request, ResponseCode.INVALID_PARAMETER, remark);
  }
  const changes = entries.map((entry) => changeOf(asObject(entry, 'LiteSubscriptionDTO')));
  const refusal = lite.subscribing.change(changes, caller);
  return refusal === undefined ? success(request) : refused(request, refusal);
}

const actions: ReadonlySet<string> = new Set<LiteAction>([
  'PARTIAL_ADD',
  'PARTIAL_REMOVE',
  'COMPLETE_ADD',
  'COMPLETE_REMOVE',
]);
const starts: ReadonlySet<string> = new Set<LiteStart['kind']>(['POLICY', 'OFFSET', 'TAIL_N', 'TIMESTAMP']);

function changeOf(entry: JsonObject): LiteChange {
  const action = stringMember(entry, 'action');
  if (!actions.has(action)) throw invalid(`action ${JSON.stringify(action.slice(0, 30))} is none`);
  const liteTopics = asArray(entry.liteTopicSet ?? [], 'liteTopicSet');
  if (liteTopics.length > LITE_TOPICS_MAX) {
    throw invalid(`${liteTopics.length} lite topics, at most ${LITE_TOPICS_MAX} at once`);
  }
  if (!liteTopics.every((lite): lite is string => typeof lite === 'string')) throw invalid('a lite topic is no text');
  return {
    action: action as LiteAction,
    clientId: stringMember(entry, 'clientId', ''),
    group: stringMember(entry, 'group', ''),
    topic: stringMember(entry, 'topic', ''),
    liteTopics,
    start: startOf(entry.offsetOption),
  };
}

function startOf(value: unknown): LiteStart | undefined {
  if (value === undefined || value === null) return undefined;
  const option = asObject(value, 'OffsetOption');
  const kind = stringMember(option, 'type');
  if (!starts.has(kind)) throw invalid(`offsetOption has the type ${JSON.stringify(kind.slice(0, 30))}`);
  return { kind: kind as LiteStart['kind'], value: integerMember(option, 'value') };
}

const invalid = (why: string): RequestFault => new RequestFault(ResponseCode.INVALID_PARAMETER, why);

const answered = (request: RemotingCommand, value: Record<string, unknown> | Refusal): RemotingCommand =>
  value instanceof Refusal ? refused(request, value) : json(request, value);

/** GET_BROKER_LITE_INFO. */
export const brokerInfo = ({ lite }: BrokerContext, request: RemotingCommand): RemotingCommand =>
  json(request, lite.admin.broker());

/** GET_PARENT_TOPIC_INFO. */
export const parentInfo = ({ lite }: BrokerContext, request: RemotingCommand): RemotingCommand =>
  answered(request, lite.admin.parent(requiredText(request.extFields, 'topic')));

/** GET_LITE_TOPIC_INFO. */
export async function liteTopicInfo({ lite }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const parent = requiredText(fields, 'parentTopic');
  return answered(request, await lite.admin.liteTopic(parent, requiredText(fields, 'liteTopic')));
}

/** GET_LITE_CLIENT_INFO. */
export function clientInfo({ lite }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const fields = request.extFields;
  const [parent, group] = [requiredText(fields, 'parentTopic'), requiredText(fields, 'group')];
  const maxCount = optionalNumber(fields, 'maxCount', 1_000);
  return answered(request, lite.admin.client(parent, group, requiredText(fields, 'clientId'), maxCount));
}

/** GET_LITE_GROUP_INFO. */
export async function groupInfo({ lite }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const topK = optionalNumber(fields, 'topK', 20);
  return answered(request, await lite.admin.group(requiredText(fields, 'group'), fields?.liteTopic ?? '', topK));
}

/** TRIGGER_LITE_DISPATCH. */
export function triggerDispatch({ lite }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const fields = request.extFields;
  const refusal = lite.admin.trigger(requiredText(fields, 'group'), fields?.clientId ?? '');
  return refusal === undefined ? success(request) : refused(request, refusal);
}
