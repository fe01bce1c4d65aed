import { type RecordLayout, SCHEDULE_TOPIC } from '@vernier/store/internal';
import type { Findings } from './finding.ts';
import type { LogReader } from './log-reader.ts';
import type { QueueEntry, QueueReader } from './queue-reader.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

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
  /** Number that the next record of this queue must have; -1 before the first. */
  next: number;
  /** Offset in the log of the queue's last record so far, -1 before the first. */
  lastPhy: number;
  matched: number;
  missing: MissingRun[];
  /** Records from before the topic was deleted and made anew. */
  earlierLife: number;
  /** First entry whose record is still in the log, and that record's offset; -1 until looked for. */
  startIndex: number;
  startPhy: number;
}

export interface QueueFindingsOptions {
  layout: StoreLayout;
  findings: Findings;
  log: LogReader;
  /** Topics that topics.json knows; undefined without such a file. */
  knownTopics: ReadonlySet<string> | undefined;
}

/** Says what is wrong with a queue: which file, which byte, which message. */
export class QueueFindings {
  readonly #options: QueueFindingsOptions;
  readonly #findings: Findings;

  constructor(options: QueueFindingsOptions) {
    this.#options = options;
    this.#findings = options.findings;
  }

  missing(state: QueueState, run: MissingRun): void {
    const { layout, knownTopics } = this.#options;
    const { topic, queueId, reader } = state;
    const what = run.count === 1 ? `message ${run.from}` : `messages ${run.from} to ${run.from + run.count - 1}`;
    const where = `${topic}/${queueId}`;
    if (reader === undefined && !layout.queues.has(topic) && knownTopics?.has(topic) !== true) {
      this.#findings.note({
        kind: 'queue-missing-entry',
        file: `consumequeue/${where}`,
        offset: 0,
        length: 0,
        expected: '',
        found: '',
        message: `${run.count} records of ${where} have no queue: the topic was deleted`,
        topic,
        queueId,
        queueOffset: run.from,
        logOffset: run.firstPhy,
      });
      return;
    }
    const place = reader?.place(run.from);
    this.#findings.fault({
      kind: 'queue-missing-entry',
      file: place === undefined ? `consumequeue/${where}` : this.#shown(place.path),
      offset: place?.offset ?? 0,
      length: place === undefined ? 0 : run.count * 20,
      expected: `${run.count} entries`,
      found: 'none',
      message: `${what} of ${where} ${run.count === 1 ? 'is' : 'are'} in the log at ${run.firstPhy} and not in the queue`,
      topic,
      queueId,
      queueOffset: run.from,
      logOffset: run.firstPhy,
    });
  }

  pastEnd(state: QueueState, count: number, logEnd: number): void {
    const { layout } = this.#options;
    // A live broker went on after the walk had passed.
    if (layout.state === 'live') return;
    const reader = state.reader!;
    const from = Math.max(state.next, state.startIndex);
    const place = reader.place(from);
    const finding = {
      kind: 'queue-dangling-entry' as const,
      file: this.#shown(place.path),
      offset: place.offset,
      length: count * 20,
      expected: `offsets below ${logEnd}`,
      found: String(reader.entry(from)?.phyOffset ?? ''),
      message: `${count} entries of ${state.topic}/${state.queueId} point behind the end of the log`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: from,
    };
    // After a crash the next start removes them.
    if (layout.state === 'unclean') this.#findings.note(finding);
    else this.#findings.fault(finding);
  }

  dangling(state: QueueState, index: number, entry: QueueEntry, what: string): void {
    const place = state.reader!.place(index);
    this.#findings.fault({
      kind: 'queue-dangling-entry',
      file: this.#shown(place.path),
      offset: place.offset,
      length: 20,
      expected: `message ${index} of ${state.topic}/${state.queueId}`,
      found: `offset ${entry.phyOffset}`,
      message: `entry ${index} of ${state.topic}/${state.queueId} points to ${entry.phyOffset}: ${what}`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: index,
      logOffset: entry.phyOffset,
    });
  }

  wrongEntry(state: QueueState, index: number, record: RecordLayout, expectedTags: number): void {
    const reader = state.reader!;
    const entry = reader.entry(index)!;
    const place = reader.place(index);
    const logFile = this.#options.log.fileAt(record.physicalOffset)!;
    const inLog = (at: number, length: number) => ({
      file: this.#shown(logFile.path),
      offset: record.physicalOffset - logFile.from + at,
      length,
    });
    const sizeWrong = entry.size !== record.size;
    const name = `entry ${index} of ${state.topic}/${state.queueId}`;
    const isTime = state.topic === SCHEDULE_TOPIC;
    this.#findings.fault({
      kind: 'queue-entry',
      file: this.#shown(place.path),
      offset: place.offset + (sizeWrong ? 8 : 12),
      length: sizeWrong ? 4 : 8,
      expected: String(sizeWrong ? record.size : expectedTags),
      found: String(sizeWrong ? entry.size : entry.tagsCode),
      message: sizeWrong
        ? `${name} has another size than its record at ${record.physicalOffset}`
        : `${name} has another ${isTime ? 'delivery time' : 'hash'} than the ${isTime ? 'time and level' : 'TAGS'} of its record at ${record.physicalOffset}`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: index,
      logOffset: record.physicalOffset,
      // Nothing says which of the two is right, unless a checksum covers the properties.
      ...(sizeWrong ? {} : { orElse: inLog(56, record.size - 56) }),
    });
  }

  entryFault(
    state: QueueState,
    index: number,
    phy: number,
    expected: string,
    found: string,
    at: number,
    length: number,
  ): void {
    const place = state.reader!.place(index);
    this.#findings.fault({
      kind: 'queue-entry',
      file: this.#shown(place.path),
      offset: place.offset + at,
      length,
      expected,
      found,
      message: `entry ${index} of ${state.topic}/${state.queueId} points to another place than its record`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: index,
      ...(phy < 0 ? {} : { logOffset: phy }),
    });
  }

  wrongField(
    logOffset: number,
    length: number,
    state: QueueState,
    index: number,
    phy: number,
    field: 'topic' | 'queueId' | 'queueOffset',
    expected: string,
    found: string,
  ): void {
    const file = this.#options.log.fileAt(phy)!;
    this.#findings.fault({
      kind: 'log-field',
      file: this.#shown(file.path),
      offset: logOffset - file.from,
      length,
      expected,
      found,
      message: `the record at ${phy} has a wrong ${field}: entry ${index} of ${state.topic}/${state.queueId} is its entry`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: index,
      logOffset: phy,
      field,
    });
  }

  queueOrder(state: QueueState, index: number, expected: number): void {
    const place = state.reader!.place(index);
    this.#findings.fault({
      kind: 'queue-order',
      file: this.#shown(place.path),
      offset: place.offset,
      length: 20,
      expected: `message ${expected}`,
      found: `message ${index}`,
      message: `the records of ${state.topic}/${state.queueId} are not in the order of their entries`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: index,
    });
  }

  #shown(path: string): string {
    return shownPath(this.#options.layout.root, path);
  }
}
