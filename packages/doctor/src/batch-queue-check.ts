import {
  batchUnitBase,
  batchUnitCount,
  batchUnits,
  batchUnitTime,
  hasQueueEntry,
  innerCountOfText,
  type RecordLayout,
  tagsStringToTagsCode,
  unitPhyOffset,
  unitSize,
  unitTagsCode,
} from '@vernier/store/internal';
import type { DamageBook } from './damage-book.ts';
import type { Findings, NewFinding } from './finding.ts';
import { blockUnitsFor, OpenFileCache, QueueReader } from './queue-reader.ts';
import type { RecordFacts } from './record-facts.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

export interface BatchQueueCheckOptions {
  layout: StoreLayout;
  findings: Findings;
  book: DamageBook;
}

interface State {
  topic: string;
  queueId: number;
  /** Undefined for a queue without files. */
  reader: QueueReader | undefined;
  /** Place of the entry that the next record should have. */
  next: number;
  /** Number behind the last message. */
  end: number;
  /** Of the first entry whose record is in the log; -1 without, or before it was looked for. */
  startPhy: number;
  startNumber: number;
  /** Records without an entry: how many, and the first. */
  missing: { count: number; firstNumber: number; firstPhy: number } | undefined;
}

/**
 * Compares batch queues with the log, in step. Their entries lie side by side in the order of the log, so each record has
 * the next one, and says what must stand in it.
 */
export class BatchQueueCheck {
  readonly #options: BatchQueueCheckOptions;
  readonly #cache = new OpenFileCache();
  readonly #states = new Map<string, State>();
  /** Every record that ends at or below this has its entry on disk, or something is wrong. */
  completeBelow = 0;
  entries = 0;

