import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { type Codec, codecs, type Status } from '../wire/messages.ts';
import { ackMessage, changeInvisibleDuration } from './ack-message.ts';
import { heartbeat, terminate } from './client-life.ts';
import { forwardMessage } from './dead-letters.ts';
import { syncLiteSubscription } from './lite-subscription.ts';
import { queryAssignment, queryRoute } from './query-route.ts';
import { recallMessage } from './recall-message.ts';
import { sendMessage } from './send-message.ts';
import { endTransaction } from './transactions.ts';

/** A method that answers one message with one; every answer has a status. */
export interface UnaryMethod<Request = unknown, Response = unknown> {
  readonly name: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
  readonly call: (proxy: ProxyContext, request: Request, call: Call) => Promise<Response> | Response;
}

export const SERVICE = 'apache.rocketmq.v2.MessagingService';

function on<Request, Response extends { status?: Status | null }>(
  name: string,
  request: Codec<Request>,
  response: Codec<Response>,
  call: UnaryMethod<Request, Response>['call'],
): UnaryMethod {
  return { name, request, response, call } as unknown as UnaryMethod;
}

/** ReceiveMessage and Telemetry are streams, see server.ts. What is in neither is answered UNIMPLEMENTED. */
export const unaryMethods: readonly UnaryMethod[] = [
  on('QueryRoute', codecs.QueryRouteRequest, codecs.QueryRouteResponse, queryRoute),
  on('QueryAssignment', codecs.QueryAssignmentRequest, codecs.QueryAssignmentResponse, queryAssignment),
  on('Heartbeat', codecs.HeartbeatRequest, codecs.HeartbeatResponse, heartbeat),
  on('NotifyClientTermination', codecs.TerminationRequest, codecs.TerminationResponse, terminate),
  on('SendMessage', codecs.SendMessageRequest, codecs.SendMessageResponse, sendMessage),
  on('RecallMessage', codecs.RecallMessageRequest, codecs.RecallMessageResponse, recallMessage),
  on('EndTransaction', codecs.EndTransactionRequest, codecs.EndTransactionResponse, endTransaction),
  on('AckMessage', codecs.AckMessageRequest, codecs.AckMessageResponse, ackMessage),
  on(
    'ChangeInvisibleDuration',
    codecs.ChangeInvisibleDurationRequest,
    codecs.ChangeInvisibleDurationResponse,
    changeInvisibleDuration,
  ),
  on(
    'SyncLiteSubscription',
    codecs.SyncLiteSubscriptionRequest,
    codecs.SyncLiteSubscriptionResponse,
    syncLiteSubscription,
  ),
  on('ForwardMessageToDeadLetterQueue', codecs.ForwardRequest, codecs.ForwardResponse, forwardMessage),
];
