import type { Refusal } from '@vernier/broker/internal';
import { ResponseCode } from '@vernier/remoting';
import { Code, type Status } from './wire/messages.ts';

/** Why a call is answered with another status than OK: an outcome of the protocol and no fault of the program. */
export class StatusError extends Error {
  readonly status: Status;

  constructor(code: Code, message: string) {
    super(message);
    this.name = 'StatusError';
    this.status = { code, message };
  }
}

/** RocketMQ says the name of the code when there is nothing else to say. */
export const statusOf = (code: Code): Status => ({ code, message: Code[code] ?? String(code) });

export const OK: Status = statusOf(Code.OK);

/** RocketMQ ResponseBuilder; what is not here is INTERNAL_SERVER_ERROR. */
const codes: ReadonlyMap<number, Code> = new Map<number, Code>([
  [ResponseCode.SUCCESS, Code.OK],
  [ResponseCode.SYSTEM_BUSY, Code.TOO_MANY_REQUESTS],
  [ResponseCode.REQUEST_CODE_NOT_SUPPORTED, Code.NOT_IMPLEMENTED],
  [ResponseCode.TOPIC_NOT_EXIST, Code.TOPIC_NOT_FOUND],
  [ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, Code.CONSUMER_GROUP_NOT_FOUND],
  [ResponseCode.LMQ_QUOTA_EXCEEDED, Code.LITE_TOPIC_QUOTA_EXCEEDED],
  [ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED, Code.LITE_SUBSCRIPTION_QUOTA_EXCEEDED],
]);

/** What a refusal of the broker is to a client of gRPC. */
export const statusOfRefusal = ({ code, remark }: Refusal): Status => ({
  code: codes.get(code) ?? Code.INTERNAL_SERVER_ERROR,
  message: remark,
});

export const refusedAs = (refusal: Refusal): StatusError => {
  const { code, message } = statusOfRefusal(refusal);
  return new StatusError(code as Code, message as string);
};

/** The status of several results together: that of all of them, or MULTIPLE_RESULTS. */
export function commonStatus(statuses: readonly Status[], whenNone: string): Status {
  const codes = new Set(statuses.map(({ code }) => code as Code));
  if (codes.size > 1) return statusOf(Code.MULTIPLE_RESULTS);
  const [code] = codes;
  return code === undefined ? { code: Code.INTERNAL_SERVER_ERROR, message: whenNone } : statusOf(code);
}
