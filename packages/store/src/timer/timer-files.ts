import { Coalesced } from '../base/coalesced.ts';
import { StoreError } from '../base/errors.ts';
import type { FileSystem } from '../base/file-system.ts';
import type { StoreLogger } from '../base/logger.ts';
import { storePaths } from '../io/store-directory.ts';
import { LateSlots } from './late-slots.ts';
import { type TimerCheckFields, type TimerCheckOwn, TimerCheckpoint } from './timer-checkpoint.ts';
import { SLOT_CUT, TimerMagic, type TimerSlot, type TimerUnit, WHEEL_SLOTS } from './timer-layout.ts';
import { TimerLog } from './timer-log.ts';
import { precisionMismatch, recoverTimerFiles, TimerFilesDamaged } from './timer-recovery.ts';
import { TimerWheel } from './timer-wheel.ts';

/** Changed pages of the wheel in memory; at more, nothing is added before they are on disk. */
const DIRTY_BYTES_MAX = 4 * 1024 * 1024;

export interface TimerFilesOptions {
  /** The store's root. */
  readonly storePathRootDir: string;
  readonly fileSystem: FileSystem;
  readonly logger: StoreLogger;
  readonly precisionMs: number;
  /** Bytes of a file of the timer log. */
  readonly mappedFileSizeTimerLog: number;
  /** Bytes that stay free on the disk when a file is made. */
  readonly diskFreeBytesMin: number;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Messages in front of it were put before this start: those that were not taken up were rounded to the precision of then. Default 0. */
  readonly queueEnd?: number;
  /**
   * Puts on disk what was delivered up to the call. False: the store has failed, and nothing more comes to the disk.
   */
  readonly putsOnDisk: () => Promise<boolean>;
  /** A write or a sync failed: nothing is written any more. Called once. */
  readonly failed: (error: StoreError) => void;
  /** Slots of the wheel; default RocketMQ's. For tests. */
  readonly slots?: number;
}

/** A message that is to wait. `number`: of its slot. */
export interface TimerEntry extends Omit<TimerUnit, 'prevPos' | 'slotTimeMs'> {
  readonly number: number;
  /** The slot that it asks for, where that is too far back for the wheel; by default `number`. */
  readonly wanted?: number;
}

/** What became of an entry: `conflict` and `early` say that the slot's place in the wheel is another slot's; see TimerWheel.place. */
export type Added = 'added' | 'conflict' | 'early';

/**
 * What waits for its time: timer log, wheel and checkpoint (the files of RocketMQ's TimerMessageStore).
 *
 * The steps, and what a crash leaves between them:
 *
 *   1 add       a unit in the timer log, its slot in the wheel: both in memory
 *   2 fire      the slot's messages are put; the slot is blank, in memory
 *   3 flush     what was put by then; each timerFlushIntervalMs, and when much has changed
 *   4           the units as they were before 3
 *   5           the wheel's pages as they were before 3
 *   6           the checkpoint: the queue's offset, the end of 4, as they were before 3
 *
 * - No slot on disk leads to a unit that is not: 5 is behind 4.
 * - No slot is blank on disk whose messages are not delivered on disk: 5 is behind 3.
 * - A message in front of the checkpoint's offset has its unit on disk, and its slot leads to it: 6 is behind 5.
 *
 * So a crash before 6 delivers again what was delivered since the last checkpoint, and loses nothing. Wheel and log can be
 * made anew from the queue, and are when they are damaged. After a failed write or sync nothing is written any more: every
 * further call rejects with the failure, and the next start takes up at the last checkpoint.
 */
export class TimerFiles {
  readonly precisionMs: number;
  readonly slots: number;
  readonly #options: TimerFilesOptions;
  readonly #log: TimerLog;
  readonly #wheel: TimerWheel;
  readonly #checkpoint: TimerCheckpoint;
  readonly #flushing: Coalesced<void>;
  #busy: Promise<unknown> = Promise.resolve();
  #failure: StoreError | undefined;
  #queueOffset: number | undefined;
  #tail: ReadonlyMap<number, number> = new Map();
  readonly #late = new LateSlots();
  #tailEnd = -1;
  #waitingCount = 0;
  #rebuild = { below: 0, readTimeMs: 0 };
  #isChanged = false;
  #firing: { number: number; firstNew: number | undefined; newCount: number } | undefined;

