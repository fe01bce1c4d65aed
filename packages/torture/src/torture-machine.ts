import { type CheckpointContent, decodeCheckpoint } from '@vernier/store/internal';
import type { RunCounters } from './counters.ts';
import { injectFault } from './faults.ts';
import type { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { type Crash, crashAt, FAILPOINTS } from './simulation/failpoints.ts';
import type { CrashOptions } from './simulation/simulated-file.ts';
import { SimulatedFileSystem } from './simulation/simulated-file-system.ts';
import { Violation } from './violation.ts';

export interface MachineOptions {
  storePathRootDir: string;
  mappedFileSizeCommitLog: number;
  /** Something writes files under config/, which can fail and at which the machine can stop. */
  hasMetadata: boolean;
  /** Messages wait for their time, in files of their own. */
  hasTimers?: boolean;
  /** The file system has O_DSYNC. */
  durableWrites: boolean;
}

const START = Date.UTC(2026, 0, 1);
/** Disk calls that a history shows at its end. */
const OPERATIONS_SHOWN = 25;
/** Of a disk that is not about to run full. */
const FREE_BYTES = 1024 ** 4;
/** Metadata files are the broker's, which some histories have in front of the store. */
const METADATA_FAILPOINTS = FAILPOINTS.filter((name) => name.startsWith('metadata:'));
const TIMER_FAILPOINTS = FAILPOINTS.filter((name) => name.startsWith('timer:'));
const STORE_FAILPOINTS = FAILPOINTS.filter((name) => !/^(metadata|timer):/.test(name));
/** Those that a store at work passes again and again; the others are of starts, ends and repairs. */
const BUSY_FAILPOINTS = STORE_FAILPOINTS.filter((name) =>
  /^(append|flush|allocate|checkpoint|queue|index):/.test(name),
);

/** The machine of a history: its disk, its time, and how it fails and stops. What it does is told by `onStep`. */
export class TortureMachine {
  readonly #options: MachineOptions;
  readonly #counters: RunCounters;
  readonly #onStep: (step: string) => void;
  readonly #failpoints: typeof FAILPOINTS;
  readonly #busyFailpoints: typeof FAILPOINTS;
  #fileSystem: SimulatedFileSystem;
  #time = START;
  #hangs = false;
  #passingFault: string | undefined;
  /** A power cut has left a checkpoint with a whole copy of ours. */
  #hadCheckpoint = false;

  constructor(options: MachineOptions, counters: RunCounters, onStep: (step: string) => void) {
    this.#options = options;
    this.#counters = counters;
    this.#onStep = onStep;
    const metadata = options.hasMetadata ? METADATA_FAILPOINTS : [];
    const timers = options.hasTimers ? TIMER_FAILPOINTS : [];
    this.#failpoints = [...STORE_FAILPOINTS, ...metadata, ...timers];
    this.#busyFailpoints = [...BUSY_FAILPOINTS, ...metadata, ...timers];
    const { durableWrites } = options;
    this.#fileSystem = new SimulatedFileSystem({
      now: () => this.#time,
      durableWrites,
      operationsMax: OPERATIONS_SHOWN,
    });
  }

  get fileSystem(): SimulatedFileSystem {
    return this.#fileSystem;
  }

  /** Unix milliseconds. */
  get time(): number {
    return this.#time;
  }

  /** A disk call since the machine was last disturbed never returns. */
  get hangs(): boolean {
    return this.#hangs;
  }

  /** The fault since the machine was last disturbed, if a store must not fail for it. */
  get passingFault(): string | undefined {
    return this.#passingFault;
  }

  /** The disk calls before the end, oldest first. */
  get lastOperations(): string[] {
    return this.#fileSystem.operations.slice(-OPERATIONS_SHOWN).map(({ operation, path }) => `${operation} ${path}`);
  }

  setClockBack(ms: number): void {
    this.#time -= ms;
    this.#onStep(`the clock was set back by ${ms} ms`);
  }

  setClockForward(ms: number): void {
    this.#time += ms;
    this.#onStep(ms < 60_000 ? `${ms} ms pass` : `${Math.round(ms / 60_000)} minutes pass`);
  }

  /** Switched on. Calls take their time; sometimes the disk is slow, or failing, or does not answer. */
  startDisturbed(random: Random): Scheduler {
    const scheduler = new Scheduler(this.#time);
    const fileSystem = this.#fileSystem;
    const slowSync = random.chance(0.1) ? 400 : 2;
    let hangIn = random.chance(0.03) ? random.integer(1, 60) : -1;
    fileSystem.latency = (operation, path) => {
      if (operation === 'sync' && path.includes('/commitlog/') && --hangIn === 0) {
        this.#hangs = true;
        this.#onStep(`the disk does not answer any more: sync of ${path}`);
        return new Promise(() => {});
      }
      return scheduler.delay(random.fraction() * (operation === 'sync' ? slowSync : 0.2));
    };
    fileSystem.onCall = () => scheduler.noteCall();
    this.#hangs = false;
    this.#passingFault = undefined;
    if (!random.chance(0.3)) return scheduler;
    this.#counters.faults++;
    const { mappedFileSizeCommitLog, hasMetadata } = this.#options;
    const fault = injectFault(fileSystem, random, mappedFileSizeCommitLog, hasMetadata);
    this.#passingFault = fault.isPassing ? fault.description : undefined;
    if (fault.isPassing) this.#counters.lacks++;
    this.#onStep(`fault: ${fault.description}`);
    return scheduler;
  }

  /** Switched on, and nothing disturbs it. */
  startCalm(): Scheduler {
    const scheduler = new Scheduler(this.#time);
    this.#fileSystem.latency = undefined;
    this.#fileSystem.freeBytes = FREE_BYTES;
    this.#fileSystem.onCall = () => scheduler.noteCall();
    return scheduler;
  }

  /** Now and then the machine is to stop at a failpoint. */
  failpoint(random: Random): Crash | undefined {
    if (!random.chance(0.3)) return undefined;
    const isBusy = random.chance(0.6);
    const name = random.pick(isBusy ? this.#busyFailpoints : this.#failpoints);
    const nth = isBusy ? random.integer(1, random.pick([2, 5, 20])) : random.pick([1, 1, 2, 3]);
    this.#onStep(`the machine stops at ${name}, number ${nth}`);
    return crashAt(this.#fileSystem, name, nth);
  }

  /** From here on nothing that was under way goes on. */
  stop(scheduler: Scheduler): void {
    scheduler.stop();
    this.#time = scheduler.time + 1;
  }

  /** A power cut, or the end of the process alone: then the page cache stays. True for the latter. */
  end(random: Random): boolean {
    const seed = random.integer(0, 0x7fff_ffff);
    const options = { sectorsTogether: random.pick([1, 1, 8]), survival: random.pick([0.5, 0.5, 0.1, 0.9]) };
    if (random.chance(0.8)) {
      this.#counters.powerCuts++;
      this.#fileSystem = this.#fileSystem.crash(seed, options);
      const pieces = options.sectorsTogether === 1 ? 'sectors' : 'pages';
      this.#onStep(`power cut (seed ${seed}, of the ${pieces} not synced ${options.survival * 100} % survive)`);
      this.#checkCheckpoint();
      return false;
    }
    this.#counters.kills++;
    const fileSystem = this.#fileSystem;
    fileSystem.clearFaults();
    fileSystem.resume();
    fileSystem.intercept = undefined;
    fileSystem.onDone = undefined;
    this.#onStep('killed');
    return true;
  }

  /** A power cut of a machine that was at rest. */
  cutPower(seed: number): void {
    this.#fileSystem = this.#fileSystem.crash(seed);
  }

  /** What a power cut now would leave, with room on it; this machine goes on. */
  copyAfterCrash(seed: number, options?: CrashOptions): SimulatedFileSystem {
    const copy = this.#fileSystem.crash(seed, options);
    copy.freeBytes = FREE_BYTES;
    return copy;
  }

  /** Undefined when there is none. */
  checkpoint(): CheckpointContent | undefined {
    const path = `${this.#options.storePathRootDir}/checkpoint`;
    return this.#fileSystem.paths().includes(path)
      ? decodeCheckpoint(this.#fileSystem.volatileContent(path))
      : undefined;
  }

  /** Once there is a whole copy on disk there always is one: each is written over only while the other is on disk. */
  #checkCheckpoint(): void {
    const hasCopy = this.checkpoint()?.copies.includes('whole') === true;
    if (this.#hadCheckpoint && !hasCopy) throw new Violation('the power cut left no whole copy in the checkpoint');
    this.#hadCheckpoint = hasCopy;
  }
}
