import { join } from 'node:path';
import { parseJavaJson } from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { type FileSystem, readAtomic, writeAtomic } from '@vernier/store/internal';
import type { BrokerConfig } from '../config.ts';
import { BrokerError } from '../errors.ts';

/** Characters gathered before the event loop gets a turn while a big table is encoded. */
const SLICE_CHARS = 256 * 1024;

/** How long after a failed write the next attempt comes by itself. */
const RETRY_DELAY_MS = 5_000;

/** Numbers for operators are not worth a write each second. */
const TIMER_METRICS_MS = 5_000;

/** A table that knows how to write itself, in pieces. */
export interface SavedTable {
  /** Before each save: makes true what the file will say. False: there is nothing to save any more. */
  prepareSave?(): Promise<boolean>;
  encode(): Iterable<string>;
  /** What was encoded last is on disk. */
  saved?(): void;
  load(file: unknown): void;
}

/**
 * One JSON file under config/ (RocketMQ ConfigManager): replaced as a whole, the previous content kept as `.bak`, so
 * that a crash at any moment leaves a file that can be read.
 */
export class MetadataFile {
  readonly path: string;
  readonly #table: SavedTable;
  readonly #fileSystem: FileSystem;
  readonly #clock: Pick<Clock, 'setTimer' | 'clearTimer'>;
  readonly #logger: StoreLogger;
  readonly #delayMs: number;
  #timer: unknown;
  #dirty = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #closed = false;

  /** `delayMs`: how long after a change the file is written by itself; changes until then go along. */
  constructor(
    path: string,
    table: SavedTable,
    delayMs: number,
    fileSystem: FileSystem,
    clock: Pick<Clock, 'setTimer' | 'clearTimer'>,
    logger: StoreLogger,
  ) {
    this.path = path;
    this.#table = table;
    this.#delayMs = delayMs;
    this.#fileSystem = fileSystem;
    this.#clock = clock;
    this.#logger = logger;
  }

  /**
   * Reads the file, or its `.bak`, into the table; false when there is none. Rejects with STORE_METADATA_DAMAGED when neither
   * can be used.
   */
  async load(): Promise<boolean> {
    const parse = (content: Buffer): unknown => parseJavaJson(content.toString('utf8'));
    const file = await readAtomic(this.#fileSystem, this.path, parse, this.#logger);
    if (file === undefined) return false;
    try {
      this.#table.load(file);
      return true;
    } catch (cause) {
      const message = `${this.path} is no table of its kind: ${(cause as Error).message}`;
      throw new BrokerError('BROKER_METADATA_DAMAGED', message, { path: this.path }, cause);
    }
  }

  /** The table changed: it will be saved soon. A failure is logged and tried again. */
  changed(): void {
    this.#dirty = true;
    if (this.#timer === undefined && this.#running === undefined) this.#arm(this.#delayMs);
  }

  #arm(delayMs: number): void {
    // A timer that goes on after a close would keep a process alive whose disk is full.
    if (this.#closed) return;
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined;
      this.save().catch(() => {});
    }, delayMs);
  }

  /**
   * Resolves when everything that was in the table at the call is on disk. Rejects with BROKER_METADATA_WRITE_FAILED; the
   * file on disk is then still the previous one.
   */
  save(): Promise<void> {
    // A write that is under way may have read the table before its last change, so another follows it.
    if (this.#running !== undefined) {
      this.#next ??= this.#running.catch(() => {}).then(() => this.#start());
      return this.#next;
    }
    return this.#start();
  }

  /** As `save`, and writes nothing when it is on disk already. */
  settled(): Promise<void> {
    return this.#dirty || this.#running !== undefined ? this.save() : Promise.resolve();
  }