  private constructor(options: TimerFilesOptions) {
    const { storePathRootDir, fileSystem, diskFreeBytesMin: freeBytesMin, slots = WHEEL_SLOTS } = options;
    this.#options = options;
    this.precisionMs = options.precisionMs;
    this.slots = slots;
    const { timerLog, timerWheel, timerCheck } = storePaths(storePathRootDir);
    this.#log = new TimerLog(timerLog, fileSystem, { fileSize: options.mappedFileSizeTimerLog, freeBytesMin });
    this.#wheel = new TimerWheel(timerWheel, slots, fileSystem, freeBytesMin);
    this.#checkpoint = new TimerCheckpoint(timerCheck, fileSystem);
    this.#flushing = new Coalesced(() => this.#flushOnce(false));
  }

  /**
   * Opens what is there and recovers. A directory in which nothing waited yet gets no file. Rejects
   * STORE_TIMER_PRECISION_MISMATCH, and the errors of files that cannot be read or made anew.
   */
  static async open(options: TimerFilesOptions): Promise<TimerFiles> {
    const files = new TimerFiles(options);
    try {
      await files.#load();
    } catch (error) {
      await files.#closeAll();
      throw error;
    }
    return files;
  }

  async #load(): Promise<void> {
    const { logger, now } = this.#options;
    const check = await this.#checkpoint.load();
    this.#queueOffset = check && Math.min(check.fields.lastTimerQueueOffset, check.fields.masterTimerQueueOffset);
    if (check?.own !== undefined) {
      this.#rebuild = { below: check.own.rebuildBelow, readTimeMs: check.own.rebuildReadTimeMs };
    }
    const written = check?.own?.precisionMs ?? this.precisionMs;
    // Their slots would end earlier than the times they stand for.
    const isBehind = (this.#options.queueEnd ?? 0) > (this.#queueOffset ?? 0);
    if (written !== this.precisionMs && (isBehind || this.#rebuild.below > 0)) {
      throw precisionMismatch(this.#checkpoint.path, written, this.precisionMs);
    }
    try {
      if (!(await this.#log.load())) throw new TimerFilesDamaged(`${this.#log.directory} has not the files of a log`);
      const hasWheel = await this.#wheel.load();
      if (check === undefined && !hasWheel && !this.#log.hasFiles) return;
      if (this.#rebuild.below > 0 && check?.fields.lastTimerLogFlushPos === 0) {
        throw new TimerFilesDamaged('making them anew was cut off');
      }
      if (!hasWheel && this.#log.hasFiles && (check?.fields.lastTimerLogFlushPos ?? 0) > 0) {
        throw new TimerFilesDamaged(`${this.#wheel.path} is missing`);
      }
      const { precisionMs } = this;
      const parts = { log: this.#log, wheel: this.#wheel, check, precisionMs, now: now(), logger };
      const { tail, waitingCount } = await recoverTimerFiles(parts);
      this.#tail = tail;
      for (const logOffset of tail.keys()) this.#tailEnd = Math.max(this.#tailEnd, logOffset);
      this.#waitingCount = waitingCount;
      if (check?.own?.hasLate) this.#late.note(this.#slotOf(check.fields.lastReadTimeMs), this.#wheel.highest);
      this.#isChanged = tail.size > 0 || check?.own === undefined;
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (written !== this.precisionMs) throw precisionMismatch(this.#checkpoint.path, written, this.precisionMs);
      logger.error({ reason: error.message }, `timer files are made anew from the queue: ${error.message}`);
      await this.#startRebuild(check?.fields);
    }
  }

  /**
   * The queue is read again from its beginning; what the checkpoint says is delivered is passed over. The checkpoint comes
   * first: a crash would else leave an offset behind which nobody looks for the messages. Without one there is nothing to
   * lose.
   */
  async #startRebuild(fields: TimerCheckFields | undefined): Promise<void> {
    const readTimeMs = fields?.lastReadTimeMs ?? 0;
    if (this.#rebuild.below === 0) this.#rebuild = { below: this.#queueOffset ?? 0, readTimeMs };
    this.#queueOffset = 0;
    if (fields !== undefined) await this.#checkpoint.save(this.#fields(readTimeMs, 0), this.#own(false));
    await this.#log.removeAll();
    await this.#wheel.remove();
    this.#isChanged = true;
  }

  /**
   * Before a message is accepted: the checkpoint says to which precision its time is rounded. Resolves when it is *on disk*;
   * without room for it that is later.
   */
  async keepPrecision(): Promise<void> {
    if (this.#checkpoint.content?.own?.precisionMs === this.precisionMs) return;
    this.#isChanged = true;
    try {
      await this.flush();
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'STORE_DISK_FULL')) throw error;
      this.#options.logger.warn({ err: error }, `the precision of timers is not on disk yet: ${error.message}`);
    }
  }

  /** Why nothing can be added any more. */
  get failure(): StoreError | undefined {
    return this.#failure;
  }

  /** Messages in front of it are in the timer log, or done. Undefined: the queue was never read. */
  get queueOffset(): number | undefined {
    return this.#queueOffset;
  }

  /** Set when what is in front of it was added. */
  setQueueOffset(queueOffset: number): void {
    const before = this.#queueOffset ?? 0;
    this.#queueOffset = queueOffset;
    if (before === queueOffset) return;
    this.#isChanged = true;
    if (this.#rebuild.below > 0 && queueOffset >= this.#rebuild.below) this.#rebuild = { below: 0, readTimeMs: 0 };
  }

  /** Number of the slot that is due first; undefined when nothing waits. */
  get lowest(): number | undefined {
    return this.#wheel.lowest;
  }

  /** Number of a slot: of the messages added, none waits that asked for an earlier one. Undefined when nothing waits. */
  get doneBelow(): number | undefined {
    const { lowest } = this.#wheel;
    return lowest === undefined ? undefined : Math.min(lowest, this.#late.from(lowest) ?? lowest);
  }

  /** Messages that wait. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Bytes of wheel pages in memory, and calls that read wheel and log: for those who watch what it costs. */
  get cost(): { memoryBytes: number; readCalls: number } {
    return { memoryBytes: this.#wheel.memoryBytes, readCalls: this.#wheel.readCalls + this.#log.readCalls };
  }

  get checkpoint(): TimerCheckFields {
    return this.#fields(this.#readTimeMs, this.#log.end);
  }

  /** The message was added before the last start, or delivered before the files were made anew. */
  isKnown(logOffset: number, queueOffset: number, slotTimeMs: number): boolean {
    if (queueOffset < this.#rebuild.below && slotTimeMs < this.#rebuild.readTimeMs) return true;
    if (logOffset > this.#tailEnd) {
      if (this.#tail.size > 0) this.#tail = new Map();
      return false;
    }
    const number = this.#tail.get(logOffset);
    if (number !== undefined) this.#late.note(this.#slotOf(slotTimeMs), number);
    return number !== undefined;
  }

  /**
   * Adds an entry, in memory. Rejects STORE_DISK_FULL and other errors of making files, which may be tried again, and the
   * failure after one.
   */
  async add(entry: TimerEntry): Promise<Added> {
    if (this.#wheel.dirtyBytes >= DIRTY_BYTES_MAX) await this.flush();
    return this.#alone(async () => {
      const { number, wanted = number, magic, writeTimeMs, logOffset, size, topicHash } = entry;
      const place = this.#wheel.place(number);
      if (place !== 'free') return place;
      await this.#wheel.ready();
      const prevPos = (await this.#wheel.slot(number))?.lastPos ?? -1;
      const unit = { prevPos, magic, writeTimeMs, slotTimeMs: number * this.precisionMs, logOffset, size, topicHash };
      const position = await this.#log.append(unit);
      const count = (magic & TimerMagic.DELETE) === 0 ? 1 : 0;
      await this.#wheel.put(number, (slot) =>
        slot === undefined
          ? { number, firstPos: position, lastPos: position, num: count, magic: 0 }
          : { ...slot, lastPos: position, num: slot.num + count },
      );
      this.#late.note(wanted, number);
      this.#waitingCount += count;
      this.#isChanged = true;
      if (this.#firing?.number === number) {
        this.#firing.firstNew ??= position;
        this.#firing.newCount += count;
      }
      return 'added';
    });
  }

  /** The slot as it is when its messages are begun to be delivered; undefined when it is blank. */
  begin(number: number): Promise<TimerSlot | undefined> {
    return this.#alone(async () => {
      const slot = await this.#wheel.slot(number);
      this.#firing = slot && { number, firstNew: undefined, newCount: 0 };
      // A slot of which the wheel has no more than a bit has nothing to deliver.
      if (slot === undefined) await this.#wheel.clear(number);
      return slot;
    });
  }

  /** Units of the slot in front of `position` are done; `left` of its messages are not. Without units the slot is blank. */
  async cut(number: number, position: number, left: number): Promise<void> {
    await this.#alone(async () => {
      if (this.#firing?.number !== number) return;
      const slot = await this.#wheel.slot(number);
      if (slot !== undefined && position > slot.lastPos) return this.#clear(slot);
      await this.#cut(number, position, left + this.#firing.newCount);
    });
  }

  async #cut(number: number, firstPos: number, num: number): Promise<void> {
    await this.#wheel.put(number, (slot) => {
      this.#waitingCount += num - Math.max(0, slot!.num);
      return { ...slot!, firstPos, num, magic: slot!.magic | SLOT_CUT };
    });
    this.#isChanged = true;
  }

  /** Everything that was in the slot at `begin` is done. */
  async finish(number: number): Promise<void> {
    await this.#alone(async () => {
      const firing = this.#firing;
      this.#firing = undefined;
      const slot = await this.#wheel.slot(number);
      if (firing?.number !== number || slot === undefined) return;
      if (firing.firstNew !== undefined) return this.#cut(number, firing.firstNew, firing.newCount);
      await this.#clear(slot);
    });
  }

  async #clear({ number, num }: TimerSlot): Promise<void> {
    await this.#wheel.clear(number);
    this.#waitingCount = Math.max(0, this.#waitingCount - Math.max(0, num));
    this.#isChanged = true;
  }

  /** Not all of it could be done; the slot stays as it is. */
  leave(): void {
    this.#firing = undefined;
  }

  /** Where the chain of a slot ends: units in front of it are done, or gone with their records. */
  chainEnd(slot: TimerSlot): number {
    const cutAt = (slot.magic & SLOT_CUT) !== 0 ? slot.firstPos : 0;
    return Math.max(cutAt, this.#log.minPosition);
  }

  /** Undefined: there is no unit. */
  unitAt(position: number): Promise<TimerUnit | undefined> {
    return this.#log.read(position);
  }

  /** Number of the slot that the unit is of. */
  numberOf({ slotTimeMs }: TimerUnit): number {
    return this.#slotOf(slotTimeMs);
  }

  #slotOf(timeMs: number): number {
    return Math.floor(timeMs / this.precisionMs);
  }

  /** Positions of all units of a slot from `from` on, for a chain that is broken: goes over the whole log. */
  async searchUnits(number: number, from: number): Promise<number[]> {
    const positions: number[] = [];
    await this.#alone(() => this.#log.writeOut());
    const visit = (unit: TimerUnit, position: number): void => {
      if (this.numberOf(unit) === number) positions.push(position);
    };
    await this.#log.scan(Math.max(from, this.#log.minPosition), this.#log.end, visit, true);
    return positions;
  }

  /** Numbers of slots above `limit` in which something waits, at most `count`. */
  above(limit: number, count: number): number[] {
    return this.#wheel.above(limit, count);
  }

  /** See TimerWheel.counts. */
  counts(from: number, ends: readonly number[]): Promise<number[]> {
    return this.#wheel.counts(from, ends);
  }

  /** Removes files of the log whose records are gone. */
  async deleteExpired(minLogOffset: number): Promise<number> {
    return this.#alone(() => this.#log.deleteExpired(minLogOffset));
  }

  /** Resolves when everything added and finished before the call is *on disk*. Nothing changed: no I/O. */
  flush(): Promise<void> {
    return this.#flushing.run();
  }

  /** Flushes and closes. Rejects with the failure when there is one. */
  async close(): Promise<void> {
    await this.#flushing.whenIdle();
    try {
      const isThere = this.#checkpoint.content !== undefined || this.#isChanged;
      if (isThere && this.#failure === undefined) await this.#flushOnce(true);
    } finally {
      await this.#closeAll();
    }
  }

  async #closeAll(): Promise<void> {
    await this.#log.close();
    await this.#wheel.close();
    await this.#checkpoint.close();
  }

  async #flushOnce(isClosed: boolean): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#isChanged && !isClosed) return;
    const taken = await this.#alone(async () => {
      await this.#failing(() => this.#log.writeOut());
      this.#isChanged = false;
      const fields = this.#fields(this.#readTimeMs, this.#log.end);
      return { pages: this.#wheel.takeDirty(), fields, own: this.#own(isClosed) };
    });
    let isOnDisk = false;
    try {
      isOnDisk = await this.#options.putsOnDisk();
    } finally {
      if (!isOnDisk) {
        this.#wheel.giveBack(taken.pages);
        this.#isChanged = true;
      }
    }
    if (!isOnDisk) return;
    let areWritten = false;
    try {
      await this.#failing(async () => {
        await this.#log.sync();
        await this.#wheel.write(taken.pages);
        areWritten = true;
        await this.#checkpoint.save(taken.fields, taken.own);
      });
    } catch (error) {
      if (!areWritten) this.#wheel.giveBack(taken.pages);
      this.#isChanged = true;
      throw error;
    }
  }

  get #readTimeMs(): number {
    const nowSlot = this.#slotOf(this.#options.now());
    return Math.min(this.doneBelow ?? nowSlot, nowSlot) * this.precisionMs;
  }

  #fields(lastReadTimeMs: number, end: number): TimerCheckFields {
    const before = this.#checkpoint.content?.fields;
    const queueOffset = this.#queueOffset ?? 0;
    return {
      ...{ lastReadTimeMs, lastTimerLogFlushPos: end },
      ...{ lastTimerQueueOffset: queueOffset, masterTimerQueueOffset: queueOffset },
      ...{
        stateVersion: before?.stateVersion ?? 0,
        timestamp: this.#options.now(),
        counter: (before?.counter ?? 0) + 1,
      },
    };
  }

  #own(isClosed: boolean): TimerCheckOwn {
    const { below: rebuildBelow, readTimeMs: rebuildReadTimeMs } = this.#rebuild;
    const hasLate = this.#late.from(this.#wheel.lowest) !== undefined;
    return { precisionMs: this.precisionMs, isClosed, hasLate, rebuildBelow, rebuildReadTimeMs };
  }

  /** Fail-stop for what is not made again after a failure. A write without room can be made again with the same bytes. */
  async #failing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof StoreError && error.code === 'STORE_DISK_FULL') throw error;
      const failure =
        error instanceof StoreError ? error : new StoreError('STORE_INTERNAL_ERROR', String(error), {}, error);
      if (this.#failure === undefined) {
        this.#failure = failure;
        this.#options.failed(failure);
      }
      throw this.#failure;
    }
  }

  /** One change at a time. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#busy.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return await work();
      } catch (error) {
        // A file that could not be made, or room that is missing, may come; what was written in part may not.
        if (error instanceof StoreError && error.code === 'STORE_WRITE_FAILED')
          return this.#failing(() => Promise.reject(error));
        throw error;
      }
    });
    this.#busy = run.catch(() => {});
    return run;
  }
}

function isDamage(error: unknown): error is Error {
  if (error instanceof TimerFilesDamaged) return true;
  const code = error instanceof StoreError ? error.code : undefined;
  return code === 'STORE_READ_FAILED' || code === 'STORE_FILE_SIZE_MISMATCH';
}
