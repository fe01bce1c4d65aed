import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, hasExited, track } from '../interop/peers/child.ts';
import { repositoryRoot } from '../interop/peers/java.ts';
import { startApacheRocketMQ } from '../interop/peers/java-broker.ts';
import type { BrokerAddress } from './load/requests.ts';

export type FlushMode = 'SYNC_FLUSH' | 'ASYNC_FLUSH';

/** Vernier's three ways to write the log, by the settings that choose them. */
export const engines = {
  channel: { writeWithoutMmap: 'true' },
  mmap: { writeWithoutMmap: 'false' },
  transient: { writeWithoutMmap: 'false', transientStorePoolEnable: 'true' },
} as const satisfies Record<string, Record<string, string>>;

export type Engine = keyof typeof engines;

export interface BenchBroker {
  readonly label: string;
  readonly brokerName: string;
  readonly address: BrokerAddress;
  readonly namesrvAddr: string;
  readonly pid: number;
  readonly storeDir: string;
  /** Milliseconds from the start of the process to its ready file; Vernier only. */
  readonly readyMs?: number;
  /** Ends the broker in an orderly way and removes its store. */
  stop(): Promise<void>;
  /** SIGKILL; the store stays. */
  kill(): Promise<void>;
}

function addressOf(text: string): BrokerAddress {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

/** Apache RocketMQ 5.5.0 with its own default settings and the wanted flush mode, in a heap of 2 GiB. */
export async function startApache(
  flushDiskType: FlushMode,
  extraConfig: Record<string, string> = {},
): Promise<BenchBroker> {
  const peer = await startApacheRocketMQ({ flushDiskType, size: 'stock', extraConfig });
  return {
    label: 'Apache RocketMQ 5.5.0',
    brokerName: 'broker-a',
    address: addressOf(peer.brokerAddr),
    namesrvAddr: peer.namesrvAddr,
    pid: peer.pid,
    storeDir: peer.storeDir,
    stop: () => peer.stop(),
    kill: () => peer.killBroker(),
  };
}

export interface VernierStart {
  flushDiskType: FlushMode;
  engine?: Engine;
  settings?: Record<string, string>;
  /** Arguments of node itself, such as --cpu-prof. */
  nodeArgs?: string[];
  /** An existing store; stop() then leaves it. */
  storeDir?: string;
  /** Another built checkout of Vernier, whose command is run instead of this one's. */
  checkout?: string;
}

/** The built command, as a user starts it, on free ports of loopback. Resolves when its ready file is there. */
export async function startVernier(options: VernierStart): Promise<BenchBroker> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-bench-'));
  const storeDir = options.storeDir ?? join(home, 'store');
  const readyFile = join(home, 'ready.json');
  const settings = {
    flushDiskType: options.flushDiskType,
    ...engines[options.engine ?? 'channel'],
    ...options.settings,
  };
  const output = join(home, 'vernier.out');
  const log = openSync(output, 'a');
  const startedAt = performance.now();
  const child = track(
    spawn(
      process.execPath,
      [
        ...(options.nodeArgs ?? []),
        commandOf(options.checkout ?? repositoryRoot, options.nodeArgs !== undefined),
        'start',
        storeDir,
        ...['--namesrv-port', '0', '--broker-port', '0', '--no-proxy', '--ready-file', readyFile],
        ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
      ],
      { cwd: home, stdio: ['ignore', log, log] },
    ),
  );
  closeSync(log);
  try {
    await fileAppears(home, readyFile, once(child, 'exit'), 120_000);
  } catch (error) {
    await end(child, 0, 'SIGKILL');
    const reason = readFileSync(output, 'utf8').trim().split('\n').slice(-15).join('\n');
    rmSync(home, { recursive: true, force: true });
    throw new Error(`Vernier did not start:\n${reason}`, { cause: error });
  }
  const readyMs = performance.now() - startedAt;
  const ready = JSON.parse(readFileSync(readyFile, 'utf8')) as { broker: string; namesrv: string };
  return {
    label: labelOf(options),
    brokerName: 'broker-a',
    address: addressOf(ready.broker),
    namesrvAddr: ready.namesrv,
    pid: child.pid!,
    storeDir,
    readyMs,
    async stop() {
      const died = hasExited(child);
      const code = await end(child, 30_000);
      const said = readFileSync(output, 'utf8').trim().split('\n').slice(-15).join('\n');
      rmSync(home, { recursive: true, force: true });
      if (died || code !== 0)
        throw new Error(`Vernier ended with ${code} ${died ? 'by itself' : 'when stopped'}:\n${said}`);
    },
    async kill() {
      await end(child, 0, 'SIGKILL');
      if (options.storeDir !== undefined) rmSync(home, { recursive: true, force: true });
    },
  };
}

/** As users have it; with `isProfiled` as single modules, so that a profile has the names of files. */
function commandOf(checkout: string, isProfiled: boolean): string {
  const folder = join(checkout, 'packages', 'vernier');
  const bundled = join(folder, 'bundle', 'bin.js');
  return isProfiled || !existsSync(bundled) ? join(folder, 'dist', 'bin.js') : bundled;
}

function labelOf({ engine, checkout }: VernierStart): string {
  if (checkout !== undefined) return 'Vernier before';
  return engine === undefined ? 'Vernier' : `Vernier (${engine})`;
}

/** Waits for the directory's notification and not in steps, because the moment itself is measured. */
async function fileAppears(
  directory: string,
  file: string,
  exited: Promise<unknown>,
  timeoutMs: number,
): Promise<void> {
  const watcher = watch(directory);
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no ready file within ${timeoutMs} ms`)), timeoutMs);
      const look = () => existsSync(file) && resolve();
      watcher.on('change', look);
      exited.then(() => reject(new Error('the process ended before it was ready')));
      look();
    });
  } finally {
    clearTimeout(timer);
    watcher.close();
  }
}
