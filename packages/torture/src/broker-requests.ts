import {
  createRequest,
  type ExtFields,
  PullSysFlag,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import type { MessageExtBrokerInner, PutMessageResult } from '@vernier/store';
import { GROUP } from './broker-watch.ts';

/** A position in the log as message ids have it, behind the host. */
const OFFSET_HEX_CHARS = 16;
const PULL_NUMS = 32;

/** SEND_MESSAGE_V2's short names. */
export function sendFields(message: Omit<MessageExtBrokerInner, 'flag' | 'body' | 'propertiesString'>): ExtFields {
  return {
    a: 'producers',
    b: message.topic,
    c: 'TBW102',
    d: '4',
    e: String(message.queueId),
    f: String(message.sysFlag),
    g: String(message.bornTimestamp),
    j: '0',
    k: 'false',
    m: 'false',
  };
}

/** The broker would draw one, and the history would not be the same the next time. */
export function withUniqKey({ propertiesString, body }: MessageExtBrokerInner): string {
  const id = Buffer.from(body).readUInt32BE(0).toString(16).toUpperCase().padStart(32, '0');
  return `${propertiesString}UNIQ_KEY\u0001${id}\u0002`;
}

/** What a producer learns. The first four codes mean stored, and the id says where. */
export function putResult(response: RemotingCommand, messageCount: number): PutMessageResult {
  const { code, extFields, remark } = response;
  const status =
    code === ResponseCode.SUCCESS
      ? 'PUT_OK'
      : code === ResponseCode.FLUSH_DISK_TIMEOUT
        ? 'FLUSH_DISK_TIMEOUT'
        : undefined;
  const base = { wroteBytes: 0, storeTimestamp: 0, messageCount };
  if (status === undefined) {
    return { ...base, status: 'UNKNOWN_ERROR', wroteOffset: -1, queueOffset: -1, reason: remark ?? String(code) };
  }
  const batchOffsets = extFields!.msgId!.split(',').map((id) => Number.parseInt(id.slice(-OFFSET_HEX_CHARS), 16));
  const result: PutMessageResult = {
    ...base,
    status,
    wroteOffset: batchOffsets[0]!,
    queueOffset: Number(extFields!.queueOffset),
  };
  if (messageCount > 1) result.batchOffsets = batchOffsets;
  return result;
}

export const pullRequest = (topic: string, queueId: number, offset: number): RemotingCommand =>
  createRequest(RequestCode.PULL_MESSAGE, {
    ...{ consumerGroup: GROUP, topic, subscription: '*', expressionType: 'TAG', subVersion: '0' },
    ...{ queueId: String(queueId), queueOffset: String(offset), maxMsgNums: String(PULL_NUMS) },
    ...{ sysFlag: String(PullSysFlag.SUBSCRIPTION), commitOffset: '0', suspendTimeoutMillis: '0' },
  });
