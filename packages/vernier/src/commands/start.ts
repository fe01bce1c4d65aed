import { defaultBrokerConfig } from '@vernier/broker';
import { DEFAULT_PROXY_PORT } from '@vernier/proxy';
import { proxyCertificateOf } from '../config/proxy-settings.ts';
import { loadSettings } from '../config/settings.ts';
import { CliError } from '../errors.ts';
import { EXIT_OK, type Phase } from '../exit-codes.ts';
import { createLog, type LogLevel } from '../log.ts';
import { report } from '../main.ts';
import { serveWithoutOutput } from '../output/broken-output.ts';
import { type AllInOne, startAllInOne } from '../server/all-in-one.ts';
import { measureFlushTime } from '../server/disk-flush-time.ts';
import { openToAllWarning } from '../server/open-to-all.ts';
import { clearReadyFile, removeReadyFile, writeReadyFile } from '../server/ready-file.ts';
import { clearRecoveringFile, RecoveryProgress } from '../server/recovery-progress.ts';
import { sinceStart } from '../server/since-start.ts';
import { startUpText } from '../server/start-up-text.ts';
import { StopControl } from '../server/stop.ts';
import { version } from '../version.ts';

export interface StartOptions {
  config?: string;
  set?: string[];
  listen?: string;
  namesrvPort?: number;
  brokerPort?: number;
  /** Commander's name for the absence of --no-namesrv. */
  namesrv: boolean;
  proxyPort?: number;
  /** Commander's name for the absence of --no-proxy. */
  proxy: boolean;
  proxyCert?: string;
  proxyKey?: string;
  readyFile?: string;
  logLevel?: LogLevel;
  logFile?: string;
}

const DEFAULT_NAMESRV_PORT = 9876;
/** After this long without a nameserver's answer it is said that one is waited for. */
const REGISTRATION_PATIENCE_MS = 3_000;

/**
 * `vernier start`: everything that can be wrong is looked at before anything is made. Resolves with an exit code when the
 * start failed or the broker was stopped.
 */
export async function start(dataDir: string | undefined, options: StartOptions): Promise<number> {
  let phase: Phase = 'starting';
  const serving = (): void => {
    phase = 'running';
  };
  try {
    return await run(dataDir, options, serving);
  } catch (error) {
    return report(error, phase);
  }
}

