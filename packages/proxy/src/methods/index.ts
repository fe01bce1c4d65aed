import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import {
  type Codec,
  codecs,
  type PullMessageRequest,
  type PullMessageResponse,
  type ReceiveMessageRequest,
  type ReceiveMessageResponse,
  type Status,
} from '../wire/messages.ts';
import { timeOf } from '../wire/times.ts';
import { ackMessage, changeInvisibleDuration } from './ack-message.ts';
import type { AnswerStream } from './answer-stream.ts';
import { heartbeat, terminate } from './client-life.ts';
import { forwardMessage } from './dead-letters.ts';
import { syncLiteSubscription } from './lite-subscription.ts';
import { pullMessage } from './pull-message.ts';
import { queryAssignment, queryRoute } from './query-route.ts';
import { getOffset, queryOffset, updateOffset } from './queue-offsets.ts';
import { recallMessage } from './recall-message.ts';
import { receiveMessage } from './receive-message.ts';
import { sendMessage } from './send-message.ts';
import { endTransaction } from './transactions.ts';

/** A method that answers one message with one; every answer has a status. */
export interface UnaryMethod<Request = unknown, Response = unknown> {
  readonly name: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
  readonly call: (proxy: ProxyContext, request: Request, call: Call) => Promise<Response> | Response;
}

/** A method that answers one message with a stream; the first answer, or the only one, has a status. */
export interface StreamMethod<Request = unknown, Response = unknown> {
  readonly name: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
  readonly call: (proxy: ProxyContext, request: Request, call: Call, stream: AnswerStream<Response>) => Promise<void>;
  /** What a call that failed is answered: `now` is in Unix milliseconds. */
  readonly failed: (status: Status, now: number) => readonly Response[];
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

/** Telemetry, a stream both ways, is in server.ts. */
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
  on('UpdateOffset', codecs.UpdateOffsetRequest, codecs.UpdateOffsetResponse, updateOffset),
  on('GetOffset', codecs.GetOffsetRequest, codecs.GetOffsetResponse, getOffset),
  on('QueryOffset', codecs.QueryOffsetRequest, codecs.QueryOffsetResponse, queryOffset),
];

const receive: StreamMethod<ReceiveMessageRequest, ReceiveMessageResponse> = {
  ...{ name: 'ReceiveMessage', request: codecs.ReceiveMessageRequest, response: codecs.ReceiveMessageResponse },
  call: receiveMessage,
  failed: (status, now) => [{ status }, { deliveryTimestamp: timeOf(now) }],
};

const pull: StreamMethod<PullMessageRequest, PullMessageResponse> = {
  ...{ name: 'PullMessage', request: codecs.PullMessageRequest, response: codecs.PullMessageResponse },
  call: pullMessage,
  failed: (status) => [{ status }],
};

export const streamMethods = [receive, pull] as unknown as readonly StreamMethod[];
