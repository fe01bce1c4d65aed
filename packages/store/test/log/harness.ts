import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/base/config.ts';
import type { StoreContext } from '../../src/base/context.ts';
import type { FileSystem } from '../../src/base/file-system.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { RunningState } from '../../src/base/running-state.ts';
import type { MessageExtBrokerInner } from '../../src/base/types.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import { CommitLog } from '../../src/log/commit-log.ts';
import { createMappedFileEngine } from '../../src/mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from '../../src/mapped-file/mapped-file-queue.ts';
import { QueueOffsetOperator } from '../../src/queue/queue-offset-operator.ts';
import type { DispatchRequest } from '../../src/record/dispatch-request.ts';

const host = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };

export function message(fields: Partial<MessageExtBrokerInner> = {}): MessageExtBrokerInner {
  return {
    topic: 'T',
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    bornHost: host,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from('body'),
    propertiesString: 'TAGS\u0001A\u0002',
    ...fields,
  };
}

export const waitFalse = 'WAIT\u0001false\u0002';

/** A commit log on a fresh directory, without queues: what is dispatched is collected. */
export async function openLog(
  t: TestContext,
  settings: Partial<MessageStoreConfig> = {},
  more: {
    fileSystem?: FileSystem;
    clock?: Clock;
    wrap?: (fileSystem: FileSystem) => FileSystem;
    dispatchHeldReason?: () => string | undefined;
  } = {},
) {
  const root = await temporaryFolder(t, 'commit-log');
  const config: MessageStoreConfig = {
    ...defaultMessageStoreConfig,
    storePathRootDir: root,
    storePathCommitLog: join(root, 'commitlog'),
    mappedFileSizeCommitLog: 64 * 1024,
    appendBufferSize: 512 * 1024,
    diskFreeBytesMin: 0,
    ...settings,
  };
  let base = more.fileSystem ?? new NodeFileSystem();
  if (more.wrap) base = more.wrap(base);
  await base.makeDirectory(config.storePathCommitLog);
  let log: CommitLog | undefined;
  const running = new RunningState(silentLogger, (cause) => log?.onFailed(cause));
  const context: StoreContext = {
    config,
    fileSystem: base,
    clock: more.clock ?? systemClock,
    logger: silentLogger,
    fail: (error) => running.fail(error),
    get failure() {
      return running.failure;
    },
  };
  const queue = new MappedFileQueue(context, {
    storePath: config.storePathCommitLog,
    mappedFileSize: config.mappedFileSizeCommitLog,
    engine: createMappedFileEngine(context),
  });
  await queue.load();
  await queue.whenNextFileReady();
  const dispatched: DispatchRequest[] = [];
  log = new CommitLog({
    context,
    mappedFileQueue: queue,
    queueOffsetOperator: new QueueOffsetOperator(),
    dispatch: (request) => dispatched.push(request),
    onFlushed: () => {},
    ...(more.dispatchHeldReason && { dispatchHeldReason: more.dispatchHeldReason }),
  });
  log.start();
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await log.shutdown();
    await queue.shutdown();
  };
  cleanUp(t, close);
  return { root, config, context, log, queue, dispatched, close, running };
}
