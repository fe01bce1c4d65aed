import { type RemotingCommand, RequestCode } from '@vernier/remoting';

/** Fields of PULL_MESSAGE and LITE_PULL_MESSAGE (E.1). Numbers that are none are NaN. */
export interface PullMessageHeader {
  readonly consumerGroup: string;
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly maxMsgNums: number;
  readonly sysFlag: number;
  readonly commitOffset: number;
  readonly suspendTimeoutMillis: number;
  readonly subVersion: number;
  readonly subscription: string | undefined;
  readonly expressionType: string | undefined;
  /** NaN when absent. */
  readonly maxMsgBytes: number;
  readonly lite: boolean;
}

const number = (value: string | undefined): number => (value === undefined || value === '' ? Number.NaN : +value);

export function parsePullMessageHeader(request: RemotingCommand): PullMessageHeader {
  const fields = request.extFields ?? {};
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
    lite: request.code === RequestCode.LITE_PULL_MESSAGE,
  };
}

/** The first field that a pull cannot do without and that is no whole number. */
export function pullHeaderFault(header: PullMessageHeader): string | undefined {
  for (const name of [
    'queueId',
    'queueOffset',
    'maxMsgNums',
    'sysFlag',
    'commitOffset',
    'suspendTimeoutMillis',
  ] as const) {
    if (!Number.isSafeInteger(header[name])) return `the field ${name} is missing or no whole number`;
  }
  return undefined;
}
