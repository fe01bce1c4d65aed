import { isLmq } from '@vernier/store/internal';
import type { DamageBook } from './damage-book.ts';
import type { PlaceInQueue } from './log-census.ts';
import type { LogReader } from './log-reader.ts';
import type { QueueEntry } from './queue-reader.ts';
import type { QueueState, QueueStates } from './queue-states.ts';
import { lmqsOf, RecordFactsReader, topicOf } from './record-facts.ts';

/** Entries before and behind one, of which it is asked whether they are of their queue. */
const NEIGHBOURS_MAX = 32;

/** Whether the entries of a queue lead to records that say that they are this queue's. */
export class QueueOwnership {
  readonly #states: QueueStates;
  readonly #log: LogReader;
  readonly #book: DamageBook;
  readonly #factsReader = new RecordFactsReader();

  constructor(states: QueueStates, log: LogReader, book: DamageBook) {
    this.#states = states;
    this.#log = log;
    this.#book = book;
  }

  isRecordOf(state: QueueState, index: number, entry: QueueEntry): boolean {
    const found = this.#log.recordAt(entry.phyOffset);
    if (found === undefined) return false;
    const { record, view } = found;
    const topic = topicOf(view, record);
    if (topic === state.topic) return record.queueId === state.queueId && record.queueOffset === index;
    if (!isLmq(state.topic)) return false;
    const places = lmqsOf(topic, this.#factsReader.read(view, record));
    return places.some(({ name, queueOffset }) => name === state.topic && queueOffset === index);
  }

  /** The entries around this one lead to messages of other queues: the file, or this part of it, is not the queue's. */
  isAmongForeign({ topic, queueId, queueOffset }: PlaceInQueue): boolean {
    const state = this.#states.find(topic, queueId);
    if (state?.reader === undefined) return false;
    const nearest = [-1, 1].map((step) => this.#isOwnNear(state, queueOffset, step));
    return nearest.includes(false) && !nearest.includes(true);
  }

  /** What the queue begins with is its own: records in front of it are of an earlier life of the topic. */
  startsWithOwn(state: QueueState): boolean {
    if (state.startIsOwn === undefined) {
      const entry = state.reader!.entry(state.startIndex);
      const isOwn = entry !== undefined && this.isRecordOf(state, state.startIndex, entry);
      state.startIsOwn = isOwn || this.#isOwnNear(state, state.startIndex, 1) !== false;
    }
    return state.startIsOwn;
  }

  /** Whether the nearest entry that leads to a sound record leads to its own; undefined without one. */
  #isOwnNear(state: QueueState, from: number, step: number): boolean | undefined {
    const reader = state.reader!;
    for (let index = from + step; index >= reader.first && Math.abs(index - from) <= NEIGHBOURS_MAX; index += step) {
      const entry = reader.entry(index);
      if (entry === undefined) return undefined;
      if (entry.filler || this.#book.find(entry.phyOffset) !== undefined) continue;
      if (this.#log.recordAt(entry.phyOffset) !== undefined) return this.isRecordOf(state, index, entry);
    }
    return undefined;
  }
}
