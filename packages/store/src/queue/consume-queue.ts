import type { StoreLogger } from '../base/logger.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';
import { RECORD_BYTES_MIN } from '../record/message-decoder.ts';
import type { ConsumeQueueFiles } from './consume-queue-files.ts';
import { recoverUnits } from './consume-queue-recovery.ts';
import { NEVER_DELETED, type TopicLife } from './deletions.ts';
import { GatheredUnits, type GatherSpace } from './gathered-units.ts';
import { isFillerUnit, type UnitFormat, unitPhyOffset, unitSize } from './unit.ts';

/** What a queue needs of the store it belongs to; one object for all queues. */
export interface ConsumeQueueOwner {
  readonly files: ConsumeQueueFiles;
  readonly space: GatherSpace;
  readonly logger: StoreLogger;
  /** The queue has gathered units since it was last clean. */
  markDirty(queue: ConsumeQueue): void;
  /** Everything is written and nothing is held in memory. */
  markClean(queue: ConsumeQueue): void;
  /** The queue has filled a block: worth a write. */
  markReady(queue: ConsumeQueue): void;
}

/** Units read at a time when looking for one by its content. */
const SCAN_UNITS = 200;
const NOTHING = Buffer.alloc(0);

/**
 * The entries of one queue of one topic (RocketMQ ConsumeQueue). All places inside are bytes of the queue, entry number
 * × bytes of an entry. In this class an entry has the number of its message; in a batch queue (batch-queue.ts) messages
 * are counted by themselves. Invariants:
 *
 *   firstWhere ≤ minWhere ≤ endWhere; firstWhere is the start of a file, -1 while the queue has neither file nor entry
 *   [firstWhere, endWhere) is in the files or gathered in memory, without a hole (places without an entry are filler)
 *   commit-log offsets of the entries rise strictly; maxPhysicOffset is the end of the last one's record
 *
 * An idle queue holds no descriptor, no mapping and no buffer.
 */
export class ConsumeQueue {
  readonly topic: string;
  readonly queueId: number;
  /** How entries are laid down. */
  readonly units: UnitFormat;
  /** Bytes of one entry. */
  readonly unitBytes: number;
  readonly #owner: ConsumeQueueOwner;
  readonly #life: Readonly<TopicLife>;
  #gathered: GatheredUnits | undefined = undefined;
  #dirty = false;
  #firstWhere = -1;
  /** A file with nothing in it, behind the place where the queue begins after all; -1 without. */
  #leftoverWhere = -1;
  #minWhere = 0;
  #endWhere = 0;
  /** Commit-log offset of the entry at minWhere when known, else -1: correctMinOffset then needs no read. */
  #minPhysicOffset = -1;
  #maxPhysicOffset = -1;

  /** Records from before `life` began never get an entry here. */
  constructor(owner: ConsumeQueueOwner, topic: string, queueId: number, life: Readonly<TopicLife> = NEVER_DELETED) {
    this.#owner = owner;
    this.#life = life;
    this.units = owner.files.units;
    this.unitBytes = this.units.bytes;
    this.topic = topic;
    this.queueId = queueId;
  }

  /** First message that readers may ask for. */
  get minOffsetInQueue(): number {
    return this.minEntry;
  }

  /** Exclusive end: the offset that the next message gets. */
  get maxOffsetInQueue(): number {
    return this.endEntry;
  }

  /** First entry whose record is in the log. */
  get minEntry(): number {
    return this.#minWhere / this.unitBytes;
  }

  /** Exclusive end of the entries. */
  get endEntry(): number {
    return this.#endWhere / this.unitBytes;
  }

  /** Entry that holds this message, or the next one that is there. The promise rejects with STORE_READ_FAILED. */
  entryOf(queueOffset: number): number | Promise<number> {
    return queueOffset;
  }

  /** Entries stand for several messages each. */
  get isBatch(): boolean {
    return false;
  }

  /** End in the log of the newest record that has an entry here; -1 without one. */
  get maxPhysicOffset(): number {
    return this.#maxPhysicOffset;
  }

  protected get logger(): StoreLogger {
    return this.#owner.logger;
  }

