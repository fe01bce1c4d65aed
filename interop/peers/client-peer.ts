/**
 * A client in another language or of another vendor, in a process of its own. All of them understand the same commands,
 * one a line on standard input, its parts separated by tabs, and answer each by one line of JSON that carries its id:
 *
 *   id TAB command TAB name=value TAB name=value ...   →   {"id":7,"result":...} or {"id":7,"error":"..."}
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { end, hasExited, track } from './child.ts';
import {
  type ApacheVersion,
  definedBy,
  type JavaProgram,
  programClassPath,
  repositoryRoot,
  smallJvmArgs,
  spawnJava,
} from './java.ts';

/** What producer.send answers. */
export interface SendReport {
  /** Messages by SendStatus; empty for oneway. */
  status: Record<string, number>;
  /** Messages by the text of the error. */
  errors: Record<string, number>;
  samples: { index: number; msgId: string; offsetMsgId: string; queueId: number; queueOffset: number }[];
  millis: number;
}

/** What a consumer of one run received so far. */
export interface ReceiveReport {
  /** Deliveries of this run's messages. */
  total: number;
  distinct: number;
  /** Deliveries beyond the first of each message. */
  duplicates: number;
  /** Deliveries of other runs' messages: of what was consumed before. */
  foreign: number;
  /** Deliveries whose body, tags, keys or properties are not what was sent. */
  faulty: number;
  faults: string[];
  /** First deliveries with a lower queue offset than one before, per queue. Only an orderly consumer promises 0. */
  disordered: number;
  /** Queue offsets missing between the first and the last one received, over all queues. */
  gaps: number;
  tags: Record<string, number>;
  queues: Record<string, number>;
  indexes?: number[];
  statuses?: Record<string, number>;
}

/** A message as the programs with clients of gRPC show it. */
export interface GrpcShown {
  id: string;
  body: string;
  tag: string;
  keys: string;
  attempt: number;
  properties: Record<string, string>;
}

/** What they say of one that they have sent. */
export interface GrpcSent {
  id: string;
  handle: string;
}

/** No command takes longer, those that wait for messages included; a client that does not answer fails its test. */
const callTimeoutMs = 200_000;

export class ClientPeer {
  readonly #child: ChildProcess;
  readonly #home: string;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #errors = '';
  #nextId = 1;

  constructor(child: ChildProcess, home: string) {
    this.#child = track(child);
    this.#home = home;
    createInterface({ input: child.stdout! }).on('line', (line) => this.#answer(line));
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      // Clients log at length; the end is what explains a failure.
      this.#errors = (this.#errors + chunk).slice(-20_000);
    });
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`the client process ended with ${code ?? signal}:\n${this.#errors.slice(-4_000)}`));
      }
      this.#waiting.clear();
    });
  }

  #answer(line: string): void {
    if (!line.startsWith('{"id":')) {
      this.#errors = `${this.#errors}${line}\n`.slice(-20_000);
      return;
    }
    const { id, result, error } = JSON.parse(line);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
  }

  /** The end of what the client wrote to its standard error. */
  get log(): string {
    return this.#errors;
  }

  /** Rejects with the client's own error, or when its process ends. */
  async call<T = unknown>(command: string, values: Record<string, string | number | boolean> = {}): Promise<T> {
    if (hasExited(this.#child)) throw new Error(`the client process has ended:\n${this.#errors.slice(-4_000)}`);
    const id = this.#nextId++;
    const parts = Object.entries(values).map(([name, value]) => `${name}=${value}`);
    this.#child.stdin!.write(`${[id, command, ...parts].join('\t')}\n`);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        const late = (): void =>
          reject(new Error(`${command}: no answer within ${callTimeoutMs / 1000} s:\n${this.#errors.slice(-4_000)}`));
        timer = setTimeout(late, callTimeoutMs);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    await end(this.#child, 0, 'SIGKILL');
    rmSync(this.#home, { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    if (!hasExited(this.#child)) {
      const exited = once(this.#child, 'exit');
      this.#child.stdin!.end();
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
      await exited;
      clearTimeout(timer);
    }
    await end(this.#child, 0);
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** A folder for one peer's home directory. */
export function peerHome(name: string): string {
  return mkdtempSync(join(tmpdir(), `vernier-peer-${name}-`));
}

function startJava(
  program: JavaProgram,
  version: ApacheVersion,
  mainClass: string,
  properties?: Record<string, string>,
): ClientPeer {
  const home = peerHome(program);
  const classPath = programClassPath(program, version);
  // A retry topic's queue is taken at the next rebalance, which without news from the broker comes after 20 s otherwise.
  const jvmArgs = [...smallJvmArgs, '-Drocketmq.client.rebalance.waitInterval=3000', ...definedBy(properties)];
  return new ClientPeer(spawnJava({ classPath, mainClass, home, jvmArgs, stdio: ['pipe', 'pipe', 'pipe'] }), home);
}

/** `properties`: system properties, such as those of TLS. */
export function startJavaClient(version: ApacheVersion, properties?: Record<string, string>): ClientPeer {
  return startJava('client', version, 'ClientPeer', properties);
}

/** rocketmq-client-java, which speaks gRPC. */
export function startJavaGrpcClient(): ClientPeer {
  return startJava('grpc', 'grpc-5.0.8', 'GrpcPeer');
}

/** Java's DefaultMessageStore, driven like a client. */
export function startJavaStore(): ClientPeer {
  return startJava('store', '5.5.0', 'StorePeer');
}

/** Apache's mqadmin; its one command is `mqadmin` with a `line`. */
export function startMqAdmin(properties?: Record<string, string>): ClientPeer {
  return startJava('admin', '5.5.0', 'AdminPeer', properties);
}

/** Producers that ask and consumers that answer. */
export function startJavaReplies(): ClientPeer {
  return startJava('reply', '5.5.0', 'ReplyPeer');
}

/** A program of interop/programs in a Node of its own, which runs the sources. */
export function startNodeProgram(name: 'vernier-store' | 'ali-ons' | 'grpc'): ClientPeer {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=@vernier/source', join('interop', 'programs', `${name}.ts`)],
    { cwd: repositoryRoot, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  return new ClientPeer(child, peerHome(name));
}
