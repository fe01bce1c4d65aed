import { GrpcProxy } from '@vernier/proxy';
import { parseAddress, ServerIdentity } from '@vernier/remoting';
import { type ConnectingOptions, connectingOf } from '../client/connecting.ts';
import { loadProxySettings, proxyCertificateOf } from '../config/proxy-settings.ts';
import { CliError } from '../errors.ts';
import { EXIT_OK, type Phase } from '../exit-codes.ts';
import { createLog, type LogLevel } from '../log.ts';
import { report } from '../main.ts';
import { serveWithoutOutput } from '../output/broken-output.ts';
import { listenError } from '../server/listen-error.ts';
import { proxyOpenToAllWarning } from '../server/open-to-all.ts';
import { clearReadyFile, removeReadyFile, writeReadyFile } from '../server/ready-file.ts';
import { sinceStart } from '../server/since-start.ts';
import { STOP_LIMIT_MS, STOP_TOTAL_LIMIT_MS, StopControl } from '../server/stop.ts';
import { version } from '../version.ts';

/** What a stop takes beside calls under way, milliseconds. */
const STOP_MORE_MS = 800;

export interface ProxyCommandOptions extends ConnectingOptions {
  namesrv: string;
  config?: string;
  set?: string[];
  listen: string;
  proxyPort: number;
  proxyCert?: string;
  proxyKey?: string;
  readyFile?: string;
  logLevel?: LogLevel;
  logFile?: string;
}

/** `vernier proxy`: gRPC alone, in front of brokers elsewhere. Resolves with an exit code when it was stopped or could not start. */
export async function proxy(options: ProxyCommandOptions): Promise<number> {
  let phase: Phase = 'starting';
  const serving = (): void => {
    phase = 'running';
  };
  try {
    return await run(options, serving);
  } catch (error) {
    return report(error, phase);
  }
}

async function run(options: ProxyCommandOptions, serving: () => void): Promise<number> {
  const namesrvs = namesrvsOf(options.namesrv);
  const connecting = connectingOf(options);
  const certificate = proxyCertificateOf(options);
  const settings = await loadProxySettings({ configFile: options.config, set: options.set });
  for (const warning of settings.tls.warnings) process.stderr.write(`vernier: ${warning}\n`);
  const { logger, release } = createLog({ level: options.logLevel, file: options.logFile });
  const own = certificate === undefined ? {} : { ...certificate, keyPassword: undefined };
  const tls = new ServerIdentity({ ...settings.tls.server, ...own, logger });
  const { listen: host, proxyPort: port, readyFile } = options;
  const server = new GrpcProxy({ host, port, tls, limits: settings.limits, logger });
  const stop = async (): Promise<void> => {
    await server.stop();
    tls.close();
  };
  let address: string;
  let readyMs: number;
  try {
    await tls.open();
    address = await server.listen();
    if (readyFile !== undefined) clearReadyFile(readyFile);
    await server.serveRemote({ namesrvs, ...connecting, logger });
    readyMs = Math.round(sinceStart());
    // Whoever waits for the file would wait for ever, beside a process that goes on.
    if (readyFile !== undefined) writeReadyFile(readyFile, { pid: process.pid, version, proxy: address, readyMs });
  } catch (error) {
    await stop();
    throw listenError(error, 'lone proxy', host, port);
  }
  serving();
  const warning = proxyOpenToAllWarning(host, connecting.credentials !== undefined);
  if (warning !== undefined) process.stderr.write(`vernier: ${warning}\n`);
  release();
  serveWithoutOutput();
  process.stdout.write(
    `Vernier ${version}\n\n  gRPC proxy  ${address}\n  nameserver  ${namesrvs.join(', ')} (outside this process)\n\n` +
      `ready after ${readyMs} ms; Ctrl-C stops it\n`,
  );
  try {
    await new Promise<void>((resolve, reject) => {
      const control = new StopControl({
        diskCalls: () => [],
        ...stopLimitsOf(settings.limits.stopMs),
        onStopping: (signal) => process.stderr.write(`vernier: stopping (${signal})\n`),
        stop: () => stop().then(resolve, reject),
      });
      control.listen();
    });
  } finally {
    if (readyFile !== undefined) removeReadyFile(readyFile);
  }
  return EXIT_OK;
}

/** A stop that the limits of gRPC let take long is none that hangs. */
const stopLimitsOf = (stopMs = 0) => ({
  limitMs: Math.max(STOP_LIMIT_MS, stopMs + STOP_MORE_MS),
  totalLimitMs: Math.max(STOP_TOTAL_LIMIT_MS, stopMs + STOP_MORE_MS),
});

/** Throws CLI_USAGE, REMOTING_ADDRESS_INVALID. */
function namesrvsOf(typed: string): string[] {
  const addresses = typed
    .split(';')
    .map((address) => address.trim())
    .filter((address) => address !== '');
  if (addresses.length === 0) throw new CliError('CLI_USAGE', '--namesrv is empty; expected host:port', { typed });
  for (const address of addresses) parseAddress(address);
  return addresses;
}
