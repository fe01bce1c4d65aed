import { RequestCode } from '../codes/request-code.ts';
import type { ExtFields, RemotingCommand } from './remoting-command.ts';

/**
 * What the two hottest requests say, in one form whichever way they were read: by a HeaderReader from the bytes, or from
 * the text of their fields. Both give the same; a differential test holds them together.
 */

/** Bytes [from, to) of a buffer that the next request overwrites: whoever keeps them copies them before its handler returns. */
export interface ByteRange {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/**
 * Fields of SEND_MESSAGE (10), and of SEND_MESSAGE_V2 (310) and SEND_BATCH_MESSAGE (320) with their one-letter names. A
 * required number that is missing or none is NaN.
 */
export interface SendFields {
  topic: string;
  defaultTopic: string;
  defaultTopicQueueNums: number;
  queueId: number;
  sysFlag: number;
  bornTimestamp: number;
  flag: number;
  /** Empty when they are in `propertyBytes`. */
  properties: string;
  /** ASCII, unescaped. */
  propertyBytes: ByteRange | undefined;
  reconsumeTimes: number;
  /** NaN when absent. */
  maxReconsumeTimes: number;
  unitMode: boolean;
  batch: boolean;
}

/** Fields of PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361). Numbers that are missing or none are NaN. */
export interface PullFields {
  consumerGroup: string;
  topic: string;
  queueId: number;
  queueOffset: number;
  maxMsgNums: number;
  sysFlag: number;
  commitOffset: number;
  suspendTimeoutMillis: number;
  subVersion: number;
  subscription: string | undefined;
  expressionType: string | undefined;
  /** NaN when absent. */
  maxMsgBytes: number;
}

/** Copies what the fields of a command have of the reader's, for a command that is not handled at once. */
export function keepFields({ send }: RemotingCommand): void {
  const range = send?.propertyBytes;
  if (send === undefined || range === undefined) return;
  const bytes = Buffer.from(range.bytes.subarray(range.from, range.to));
  send.propertyBytes = { bytes, from: 0, to: bytes.length };
}

const NONE: ExtFields = {};

/** As JavaScript reads a number; NaN for a missing or an empty one. */
const number = (value: string | undefined): number => (value === undefined || value === '' ? Number.NaN : +value);

/** What a send says. Nothing is thrown. */
export function sendFieldsOf(command: RemotingCommand): SendFields {
  if (command.send !== undefined) return command.send;
  const fields = command.extFields ?? NONE;
  return command.code === RequestCode.SEND_MESSAGE || command.code === RequestCode.SEND_REPLY_MESSAGE
    ? sendFields(
        fields.topic,
        fields.defaultTopic,
        fields.defaultTopicQueueNums,
        fields.queueId,
        fields.sysFlag,
        fields.bornTimestamp,
        fields.flag,
        fields.properties,
        fields.reconsumeTimes,
        fields.maxReconsumeTimes,
        fields.unitMode,
        fields.batch,
      )
    : sendFields(
        ...([fields.b, fields.c, fields.d, fields.e, fields.f, fields.g, fields.h, fields.i, fields.j] as const),
        ...([fields.l, fields.k, fields.m] as const),
      );
}

function sendFields(
  topic = '',
  defaultTopic = '',
  defaultTopicQueueNums = '4',
  queueId: string | undefined,
  sysFlag = '0',
  bornTimestamp = '0',
  flag = '0',
  properties = '',
  reconsumeTimes = '0',
  maxReconsumeTimes: string | undefined,
  unitMode: string | undefined,
  batch: string | undefined,
): SendFields {
  return {
    topic,
    defaultTopic,
    defaultTopicQueueNums: number(defaultTopicQueueNums),
    queueId: number(queueId),
    sysFlag: number(sysFlag),
    bornTimestamp: number(bornTimestamp),
    flag: number(flag),
    properties,
    propertyBytes: undefined,
    reconsumeTimes: number(reconsumeTimes),
    maxReconsumeTimes: number(maxReconsumeTimes),
    unitMode: unitMode === 'true',
    batch: batch === 'true',
  };
}

/** What a pull says. Nothing is thrown. */
export function pullFieldsOf(command: RemotingCommand): PullFields {
  if (command.pull !== undefined) return command.pull;
  const fields = command.extFields ?? NONE;
  return {
    consumerGroup: fields.consumerGroup ?? '',
    topic: fields.topic ?? '',
    queueId: number(fields.queueId),
    queueOffset: number(fields.queueOffset),
    maxMsgNums: number(fields.maxMsgNums),
    sysFlag: number(fields.sysFlag ?? '0'),
    commitOffset: number(fields.commitOffset ?? '0'),
    suspendTimeoutMillis: number(fields.suspendTimeoutMillis ?? '0'),
    subVersion: number(fields.subVersion ?? '0'),
    subscription: fields.subscription,
    expressionType: fields.expressionType,
    maxMsgBytes: number(fields.maxMsgBytes),
  };
}
