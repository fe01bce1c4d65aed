import type { MessageStore, QueueEntry, StoreLogger } from '@vernier/store';
import { decodeMessage, isLmq } from '@vernier/store/internal';
import { TIMER_TOPIC } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import type { PlaceTable } from '../follow/follow-places.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { CK_TAG, decodeCheckPoint } from './check-point.ts';
import { logOffsetIn, POP_NEXT, type ReviveLog } from './revive-log.ts';

/** Under which name the place is kept in followOffset.json. */
const PLACE = 'pop-offsets';
const ENTRIES_AT_ONCE = 1_024;
const MESSAGES_AT_ONCE = 32;

export interface PoppedOffsetsParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly offsets: ConsumerOffsetManager;
  readonly topics: TopicConfigManager;
  readonly places: PlaceTable;
  readonly log: ReviveLog;
  readonly logger: StoreLogger;
}

/** A pop whose offset is not committed yet. */
export interface PopMark {
  /** Its checkpoint is in the log from here on. */
  readonly logOffset: number;
  /** Who waits for its end. */
  waiting: (() => void)[] | undefined;
}

/**
 * Offsets of pops over a kill. The table of offsets is saved each few seconds; what was popped since would be popped again
 * after a kill, also what was acknowledged. So a checkpoint says where its group goes on, and a start reads those that are
 * younger than the table on disk: it puts each offset behind them.
 *
 * The place is an offset in the log: the table on disk has what every checkpoint below it says. It is taken before a table
 * is written, and not past a pop whose offset is not committed yet. What an operator does with offsets (PopServices.saveOffsets)
 * waits for the pops that are under way, and is on disk with this place before it is answered: no checkpoint from before it is
 * read.
 */
export class PoppedOffsets {
  readonly #parts: PoppedOffsetsParts;
  readonly #marks = new Set<PopMark>();
  /** Of deletions that are under way: offsets in the log that no place gets to. */
  readonly #holds = new Set<{ readonly logOffset: number }>();
  #prepared = 0;
  #isOld = false;

  constructor(parts: PoppedOffsetsParts) {
    this.#parts = parts;
  }

