/** The built command as a child process, started under whatever the fault needs around it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerAddress } from '../../../bench/load/requests.ts';
import { end, hasExited, track } from '../../../interop/peers/child.ts';
import { repositoryRoot } from '../../../interop/peers/java.ts';

export interface FaultBrokerOptions {
  storeDir: string;
  settings: Record<string, unknown>;
  /** A command and its arguments in front of node, such as `prlimit --nofile=64`. It must exec, not fork. */
  wrapper?: string[];
  /** Arguments of node itself. */
  nodeArgs?: string[];
  env?: Record<string, string>;
}

const READY_MS = 40_000;

/** The broker ended before it was ready: with which code, and what it said. */
export class NotStarted extends Error {
  readonly code: number | string;
  readonly output: string;

  constructor(code: number | string, output: string) {
    super(`the broker ended with ${code} before it was ready:\n${output}`);
    this.code = code;
    this.output = output;
  }
}

export class FaultBroker {
  readonly child: ChildProcess;
  readonly home: string;
  address!: BrokerAddress;
  private text = '';

  private constructor(child: ChildProcess, home: string) {
    this.child = child;
    this.home = home;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.text = (this.text + chunk).slice(-40_000);
      });
    }
  }

  /** Resolves when clients can find it. Rejects with NotStarted. */
  static async start(options: FaultBrokerOptions): Promise<FaultBroker> {
    const home = mkdtempSync(join(tmpdir(), 'vernier-fault-broker-'));
    const readyFile = join(home, 'ready.json');
    const settings = Object.entries(options.settings).filter(([key]) => key !== 'storePathRootDir');
    const command = [
      ...(options.wrapper ?? []),
      ...[process.execPath, ...(options.nodeArgs ?? [])],
      ...[join(repositoryRoot, 'packages', 'vernier', 'bundle', 'bin.js'), 'start', options.storeDir],
      ...['--namesrv-port', '0', '--broker-port', '0', '--no-proxy', '--ready-file', readyFile],
      ...settings.flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    ];
    // Another user must be able to write the ready file.
    if (options.wrapper?.includes('--reuid')) spawnOrThrow('chmod', ['0777', home]);
    const child = track(
      spawn(command[0]!, command.slice(1), {
        cwd: home,
        stdio: ['ignore', 'pipe', 'pipe'],
        // Faults are counted per thread, so there is one that does the log's calls.
        env: { ...process.env, UV_THREADPOOL_SIZE: '1', ...options.env },
      }),
    );
    const broker = new FaultBroker(child, home);
    const closed = once(child, 'close');
    const deadline = Date.now() + READY_MS;
    while (!existsSync(readyFile) || readFileSync(readyFile, 'utf8') === '') {
      if (hasExited(child) || Date.now() > deadline) {
        child.kill('SIGKILL');
        await closed;
        rmSync(home, { recursive: true, force: true });
        throw new NotStarted(child.exitCode ?? child.signalCode!, broker.text);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const ready = JSON.parse(readFileSync(readyFile, 'utf8')) as { broker: string };
    const colon = ready.broker.lastIndexOf(':');
    broker.address = { host: ready.broker.slice(0, colon), port: Number(ready.broker.slice(colon + 1)) };
    return broker;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** `host:port` */
  get where(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  /** The last of what it wrote to its output and error. */
  get output(): string {
    return this.text;
  }

  get hasEnded(): boolean {
    return hasExited(this.child);
  }

  /** SIGTERM; the exit code, or the signal that ended it. */
  async stop(graceMs = 30_000): Promise<number | string> {
    const closed = this.hasEnded ? undefined : once(this.child, 'close');
    const code = await end(this.child, graceMs);
    await closed;
    rmSync(this.home, { recursive: true, force: true });
    return code;
  }

  /** SIGKILL. Throws when it had ended by itself, which no fault may bring about. */
  async kill(): Promise<void> {
    const died = this.hasEnded;
    const code = await end(this.child, 0, 'SIGKILL');
    rmSync(this.home, { recursive: true, force: true });
    if (died) throw new Error(`the broker had ended by itself with ${code}:\n${this.text}`);
  }

  /** For clean-up, in whatever state it is. */
  async destroy(): Promise<void> {
    await end(this.child, 0, 'SIGKILL');
    rmSync(this.home, { recursive: true, force: true });
  }
}

function spawnOrThrow(command: string, args: string[]): void {
  const child = spawn(command, args, { stdio: 'ignore' });
  child.on('error', (error) => {
    throw error;
  });
}