  /** Gathered units wait for their write. */
  get hasUnwritten(): boolean {
    return this.#gathered?.hasUnwritten ?? false;
  }

  /** Memory holds a buffer for this queue. */
  get holdsBuffer(): boolean {
    return this.#gathered !== undefined;
  }

  /**
   * Adds the entry of one record, in memory (RocketMQ putMessagePositionInfo). False when the queue has it already (the
   * record ends at or below maxPhysicOffset, or its place is taken), and for a record of a deleted life of the topic. A
   * place beyond the end is an order error, logged; the gap becomes filler, so that every entry stands at its own number.
   */
  append(request: DispatchRequest): boolean {
    if (!this.takes(request)) return false;
    const where = request.consumeQueueOffset * this.unitBytes;
    if (where !== this.#endWhere && !this.#skipTo(where, request.commitLogOffset)) return false;
    this.addEntry(request);
    return true;
  }

  /** The record has no entry here yet, and is of this life of the topic. */
  protected takes({ commitLogOffset, msgSize }: DispatchRequest): boolean {
    return commitLogOffset + msgSize > this.#maxPhysicOffset && commitLogOffset >= this.#life.deadBelow;
  }

  /** Lays the entry down at the end. */
  protected addEntry(request: DispatchRequest): void {
    const where = this.#endWhere;
    const gathered = this.#gathered ?? this.#startGathering(where);
    if (!this.#dirty) {
      this.#dirty = true;
      this.#owner.markDirty(this);
    }
    const filled = gathered.put(where, request);
    this.#endWhere = where + this.unitBytes;
    this.#maxPhysicOffset = request.commitLogOffset + request.msgSize;
    if (filled) this.#owner.markReady(this);
  }

  /**
   * Up to `maxCount` entries from number `entry` on when memory holds all of them, without I/O: whole units, none at or
   * past endEntry. Empty when there is none to read; undefined when read() is needed. Valid as long as it is held.
   */
  readHot(entry: number, maxCount: number): Buffer | undefined {
    const from = entry * this.unitBytes;
    const to = Math.min(this.#endWhere, from + maxCount * this.unitBytes);
    if (to <= from || from < this.#firstWhere) return NOTHING;
    return this.#gathered?.view(from, to);
  }

  /** As readHot, from the files where memory does not hold the range. Rejects with STORE_READ_FAILED. */
  async read(entry: number, maxCount: number): Promise<Buffer> {
    const from = entry * this.unitBytes;
    const to = Math.min(this.#endWhere, from + maxCount * this.unitBytes);
    if (to <= from || from < this.#firstWhere) return NOTHING;
    const units = await this.#readWhere(from, to);
    // Files deleted while the read was under way: what was asked for is gone, not filler, nor the next life's.
    return this.#firstWhere < 0 || from < this.#firstWhere ? NOTHING : units;
  }

  /**
   * Writes what has been gathered. Resolves when it is *written*. The newest block stays in memory while the queue is
   * busy, so that readers at its end find it there; a call that finds nothing new, or `releaseAll`, lets go of it.
   */
  async writeGathered(releaseAll: boolean): Promise<void> {
    const gathered = this.#gathered;
    if (this.#leftoverWhere >= 0) {
      // Before the one in front of it is made: that one's name could survive a power cut without its length, and with a
      // file behind it nothing would tell that its making was interrupted.
      await this.#owner.files.removeFile(this.topic, this.queueId, this.#leftoverWhere);
      this.#leftoverWhere = -1;
    }
    if (gathered !== undefined) {
      const idle = !gathered.hasUnwritten;
      if (!idle) {
        await gathered.writeOut((where, chunks) => this.#owner.files.write(this.topic, this.queueId, where, chunks));
      }
      gathered.release(idle || releaseAll);
      if (!gathered.isEmpty) return;
      this.#gathered = undefined;
    }
    this.#dirty = false;
    this.#owner.markClean(this);
  }

  /** load(): the names of the queue's first and last file. */
  attachFiles(firstFileFromOffset: number, lastFileFromOffset: number): void {
    this.#firstWhere = firstFileFromOffset;
    this.#minWhere = firstFileFromOffset;
    this.#endWhere = lastFileFromOffset + this.#owner.files.fileSize;
  }

  /**
   * Finds the end of the queue in its files (RocketMQ recover): behind the last good entry. Removes files past the end,
   * durably zeroes stale bytes there. For the parameters see ConsumeQueueStore.recover. Says whether entries that were on
   * disk are gone; then dispatch has to go on from maxPhysicOffset.
   */
  async recover(durableWhere: number | undefined, lastExitOk: boolean): Promise<{ isDamaged: boolean }> {
    if (this.#firstWhere < 0) return { isDamaged: false };
    if (!lastExitOk) await this.#dropCache();
    const found = await recoverUnits(
      this.#owner.files,
      this.topic,
      this.queueId,
      this.#firstWhere,
      this.#endWhere,
      durableWhere,
    );
    this.#endWhere = found.endWhere;
    this.#maxPhysicOffset = found.maxPhysicOffset;
    this.#minWhere = Math.min(found.minWhere ?? this.#minWhere, found.endWhere);
    this.#minPhysicOffset = found.minWhere === undefined ? -1 : found.minPhysicOffset;
    // Made since the last thorough flush, by a process that may have been killed before it synced the names.
    if (durableWhere === undefined || found.maxPhysicOffset < 0 || found.maxPhysicOffset > durableWhere) {
      this.#owner.files.markNamesUnsynced(this.topic, this.queueId);
    }
    if (found.isDamaged) {
      const entry = found.endWhere / this.unitBytes;
      this.#owner.logger.error(
        { topic: this.topic, queueId: this.queueId, entry, from: found.maxPhysicOffset },
        `consume queue is damaged at entry ${entry}: its entries from there on are made anew from the log`,
      );
    }
    return { isDamaged: found.isDamaged };
  }

  /** Of the files that the last process can have written to: the newest, and the one before when it has just rolled. */
  async #dropCache(): Promise<void> {
    const { files } = this.#owner;
    const oldest = Math.max(this.#firstWhere, this.#endWhere - 2 * files.fileSize);
    for (let file = oldest; file < this.#endWhere; file += files.fileSize) {
      await files.dropCache(this.topic, this.queueId, file);
    }
  }

  /** The queue has entries, all of records in front of this one. Nothing is behind records of a deleted life. */
  isBehindEntries({ commitLogOffset, msgSize }: DispatchRequest): boolean {
    const end = commitLogOffset + msgSize;
    return this.#maxPhysicOffset >= 0 && end > this.#maxPhysicOffset && commitLogOffset >= this.#life.deadBelow;
  }

  /** Offset in the log of the oldest entry's record; -1 without an entry. */
  async firstPhyOffset(): Promise<number> {
    if (this.#firstWhere < 0) return -1;
    return (await this.#nextEntry(Math.max(this.#minWhere, this.#firstWhere), this.#endWhere))?.phyOffset ?? -1;
  }

  /** minOffsetInQueue goes to the first entry whose record starts at or above `minPhyOffset`; to the end when there is
   * none, so that the number of the next entry is kept. */
  async correctMinOffset(minPhyOffset: number): Promise<void> {
    if (this.#firstWhere < 0 || this.#minPhysicOffset >= minPhyOffset) return;
    const end = this.#endWhere;
    let low = Math.max(this.#minWhere, this.#firstWhere);
    const real = await this.#nextEntry(low, end);
    if (real !== undefined && real.phyOffset < minPhyOffset) {
      low = real.where + this.unitBytes;
      const found = await this.#firstEntryAtOrAbove(minPhyOffset, low, end);
      this.#setMin(found);
    } else this.#setMin(real);
  }

  /**
   * Removes the files, oldest first and never the last, whose newest entry stands for a record below `minPhyOffset`
   * (RocketMQ deleteExpiredFile), then corrects the min offset. Resolves with the number of files removed.
   */
  async deleteExpired(minPhyOffset: number): Promise<number> {
    const { files } = this.#owner;
    let count = 0;
    for (;;) {
      const next = this.#firstWhere + files.fileSize;
      // Never past what is written: the file behind the last one may not exist yet.
      if (this.#firstWhere < 0 || next >= this.#endWhere || next > (this.#gathered?.start ?? next)) break;
      const lastUnit = await this.#readWhere(next - this.unitBytes, next);
      if (unitPhyOffset(lastUnit, 0) >= minPhyOffset) break;
      const expired = this.#firstWhere;
      this.#firstWhere = next;
      if (this.#minWhere < next) {
        this.#minWhere = next;
        this.#minPhysicOffset = -1;
      }
      await files.removeFile(this.topic, this.queueId, expired);
      // A power cut that left this one and took the next would end a batch queue in front of the gap: it has no filler.
      if (this.isBatch) await files.syncRemoved(this.topic, this.queueId);
      count++;
    }
    await this.correctMinOffset(minPhyOffset);
    return count;
  }

  /**
   * Removes the entries of records that start at or above `phyOffset` (RocketMQ truncateDirtyLogicFiles), durably; with
   * `inMemory` from sight alone, for a store whose files stay as they are. Only while nothing appends: in recovery.
   */
  async truncateDirty(phyOffset: number, inMemory: boolean): Promise<void> {
    if (this.#maxPhysicOffset <= phyOffset || this.#firstWhere < 0) return;
    if (!inMemory) await this.writeGathered(true);
    const oldEnd = this.#endWhere;
    const cut = await this.#firstEntryAtOrAbove(phyOffset, this.#firstWhere, oldEnd);
    if (cut === undefined) return;
    const end = cut.where;
    const kept = await this.#lastEntryBefore(end);
    if (!inMemory) await this.#removeFrom(end, oldEnd);
    if (end === 0) this.#firstWhere = -1;
    this.#endWhere = end;
    this.#maxPhysicOffset = kept === undefined ? -1 : kept.end;
    if (this.#minWhere > end) {
      this.#minWhere = end;
      this.#minPhysicOffset = -1;
    }
  }

  async #removeFrom(end: number, oldEnd: number): Promise<void> {
    const { files } = this.#owner;
    // Newest first, so that a crash in between leaves a queue that ends earlier and not one with a hole.
    for (let file = files.fileFromOffset(oldEnd - 1); file >= end; file -= files.fileSize) {
      if (file === this.#firstWhere && end > 0) break;
      await files.removeFile(this.topic, this.queueId, file);
    }
    if (end !== 0 && (end % files.fileSize !== 0 || end === this.#firstWhere)) {
      const fileEnd = files.fileFromOffset(end) + files.fileSize;
      await files.zero(this.topic, this.queueId, end, Math.min(oldEnd, fileEnd));
    }
  }

  /** Forgets what was gathered; the caller removes the directory. */
  discard(): void {
    this.#gathered?.discard();
    this.#gathered = undefined;
    this.#dirty = false;
    this.#firstWhere = -1;
    this.#leftoverWhere = -1;
    this.#minWhere = 0;
    this.#endWhere = 0;
    this.#minPhysicOffset = -1;
    this.#maxPhysicOffset = -1;
  }

  #startGathering(where: number): GatheredUnits {
    if (this.#firstWhere < 0) this.#firstWhere = this.#owner.files.fileFromOffset(where);
    this.#gathered = new GatheredUnits(this.#owner.space);
    return this.#gathered;
  }

  /** Brings the end to `where`; false when that place is taken, or cannot be the place of a record at this offset. */
  #skipTo(where: number, commitLogOffset: number): boolean {
    const { files, logger } = this.#owner;
    const end = this.#endWhere;
    const fields = {
      topic: this.topic,
      queueId: this.queueId,
      expected: where / this.unitBytes,
      found: end / this.unitBytes,
    };
    // A power cut can take the name of the queue's first file and leave the next one. When nothing in that is good
    // either, the queue begins where the log says.
    const isLeftover = where < end && end === this.#firstWhere && this.#maxPhysicOffset < 0;
    if (where < end && !isLeftover) {
      logger.debug(fields, 'consume queue entry built repeatedly, ignored');
      return false;
    }
    const starts = this.#firstWhere < 0 || isLeftover;
    // No checksum covers a record's queue offset. Entries stand for records, so a gap larger than the log in front of the
    // record has room for is a damaged number, and a queue made that long would take hours to step over.
    const gap = (where - (starts ? 0 : end)) / this.unitBytes;
    if (gap * RECORD_BYTES_MIN > commitLogOffset - Math.max(0, this.#maxPhysicOffset)) {
      logger.error(
        { ...fields, commitLogOffset },
        `the record at ${commitLogOffset} names an impossible queue offset, it gets no entry`,
      );
      return false;
    }
    if (isLeftover) {
      this.#leftoverWhere = this.#firstWhere;
      this.#firstWhere = -1;
    }
    if (starts) logger.info(fields, 'consume queue starts at a later offset, filler before it');
    else logger.error(fields, 'consume queue order error, the gap becomes filler');
    const gathered = this.#gathered ?? this.#startGathering(where);
    const fileFromOffset = files.fileFromOffset(where);
    if (!starts && end < fileFromOffset) {
      // Files wholly inside the gap are not made; they read as filler. The one that the gap begins in is filled.
      if (end % files.fileSize !== 0) gathered.putFiller(end, files.fileFromOffset(end) + files.fileSize);
      gathered.putFiller(fileFromOffset, where);
    } else gathered.putFiller(starts ? fileFromOffset : end, where);
    if (this.#minWhere === end) {
      this.#minWhere = where;
      this.#minPhysicOffset = -1;
    }
    this.#endWhere = where;
    return true;
  }

  #setMin(entry: { where: number; phyOffset: number } | undefined): void {
    this.#minWhere = Math.max(entry?.where ?? this.#endWhere, this.#firstWhere);
    this.#minPhysicOffset = entry?.phyOffset ?? -1;
  }

  /** [from, to), which must lie within the queue: memory where it holds it, the files for the rest. */
  async #readWhere(from: number, to: number): Promise<Buffer> {
    const gathered = this.#gathered;
    if (gathered === undefined || gathered.isEmpty || to <= gathered.start) {
      const units = Buffer.allocUnsafe(to - from);
      await this.#owner.files.read(this.topic, this.queueId, from, units);
      return units;
    }
    const hot = gathered.view(from, to);
    if (hot !== undefined) return hot;
    const units = Buffer.allocUnsafe(to - from);
    // Memory first, in this turn: a block may be let go of while the files are read.
    const hotStart = gathered.start;
    gathered.copy(hotStart, to, units, hotStart - from);
    await this.#owner.files.read(this.topic, this.queueId, from, units.subarray(0, hotStart - from));
    return units;
  }

  /** First entry in [from, to) that is not filler. */
  async #nextEntry(from: number, to: number): Promise<{ where: number; phyOffset: number } | undefined> {
    // The first look is at one unit: nearly always it is an entry.
    for (let where = from, bytes = this.unitBytes; where < to; bytes = SCAN_UNITS * this.unitBytes) {
      const units = await this.#readWhere(where, Math.min(to, where + bytes));
      for (let at = 0; at < units.length; at += this.unitBytes) {
        if (!isFillerUnit(units, at)) return { where: where + at, phyOffset: unitPhyOffset(units, at) };
      }
      where += units.length;
    }
    return undefined;
  }

  async #lastEntryBefore(to: number): Promise<{ end: number } | undefined> {
    for (let where = to; where > this.#firstWhere; ) {
      const from = Math.max(this.#firstWhere, where - SCAN_UNITS * this.unitBytes);
      const units = await this.#readWhere(from, where);
      for (let at = units.length - this.unitBytes; at >= 0; at -= this.unitBytes) {
        if (!isFillerUnit(units, at)) return { end: unitPhyOffset(units, at) + unitSize(units, at) };
      }
      where = from;
    }
    return undefined;
  }

  /** Binary search over entries, whose commit-log offsets rise; filler is stepped over. */
  async #firstEntryAtOrAbove(
    phyOffset: number,
    from: number,
    to: number,
  ): Promise<{ where: number; phyOffset: number } | undefined> {
    let low = from / this.unitBytes;
    let high = to / this.unitBytes;
    let found: { where: number; phyOffset: number } | undefined;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = await this.#nextEntry(middle * this.unitBytes, high * this.unitBytes);
      if (entry === undefined) high = middle;
      else if (entry.phyOffset >= phyOffset) {
        found = entry;
        high = middle;
      } else low = entry.where / this.unitBytes + 1;
    }
    return found;
  }
}
