import { join } from 'node:path';
import type { MessageStoreConfig, MessageStoreOptions } from '../base/config.ts';
import { storeKeys } from '../base/config-keys.ts';
import { isOffsetName } from '../base/file-name.ts';
import type { FileStat, FileSystem } from '../base/file-system.ts';
import { valueProblem } from '../base/key-spec.ts';
import type { StoreLogger } from '../base/logger.ts';
import { resolveConfig } from '../base/validate-config.ts';
import { storePaths } from '../io/store-directory.ts';
import { type IndexShape, indexShapeOf } from '../key-index/index-shape.ts';

type SizeKey =
  | 'mappedFileSizeCommitLog'
  | 'mappedFileSizeConsumeQueue'
  | 'mapperFileSizeBatchConsumeQueue'
  | 'maxHashSlotNum'
  | 'maxIndexNum';

/** Files of queues that are looked at: one of a wrong length must not decide, and a store may have a hundred thousand. */
const QUEUE_SAMPLES = 16;

/**
 * A directory keeps the file sizes it was made with. The ones that `options` does not set are taken over from the files
 * that are there, with a line each; what is set and differs is refused when the files are loaded, and so are files that
 * have no common size. Nothing is changed on disk.
 */
export async function withFoundSizes(
  config: MessageStoreConfig,
  options: MessageStoreOptions,
  fileSystem: FileSystem,
  logger: StoreLogger,
): Promise<MessageStoreConfig> {
  const found: Partial<Record<SizeKey, number>> = {};
  const isOpen = (key: SizeKey): boolean => options[key] === undefined;
  if (isOpen('mappedFileSizeCommitLog')) {
    found.mappedFileSizeCommitLog = await commitLogFileSize(fileSystem, config.storePathCommitLog);
  }
  const paths = storePaths(config.storePathRootDir);
  if (isOpen('mappedFileSizeConsumeQueue')) {
    found.mappedFileSizeConsumeQueue = await queueFileSize(fileSystem, paths.consumeQueue, 20);
  }
  if (isOpen('mapperFileSizeBatchConsumeQueue')) {
    found.mapperFileSizeBatchConsumeQueue = await queueFileSize(fileSystem, paths.batchConsumeQueue, 46);
  }
  if (config.messageIndexEnable && (isOpen('maxHashSlotNum') || isOpen('maxIndexNum'))) {
    const shape = await indexShape(fileSystem, paths.index, options);
    if (isOpen('maxHashSlotNum')) found.maxHashSlotNum = shape?.slots;
    if (isOpen('maxIndexNum')) found.maxIndexNum = shape?.units;
  }
  const taken: Partial<Record<SizeKey, number>> = {};
  for (const [key, value] of Object.entries(found) as [SizeKey, number | undefined][]) {
    if (value === undefined || value === config[key] || valueProblem(storeKeys[key], value) !== undefined) continue;
    logger.warn({ key, found: value, default: config[key] }, `${key} is ${value}, as the directory was made with`);
    taken[key] = value;
  }
  // Once more through the same door: what the sizes say together with other keys is looked at there.
  return resolveConfig({ ...options, ...taken });
}

/** The size that the log's files have and their names bear out; undefined when there is none, or no such size. */
async function commitLogFileSize(fileSystem: FileSystem, directory: string): Promise<number | undefined> {
  const files: { offset: number; size: number }[] = [];
  for (const name of await listed(fileSystem, directory)) {
    if (!isOffsetName(name)) continue;
    const stat = await statOf(fileSystem, join(directory, name));
    if (stat !== undefined && !stat.isDirectory) files.push({ offset: Number(name), size: stat.size });
  }
  // Made, and never given its length.
  if (files.at(-1)?.size === 0) files.pop();
  const size = files[0]?.size;
  if (size === undefined || size === 0) return undefined;
  const isCommon = files.every((file, index) => file.size === size && file.offset === files[0]!.offset + index * size);
  return isCommon ? size : undefined;
}

async function queueFileSize(
  fileSystem: FileSystem,
  directory: string,
  unitBytes: number,
): Promise<number | undefined> {
  const sizes: number[] = [];
  for (const topic of await listed(fileSystem, directory)) {
    for (const queueId of await listed(fileSystem, join(directory, topic))) {
      for (const name of await listed(fileSystem, join(directory, topic, queueId))) {
        if (!isOffsetName(name)) continue;
        const stat = await statOf(fileSystem, join(directory, topic, queueId, name));
        if (stat === undefined || stat.isDirectory || stat.size === 0 || stat.size % unitBytes !== 0) continue;
        sizes.push(stat.size);
        if (sizes.length >= QUEUE_SAMPLES) return mostFrequent(sizes);
      }
    }
  }
  return mostFrequent(sizes);
}

async function indexShape(
  fileSystem: FileSystem,
  directory: string,
  { maxHashSlotNum: slots, maxIndexNum: units }: MessageStoreOptions,
): Promise<IndexShape | undefined> {
  const files: { path: string; size: number }[] = [];
  for (const name of await listed(fileSystem, directory)) {
    if (!/^\d{17}$/.test(name)) continue;
    const path = join(directory, name);
    const stat = await statOf(fileSystem, path);
    if (stat !== undefined && !stat.isDirectory && stat.size > 0) files.push({ path, size: stat.size });
  }
  const given: Partial<IndexShape> = {};
  if (slots !== undefined) given.slots = slots;
  if (units !== undefined) given.units = units;
  return indexShapeOf(fileSystem, files, given);
}

/** What cannot be read tells no size; loading, which reads it too, says why. */
const listed = (fileSystem: FileSystem, directory: string): Promise<string[]> =>
  fileSystem.list(directory).catch(() => []);
const statOf = (fileSystem: FileSystem, path: string): Promise<FileStat | undefined> =>
  fileSystem.stat(path).catch(() => undefined);

function mostFrequent(sizes: readonly number[]): number | undefined {
  const counts = new Map<number, number>();
  for (const size of sizes) counts.set(size, (counts.get(size) ?? 0) + 1);
  let best: number | undefined;
  for (const [size, count] of counts) if (best === undefined || count > counts.get(best)!) best = size;
  return best;
}
