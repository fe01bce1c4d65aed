import { scanLog } from '../../commit-log/recovery-scan.ts';
import type { MessageStoreOptions } from '../../config.ts';
import { silentLogger } from '../../logger.ts';
import { MessageStore } from '../../message-store.ts';
import type { MessageExt } from '../../types.ts';
import { SimulatedFileSystem, type SimulatedOperation } from '../simulated-file-system.ts';
import { Model, Violation } from './model.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { resetIds, Workload } from './workload.ts';

/** The engines that write through the FileSystem interface; a mapping has no simulation. */
export type SimulatedEngine = 'channel' | 'transient-pool';

export interface RunOptions {
  seed: number;
  engine?: SimulatedEngine;
  /** How often the power is cut or the process killed in this history. */
  crashes: number;
  /** Told of each step, for a readable history. */
  onStep?: (step: string) => void;
}

export interface RunCounters {
  crashes: number;
  powerCuts: number;
  kills: number;
  cutsInRecovery: number;
  cleanShutdowns: number;
  faults: number;
  storesFailed: number;
  openingsRefused: number;
  messages: number;
  acknowledged: number;
  seen: number;
  events: number;
}

const ROOT = '/data/store';
const START = Date.UTC(2026, 0, 1);
/** A round that needs more events than this hangs. */
const EVENTS_MAX = 200_000;

const FAULTS: { operation: SimulatedOperation; path: RegExp; code: string }[] = [
  { operation: 'sync', path: /commitlog/, code: 'EIO' },
  { operation: 'write', path: /commitlog/, code: 'EIO' },
  { operation: 'write', path: /commitlog/, code: 'ENOSPC' },
  { operation: 'allocate', path: /commitlog/, code: 'ENOSPC' },
  { operation: 'rename', path: /commitlog/, code: 'EIO' },
  { operation: 'syncDirectory', path: /commitlog/, code: 'EIO' },
  { operation: 'write', path: /consumequeue/, code: 'EIO' },
  { operation: 'sync', path: /consumequeue/, code: 'EIO' },
  { operation: 'write', path: /index/, code: 'ENOSPC' },
  { operation: 'sync', path: /index/, code: 'EIO' },
  { operation: 'write', path: /checkpoint/, code: 'EIO' },
  { operation: 'sync', path: /checkpoint/, code: 'EIO' },
  { operation: 'read', path: /commitlog/, code: 'EIO' },
];

/**
 * One history of one store: run, crash, recover, check, and again on what is left. Everything follows from the seed.
 * Resolves with what was done; rejects with a Violation when a promise was broken.
 */
export class TortureRun {
  readonly #random: Random;
  readonly #options: RunOptions;
  readonly #store: MessageStoreOptions;
  readonly #model: Model;
  #fileSystem: SimulatedFileSystem;
  #time = START;
  readonly counters: RunCounters = {
    crashes: 0,
    powerCuts: 0,
    kills: 0,
    cutsInRecovery: 0,
    cleanShutdowns: 0,
    faults: 0,
    storesFailed: 0,
    openingsRefused: 0,
    messages: 0,
    acknowledged: 0,
    seen: 0,
    events: 0,
  };

