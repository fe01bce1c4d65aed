import {
  extOffsetOf,
  hasQueueEntry,
  INNER_BATCH_FLAG,
  isExtAddress,
  isLmq,
  type RecordLayout,
  unitPhyOffset,
  unitSize,
  unitTagsCode,
} from '@vernier/store/internal';
import type { DamageBook } from './damage-book.ts';
import type { Extension, ExtReader } from './ext-reader.ts';
import type { Findings } from './finding.ts';
import type { Disagreement, JudgedDisagreement, PlaceInQueue } from './log-census.ts';
import type { LogReader } from './log-reader.ts';
import { QueueFindings } from './queue-findings.ts';
import { isQueued } from './queue-kinds.ts';
import { QueueOwnership } from './queue-ownership.ts';
import type { QueueEntry, QueueReader } from './queue-reader.ts';
import { addMissing, indexOf, isBehind, type QueueState, QueueStates, removeFromRuns } from './queue-states.ts';
import { lmqsOf, type RecordFacts, TagsCodes, topicOf } from './record-facts.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

/** Dangling entries of one queue that are looked at one by one. */
const DANGLING_MAX = 1_000;
/** Entries that disagree with their record and are judged one by one; beyond that the records are believed. */
const DISAGREEMENTS_MAX = 10_000;
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
  /** The queues, of which it says what the walk found. */
  readonly states: QueueStates;
  readonly ownership: QueueOwnership;
  /** Knows the delays of the schedule topic, once it has met them. */
  readonly tags = new TagsCodes();
  entries = 0;
  /** Entries that lead to a record which says that it is another message; the log as a whole decides (log-census.ts). */
  readonly disagreements: Disagreement[] = [];

  constructor(options: QueueCheckOptions) {
    this.#options = options;
    this.#findings = options.findings;
    this.#report = new QueueFindings(options);
    this.states = new QueueStates(options.layout);
    this.ownership = new QueueOwnership(this.states, options.log, options.book);
  }

  close(): void {
    this.states.close();
  }

  set completeBelow(offset: number) {
    this.#options.completeBelow = offset;
  }

  onRecord(topic: string, record: RecordLayout, facts: RecordFacts): void {
    if (!isQueued(this.#options.layout.batchTopics, topic, record.sysFlag)) return;
    const phy = record.physicalOffset;
    if (!this.#isDead(topic, record.queueId, phy)) {
      this.#compare(this.states.queue(topic, record.queueId), record, record.queueOffset, facts, topic);
    }
    // A light queue lives on when the topic is deleted that its messages were sent to.
    for (const { name, queueOffset } of lmqsOf(topic, facts)) {
      if (!this.#isDead(name, 0, phy)) {
        this.#compare(this.states.queue(name, 0), record, queueOffset, facts, name, false);
      }
    }
  }

  /** The record is of a deleted life of the topic, and counted. */
  #isDead(topic: string, queueId: number, phy: number): boolean {
    if (this.#deletions.size === 0 || phy >= this.#deadBelow(topic)) return false;
    this.states.queue(topic, queueId).earlierLife++;
    return true;
  }

  /** `isOwn`: the queue and the number are those that the record's own fields name. */
  #compare(
    state: QueueState,
    record: RecordLayout,
    index: number,
    facts: RecordFacts,
    topic: string,
    isOwn = true,
  ): void {
    this.entries++;
    const { reader } = state;
    const wasHeld = state.watch.isHeld;
    const step = state.watch.take(index);
    // A number 0 after which the queue goes on is a wrong one: its record has no entry.
    const isWrong = wasHeld && step !== 'restart' && step !== 'held';
    if (step === 'restart' && reader !== undefined && state.laterLifeFrom < 0 && isBehind(state, state.heldPhy)) {
      state.laterLifeFrom = state.heldPhy;
    }
    if (reader === undefined) {
      if (step === 'restart') this.#beginLife(state);
      if (isWrong) addMissing(state, 0, state.heldPhy);
      if (step === 'held') {
        state.heldPhy = record.physicalOffset;
        return;
      }
      addMissing(state, index, record.physicalOffset);
      state.lastPhy = record.physicalOffset;
      state.next = index + 1;
      return;
    }
    if (step === 'held') state.heldPhy = record.physicalOffset;
    const at = reader.position(index);
    if (at >= 0) {
      const { block } = reader;
      const size = unitSize(block, at);
      if (unitPhyOffset(block, at) === record.physicalOffset && size > 0) {
        // Before the jump, which may read other entries into the same block.
        let tags = unitTagsCode(block, at);
        const extOffset = isExtAddress(tags) ? extOffsetOf(block, at) : undefined;
        if (state.next !== index) this.#jump(state, index);
        state.next = index + 1;
        state.lastPhy = record.physicalOffset;
        state.matched++;
        const { storeTimestamp } = record;
        if (extOffset !== undefined && state.extensions !== undefined) {
          const extension = this.#extensionAt(state.extensions, extOffset, storeTimestamp);
          const expected = this.tags.expected(topic, facts, storeTimestamp, extension?.tagsCode);
          if (extension?.tagsCode !== expected || extension.storeTimestamp !== storeTimestamp) {
            this.#report.wrongExtension(state, index, record, extOffset, expected, extension);
          }
          tags = expected;
        }
        const expected = this.tags.expected(topic, facts, storeTimestamp, tags);
        if (size !== record.size || tags !== expected) this.#report.wrongEntry(state, index, record, expected);
        return;
      }
    }
    this.#unmatched(state, record, index, isOwn);
  }

  /** The records so far are of an earlier life of the topic; the one that is held has number 0 of the next. */
  #beginLife(state: QueueState): void {
    for (const { count } of state.missing) state.earlierLife += count;
    state.missing = [];
    addMissing(state, 0, state.heldPhy);
    state.lastPhy = state.heldPhy;
    state.next = 1;
  }

  get #deletions(): ReadonlyMap<string, number> {
    return this.#options.layout.deletions;
  }

  #deadBelow(topic: string): number {
    return this.#deletions.get(topic) ?? 0;
  }

  #extensionAt(extensions: ExtReader, offset: number, storeTimestamp: number): Extension | undefined {
    const found = extensions.at(offset);
    if (found?.storeTimestamp === storeTimestamp || this.#options.layout.state !== 'live') return found;
    // A live broker may have written it after the block was read here.
    extensions.forget();
    return extensions.at(offset);
  }

  /** The entry at `index` is not this record's. */
  #unmatched(state: QueueState, record: RecordLayout, index: number, isOwn: boolean): void {
    const reader = state.reader!;
    const phy = record.physicalOffset;
    // A live broker may have written the block after it was read here.
    reader.forget();
    const entry = reader.entry(index);
    // Told from the same read as the entry: a live broker may write the place a moment later.
    const isWritten = reader.isWritten(index);
    if (entry?.phyOffset === phy) {
      if (state.next !== index) this.#jump(state, index);
      state.next = index + 1;
      state.lastPhy = phy;
      state.matched++;
      return;
    }
    this.#findStart(state);
    if (phy < state.startPhy && index >= state.startIndex && this.ownership.startsWithOwn(state)) {
      state.earlierLife++;
      return;
    }
    const real = indexOf(state, phy);
    if (real >= 0) {
      if (state.next !== real) this.#jump(state, real);
      state.next = real + 1;
      state.lastPhy = phy;
      // A live broker has written it between the two looks.
      if (real === index) state.matched++;
      else if (isOwn) this.#disagree(state, real, phy);
      else this.#reportOtherEntry(state, index, phy);
      return;
    }
    if (entry === undefined || entry.filler) {
      if (!isWritten || entry?.filler) addMissing(state, index, phy);
      else if (!this.#isThereNow(reader, index, phy)) {
        this.#report.entryFault(state, index, phy, String(phy), `${this.#rawPhy(reader, index)}`, 0, 12);
      }
      if (index >= state.next) {
        if (state.next >= 0 && state.next < index) this.#jump(state, index);
        state.next = index + 1;
        state.lastPhy = phy;
      }
      return;
    }
    // Either this entry is wrong, or it is right and the record belongs elsewhere: the entry's own record tells.
    if (this.ownership.isRecordOf(state, index, entry)) addMissing(state, index, phy);
    else {
      this.#report.entryFault(state, index, phy, String(phy), String(entry.phyOffset), 0, 8);
      if (index > state.next && state.next >= 0) this.#jump(state, index);
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

  /** Entries from the expected one up to `index` were stepped over: what do they point to? */
  #jump(state: QueueState, index: number): void {
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
    this.#lookAt(state, from, index, Number.POSITIVE_INFINITY);
    // The walk goes on behind the jump; the block it needs is there again after the next read.
    reader.position(index);
  }

  /** Classifies the entries [from, to); answers how many of them are entries that nobody's record stands behind. */
  #lookAt(state: QueueState, from: number, to: number, logEnd: number): number {
    const reader = state.reader!;
    let pastEnd = 0;
    let looked = 0;
    for (let index = from; index < to; index++) {
      const at = reader.position(index);
      if (at < 0) break;
      const entry = reader.entry(index);
      if (entry === undefined) {
        if (to === Number.POSITIVE_INFINITY) break;
        if (reader.isWritten(index)) {
          this.#report.entryFault(state, index, -1, 'an entry', `offset ${this.#rawPhy(reader, index)}`, 0, 20);
        }
        continue;
      }
      if (entry.filler || entry.phyOffset < Math.max(this.#minOffset, this.#deadBelow(state.topic))) continue;
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
      damage.lost.push({
        topic,
        queueId,
        queueOffset: index,
        phyOffset: entry.phyOffset,
        size: entry.size,
        by: 'entry',
      });
      return;
    }
    const found = this.#options.log.recordAt(entry.phyOffset);
    if (found === undefined) {
      this.#report.dangling(state, index, entry, 'no record starts there');
      return;
    }
    const { record, view } = found;
    // A Java broker may have made it: see isQueued.
    if ((record.sysFlag & INNER_BATCH_FLAG) !== 0) return;
    const topic = topicOf(view, record);
    if (isLmq(state.topic) && topic !== state.topic) {
      if (this.ownership.isRecordOf(state, index, entry)) this.#report.outOfLogOrder(state, index, entry);
      else this.#report.dangling(state, index, entry, 'the record there is not in this light queue');
      return;
    }
    const claimed = this.states.find(topic, record.queueId);
    const claimedEntry = claimed?.reader?.entry(record.queueOffset);
    const ownEntry = claimedEntry?.phyOffset === entry.phyOffset && !claimedEntry.filler;
    if (claimed === state && record.queueOffset === index) {
      this.#report.outOfLogOrder(state, index, entry);
      return;
    }
    if (ownEntry || !hasQueueEntry(record.sysFlag)) {
      const what = `the record there is message ${record.queueOffset} of ${topic}/${record.queueId}`;
      this.#report.dangling(state, index, entry, what);
      return;
    }
    this.#disagree(state, index, entry.phyOffset);
  }

  #disagree(state: QueueState, index: number, phy: number): void {
    if (this.disagreements.length < DISAGREEMENTS_MAX) this.disagreements.push({ state, index, phy });
    else this.#reportOtherEntry(state, index, phy);
  }

  /** The record is right about itself, and the entry at its number is not its own. */
  #reportOtherEntry(state: QueueState, index: number, phy: number): void {
    const { reader } = state;
    if (reader === undefined || !reader.isWritten(index) || reader.entry(index)?.filler) {
      addMissing(state, index, phy);
      return;
    }
    const found = String(unitPhyOffset(reader.block, reader.position(index)));
    if (found !== String(phy)) this.#report.entryFault(state, index, phy, String(phy), found, 0, 8);
  }

  /** After the walk and before finish(): the log has decided who is wrong, the entry or the record. */
  settle(judged: readonly JudgedDisagreement[]): void {
    for (const { state, index, phy, topic, queueId, queueOffset, topicAt, topicLength, recordIsWrong } of judged) {
      const claimed = this.states.queue(topic, queueId);
      if (!recordIsWrong) {
        const entry = state.reader?.entry(index);
        const what = `the record there is message ${queueOffset} of ${topic}/${queueId}`;
        if (claimed === state) this.#reportOtherEntry(state, queueOffset, phy);
        else if (entry !== undefined) this.#report.dangling(state, index, entry, what);
        continue;
      }
      removeFromRuns(claimed, queueOffset);
      if (topic !== state.topic) {
        this.#report.wrongField(phy + topicAt, topicLength, state, index, phy, 'topic', state.topic, topic);
      }
      if (queueId !== state.queueId) {
        this.#report.wrongField(phy + 12, 4, state, index, phy, 'queueId', String(state.queueId), String(queueId));
      }
      if (queueOffset !== index) {
        this.#report.wrongField(phy + 20, 8, state, index, phy, 'queueOffset', String(index), String(queueOffset));
      }
    }
  }

  /** An entry that leads into a damaged stretch, and whose message was not there. */
  reportNotLost({ topic, queueId, queueOffset }: PlaceInQueue, what: string): void {
    const state = this.states.find(topic, queueId)!;
    const entry = state.reader?.entry(queueOffset);
    if (entry !== undefined) this.#report.dangling(state, queueOffset, entry, what);
  }

  #findStart(state: QueueState): void {
    if (state.startIndex >= 0) return;
    const reader = state.reader!;
    const end = reader.end();
    const deadBelow = this.#deadBelow(state.topic);
    state.startIndex = reader.firstAtOrAbove(Math.max(this.#minOffset, deadBelow), reader.first, end);
    const alive = deadBelow > this.#minOffset ? reader.firstAtOrAbove(this.#minOffset, reader.first, end) : end;
    if (alive < state.startIndex) this.#report.dead(state, state.startIndex - alive, deadBelow);
    const entry = state.startIndex < end ? reader.entry(state.startIndex) : undefined;
    state.startPhy = entry?.phyOffset ?? -1;
  }

  get #minOffset(): number {
    return this.#options.layout.logFiles[0]?.from ?? 0;
  }

  /** After the walk: what the queues have beyond it. `logEnd`: end of the log. */
  lookBeyond(logEnd: number): void {
    for (const state of this.states.all()) {
      if (state.reader === undefined) continue;
      this.#findStart(state);
      const from = state.next >= 0 ? state.next : state.startIndex;
      const pastEnd = this.#lookAt(state, from, Number.POSITIVE_INFINITY, logEnd);
      if (pastEnd > 0) this.#report.pastEnd(state, pastEnd, logEnd);
    }
  }

  /** At last: what was missing after all. */
  finish(): void {
    for (const state of this.states.all()) {
      if (state.watch.isHeld) {
        if (state.reader === undefined) this.#beginLife(state);
        else if (isBehind(state, state.heldPhy)) state.laterLifeFrom = state.heldPhy;
      }
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
          message:
            state.reader === undefined
              ? `${state.earlierLife} records of ${state.topic}/${state.queueId} are of an earlier life of the topic, which was deleted`
              : `${state.earlierLife} records are older than the queue: the topic was deleted and made anew`,
          topic: state.topic,
          queueId: state.queueId,
        });
      }
    }
  }

  #shown(path: string): string {
    return shownPath(this.#options.layout.root, path);
  }
}
