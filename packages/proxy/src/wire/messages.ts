/**
 * The messages of apache.rocketmq.v2, which pbjs makes from RocketMQ's .proto files (scripts/messages.mjs), under names of
 * one word. What comes from a client may lack any field: the types say so.
 */
import { apache, type google } from '#messages';

const v2 = apache.rocketmq.v2;

export type Address = apache.rocketmq.v2.Address.$Properties;
export type Endpoints = apache.rocketmq.v2.Endpoints.$Properties;
export type FilterExpression = apache.rocketmq.v2.FilterExpression.$Properties;
export type Message = apache.rocketmq.v2.Message.$Properties;
export type MessageQueue = apache.rocketmq.v2.MessageQueue.$Properties;
export type Resource = apache.rocketmq.v2.Resource.$Properties;
export type RetryPolicy = apache.rocketmq.v2.RetryPolicy.$Properties;
export type Settings = apache.rocketmq.v2.Settings.$Properties;
export type Status = apache.rocketmq.v2.Status.$Properties;
export type SubscriptionEntry = apache.rocketmq.v2.SubscriptionEntry.$Properties;
export type SystemProperties = apache.rocketmq.v2.SystemProperties.$Properties;
export type TelemetryCommand = apache.rocketmq.v2.TelemetryCommand.$Properties;
export type Duration = google.protobuf.Duration.$Properties;
export type Timestamp = google.protobuf.Timestamp.$Properties;

export type AckMessageRequest = apache.rocketmq.v2.AckMessageRequest.$Properties;
export type AckMessageResponse = apache.rocketmq.v2.AckMessageResponse.$Properties;
export type AckMessageResultEntry = apache.rocketmq.v2.AckMessageResultEntry.$Properties;
export type ChangeInvisibleDurationRequest = apache.rocketmq.v2.ChangeInvisibleDurationRequest.$Properties;
export type ChangeInvisibleDurationResponse = apache.rocketmq.v2.ChangeInvisibleDurationResponse.$Properties;
export type EndTransactionRequest = apache.rocketmq.v2.EndTransactionRequest.$Properties;
export type EndTransactionResponse = apache.rocketmq.v2.EndTransactionResponse.$Properties;
export type ForwardRequest = apache.rocketmq.v2.ForwardMessageToDeadLetterQueueRequest.$Properties;
export type ForwardResponse = apache.rocketmq.v2.ForwardMessageToDeadLetterQueueResponse.$Properties;
export type GetOffsetRequest = apache.rocketmq.v2.GetOffsetRequest.$Properties;
export type GetOffsetResponse = apache.rocketmq.v2.GetOffsetResponse.$Properties;
export type HeartbeatRequest = apache.rocketmq.v2.HeartbeatRequest.$Properties;
export type HeartbeatResponse = apache.rocketmq.v2.HeartbeatResponse.$Properties;
export type PullMessageRequest = apache.rocketmq.v2.PullMessageRequest.$Properties;
export type PullMessageResponse = apache.rocketmq.v2.PullMessageResponse.$Properties;
export type QueryAssignmentRequest = apache.rocketmq.v2.QueryAssignmentRequest.$Properties;
export type QueryAssignmentResponse = apache.rocketmq.v2.QueryAssignmentResponse.$Properties;
export type QueryOffsetRequest = apache.rocketmq.v2.QueryOffsetRequest.$Properties;
export type QueryOffsetResponse = apache.rocketmq.v2.QueryOffsetResponse.$Properties;
export type QueryRouteRequest = apache.rocketmq.v2.QueryRouteRequest.$Properties;
export type QueryRouteResponse = apache.rocketmq.v2.QueryRouteResponse.$Properties;
export type RecallMessageRequest = apache.rocketmq.v2.RecallMessageRequest.$Properties;
export type RecallMessageResponse = apache.rocketmq.v2.RecallMessageResponse.$Properties;
export type ReceiveMessageRequest = apache.rocketmq.v2.ReceiveMessageRequest.$Properties;
export type ReceiveMessageResponse = apache.rocketmq.v2.ReceiveMessageResponse.$Properties;
export type SendMessageRequest = apache.rocketmq.v2.SendMessageRequest.$Properties;
export type SendMessageResponse = apache.rocketmq.v2.SendMessageResponse.$Properties;
export type SendResultEntry = apache.rocketmq.v2.SendResultEntry.$Properties;
export type SyncLiteSubscriptionRequest = apache.rocketmq.v2.SyncLiteSubscriptionRequest.$Properties;
export type SyncLiteSubscriptionResponse = apache.rocketmq.v2.SyncLiteSubscriptionResponse.$Properties;
export type TerminationRequest = apache.rocketmq.v2.NotifyClientTerminationRequest.$Properties;
export type TerminationResponse = apache.rocketmq.v2.NotifyClientTerminationResponse.$Properties;
export type UpdateOffsetRequest = apache.rocketmq.v2.UpdateOffsetRequest.$Properties;
export type UpdateOffsetResponse = apache.rocketmq.v2.UpdateOffsetResponse.$Properties;