  constructor(options: RunOptions) {
    this.#options = options;
    const random = new Random(options.seed);
    this.#random = random;
    const engine = options.engine ?? random.pick(['channel', 'channel', 'channel', 'transient-pool'] as const);
    const syncFlush = random.chance(0.75);
    this.#store = {
      storePathRootDir: ROOT,
      flushDiskType: syncFlush ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
      transientStorePoolEnable: engine === 'transient-pool',
      transientStorePoolSize: random.integer(2, 4),
      mappedFileSizeCommitLog: 4_096 * random.pick([2, 4, 4, 8, 16]),
      mappedFileSizeConsumeQueue: 20 * random.integer(5, 60),
      appendBufferSize: 128 * 1024,
      maxMessageSize: 4_096,
      maxHashSlotNum: random.integer(10, 200),
      maxIndexNum: random.integer(20, 400),
      flushIntervalConsumeQueue: random.integer(5, 200),
      flushConsumeQueueThoroughInterval: random.integer(20, 2_000),
      flushConsumeQueueLeastPages: random.integer(0, 2),
      flushCommitLogLeastPages: random.pick([0, 0, 2]),
      enabledAppendPropCRC: random.chance(0.3),
      syncFlushTimeout: random.pick([50, 5_000]),
      putMessageTimeout: 500,
      diskFreeBytesMin: 0,
    };
    this.#model = new Model({ syncFlush, durableReads: syncFlush });
    this.#fileSystem = this.#newFileSystem(new SimulatedFileSystem({ now: () => this.#time }));
    resetIds();
    this.#step(
      `seed ${options.seed}: ${engine}, ${this.#store.flushDiskType}, files of ${this.#store.mappedFileSizeCommitLog} bytes`,
    );
  }

  async run(): Promise<RunCounters> {
    while (this.counters.crashes < this.#options.crashes) await this.#generation();
    this.counters.messages = this.#model.puts.length;
    return this.counters;
  }

  /** Open, work, end in some way, then look at what is left. */
  async #generation(): Promise<void> {
    const random = this.#random.fork();
    const scheduler = new Scheduler(this.#time);
    this.#useLatency(scheduler, random.fork());
    if (random.chance(0.25)) this.#injectFault(random);
    const cutInRecovery = random.chance(0.2) ? random.integer(1, 120) : EVENTS_MAX;
    const store = await this.#open(scheduler, cutInRecovery);
    if (store) {
      await this.#work(store, scheduler, random);
    } else {
      this.#step('the opening was cut off or refused');
    }
    scheduler.stop();
    this.#time = scheduler.now() + 1;
    await this.#checkWhatIsLeft(random);
  }

  async #open(scheduler: Scheduler, eventsMax: number): Promise<MessageStore | undefined> {
    let store: MessageStore | undefined;
    let refusal: Error | undefined;
    MessageStore.open(this.#store, { fileSystem: this.#fileSystem, clock: scheduler, logger: silentLogger }).then(
      (opened) => {
        store = opened;
      },
      (error: Error) => {
        refusal = error;
      },
    );
    const done = (): boolean => store !== undefined || refusal !== undefined;
    this.counters.events += await scheduler.run(done, eventsMax);
    if (refusal) {
      this.counters.openingsRefused++;
      this.#step(`opening refused: ${refusal.message}`);
      if ((refusal as { code?: string }).code === 'STORE_DAMAGED') throw new Violation(refusal.message);
    } else if (!store) {
      if (eventsMax === EVENTS_MAX) throw new Violation('the opening hangs');
      this.counters.cutsInRecovery++;
    }
    return store;
  }

  async #work(store: MessageStore, scheduler: Scheduler, random: Random): Promise<void> {
    const workload = new Workload(store, this.#model, scheduler, random.fork(), {
      producers: random.integer(1, 6),
      consumers: random.integer(0, 3),
      bodyBytesMax: Math.min(3_000, this.#store.mappedFileSizeCommitLog! / 3),
      pauseMsMax: random.pick([0.2, 2, 20, 300]),
    });
    workload.start();
    const events = random.integer(20, random.pick([200, 1_500]));
    this.counters.events += await scheduler.run(() => workload.violation !== undefined, events);
    if (!workload.violation && random.chance(0.2)) await this.#shutDown(store, workload, scheduler, random);
    if (workload.violation) throw workload.violation;
    this.#checkRunning(store);
    this.counters.acknowledged = this.#model.acknowledged;
    this.counters.seen = this.#model.seenCount;
    if (store.failure) {
      this.counters.storesFailed++;
      this.#step(`the store failed: ${store.failure.message}`);
    }
  }

  /** A clean shutdown, or one that the power cut comes into. */
  async #shutDown(store: MessageStore, workload: Workload, scheduler: Scheduler, random: Random): Promise<void> {
    workload.stop();
    let ended = false;
    let failed: Error | undefined;
    store.shutdown().then(
      () => {
        ended = true;
      },
      (error: Error) => {
        ended = true;
        failed = error;
      },
    );
    const eventsMax = random.chance(0.4) ? random.integer(1, 60) : EVENTS_MAX;
    this.counters.events += await scheduler.run(() => ended, eventsMax);
    if (!ended && eventsMax === EVENTS_MAX) throw new Violation('the shutdown hangs');
    if (!ended) return this.#step('cut off in the shutdown');
    if (failed && !store.failure) throw failed;
    if (store.failure) return;
    this.counters.cleanShutdowns++;
    this.#model.shutDownCleanly();
    this.#step('shut down cleanly');
    // Answers that are still on their way to the producers, and the next turn of those that had not begun to wait.
    await scheduler.run(() => false, 200);
  }

  #checkRunning(store: MessageStore): void {
    const { minPhyOffset, flushedWhere, committedWhere, maxPhyOffset, dispatchedWhere } = store;
    const ordered = minPhyOffset <= flushedWhere && flushedWhere <= committedWhere && committedWhere <= maxPhyOffset;
    if (!ordered) {
      throw new Violation(
        `offsets out of order: min ${minPhyOffset}, flushed ${flushedWhere}, committed ${committedWhere}, max ${maxPhyOffset}`,
      );
    }
    const limit = this.#store.flushDiskType === 'SYNC_FLUSH' ? flushedWhere : maxPhyOffset;
    if (dispatchedWhere > limit) throw new Violation(`dispatched up to ${dispatchedWhere}, allowed is ${limit}`);
    for (const put of this.#model.puts) {
      if (!put.isKept && this.#model.isOnDiskPromised(put) && put.offset! + put.body.length > flushedWhere) {
        throw new Violation(`message ${put.id} at ${put.offset} is acknowledged, on disk is ${flushedWhere}`);
      }
    }
  }

  /** The power goes, or the process is killed and the page cache stays; then a recovery that nothing disturbs. */
  async #checkWhatIsLeft(random: Random): Promise<void> {
    this.counters.crashes++;
    const powerCut = random.chance(0.8);
    const crashSeed = random.integer(0, 0x7fff_ffff);
    if (powerCut) {
      this.counters.powerCuts++;
      this.#fileSystem = this.#newFileSystem(this.#fileSystem.crash(crashSeed));
    } else {
      this.counters.kills++;
      this.#fileSystem.clearFaults();
    }
    this.#step(powerCut ? `power cut (crash seed ${crashSeed})` : 'killed');
    await this.#recoverAndCheck();
    if (random.chance(0.3)) {
      // A second recovery, of what the first one left on the disk, must come to the same.
      this.#fileSystem = this.#newFileSystem(this.#fileSystem.crash(crashSeed + 1));
      this.#step('power cut after the recovery');
      await this.#recoverAndCheck();
    }
  }

  async #recoverAndCheck(): Promise<void> {
    const scheduler = new Scheduler(this.#time);
    this.#fileSystem.latency = undefined;
    const store = await this.#open(scheduler, EVENTS_MAX);
    if (!store) throw new Violation('the store does not open after the crash');
    if (store.failure) throw store.failure;
    const messages = await readAll(store, this.#model);
    this.#model.checkAfterCrash(messages);
    await checkLogAgainstQueues(store, this.#fileSystem, messages);
    await checkIndex(store, messages, this.#random.fork());
    this.#time = scheduler.now() + 1;
    // The machine stops here, with the store open: what is on disk now is the next generation's start.
    scheduler.stop();
  }

  #newFileSystem(fileSystem: SimulatedFileSystem): SimulatedFileSystem {
    return fileSystem;
  }

  #useLatency(scheduler: Scheduler, random: Random): void {
    const slowSync = random.chance(0.1) ? 400 : 2;
    this.#fileSystem.latency = (operation) =>
      scheduler.delay(random.fraction() * (operation === 'sync' ? slowSync : 0.2));
  }

  #injectFault(random: Random): void {
    const fault = random.pick(FAULTS);
    const times = random.chance(0.5) ? 1 : Number.POSITIVE_INFINITY;
    this.#fileSystem.inject({ ...fault, times, skip: random.integer(0, 40) });
    this.counters.faults++;
    this.#step(`fault: ${fault.operation} of ${fault.path} fails with ${fault.code}${times === 1 ? ' once' : ''}`);
  }

  #step(step: string): void {
    this.#options.onStep?.(step);
  }
}

