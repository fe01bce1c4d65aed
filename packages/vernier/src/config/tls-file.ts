import { TLS_CONFIG_FILE } from '@vernier/broker/internal';
import { CliError } from '../errors.ts';
import { type Assignment, readProperties } from './properties.ts';

/**
 * What the file of tls.config.file says, as the assignments of config file and --set name it, else where RocketMQ looks, if
 * there is one. Rejects CLI_CONFIG_UNREADABLE for a file that was named and cannot be read; another is passed over, as in
 * RocketMQ.
 */
export async function readTlsFile(assignments: readonly Assignment[]): Promise<Assignment[]> {
  const named = assignments.findLast(({ key }) => key === 'tls.config.file')?.raw.trim();
  if (named) return readProperties(named);
  try {
    return await readProperties(TLS_CONFIG_FILE);
  } catch (error) {
    if (error instanceof CliError && error.details.code !== undefined) return [];
    throw error;
  }
}
