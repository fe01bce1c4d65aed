import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/base/config.ts';
import type { StoreContext } from '../../src/base/context.ts';
import type { StoreError } from '../../src/base/errors.ts';
import type { FileSystem } from '../../src/base/file-system.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import type { DispatchRequest } from '../../src/record/dispatch-request.ts';
import { keyHashesOf } from '../../src/record/property-scan.ts';
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
  const root = await temporaryFolder(t, 'queue');
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

/** The keys as texts, for which the request has their hashes. */
export interface KeyTexts {
  uniqKey?: string | undefined;
  keys?: string;
  tags?: string;
}

export function request({
  uniqKey,
  keys = '',
  tags = '',
  ...fields
}: Partial<DispatchRequest> & KeyTexts = {}): DispatchRequest {
  return {
    topic: 'T',
    queueId: 0,
    commitLogOffset: 0,
    msgSize: 100,
    tagsCode: 0,
    storeTimestamp: 1_700_000_000_000,
    consumeQueueOffset: 0,
    keyHashes: keyHashesOf(uniqKey, keys, tags),
    sysFlag: 0,
    preparedTransactionOffset: 0,
    ...fields,
  };
}