  #start(): Promise<void> {
    this.#next = undefined;
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    let delayMs = RETRY_DELAY_MS;
    this.#running = this.#write()
      .then(() => {
        delayMs = this.#delayMs;
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#dirty && this.#next === undefined) this.#arm(delayMs);
      });
    return this.#running;
  }

  async #write(): Promise<void> {
    this.#dirty = false;
    try {
      if (this.#table.prepareSave !== undefined && !(await this.#table.prepareSave())) return;
      const pieces: Buffer[] = [];
      let slice = '';
      for (const piece of this.#table.encode()) {
        slice += piece;
        if (slice.length < SLICE_CHARS) continue;
        pieces.push(Buffer.from(slice));
        slice = '';
        await new Promise((resolve) => setImmediate(resolve));
      }
      pieces.push(Buffer.from(slice));
      await writeAtomic(this.#fileSystem, this.path, Buffer.concat(pieces));
      this.#table.saved?.();
    } catch (cause) {
      this.#dirty = true;
      const message = `${this.path} could not be written: ${(cause as Error).message}`;
      this.#logger.error({ err: cause, path: this.path }, message);
      throw new BrokerError('BROKER_METADATA_WRITE_FAILED', message, { path: this.path }, cause);
    }
  }

  /** Stops its timer and saves what is not saved yet, once: rejects with BROKER_METADATA_WRITE_FAILED. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    await this.#next?.catch(() => {});
    await this.#running?.catch(() => {});
    if (this.#dirty) await this.save();
  }
}

const tableNames = [
  'topics',
  'mappings',
  'groups',
  'offsets',
  'places',
  'delays',
  'timers',
  'orders',
  'modes',
  'access',
  // What it changes saves other tables: a start that is refused for one of those changes no file.
  'settings',
] as const;

export type MetadataTables = Readonly<Record<(typeof tableNames)[number], SavedTable>>;

/** Batches in order are saved so long after a change that nobody waits for. */
const ORDERS_DELAY_MS = 1_000;

/**
 * The broker's files: topics.json, subscriptionGroup.json, consumerOffset.json (with light queues lmqConsumerOffset.json,
 * in its place), brokerSettings.json, followOffset.json, delayOffset.json, timermetrics, consumerOrderInfo.json,
 * messageRequestMode.json, topicQueueMapping.json, access.json.
 */
export class MetadataFiles {
  readonly topics: MetadataFile;
  readonly groups: MetadataFile;
  readonly offsets: MetadataFile;
  readonly settings: MetadataFile;
  /** Of the followers; there is no file before there is one. */
  readonly places: MetadataFile;
  /** How far each delay level has come. */
  readonly delays: MetadataFile;
  /** How many messages wait for their time, by topic; no rule depends on it. */
  readonly timers: MetadataFile;
  /** Batches that groups popped in order. */
  readonly orders: MetadataFile;
  /** Whether groups pull or pop. */
  readonly modes: MetadataFile;
  /** Of static topics; there is no file before there is one. */
  readonly mappings: MetadataFile;
  /** Users, their secrets and their policies; there is no file before there is one. */
  readonly access: MetadataFile;

  /** One more file beside these, of a front, which loads and closes it itself. */
  readonly file: (name: string, table: SavedTable, delayMs: number) => MetadataFile;

  readonly #logger: StoreLogger;
  /** Read when there are no offsets of a broker with light queues; never written. */
  readonly #offsetsBefore: MetadataFile | undefined;

  constructor(
    directory: string,
    tables: MetadataTables,
    intervals: Pick<BrokerConfig, 'flushConsumerOffsetInterval' | 'flushDelayOffsetInterval' | 'timerFlushIntervalMs'>,
    fileSystem: FileSystem,
    clock: Clock,
    logger: StoreLogger,
    hasLmqs: boolean,
  ) {
    this.#logger = logger;
    const file = (name: string, table: SavedTable, delayMs: number): MetadataFile =>
      new MetadataFile(join(directory, name), table, delayMs, fileSystem, clock, logger);
    this.file = file;
    // A burst of new topics is one write.
    this.topics = file('topics.json', tables.topics, 10);
    this.groups = file('subscriptionGroup.json', tables.groups, 10);
    const offsetsIn = (name: string): MetadataFile => file(name, tables.offsets, intervals.flushConsumerOffsetInterval);
    this.offsets = offsetsIn(hasLmqs ? 'lmqConsumerOffset.json' : 'consumerOffset.json');
    this.#offsetsBefore = hasLmqs ? offsetsIn('consumerOffset.json') : undefined;
    this.settings = file('brokerSettings.json', tables.settings, 10);
    this.places = file('followOffset.json', tables.places, intervals.flushConsumerOffsetInterval);
    this.delays = file('delayOffset.json', tables.delays, intervals.flushDelayOffsetInterval);
    this.orders = file('consumerOrderInfo.json', tables.orders, ORDERS_DELAY_MS);
    this.mappings = file('topicQueueMapping.json', tables.mappings, 10);
    this.modes = file('messageRequestMode.json', tables.modes, 10);
    this.access = file('access.json', tables.access, 10);
    this.timers = file('timermetrics', tables.timers, Math.max(TIMER_METRICS_MS, intervals.timerFlushIntervalMs));
  }

  async load(): Promise<void> {
    for (const name of tableNames) {
      if (name === 'timers') continue;
      const isThere = await this[name].load();
      // RocketMQ begins without offsets when light queues are switched on.
      if (name === 'offsets' && !isThere && (await this.#offsetsBefore?.load()) === true) this.offsets.changed();
    }
    await this.timers.load().catch((error: Error) => {
      // A broker that starts with wrong gauges is better than one that does not start.
      this.#logger.warn({ err: error, path: this.timers.path }, `${this.timers.path} is left out: ${error.message}`);
    });
  }

  async close(): Promise<void> {
    await Promise.all(tableNames.map((name) => this[name].close()));
  }
}
