import { join, relative } from 'node:path';
import { StoreError } from '@vernier/store';
import {
  backupPath,
  CHECKPOINT_BYTES,
  type CheckpointContent,
  CQ_STORE_UNIT_SIZE,
  decodeCheckpoint,
  decodeDeletions,
  isOffsetName,
  type LockState,
  lockStateOf,
  NodeFileSystem,
  notAFileError,
  storePaths,
} from '@vernier/store/internal';

import { type QueueKinds, readQueueKinds } from './queue-kinds.ts';

/** One file of the log, the queues or the index. */
export interface DataFile {
  path: string;
  /** First byte in the log, or in its queue; of an index file 0. */
  from: number;
  size: number;
}

export interface QueueLayout {
  topic: string;
  queueId: number;
  /** Sorted by name. */
  files: DataFile[];
}

/**
 * `clean`: shut down in an orderly way. `live`: a broker has it open now. `unclean`: a broker had it open and is gone,
 * the next start recovers.
 */
export type StoreState = 'clean' | 'live' | 'unclean';

/** What lies in a store's directory, found out by looking: names and sizes, no contents but the checkpoint's. */
export interface StoreLayout extends QueueKinds {
  root: string;
  state: StoreState;
  lock: LockState;
  abort: { exists: boolean; pid: string };
  /** A checkpoint of ours, still believable: the last broker that stored here was Vernier. */
  own: boolean;
  checkpoint: CheckpointContent | undefined;
  checkpointBytes: number;
  logDirectories: string[];
  logFiles: DataFile[];
  /** Size that the log's files have; of several sizes the one that their names bear out. 0 without files. */
  logFileSize: number;
  /** Files of no length, which a start removes when it is the last one. */
  emptyFiles: string[];
  /** Files whose name is no offset: a broker does not start with them. */
  strangers: string[];
  /** Without those of topics that have batch queues. */
  queues: Map<string, Map<number, QueueLayout>>;
  /** Of topics that have batch queues. */
  batchQueues: Map<string, Map<number, QueueLayout>>;
  /** Of their files. */
  batchFileSize: number;
  /** Extensions of queue entries (RocketMQ enableConsumeQueueExt). */
  extensions: Map<string, Map<number, QueueLayout>>;
  queueCount: number;
  queueFileSize: number;
  indexFiles: DataFile[];
  /** Deleted topics: offset in the log below which their records are dead (deletions.json). */
  deletions: ReadonlyMap<string, number>;
  /** Why deletions.json is not believed; its previous copy, where that is whole, is what `deletions` has. */
  deletionsProblem: string | undefined;
  /** Kinds of files that are there and not looked into, such as those of compaction. */
  unread: string[];
  quarantine: string[];
}

export interface LayoutOptions {
  /** storePathCommitLog, when it is not `commitlog` below the root; commas between several. */
  logPath?: string | undefined;
  /** This process holds the store's lock, so nobody else has it open. */
  lockIsOurs?: boolean;
}

const fileSystem = new NodeFileSystem();
export const doctorFileSystem = fileSystem;

/** A path as findings show it: below the root, or absolute when the log lies elsewhere. */
export function shownPath(root: string, path: string): string {
  const shown = relative(root, path);
  return shown.startsWith('..') ? path : shown;
}

/**
 * Reads the layout. Nothing is opened for writing and no lock is taken.
 * @throws StoreError STORE_DIRECTORY_UNUSABLE, STORE_NOT_A_STORE when there is no store of this kind, STORE_NOT_A_FILE
 * when one of its files is a named pipe, a device or a directory
 */
export async function readLayout(root: string, options: LayoutOptions = {}): Promise<StoreLayout> {
  const stat = await fileSystem.stat(root).catch((error: NodeJS.ErrnoException) => {
    throw new StoreError('STORE_DIRECTORY_UNUSABLE', `${root} cannot be read: ${error.code}`, { path: root }, error);
  });
  if (stat?.isDirectory !== true) {
    const what = stat ? 'not a directory' : 'not there';
    throw new StoreError('STORE_DIRECTORY_UNUSABLE', `${root} is ${what}`, { path: root });
  }
  const paths = storePaths(root);
  // The checkpoint first: whatever a live broker does from here on, what it says stays true.
  const page = await fileSystem.readFile(paths.checkpoint);
  const checkpoint = page === undefined || page.length === 0 ? undefined : decodeCheckpoint(page);
  const abort = await fileSystem.readFile(paths.abort);
  // Whoever asks for the lock opens it and does not say what is wrong with it.
  if ((await fileSystem.stat(paths.lock))?.isDirectory) throw notAFileError(paths.lock, 'a directory');
  const lock: LockState = options.lockIsOurs ? { kind: 'free' } : lockStateOf(root);
  const logDirectories = logDirectoriesOf(root, options.logPath);
  const log = await readLogFiles(logDirectories);
  const queues = await readQueues(paths.consumeQueue);
  const kinds = await readQueueKinds(root, queues.keys(), fileSystem);
  for (const topic of kinds.batchTopics) queues.delete(topic);
  const batchQueues = await readQueues(paths.batchConsumeQueue);
  for (const topic of batchQueues.keys()) if (!kinds.batchTopics.has(topic)) batchQueues.delete(topic);
  const indexFiles = await readFiles(paths.index, /^\d{17}$/, () => 0);
  const names = await fileSystem.list(root);
  const isStore = log.files.length > 0 || queues.size > 0 || page !== undefined || names.includes('commitlog');
  if (!isStore) {
    throw new StoreError('STORE_NOT_A_STORE', `${root} holds neither a commitlog nor a checkpoint: it is no store`, {
      path: root,
    });
  }
  if (log.dledger) {
    throw new StoreError('STORE_NOT_A_STORE', `${root} is a DLedger store, whose log has another format`, {
      path: root,
    });
  }
  return {
    root,
    state: lock.kind === 'held' || (lock.kind === 'unknown' && abort) ? 'live' : abort ? 'unclean' : 'clean',
    lock,
    abort: { exists: abort !== undefined, pid: abort?.toString('latin1').trim() ?? '' },
    own: checkpoint?.durablePointState === 'valid',
    checkpoint,
    checkpointBytes: page?.length ?? 0,
    logDirectories,
    logFiles: log.files,
    logFileSize: commonSize(log.files),
    emptyFiles: log.emptyFiles,
    strangers: log.strangers,
    queues,
    queueCount: [...queues.values()].reduce((count, byId) => count + byId.size, 0),
    queueFileSize: commonSize(filesOf(queues)),
    batchQueues,
    batchFileSize: commonSize(filesOf(batchQueues)),
    ...kinds,
    extensions: await readQueues(paths.consumeQueueExt),
    indexFiles,
    ...(await readDeletions(paths.deletions)),
    unread: names.filter((name) => ['compaction', 'consumequeue_r'].includes(name)),
    quarantine: await fileSystem.list(paths.quarantine),
  };
}

