import type { PutMessageResult, StoredMessage } from '@vernier/store';
import { DelayLevels, SCHEDULE_TOPIC } from '@vernier/store/internal';
import type { StoreContent } from './checks.ts';
import type { Model, Put } from './model.ts';
import { Violation } from './violation.ts';

/** What a start found, before anything is delivered. */
export interface FoundDelays {
  /** By level: the number of the next message in its queue. */
  offsets: ReadonlyMap<number, number>;
  killed: boolean;
  /** Unix milliseconds. */
  now: number;
}

interface DelayedPut {
  put: Put;
  level: number;
  /** Copies in the topic after the last crash. */
  copies: number;
  /** Its record is gone with its file of the log. What was delivered of it may lie in a later one. */
  isExpired: boolean;
}

/**
 * Messages that were sent with a delay level, to a topic that gets nothing else. Whatever ends the process: one that was
 * acknowledged waits in the queue of its level or is in its topic; none is in its topic before its time; and one life of a
 * process delivers none a second time, unless it could not know what became of the first.
 */
export class DelayModel {
  readonly topic: string;
  readonly levelCount: number;
  readonly #levels: DelayLevels;
  readonly #model: Model;
  readonly #puts = new Map<number, DelayedPut>();
  /** By level, since the last crash. */
  #failed: ReadonlyMap<number, number> = new Map();
  /** Messages found in their topic, over all crashes; one that was found twice counts twice. */
  deliveredTotal = 0;

  constructor(topic: string, messageDelayLevel: string, model: Model) {
    this.topic = topic;
    this.#levels = new DelayLevels(messageDelayLevel);
    this.levelCount = this.#levels.maxLevel;
    this.#model = model;
  }

  add(put: Put, level: number): void {
    this.#model.addElsewhere(put);
    this.#puts.set(put.id, { put, level, copies: 0, isExpired: false });
  }

  answered({ put }: { put: Put }, result: PutMessageResult): void {
    put.result = result;
    if (result.wroteOffset >= 0) put.offset = result.wroteOffset;
  }

  of(id: number): DelayedPut {
    return this.#puts.get(id)!;
  }

  /** How often the deliveries of each level failed in the life that ends; a disk that is slow may yet take what it has. */
  failedInThisLife(failed: ReadonlyMap<number, number>): void {
    this.#failed = failed;
  }

  isOwn(topic: string): boolean {
    return topic === SCHEDULE_TOPIC || topic === this.topic;
  }

  /** The same without what is this model's. */
  without(content: StoreContent): StoreContent {
    const messages = new Map(
      [...content.messages].filter(([, list]) => list[0] === undefined || !this.isOwn(list[0].topic)),
    );
    return { ...content, messages };
  }

  checkAfterCrash({ messages, queueEnds, minPhyOffset }: StoreContent, { offsets, killed, now }: FoundDelays): void {
    const waiting = new Map<number, StoredMessage>();
    const delivered = new Map<number, StoredMessage[]>();
    for (const list of messages.values()) {
      for (const message of list) {
        if (!this.isOwn(message.topic)) continue;
        const id = this.#idOf(message);
        if (message.topic === SCHEDULE_TOPIC) waiting.set(id, message);
        else delivered.set(id, [...(delivered.get(id) ?? []), message]);
      }
    }
    for (const [level, offset] of offsets) {
      const end = queueEnds.get(`${SCHEDULE_TOPIC}-${level - 1}`) ?? 0;
      if (offset > end) throw new Violation(`level ${level} is saved to be at ${offset}, its queue ends at ${end}`);
    }
    // A disk that hangs for weeks lets files expire.
    for (const [id, known] of this.#puts) {
      if (waiting.has(id) || !this.#model.isExpired(known.put, minPhyOffset, now)) continue;
      this.#checkExpired(id, delivered.get(id)?.length ?? 0);
      delivered.delete(id);
    }
    for (const [id, copies] of delivered) this.#checkCopies(id, copies, waiting.get(id));
    for (const [id, known] of this.#puts) {
      const { put, level, isExpired } = known;
      if (isExpired) continue;
      const record = waiting.get(id);
      const promised = killed ? this.#model.isWrittenPromised(put) : this.#model.isOnDiskPromised(put);
      const isDelivered = delivered.has(id);
      if (promised && record === undefined) throw new Violation(`acknowledged delayed message ${id} is gone`);
      if (record !== undefined && record.queueOffset < (offsets.get(level) ?? 0) && !isDelivered) {
        throw new Violation(
          `delayed message ${id} stands at ${record.queueOffset} of level ${level}, which is at ${offsets.get(level)}, and was not delivered`,
        );
      }
      known.copies = delivered.get(id)?.length ?? 0;
      put.isKept = record !== undefined;
      if (record === undefined) this.#puts.delete(id);
    }
    this.#failed = new Map();
  }

  #idOf(message: StoredMessage): number {
    const id = message.body.length >= 4 ? message.body.readUInt32BE(0) : -1;
    const known = this.#puts.get(id);
    if (!known?.put.body.equals(message.body)) {
      throw new Violation(`a delayed message that nobody put, at ${message.commitLogOffset} of the log`);
    }
    const { put, level } = known;
    const isPlace = message.topic === this.topic ? message.queueId === put.queueId : message.queueId === level - 1;
    if (!isPlace) throw new Violation(`delayed message ${id} is in queue ${message.queueId} of ${message.topic}`);
    return id;
  }

  /** What has been delivered stays until its own file goes; nothing is delivered any more once the record is gone. */
  #checkExpired(id: number, copies: number): void {
    const known = this.#puts.get(id)!;
    const { level, copies: before, isExpired } = known;
    const more = isExpired ? 0 : 1 + (this.#failed.get(level) ?? 0);
    if (copies > before + more) {
      throw new Violation(
        `delayed message ${id}, which has expired, was there ${before} times, and is there ${copies} times`,
      );
    }
    known.copies = copies;
    known.isExpired = true;
    if (copies === 0) this.#puts.delete(id);
  }

  #checkCopies(id: number, copies: readonly StoredMessage[], record: StoredMessage | undefined): void {
    const { level, copies: before } = this.#puts.get(id)!;
    if (record === undefined) throw new Violation(`delayed message ${id} was delivered, and its record is gone`);
    const failed = this.#failed.get(level) ?? 0;
    if (copies.length > before + 1 + failed) {
      throw new Violation(
        `delayed message ${id} was there ${before} times, and after one more life, in which ${failed} deliveries of its ` +
          `level failed, ${copies.length} times`,
      );
    }
    this.deliveredTotal += Math.max(0, copies.length - before);
    const due = this.#levels.deliverTimestamp(level, record.storeTimestamp)!;
    for (const { storeTimestamp, keys } of copies) {
      // One that was stored before its record: the clock was set back, and it was not to wait for the old time.
      if (storeTimestamp >= record.storeTimestamp && storeTimestamp < due) {
        throw new Violation(`delayed message ${id} (${keys}) was due at ${due} and delivered at ${storeTimestamp}`);
      }
    }
  }
}
