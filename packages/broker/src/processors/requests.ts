import {
  createResponse,
  type ExtFields,
  type RemotingCommand,
  type RemotingConnection,
  RemotingError,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import { answerLong } from '../long-answers/answer-request.ts';
import type { AnswerText } from '../long-answers/answer-text.ts';
import type { ConnectionCaller } from './connection-callers.ts';

/** What a processor gives back; undefined for a request that is answered later or not at all. */
export type Processed = RemotingCommand | undefined | Promise<RemotingCommand | undefined>;

/** Handles one request code: header in, one call of a service, outcome out. */
export type Processor = (broker: BrokerContext, request: RemotingCommand, caller: ConnectionCaller) => Processed;

/** What a client asked for cannot be done; answered with the code and the text. Thrown inside `guarded` handlers only. */
export class RequestFault extends Error {
  readonly responseCode: number;

  constructor(responseCode: number, message: string) {
    super(message);
    this.name = 'RequestFault';
    this.responseCode = responseCode;
  }
}

/**
 * Turns a RequestFault into its answer. For everything but sends and pulls, whose handlers are hot and answer their
 * refusals themselves.
 */
export function guarded(
  handle: (
    request: RemotingCommand,
    connection: RemotingConnection,
  ) => RemotingCommand | undefined | Promise<RemotingCommand | undefined>,
): RequestHandler {
  return (request, connection) => {
    try {
      // What is answered at once is given back at once: the connection then knows what waits for its peer to read before
      // it takes the next request.
      const result = handle(request, connection);
      return result instanceof Promise ? result.catch((error: unknown) => refusalOf(request, error)) : result;
    } catch (error) {
      return refusalOf(request, error);
    }
  };
}

/** The answer to a request that is at fault; throws every other error again. */
function refusalOf(request: RemotingCommand, error: unknown): RemotingCommand {
  if (error instanceof RequestFault) return createResponse(request, error.responseCode, error.message);
  // A body that is none of the kind the request needs: the client's fault, not worth an error in our log.
  if (
    error instanceof RemotingError &&
    (error.code === 'REMOTING_BODY_INVALID' || error.code === 'REMOTING_JSON_INVALID')
  ) {
    return createResponse(request, ResponseCode.INVALID_PARAMETER, error.message);
  }
  throw error;
}

/** A field that must be there; RequestFault INVALID_PARAMETER without it. */
export function requiredText(fields: ExtFields | undefined, name: string): string {
  const value = fields?.[name];
  if (value === undefined) throw new RequestFault(ResponseCode.INVALID_PARAMETER, `the field ${name} is missing`);
  return value;
}

/**
 * A whole number; RequestFault INVALID_PARAMETER when it is none or missing. Beyond the exact range the nearest exact
 * number stands in: Java clients send Long.MAX_VALUE for "no limit".
 */
export function requiredNumber(fields: ExtFields | undefined, name: string): number {
  return toNumber(requiredText(fields, name), name);
}

export function optionalNumber(fields: ExtFields | undefined, name: string, otherwise: number): number {
  const value = fields?.[name];
  return value === undefined || value === '' ? otherwise : toNumber(value, name);
}

/** A Java long beyond the exact range (Long.MAX_VALUE for "no end") becomes the range's end. */
function toNumber(value: string, name: string): number {
  if (!/^-?\d{1,19}$/.test(value)) {
    throw new RequestFault(ResponseCode.INVALID_PARAMETER, `the field ${name} is no whole number: ${value}`);
  }
  return Math.min(Math.max(Number(value), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

/** True or false, in any case; false without it. RequestFault INVALID_PARAMETER for another word, which Java takes for false. */
export function optionalFlag(fields: ExtFields | undefined, name: string): boolean {
  const value = fields?.[name];
  if (value === undefined || value === '' || /^false$/i.test(value)) return false;
  if (isTrue(value)) return true;
  throw new RequestFault(ResponseCode.INVALID_PARAMETER, `the field ${name} is neither true nor false`);
}

/** Java's Boolean.parseBoolean. */
export const isTrue = (value: string | undefined): boolean => value !== undefined && value.toLowerCase() === 'true';

/** What a service found; RequestFault with its words when it refused. */
export function granted<Value>(outcome: Value | Refusal): Value {
  if (outcome instanceof Refusal) throw new RequestFault(outcome.code, outcome.remark);
  return outcome;
}

/** The answer that says why a service did not do it. */
export const refused = (request: RemotingCommand, refusal: Refusal): RemotingCommand =>
  createResponse(request, refusal.code, refusal.remark);

/** The answer SUCCESS with these fields. */
export const success = (request: RemotingCommand, fields?: ExtFields, body?: Buffer): RemotingCommand =>
  createResponse(request, ResponseCode.SUCCESS, undefined, fields, body);

/** The answer SUCCESS with the text that `write` writes; undefined when the caller is gone. */
export const longAnswer = (
  { longAnswers }: Pick<BrokerContext, 'longAnswers'>,
  request: RemotingCommand,
  caller: Pick<Caller, 'isGone'>,
  write: (text: AnswerText) => Promise<void>,
  fields?: ExtFields,
): Promise<RemotingCommand | undefined> => answerLong(longAnswers, request, () => caller.isGone, write, fields);

/** The answer SUCCESS with a value as JSON. */
export const json = (request: RemotingCommand, value: unknown): RemotingCommand =>
  success(request, undefined, Buffer.from(JSON.stringify(value)));
