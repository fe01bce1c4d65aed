import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptor,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { status as GrpcStatus, Metadata, Server } from '@grpc/grpc-js';
import { checkAccess } from './access.ts';
import { Call } from './call.ts';
import type { TelemetryStream } from './clients/grpc-client.ts';
import type { ProxyContext } from './context.ts';
import { SERVICE, type UnaryMethod, unaryMethods } from './methods/index.ts';
import { receiveMessage } from './methods/receive-message.ts';
import { telemetryCommand } from './methods/telemetry.ts';
import { MethodMetrics } from './metrics.ts';
import { StatusError } from './status.ts';
import {
  Code,
  codecs,
  type ReceiveMessageRequest,
  type ReceiveMessageResponse,
  type Status,
  type TelemetryCommand,
} from './wire/messages.ts';
import { timeOf } from './wire/times.ts';

/** A client that takes none of an answer for so long is disconnected. */
const TAKE_MS = 30_000;
/** Commands that wait for a client that does not read its telemetry stream; each may have a message in it. */
const COMMANDS_MAX = 64;

/** A connection without a call for so long is closed (RocketMQ grpcClientIdleTimeMills); a stream of telemetry is a call. */
const IDLE_MS = 120_000;
/** One whose other end is gone without a word is found out by that. */
const PING_MS = 60_000;
const PING_ANSWER_MS = 20_000;

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
  #whenIdle: (() => void) | undefined;
  #isStopping = false;

  constructor(proxy: ProxyContext) {
    this.#proxy = proxy;
    const { requestBytesMax, streamsMax } = proxy.limits;
    this.grpc = new Server({
      'grpc.max_receive_message_length': requestBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': streamsMax,
      'grpc.enable_channelz': 0,
      interceptors: [withoutStreamDeadline],
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.keepalive_time_ms': PING_MS,
      'grpc.keepalive_timeout_ms': PING_ANSWER_MS,
    });
    this.grpc.addService(...this.#service());
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** Calls that wait are answered that there is nothing, new ones are refused. Resolves when none is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
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
      definition[method.name] = definitionOf(method.name, false, false, method.request, method.response);
      handlers[method.name] = this.#unary(method);
    }
    definition.ReceiveMessage = definitionOf(
      ...(['ReceiveMessage', false, true, codecs.ReceiveMessageRequest, codecs.ReceiveMessageResponse] as const),
    );
    handlers.ReceiveMessage = this.#receiveMessage();
    definition.Telemetry = definitionOf('Telemetry', true, true, codecs.TelemetryCommand, codecs.TelemetryCommand);
    handlers.Telemetry = this.#telemetry();
    return [definition, handlers];
  }

  #callOf(incoming: IncomingCall): Call {
    const deadline = incoming.getDeadline();
    const call = new Call({
      peer: incoming.getPeer(),
      authority: incoming.getHost(),
      // The library's clock is the machine's; the broker's may be another.
      deadline: Number(deadline) - Date.now() + this.#proxy.broker.clock.now(),
      header: (name) => incoming.metadata.get(name)[0]?.toString(),
    });
    incoming.on('cancelled', () => call.caller.end());
    return call;
  }

  /** See checkAccess; without access control it asks nothing. */
  #checkAccess(message: string, request: unknown, call: Call): Promise<never> | undefined {
    return this.#proxy.broker.access.isOn ? checkAccess(this.#proxy, message, request, call) : undefined;
  }

  #begin(call: Call): void {
    this.#calls.add(call);
    if (this.#isStopping) call.caller.end();
  }

  #end(call: Call): void {
    call.caller.end();
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#whenIdle?.();
  }

  #unary(method: UnaryMethod): handleUnaryCall<unknown, unknown> {
    return (incoming, callback) => {
      const call = this.#callOf(incoming);
      if (this.#isStopping) return callback(unavailable());
      this.#begin(call);
      const answer = async (): Promise<unknown> => {
        call.checkClientId();
        await this.#checkAccess(`${method.name}Request`, incoming.request, call);
        return method.call(this.#proxy, incoming.request, call);
      };
      answer()
        .catch((error: unknown) => ({ status: this.#statusOf(error, method.name) }))
        .then((response) => {
          const { status } = response as { status?: Status | null };
          this.metrics.count(method.name, status?.code === Code.OK);
          callback(null, response);
          this.#end(call);
        })
        .catch((error: unknown) => {
          this.#end(call);
          this.#proxy.broker.logger.error(
            { err: error },
            `an answer to ${method.name} cannot be sent: ${String(error)}`,
          );
        });
    };
  }

  #receiveMessage(): handleServerStreamingCall<ReceiveMessageRequest, ReceiveMessageResponse> {
    return (incoming) => {
      const call = this.#callOf(incoming);
      if (this.#isStopping) {
        incoming.emit('error', unavailable());
        return;
      }
      this.#begin(call);
      // That there is no message is no failure.
      let isOk = false;
      const write = (answer: ReceiveMessageResponse): Promise<void> => {
        const code = answer.status?.code;
        if (code === Code.OK || code === Code.MESSAGE_NOT_FOUND) isOk = true;
        return this.#write(incoming, answer, call);
      };
      const answer = async (): Promise<void> => {
        call.checkClientId();
        await this.#checkAccess('ReceiveMessageRequest', incoming.request, call);
        await receiveMessage(this.#proxy, incoming.request, call, { write });
      };
      answer()
        .catch(async (error: unknown) => {
          if (incoming.cancelled) return;
          await write({ status: this.#statusOf(error, 'ReceiveMessage') });
          await write({ deliveryTimestamp: timeOf(this.#proxy.broker.clock.now()) });
        })
        .catch(() => {})
        .finally(() => {
          this.metrics.count('ReceiveMessage', isOk);
          incoming.end();
          this.#end(call);
        });
    };
  }

  /** Resolves when the client has taken it, as far as its windows say. */
  #write(
    incoming: ServerWritableStream<ReceiveMessageRequest, ReceiveMessageResponse>,
    answer: ReceiveMessageResponse,
    call: Call,
  ): Promise<void> {
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
        this.#proxy.broker.logger.warn({ peer: call.peer }, `a client took nothing of its answer for ${TAKE_MS} ms`);
        this.#proxy.disconnect(call.peer);
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
          if (refused !== undefined) refused.catch((error: unknown) => this.#failed(stream, error));
          else telemetryCommand(this.#proxy, command, call, stream);
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

interface AnyCodec {
  encode(value: never): Buffer;
  decode(bytes: Buffer): unknown;
}

const definitionOf = (
  name: string,
  requestStream: boolean,
  responseStream: boolean,
  request: AnyCodec,
  response: AnyCodec,
): ServiceDefinition[string] => ({
  path: `/${SERVICE}/${name}`,
  requestStream,
  responseStream,
  requestSerialize: request.encode as (value: unknown) => Buffer,
  requestDeserialize: request.decode,
  responseSerialize: response.encode as (value: unknown) => Buffer,
  responseDeserialize: response.decode,
});