async function readAll(store: MessageStore, model: Model): Promise<Map<string, MessageExt[]>> {
  const all = new Map<string, MessageExt[]>();
  for (const [topic, queueIds] of store.queuesByTopic()) {
    for (const queueId of queueIds) {
      const list: MessageExt[] = [];
      for await (const message of store.readQueue(topic, queueId)) {
        model.sawByConsumer(message);
        list.push(message);
      }
      if (list.length !== store.getMaxOffsetInQueue(topic, queueId)) {
        const max = store.getMaxOffsetInQueue(topic, queueId);
        const missing = list.findIndex((message, i) => message.queueOffset !== i);
        throw new Violation(
          `queue ${topic}-${queueId} ends at ${max} and gives ${list.length} messages, the first without one is ` +
            `${missing < 0 ? list.length : missing}`,
        );
      }
      all.set(`${topic}-${queueId}`, list);
    }
  }
  return all;
}

/** Every record of the log stands in its queue, and every entry points at a record. */
async function checkLogAgainstQueues(
  store: MessageStore,
  fileSystem: SimulatedFileSystem,
  messages: ReadonlyMap<string, readonly MessageExt[]>,
): Promise<void> {
  const offsets = new Set<number>();
  for (const list of messages.values()) for (const message of list) offsets.add(message.commitLogOffset);
  const { mappedFileSizeCommitLog: size, storePathCommitLog: directory } = store.config;
  const files = [];
  for (const name of await fileSystem.list(directory)) {
    if (/^\d{20}$/.test(name)) files.push({ path: `${directory}/${name}`, from: Number(name), size });
  }
  let records = 0;
  const options = { fileSystem, checkCrc: true, verifyPropCrc: true };
  const scan = await scanLog(files, store.minPhyOffset, store.maxPhyOffset, options, {
    onRecord: (record) => {
      records++;
      if (!offsets.has(record.physicalOffset)) {
        throw new Violation(`the record at ${record.physicalOffset} is in the log and in no queue`);
      }
    },
  });
  if (scan.end !== store.maxPhyOffset || records !== offsets.size) {
    throw new Violation(
      `the log is good up to ${scan.end} of ${store.maxPhyOffset} with ${records} records, the queues have ${offsets.size}`,
    );
  }
}

async function checkIndex(
  store: MessageStore,
  messages: ReadonlyMap<string, readonly MessageExt[]>,
  random: Random,
): Promise<void> {
  for (const list of messages.values()) {
    for (let i = 0; i < Math.min(3, list.length); i++) {
      const message = random.pick(list);
      const key = message.properties.get('KEYS')!;
      const { records } = await store.queryMessage(message.topic, key);
      const found = records.some(
        (record) => record.readUInt32BE(24) === message.queueOffset && record.length === message.storeSize,
      );
      if (!found) throw new Violation(`the index does not find ${key} of ${message.topic}`);
    }
  }
}
