import { join } from 'node:path';
import { asObject, integerMember } from '@vernier/remoting';
import { StoreError, type StoreLogger } from '@vernier/store';
import { type FileSystem, readAtomic, writeAtomic } from '@vernier/store/internal';

const FILE_NAME = 'brokerPort.json';

const portFrom = (content: Buffer): number => {
  const port = integerMember(asObject(JSON.parse(content.toString('utf8')), FILE_NAME), 'listenPort');
  if (port < 1 || port > 65_535) throw new RangeError(`listenPort is ${port}`);
  return port;
};

/**
 * The port that message ids of this directory carry; undefined when none was remembered. It is a convenience: a file that
 * cannot be used is as good as none.
 */
export async function rememberedPort(
  fileSystem: FileSystem,
  directory: string,
  logger: StoreLogger,
): Promise<number | undefined> {
  try {
    return await readAtomic(fileSystem, join(directory, FILE_NAME), portFrom, logger);
  } catch (error) {
    logger.warn({ directory }, `${FILE_NAME} is not used: ${(error as Error).message}`);
    return undefined;
  }
}

/**
 * On disk when it resolves, unless the disk does not take it: that is said, and no reason not to serve what is stored. Rejects
 * with the store's own errors, such as that its directory was moved.
 */
export async function rememberPort(
  fileSystem: FileSystem,
  directory: string,
  port: number,
  logger: StoreLogger,
): Promise<void> {
  try {
    await writeAtomic(fileSystem, join(directory, FILE_NAME), `${JSON.stringify({ listenPort: port })}\n`);
  } catch (error) {
    if (error instanceof StoreError) throw error;
    logger.warn({ err: error, directory }, `${FILE_NAME} could not be written, the next start may take another port`);
  }
}