  /** Before a checkpoint is put; ends with `end`, when its offset is committed or will never be. */
  begin(): PopMark {
    const mark: PopMark = { logOffset: this.#parts.store.maxPhyOffset, waiting: undefined };
    this.#marks.add(mark);
    return mark;
  }

  end(mark: PopMark): void {
    this.#marks.delete(mark);
    for (const ended of mark.waiting ?? []) ended();
  }

  /** Resolves when the pops that are under way now have ended, and their offsets are committed or will never be. */
  async settled(): Promise<void> {
    if (this.#marks.size === 0) return;
    await this.#parts.store.flush();
    for (const mark of [...this.#marks]) {
      if (!this.#marks.has(mark)) continue;
      await new Promise<void>((resolve) => {
        mark.waiting ??= [];
        mark.waiting.push(resolve);
      });
    }
  }

  /**
   * Until `release` is called, tables that are saved have a place in front of the log's present end. `isBehind`: so has every
   * one that was saved before.
   */
  hold(): { readonly release: () => void; readonly isBehind: boolean } {
    const { store, places } = this.#parts;
    const hold = { logOffset: Math.max(0, store.maxPhyOffset - 1) };
    this.#holds.add(hold);
    const saved = Math.max(this.#prepared, places.get(PLACE)?.queueOffset ?? 0);
    return { release: () => void this.#holds.delete(hold), isBehind: saved <= hold.logOffset };
  }

  /** The table of offsets is about to be written. */
  prepareSave(): void {
    let logOffset = this.#parts.store.maxPhyOffset;
    for (const mark of this.#marks) logOffset = Math.min(logOffset, mark.logOffset);
    for (const hold of this.#holds) logOffset = Math.min(logOffset, hold.logOffset);
    this.#prepared = logOffset;
  }

  /** The table that was prepared is on disk. */
  saved(): void {
    this.#parts.places.set(PLACE, { queueOffset: this.#prepared, last: undefined });
  }

  /**
   * The table on disk was older than the log at the start. Until it is saved, each start takes it for older than deletions that
   * are done with, and drops offsets that are younger than these.
   */
  get isOld(): boolean {
    return this.#isOld;
  }

  /**
   * When the tables were read: commits what checkpoints say that are younger. True: there was no place yet, and it has to be
   * saved before anything is popped. Rejects STORE_READ_FAILED.
   */
  async recover(): Promise<boolean> {
    const { store, places, log, logger } = this.#parts;
    const from = places.get(PLACE)?.queueOffset;
    if (from === undefined) {
      // Of a directory that was never popped from here.
      places.set(PLACE, { queueOffset: store.maxPhyOffset, last: undefined });
      return true;
    }
    this.#isOld = from < store.maxPhyOffset;
    this.#dropDeleted(from);
    let count = await this.#read(TIMER_TOPIC, 0, from);
    for (let queueId = 0; queueId < log.queueCount; queueId++) count += await this.#read(log.topic, queueId, from);
    if (count > 0) logger.info({ from, count }, 'offsets of pops that were not saved are taken from their checkpoints');
    return false;
  }

  /**
   * A crash between the deletion of a topic in the store and the save of the offsets without it leaves offsets of messages
   * that are gone: a group would miss as many of those that are there now. The table is younger than the deletion when its
   * place in the log is not in front of the deletion's: see `hold`.
   */
  #dropDeleted(savedTo: number): void {
    const { offsets, store, logger } = this.#parts;
    for (const topic of new Set([...offsets.topicsByGroup().values()].flat())) {
      const deletedBelow = store.deletedBelow(topic);
      // Lite topics are deleted without a hold; a table with what was acknowledged since is younger in any case.
      if (deletedBelow === 0 || (isLmq(topic) ? deletedBelow < savedTo : deletedBelow <= savedTo)) continue;
      logger.info({ topic, deletedBelow, savedTo }, 'the offsets of a deleted topic are dropped');
      offsets.removeTopic(topic);
    }
  }

  /** Checkpoints of pops in this queue whose records are not below `from`. */
  async #read(topic: string, queueId: number, from: number): Promise<number> {
    const { store } = this.#parts;
    const end = store.getMaxOffsetInQueue(topic, queueId);
    let count = 0;
    for (let at = await this.#firstBehind(topic, queueId, from); at < end; ) {
      const { records, nextBeginOffset } = await store.getMessage('', topic, queueId, at, MESSAGES_AT_ONCE);
      for (const record of records) if (this.#take(record, topic)) count++;
      if (nextBeginOffset <= at) break;
      at = nextBeginOffset;
    }
    return count;
  }

  /** Log offsets grow along a queue. */
  async #firstBehind(topic: string, queueId: number, logOffset: number): Promise<number> {
    const { store } = this.#parts;
    const min = Math.max(0, store.getMinOffsetInQueue(topic, queueId));
    for (let to = store.getMaxOffsetInQueue(topic, queueId); to > min; ) {
      const from = Math.max(min, to - ENTRIES_AT_ONCE);
      const entries: readonly QueueEntry[] = (await store.queueEntries(topic, queueId, from, to - from)) ?? [];
      const first = entries.findIndex(({ commitLogOffset }) => commitLogOffset >= logOffset);
      if (first < 0) return to;
      if (first > 0) return from + first;
      to = from;
    }
    return min;
  }

  #take(record: Buffer, topic: string): boolean {
    const { offsets, topics, config, log, store } = this.#parts;
    const message = decodeMessage(record);
    const next = Number(message?.properties.get(POP_NEXT) ?? Number.NaN);
    if (message === undefined || message.properties.get('TAGS') !== CK_TAG || !Number.isSafeInteger(next)) return false;
    // What waits may be put back, at a later place in the log than it was popped at.
    if (message.properties.has('TIMER_ROLL_TIMES')) return false;
    // A checkpoint that waited stands in the revive topic too, later than it was popped.
    const realTopic = message.properties.get('REAL_TOPIC');
    if (topic === TIMER_TOPIC ? realTopic !== log.topic : realTopic !== undefined) return false;
    const point = decodeCheckPoint(message.body, config.brokerName);
    if (point === undefined || topics.select(point.topic) === undefined) return false;
    // Of a topic that was deleted and made again: it says nothing of the messages that are there now.
    if ((logOffsetIn(message) ?? Number.POSITIVE_INFINITY) < store.deletedBelow(point.topic)) return false;
    if (offsets.query(point.group, point.topic, point.queueId) >= next) return false;
    return offsets.commit(point.group, point.topic, point.queueId, next);
  }
}
