import { RemotingError } from '@vernier/remoting';
import { CliError } from '../errors.ts';

const flags = {
  nameserver: '--namesrv-port, 0 is any',
  broker: '--broker-port, 0 is any',
  proxy: '--proxy-port, 0 is any, or do without gRPC by --no-proxy',
  'lone proxy': '--proxy-port, 0 is any',
  'metrics port': '--set metricsPromExporterPort=…, 0 is any',
} as const;

/** An address that cannot be listened on, in the words of the command line; anything else as it is. */
export function listenError(error: unknown, what: keyof typeof flags, host: string, port: number): unknown {
  if (!(error instanceof RemotingError)) return error;
  const at = `the ${what === 'lone proxy' ? 'proxy' : what} cannot listen on ${host}:${port}`;
  const flag = flags[what];
  const details = { host, port, ...error.details };
  switch (error.code) {
    case 'REMOTING_PORT_IN_USE':
      return new CliError(
        'CLI_PORT_IN_USE',
        `${at}: the port is in use (EADDRINUSE); take another with ${flag}`,
        details,
        error,
      );
    case 'REMOTING_PORT_FORBIDDEN':
      return new CliError(
        'CLI_ADDRESS_UNUSABLE',
        `${at}: not permitted (EACCES); ports below 1024 need a right of their own`,
        details,
        error,
      );
    case 'REMOTING_ADDRESS_UNAVAILABLE':
      return new CliError(
        'CLI_ADDRESS_UNUSABLE',
        `${at}: it is no address of this machine; --listen takes one`,
        details,
        error,
      );
    default:
      return error;
  }
}
