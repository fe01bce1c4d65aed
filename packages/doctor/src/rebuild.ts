import { join } from 'node:path';
import { silentLogger, systemClock } from '@vernier/store';
import type { IndexShape } from '@vernier/store/internal';
import {
  CQ_STORE_UNIT_SIZE,
  dispatchRequestOf,
  hasQueueEntry,
  IndexService,
  keyHashesOf,
  resolveConfig,
  type StoreContext,
  writeUnit,
} from '@vernier/store/internal';
import { BatchQueueBuilder } from './batch-queue-builder.ts';
import { LifeWatch } from './life-watch.ts';
import { walkLog } from './log-walk.ts';
import { QueueFileWriter } from './queue-file-writer.ts';
import { isQueued } from './queue-kinds.ts';
import { lmqsOf, type RecordFacts, RecordFactsReader, type TagsCodes, topicOf } from './record-facts.ts';
import { type DataFile, doctorFileSystem } from './store-layout.ts';

const FILLER_SIZE = 0x7fff_ffff;
/** Entries gathered of one queue before they are written. */
const GATHERED_UNITS = 1_024;

/** Makes one queue's files anew, in a directory of their own. */
export class QueueBuilder {
  readonly topic: string;
  readonly queueId: number;
  readonly directory: string;
  readonly #fileSize: number;
  #next = -1;
  #gathered: Buffer = Buffer.alloc(GATHERED_UNITS * CQ_STORE_UNIT_SIZE);
  #gatheredFrom = 0;
  #count = 0;
  readonly #files: QueueFileWriter;
  readonly #watch = new LifeWatch();
  #held: { phyOffset: number; size: number; tagsCode: number } | undefined;

  constructor(topic: string, queueId: number, directory: string, fileSize: number) {
    this.topic = topic;
    this.queueId = queueId;
    this.directory = directory;
    this.#fileSize = fileSize;
    this.#files = new QueueFileWriter(directory, fileSize);
  }

  /** Number behind the last entry, -1 without one. */
  get end(): number {
    return this.#next;
  }