  constructor(options: BatchQueueCheckOptions) {
    this.#options = options;
    const { batchQueues, batchFileSize } = options.layout;
    let count = 0;
    for (const byId of batchQueues.values()) count += byId.size;
    for (const byId of batchQueues.values()) {
      for (const queue of byId.values()) {
        const reader = new QueueReader(queue, batchFileSize, this.#cache, blockUnitsFor(count), batchUnits);
        const { topic, queueId } = queue;
        this.#states.set(keyOf(topic, queueId), newState(topic, queueId, reader));
      }
    }
  }

  close(): void {
    this.#cache.close();
  }

  *readers(): IterableIterator<QueueReader> {
    for (const { reader } of this.#states.values()) if (reader !== undefined) yield reader;
  }

  /** Number behind the last message of a queue; undefined when it is none of these. */
  endOf(topic: string, queueId: number): number | undefined {
    return this.#states.get(keyOf(topic, queueId))?.end;
  }

  onRecord(topic: string, record: RecordLayout, facts: RecordFacts): void {
    const { layout } = this.#options;
    if (!layout.batchTopics.has(topic) || !hasQueueEntry(record.sysFlag)) return;
    if (record.physicalOffset < (layout.deletions.get(topic) ?? 0)) return;
    const key = keyOf(topic, record.queueId);
    const state = this.#states.get(key) ?? newState(topic, record.queueId, undefined);
    this.#states.set(key, state);
    this.entries++;
    const count = innerCountOfText(record.sysFlag, facts.innerNum) ?? 1;
    state.end = Math.max(state.end, record.queueOffset + count);
    const { reader } = state;
    for (; reader !== undefined; state.next++) {
      const entry = this.#entry(state);
      if (entry === undefined || entry.phyOffset > record.physicalOffset) break;
      if (entry.phyOffset === record.physicalOffset) {
        this.#compare(state, record, count, tagsStringToTagsCode(facts.tags));
        state.next++;
        return;
      }
      this.#stray(state, Number.POSITIVE_INFINITY);
    }
    if (record.physicalOffset + record.size > this.completeBelow || this.#isOfEarlierLife(state, record)) return;
    state.missing ??= { count: 0, firstNumber: record.queueOffset, firstPhy: record.physicalOffset };
    state.missing.count++;
  }

  /** What is behind the entries of all records; `logEnd`: where the log ends. */
  finish(logEnd: number): void {
    for (const state of this.#states.values()) {
      for (; state.reader?.entry(state.next) !== undefined; state.next++) this.#stray(state, logEnd);
      this.#reportMissing(state);
    }
  }

  /** In a directory of Apache's broker nothing but the numbers tells that the topic was deleted and made anew. */
  #isOfEarlierLife(state: State, { physicalOffset, queueOffset }: RecordLayout): boolean {
    const { reader, next } = state;
    if (reader === undefined) return false;
    if (state.startPhy < 0) {
      const entry = reader.entry(next);
      if (entry === undefined) return false;
      state.startPhy = entry.phyOffset;
      state.startNumber = batchUnitBase(reader.block, reader.position(next));
    }
    return physicalOffset < state.startPhy && queueOffset >= state.startNumber;
  }

  #entry(state: State): ReturnType<QueueReader['entry']> {
    const reader = state.reader!;
    const entry = reader.entry(state.next);
    if (entry !== undefined || this.#options.layout.state !== 'live') return entry;
    // A live broker may have written it after the block was read.
    reader.forget();
    return reader.entry(state.next);
  }

  #compare(state: State, record: RecordLayout, count: number, tagsCode: number): void {
    const reader = state.reader!;
    const at = reader.position(state.next);
    const { block } = reader;
    const fields: [name: string, position: number, length: number, expected: number, found: number][] = [
      ['size', 8, 4, record.size, unitSize(block, at)],
      ['hash of TAGS', 12, 8, tagsCode, unitTagsCode(block, at)],
      ['time', 20, 8, record.storeTimestamp, batchUnitTime(block, at)],
      ['number', 28, 8, record.queueOffset, batchUnitBase(block, at)],
      ['count of messages', 36, 2, count, batchUnitCount(block, at)],
    ];
    for (const [name, position, length, expected, found] of fields) {
      if (expected === found) continue;
      this.#options.findings.fault({
        ...this.#place(state, position, length),
        kind: 'queue-entry',
        expected: String(expected),
        found: String(found),
        message: `entry ${state.next} of ${state.topic}/${state.queueId} has another ${name} than its record at ${record.physicalOffset}`,
        queueOffset: record.queueOffset,
        logOffset: record.physicalOffset,
      });
      return;
    }
  }

  /** An entry that no record of the queue stands behind. */
  #stray(state: State, logEnd: number): void {
    const { layout, findings, book } = this.#options;
    const reader = state.reader!;
    const at = reader.position(state.next);
    const { block } = reader;
    const phyOffset = unitPhyOffset(block, at);
    const first = layout.logFiles[0]?.from ?? 0;
    if (phyOffset < Math.max(first, layout.deletions.get(state.topic) ?? 0)) return;
    const { topic, queueId } = state;
    const queueOffset = batchUnitBase(block, at);
    const damage = book.find(phyOffset);
    if (damage !== undefined) {
      const innerCount = batchUnitCount(block, at);
      const size = unitSize(block, at);
      damage.lost.push({ topic, queueId, queueOffset, phyOffset, size, by: 'entry', innerCount });
      return;
    }
    const isBehind = phyOffset >= logEnd;
    if (isBehind && layout.state === 'live') return;
    const finding: NewFinding = {
      ...this.#place(state, 0, 8),
      kind: 'queue-dangling-entry',
      expected: isBehind ? `an offset below ${logEnd}` : 'the offset of a record of the queue',
      found: String(phyOffset),
      message: isBehind
        ? `entry ${state.next} of ${topic}/${queueId} points behind the end of the log`
        : `entry ${state.next} of ${topic}/${queueId} points to ${phyOffset}: no record of the queue is there`,
      queueOffset,
      logOffset: phyOffset,
    };
    // After a crash the next start removes it.
    if (isBehind && layout.state === 'unclean') findings.note(finding);
    else findings.fault(finding);
  }

  #reportMissing({ topic, queueId, reader, missing, next }: State): void {
    if (missing === undefined) return;
    const { count, firstNumber, firstPhy } = missing;
    const place = reader?.place(next);
    this.#options.findings.fault({
      kind: 'queue-missing-entry',
      file: place === undefined ? `batchconsumequeue/${topic}/${queueId}` : this.#shown(place.path),
      offset: place?.offset ?? 0,
      length: 0,
      expected: `${count} entries`,
      found: 'none',
      message: `${count} records of ${topic}/${queueId}, the first with message ${firstNumber}, are in the log at ${firstPhy} and not in the queue`,
      ...{ topic, queueId, queueOffset: firstNumber, logOffset: firstPhy },
    });
  }

  #place(
    { topic, queueId, reader, next }: State,
    position: number,
    length: number,
  ): Pick<NewFinding, 'file' | 'offset' | 'length' | 'topic' | 'queueId'> {
    const { path, offset } = reader!.place(next);
    return { file: this.#shown(path), offset: offset + position, length, topic, queueId };
  }

  #shown(path: string): string {
    return shownPath(this.#options.layout.root, path);
  }
}

const newState = (topic: string, queueId: number, reader: QueueReader | undefined): State => ({
  ...{ topic, queueId, reader, next: reader?.first ?? 0, end: 0, startPhy: -1, startNumber: -1, missing: undefined },
});

const keyOf = (topic: string, queueId: number): string => `${queueId}/${topic}`;
