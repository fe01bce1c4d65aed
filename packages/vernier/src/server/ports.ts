import { createServer } from 'node:net';
import { CliError } from '../errors.ts';

/**
 * Finds out whether an address can be listened on, before anything is made or opened: a start that fails for a taken
 * port leaves the data directory as it was. Port 0 tries the host alone.
 * @throws CliError CLI_PORT_IN_USE, CLI_ADDRESS_UNUSABLE
 */
export async function checkAddress(host: string, port: number, what: string, flag: string): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    throw addressError(error as NodeJS.ErrnoException, host, port, what, flag);
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

function addressError(error: NodeJS.ErrnoException, host: string, port: number, what: string, flag: string): CliError {
  const details = { host, port, errno: error.code };
  const at = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new CliError(
        'CLI_PORT_IN_USE',
        `the ${what} cannot listen on ${at}: the port is in use (EADDRINUSE); take another with ${flag}, 0 is any`,
        details,
        error,
      );
    case 'EACCES':
      return new CliError(
        'CLI_ADDRESS_UNUSABLE',
        `the ${what} cannot listen on ${at}: not permitted (EACCES); ports below 1024 need a right of their own`,
        details,
        error,
      );
    default:
      return new CliError(
        'CLI_ADDRESS_UNUSABLE',
        `the ${what} cannot listen on ${at}: ${error.code ?? error.message}; --listen takes an address of this machine`,
        details,
        error,
      );
  }
}
