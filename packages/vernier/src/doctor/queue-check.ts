import { hasQueueEntry, type RecordLayout, unitPhyOffset, unitSize, unitTagsCode } from '@vernier/store/internal';
import type { DamageBook } from './damage-book.ts';
import type { Findings } from './finding.ts';
import type { LogReader } from './log-reader.ts';
import { QueueFindings, type QueueState } from './queue-findings.ts';
import { blockUnitsFor, OpenFileCache, type QueueEntry, QueueReader } from './queue-reader.ts';
import { type RecordFacts, TagsCodes } from './record-facts.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

/** Entries up to this value are addresses in consumequeue_ext, where there is one, and no hashes (RocketMQ ConsumeQueueExt). */
const EXT_ADDRESS_MAX = -0x8000_0001;
/** Dangling entries of one queue that are looked at one by one. */
const DANGLING_MAX = 1_000;
/** Numbers without record and entry that are remembered, for a repair to fill. */
const HOLES_MAX = 10_000;

/** A number of a queue that neither log nor queue has an entry for, and the records of the queue around it. */
export interface QueueHole {
  topic: string;
  queueId: number;
  queueOffset: number;
  /** Offsets in the log: the lost record lay between these. */
  afterPhy: number;
  beforePhy: number;
}

interface TopicState {
  name: string;
  queues: Map<number, QueueState>;
}

export interface QueueCheckOptions {
  layout: StoreLayout;
  findings: Findings;
  book: DamageBook;
  log: LogReader;
  /** Every record that ends at or below this has its entry on disk, or something is wrong. */
  completeBelow: number;
  /** Topics that topics.json knows; undefined without such a file. */
  knownTopics: ReadonlySet<string> | undefined;
}

/**
 * Compares the queues with the log, in step: each record with its entry as the walk comes by, and each entry that is
 * stepped over with the log. Of each queue one block is in memory.
 */
export class QueueCheck {
  readonly #options: QueueCheckOptions;
  readonly #findings: Findings;
  readonly #report: QueueFindings;
  readonly #topics = new Map<string, TopicState>();
  readonly #cache = new OpenFileCache();
  readonly #hasExt: boolean;
  /** Knows the delays of the schedule topic, once it has met them. */
  readonly tags = new TagsCodes();
  entries = 0;
  /** At most HOLES_MAX. */
  readonly holes: QueueHole[] = [];