/** The length of a whole checkpoint file. */
export const CHECKPOINT_FILE_BYTES = CHECKPOINT_BYTES;

async function readDeletions(path: string): Promise<Pick<StoreLayout, 'deletions' | 'deletionsProblem'>> {
  const read = async (file: string): Promise<ReadonlyMap<string, number> | string | undefined> => {
    const content = await fileSystem.readFile(file).catch((error: Error) => error.message);
    return typeof content === 'object' ? decodeDeletions(content) : content;
  };
  const main = await read(path);
  if (typeof main !== 'string') return { deletions: main ?? new Map(), deletionsProblem: undefined };
  const copy = await read(backupPath(path));
  return { deletions: typeof copy === 'object' ? copy : new Map(), deletionsProblem: main };
}

function logDirectoriesOf(root: string, logPath: string | undefined): string[] {
  if (logPath === undefined || logPath === '') return [join(root, 'commitlog')];
  return logPath
    .split(',')
    .map((path) => path.trim())
    .filter((path) => path !== '');
}

async function readLogFiles(
  directories: readonly string[],
): Promise<{ files: DataFile[]; emptyFiles: string[]; strangers: string[]; dledger: boolean }> {
  const files: DataFile[] = [];
  const emptyFiles: string[] = [];
  const strangers: string[] = [];
  let dledger = false;
  for (const directory of directories) {
    for (const name of await fileSystem.list(directory)) {
      const path = join(directory, name);
      const stat = await fileSystem.stat(path);
      // A live broker removes files that have had their day.
      if (stat === undefined) continue;
      if (stat.isDirectory && isOffsetName(name)) throw notAFileError(path, 'a directory');
      if (stat.isDirectory) dledger ||= name.startsWith('dledger');
      else if (!isOffsetName(name)) strangers.push(path);
      else if (stat.size === 0) emptyFiles.push(path);
      else files.push({ path, from: Number(name), size: stat.size });
    }
  }
  files.sort((a, b) => a.from - b.from);
  return { files, emptyFiles, strangers, dledger };
}

async function readQueues(directory: string): Promise<Map<string, Map<number, QueueLayout>>> {
  const queues = new Map<string, Map<number, QueueLayout>>();
  const topics = await fileSystem.list(directory).catch((error: NodeJS.ErrnoException) => {
    // A file of that name holds no queues.
    if (error.code === 'ENOTDIR') return [];
    throw error;
  });
  for (const topic of topics) {
    const byId = new Map<number, QueueLayout>();
    for (const name of await fileSystem.list(join(directory, topic)).catch(() => [])) {
      if (!/^\d{1,10}$/.test(name)) continue;
      const files = await readFiles(join(directory, topic, name), /^\d{20}$/, Number);
      if (files.length > 0) byId.set(Number(name), { topic, queueId: Number(name), files });
    }
    if (byId.size > 0) queues.set(topic, byId);
  }
  return queues;
}

async function readFiles(directory: string, names: RegExp, fromOf: (name: string) => number): Promise<DataFile[]> {
  const files: DataFile[] = [];
  const listed = await fileSystem.list(directory).catch(() => []);
  for (const name of listed) {
    if (!names.test(name)) continue;
    const path = join(directory, name);
    const stat = await fileSystem.stat(path);
    if (stat?.isDirectory) throw notAFileError(path, 'a directory');
    if (stat !== undefined && stat.size > 0) files.push({ path, from: fromOf(name), size: stat.size });
  }
  return files;
}

const filesOf = (queues: ReadonlyMap<string, ReadonlyMap<number, QueueLayout>>): DataFile[] =>
  [...queues.values()].flatMap((byId) => [...byId.values()].flatMap(({ files }) => files));

/** The size that most files have; of equals the larger one, because files get shorter by accident and not longer. */
export function commonSize(files: readonly DataFile[]): number {
  const counts = new Map<number, number>();
  for (const { size } of files) counts.set(size, (counts.get(size) ?? 0) + 1);
  let best = 0;
  for (const [size, count] of counts) {
    const bestCount = counts.get(best) ?? 0;
    if (count > bestCount || (count === bestCount && size > best)) best = size;
  }
  return best;
}

/** Entries that a queue file of this size holds. */
export const unitsIn = (bytes: number): number => Math.floor(bytes / CQ_STORE_UNIT_SIZE);
