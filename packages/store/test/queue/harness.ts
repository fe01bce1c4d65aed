import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Clock, systemClock } from '../../src/clock.ts';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/config.ts';
import type { StoreContext } from '../../src/context.ts';
import type { StoreError } from '../../src/errors.ts';
import type { FileSystem } from '../../src/io/file-system.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import type { DispatchRequest } from '../../src/queue/dispatch-request.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

export interface LogLine {
  level: string;
  fields: Record<string, unknown>;
  message: string;
}

export interface TestStoreContext extends StoreContext {
  lines: LogLine[];
  failure: StoreError | undefined;
}

export function makeContext(
  fileSystem: FileSystem,
  root: string,
  config: Partial<MessageStoreConfig> = {},
  clock: Clock = systemClock,
): TestStoreContext {
  const lines: LogLine[] = [];
  const log =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields: fields as Record<string, unknown>, message });
    };
  return {
    config: {
      ...defaultMessageStoreConfig,
      storePathRootDir: root,
      storePathCommitLog: join(root, 'commitlog'),
      ...config,
    },
    fileSystem,
    clock,
    logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    lines,
    failure: undefined,
    fail(error) {
      this.failure ??= error;
      return this.failure;
    },
  };
}

/** A context over the real file system in a directory of its own. */
export async function diskContext(
  t: TestContext,
  config: Partial<MessageStoreConfig> = {},
  clock?: Clock,
): Promise<TestStoreContext> {
  const root = await mkdtemp(join(tmpdir(), 'vernier-queue-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  return makeContext(new NodeFileSystem(), root, config, clock);
}

export interface MemoryContext extends TestStoreContext {
  fileSystem: MemoryFileSystem;
}

export function memoryContext(
  config: Partial<MessageStoreConfig> = {},
  fileSystem = new MemoryFileSystem(),
  clock?: Clock,
): MemoryContext {
  return makeContext(fileSystem, '/store', config, clock) as MemoryContext;
}

/** The same store after its process ended: same files, nothing else. */
export function reopened<T extends TestStoreContext>(context: T): T {
  return makeContext(context.fileSystem, context.config.storePathRootDir, context.config, context.clock) as T;
}

export function request(fields: Partial<DispatchRequest> = {}): DispatchRequest {
  return {
    topic: 'T',
    queueId: 0,
    commitLogOffset: 0,
    msgSize: 100,
    tagsCode: 0,
    storeTimestamp: 1_700_000_000_000,
    consumeQueueOffset: 0,
    keys: '',
    uniqKey: undefined,
    sysFlag: 0,
    preparedTransactionOffset: 0,
    ...fields,
  };
}
