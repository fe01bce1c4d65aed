import { type Access, type AccessService, isFault, topicAccess } from '@vernier/broker/internal';
import type { Call } from './call.ts';
import type { ProxyContext } from './context.ts';
import { StatusError } from './status.ts';
import { ClientType, Code, type Resource, type Settings } from './wire/messages.ts';

/**
 * Who a call is from, and what it may do (RocketMQ's proxy: AuthenticationPipeline, AuthorizationPipeline,
 * DefaultAuthorizationContextBuilder). The header is
 * `authorization: MQv2-HMAC-SHA1 Credential=<user>/…, SignedHeaders=x-mq-date-time, Signature=<hex>`; the time is what is
 * signed.
 */
interface Asked {
  readonly [member: string]: unknown;
}

/** `group`: that of the client who calls, as it said when it came; undefined when it is no consumer. */
type Need = (request: Asked, group: string | undefined) => Access[];

const nameOf = (resource: unknown): string => (resource as Resource | null | undefined)?.name ?? '';
const listOf = (value: unknown): readonly Asked[] => (Array.isArray(value) ? (value as Asked[]) : []);

const publishes = (...topics: string[]): Access[] => topics.map((topic) => topicAccess(topic, ['Pub']));
const consumes = (topic: string): Access => topicAccess(topic, ['Sub']);
const memberOf = (name: string): Access => ({ kind: 'Group', name, actions: ['Sub'] });
const member = (group: unknown): Access => memberOf(nameOf(group));

const ofGroupAndTopic: Need = ({ group, topic }) => [member(group), consumes(nameOf(topic))];
const ofGroupAndQueue: Need = ({ group, messageQueue }) => [
  member(group),
  consumes(nameOf((messageQueue as Asked | null | undefined)?.topic)),
];

/** By the message of the request; every method has a row. */
const needs: Readonly<Record<string, Need>> = {
  QueryRouteRequest: ({ topic }) => [topicAccess(nameOf(topic), ['Pub', 'Sub'])],
  QueryAssignmentRequest: ofGroupAndTopic,
  // RocketMQ believes what the heartbeat says: a consumer is one, whatever it calls itself.
  HeartbeatRequest: ({ clientType, group }, known) => {
    const own = known === undefined ? [] : [memberOf(known)];
    const isOther = known === undefined ? clientType !== ClientType.PRODUCER : nameOf(group) !== '';
    return isOther && nameOf(group) !== known ? [...own, member(group)] : own;
  },
  NotifyClientTerminationRequest: ({ group }) => (nameOf(group) === '' ? [] : [member(group)]),
  // RocketMQ looks at the first message alone.
  SendMessageRequest: ({ messages }) => publishes(...listOf(messages).map(({ topic }) => nameOf(topic))),
  RecallMessageRequest: ({ topic }) => publishes(nameOf(topic)),
  EndTransactionRequest: ({ topic }) => publishes(nameOf(topic)),
  ReceiveMessageRequest: ofGroupAndQueue,
  AckMessageRequest: ofGroupAndTopic,
  // RocketMQ looks at the group alone.
  ChangeInvisibleDurationRequest: ofGroupAndTopic,
  ForwardMessageToDeadLetterQueueRequest: ofGroupAndTopic,
  // RocketMQ asks for a signature alone.
  SyncLiteSubscriptionRequest: ofGroupAndTopic,
  PullMessageRequest: ofGroupAndQueue,
  UpdateOffsetRequest: ofGroupAndQueue,
  GetOffsetRequest: ofGroupAndQueue,
  QueryOffsetRequest: ({ messageQueue }) => [consumes(nameOf((messageQueue as Asked | null | undefined)?.topic))],
  TelemetryCommand: ({ settings }) => ofSettings(settings as Settings | null | undefined),
};

function ofSettings(settings: Settings | null | undefined): Access[] {
  const { publishing, subscription } = settings ?? {};
  const topics = (publishing?.topics ?? []).map(nameOf);
  const subscribed = (subscription?.subscriptions ?? []).map(({ topic }) => nameOf(topic));
  return [
    ...publishes(...topics),
    ...(subscription === undefined || subscription === null ? [] : [member(subscription.group)]),
    ...subscribed.map(consumes),
  ];
}

/** Whether something is known of a request's message. */
export const hasNeeds = (message: string): boolean => Object.hasOwn(needs, message);

const PACKAGE = 'apache.rocketmq.v2';

/**
 * Finds out who the call is from, for `call.caller.identity`. Throws UNAUTHORIZED for one that is not signed by a user, or
 * that the user's policies do not allow; rejects so, later, for a client whose sign-ins fail often. `message`: the name of
 * the request's message.
 */
export function checkAccess(
  proxy: Pick<ProxyContext, 'clients' | 'disconnect'>,
  access: AccessService,
  message: string,
  request: unknown,
  call: Call,
): Promise<never> | undefined {
  const name = `${PACKAGE}.${message}`;
  const found = access.authenticate(proofOf(call), call.peer.host);
  if (!isFault(found)) call.caller.identity = found;
  else if (access.needsSignature(name)) {
    const error = new StatusError(Code.UNAUTHORIZED, found.refusal.remark);
    const wait = access.failures.failed(call.peer.host, found.reason, found.kind);
    if (wait === 'disconnect') proxy.disconnect(call.peer.address);
    if (!(wait instanceof Promise)) throw error;
    return wait.then(() => {
      throw error;
    });
  }
  if (!access.needsRight(name) || call.caller.identity?.isSuper === true) return undefined;
  const need = Object.hasOwn(needs, message) ? needs[message] : undefined;
  const accesses = need?.(request as Asked, proxy.clients.groupOf(call.clientId)) ?? [
    { kind: 'Cluster' as const, name: access.clusterName, actions: ['Update' as const] },
  ];
  if (accesses.length === 0) return undefined;
  const { identity } = call.caller;
  if (identity === undefined)
    throw new StatusError(Code.UNAUTHORIZED, 'username cannot be null: the call is not signed');
  const refusal = identity.admit(accesses);
  if (refusal !== undefined) throw new StatusError(Code.UNAUTHORIZED, refusal.remark);
  return undefined;
}

const HEX = /^[0-9a-f]{40}$/i;

/** What the headers show. What is not in the form that RocketMQ's clients write has no user or no signature. */
function proofOf({ authorization, dateTime }: Call): { username: string; signature: string; text: string } {
  const items = new Map<string, string>();
  const blank = authorization.indexOf(' ');
  if (blank > 0 && dateTime !== '') {
    for (const item of authorization.slice(blank + 1).split(',')) {
      const equal = item.indexOf('=');
      if (equal > 0) items.set(item.slice(0, equal).trim(), item.slice(equal + 1).trim());
    }
  }
  const [username = ''] = (items.get('Credential') ?? '').split('/');
  const hex = items.get('Signature') ?? '';
  const signature = HEX.test(hex) ? Buffer.from(hex, 'hex').toString('base64') : '';
  return { username, signature, text: dateTime };
}
