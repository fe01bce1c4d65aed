import type { MessageStoreOptions } from '@vernier/store';
import { defaultMessageStoreConfig, MessageStore, type StoreLogger, silentLogger } from '@vernier/store';
import { checkIndex, checkLog, checkTags, logImage, readAll, type StoreContent } from './checks.ts';
import { emptyCounters, type RunCounters } from './counters.ts';
import { probeDamage, probeQueueDamage } from './damage.ts';
import { DelayModel } from './delay-model.ts';
import { type FrontOfHistory, storeAlone } from './front.ts';
import { EVERY_HOUR, NEVER, type Opened, type Recovered, SETTLE_MS, shutDownBoth } from './lives.ts';
import { Model, type Put } from './model.ts';
import { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { randomSettings, type SimulatedEngine } from './settings.ts';
import type { Crash } from './simulation/failpoints.ts';
import type { SimulatedFileSystem } from './simulation/simulated-file-system.ts';
import { TortureMachine } from './torture-machine.ts';
import { Violation } from './violation.ts';
import { Workload } from './workload.ts';

export interface RunOptions {
  seed: number;
  /** By seed without it. */
  engine?: SimulatedEngine | undefined;
  /** What producers and consumers talk to; by default the store itself. */
  front?: FrontOfHistory | undefined;
  /** How often the power is cut or the process killed in this history. */
  crashes: number;
  /** Told of each step, for a readable history. */
  onStep?: (step: string) => void;
}

type Ending = 'shut down cleanly' | 'stopped';

const ROOT = '/data/store';
/** What needs more events than this hangs. */
const EVENTS_MAX = 200_000;
const LOG_LINE_MAX = 400;
/** Share of histories in which one queue gets all messages. */
const NARROW_RATE = 0.15;
/** The wall clock is set back by as much at most, once in so many generations. */
const CLOCK_BACK_MS_MAX = 86_400_000;
const CLOCK_BACK_RATE = 0.03;
/** One history in so many has a log whose files expire, and hours that pass between its generations. */
const EXPIRING_EVERY = 8;
const RESERVED_HOURS = 1;
const MINUTE_MS = 60_000;
/** Share of the power cuts after which, on a copy, a bit of what was durable is read wrong by the recovery itself. */
const DAMAGE_AT_CRASH_RATE = 0.15;
/** Share of histories in which an operator deletes topics, and what else operators do. */
const OPERATED_RATE = 0.5;
/** As PROBE_SEED_MASK. */
const OPERATOR_SEED_MASK = 0x2545_f491;
/** Turned over in the seed, so that the probes of copies have choices of their own and shift nothing in the history. */
const PROBE_SEED_MASK = 0x5bd1_e995;
/** As PROBE_SEED_MASK. */
const CLOCK_SEED_MASK = 0x1b56_c4e9;
/** As PROBE_SEED_MASK. */
const DELAY_SEED_MASK = 0x7feb_352d;
/** Share of histories in which messages wait for delay levels, how long, and how much passes at most between two lives. */
const DELAYED_RATE = 0.5;
const DELAY_LEVELS = '1s 2s 5s';
const DELAYED_PAUSE_MS_MAX = 3_000;
/** Generations of an expiring history in which the clock is set wrong, and how long after the opening at most. */
const MISSET_RATE = 0.4;
const MISSET_AFTER_MS_MAX = 300;

/**
 * One history of one store: run, crash, recover, check, and again on what is left. Everything follows from the seed.
 * Resolves with what was done; rejects with a Violation when a promise was broken.
 */
export class TortureRun {
  readonly counters: RunCounters = emptyCounters();
  readonly #random: Random;
  readonly #probeRandom: Random;
  readonly #operatorRandom: Random;
  readonly #isOperated: boolean;
  readonly #options: RunOptions;
  readonly #store: MessageStoreOptions;
  readonly #front: FrontOfHistory;
  readonly #model: Model;
  readonly #delays: DelayModel | undefined;
  readonly #delayRandom: Random;
  readonly #machine: TortureMachine;
  readonly #clockRandom: Random;
  readonly #isNarrow: boolean;
  readonly #isExpiring: boolean;

  constructor(options: RunOptions) {
    this.#options = options;
    const random = new Random(options.seed);
    this.#random = random;
    this.#probeRandom = new Random(options.seed ^ PROBE_SEED_MASK);
    this.#clockRandom = new Random(options.seed ^ CLOCK_SEED_MASK);
    this.#operatorRandom = new Random(options.seed ^ OPERATOR_SEED_MASK);
    this.#isOperated = this.#operatorRandom.chance(OPERATED_RATE);
    this.#front = options.front ?? storeAlone;
    const drawn = random.pick(['channel', 'channel', 'channel', 'transient-pool'] as const);
    const engine = options.engine ?? drawn;
    this.#isNarrow = random.chance(NARROW_RATE);
    this.#isExpiring = options.seed % EXPIRING_EVERY === 0;
    this.#store = randomSettings(random, ROOT, engine, this.#isNarrow);
    Object.assign(this.#store, this.#front.settings);
    if (this.#isExpiring) {
      const often = { deleteWhen: EVERY_HOUR, fileReservedTime: RESERVED_HOURS, cleanResourceInterval: 50 };
      Object.assign(this.#store, often);
    }
    const syncFlush = this.#store.flushDiskType === 'SYNC_FLUSH';
    this.#model = new Model({
      syncFlush,
      durableReads: syncFlush && !this.#store.readUnCommitted,
      asyncInMemory: !syncFlush && engine === 'transient-pool',
      foreignTopics: this.#front.ownTopics,
      reservedMs: (this.#isExpiring ? RESERVED_HOURS : defaultMessageStoreConfig.fileReservedTime) * 60 * MINUTE_MS,
    });
    this.#front.begin({ syncFlush, asyncInMemory: !syncFlush && engine === 'transient-pool' });
    this.#delayRandom = new Random(options.seed ^ DELAY_SEED_MASK);
    const { delayedTopic } = this.#front;
    // Their records must not expire: they say when a message was due.
    if (delayedTopic !== undefined && !this.#isExpiring && this.#delayRandom.chance(DELAYED_RATE)) {
      this.#store.messageDelayLevel = DELAY_LEVELS;
      this.#delays = new DelayModel(delayedTopic, DELAY_LEVELS, this.#model);
    }
    const machine = {
      storePathRootDir: ROOT,
      mappedFileSizeCommitLog: this.#store.mappedFileSizeCommitLog!,
      hasMetadata: this.#front.hasMetadata,
      hasTimers: this.#front.startsAlways === true,
      durableWrites: random.chance(0.75),
    };
    this.#machine = new TortureMachine(machine, this.counters, (step) => this.#step(step));
    const { flushDiskType, mappedFileSizeCommitLog, enabledAppendPropCRC } = this.#store;
    this.#step(
      `seed ${options.seed}: ${engine}, ${flushDiskType}, files of ${mappedFileSizeCommitLog} bytes, ` +
        `${machine.durableWrites ? 'with' : 'without'} O_DSYNC` +
        `${enabledAppendPropCRC ? ', enabledAppendPropCRC' : ''}${this.#isNarrow ? ', one queue' : ''}` +
        `${this.#isOperated ? ', topics are deleted' : ''}${this.#delays ? ', messages wait' : ''}` +
        `${this.#isExpiring ? `, files go after ${RESERVED_HOURS} hour` : ''}`,
    );
  }

  async run(): Promise<RunCounters> {
    await this.#prepare();
    while (this.counters.crashes < this.#options.crashes) await this.#generation();
    if (this.#front.startsAlways) await this.#settle();
    this.counters.messagesPut = this.#model.newId() - 1;
    this.counters.acknowledged = this.#model.acknowledgedTotal;
    this.counters.read = this.#model.seenTotal;
    this.counters.expired = this.#model.expiredTotal;
    this.counters.deletionsUndone = this.#model.undoneTotal;
    this.counters.delayedDelivered = this.#delays?.deliveredTotal ?? 0;
    return this.counters;
  }

  async #prepare(): Promise<void> {
    if (this.#front.prepare === undefined) return;
    const scheduler = this.#machine.startCalm();
    await scheduler.complete(this.#front.prepare(this.#machine.fileSystem), 'what is there first', EVENTS_MAX);
    this.#machine.stop(scheduler);
  }

  /** The disk calls before the end, oldest first. */
  get lastOperations(): string[] {
    return this.#machine.lastOperations;
  }

  /** A last life that nothing disturbs, until everything that waits has had its time. */
  async #settle(): Promise<void> {
    const scheduler = this.#machine.startCalm();
    const settings = this.#isExpiring ? { ...this.#store, deleteWhen: NEVER } : this.#store;
    const opened = await this.#open(scheduler, EVENTS_MAX, undefined, settings);
    if (!opened) throw new Violation('the store does not open at the end, although nothing disturbs it any more');
    const { store, front } = opened;
    front.start?.();
    scheduler.stepWallClock(Math.max(0, (front.settledAt ?? 0) - scheduler.now()));
    await scheduler.complete(scheduler.delay(SETTLE_MS), 'what waits', EVENTS_MAX);
    if (front.settle) await scheduler.complete(front.settle(), 'what consumers do at the end', EVENTS_MAX);
    const { messages } = await scheduler.complete(readAll(store), 'reading all queues', EVENTS_MAX);
    front.checkSettled?.(messages);
    this.#step('everything that waited has had its time');
    await scheduler.complete(shutDownBoth(store, front), 'the last shutdown', EVENTS_MAX);
    this.#front.ended(true);
    this.#machine.stop(scheduler);
  }

  /** Open, work, end in some way, then look at what is left. */
  async #generation(): Promise<void> {
    const random = this.#random.fork();
    if (this.#isExpiring) {
      if (random.chance(0.5)) this.#machine.setClockForward(random.integer(10, 100) * MINUTE_MS);
    } else if (random.chance(CLOCK_BACK_RATE)) this.#machine.setClockBack(random.integer(1, CLOCK_BACK_MS_MAX));
    const isWaited = this.#delays !== undefined || this.#front.startsAlways === true;
    if (isWaited) this.#machine.setClockForward(this.#delayRandom.integer(0, DELAYED_PAUSE_MS_MAX));
    const scheduler = this.#machine.startDisturbed(random.fork());
    const crash = this.#machine.failpoint(random);
    const opened = await this.#open(scheduler, random.chance(0.15) ? random.integer(1, 120) : EVENTS_MAX, crash);
    const ended = opened ? await this.#work(opened, scheduler, random, crash) : 'stopped';
    this.#front.ended(ended === 'shut down cleanly');
    this.#machine.stop(scheduler);
    if (crash?.isReached) {
      this.counters.failpointsReached++;
      this.#step(`the machine stopped there, at ${crash.path}`);
    }
    await this.#checkWhatIsLeft(random);
  }

  /** Undefined when it was refused, or when the machine stopped before it ended. */
  async #open(
    scheduler: Scheduler,
    eventsMax: number,
    crash?: Crash,
    settings = this.#store,
    isLookedAt = false,
  ): Promise<Opened | undefined> {
    let opened: Opened | undefined;
    let refusal: Error | undefined;
    this.#comeUp(scheduler, settings, isLookedAt).then(
      (up) => {
        opened = up;
      },
      (error: Error) => {
        refusal = error;
      },
    );
    const done = (): boolean => opened !== undefined || refusal !== undefined || crash?.isReached === true;
    this.counters.events += await scheduler.run(done, eventsMax);
    if (refusal) {
      if (refusal instanceof Violation) throw refusal;
      this.counters.openingsRefused++;
      this.#step(`opening refused: ${refusal.message}`);
      if ((refusal as { code?: string }).code === 'STORE_DAMAGED') throw new Violation(refusal.message);
    } else if (!opened) {
      if (eventsMax === EVENTS_MAX && !crash?.isReached && !this.#machine.hangs)
        throw new Violation('the opening does not end');
      this.counters.cutsInRecovery++;
      this.#step('the machine stopped while the store was being opened');
    }
    return opened;
  }

  async #comeUp(scheduler: Scheduler, settings: MessageStoreOptions, isLookedAt: boolean): Promise<Opened> {
    const { fileSystem } = this.#machine;
    const store = await MessageStore.open(settings, { fileSystem, clock: scheduler, logger: this.#logger });
    try {
      const machine = { fileSystem, scheduler, counters: this.counters, isLookedAt, deletions: this.#model };
      return { store, front: await this.#front.open(store, machine) };
    } catch (error) {
      await store.shutdown().catch(() => {});
      throw error;
    }
  }

  async #work(opened: Opened, scheduler: Scheduler, random: Random, crash?: Crash): Promise<Ending> {
    const { store, front } = opened;
    const workload = new Workload(store, front, this.#model, scheduler, random.fork(), {
      topics: this.#front.topics,
      choosesDurability: this.#front.choosesDurability,
      producers: random.integer(1, this.#front.producersMax ?? 6),
      actors: this.#front.actors ?? 1,
      consumers: random.integer(0, 3),
      bodyBytesMax: Math.min(3_000, this.#store.mappedFileSizeCommitLog! / 3),
      isNarrow: this.#isNarrow,
      pauseMsMax: random.pick([0.2, 2, 20, 300]),
      operator: this.#isOperated ? this.#operatorRandom.fork() : undefined,
      delayed: this.#delays && { model: this.#delays, random: this.#delayRandom.fork() },
      counters: this.counters,
    });
    if (this.#delays || this.#front.startsAlways) front.start?.();
    workload.start();
    this.#misset(scheduler);
    const ended = (): boolean => workload.violation !== undefined || crash?.isReached === true;
    const events = random.integer(20, random.pick([150, 300, 900]));
    this.counters.events += await scheduler.run(ended, events);
    let ending: Ending = 'stopped';
    if (!ended() && random.chance(0.2)) ending = await this.#shutDown(opened, workload, scheduler, random, crash);
    if (workload.violation) throw workload.violation;
    this.#delays?.failedInThisLife(front.failedDeliveries?.() ?? new Map());
    this.#step(
      `at work for ${Math.round(scheduler.monotonic())} ms, ${this.#model.puts.length} messages; the log ends at ` +
        `${store.maxPhyOffset}, on disk is ${store.flushedWhere}, dispatched ${store.dispatchedWhere}`,
    );
    this.#checkRunning(store);
    if (!crash?.isReached) this.#model.checkAnswers(scheduler.monotonic(), this.#answerLimitMs);
    // A write on the event loop that the machine stopped in throws: nothing that a store would say counts after that.
    if (store.failure && store.failure.details.errno !== 'EHALTED') {
      if (store.failure.code === 'STORE_INTERNAL_ERROR') throw new Violation(store.failure.message);
      const { passingFault } = this.#machine;
      if (passingFault)
        throw new Violation(`the store failed for what passes, ${passingFault}: ${store.failure.message}`);
      this.counters.storesFailed++;
      this.#step(`the store failed: ${store.failure.message}`);
    }
    return ending;
  }

  /** In a history whose files expire, the clock is wrong now and then until the machine ends: far ahead, or behind. */
  #misset(scheduler: Scheduler): void {
    if (!this.#isExpiring || !this.#clockRandom.chance(MISSET_RATE)) return;
    const hours = this.#clockRandom.pick([-1_000, 1, 3, 100, 200_000]);
    scheduler.setTimer(
      () => {
        scheduler.stepWallClock(hours * 60 * MINUTE_MS);
        this.counters.clockSteps++;
        this.#step(`the clock is set ${hours} hours ahead`);
      },
      this.#clockRandom.integer(0, MISSET_AFTER_MS_MAX),
    );
  }

  /** A clean shutdown, or one that the machine's end comes into. */
  async #shutDown(
    { store, front }: Opened,
    workload: Workload,
    scheduler: Scheduler,
    random: Random,
    crash?: Crash,
  ): Promise<Ending> {
    workload.stop();
    let ended = false;
    let failed: Error | undefined;
    shutDownBoth(store, front).then(
      () => {
        ended = true;
      },
      (error: Error) => {
        ended = true;
        failed = error;
      },
    );
    const eventsMax = random.chance(0.4) ? random.integer(1, 60) : EVENTS_MAX;
    this.counters.events += await scheduler.run(() => ended || crash?.isReached === true, eventsMax);
    if (crash?.isReached) return 'stopped';
    if (!ended && eventsMax === EVENTS_MAX && !this.#machine.hangs) throw new Violation('the shutdown does not end');
    if (!ended) {
      this.#step('the machine stopped in the shutdown');
      return 'stopped';
    }
    if (failed && !store.failure) {
      // A failed read or removal keeps the shutdown from being clean, and is told; what is on disk stays.
      this.#step(`the shutdown failed: ${failed.message}`);
      return 'stopped';
    }
    if (store.failure) return 'stopped';
    this.counters.cleanShutdowns++;
    // Answers that are still on their way to the producers, and the next turn of those that had not begun to wait.
    await scheduler.run(() => false, 200);
    if (workload.violation) throw workload.violation;
    this.#model.shutDownCleanly();
    this.#step('shut down cleanly');
    return 'shut down cleanly';
  }

  /** An answer takes its place in the queue for room, then its write or flush. */
  readonly #answerLimitMs = (put: Put): number => {
    const { putMessageTimeout = 0, syncFlushTimeout = 0, flushCommitLogThoroughInterval = 0 } = this.#store;
    const waits = putMessageTimeout + Math.max(putMessageTimeout, syncFlushTimeout);
    // Under ASYNC_FLUSH `group` waits for the next flush, which comes when it is due.
    return put.durability === 'group' ? waits + flushCommitLogThoroughInterval * 2 + 5_000 : waits + 100;
  };

  #checkRunning(store: MessageStore): void {
    const { minPhyOffset, flushedWhere, committedWhere, maxPhyOffset, dispatchedWhere } = store;
    const ordered = minPhyOffset <= flushedWhere && flushedWhere <= committedWhere && committedWhere <= maxPhyOffset;
    if (!ordered) {
      throw new Violation(
        `offsets out of order: min ${minPhyOffset}, flushed ${flushedWhere}, committed ${committedWhere}, max ${maxPhyOffset}`,
      );
    }
    const durableReads = this.#store.flushDiskType === 'SYNC_FLUSH' && !this.#store.readUnCommitted;
    const limit = durableReads ? flushedWhere : maxPhyOffset;
    if (dispatchedWhere > limit) throw new Violation(`dispatched up to ${dispatchedWhere}, allowed is ${limit}`);
    for (const put of this.#model.puts) {
      if (!put.isKept && this.#model.isOnDiskPromised(put) && put.offset! + put.body.length > flushedWhere) {
        throw new Violation(`message ${put.id} at ${put.offset} is acknowledged, on disk is ${flushedWhere}`);
      }
    }
  }

  /** The machine or the process ends, perhaps again and again while it recovers; then a recovery that nothing disturbs. */
  async #checkWhatIsLeft(random: Random): Promise<void> {
    this.counters.crashes++;
    let killed = this.#machine.end(random);
    let isOnDisk = !killed;
    for (let again = 0; again < 3 && random.chance(0.2); again++) {
      const scheduler = this.#machine.startDisturbed(random.fork());
      const crash = this.#machine.failpoint(random);
      await this.#open(scheduler, random.integer(1, 150), crash);
      this.#front.ended(false);
      this.#machine.stop(scheduler);
      isOnDisk = !this.#machine.end(random);
      killed = !isOnDisk && killed;
    }
    await this.#recoverAndCheck(random, killed, isOnDisk);
  }

  /** `isOnDisk`: what the crash left is all on disk. */
  async #recoverAndCheck(random: Random, killed: boolean, isOnDisk: boolean): Promise<void> {
    const mayProbe = this.#front.isProbed !== false;
    const isProbed = isOnDisk && mayProbe && this.#probeRandom.chance(DAMAGE_AT_CRASH_RATE);
    const left = isProbed ? this.#machine.copyAfterCrash(0) : undefined;
    const durablePoint = isProbed ? (this.#machine.checkpoint()?.durablePoint ?? 0) : 0;
    const first = await this.#recovered(killed);
    this.#delays?.checkAfterCrash(first.all, { offsets: first.delayOffsets, killed, now: this.#machine.time });
    this.#model.checkAfterCrash(first.content, { killed, now: this.#machine.time });
    if (left !== undefined) await this.#probeAtCrash(first, left, durablePoint);
    const chance = random.fraction();
    if (chance < 0.25) {
      // What the first recovery left on the disk comes to the same in a second one.
      const before = this.#logImage(first.store);
      this.#machine.cutPower(random.integer(0, 0x7fff_ffff));
      this.#step('power cut after the recovery');
      const second = await this.#recovered(true);
      this.#delays?.checkAfterCrash(second.all, {
        offsets: second.delayOffsets,
        killed: true,
        now: this.#machine.time,
      });
      this.#model.checkAfterCrash(second.content, { killed: true, now: this.#machine.time });
      const after = this.#logImage(second.store);
      if (!after.equals(before)) throw new Violation('a second recovery changed the log');
    } else if (chance < 0.45 && mayProbe) await this.#probe(first, random);
  }

  #logImage({ config, maxPhyOffset }: MessageStore): Buffer {
    return logImage(this.#machine.fileSystem, config.storePathCommitLog, maxPhyOffset);
  }

  /** On a copy: a bit of the log or of a queue is read wrong. */
  async #probe(first: Recovered, random: Random): Promise<void> {
    // One fault at a time: with a torn checkpoint there is no durable point, and a wrong bit ends the log as RocketMQ's do.
    const copy = this.#machine.copyAfterCrash(random.integer(0, 0x7fff_ffff), { torn: false });
    const { store } = first;
    const { messages } = first.all;
    const isQueue = random.chance(0.3);
    const what = isQueue
      ? await probeQueueDamage(store, copy, messages, random.fork(), this.#machine.time)
      : await probeDamage(store, copy, messages, this.#model, random.fork(), this.#machine.time);
    this.#noteProbe(`on a copy a bit of ${isQueue ? 'a queue' : 'the log'} was flipped`, what);
  }

  /** On a copy of what the crash left: recovery, or a reader after it, comes upon a bit below the durable point that is wrong. */
  async #probeAtCrash(first: Recovered, left: SimulatedFileSystem, durablePoint: number): Promise<void> {
    const random = this.#probeRandom.fork();
    const { store } = first;
    const { messages } = first.all;
    const what = await probeDamage(store, left, messages, this.#model, random, this.#machine.time, durablePoint);
    this.#noteProbe('on a copy of what the crash left a bit of the log was flipped', what);
  }

  #noteProbe(probe: string, what: string): void {
    this.counters.bitsFlipped++;
    if (what === 'named') this.counters.damageNamed++;
    this.#step(`${probe}: ${what}`);
  }

  /** A recovery that nothing disturbs, and everything it gave. Then the machine stops, with the store open. */
  async #recovered(killed: boolean): Promise<Recovered> {
    const scheduler = this.#machine.startCalm();
    // What is looked at stays as it is meanwhile.
    const settings = this.#isExpiring ? { ...this.#store, deleteWhen: NEVER } : this.#store;
    const opened = await this.#open(scheduler, EVENTS_MAX, undefined, settings, true);
    if (!opened) throw new Violation('the store does not open after the crash, although nothing disturbs it any more');
    const { store, front } = opened;
    if (store.failure) throw store.failure;
    this.#step(`recovered: the log ends at ${store.maxPhyOffset}`);
    const all = await scheduler.complete(readAll(store), 'reading all queues', EVENTS_MAX);
    const { messages } = all;
    const content = this.#judged(this.#delays?.without(all) ?? all);
    this.#model.settleDeletions(all);
    const delayOffsets = front.delayOffsets?.() ?? new Map<number, number>();
    const checks = async (): Promise<void> => {
      await checkLog(store, this.#machine.fileSystem, messages, (topic) => this.#model.deadBelow(topic));
      await checkTags(store, messages);
      await checkIndex(store, content.messages, this.#random.fork());
      await front.check(messages, killed);
    };
    await scheduler.complete(checks(), 'reading log, queues and index', EVENTS_MAX);
    this.#front.ended(false);
    this.#machine.stop(scheduler);
    return { store, content, all, delayOffsets };
  }

  /** Without the topics of which the front knows better what is to be in them. */
  #judged(content: StoreContent): StoreContent {
    const { ownTopics } = this.#front;
    const isJudged = ([queue]: [string, unknown]): boolean => !ownTopics.has(queue.slice(0, queue.lastIndexOf('-')));
    return {
      ...content,
      messages: new Map([...content.messages].filter(isJudged)),
      queueEnds: new Map([...content.queueEnds].filter(isJudged)),
    };
  }

  /** What recovery and failures say belongs into the history; what the store says of its daily work does not. */
  readonly #logger: StoreLogger = {
    ...silentLogger,
    warn: (fields, message) => {
      if (message.startsWith('recovery') || message.startsWith('checkpoint')) this.#log(fields, message);
    },
    error: (fields, message) => this.#log(fields, message),
  };

  #log(fields: object, message: string): void {
    this.#step(`log: ${message} ${JSON.stringify(fields)}`.slice(0, LOG_LINE_MAX));
  }

  #step(step: string): void {
    this.#options.onStep?.(step);
  }
}
