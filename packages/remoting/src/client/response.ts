import { ResponseCode, responseCodeName } from '../codes/response-code.ts';
import { RemotingError } from '../errors.ts';
import type { ExtFields, RemotingCommand } from '../protocol/remoting-command.ts';

/** The response itself when its code is SUCCESS. Throws REMOTING_RESPONSE with code and remark otherwise. */
export function expectSuccess(response: RemotingCommand, address: string, what: string): RemotingCommand {
  if (response.code === ResponseCode.SUCCESS) return response;
  throw responseError(response, address, what);
}

/** What a server's refusal looks like as an error; `details.responseCode` has the number. */
export function responseError(response: RemotingCommand, address: string, what: string): RemotingError {
  const remark = response.remark === undefined ? '' : `: ${response.remark}`;
  return new RemotingError(
    'REMOTING_RESPONSE',
    `${what}: ${address} answered ${responseCodeName(response.code)} (${response.code})${remark}`,
    { address, responseCode: response.code, remark: response.remark },
  );
}

/** A header field of a response as a whole number. Throws REMOTING_BODY_INVALID when it is missing or not one. */
export function integerField(fields: ExtFields | undefined, name: string): number {
  const text = fields?.[name];
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new RemotingError('REMOTING_BODY_INVALID', `header field ${name} is ${text ?? 'missing'}, not a whole number`, {
    name,
    value: text,
  });
}
