import type { TestContext } from 'node:test';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/base/config.ts';
import type { StoreContext } from '../../src/base/context.ts';
import type { StoreError } from '../../src/base/errors.ts';
import { createMappedFileEngine } from '../../src/mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from '../../src/mapped-file/mapped-file-queue.ts';

export const HOUR = 3_600_000;
export const FILE_SIZE = 4096;
/** 10:00 in local time: not an hour of deleteWhen. */
export const TEN = new Date(2026, 5, 15, 10).getTime();

export class CleanFileSystem extends SimulatedFileSystem {
  usedPercent = new Map<string, number>();
  override async space(path = ''): Promise<{ totalBytes: number; freeBytes: number }> {
    for (const [part, percent] of this.usedPercent) {
      if (path.includes(part)) return { totalBytes: 1_000, freeBytes: 1_000 - percent * 10 };
    }
    return { totalBytes: 1_000, freeBytes: 900 };
  }
}

/** A log with so many full files, each an hour younger than the one before it, the newest `newestAgeHours` old. */
export async function makeLog(
  t: TestContext,
  options: { files?: number; newestAgeHours?: number; now?: number; config?: Partial<MessageStoreConfig> } = {},
) {
  const files = options.files ?? 5;
  const clock = new ManualClock(options.now ?? TEN);
  let stampedAt = clock.now();
  let useClock = false;
  const fileSystem = new CleanFileSystem({ now: () => (useClock ? clock.now() : stampedAt) });
  const config: MessageStoreConfig = {
    ...defaultMessageStoreConfig,
    storePathRootDir: '/store',
    storePathCommitLog: '/store/commitlog',
    mappedFileSizeCommitLog: FILE_SIZE,
    appendBufferSize: 64 * 1024,
    ...options.config,
  };
  await fileSystem.makeDirectory(config.storePathRootDir);
  await fileSystem.makeDirectory(config.storePathCommitLog);
  for (let index = 0; index < files; index++) {
    stampedAt = clock.now() - ((options.newestAgeHours ?? 0) + files - 1 - index) * HOUR;
    const path = `${config.storePathCommitLog}/${String(index * FILE_SIZE).padStart(20, '0')}`;
    const file = await fileSystem.open(path, 'create');
    await file.write(Buffer.alloc(FILE_SIZE, index), 0);
    await file.sync();
    await file.close();
  }
  for (const directory of ['/', '/store', config.storePathCommitLog]) await fileSystem.syncDirectory(directory);
  useClock = true;
  let failure: StoreError | undefined;
  const logged: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  const log =
    (level: string) =>
    (fields: object, message: string): void => {
      logged.push({ level, message, fields: fields as Record<string, unknown> });
    };
  const context: StoreContext = {
    config,
    fileSystem,
    clock,
    logger: { debug() {}, info: log('info'), warn: log('warn'), error: log('error') },
    fail(error) {
      failure ??= error;
      return failure;
    },
    get failure() {
      return failure;
    },
  };
  const queue = new MappedFileQueue(context, {
    storePath: config.storePathCommitLog,
    mappedFileSize: FILE_SIZE,
    engine: createMappedFileEngine(context),
  });
  await queue.load();
  queue.setFlushedWhere(files * FILE_SIZE);
  cleanUp(t, () => queue.shutdown());
  const names = async (): Promise<number[]> => {
    const found = await fileSystem.list(config.storePathCommitLog);
    return found.filter((name) => /^\d{20}$/.test(name)).map((name) => Number(name) / FILE_SIZE);
  };
  return { clock, fileSystem, context, queue, names, logged, config };
}
