import {
  createResponse,
  type ExtFields,
  type RemotingCommand,
  type RemotingConnection,
  RemotingError,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';

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
  return async (request, connection) => {
    try {
      return await handle(request, connection);
    } catch (error) {
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
  };
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

/** Java's Boolean.parseBoolean. */
export const isTrue = (value: string | undefined): boolean => value !== undefined && value.toLowerCase() === 'true';

/** The answer SUCCESS with these fields. */
export const success = (request: RemotingCommand, fields?: ExtFields, body?: Buffer): RemotingCommand =>
  createResponse(request, ResponseCode.SUCCESS, undefined, fields, body);
