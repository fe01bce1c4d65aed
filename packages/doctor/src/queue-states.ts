import { ExtReader } from './ext-reader.ts';
import { LifeWatch } from './life-watch.ts';
import { blockUnitsFor, OpenFileCache, QueueReader } from './queue-reader.ts';
import type { StoreLayout } from './store-layout.ts';

/** Entries behind the log's end that are looked at to find out how long the log was. */
const LOOKED_AT_MAX = 1_000;

/** Records of a queue, next to each other, that have no entry in it. */
export interface MissingRun {
  from: number;
  count: number;
  /** Offset in the log of the first and of the last one. */
  firstPhy: number;
  lastPhy: number;
}

export interface QueueState {
  topic: string;
  queueId: number;
  reader: QueueReader | undefined;
  /** Of its entries, where they have any. */
  extensions: ExtReader | undefined;
  /** Number that the next record of this queue must have; -1 before the first. */
  next: number;
  /** Offset in the log of the queue's last record so far, -1 before the first. */
  lastPhy: number;
  matched: number;
  missing: MissingRun[];
  /** Records from before the topic was deleted, or deleted and made anew. */
  earlierLife: number;
  /** The records' numbers, where the queue has no files to go by, and a record whose number 0 waits for the next one. */
  watch: LifeWatch;
  heldPhy: number;
  /** Where its entries end, and records start at 0 again: the offset in the log of the first of these; -1 without. */
  laterLifeFrom: number;
  /** First entry whose record is still in the log, and that record's offset; -1 until looked for. */
  startIndex: number;
  startPhy: number;
  /** That first entry leads to the message that its number says; undefined until looked for. */
  startIsOwn: boolean | undefined;
}

/** Every queue that has files or that a record names, with what a walk through the log finds out about it. */
export class QueueStates {
  readonly #topics = new Map<string, Map<number, QueueState>>();
  readonly #cache = new OpenFileCache();

  /** Of each queue that has files one block is in memory. */
  constructor({ queues, queueCount, queueFileSize, extensions }: StoreLayout) {
    const blockUnits = blockUnitsFor(queueCount);
    for (const [topic, byId] of queues) {
      for (const [queueId, queue] of byId) {
        const reader = new QueueReader(queue, queueFileSize, this.#cache, blockUnits);
        const extended = extensions.get(topic)?.get(queueId);
        const ofEntries = extended === undefined ? undefined : new ExtReader(extended.files, this.#cache);
        this.#add(newState(topic, queueId, reader, ofEntries));
      }
    }
  }

  *all(): IterableIterator<QueueState> {
    for (const queues of this.#topics.values()) yield* queues.values();
  }

  find(topic: string, queueId: number): QueueState | undefined {
    return this.#topics.get(topic)?.get(queueId);
  }

  /** The same, made for a queue without files. */
  queue(topic: string, queueId: number): QueueState {
    return this.find(topic, queueId) ?? this.#add(newState(topic, queueId));
  }

  #add(state: QueueState): QueueState {
    let queues = this.#topics.get(state.topic);
    if (queues === undefined) {
      queues = new Map();
      this.#topics.set(state.topic, queues);
    }
    queues.set(state.queueId, state);
    return state;
  }

  *readers(): IterableIterator<QueueReader> {
    for (const { reader } of this.all()) if (reader !== undefined) yield reader;
  }

  /**
   * End of the records behind `logEnd` that the newest entries say were there, -1 without. The first lost record began
   * right at the end, or several entries lead there; one entry alone that leads elsewhere is itself the wrong one.
   */
  endBehind(logEnd: number): number {
    let max = -1;
    let count = 0;
    let isAtEnd = false;
    for (const { reader } of this.all()) {
      if (reader === undefined) continue;
      for (let index = reader.end() - 1; index >= reader.first; index--) {
        const entry = reader.entry(index);
        if (entry === undefined || entry.filler || entry.phyOffset < logEnd) break;
        count++;
        isAtEnd ||= entry.phyOffset === logEnd;
        max = Math.max(max, entry.phyOffset + entry.size);
        if (count > LOOKED_AT_MAX) break;
      }
      reader.forget();
    }
    return isAtEnd || count > 1 ? max : -1;
  }

  close(): void {
    this.#cache.close();
  }
}

function newState(topic: string, queueId: number, reader?: QueueReader, extensions?: ExtReader): QueueState {
  return {
    topic,
    queueId,
    reader,
    extensions,
    next: -1,
    lastPhy: -1,
    matched: 0,
    missing: [],
    earlierLife: 0,
    watch: new LifeWatch(),
    heldPhy: -1,
    laterLifeFrom: -1,
    startIndex: -1,
    startPhy: -1,
    startIsOwn: undefined,
  };
}

/** One more record without an entry. */
export function addMissing(state: QueueState, index: number, phy: number): void {
  const last = state.missing.at(-1);
  if (last !== undefined && last.from + last.count === index) {
    last.count++;
    last.lastPhy = phy;
  } else state.missing.push({ from: index, count: 1, firstPhy: phy, lastPhy: phy });
}

/** Takes one record out of the runs of those without an entry. */
export function removeFromRuns(state: QueueState, index: number): void {
  const at = state.missing.findIndex(({ from, count }) => index >= from && index < from + count);
  const run = state.missing[at];
  if (run === undefined) return;
  const before = { ...run, count: index - run.from };
  const behind = { ...run, from: index + 1, count: run.from + run.count - index - 1 };
  state.missing.splice(at, 1, ...[before, behind].filter(({ count }) => count > 0));
}

/** Where in the queue the entry of the record at `phy` is; -1 without one. */
export function indexOf(state: QueueState, phy: number): number {
  const reader = state.reader!;
  const next = state.next >= 0 ? reader.entry(state.next) : undefined;
  if (next !== undefined && next.phyOffset === phy && !next.filler) return state.next;
  // Halving goes wrong where places were never written, behind the entries; and the end is seen too early where one
  // in the middle is wrong.
  for (const limit of [reader.end(), reader.limit]) {
    const at = reader.firstAtOrAbove(phy, state.startIndex, limit);
    const found = at < limit ? reader.entry(at) : undefined;
    if (found !== undefined && found.phyOffset === phy && !found.filler) return at;
  }
  return -1;
}

/** Nothing in the queue's files is of a record at or behind `phy`. */
export function isBehind({ reader }: QueueState, phy: number): boolean {
  const end = reader!.end();
  const last = end > reader!.first ? reader!.entry(end - 1) : undefined;
  reader!.forget();
  return last !== undefined && last.phyOffset < phy;
}
