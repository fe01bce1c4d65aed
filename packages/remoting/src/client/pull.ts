import { RequestCode } from '../codes/request-code.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { type DecodedMessage, decodeRecords } from '../message/record.ts';
import { PullSysFlag } from '../message/sys-flag.ts';
import type { RemotingClient } from '../net/client.ts';
import type { MessageQueue } from '../protocol/message-queue.ts';
import { createRequest, type RemotingCommand } from '../protocol/remoting-command.ts';
import { expectSuccess, integerField, responseError } from './response.ts';

export interface PullOptions {
  consumerGroup: string;
  queueOffset: number;
  /** d=32 */
  maxMsgNums?: number;
  /** Tag expression, d=`*`. It is sent along, so that no heartbeat is needed. */
  subscription?: string;
  /** How long the broker may hold the request when there is nothing yet, ms; 0 (the default) = it answers at once. */
  suspendTimeoutMs?: number;
}

export type PullStatus = 'FOUND' | 'NO_NEW_MSG' | 'NO_MATCHED_MSG' | 'OFFSET_ILLEGAL';

export interface PullResult {
  status: PullStatus;
  nextBeginOffset: number;
  minOffset: number;
  /** Exclusive. */
  maxOffset: number;
  messages: DecodedMessage[];
}

const STATUS: ReadonlyMap<number, PullStatus> = new Map([
  [ResponseCode.SUCCESS, 'FOUND'],
  [ResponseCode.PULL_NOT_FOUND, 'NO_NEW_MSG'],
  [ResponseCode.PULL_RETRY_IMMEDIATELY, 'NO_MATCHED_MSG'],
  [ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_ILLEGAL'],
]);

/** PULL_MESSAGE (11). */
export function createPullRequest(queue: MessageQueue, options: PullOptions): RemotingCommand {
  const suspendMs = options.suspendTimeoutMs ?? 0;
  return createRequest(RequestCode.PULL_MESSAGE, {
    consumerGroup: options.consumerGroup,
    topic: queue.topic,
    queueId: String(queue.queueId),
    queueOffset: String(options.queueOffset),
    maxMsgNums: String(options.maxMsgNums ?? 32),
    sysFlag: String(PullSysFlag.SUBSCRIPTION | (suspendMs > 0 ? PullSysFlag.SUSPEND : 0)),
    commitOffset: '0',
    suspendTimeoutMillis: String(suspendMs),
    subscription: options.subscription ?? '*',
    subVersion: '0',
    expressionType: 'TAG',
    bname: queue.brokerName,
  });
}

/**
 * Pulls once. The messages' bodies are views into the response. Rejects with REMOTING_RESPONSE when the broker refuses,
 * REMOTING_MESSAGE_INVALID when a record does not add up.
 */
export async function pullMessage(
  client: RemotingClient,
  address: string,
  queue: MessageQueue,
  options: PullOptions,
  timeoutMs = 10_000 + (options.suspendTimeoutMs ?? 0),
): Promise<PullResult> {
  return pullResult(await client.invoke(address, createPullRequest(queue, options), timeoutMs), address);
}

/** Reads the answer to a pull. Throws as `pullMessage` rejects. */
export function pullResult(response: RemotingCommand, address: string): PullResult {
  const status = STATUS.get(response.code);
  if (status === undefined) throw responseError(response, address, 'pull');
  const fields = response.extFields;
  return {
    status,
    nextBeginOffset: integerField(fields, 'nextBeginOffset'),
    minOffset: integerField(fields, 'minOffset'),
    maxOffset: integerField(fields, 'maxOffset'),
    messages: status === 'FOUND' && response.body !== undefined ? decodeRecords(response.body) : [],
  };
}

/** Offset of a group in a queue; undefined when the broker has none (QUERY_NOT_FOUND). */
export async function queryConsumerOffset(
  client: RemotingClient,
  address: string,
  queue: MessageQueue,
  consumerGroup: string,
  timeoutMs = 3000,
): Promise<number | undefined> {
  const request = createRequest(RequestCode.QUERY_CONSUMER_OFFSET, {
    consumerGroup,
    topic: queue.topic,
    queueId: String(queue.queueId),
    setZeroIfNotFound: 'false',
  });
  const response = await client.invoke(address, request, timeoutMs);
  if (response.code === ResponseCode.QUERY_NOT_FOUND) return undefined;
  return integerField(expectSuccess(response, address, 'consumer offset').extFields, 'offset');
}

/** Stores the offset of a group; resolves when the broker has answered. */
export async function updateConsumerOffset(
  client: RemotingClient,
  address: string,
  queue: MessageQueue,
  consumerGroup: string,
  offset: number,
  timeoutMs = 3000,
): Promise<void> {
  const request = createRequest(RequestCode.UPDATE_CONSUMER_OFFSET, {
    consumerGroup,
    topic: queue.topic,
    queueId: String(queue.queueId),
    commitOffset: String(offset),
  });
  expectSuccess(await client.invoke(address, request, timeoutMs), address, 'consumer offset');
}

/** First offset that the queue still has. */
export function fetchMinOffset(client: RemotingClient, address: string, queue: MessageQueue): Promise<number> {
  return fetchOffset(client, address, RequestCode.GET_MIN_OFFSET, queue);
}

/** The offset the next message will get. */
export function fetchMaxOffset(client: RemotingClient, address: string, queue: MessageQueue): Promise<number> {
  return fetchOffset(client, address, RequestCode.GET_MAX_OFFSET, queue);
}

/** Offset of the first message stored at or after `timestamp` (Unix milliseconds). */
export function searchOffset(
  client: RemotingClient,
  address: string,
  queue: MessageQueue,
  timestamp: number,
): Promise<number> {
  return fetchOffset(client, address, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, queue, { timestamp: String(timestamp) });
}

async function fetchOffset(
  client: RemotingClient,
  address: string,
  code: number,
  queue: MessageQueue,
  more: Record<string, string> = {},
): Promise<number> {
  const request = createRequest(code, { topic: queue.topic, queueId: String(queue.queueId), ...more });
  const response = await client.invoke(address, request, 3000);
  return integerField(expectSuccess(response, address, 'queue offset').extFields, 'offset');
}
