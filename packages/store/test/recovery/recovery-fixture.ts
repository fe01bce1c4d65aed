import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { systemClock } from '../../src/base/clock.ts';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/base/config.ts';
import type { StoreContext } from '../../src/base/context.ts';
import type { StoreError } from '../../src/base/errors.ts';
import type { FileSystem } from '../../src/base/file-system.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import { IndexService } from '../../src/key-index/index-service.ts';
import { IndexTarget } from '../../src/key-index/index-target.ts';
import { createMappedFileEngine } from '../../src/mapped-file/mapped-file-engine.ts';
import { MappedFileQueue } from '../../src/mapped-file/mapped-file-queue.ts';
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { ConsumeQueueTarget } from '../../src/queue/consume-queue-target.ts';
import { Deletions } from '../../src/queue/deletions.ts';
import type { DispatchRequest } from '../../src/record/dispatch-request.ts';
import type { DispatchTarget } from '../../src/record/dispatch-target.ts';
import { AbortFile } from '../../src/recovery/abort-file.ts';
import { type RecoveryResult, recoverStore } from '../../src/recovery/recovery.ts';
import { StoreCheckpoint, targetsAt } from '../../src/recovery/store-checkpoint.ts';
import { encodeBlank, encodeRecord, type TestRecord } from '../record/record-encoder.ts';

export const FILE_SIZE = 64 * 1024;
export const START_TIME = 1_700_000_000_000;

export interface Written {
  offset: number;
  bytes: Buffer;
  queueId: number;
  queueOffset: number;
  storeTimestamp: number;
}

/** A commit log as a broker would have left it, made byte by byte. */
export class LogImage {
  readonly files = new Map<number, Buffer>();
  readonly records: Written[] = [];
  end: number;
  readonly #queueOffsets = new Map<number, number>();

  constructor(from = 0) {
    this.end = from;
  }

  /** The numbers of this queue start again at 0, as when its topic was deleted and made anew. */
  restart(queueId: number): void {
    this.#queueOffsets.delete(queueId);
  }

  append(fields: Partial<TestRecord> = {}): Written {
    const queueId = fields.queueId ?? 0;
    const queueOffset = fields.queueOffset ?? this.#queueOffsets.get(queueId) ?? 0;
    const storeTimestamp = fields.storeTimestamp ?? START_TIME + this.records.length * 1_000;
    const encode = (physicalOffset: number): Buffer =>
      encodeRecord({ ...fields, queueId, queueOffset, physicalOffset, storeTimestamp });
    let bytes = encode(this.end);
    const left = FILE_SIZE - (this.end % FILE_SIZE);
    if (bytes.length + 8 > left) {
      this.write(this.end, encodeBlank(left));
      this.end += left;
      bytes = encode(this.end);
    }
    this.write(this.end, bytes);
    const written = { offset: this.end, bytes, queueId, queueOffset, storeTimestamp };
    this.records.push(written);
    this.#queueOffsets.set(queueId, queueOffset + 1);
    this.end += bytes.length;
    return written;
  }

  appendMany(count: number, bodyBytes = 1_000): void {
    for (let i = 0; i < count; i++) this.append({ body: Buffer.alloc(bodyBytes, i), queueId: i % 3 });
  }

  write(offset: number, bytes: Buffer): void {
    const from = offset - (offset % FILE_SIZE);
    let file = this.files.get(from);
    if (file === undefined) {
      file = Buffer.alloc(FILE_SIZE);
      this.files.set(from, file);
    }
    bytes.copy(file, offset - from);
  }

  flipBit(offset: number): void {
    const from = offset - (offset % FILE_SIZE);
    this.files.get(from)![offset - from]! ^= 0x10;
  }

  /** The record that starts at or before this share of the log. */
  recordAt(share: number): Written {
    return this.records[Math.floor(share * (this.records.length - 1))]!;
  }

