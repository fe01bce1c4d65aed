import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptor,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { status as GrpcStatus, Metadata, Server } from '@grpc/grpc-js';
import { checkAccess } from './access.ts';
import { namesOf } from './backend/names-of.ts';
import { Call, Peers } from './call.ts';
import type { TelemetryStream } from './clients/grpc-client.ts';
import type { ProxyContext } from './context.ts';
import { definitionOf } from './definitions.ts';
import { PING_ANSWER_MS } from './limits.ts';
import type { AnswerStream } from './methods/answer-stream.ts';
import { SERVICE, type StreamMethod, streamMethods, type UnaryMethod, unaryMethods } from './methods/index.ts';
import { telemetryCommand } from './methods/telemetry.ts';
import { MethodMetrics } from './metrics.ts';
import { SideServices } from './side-services.ts';
import { StatusError } from './status.ts';
import { Code, codecs, type Status, type TelemetryCommand } from './wire/messages.ts';

/** A client that takes none of an answer for so long is disconnected. */
const TAKE_MS = 30_000;
/** Commands that wait for a client that does not read its telemetry stream; each may have a message in it. */
const COMMANDS_MAX = 64;

/** A connection without a call for so long is closed (RocketMQ grpcClientIdleTimeMills); a stream of telemetry is a call. */
const IDLE_MS = 120_000;
interface IncomingCall {
  readonly metadata: Metadata;
  getPeer(): string;
  getHost(): string;
  getDeadline(): number | Date;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** The methods of the protocol as handlers of the gRPC library, which brings messages, deadlines and status of calls. */
export class ProxyServer {
  readonly grpc: Server;
  readonly metrics = new MethodMetrics();
  readonly #proxy: ProxyContext;
  /** Calls under way, but telemetry streams. */
  readonly #calls = new Set<Call>();
  readonly #streams = new Set<TelemetryStream>();
  readonly #side = new SideServices();
  readonly #peers: Peers;
  #whenIdle: (() => void) | undefined;
  #isStopping = false;

  constructor(proxy: ProxyContext) {
    this.#proxy = proxy;
    this.#peers = new Peers(proxy.limits.connectionsMax);
    const { requestBytesMax, streamsMax, pingMs } = proxy.limits;
    this.grpc = new Server({
      'grpc.max_receive_message_length': requestBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': streamsMax,
      'grpc.enable_channelz': 0,
      interceptors: [withoutStreamDeadline],
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.keepalive_time_ms': pingMs,
      'grpc.keepalive_timeout_ms': Math.min(pingMs, PING_ANSWER_MS),
    });
    this.grpc.addService(...this.#service());
    this.#side.addTo(this.grpc);
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** Calls that wait are answered that there is nothing, new ones are refused. Resolves when none is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#side.stop();
    for (const stream of [...this.#streams]) stream.end();
    for (const { caller } of this.#calls) caller.end();
    if (this.#calls.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  #service(): [ServiceDefinition, UntypedServiceImplementation] {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const handlers: UntypedServiceImplementation = {};
    for (const method of unaryMethods) {
      definition[method.name] = definitionOf(SERVICE, method.name, false, false, method.request, method.response);
      handlers[method.name] = this.#unary(method);
    }
    for (const method of streamMethods) {
      definition[method.name] = definitionOf(SERVICE, method.name, false, true, method.request, method.response);
      handlers[method.name] = this.#streaming(method);
    }
    const { TelemetryCommand: command } = codecs;
    definition.Telemetry = definitionOf(SERVICE, 'Telemetry', true, true, command, command);
    handlers.Telemetry = this.#telemetry();
    return [definition, handlers];
  }

  #callOf(incoming: IncomingCall): Call {
    const { clock } = this.#proxy.broker;
    // The library's clock is the machine's; the broker's may be another.
    const deadline = Number(incoming.getDeadline()) - Date.now() + clock.now();
    const peer = this.#peers.of(incoming.getPeer());
    const call = new Call({ peer, authority: incoming.getHost(), deadline, headers: incoming.metadata });
    incoming.on('cancelled', () => call.caller.end());
    return call;
  }

  /** See checkAccess; without access control it asks nothing. */
  #checkAccess(message: string, request: unknown, call: Call): Promise<never> | undefined {
    const { access } = this.#proxy.broker;
    return access.isOn ? checkAccess(this.#proxy, access, message, request, call) : undefined;
  }

  /** See Backend.learn; undefined: there is nothing to wait for. */
  #learn(message: unknown): Promise<void> | undefined {
    const { broker } = this.#proxy;
    return broker.learn === undefined ? undefined : broker.learn(namesOf(message));
  }

  /** It is under way from here on, until `#end`. Throws TOO_MANY_REQUESTS, CLIENT_ID_REQUIRED. */
  #begin(call: Call): void {
    this.#calls.add(call);
    const { callsMax } = this.#proxy.limits;
    if (this.#calls.size > callsMax) {
      throw new StatusError(Code.TOO_MANY_REQUESTS, `flow limit: ${callsMax} calls are under way`);
    }
    call.checkClientId();
  }

  #end(call: Call): void {
    call.caller.end();
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#whenIdle?.();
  }

  #unary(method: UnaryMethod): handleUnaryCall<unknown, unknown> {
    return (incoming, callback) => void this.#answer(method, incoming, callback);
  }

