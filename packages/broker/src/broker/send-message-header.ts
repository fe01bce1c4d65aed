import { type ExtFields, type RemotingCommand, RequestCode } from '@vernier/remoting';

/** Fields of SEND_MESSAGE, and of SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE with their one-letter names (E.4). */
export interface SendMessageHeader {
  producerGroup: string | undefined;
  topic: string;
  defaultTopic: string;
  defaultTopicQueueNums: number;
  queueId: number;
  sysFlag: number;
  bornTimestamp: number;
  flag: number;
  properties: string;
  reconsumeTimes: number;
  /** NaN when absent. */
  maxReconsumeTimes: number;
  unitMode: boolean;
  batch: boolean;
}

const NONE: ExtFields = {};

/** NaN for a missing required number: checked once for all of them. */
const number = (value: string | undefined): number => (value === undefined || value === '' ? Number.NaN : +value);

function parseV1(fields: ExtFields): SendMessageHeader {
  return {
    producerGroup: fields.producerGroup,
    topic: fields.topic ?? '',
    defaultTopic: fields.defaultTopic ?? '',
    defaultTopicQueueNums: number(fields.defaultTopicQueueNums ?? '4'),
    queueId: number(fields.queueId),
    sysFlag: number(fields.sysFlag ?? '0'),
    bornTimestamp: number(fields.bornTimestamp ?? '0'),
    flag: number(fields.flag ?? '0'),
    properties: fields.properties ?? '',
    reconsumeTimes: number(fields.reconsumeTimes ?? '0'),
    maxReconsumeTimes: number(fields.maxReconsumeTimes),
    unitMode: fields.unitMode === 'true',
    batch: fields.batch === 'true',
  };
}

function parseV2(fields: ExtFields): SendMessageHeader {
  return {
    producerGroup: fields.a,
    topic: fields.b ?? '',
    defaultTopic: fields.c ?? '',
    defaultTopicQueueNums: number(fields.d ?? '4'),
    queueId: number(fields.e),
    sysFlag: number(fields.f ?? '0'),
    bornTimestamp: number(fields.g ?? '0'),
    flag: number(fields.h ?? '0'),
    properties: fields.i ?? '',
    reconsumeTimes: number(fields.j ?? '0'),
    maxReconsumeTimes: number(fields.l),
    unitMode: fields.k === 'true',
    batch: fields.m === 'true',
  };
}

/** The header of a send, whichever of the two forms it came in. Numbers that are none are NaN; nothing is thrown. */
export function parseSendMessageHeader(request: RemotingCommand): SendMessageHeader {
  const fields = request.extFields ?? NONE;
  return request.code === RequestCode.SEND_MESSAGE ? parseV1(fields) : parseV2(fields);
}