  constructor(options: QueueCheckOptions) {
    this.#options = options;
    this.#findings = options.findings;
    this.#report = new QueueFindings(options);
    const { layout } = options;
    this.#hasExt = layout.unread.includes('consumequeue_ext');
    const blockUnits = blockUnitsFor(layout.queueCount);
    for (const [topic, byId] of layout.queues) {
      const state = this.#topic(topic);
      for (const [queueId, queue] of byId) {
        const reader = new QueueReader(queue, layout.queueFileSize, this.#cache, blockUnits);
        state.queues.set(queueId, newState(topic, queueId, reader));
      }
    }
  }

  close(): void {
    this.#cache.close();
  }

  *states(): IterableIterator<QueueState> {
    for (const { queues } of this.#topics.values()) yield* queues.values();
  }

  /** End of the record behind the newest entry of all queues, -1 without an entry. */
  maxPhysicOffset(): number {
    let max = -1;
    for (const { reader } of this.states()) {
      if (reader === undefined) continue;
      const end = reader.end();
      const last = end > reader.first ? reader.entry(end - 1) : undefined;
      reader.forget();
      if (last !== undefined && !last.filler) max = Math.max(max, last.phyOffset + last.size);
    }
    return max;
  }

  /**
   * End of the records behind `logEnd` that the newest entries say were there, -1 without. The first lost record began
   * right at the end, or several entries lead there; one entry alone that leads elsewhere is itself the wrong one.
   */
  endBehind(logEnd: number): number {
    let max = -1;
    let count = 0;
    let isAtEnd = false;
    for (const { reader } of this.states()) {
      if (reader === undefined) continue;
      for (let index = reader.end() - 1; index >= reader.first; index--) {
        const entry = reader.entry(index);
        if (entry === undefined || entry.filler || entry.phyOffset < logEnd) break;
        count++;
        isAtEnd ||= entry.phyOffset === logEnd;
        max = Math.max(max, entry.phyOffset + entry.size);
        if (count > DANGLING_MAX) break;
      }
      reader.forget();
    }
    return isAtEnd || count > 1 ? max : -1;
  }

  set completeBelow(offset: number) {
    this.#options.completeBelow = offset;
  }

  onRecord(topic: string, record: RecordLayout, facts: RecordFacts): void {
    if (!hasQueueEntry(record.sysFlag)) return;
    this.#compare(this.#queue(topic, record.queueId), record, record.queueOffset, facts, topic);
    if (facts.multiDispatch !== '') this.#compareMultiDispatch(record, facts);
  }

  /** Queues that a light message is in besides its own (RocketMQ MultiDispatch, `%LMQ%`): queue 0 of each name. */
  #compareMultiDispatch(record: RecordLayout, facts: RecordFacts): void {
    const offsets = facts.multiOffsets.split(',');
    for (const [index, name] of facts.multiDispatch.split(',').entries()) {
      const offset = Number(offsets[index]);
      if (name === '' || !Number.isSafeInteger(offset) || offsets[index] === '') continue;
      this.#compare(this.#queue(name, 0), record, offset, facts, name);
    }
  }

  #compare(state: QueueState, record: RecordLayout, index: number, facts: RecordFacts, topic: string): void {
    this.entries++;
    const { reader } = state;
    if (reader === undefined) {
      if (state.next >= 0)
        for (let hole = state.next; hole < index; hole++) this.#addHole(state, hole, record.physicalOffset);
      this.#addMissing(state, index, record.physicalOffset);
      state.lastPhy = record.physicalOffset;
      state.next = index + 1;
      return;
    }
    const at = reader.position(index);
    if (at >= 0) {
      const { block } = reader;
      const size = unitSize(block, at);
      if (unitPhyOffset(block, at) === record.physicalOffset && size > 0) {
        // Before the jump, which may read other entries into the same block.
        const tags = unitTagsCode(block, at);
        if (state.next !== index) this.#jump(state, index, record.physicalOffset);
        state.next = index + 1;
        state.lastPhy = record.physicalOffset;
        state.matched++;
        const expected = this.tags.expected(topic, facts, record.storeTimestamp, tags);
        if (size !== record.size || (tags !== expected && !(this.#hasExt && tags <= EXT_ADDRESS_MAX))) {
          this.#report.wrongEntry(state, index, record, expected);
        }
        return;
      }
    }
    this.#unmatched(state, record, index);
  }

  /** The entry at `index` is not this record's. */
  #unmatched(state: QueueState, record: RecordLayout, index: number): void {
    const reader = state.reader!;
    const phy = record.physicalOffset;
    // A live broker may have written the block after it was read here.
    reader.forget();
    const entry = reader.entry(index);
    // Told from the same read as the entry: a live broker may write the place a moment later.
    const isWritten = reader.isWritten(index);
    if (entry?.phyOffset === phy) {
      if (state.next !== index) this.#jump(state, index, phy);
      state.next = index + 1;
      state.lastPhy = phy;
      state.matched++;
      return;
    }
    this.#findStart(state);
    if (phy < state.startPhy && index >= state.startIndex) {
      state.earlierLife++;
      return;
    }
    const real = this.#indexOf(state, phy);
    if (real >= 0) {
      if (state.next !== real) this.#jump(state, real, phy);
      state.next = real + 1;
      state.lastPhy = phy;
      // A live broker has written it between the two looks.
      if (real === index) state.matched++;
      else this.#report.wrongField(phy + 20, 8, state, real, phy, 'queueOffset', String(real), String(index));
      return;
    }
    if (entry === undefined || entry.filler) {
      if (!isWritten || entry?.filler) this.#addMissing(state, index, phy);
      else if (!this.#isThereNow(reader, index, phy)) {
        this.#report.entryFault(state, index, phy, String(phy), `${this.#rawPhy(reader, index)}`, 0, 12);
      }
      if (index >= state.next) {
        if (state.next >= 0 && state.next < index) this.#jump(state, index, phy);
        state.next = index + 1;
        state.lastPhy = phy;
      }
      return;
    }
    // Either this entry is wrong, or it is right and the record belongs elsewhere: the entry's own record tells.
    if (this.#isRecordOf(state, index, entry)) this.#addMissing(state, index, phy);
    else {
      this.#report.entryFault(state, index, phy, String(phy), String(entry.phyOffset), 0, 8);
      if (index > state.next && state.next >= 0) this.#jump(state, index, phy);
      state.next = index + 1;
      state.lastPhy = phy;
    }
  }

  /** A place that was half written when it was read is whole when it is read again. */
  #isThereNow(reader: QueueReader, index: number, phy: number): boolean {
    reader.forget();
    return reader.entry(index)?.phyOffset === phy;
  }

  #rawPhy(reader: QueueReader, index: number): number {
    return unitPhyOffset(reader.block, reader.position(index));
  }

