import { requestCodeName } from '../codes/request-code.ts';
import { ResponseCode } from '../codes/response-code.ts';
import type { RemotingLogger } from '../logger.ts';
import { createResponse, type RemotingCommand } from '../protocol/remoting-command.ts';
import type { HandlerResult, RemotingConnection, RequestHandler } from './types.ts';

/** Which handler serves which request code (RocketMQ NettyRemotingAbstract.processorTable). */
export class ProcessorTable {
  readonly #handlers = new Map<number, RequestHandler>();
  #defaultHandler: RequestHandler | undefined;
  readonly #logger: RemotingLogger;

  constructor(logger: RemotingLogger) {
    this.#logger = logger;
  }

  register(code: number, handler: RequestHandler): void {
    this.#handlers.set(code, handler);
  }

  registerDefault(handler: RequestHandler): void {
    this.#defaultHandler = handler;
  }

  /** Runs the handler of a request. May throw and may reject, as the handler does. */
  dispatch(request: RemotingCommand, connection: RemotingConnection): HandlerResult {
    const handler = this.#handlers.get(request.code) ?? this.#defaultHandler;
    return handler === undefined ? notSupported(request) : handler(request, connection);
  }

  /** The answer to a request whose handler failed; the failure is logged. */
  failed(request: RemotingCommand, connection: RemotingConnection, cause: unknown): RemotingCommand {
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#logger.error(
      { err: cause, requestCode: request.code, opaque: request.opaque, remoteAddress: connection.remoteAddress },
      `handler of ${requestCodeName(request.code)} failed: ${message}`,
    );
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
