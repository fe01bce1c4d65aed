export { type Clock, systemClock, type TimerHandle } from './clock.ts';
export { LanguageCode, languageFromName, languageName } from './codes/language-code.ts';
export { CURRENT_VERSION, MQVersion, versionDescription } from './codes/mq-version.ts';
export { RequestCode, type RequestCodeName, requestCodeName } from './codes/request-code.ts';
export { ResponseCode, type ResponseCodeName, responseCodeName } from './codes/response-code.ts';
export { REMOTING_ERROR_CODES, RemotingError, type RemotingErrorCode } from './errors.ts';
export { type RemotingLogger, silentLogger } from './logger.ts';
export { formatAddress, parseAddress, plainHost, type SocketAddress } from './net/address.ts';
export { RemotingClient } from './net/client.ts';
export { notSupported } from './net/processor-table.ts';
export { RemotingServer, type RemotingServerEvents } from './net/server.ts';
export type {
  ConnectionLimits,
  HandlerResult,
  ListenOptions,
  RemotingClientOptions,
  RemotingConnection,
  RemotingServerOptions,
  RequestHandler,
} from './net/types.ts';
export { decodeFrame, FRAME_BYTES_MAX, FrameDecoder } from './protocol/frame-decoder.ts';
export { encodeFrame } from './protocol/frame-encoder.ts';
export {
  type JavaJsonOptions,
  javaMapEntries,
  parseJavaJson,
  parseJavaJsonBody,
  writeJavaJson,
} from './protocol/java-json.ts';
export {
  createRequest,
  createResponse,
  type ExtFields,
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  isOneway,
  isResponse,
  nextOpaque,
  type RemotingCommand,
  SerializeType,
} from './protocol/remoting-command.ts';
