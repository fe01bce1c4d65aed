import type { LiteAction, LiteStart } from '@vernier/broker/internal';
import { served } from '../backend/served.ts';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { OK, StatusError, statusOfRefusal } from '../status.ts';
import { groupOf, topicOf } from '../validate.ts';
import {
  Code,
  LiteSubscriptionAction,
  type OffsetOption,
  type SyncLiteSubscriptionRequest,
  type SyncLiteSubscriptionResponse,
} from '../wire/messages.ts';
import { numberOf } from '../wire/times.ts';

/** Lite topics of one request. */
const LITE_TOPICS_MAX = 10_000;

/** SyncLiteSubscription: which lite topics of a topic the client wants. */
export function syncLiteSubscription(
  { broker, clients }: ProxyContext,
  request: SyncLiteSubscriptionRequest,
  call: Call,
): SyncLiteSubscriptionResponse {
  const client = clients.known(call);
  const topic = topicOf(broker, request.topic);
  const group = groupOf(request.group);
  const liteTopics = request.liteTopicSet ?? [];
  if (liteTopics.length > LITE_TOPICS_MAX) {
    throw new StatusError(Code.BAD_REQUEST, `${liteTopics.length} lite topics, at most ${LITE_TOPICS_MAX} at once`);
  }
  const change = {
    ...{ action: actionOf(request.action), clientId: call.clientId, group, topic, liteTopics },
    start: startOf(request.offsetOption),
  };
  const refusal = served(broker.lite, 'lite topics').subscribing.change([change], client);
  return { status: refusal === undefined ? OK : statusOfRefusal(refusal) };
}

function actionOf(action: LiteSubscriptionAction | null | undefined): LiteAction {
  const name = LiteSubscriptionAction[action ?? LiteSubscriptionAction.PARTIAL_ADD];
  if (name === undefined) throw new StatusError(Code.BAD_REQUEST, `action ${action} is none`);
  return name as LiteAction;
}

function startOf(option: OffsetOption | null | undefined): LiteStart | undefined {
  if (option === undefined || option === null) return undefined;
  const { policy, offset, tailN, timestamp } = option;
  if (policy !== undefined && policy !== null) return { kind: 'POLICY', value: policy };
  if (offset !== undefined && offset !== null) return { kind: 'OFFSET', value: numberOf(offset) };
  if (tailN !== undefined && tailN !== null) return { kind: 'TAIL_N', value: numberOf(tailN) };
  if (timestamp !== undefined && timestamp !== null) return { kind: 'TIMESTAMP', value: numberOf(timestamp) };
  return undefined;
}
