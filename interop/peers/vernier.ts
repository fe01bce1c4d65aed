/** The built `vernier start` as a child process, as a user runs it. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerPeer } from './broker-peer.ts';
import { askUntil, end, hasExited, track } from './child.ts';
import { repositoryRoot } from './java.ts';
import { freePort } from './ports.ts';

export interface VernierOptions {
  flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  /** The data directory; kept by stop(). Without it a folder that stop() removes. */
  storeDir?: string;
  /** Handed on as `--set key=value`. */
  extraConfig?: Record<string, string | number | boolean>;
  env?: Record<string, string>;
  /** A nameserver that is running already, of either kind; then none of its own is started. */
  namesrvAddr?: string;
  /** Clients of gRPC are served. */
  proxy?: boolean;
}

/** The file that `--ready-file` names, written when the broker is routable. */
interface ReadyFile {
  pid: number;
  broker?: string;
  namesrv?: string;
  proxy?: string;
  metrics?: string;
}

/** What npm links as `vernier`. */
export const vernierBin = join(repositoryRoot, 'packages', 'vernier', 'bundle', 'bin.js');

/** A `vernier` process that writes a ready file. */
interface VernierProcess {
  child: ChildProcess;
  ready: ReadyFile;
}

async function run(
  args: readonly string[],
  home: string,
  env: Record<string, string>,
  onOutput: (text: string) => void,
): Promise<VernierProcess> {
  const readyFile = join(home, 'ready.json');
  rmSync(readyFile, { force: true });
  const child = track(
    spawn(process.execPath, [vernierBin, ...args, '--ready-file', readyFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    }),
  );
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-50_000);
      onOutput(chunk);
    });
  }
  try {
    const ready = await askUntil(`vernier ${args[0]}`, 30_000, child, async () =>
      JSON.parse(readFileSync(readyFile, 'utf8')),
    );
    return { child, ready };
  } catch (error) {
    await end(child, 0);
    throw new Error(`vernier ${args[0]} did not become ready:\n${output}`, { cause: error });
  }
}

/** `vernier namesrv`, alone. */
export async function startVernierNamesrv(): Promise<{ address: string; stop(): Promise<number | string> }> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-namesrv-'));
  const { child, ready } = await run(['namesrv', '--namesrv-port', '0'], home, {}, () => {});
  return {
    address: ready.namesrv!,
    async stop() {
      const ended = await end(child, 10_000);
      rmSync(home, { recursive: true, force: true });
      return ended;
    },
  };
}

/** `vernier proxy`, alone, in front of the brokers behind a nameserver of either kind. */
export async function startLoneProxy(namesrvAddr: string): Promise<{ address: string; stop(): Promise<void> }> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-proxy-'));
  const args = ['proxy', '--proxy-port', '0', '--namesrv', namesrvAddr];
  const { child, ready } = await run(args, home, {}, () => {});
  return {
    address: ready.proxy!,
    async stop() {
      await end(child, 10_000);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export interface VernierPeer extends BrokerPeer {
  /** host:port of /metrics; empty without. */
  readonly metricsAddr: string;
}

export async function startVernier(options: VernierOptions): Promise<VernierPeer> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-interop-'));
  const storeDir = options.storeDir ?? join(home, 'store');
  const settings = {
    flushDiskType: options.flushDiskType,
    ...(options.namesrvAddr === undefined ? {} : { namesrvAddr: options.namesrvAddr }),
    ...options.extraConfig,
  };
  let child: ChildProcess;
  let output = '';
  let ready: ReadyFile | undefined;

  const start = async (): Promise<void> => {
    const port = (address: string | undefined): string | undefined => address?.split(':').at(-1);
    const namesrv = options.namesrvAddr ? ['--no-namesrv'] : ['--namesrv-port', port(ready?.namesrv) ?? '0'];
    const proxy = options.proxy ? ['--proxy-port', port(ready?.proxy) ?? '0'] : ['--no-proxy'];
    // Not any port: Java clients before 4.5.1 send to the one two below it.
    const brokerPort = port(ready?.broker) ?? String(await freePort([-2]));
    const started = await run(
      [
        ...['start', storeDir, '--broker-port', brokerPort, ...proxy, ...namesrv],
        ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
      ],
      home,
      options.env ?? {},
      (text) => {
        output = (output + text).slice(-50_000);
      },
    );
    child = started.child;
    ready = started.ready;
  };
  await start();

  return {
    kind: 'vernier',
    namesrvAddr: options.namesrvAddr ?? ready!.namesrv!,
    brokerAddr: ready!.broker!,
    proxyAddr: ready!.proxy ?? '',
    metricsAddr: ready!.metrics ?? '',
    storeDir,
    get pid() {
      return child.pid!;
    },
    get exited() {
      return hasExited(child);
    },
    log: () => output,
    async stopBroker() {
      const ended = await end(child, 30_000);
      if (ended !== 0) throw new Error(`vernier ended with ${ended} on SIGTERM:\n${output}`);
    },
    async killBroker() {
      await end(child, 0, 'SIGKILL');
    },
    startBroker: start,
    async stop() {
      await end(child, 30_000);
      rmSync(home, { recursive: true, force: true });
    },
  };
}
