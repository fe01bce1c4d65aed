import {
  status as GrpcStatus,
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Server,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { definitionOf } from './definitions.ts';
import { SERVICE } from './methods/index.ts';
import type { Reflection } from './reflection.ts';
import {
  serviceCodecs as codecs,
  type HealthCheckRequest,
  type HealthCheckResponse,
  type HealthListRequest,
  type HealthListResponse,
  type ReflectionRequest,
  type ReflectionResponse,
  ServingStatus,
} from './wire/services.ts';

const HEALTH = 'grpc.health.v1.Health';
/** Older tools know the second name. */
const REFLECTIONS = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'] as const;
/** The whole server, and what RocketMQ's clients call. */
const HEALTHY = ['', SERVICE, HEALTH, ...REFLECTIONS];

/** Streams of watchers, and of tools that ask what there is. */
const STREAMS_MAX = 1_000;

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/**
 * What tools ask any gRPC server: whether it serves (grpc.health.v1) and what (grpc.reflection). They need no client id and no
 * settings.
 */
export class SideServices {
  readonly #watchers = new Set<Watcher>();
  #reflection: Promise<Reflection> | undefined;
  readonly #reflecting = new Set<object>();

  addTo(server: Server): void {
    const { HealthCheckRequest: asked, HealthCheckResponse: answered } = codecs;
    const health = {
      Check: definitionOf(HEALTH, 'Check', false, false, asked, answered),
      List: definitionOf(HEALTH, 'List', false, false, codecs.HealthListRequest, codecs.HealthListResponse),
      Watch: definitionOf(HEALTH, 'Watch', false, true, asked, answered),
    };
    server.addService(health, { Check: this.#check(), List: this.#list(), Watch: this.#watch() });
    for (const name of REFLECTIONS) {
      const method = 'ServerReflectionInfo';
      const { ReflectionRequest: question, ReflectionResponse: answer } = codecs;
      const definition = { [method]: definitionOf(name, method, true, true, question, answer) };
      server.addService(definition, { [method]: this.#reflect() });
    }
  }

  /** Who watches is told, and its call ends. */
  stop(): void {
    for (const watcher of this.#watchers) {
      watcher.write({ status: ServingStatus.NOT_SERVING });
      watcher.end();
    }
    this.#watchers.clear();
  }

  #check(): handleUnaryCall<HealthCheckRequest, HealthCheckResponse> {
    return ({ request }, callback) => {
      const status = statusOf(request);
      if (status === ServingStatus.SERVING) return callback(null, { status });
      callback({ code: GrpcStatus.NOT_FOUND, details: 'the service is not known' });
    };
  }

  #list(): handleUnaryCall<HealthListRequest, HealthListResponse> {
    return (_call, callback) => {
      const statuses = Object.fromEntries(HEALTHY.map((name) => [name, { status: ServingStatus.SERVING }]));
      callback(null, { statuses });
    };
  }

  #watch(): handleServerStreamingCall<HealthCheckRequest, HealthCheckResponse> {
    return (watcher) => {
      if (this.#watchers.size >= STREAMS_MAX) {
        watcher.emit('error', tooMany());
        return;
      }
      this.#watchers.add(watcher);
      const gone = (): void => void this.#watchers.delete(watcher);
      watcher.on('cancelled', gone);
      watcher.on('error', gone);
      watcher.write({ status: statusOf(watcher.request) });
    };
  }

  #reflect(): handleBidiStreamingCall<ReflectionRequest, ReflectionResponse> {
    return (stream) => {
      if (this.#reflecting.size >= STREAMS_MAX) {
        stream.emit('error', tooMany());
        return;
      }
      this.#reflecting.add(stream);
      const ended = (): void => void this.#reflecting.delete(stream);
      stream.on('cancelled', ended);
      stream.on('error', ended);
      stream.on('end', () => {
        ended();
        stream.end();
      });
      const answer = (reflection: Reflection): void => {
        stream.on('data', (request: ReflectionRequest) => {
          // The next question is read when the client has taken the answer to this one.
          stream.pause();
          stream.write(reflection.answer(request), () => stream.resume());
        });
      };
      this.#loaded().then(answer, (error: Error) => {
        stream.emit('error', { code: GrpcStatus.INTERNAL, details: error.message });
      });
    };
  }

  #loaded(): Promise<Reflection> {
    this.#reflection ??= Promise.all([import('#descriptors'), import('./reflection.ts')]).then(
      ([{ files }, { Reflection: Made }]) => new Made([SERVICE, HEALTH, ...REFLECTIONS], files),
    );
    return this.#reflection;
  }
}

const tooMany = () => ({ code: GrpcStatus.RESOURCE_EXHAUSTED, details: `${STREAMS_MAX} such streams are open` });

const statusOf = ({ service }: HealthCheckRequest): ServingStatus =>
  HEALTHY.includes(service ?? '') ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN;