async function run(dataDir: string | undefined, options: StartOptions, serving: () => void): Promise<number> {
  const settings = await loadSettings({
    dataDir,
    configFile: options.config,
    set: options.set,
    listen: options.listen,
    brokerPort: options.brokerPort,
  });
  const namesrvPort = options.namesrv ? (options.namesrvPort ?? DEFAULT_NAMESRV_PORT) : undefined;
  if (namesrvPort === undefined && !settings.broker.namesrvAddr) {
    throw new CliError(
      'CLI_USAGE',
      '--no-namesrv needs --set namesrvAddr=host:port, or no client could find the broker',
    );
  }
  const proxyCertificate = proxyCertificateOf(options);
  const log = createLog({ level: options.logLevel, file: options.logFile });
  if (settings.unknownKeys.length > 0) {
    process.stderr.write(
      `vernier: ${options.config} has keys that are not used here: ${settings.unknownKeys.join(', ')}\n`,
    );
  }

  for (const warning of settings.tls.warnings) process.stderr.write(`vernier: ${warning}\n`);

  let server: AllInOne | undefined;
  const stopped = new Stopped();
  const control = new StopControl({
    diskCalls: () => server?.diskCalls() ?? [],
    progress: () => server?.progress() ?? 0,
    onStopping: (signal) => {
      process.stderr.write(`vernier: stopping (${signal})\n`);
      server?.stopping();
    },
    // A signal during the start is kept until there is something to stop.
    stop: () => stopped.stop(() => server?.stop() ?? Promise.resolve()),
  });
  control.listen();
  let putReadyFileBack = (): void => {};
  const progress = new RecoveryProgress({ readyFile: options.readyFile });
  try {
    server = await startAllInOne({
      settings,
      namesrvPort,
      proxyCertificate,
      proxyPort: options.proxy ? (options.proxyPort ?? DEFAULT_PROXY_PORT) : undefined,
      logger: log.logger,
      droppedLogLines: () => log.droppedLines,
      onListening: () => {
        if (options.readyFile === undefined) return;
        putReadyFileBack = clearReadyFile(options.readyFile);
        clearRecoveringFile(options.readyFile);
      },
      onRecoveryProgress: (done, total) => progress.update(done, total),
    });
  } catch (error) {
    control.close();
    putReadyFileBack();
    throw error;
  } finally {
    progress.end();
  }
  serving();
  const { bindAddress, authenticationEnabled } = { ...defaultBrokerConfig, ...settings.broker };
  const warning = openToAllWarning(bindAddress, authenticationEnabled);
  if (warning !== undefined) process.stderr.write(`vernier: ${warning}\n`);
  log.release();
  serveWithoutOutput();
  server.onFailure((cause) => {
    process.stderr.write(
      `vernier: the store refuses every message from here on, reading goes on: ${cause.message} [${cause.code}]\n`,
    );
  });
  stopped.started();
  const { stop } = server;
  // A ready file that cannot be written leaves whoever waits for it waiting; that is a failed start.
  const announced = announce(server, options.readyFile, stopped).catch(async (error) => {
    control.close();
    await stop();
    throw error;
  });
  let began: number;
  try {
    began = await Promise.race([stopped.done, announced.then(() => stopped.done)]);
  } finally {
    // Also after a stop that failed: nobody can connect any more.
    if (options.readyFile !== undefined) removeReadyFile(options.readyFile);
  }
  process.stdout.write(`stopped after ${Math.round(performance.now() - began)} ms\n`);
  return EXIT_OK;
}

/**
 * Writes the ready file the moment clients can find the broker, and then what a person wants to know. Not any more once a stop
 * was asked for: it would come after the line that says that all is over.
 */
async function announce(server: AllInOne, readyFile: string | undefined, stopped: Stopped): Promise<void> {
  const waiting = setTimeout(() => {
    process.stderr.write(
      `vernier: no nameserver of ${server.startUp.namesrvAddr} has taken the registration yet; trying on\n`,
    );
  }, REGISTRATION_PATIENCE_MS);
  try {
    await server.routable;
  } catch {
    return; // Stopped before it was.
  } finally {
    clearTimeout(waiting);
  }
  if (stopped.isAsked) return;
  const readyMs = sinceStart();
  if (readyFile !== undefined) {
    writeReadyFile(readyFile, { pid: process.pid, version, ...server.ready, readyMs: Math.round(readyMs) });
  }
  const flushTime = await measureFlushTime(server.commitLogDirectory);
  if (stopped.isAsked) return;
  process.stdout.write(`${startUpText({ ...server.startUp, version, flushTime, readyMs })}\n`);
  // Its libraries take a moment to load; who connects meanwhile is held back.
  await server.serveProxy().catch((error: Error) => {
    process.stderr.write(`vernier: clients of gRPC are not served, all others are: ${error.message}\n`);
  });
  if (stopped.isAsked) return;
  await server.serveMetrics().catch((error: Error) => {
    process.stderr.write(`vernier: no metrics are exported, clients are served: ${error.message}\n`);
  });
}

/** Lets a stop that was asked for during the start wait for its end, and the command wait for the stop. */
class Stopped {
  /** Somebody asked for the stop. */
  isAsked = false;
  readonly done: Promise<number>;
  readonly started: () => void;
  readonly #startedPromise: Promise<void>;
  #resolve: (beganAt: number) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    let started: () => void = () => {};
    this.#startedPromise = new Promise((resolve) => {
      started = resolve;
    });
    this.started = started;
  }

  async stop(stop: () => Promise<void>): Promise<void> {
    const began = performance.now();
    this.isAsked = true;
    await this.#startedPromise;
    try {
      await stop();
      this.#resolve(began);
    } catch (error) {
      this.#reject(error);
    }
  }
}
