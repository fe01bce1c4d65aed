import { batchUnits, hasQueueEntry, innerCountOfText, propertiesStringOf, propertyOf } from '@vernier/store/internal';
import { LifeWatch } from './life-watch.ts';
import { walkLog } from './log-walk.ts';
import { isQueued } from './queue-kinds.ts';
import { blockUnitsFor, newestRecord, type OpenFileCache, QueueReader, type RecordPlace } from './queue-reader.ts';
import { topicOf } from './record-facts.ts';
import { queuesCompleteBelow } from './recovery-start.ts';
import type { StoreLayout } from './store-layout.ts';

/**
 * What a queue has: the entries of its files, and behind them the records of the log that have none yet. A broker writes
 * entries up to a minute after their records, and a crash leaves the next start to make the last of them.
 */
export class QueueEntries {
  readonly topic: string;
  readonly queueId: number;
  readonly files: number;
  /**
   * First entry whose record is still in the log and of the topic's last life, and the exclusive end. In a batch queue
   * these count entries, and messages have numbers of their own.
   */
  readonly start: number;
  readonly end: number;
  readonly #reader: QueueReader | undefined;
  /** Where the entries in files end, and the offsets in the log of the records behind them. */
  readonly #storedEnd: number;
  readonly #pending: readonly number[];
  /** In a batch queue; else undefined. */
  readonly #pendingNumbers: readonly number[] | undefined;

