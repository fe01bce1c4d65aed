// Runs the command in this process, with streams of its own: as much as a process of its own tells, in a hundredth of the
// time. Where the end of the process or a real pipe is the point, cli.ts runs it as a user does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import {
  createRequest,
  createResponse,
  encodeClusterInfo,
  encodeTopicRouteData,
  formatAddress,
  type RemotingCommand,
  RemotingServer,
  RequestCode,
} from '@vernier/remoting';
import { pino } from 'pino';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { loadSettings } from '../src/config/settings.ts';
import { execute } from '../src/main.ts';
import { type AllInOne, startAllInOne } from '../src/server/all-in-one.ts';
import { type Finished, smallFiles } from './cli.ts';

/** Keeps what is written; with `fails`, nothing is. */
export class Output extends Writable {
  text = '';
  readonly #fails: string | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(fails?: string) {
    super({ autoDestroy: false });
    this.#fails = fails;
    this.on('error', () => {});
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    if (this.#fails !== undefined) {
      done(Object.assign(new Error('as told'), { code: this.#fails }));
      return;
    }
    this.text += chunk.toString();
    for (const look of this.#waiting) look();
    done();
  }

  /** Resolves when the pattern stands in what was written. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = pattern.exec(this.text);
        if (found === null) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

export interface CommandOptions {
  input?: string | Buffer | Readable;
  stdout?: Output;
  stderr?: Output;
}

/** What the command line does in this process. One at a time: the streams of a process are everybody's. */
export async function command(args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const { input = '', stdout = new Output(), stderr = new Output() } = options;
  const stdin = input instanceof Readable ? input : Readable.from(input.length === 0 ? [] : [Buffer.from(input)]);
  const streams = { stdin, stdout, stderr };
  const before = Object.entries(streams).map(
    ([name]) => [name, Object.getOwnPropertyDescriptor(process, name)!] as const,
  );
  const { NAMESRV_ADDR } = process.env;
  delete process.env.NAMESRV_ADDR;
  for (const [name, value] of Object.entries(streams)) {
    Object.defineProperty(process, name, { value, configurable: true });
  }
  try {
    const code = await execute(args);
    assert.ok(code !== undefined, 'every command has an exit code');
    return { code, stdout: stdout.text, stderr: stderr.text };
  } finally {
    for (const [name, descriptor] of before) Object.defineProperty(process, name, descriptor);
    if (NAMESRV_ADDR !== undefined) process.env.NAMESRV_ADDR = NAMESRV_ADDR;
  }
}

export const lines = ({ stdout }: Finished): string[] => stdout.split('\n').filter((line) => line !== '');

// biome-ignore lint/suspicious/noExplicitAny: what a test asks of it says what it is
export const objects = (finished: Finished): any[] => lines(finished).map((line) => JSON.parse(line));

/** One line that begins with our name and ends in the code, and nothing for whoever reads stdout. */
export function assertFails(finished: Finished, code: number, errorCode: string, pattern: RegExp): void {
  assert.match(finished.stderr, pattern);
  assert.match(finished.stderr, new RegExp(`^vernier: [^\\n]*\\[${errorCode}\\]\\n$`));
  assert.deepEqual([finished.code, finished.stdout], [code, ''], finished.stderr);
}

export interface LocalBroker {
  server: AllInOne;
  namesrv: string;
  broker: string;
  dataDir: string;
}

/** A broker and its nameserver in this process, on free ports, stopped after the test. */
export async function localBroker(t: TestContext, set: readonly string[] = [], dataDir?: string): Promise<LocalBroker> {
  const directory = dataDir ?? join(await temporaryFolder(t, 'in-process'), 'data');
  const sizes = smallFiles.filter((word) => word !== '--set');
  const settings = await loadSettings({
    dataDir: directory,
    set: [...sizes, 'diskFreeBytesMin=0', ...set],
    brokerPort: 0,
  });
  const server = await startAllInOne({
    settings,
    namesrvPort: 0,
    proxyPort: undefined,
    logger: pino({ level: 'silent' }),
  });
  cleanUp(t, () => server.stop());
  await server.routable;
  return { server, namesrv: server.ready.namesrv!, broker: server.ready.broker!, dataDir: directory };
}

export interface Answer {
  code?: number;
  remark?: string;
  fields?: Record<string, string>;
  body?: Buffer | string;
}

/** Undefined: no answer at all. */
export type Answering = (request: RemotingCommand) => Answer | undefined | Promise<Answer | undefined>;

export interface FakePeer {
  address: string;
  /** What it was asked, in this order. */
  requests: RemotingCommand[];
  answer: Answering;
  /** Tells everybody who is connected. */
  notify(code: number, fields: Record<string, string>): void;
  /** Resolves when the condition holds; it is looked at when a request has come and when its answer has been made. */
  until(condition: () => boolean): Promise<void>;
}

/** A nameserver or a broker that answers what the test says, or does not. */
export async function fakePeer(t: TestContext, answer: Answering): Promise<FakePeer> {
  const server = new RemotingServer();
  const waiting = new Set<() => void>();
  const peer: FakePeer = {
    address: '',
    requests: [],
    answer,
    notify(code, fields) {
      for (const connection of server.connections) connection.invokeOneway(createRequest(code, fields));
    },
    until: (condition) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!condition()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
  server.registerDefaultProcessor(async (request) => {
    // A body is a view that holds until the first await.
    const kept = request.body === undefined ? request : { ...request, body: Buffer.from(request.body) };
    peer.requests.push(kept);
    for (const look of waiting) look();
    const answered = await peer.answer(kept);
    for (const look of waiting) look();
    if (answered === undefined) return undefined;
    const { code = 0, remark, fields, body } = answered;
    return createResponse(kept, code, remark, fields, typeof body === 'string' ? Buffer.from(body) : body);
  });
  const { host, port } = await server.listen({ port: 0 });
  peer.address = formatAddress(host, port);
  cleanUp(t, () => server.shutdown(0));
  return peer;
}

export interface RouteOf {
  queues?: number;
  perm?: number;
}

/** The route of a topic that lies on these brokers, by name. */
export function routeBody(brokers: Record<string, string>, { queues = 1, perm = 6 }: RouteOf = {}): Buffer {
  const names = Object.keys(brokers);
  return encodeTopicRouteData({
    brokerDatas: names.map((brokerName) => ({
      brokerName,
      cluster: 'C',
      brokerAddrs: new Map([[0, brokers[brokerName]!]]),
      enableActingMaster: false,
    })),
    queueDatas: names.map((brokerName) => ({
      brokerName,
      readQueueNums: queues,
      writeQueueNums: queues,
      perm,
      topicSysFlag: 0,
    })),
    filterServerTable: new Map(),
  });
}

export function clusterBody(brokers: Record<string, string>): Buffer {
  const names = Object.keys(brokers);
  return encodeClusterInfo({
    brokerAddrTable: new Map(
      names.map((brokerName) => [
        brokerName,
        { brokerName, cluster: 'C', brokerAddrs: new Map([[0, brokers[brokerName]!]]), enableActingMaster: false },
      ]),
    ),
    clusterAddrTable: new Map([['C', names]]),
  });
}

/** A nameserver that knows these brokers, for every topic. */
export function fakeNamesrv(t: TestContext, brokers: Record<string, string>, route?: RouteOf): Promise<FakePeer> {
  return fakePeer(t, ({ code }) => {
    if (code === RequestCode.GET_ROUTEINFO_BY_TOPIC) return { body: routeBody(brokers, route) };
    if (code === RequestCode.GET_BROKER_CLUSTER_INFO) return { body: clusterBody(brokers) };
    return {};
  });
}

/** A port of bare sockets; `onConnect` does with each what it likes. */
export async function socketServer(t: TestContext, onConnect: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnect(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

/** An address at which nobody listens. */
export async function deadAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}