export const {
  AddressScheme,
  ClientType,
  Code,
  DigestType,
  Encoding,
  FilterType,
  Language,
  LiteSubscriptionAction,
  MessageType,
  Permission,
  QueryOffsetPolicy,
  TransactionResolution,
  TransactionSource,
} = v2;

export type Code = apache.rocketmq.v2.Code;
export type ClientType = apache.rocketmq.v2.ClientType;
export type MessageType = apache.rocketmq.v2.MessageType;
export type LiteSubscriptionAction = apache.rocketmq.v2.LiteSubscriptionAction;
export type OffsetOption = apache.rocketmq.v2.OffsetOption.$Properties;
export type QueryOffsetPolicy = apache.rocketmq.v2.QueryOffsetPolicy;
export type Permission = apache.rocketmq.v2.Permission;
export type TransactionResolution = apache.rocketmq.v2.TransactionResolution;

/** A message to bytes and back. Decoding throws for bytes that are none. */
export interface Codec<Value> {
  encode(value: Value): Buffer;
  decode(bytes: Buffer): Value;
}

interface Made<Value> {
  encode(value: Value): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Value;
}

/** What pbjs made, for the library of gRPC: with buffers, and without the fields that this version does not know. */
export function codec<Value>(made: Made<Value>): Codec<Value> {
  return {
    encode: (value) => {
      const bytes = made.encode(value).finish();
      return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    decode: (bytes) => made.decode(bytes),
  };
}

export const codecs = {
  AckMessageRequest: codec<AckMessageRequest>(v2.AckMessageRequest),
  AckMessageResponse: codec<AckMessageResponse>(v2.AckMessageResponse),
  ChangeInvisibleDurationRequest: codec<ChangeInvisibleDurationRequest>(v2.ChangeInvisibleDurationRequest),
  ChangeInvisibleDurationResponse: codec<ChangeInvisibleDurationResponse>(v2.ChangeInvisibleDurationResponse),
  EndTransactionRequest: codec<EndTransactionRequest>(v2.EndTransactionRequest),
  EndTransactionResponse: codec<EndTransactionResponse>(v2.EndTransactionResponse),
  ForwardRequest: codec<ForwardRequest>(v2.ForwardMessageToDeadLetterQueueRequest),
  ForwardResponse: codec<ForwardResponse>(v2.ForwardMessageToDeadLetterQueueResponse),
  GetOffsetRequest: codec<GetOffsetRequest>(v2.GetOffsetRequest),
  GetOffsetResponse: codec<GetOffsetResponse>(v2.GetOffsetResponse),
  HeartbeatRequest: codec<HeartbeatRequest>(v2.HeartbeatRequest),
  HeartbeatResponse: codec<HeartbeatResponse>(v2.HeartbeatResponse),
  PullMessageRequest: codec<PullMessageRequest>(v2.PullMessageRequest),
  PullMessageResponse: codec<PullMessageResponse>(v2.PullMessageResponse),
  QueryAssignmentRequest: codec<QueryAssignmentRequest>(v2.QueryAssignmentRequest),
  QueryAssignmentResponse: codec<QueryAssignmentResponse>(v2.QueryAssignmentResponse),
  QueryOffsetRequest: codec<QueryOffsetRequest>(v2.QueryOffsetRequest),
  QueryOffsetResponse: codec<QueryOffsetResponse>(v2.QueryOffsetResponse),
  QueryRouteRequest: codec<QueryRouteRequest>(v2.QueryRouteRequest),
  QueryRouteResponse: codec<QueryRouteResponse>(v2.QueryRouteResponse),
  RecallMessageRequest: codec<RecallMessageRequest>(v2.RecallMessageRequest),
  RecallMessageResponse: codec<RecallMessageResponse>(v2.RecallMessageResponse),
  ReceiveMessageRequest: codec<ReceiveMessageRequest>(v2.ReceiveMessageRequest),
  ReceiveMessageResponse: codec<ReceiveMessageResponse>(v2.ReceiveMessageResponse),
  Settings: codec<Settings>(v2.Settings),
  SendMessageRequest: codec<SendMessageRequest>(v2.SendMessageRequest),
  SendMessageResponse: codec<SendMessageResponse>(v2.SendMessageResponse),
  SyncLiteSubscriptionRequest: codec<SyncLiteSubscriptionRequest>(v2.SyncLiteSubscriptionRequest),
  SyncLiteSubscriptionResponse: codec<SyncLiteSubscriptionResponse>(v2.SyncLiteSubscriptionResponse),
  TelemetryCommand: codec<TelemetryCommand>(v2.TelemetryCommand),
  TerminationRequest: codec<TerminationRequest>(v2.NotifyClientTerminationRequest),
  TerminationResponse: codec<TerminationResponse>(v2.NotifyClientTerminationResponse),
  UpdateOffsetRequest: codec<UpdateOffsetRequest>(v2.UpdateOffsetRequest),
  UpdateOffsetResponse: codec<UpdateOffsetResponse>(v2.UpdateOffsetResponse),
} as const;
