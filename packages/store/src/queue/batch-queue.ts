import { type DispatchRequest, innerCountOf } from '../record/dispatch-request.ts';
import { batchUnitBase, batchUnitTime } from './batch-unit.ts';
import { ConsumeQueue } from './consume-queue.ts';
import { isFillerUnit, unitPhyOffset, unitSize } from './unit.ts';

/** Smallest message of an inner batch: five 32-bit fields, no body, no properties. */
export const INNER_MESSAGE_BYTES_MIN = 22;

/**
 * One queue of a topic with batch queues (RocketMQ BatchConsumeQueue): entries of records that hold one message or several.
 * An entry says which numbers its messages have, so entries lie side by side, whatever the numbers are. Invariants:
 *
 *   numbers of the entries rise; min offset ≤ number of the first readable entry; max offset is behind the last message
 */
export class BatchQueue extends ConsumeQueue {
  #min = 0;
  #max = 0;

  override get minOffsetInQueue(): number {
    return this.#min;
  }

  override get maxOffsetInQueue(): number {
    return this.#max;
  }

  override get isBatch(): boolean {
    return true;
  }

  /** As ConsumeQueue.append. Numbers that are left out, an order error that is logged, stay without a message. */
  override append(request: DispatchRequest): boolean {
    if (!this.takes(request)) return false;
    const { consumeQueueOffset, commitLogOffset } = request;
    const { topic, queueId } = this;
    const fields = { topic, queueId, expected: consumeQueueOffset, found: this.#max };
    const isFirst = this.maxPhysicOffset < 0;
    if (consumeQueueOffset < this.#max) {
      this.logger.debug(fields, 'batch queue entry built repeatedly, ignored');
      return false;
    }
    if (consumeQueueOffset > this.#max) {
      // No checksum covers the number. One that the log in front of the record has no room for is damaged.
      const gap = consumeQueueOffset - this.#max;
      if (gap * INNER_MESSAGE_BYTES_MIN > commitLogOffset - Math.max(0, this.maxPhysicOffset)) {
        const message = `the record at ${commitLogOffset} names an impossible queue offset, it gets no entry`;
        this.logger.error({ ...fields, commitLogOffset }, message);
        return false;
      }
      if (isFirst) this.logger.info(fields, 'batch queue starts at a later offset');
      else this.logger.error(fields, 'batch queue order error, the numbers in between have no message');
    }
    const isEmpty = this.minEntry >= this.endEntry;
    this.addEntry(request);
    if (isEmpty) this.#min = consumeQueueOffset;
    this.#max = consumeQueueOffset + innerCountOf(request);
    return true;
  }

  /**
   * As ConsumeQueue.entryOf, by halving. One wrong number among the entries sends the search to the wrong side; then the entry
   * in front of the message's own may be given, and none behind it.
   */
  override async entryOf(queueOffset: number): Promise<number> {
    const first = this.minEntry;
    const end = this.endEntry;
    const found = await this.#search(queueOffset, first, end);
    const next = await this.#unit(found + 1);
    if (next !== undefined && batchUnitBase(next, 0) <= queueOffset) {
      // Two behind it that begin in front of the message: it is wrong itself. One: the message is in one of the two.
      const after = await this.#unit(found + 2);
      const isWrong = after !== undefined && batchUnitBase(after, 0) <= queueOffset;
      return isWrong ? this.#search(queueOffset, found + 1, end) : found;
    }
    const unit = await this.#unit(found);
    if (found <= first || (unit !== undefined && batchUnitBase(unit, 0) <= queueOffset)) return found;
    // It begins behind the message: numbers are left out, or the one in front of it, where the search turned, is wrong.
    const turn = found - 1;
    const left = await this.#search(queueOffset, first, turn);
    const before = left < turn ? await this.#unit(left) : undefined;
    return before !== undefined && batchUnitBase(before, 0) <= queueOffset ? left : turn;
  }

  /** The first entry in [low, high) that ends behind the message. */
  async #search(queueOffset: number, low: number, high: number): Promise<number> {
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const unit = await this.#unit(middle);
      if (unit === undefined || batchUnitBase(unit, 0) + this.units.countOf(unit, 0) <= queueOffset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * RocketMQ's getOffsetInQueueByTime, by the times in the entries. LOWER: the first message of the first record stored at
   * or after `timestamp` (ms), of the last record when all are older. UPPER: of the last record that is not younger. Within
   * [min offset, max offset].
   */
  async offsetByTime(timestamp: number, boundary: 'LOWER' | 'UPPER'): Promise<number> {
    const first = this.minEntry;
    const end = this.endEntry;
    const isBefore = (time: number): boolean => (boundary === 'UPPER' ? time <= timestamp : time < timestamp);
    let low = first;
    let high = end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const unit = await this.#unit(middle);
      if (unit === undefined || isBefore(batchUnitTime(unit, 0))) low = middle + 1;
      else high = middle;
    }
    const found = boundary === 'UPPER' ? low - 1 : Math.min(low, end - 1);
    const unit = await this.#unit(Math.max(first, found));
    const number = unit === undefined ? this.#min : batchUnitBase(unit, 0);
    return Math.min(this.#max, Math.max(this.#min, number));
  }

  override async recover(durableWhere: number | undefined, lastExitOk: boolean): Promise<{ isDamaged: boolean }> {
    const found = await super.recover(durableWhere, lastExitOk);
    await this.#readBounds();
    return found;
  }

  override async correctMinOffset(minPhyOffset: number): Promise<void> {
    await super.correctMinOffset(minPhyOffset);
    await this.#readMin();
  }

  override async truncateDirty(phyOffset: number, inMemory: boolean): Promise<void> {
    await super.truncateDirty(phyOffset, inMemory);
    await this.#readBounds();
  }

  override discard(): void {
    super.discard();
    this.#min = 0;
    this.#max = 0;
  }

  /**
   * After recovery: takes the first and the last number from the records themselves. A wrong one in the last entry would give
   * later messages numbers that are taken. `requestOf` reads a record; undefined where none is.
   */
  async confirmBounds(
    requestOf: (phyOffset: number, size: number) => Promise<DispatchRequest | undefined>,
  ): Promise<void> {
    const recordAt = async (entry: number): Promise<DispatchRequest | undefined> => {
      const unit = await this.#unit(entry);
      const request = unit === undefined ? undefined : await requestOf(unitPhyOffset(unit, 0), unitSize(unit, 0));
      return request?.topic === this.topic && request.queueId === this.queueId ? request : undefined;
    };
    const last = await recordAt(this.endEntry - 1);
    if (last !== undefined) this.#max = last.consumeQueueOffset + innerCountOf(last);
    const first = this.minEntry < this.endEntry ? await recordAt(this.minEntry) : undefined;
    this.#min = Math.min(first?.consumeQueueOffset ?? this.#min, this.#max);
  }

  /** Only while nothing appends. */
  async #readBounds(): Promise<void> {
    const last = await this.#unit(this.endEntry - 1);
    this.#max = last === undefined ? 0 : batchUnitBase(last, 0) + this.units.countOf(last, 0);
    await this.#readMin();
  }

  async #readMin(): Promise<void> {
    for (;;) {
      const entry = this.minEntry;
      if (entry >= this.endEntry) {
        // In this turn: an append that came in between would be taken for gone.
        this.#min = this.#max;
        return;
      }
      const unit = await this.#unit(entry);
      if (unit !== undefined) this.#min = batchUnitBase(unit, 0);
      if (unit !== undefined || this.minEntry === entry) return;
    }
  }

  async #unit(entry: number): Promise<Buffer | undefined> {
    if (entry < 0) return undefined;
    const unit = this.readHot(entry, 1) ?? (await this.read(entry, 1));
    return unit.length === 0 || isFillerUnit(unit, 0) ? undefined : unit;
  }
}
