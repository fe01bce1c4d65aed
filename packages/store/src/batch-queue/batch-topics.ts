import { join } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import type { FileSystem } from '../base/file-system.ts';
import type { StoreLogger } from '../base/logger.ts';
import { errnoOf } from '../base/queue-failure.ts';
import { backupPath } from '../io/atomic-file.ts';
import { storePaths } from '../io/store-directory.ts';
import { isTopicStorable } from '../record/topic-name.ts';

/** RocketMQ's topic attribute that says which kind of queues a topic has, and the value for batch queues. */
export const QUEUE_TYPE = 'queue.type';
export const BATCH_CQ = 'BatchCQ';

const QUEUE_ID = /^\d{1,10}$/;

/** The kind of queues of each topic that a table of topics knows; true is batch queues. */
export type QueueTypes = ReadonlyMap<string, boolean>;

/** From the content of topics.json: RocketMQ's `{topicConfigTable: {TOPIC: {attributes: {"queue.type": "BatchCQ"}}}}`. */
export function queueTypesOf(topicsJson: unknown): Map<string, boolean> {
  const types = new Map<string, boolean>();
  for (const [topic, config] of Object.entries(recordOf(recordOf(topicsJson).topicConfigTable))) {
    types.set(topic, recordOf(recordOf(config).attributes)[QUEUE_TYPE] === BATCH_CQ);
  }
  return types;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/**
 * Topics with batch queues (RocketMQ BatchConsumeQueue): their entries are 46 bytes long, stand for several messages, and
 * lie in `<root>/batchconsumequeue/`. RocketMQ does not start on a directory where a topic has queues of the other kind
 * (ConsumeQueueStore.queueTypeShouldBe), so for these topics nothing may ever be written into `consumequeue/`.
 *
 * A topic is one of them when topics.json says so; or when it has a directory there and topics.json does not know it.
 */
export class BatchTopics {
  readonly #root: string;
  readonly #fileSystem: FileSystem;
  readonly #logger: StoreLogger;
  /** Topics that were deleted before this start, and whose directory has to go. */
  readonly #forgotten = new Set<string>();
  readonly #topics = new Set<string>();
  /** Topics that topics.json declares to have batch queues, or not. */
  #declared: QueueTypes = new Map();

  constructor(root: string, { fileSystem, logger }: Pick<StoreContext, 'fileSystem' | 'logger'>) {
    this.#root = root;
    this.#fileSystem = fileSystem;
    this.#logger = logger;
  }

  /**
   * Reads topics.json and the names of the directories. What is left of a deleted topic (`isDeleted`) that topics.json does
   * not know goes. Rejects with STORE_METADATA_DAMAGED when topics.json and its copy cannot be read and name batch queues,
   * and STORE_DIRECTORY_UNUSABLE.
   */
  async load(isDeleted: (topic: string) => boolean = () => false): Promise<void> {
    const { declared, directories, problem } = await readBatchTopics(this.#root, this.#fileSystem);
    if (problem !== undefined) {
      const message = `${problem} and names batch queues; without it nobody knows whose queues must not be written`;
      throw new StoreError('STORE_METADATA_DAMAGED', message, { path: topicsFile(this.#root) });
    }
    this.#declared = declared;
    for (const [topic, isBatch] of declared) if (isBatch && isTopicStorable(topic)) this.#topics.add(topic);
    for (const topic of directories.keys()) {
      const isDeclared = this.#declared.get(topic);
      if (isDeclared === undefined && isDeleted(topic)) this.#forgotten.add(topic);
      else if (isDeclared !== false) this.#topics.add(topic);
      else {
        const path = this.#path(topic);
        const message = `topic ${topic} has batch queues, which topics.json says it has not; they are left alone`;
        this.#logger.warn({ path }, message);
      }
    }
    await this.removeForgotten();
  }

  get size(): number {
    return this.#topics.size;
  }

  has(topic: string): boolean {
    return this.#topics.size > 0 && this.#topics.has(topic);
  }

  /** topics.json says that this topic has batch queues: queues of the other kind are none of it. */
  isDeclared(topic: string): boolean {
    return this.#declared.get(topic) === true;
  }

  /** The topic has batch queues from now on. It has no queues of the other kind. */
  declare(topic: string): void {
    this.#topics.add(topic);
  }

  /** The topic was deleted, and its directory could not be removed. */
  isForgotten(topic: string): boolean {
    return this.#forgotten.has(topic);
  }

  /** The topic was deleted: it is an ordinary one from here on. */
  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  /** Removes the directories of forgotten topics, durably. A failure is a line: the next start tries again. */
  async removeForgotten(): Promise<void> {
    for (const topic of this.#forgotten) {
      try {
        await this.#fileSystem.removeDirectory(this.#path(topic));
        await this.#fileSystem.syncDirectory(storePaths(this.#root).batchConsumeQueue);
        this.#forgotten.delete(topic);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') this.#forgotten.delete(topic);
        else this.#logger.error({ topic, err: error }, 'batch queues of a deleted topic could not be removed');
      }
    }
  }

  #path(topic: string): string {
    return join(storePaths(this.#root).batchConsumeQueue, topic);
  }
}

/** The names in a directory; none when there is no such directory. */
async function listed(fileSystem: FileSystem, directory: string): Promise<string[]> {
  try {
    return await fileSystem.list(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return [];
    const message = `listing ${directory} failed: ${errnoOf(error) || String(error)}`;
    throw new StoreError('STORE_DIRECTORY_UNUSABLE', message, { path: directory, errno: errnoOf(error) }, error);
  }
}

const topicsFile = (root: string): string => join(storePaths(root).config, 'topics.json');

/** What a store's directory says of batch queues. */
export interface FoundBatchTopics {
  /** By topics.json, or else its copy. */
  declared: QueueTypes;
  /** Queue ids, ascending, by the topics that have a directory for batch queues. */
  directories: ReadonlyMap<string, readonly number[]>;
  /** topics.json cannot be read and names batch queues. */
  problem: string | undefined;
}

/**
 * Looks, and changes nothing. A topics.json that cannot be read and does not name batch queues counts as none: a program
 * that embeds the store has no use for it. The broker reads the file itself and is strict. Rejects with
 * STORE_DIRECTORY_UNUSABLE, or STORE_NOT_A_FILE.
 */
export async function readBatchTopics(root: string, fileSystem: FileSystem): Promise<FoundBatchTopics> {
  const found = { directories: await readDirectories(root, fileSystem), declared: new Map<string, boolean>() };
  let problem: string | undefined;
  for (const file of [topicsFile(root), backupPath(topicsFile(root))]) {
    const content = await fileSystem.readFile(file).catch((error: unknown) => {
      if (error instanceof StoreError) throw error;
      return undefined;
    });
    if (content === undefined || content.length === 0) continue;
    try {
      return { ...found, declared: queueTypesOf(JSON.parse(content.toString('utf8'))), problem: undefined };
    } catch (error) {
      if (content.includes(BATCH_CQ)) problem = `${file} is damaged (${(error as Error).message})`;
    }
  }
  return { ...found, problem };
}

async function readDirectories(root: string, fileSystem: FileSystem): Promise<Map<string, number[]>> {
  const { batchConsumeQueue } = storePaths(root);
  const directories = new Map<string, number[]>();
  for (const topic of await listed(fileSystem, batchConsumeQueue)) {
    const names = await listed(fileSystem, join(batchConsumeQueue, topic));
    const queueIds = names.filter((name) => QUEUE_ID.test(name)).map(Number);
    if (queueIds.length > 0)
      directories.set(
        topic,
        queueIds.sort((x, y) => x - y),
      );
  }
  return directories;
}
