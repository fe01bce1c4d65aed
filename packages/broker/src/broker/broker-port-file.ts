import { join } from 'node:path';
import { asObject, integerMember } from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
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

/** On disk when it resolves. */
export async function rememberPort(fileSystem: FileSystem, directory: string, port: number): Promise<void> {
  await writeAtomic(fileSystem, join(directory, FILE_NAME), `${JSON.stringify({ listenPort: port })}\n`);
}
