/**
 * Operating errors of the wire. Match on `code`, not on the class. What the protocol itself knows (a broker that says
 * TOPIC_NOT_EXIST) is a response code in a RemotingCommand. Every code has a heading in docs/reference/errors.md; a test keeps the two equal.
 */
export const REMOTING_ERROR_CODES = [
  // listening
  'REMOTING_PORT_IN_USE',
  'REMOTING_PORT_FORBIDDEN',
  'REMOTING_ADDRESS_UNAVAILABLE',
  'REMOTING_LISTEN_FAILED',
  'REMOTING_TLS_INVALID',
  // connecting and calling
  'REMOTING_ADDRESS_INVALID',
  'REMOTING_CONNECT_FAILED',
  'REMOTING_CONNECTION_CLOSED',
  'REMOTING_TIMEOUT',
  'REMOTING_TOO_MANY_REQUESTS',
  // decoding
  'REMOTING_FRAME_INVALID',
  'REMOTING_FRAME_TOO_LARGE',
  'REMOTING_JSON_INVALID',
  'REMOTING_BODY_INVALID',
  'REMOTING_MESSAGE_INVALID',
  // encoding
  'REMOTING_HEADER_TOO_LARGE',
  // closing
  'REMOTING_CLOSED',
] as const;

export type RemotingErrorCode = (typeof REMOTING_ERROR_CODES)[number];

export class RemotingError extends Error {
  readonly code: RemotingErrorCode;
  /** The numbers of the case: host, port, length, limit, position … Each value prints as it is. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: RemotingErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RemotingError';
    this.code = code;
    this.details = details;
  }
}