  /** Adds the entry of a record. One whose number was taken repeats; where numbers start again, the later life counts. */
  async add(index: number, phyOffset: number, size: number, tagsCode: number): Promise<void> {
    const step = this.#watch.take(index);
    if (step === 'held') this.#held = { phyOffset, size, tagsCode };
    if (step === 'held' || step === 'repeated') return;
    if (step === 'restart') await this.#restart();
    const unitsPerFile = this.#fileSize / CQ_STORE_UNIT_SIZE;
    const fileStart = index - (index % unitsPerFile);
    if (this.#next < 0) this.#next = fileStart;
    else if (this.#next < fileStart && index - this.#next > unitsPerFile) this.#next = fileStart;
    while (this.#next < index) await this.#put(this.#next, 0, FILLER_SIZE, 0);
    await this.#put(index, phyOffset, size, tagsCode);
  }

  /** Resolves when everything is on disk. */
  async finish(): Promise<void> {
    if (this.#watch.isHeld) await this.#restart();
    await this.#write();
    await this.#files.sync();
  }

  async #put(index: number, phyOffset: number, size: number, tagsCode: number): Promise<void> {
    const unitsPerFile = this.#fileSize / CQ_STORE_UNIT_SIZE;
    const full = this.#count === GATHERED_UNITS;
    const jumps = this.#count > 0 && index !== this.#gatheredFrom + this.#count;
    const crosses = this.#count > 0 && index % unitsPerFile === 0;
    if (full || jumps || crosses) await this.#write();
    if (this.#count === 0) this.#gatheredFrom = index;
    writeUnit(this.#gathered, this.#count * CQ_STORE_UNIT_SIZE, phyOffset, size, tagsCode);
    this.#count++;
    this.#next = index + 1;
  }

  async #write(): Promise<void> {
    if (this.#count === 0) return;
    const bytes = this.#gathered.subarray(0, this.#count * CQ_STORE_UNIT_SIZE);
    await this.#files.write(bytes, this.#gatheredFrom * CQ_STORE_UNIT_SIZE);
    this.#count = 0;
  }

  async #restart(): Promise<void> {
    this.#count = 0;
    this.#next = -1;
    await this.#files.restart();
    const { phyOffset, size, tagsCode } = this.#held!;
    this.#next = 0;
    await this.#put(0, phyOffset, size, tagsCode);
  }
}

export interface RebuildRequest {
  logFiles: readonly DataFile[];
  queueFileSize: number;
  batchFileSize: number;
  /** Below it the queues are made, `consumequeue/TOPIC/QUEUE/` and `batchconsumequeue/TOPIC/QUEUE/`. */
  directory: string;
  queues: readonly { topic: string; queueId: number }[];
  /** As StoreLayout has them. */
  deletions: ReadonlyMap<string, number>;
  /** Topics that have batch queues. */
  batchTopics: ReadonlySet<string>;
  /** Make the index too, in `index/` of this directory. */
  index: { root: string; shape: IndexShape } | undefined;
  tags: TagsCodes;
  onProgress?: ((bytes: number, totalBytes: number) => void) | undefined;
}

export interface Rebuilt {
  /** Queues that have at least one entry; the others have no record in the log. */
  queues: (QueueBuilder | BatchQueueBuilder)[];
  indexEntries: number;
}

/** Reads the log once and makes queues and index of it. On disk when it resolves. */
export async function rebuild(request: RebuildRequest): Promise<Rebuilt> {
  const builders = new Map<string, QueueBuilder>();
  const batchBuilders = new Map<string, BatchQueueBuilder>();
  for (const { topic, queueId } of request.queues) {
    const key = `${topic}/${queueId}`;
    const directory = join(request.directory, queueDirectoryName(request.batchTopics, topic), topic, String(queueId));
    if (request.batchTopics.has(topic)) {
      batchBuilders.set(key, new BatchQueueBuilder(topic, queueId, directory, request.batchFileSize));
    } else builders.set(key, new QueueBuilder(topic, queueId, directory, request.queueFileSize));
  }
  const index = request.index === undefined ? undefined : new IndexBuilder(request.index);
  const factsReader = new RecordFactsReader();
  const { tags } = request;
  const total = request.logFiles.reduce((sum, { size }) => sum + size, 0);
  let pending: (() => Promise<void>)[] = [];
  const options = { checkCrc: false, live: false };
  let offset: number | undefined;
  for (let done = false; !done; ) {
    // A stretch at a time: the visitor cannot wait for the disk, so its writes are done in between.
    const until = (offset ?? request.logFiles[0]?.from ?? 0) + STRETCH_BYTES;
    const walk = await walkLog(
      request.logFiles,
      { ...options, until, ...(offset === undefined ? {} : { from: offset }) },
      {
        onRecord(view, record) {
          const topic = topicOf(view, record);
          const facts = factsReader.read(view, record);
          index?.add(topic, record.physicalOffset, record.storeTimestamp, record.sysFlag, facts);
          const batch = batchBuilders.get(`${topic}/${record.queueId}`);
          if (batch !== undefined && hasQueueEntry(record.sysFlag)) {
            const dispatch = dispatchRequestOf(view, record);
            if (dispatch.commitLogOffset < (request.deletions.get(topic) ?? 0)) return;
            pending.push(() => batch.add(dispatch));
          }
          if (!isQueued(request.batchTopics, topic, record.sysFlag)) return;
          const { physicalOffset, size, storeTimestamp, queueOffset } = record;
          const code = tags.expected(topic, facts, storeTimestamp, undefined);
          for (const [name, number] of placesOf(topic, record.queueId, queueOffset, facts)) {
            const builder = builders.get(name);
            if (builder === undefined || physicalOffset < (request.deletions.get(builder.topic) ?? 0)) continue;
            pending.push(() => builder.add(number, physicalOffset, size, code));
          }
        },
        onProgress: (bytes) => request.onProgress?.((offset ?? 0) + bytes, total),
      },
    );
    for (const work of pending) await work();
    pending = [];
    await index?.flushWhenFull();
    done = walk.tail.from < until;
    offset = walk.tail.from;
  }
  const all = [...builders.values(), ...batchBuilders.values()];
  for (const builder of all) await builder.finish();
  await index?.finish();
  return { queues: all.filter(({ end }) => end >= 0), indexEntries: index?.entries ?? 0 };
}

/** Where the queues of a topic lie, below the store's root. */
export const queueDirectoryName = (batchTopics: ReadonlySet<string>, topic: string): string =>
  batchTopics.has(topic) ? 'batchconsumequeue' : 'consumequeue';

/** Log that is read between two rounds of writing. */
const STRETCH_BYTES = 32 * 1024 * 1024;

/** The queues that a record has an entry in, `TOPIC/QUEUE`, each with its number there. */
export function placesOf(topic: string, queueId: number, queueOffset: number, facts: RecordFacts): [string, number][] {
  const places: [string, number][] = [[`${topic}/${queueId}`, queueOffset]];
  for (const lmq of lmqsOf(topic, facts)) places.push([`${lmq.name}/0`, lmq.queueOffset]);
  return places;
}

/** The store's own index, in a directory of its own. */
class IndexBuilder {
  readonly #service: IndexService;
  entries = 0;

  constructor({ root, shape }: NonNullable<RebuildRequest['index']>) {
    const config = resolveConfig({ storePathRootDir: root, maxHashSlotNum: shape.slots, maxIndexNum: shape.units });
    const context: StoreContext = {
      config,
      logger: silentLogger,
      clock: systemClock,
      fileSystem: doctorFileSystem,
      fail: (error) => error,
      failure: undefined,
    };
    this.#service = new IndexService(context);
  }

  add(topic: string, commitLogOffset: number, storeTimestamp: number, sysFlag: number, facts: RecordFacts): void {
    if (facts.uniqKey === '' && facts.keys === '' && facts.tags === '') return;
    this.#service.buildIndex({
      topic,
      queueId: 0,
      commitLogOffset,
      msgSize: 0,
      tagsCode: 0,
      storeTimestamp,
      consumeQueueOffset: 0,
      keyHashes: keyHashesOf(facts.uniqKey, facts.keys, facts.tags),
      sysFlag,
      preparedTransactionOffset: 0,
    });
    this.entries++;
  }

  async flushWhenFull(): Promise<void> {
    if (this.#service.isOverfull) await this.#service.flush();
  }

  async finish(): Promise<void> {
    await this.#service.flush();
    await this.#service.close();
  }
}
