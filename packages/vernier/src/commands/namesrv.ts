import { join, resolve } from 'node:path';
import { Namesrv } from '@vernier/broker';
import { ServerIdentity } from '@vernier/remoting';
import { loadNamesrvSettings } from '../config/settings.ts';
import { CliError } from '../errors.ts';
import { EXIT_OK, type Phase } from '../exit-codes.ts';
import { createLog, type LogLevel } from '../log.ts';
import { report } from '../main.ts';
import { serveWithoutOutput } from '../output/broken-output.ts';
import { listenError } from '../server/listen-error.ts';
import { openToAllWarning } from '../server/open-to-all.ts';
import { clearReadyFile, removeReadyFile, writeReadyFile } from '../server/ready-file.ts';
import { sinceStart } from '../server/since-start.ts';
import { StopControl } from '../server/stop.ts';
import { version } from '../version.ts';

export interface NamesrvOptions {
  config?: string;
  dataDir?: string;
  set?: string[];
  listen: string;
  namesrvPort: number;
  readyFile?: string;
  logLevel?: LogLevel;
  logFile?: string;
}

/** `vernier namesrv`: a nameserver alone. Resolves with an exit code when it was stopped or could not start. */
export async function namesrv(options: NamesrvOptions): Promise<number> {
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

async function run(options: NamesrvOptions, serving: () => void): Promise<number> {
  const { tls: settings, access } = await loadNamesrvSettings({ configFile: options.config, set: options.set });
  const directory = directoryOf(options, access.authenticationEnabled === true || access.authorizationEnabled === true);
  for (const warning of settings.warnings) process.stderr.write(`vernier: ${warning}\n`);
  const { logger, release } = createLog({ level: options.logLevel, file: options.logFile });
  const tls = new ServerIdentity({ ...settings.server, ownDirectory: directory, logger });
  const server = new Namesrv({
    ...{ host: options.listen, port: options.namesrvPort, logger, tls },
    ...(directory === undefined ? {} : { directory }),
  });
  try {
    if (directory !== undefined) {
      const { guardNamesrv } = await import('@vernier/broker/internal');
      await guardNamesrv(server, { config: access, directory, logger });
    }
    await server.start();
    if (options.readyFile !== undefined) clearReadyFile(options.readyFile);
  } catch (error) {
    tls.close();
    await server.shutdown(0);
    throw listenError(error, 'nameserver', options.listen, options.namesrvPort);
  }
  serving();
  const warning = openToAllWarning(options.listen, access.authenticationEnabled === true);
  if (warning !== undefined) process.stderr.write(`vernier: ${warning}\n`);
  release();
  serveWithoutOutput();
  const readyMs = Math.round(sinceStart());
  try {
    if (options.readyFile !== undefined) {
      writeReadyFile(options.readyFile, { pid: process.pid, version, namesrv: server.address, readyMs });
    }
  } catch (error) {
    // Whoever waits for the file would wait for ever, beside a process that goes on.
    tls.close();
    await server.shutdown(0);
    throw error;
  }
  process.stdout.write(
    `Vernier ${version}\n\n  nameserver  ${server.address}\n\nready after ${readyMs} ms; Ctrl-C stops it\n`,
  );
  try {
    await new Promise<void>((resolve, reject) => {
      const control = new StopControl({
        diskCalls: () => [],
        onStopping: (signal) => process.stderr.write(`vernier: stopping (${signal})\n`),
        stop: () => server.shutdown().then(resolve, reject),
      });
      control.listen();
    });
  } finally {
    tls.close();
    if (options.readyFile !== undefined) removeReadyFile(options.readyFile);
  }
  return EXIT_OK;
}

/** Where users and settings are kept; undefined: nothing is. Throws CLI_USAGE when users have to be. */
function directoryOf({ dataDir }: NamesrvOptions, hasUsers: boolean): string | undefined {
  if (dataDir === '') throw new CliError('CLI_USAGE', 'the data directory is empty; expected a path');
  if (dataDir !== undefined) return join(resolve(dataDir), 'namesrv');
  if (!hasUsers) return undefined;
  throw new CliError('CLI_USAGE', 'authenticationEnabled needs --data-dir, where users and their policies are kept');
}