  async #answer(
    method: UnaryMethod,
    incoming: ServerUnaryCall<unknown, unknown>,
    callback: sendUnaryData<unknown>,
  ): Promise<void> {
    const call = this.#callOf(incoming);
    if (this.#isStopping) return callback(unavailable());
    const began = performance.now();
    let response: unknown;
    try {
      this.#begin(call);
      const denied = this.#checkAccess(`${method.name}Request`, incoming.request, call);
      if (denied !== undefined) await denied;
      const learning = this.#learn(incoming.request);
      if (learning !== undefined) await learning;
      response = await method.call(this.#proxy, incoming.request, call);
    } catch (error) {
      response = { status: this.#statusOf(error, method.name) };
    }
    try {
      const { status } = response as { status?: Status | null };
      this.metrics.count(method.name, status?.code === Code.OK, performance.now() - began);
      callback(null, response);
    } catch (error) {
      this.#proxy.broker.logger.error({ err: error }, `an answer to ${method.name} cannot be sent: ${String(error)}`);
    } finally {
      this.#end(call);
    }
  }

  #streaming(method: StreamMethod): handleServerStreamingCall<unknown, unknown> {
    return (incoming) => void this.#stream(method, incoming);
  }

  async #stream(method: StreamMethod, incoming: ServerWritableStream<unknown, unknown>): Promise<void> {
    const call = this.#callOf(incoming);
    if (this.#isStopping) {
      incoming.emit('error', unavailable());
      return;
    }
    const answers = new AnswersOfCall((answer) => this.#write(incoming, answer, call));
    try {
      this.#begin(call);
      const denied = this.#checkAccess(`${method.name}Request`, incoming.request, call);
      if (denied !== undefined) await denied;
      const learning = this.#learn(incoming.request);
      if (learning !== undefined) await learning;
      await method.call(this.#proxy, incoming.request, call, answers);
    } catch (error) {
      await this.#failStream(method, incoming, answers, error);
    } finally {
      this.metrics.count(method.name, answers.isOk);
      incoming.end();
      this.#end(call);
    }
  }

  async #failStream(
    method: StreamMethod,
    incoming: ServerWritableStream<unknown, unknown>,
    answers: AnswersOfCall,
    error: unknown,
  ): Promise<void> {
    if (incoming.cancelled) return;
    const status = this.#statusOf(error, method.name);
    try {
      for (const answer of method.failed(status, this.#proxy.broker.clock.now())) await answers.write(answer);
    } catch {
      // The client takes nothing any more.
    }
  }

  /** Resolves when the client has taken it, as far as its windows say. */
  #write(incoming: ServerWritableStream<unknown, unknown>, answer: unknown, call: Call): Promise<void> {
    const { clock } = this.#proxy.broker;
    return new Promise((resolve, reject) => {
      if (incoming.cancelled) return reject(new Error('the call is cancelled'));
      const done = (error?: Error | null): void => {
        clock.clearTimer(timer);
        incoming.removeListener('cancelled', cancelled);
        if (error === undefined || error === null) resolve();
        else reject(error);
      };
      const cancelled = (): void => done(new Error('the call is cancelled'));
      const timer = clock.setTimer(() => {
        this.#proxy.broker.logger.warn(
          { peer: call.peer.address },
          `a client took nothing of its answer for ${TAKE_MS} ms`,
        );
        this.#proxy.disconnect(call.peer.address);
        done(new Error('the client takes nothing'));
      }, TAKE_MS);
      incoming.once('cancelled', cancelled);
      incoming.write(answer, done);
    });
  }

  #telemetry(): handleBidiStreamingCall<TelemetryCommand, TelemetryCommand> {
    return (incoming) => {
      const call = this.#callOf(incoming);
      const stream = new OpenStream(incoming);
      if (this.#isStopping) return stream.fail(unavailable());
      if (this.#streams.size >= this.#proxy.limits.callsMax) {
        return stream.fail({ code: GrpcStatus.RESOURCE_EXHAUSTED, details: `${this.#streams.size} streams are open` });
      }
      this.#streams.add(stream);
      const ended = (): void => {
        this.#streams.delete(stream);
        this.#proxy.clients.streamEnded(stream, call.clientId);
        call.caller.end();
      };
      incoming.on('data', (command: TelemetryCommand) => {
        try {
          call.checkClientId();
          const refused = this.#checkAccess('TelemetryCommand', command, call);
          if (refused !== undefined) return void refused.catch((error: unknown) => this.#failed(stream, error));
          const learning = this.#learn(command);
          if (learning === undefined) return telemetryCommand(this.#proxy, command, call, stream);
          // Commands keep their order.
          incoming.pause();
          learning
            .then(() => {
              if (!call.caller.isGone) telemetryCommand(this.#proxy, command, call, stream);
            })
            .catch((error: unknown) => this.#failed(stream, error))
            .finally(() => incoming.resume());
        } catch (error) {
          this.#failed(stream, error);
        }
      });
      incoming.on('end', () => {
        stream.end();
        ended();
      });
      incoming.on('cancelled', ended);
      incoming.on('error', ended);
    };
  }

  /** The stream ends with a status of gRPC, as in RocketMQ. */
  #failed(stream: OpenStream, error: unknown): void {
    const { code, message } = this.#statusOf(error, 'Telemetry');
    const isOfClient = (code as number) >= Code.BAD_REQUEST && (code as number) < Code.INTERNAL_ERROR;
    stream.fail({
      code: isOfClient ? GrpcStatus.INVALID_ARGUMENT : GrpcStatus.INTERNAL,
      details: `process client telemetryCommand failed. ${message}`,
    });
  }

  #statusOf(error: unknown, method: string): Status {
    if (error instanceof StatusError) return error.status;
    const message = error instanceof Error ? error.message : String(error);
    this.#proxy.broker.logger.error({ err: error, method }, `${method} failed: ${message}`);
    return { code: Code.INTERNAL_SERVER_ERROR, message };
  }
}

/**
 * A telemetry stream lasts as long as its client: Java's gives it a deadline in 292 years, of which the library (1.14) keeps 32
 * bits of milliseconds, so that some streams would end at once. Its timer is stopped before it can fire.
 */
const withoutStreamDeadline: ServerInterceptor = (method, call) => {
  if (method.path === TELEMETRY_PATH) clearTimeout((call as { deadlineTimer?: NodeJS.Timeout }).deadlineTimer);
  // Nothing else is intercepted, so that a call costs nothing here.
  return call as ServerInterceptingCall;
};

const TELEMETRY_PATH = `/${SERVICE}/Telemetry`;

const unavailable = () => ({ code: GrpcStatus.UNAVAILABLE, details: 'the proxy stops', metadata: new Metadata() });

/** What one call is answered with a stream. */
class AnswersOfCall implements AnswerStream<unknown> {
  /** That there is no message is no failure. */
  isOk = false;
  readonly #write: (answer: unknown) => Promise<void>;

  constructor(write: (answer: unknown) => Promise<void>) {
    this.#write = write;
  }

  write(answer: unknown): Promise<void> {
    const code = (answer as { status?: Status | null }).status?.code;
    if (code === Code.OK || code === Code.MESSAGE_NOT_FOUND) this.isOk = true;
    return this.#write(answer);
  }
}

/** A telemetry stream that is open; a client that does not read it gets nothing more. */
class OpenStream implements TelemetryStream {
  readonly #stream: ServerDuplexStream<TelemetryCommand, TelemetryCommand>;
  #isEnded = false;

  constructor(stream: ServerDuplexStream<TelemetryCommand, TelemetryCommand>) {
    this.#stream = stream;
  }

  write(command: TelemetryCommand): boolean {
    if (this.#isEnded || this.#stream.cancelled) return false;
    if (this.#stream.writableLength >= COMMANDS_MAX) return false;
    this.#stream.write(command);
    return true;
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stream.end();
  }

  fail(status: { code: GrpcStatus; details: string }): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stream.emit('error', status);
  }
}
