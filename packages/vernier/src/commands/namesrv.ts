import { Namesrv } from '@vernier/broker';
import { ServerIdentity } from '@vernier/remoting';
import { loadTlsSettings } from '../config/settings.ts';
import { EXIT_OK, type Phase } from '../exit-codes.ts';
import { createLog, type LogLevel } from '../log.ts';
import { report } from '../main.ts';
import { serveWithoutOutput } from '../output/broken-output.ts';
import { listenError } from '../server/listen-error.ts';
import { clearReadyFile, removeReadyFile, writeReadyFile } from '../server/ready-file.ts';
import { sinceStart } from '../server/since-start.ts';
import { StopControl } from '../server/stop.ts';
import { version } from '../version.ts';

export interface NamesrvOptions {
  config?: string;
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
  const settings = await loadTlsSettings({ configFile: options.config, set: options.set });
  for (const warning of settings.warnings) process.stderr.write(`vernier: ${warning}\n`);
  const { logger, release } = createLog({ level: options.logLevel, file: options.logFile });
  const tls = new ServerIdentity({ ...settings.server, logger });
  const server = new Namesrv({ host: options.listen, port: options.namesrvPort, logger, tls });
  try {
    await server.start();
    if (options.readyFile !== undefined) clearReadyFile(options.readyFile);
  } catch (error) {
    tls.close();
    await server.shutdown(0);
    throw listenError(error, 'nameserver', options.listen, options.namesrvPort);
  }
  serving();
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