  /** What a sound recovery must leave when the log ends at `end`. */
  expected(end: number): Map<number, Buffer> {
    const result = new Map<number, Buffer>();
    for (const [from, bytes] of this.files) {
      if (from > end) continue;
      const kept = Buffer.from(bytes);
      if (end < from + FILE_SIZE) kept.fill(0, end - from);
      result.set(from, kept);
    }
    return result;
  }
}

export function name(offset: number): string {
  return String(offset).padStart(20, '0');
}

export interface Opened {
  result: RecoveryResult;
  dispatched: DispatchRequest[];
  context: StoreContext;
  log: MappedFileQueue;
  queues: ConsumeQueueStore;
  deletions: Deletions;
  index: IndexService;
  checkpoint: StoreCheckpoint;
  warnings: { fields: Record<string, unknown>; message: string }[];
}

export interface OpenMore {
  chunkBytes?: number;
  onProgress?: (done: number, total: number) => void;
  /** Beside queues and index. */
  targets?: readonly DispatchTarget[];
}

export class StoreDirectory {
  readonly root: string;
  readonly config: MessageStoreConfig;

  private constructor(root: string, config: MessageStoreConfig) {
    this.root = root;
    this.config = config;
  }

  static async make(t: TestContext, config: Partial<MessageStoreConfig> = {}): Promise<StoreDirectory> {
    const root = await temporaryFolder(t, 'recovery');
    const storePathCommitLog = join(root, 'commitlog');
    await mkdir(storePathCommitLog);
    return new StoreDirectory(root, {
      ...defaultMessageStoreConfig,
      storePathRootDir: root,
      storePathCommitLog,
      mappedFileSizeCommitLog: FILE_SIZE,
      mappedFileSizeConsumeQueue: 400,
      maxHashSlotNum: 100,
      maxIndexNum: 1_000,
      ...config,
    });
  }

  get checkpointPath(): string {
    return join(this.root, 'checkpoint');
  }

  async writeLog(image: LogImage): Promise<void> {
    for (const [from, bytes] of image.files) await writeFile(this.logPath(from), bytes);
  }

  logPath(offset: number): string {
    return join(this.config.storePathCommitLog, name(offset));
  }

  async readLog(): Promise<Map<number, Buffer>> {
    const result = new Map<number, Buffer>();
    for (const file of (await readdir(this.config.storePathCommitLog)).sort()) {
      if (/^\d{20}$/.test(file)) result.set(Number(file), await readFile(join(this.config.storePathCommitLog, file)));
    }
    return result;
  }

  async patch(offset: number, bytes: Buffer): Promise<void> {
    const file = await open(this.logPath(offset - (offset % FILE_SIZE)), 'r+');
    await file.write(bytes, 0, bytes.length, offset % FILE_SIZE);
    await file.close();
  }

