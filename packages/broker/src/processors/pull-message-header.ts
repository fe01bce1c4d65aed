import { PullSysFlag, pullFieldsOf, type RemotingCommand, RequestCode } from '@vernier/remoting';
import type { PullRequest } from '../pull/pull-request.ts';

const needed = ['queueId', 'queueOffset', 'maxMsgNums', 'commitOffset', 'suspendTimeoutMillis'] as const;

/**
 * What a PULL_MESSAGE or LITE_PULL_MESSAGE (E.1) says; or what is wrong with it, when a number that a pull cannot do without
 * is none.
 */
export function parsePullMessageHeader(request: RemotingCommand): PullRequest | string {
  const fields = pullFieldsOf(request);
  const { sysFlag } = fields;
  if (!Number.isSafeInteger(sysFlag)) return missing('sysFlag');
  const header: PullRequest = {
    consumerGroup: fields.consumerGroup,
    topic: fields.topic,
    queueId: fields.queueId,
    queueOffset: fields.queueOffset,
    maxMsgNums: fields.maxMsgNums,
    maxMsgBytes: fields.maxMsgBytes,
    hasSubscription: (sysFlag & PullSysFlag.SUBSCRIPTION) !== 0,
    subscription: fields.subscription,
    expressionType: fields.expressionType,
    subVersion: fields.subVersion,
    commits: (sysFlag & PullSysFlag.COMMIT_OFFSET) !== 0,
    commitOffset: fields.commitOffset,
    waits: (sysFlag & PullSysFlag.SUSPEND) !== 0,
    suspendTimeoutMillis: fields.suspendTimeoutMillis,
    isLite: request.code === RequestCode.LITE_PULL_MESSAGE,
  };
  for (const name of needed) if (!Number.isSafeInteger(header[name])) return missing(name);
  return header;
}

const missing = (name: string): string => `the field ${name} is missing or no whole number`;
