import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { formatAddress, listenError } from '@vernier/remoting';
import type { HealthState } from './health.ts';

/**
 * A probe and a scrape every few seconds need one connection each; more than these are strangers. For one more the connection
 * gives way that has had no request for longest: a probe that is kept out would have the broker ended.
 */
const CONNECTIONS_MAX = 64;
/** What the system may hand over before those that gave way are gone. */
const ACCEPTED_MAX = 4 * CONNECTIONS_MAX;
const HEADER_BYTES_MAX = 8 * 1024;
/** Until a request is whole. */
const REQUEST_MS = 5_000;
/** A connection without requests. Prometheus asks every 15 or 60 seconds. */
const KEEP_ALIVE_MS = 75_000;
/** An answer that nobody takes. */
const ANSWER_MS = 30_000;

/** The text of /metrics; undefined before the broker is ready, or when nobody is to ask. */
export type Exposition = () => Promise<string>;

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * /healthz, /readyz and /metrics on a port of their own. It listens from the start, so that a probe sees a recovery and
 * does not take it for a broker that hangs; /metrics is answered 503 until the broker is ready.
 *
 * /healthz is 200 as long as the process answers: whoever ends it for a 503 would end a recovery, or a broker that only
 * consumers can use. /readyz is 200 while messages are taken. Both say the same in JSON.
 */
export class MetricsServer {
  readonly #host: string;
  readonly #port: number;
  readonly #health: HealthState;
  readonly #server: Server;
  #address: string | undefined;
  #exposition: Exposition | undefined;
  /** What is being made for all who ask meanwhile. */
  #metrics: Promise<Buffer> | undefined;
  /** Connections with a request that is not answered yet. */
  readonly #busy = new Set<Socket>();
  /** Connections without one, the one that has had none for longest first. */
  readonly #idle = new Set<Socket>();
  readonly #hasMetrics: boolean;

  constructor(options: { host: string; port: number; health: HealthState; hasMetrics: boolean }) {
    this.#host = options.host;
    this.#port = options.port;
    this.#health = options.health;
    this.#hasMetrics = options.hasMetrics;
    this.#server = createServer(
      {
        ...{ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
        ...{ keepAliveTimeout: KEEP_ALIVE_MS, connectionsCheckingInterval: REQUEST_MS },
      },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxConnections = ACCEPTED_MAX;
    this.#server.on('connection', (socket) => this.#admit(socket));
    // A peer that does not speak HTTP gets a 400 and is gone; Node’s default would write the same and keep half of it open.
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** `host:port`; undefined before `listen`. */
  get address(): string | undefined {
    return this.#address;
  }

  /**
   * Resolves with the address. Rejects REMOTING_PORT_IN_USE, REMOTING_PORT_FORBIDDEN, REMOTING_ADDRESS_UNAVAILABLE or
   * REMOTING_LISTEN_FAILED.
   */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error): void => reject(listenError(error, this.#host, this.#port));
      this.#server.once('error', failed);
      this.#server.listen({ host: this.#host, port: this.#port }, () => {
        this.#server.off('error', failed);
        resolve();
      });
    });
    // There is no descriptor left for a connection; the broker’s own ports say so.
    this.#server.on('error', () => {});
    this.#address = formatAddress(this.#host, (this.#server.address() as AddressInfo).port);
    return this.#address;
  }

  /** From now on /metrics is answered. */
  serveMetrics(exposition: Exposition): void {
    this.#exposition = exposition;
  }

  /** Resolves when the port is free. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #admit(socket: Socket): void {
    socket.once('close', () => {
      this.#idle.delete(socket);
      this.#busy.delete(socket);
    });
    this.#idle.add(socket);
    if (this.#idle.size + this.#busy.size <= CONNECTIONS_MAX) return;
    // It is this one when all others are being answered.
    const [oldest] = this.#idle;
    this.#idle.delete(oldest!);
    oldest!.destroy();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    // Thousands of requests fit into one piece of a stream, and each would have its answer wait for the one before.
    if (this.#busy.has(socket)) return void socket.destroy();
    this.#idle.delete(socket);
    this.#busy.add(socket);
    response.on('finish', () => {
      if (this.#busy.delete(socket)) this.#idle.add(socket);
    });
    // What a request brings is not read; it ends with the answer.
    request.resume();
    response.setTimeout(ANSWER_MS, () => response.destroy());
    response.on('error', () => {});
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD').setHeader('Connection', 'close');
      send(response, 405, 'text/plain; charset=utf-8', 'only GET and HEAD are answered\n');
      return;
    }
    const path = (request.url ?? '/').split('?', 1)[0];
    if (path === '/metrics' && this.#hasMetrics) void this.#answerMetrics(response);
    else if (path === '/healthz' || path === '/readyz') this.#answerHealth(response, path === '/readyz');
    else send(response, 404, 'text/plain; charset=utf-8', 'there are /healthz, /readyz and, with PROM, /metrics\n');
  }

  #answerHealth(response: ServerResponse, asksReady: boolean): void {
    const { isReady, ...health } = this.#health.health;
    response.setHeader('Cache-Control', 'no-store');
    send(response, asksReady && !isReady ? 503 : 200, 'application/json', `${JSON.stringify(health)}\n`);
  }

  async #answerMetrics(response: ServerResponse): Promise<void> {
    if (this.#exposition === undefined) {
      response.setHeader('Retry-After', '1');
      send(response, 503, 'text/plain; charset=utf-8', 'the broker is not ready; /readyz says how far it is\n');
      return;
    }
    try {
      this.#metrics ??= this.#exposition()
        .then((text) => Buffer.from(text))
        .finally(() => {
          this.#metrics = undefined;
        });
      send(response, 200, EXPOSITION_TYPE, await this.#metrics);
    } catch (error) {
      send(
        response,
        500,
        'text/plain; charset=utf-8',
        `the metrics could not be collected: ${(error as Error).message}\n`,
      );
    }
  }
}

function send(response: ServerResponse, status: number, type: string, content: string | Buffer): void {
  if (response.destroyed || response.headersSent) return;
  const body = typeof content === 'string' ? Buffer.from(content) : content;
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length });
  // Node leaves the body of an answer to HEAD out by itself.
  response.end(body);
}