  /** Every file of the directory with its content, `lock` and the like included. */
  async snapshot(): Promise<Map<string, string>> {
    const result = new Map<string, string>();
    for (const entry of await readdir(this.root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      result.set(path.slice(this.root.length), (await readFile(path)).toString('base64'));
    }
    return result;
  }

  async quarantined(): Promise<Buffer[]> {
    const directory = join(this.root, 'quarantine');
    const names = await readdir(directory).catch(() => []);
    return await Promise.all(names.sort().map((file) => readFile(join(directory, file))));
  }

  /** A checkpoint of ours, as the last flush before the exit left it. */
  async writeCheckpoint(durablePoint: number, logicsPoint: number, physicMsgTimestamp = START_TIME): Promise<void> {
    const checkpoint = await StoreCheckpoint.open(
      this.checkpointPath,
      context(this.config, new NodeFileSystem()).context,
    );
    checkpoint.recovered(durablePoint, targetsAt(logicsPoint), physicMsgTimestamp);
    checkpoint.setLogicsMsgTimestamp(physicMsgTimestamp);
    await checkpoint.close();
  }

  /** A checkpoint as Java writes it: the first 40 bytes, the rest zeros or whatever was there. */
  async writeJavaCheckpoint(physic: number, logics: number): Promise<void> {
    const page = (await readFile(this.checkpointPath).catch(() => undefined)) ?? Buffer.alloc(4096);
    page.writeBigInt64BE(BigInt(physic), 0);
    page.writeBigInt64BE(BigInt(logics), 8);
    await writeFile(this.checkpointPath, page);
  }

  async writeAbort(): Promise<void> {
    await new AbortFile(join(this.root, 'abort'), new NodeFileSystem()).create(1);
  }

  /** Loads and recovers as the store does at its start, then (unless told otherwise) closes as after a kill. */
  async open(t: TestContext, more: OpenMore & { fileSystem?: FileSystem } = {}): Promise<Opened> {
    return await openStore(t, this.config, more.fileSystem ?? new NodeFileSystem(), more);
  }

  /** Opens, flushes queues and index, notes it in the checkpoint and closes: the clean end of a store. */
  async openAndShutDown(t: TestContext): Promise<Opened> {
    const opened = await this.open(t);
    await opened.queues.flush(0);
    opened.checkpoint.setTargetPoints(targetsAt(opened.result.maxOffset));
    await opened.checkpoint.flush();
    await rm(join(this.root, 'abort'), { force: true });
    return opened;
  }
}

export function context(config: MessageStoreConfig, fileSystem: FileSystem) {
  const warnings: { fields: Record<string, unknown>; message: string }[] = [];
  let failure: StoreError | undefined;
  const warn = (fields: object, message: string): void => {
    warnings.push({ fields: fields as Record<string, unknown>, message });
  };
  const made: StoreContext = {
    config,
    fileSystem,
    clock: systemClock,
    logger: { debug() {}, info() {}, warn, error: warn },
    fail(error) {
      failure ??= error;
      return failure;
    },
    get failure() {
      return failure;
    },
  };
  return { context: made, warnings };
}

/** Loads and recovers as the store does at its start; when the test ends, closes as after a kill. */
export async function openStore(
  t: TestContext,
  config: MessageStoreConfig,
  fileSystem: FileSystem,
  more: OpenMore = {},
): Promise<Opened> {
  const made = context(config, fileSystem);
  const log = new MappedFileQueue(made.context, {
    storePath: config.storePathCommitLog,
    mappedFileSize: config.mappedFileSizeCommitLog,
    engine: createMappedFileEngine(made.context),
  });
  const deletions = new Deletions(join(config.storePathRootDir, 'deletions.json'), made.context);
  const queues = new ConsumeQueueStore(made.context, deletions);
  const index = new IndexService(made.context);
  let checkpoint: StoreCheckpoint | undefined;
  const closeAll = async (): Promise<void> => {
    await checkpoint?.abandon().catch(() => {});
    await queues.close().catch(() => {});
    await index.close().catch(() => {});
    await log.shutdown().catch(() => {});
  };
  try {
    checkpoint = await StoreCheckpoint.open(join(config.storePathRootDir, 'checkpoint'), made.context);
    await log.load();
    await deletions.load();
    await queues.load();
    await index.load();
    const dispatched: DispatchRequest[] = [];
    const targets = [new ConsumeQueueTarget(queues), new IndexTarget(index), ...(more.targets ?? [])];
    const result = await recoverStore({
      context: made.context,
      mappedFileQueue: log,
      consumeQueueStore: queues,
      targets,
      deletions,
      checkpoint,
      lastExitOk: !(await new AbortFile(join(config.storePathRootDir, 'abort'), fileSystem).exists()),
      dispatch: (request) => {
        dispatched.push(request);
        for (const target of targets) target.dispatchRecovered(request);
      },
      onDispatched: () => queues.endRecovery(),
      onProgress: more.onProgress,
      chunkBytes: more.chunkBytes ?? 4096,
    });
    cleanUp(t, closeAll);
    return {
      result,
      dispatched,
      context: made.context,
      log,
      queues,
      deletions,
      index,
      checkpoint,
      warnings: made.warnings,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