  constructor(
    place: { topic: string; queueId: number },
    reader: QueueReader | undefined,
    pending: Pending | undefined,
    minPhyOffset: number,
    isBatch: boolean,
  ) {
    this.#pendingNumbers = isBatch ? (pending?.numbers ?? []) : undefined;
    this.topic = place.topic;
    this.queueId = place.queueId;
    this.#reader = reader;
    this.#pending = pending?.phyOffsets ?? [];
    this.#storedEnd = reader?.end() ?? pending?.from ?? 0;
    this.files = reader?.files.length ?? 0;
    this.start = reader?.firstAtOrAbove(minPhyOffset, reader.first, this.#storedEnd) ?? this.#storedEnd;
    this.end = this.#storedEnd + this.#pending.length;
  }

  /** Offset in the log; undefined for filler and for what is not there. */
  phyOffset(index: number): number | undefined {
    if (index >= this.#storedEnd) return this.#pending[index - this.#storedEnd];
    const entry = this.#reader?.entry(index);
    return entry === undefined || entry.filler ? undefined : entry.phyOffset;
  }

  /** Number of the (first) message of an entry; behind the last entry the number that the next message gets. */
  numberOf(index: number): number {
    const numbers = this.#pendingNumbers;
    if (numbers === undefined) return index;
    if (index >= this.#storedEnd + this.#pending.length) {
      const last = this.#reader?.entry(this.#storedEnd - 1);
      return numbers.at(-1) ?? (last === undefined ? 0 : last.number + last.count);
    }
    return index >= this.#storedEnd ? numbers[index - this.#storedEnd]! : (this.#reader!.entry(index)?.number ?? 0);
  }

  /** The entry that holds the message of this number, or the first one behind it. */
  entryOf(number: number): number {
    if (this.#pendingNumbers === undefined) return number;
    if (number >= this.numberOf(this.end)) return this.end;
    return Math.max(this.start, this.entryFrom(number + 1) - 1);
  }

  /** The first entry whose messages all have this number or a higher one. */
  entryFrom(number: number): number {
    if (this.#pendingNumbers === undefined) return number;
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.numberOf(middle) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Pending {
  /** Number of the first one in its queue; in a batch queue of the entry that it gets. */
  from: number;
  phyOffsets: number[];
  /** In a batch queue: numbers of the first message of each, and behind the last. */
  numbers?: number[];
}

export interface StoreEntries {
  /** By topic and queue. */
  queues: QueueEntries[];
  /** Offset in the log behind the newest record; undefined after a clean exit, which needs no look. */
  logEnd: number | undefined;
  /** The newest record with an entry in a file. */
  newest: RecordPlace;
}

/** Gathers the entries of all queues, or of those `wanted`. `blockUnits` of each are held in memory; `cache` has their files. */
export async function readQueueEntries(
  layout: StoreLayout,
  cache: OpenFileCache,
  blockUnits = blockUnitsFor(layout.queueCount),
  wanted: (topic: string, queueId: number) => boolean = () => true,
): Promise<StoreEntries> {
  // After a clean exit the files have everything; else all of them say together how far they go.
  const isLookedAt = layout.state === 'clean' ? wanted : () => true;
  const readers = new Map<string, QueueReader>();
  for (const byId of [...layout.queues.values(), ...layout.batchQueues.values()]) {
    for (const queue of byId.values()) {
      if (!isLookedAt(queue.topic, queue.queueId)) continue;
      const reader = layout.batchTopics.has(queue.topic)
        ? new QueueReader(queue, layout.batchFileSize, cache, blockUnits, batchUnits)
        : new QueueReader(queue, layout.queueFileSize, cache, blockUnits);
      readers.set(keyOf(queue.topic, queue.queueId), reader);
    }
  }
  const newest = newestRecord(readers.values());
  const { pending, logEnd } = await readPending(layout, readers, newest);
  const minPhyOffset = layout.logFiles[0]?.from ?? 0;
  const queues = [...new Set([...readers.keys(), ...pending.keys()])].map((key) => {
    const at = key.indexOf('/');
    const place = { topic: key.slice(at + 1), queueId: Number(key.slice(0, at)) };
    const deadBelow = layout.deletions.get(place.topic) ?? 0;
    const from = Math.max(minPhyOffset, deadBelow);
    return new QueueEntries(place, readers.get(key), pending.get(key), from, layout.batchTopics.has(place.topic));
  });
  queues.sort((a, b) => (a.topic === b.topic ? a.queueId - b.queueId : a.topic < b.topic ? -1 : 1));
  return { queues, logEnd, newest };
}

/** A queue while the records without an entry are gathered. */
interface Gathering {
  readonly watch: LifeWatch;
  /** End of the record behind the newest entry in a file, -1 without: records in front of it are not waiting for one. */
  readonly maxPhysicOffset: number;
  pending: Pending | undefined;
  /** A number 0 behind others, which may begin the next life. */
  held: number;
}

async function readPending(
  layout: StoreLayout,
  readers: Map<string, QueueReader>,
  newest: RecordPlace,
): Promise<{ pending: Map<string, Pending>; logEnd: number | undefined }> {
  dropDead(layout, readers);
  const pending = new Map<string, Pending>();
  const [first] = layout.logFiles;
  const completeBelow = await queuesCompleteBelow(layout, newest);
  if (first === undefined || completeBelow === Number.POSITIVE_INFINITY) return { pending, logEnd: undefined };
  const gatherings = new Map<string, Gathering>();
  const restart = (key: string, gathering: Gathering): void => {
    readers.delete(key);
    gathering.pending = { from: 0, phyOffsets: [gathering.held] };
  };
  const add = (gathering: Gathering, number: number, phyOffset: number): void => {
    gathering.pending ??= { from: number, phyOffsets: [] };
    gathering.pending.phyOffsets.push(phyOffset);
  };
  const { tail } = await walkLog(
    layout.logFiles,
    { checkCrc: true, live: layout.state === 'live', from: Math.max(first.from, completeBelow) },
    {
      onRecord(view, record) {
        const topic = topicOf(view, record);
        const isBatch = layout.batchTopics.has(topic) && hasQueueEntry(record.sysFlag);
        if (!isBatch && !isQueued(layout.batchTopics, topic, record.sysFlag)) return;
        const { physicalOffset, size, queueOffset } = record;
        if (physicalOffset < (layout.deletions.get(topic) ?? 0)) return;
        const key = keyOf(topic, record.queueId);
        const gathering = gatherings.get(key) ?? gatheringOf(readers.get(key));
        gatherings.set(key, gathering);
        if (physicalOffset + size <= gathering.maxPhysicOffset) return;
        if (isBatch) {
          const said = propertyOf(propertiesStringOf(view, record), 'INNER_NUM') ?? '';
          const count = innerCountOfText(record.sysFlag, said) ?? 1;
          addBatch(gathering, readers.get(key)?.end() ?? 0, { queueOffset, count, physicalOffset });
          return;
        }
        const step = gathering.watch.take(queueOffset);
        if (step === 'held') gathering.held = physicalOffset;
        if (step === 'restart') restart(key, gathering);
        if (step === 'restart' || step === 'goes-on') add(gathering, queueOffset, physicalOffset);
      },
    },
  );
  for (const [key, gathering] of gatherings) {
    if (gathering.watch.isHeld) restart(key, gathering);
    if (gathering.pending !== undefined) pending.set(key, gathering.pending);
  }
  return { pending, logEnd: tail.from };
}

/** One more record of a batch queue; its numbers begin and end where it says. */
function addBatch(
  gathering: Gathering,
  from: number,
  { queueOffset, count, physicalOffset }: { queueOffset: number; count: number; physicalOffset: number },
): void {
  gathering.pending ??= { from, phyOffsets: [], numbers: [] };
  const { phyOffsets, numbers } = gathering.pending;
  phyOffsets.push(physicalOffset);
  numbers!.length = phyOffsets.length - 1;
  numbers!.push(queueOffset, queueOffset + count);
}

/** Queues that have nothing but entries of deleted messages: the next start removes them. */
function dropDead({ deletions }: StoreLayout, readers: Map<string, QueueReader>): void {
  for (const [key, reader] of readers) {
    const deadBelow = deletions.get(reader.topic) ?? 0;
    if (deadBelow === 0) continue;
    const end = reader.end();
    if (reader.firstAtOrAbove(deadBelow, reader.first, end) >= end) readers.delete(key);
  }
}

function gatheringOf(reader: QueueReader | undefined): Gathering {
  const maxPhysicOffset = newestRecord(reader === undefined ? [] : [reader]).end;
  return { watch: new LifeWatch(reader?.end() ?? 0), maxPhysicOffset, pending: undefined, held: -1 };
}

/** A topic's name may hold any character but not a number in front of a slash. */
function keyOf(topic: string, queueId: number): string {
  return `${queueId}/${topic}`;
}