  /** Where in the queue the entry of the record at `phy` is; -1 without one. */
  #indexOf(state: QueueState, phy: number): number {
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

  #isRecordOf(state: QueueState, index: number, entry: QueueEntry): boolean {
    const found = this.#options.log.recordAt(entry.phyOffset);
    if (found === undefined) return false;
    const { record, view } = found;
    return record.queueId === state.queueId && record.queueOffset === index && topicOf(view, record) === state.topic;
  }

  /** Entries from the expected one up to `index` were stepped over: what do they point to? */
  #jump(state: QueueState, index: number, phy: number): void {
    const reader = state.reader!;
    let from = state.next;
    if (from < 0) {
      this.#findStart(state);
      from = state.startIndex;
    }
    if (from > index) {
      this.#report.queueOrder(state, index, from);
      return;
    }
    this.#lookAt(state, from, index, Number.POSITIVE_INFINITY, phy);
    // The walk goes on behind the jump; the block it needs is there again after the next read.
    reader.position(index);
  }

  /** Classifies the entries [from, to); answers how many of them are entries that nobody's record stands behind. */
  #lookAt(state: QueueState, from: number, to: number, logEnd: number, beforePhy = -1): number {
    const reader = state.reader!;
    let pastEnd = 0;
    let looked = 0;
    for (let index = from; index < to; index++) {
      const at = reader.position(index);
      if (at < 0) break;
      const entry = reader.entry(index);
      if (entry === undefined) {
        if (to === Number.POSITIVE_INFINITY) break;
        this.#addHole(state, index, beforePhy);
        if (reader.isWritten(index)) {
          this.#report.entryFault(state, index, -1, 'an entry', `offset ${this.#rawPhy(reader, index)}`, 0, 20);
        }
        continue;
      }
      if (entry.filler || entry.phyOffset < this.#minOffset) continue;
      if (entry.phyOffset >= logEnd) {
        pastEnd++;
        continue;
      }
      if (++looked > DANGLING_MAX) continue;
      this.#classify(state, index, entry);
    }
    if (looked > DANGLING_MAX) {
      const place = reader.place(from);
      this.#findings.fault({
        kind: 'queue-dangling-entry',
        file: this.#shown(place.path),
        offset: place.offset,
        length: 0,
        expected: '',
        found: '',
        message: `${looked - DANGLING_MAX} more entries of this queue point to no record of it`,
        topic: state.topic,
        queueId: state.queueId,
      });
    }
    return pastEnd;
  }

  #classify(state: QueueState, index: number, entry: QueueEntry): void {
    const damage = this.#options.book.find(entry.phyOffset);
    if (damage !== undefined) {
      const { topic, queueId } = state;
      damage.lost.push({ topic, queueId, queueOffset: index, phyOffset: entry.phyOffset, size: entry.size });
      return;
    }
    const found = this.#options.log.recordAt(entry.phyOffset);
    if (found === undefined) {
      this.#report.dangling(state, index, entry, 'no record starts there');
      return;
    }
    const { record, view } = found;
    const topic = topicOf(view, record);
    const claimed = this.#topics.get(topic)?.queues.get(record.queueId);
    const claimedEntry = claimed?.reader?.entry(record.queueOffset);
    const ownEntry = claimedEntry?.phyOffset === entry.phyOffset && !claimedEntry.filler;
    if (claimed === state && record.queueOffset === index) {
      this.#report.queueOrder(state, index, index);
      return;
    }
    if (ownEntry || !hasQueueEntry(record.sysFlag)) {
      const what = `the record there is message ${record.queueOffset} of ${topic}/${record.queueId}`;
      this.#report.dangling(state, index, entry, what);
      return;
    }
    if (claimed !== undefined) removeFromRuns(claimed, record.queueOffset);
    const phy = entry.phyOffset;
    if (topic !== state.topic) {
      const at = phy + record.topicAt;
      this.#report.wrongField(at, record.topicLength, state, index, phy, 'topic', state.topic, topic);
    }
    if (record.queueId !== state.queueId) {
      this.#report.wrongField(phy + 12, 4, state, index, phy, 'queueId', String(state.queueId), String(record.queueId));
    }
    if (record.queueOffset !== index) {
      this.#report.wrongField(phy + 20, 8, state, index, phy, 'queueOffset', String(index), String(record.queueOffset));
    }
  }

  #findStart(state: QueueState): void {
    if (state.startIndex >= 0) return;
    const reader = state.reader!;
    const end = reader.end();
    state.startIndex = reader.firstAtOrAbove(this.#minOffset, reader.first, end);
    const entry = state.startIndex < end ? reader.entry(state.startIndex) : undefined;
    state.startPhy = entry?.phyOffset ?? -1;
  }

  get #minOffset(): number {
    return this.#options.layout.logFiles[0]?.from ?? 0;
  }

  #addMissing(state: QueueState, index: number, phy: number): void {
    const last = state.missing.at(-1);
    if (last !== undefined && last.from + last.count === index) {
      last.count++;
      last.lastPhy = phy;
    } else state.missing.push({ from: index, count: 1, firstPhy: phy, lastPhy: phy });
  }

  #addHole({ topic, queueId, lastPhy }: QueueState, queueOffset: number, beforePhy: number): void {
    if (this.holes.length >= HOLES_MAX) return;
    this.holes.push({ topic, queueId, queueOffset, afterPhy: lastPhy, beforePhy });
  }

  /** After the walk: what the queues have beyond it, and what was missing after all. `logEnd`: end of the log. */
  finish(logEnd: number): void {
    for (const state of this.states()) {
      if (state.reader === undefined) continue;
      this.#findStart(state);
      const from = state.next >= 0 ? state.next : state.startIndex;
      const pastEnd = this.#lookAt(state, from, Number.POSITIVE_INFINITY, logEnd);
      if (pastEnd > 0) this.#report.pastEnd(state, pastEnd, logEnd);
    }
    for (const state of this.states()) {
      for (const run of state.missing) {
        // Gathered and not yet written, or written anew by the next start.
        if (run.firstPhy < this.#options.completeBelow) this.#report.missing(state, run);
      }
      if (state.earlierLife > 0) {
        this.#findings.note({
          kind: 'queue-missing-entry',
          file: `consumequeue/${state.topic}/${state.queueId}`,
          offset: 0,
          length: 0,
          expected: '',
          found: '',
          message: `${state.earlierLife} records are older than the queue: the topic was deleted and made anew`,
          topic: state.topic,
          queueId: state.queueId,
        });
      }
    }
  }

  #topic(name: string): TopicState {
    let state = this.#topics.get(name);
    if (state === undefined) {
      state = { name, queues: new Map() };
      this.#topics.set(name, state);
    }
    return state;
  }

  #queue(topic: string, queueId: number): QueueState {
    const { queues } = this.#topics.get(topic) ?? this.#topic(topic);
    let state = queues.get(queueId);
    if (state === undefined) {
      state = newState(topic, queueId, undefined);
      queues.set(queueId, state);
    }
    return state;
  }

  #shown(path: string): string {
    return shownPath(this.#options.layout.root, path);
  }
}

function newState(topic: string, queueId: number, reader: QueueReader | undefined): QueueState {
  return {
    topic,
    queueId,
    reader,
    next: -1,
    lastPhy: -1,
    matched: 0,
    missing: [],
    earlierLife: 0,
    startIndex: -1,
    startPhy: -1,
  };
}

/** Takes one record out of the runs of those without an entry. */
function removeFromRuns(state: QueueState, index: number): void {
  const at = state.missing.findIndex(({ from, count }) => index >= from && index < from + count);
  const run = state.missing[at];
  if (run === undefined) return;
  const before = { ...run, count: index - run.from };
  const behind = { ...run, from: index + 1, count: run.from + run.count - index - 1 };
  state.missing.splice(at, 1, ...[before, behind].filter(({ count }) => count > 0));
}

export function topicOf(view: Buffer, record: RecordLayout): string {
  return view.toString('utf8', record.topicAt, record.topicAt + record.topicLength);
}
