import { requestCodeName } from '../codes/request-code.ts';
import { ResponseCode } from '../codes/response-code.ts';
import { errorText } from '../error-text.ts';
import { RemotingError, type RemotingErrorCode } from '../errors.ts';
import type { PeerLog } from '../line-limit.ts';
import { createResponse, type RemotingCommand } from '../protocol/remoting-command.ts';
import type { Connection } from './connection.ts';
import type { HandlerResult, ProcessorOptions, RemotingConnection, RequestGate, RequestHandler } from './types.ts';

interface Processor {
  handler: RequestHandler;
  answerBytes: number;
}

/** Errors that say something of the request and nothing of us. */
const requestFaults: ReadonlySet<RemotingErrorCode> = new Set<RemotingErrorCode>([
  'REMOTING_BODY_INVALID',
  'REMOTING_JSON_INVALID',
  'REMOTING_MESSAGE_INVALID',
  'REMOTING_ADDRESS_INVALID',
]);

/** Which handler serves which request code (RocketMQ NettyRemotingAbstract.processorTable). */
export class ProcessorTable {
  readonly #processors = new Map<number, Processor>();
  #default: Processor | undefined;
  /** In front of all of them. */
  gate: RequestGate | undefined;
  readonly #peerLog: PeerLog;

  constructor(peerLog: PeerLog) {
    this.#peerLog = peerLog;
  }

  register(code: number, handler: RequestHandler, { answerBytes = 0 }: ProcessorOptions = {}): void {
    this.#processors.set(code, { handler, answerBytes });
  }

  /** Those with a handler of their own. */
  get codes(): number[] {
    return [...this.#processors.keys()];
  }

  registerDefault(handler: RequestHandler): void {
    this.#default = { handler, answerBytes: 0 };
  }

  /** Runs the handler of a request. May throw and may reject, as the handler does. */
  dispatch(request: RemotingCommand, connection: Connection): HandlerResult {
    if (this.gate !== undefined) {
      const answer = this.gate(request, connection);
      if (answer !== undefined) return answer;
    }
    const processor = this.#processors.get(request.code) ?? this.#default;
    if (processor === undefined) return notSupported(request);
    connection.answerBytes = processor.answerBytes;
    return processor.handler(request, connection);
  }

  /**
   * The answer to a request whose handler failed. The failure is logged: with its stack, unless the request was at fault.
   */
  failed(request: RemotingCommand, connection: RemotingConnection, cause: unknown): RemotingCommand {
    const message = errorText(cause);
    const name = requestCodeName(request.code);
    const fields = { requestCode: request.code, opaque: request.opaque, remoteAddress: connection.remoteAddress };
    if (cause instanceof RemotingError && requestFaults.has(cause.code)) {
      const text = `${name} of ${connection.remoteAddress} cannot be read: ${message}`;
      this.#peerLog.write('warn', `request ${cause.code}`, { code: cause.code, ...fields }, text);
    } else {
      this.#peerLog.write(
        'error',
        `handler ${name}`,
        { err: cause, ...fields },
        `handler of ${name} failed: ${message}`,
      );
    }
    return createResponse(request, ResponseCode.SYSTEM_ERROR, message);
  }
}

/** The answer to a request code nobody serves: code 3, and the remark that RocketMQ gives. */
export function notSupported(request: RemotingCommand): RemotingCommand {
  return createResponse(
    request,
    ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
    ` request type ${request.code} not supported`,
  );
}
