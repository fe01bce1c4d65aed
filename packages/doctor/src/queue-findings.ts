import { type RecordLayout, SCHEDULE_TOPIC } from '@vernier/store/internal';
import type { Extension } from './ext-reader.ts';
import type { Findings } from './finding.ts';
import type { LogReader } from './log-reader.ts';
import type { QueueEntry } from './queue-reader.ts';
import type { MissingRun, QueueState } from './queue-states.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

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
    const isLater = state.laterLifeFrom >= 0 && run.firstPhy >= state.laterLifeFrom;
    this.#findings.fault({
      kind: 'queue-missing-entry',
      file: place === undefined ? `consumequeue/${where}` : this.#shown(place.path),
      offset: place?.offset ?? 0,
      length: place === undefined ? 0 : run.count * 20,
      expected: `${run.count} entries`,
      found: 'none',
      message: `${what} of ${where} ${run.count === 1 ? 'is' : 'are'} in the log at ${run.firstPhy} and not in the queue${
        isLater ? ', which has messages of an earlier life of the topic' : ''
      }`,
      topic,
      queueId,
      queueOffset: run.from,
      logOffset: run.firstPhy,
    });
  }

  /** Entries of messages that were deleted with their topic. */
  dead(state: QueueState, count: number, deadBelow: number): void {
    const place = state.reader!.place(state.reader!.first);
    this.#findings.note({
      kind: 'queue-dangling-entry',
      file: this.#shown(place.path),
      offset: place.offset,
      length: count * 20,
      expected: `offsets from ${deadBelow} on`,
      found: String(state.reader!.entry(state.reader!.first)?.phyOffset ?? ''),
      message: `${count} entries of ${state.topic}/${state.queueId} are of messages that were deleted with the topic; the next start of Vernier removes them`,
      topic: state.topic,
      queueId: state.queueId,
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

  /** The entry leads to an extension that is not there, or not its own, or that has another hash than the record. */
  wrongExtension(
    state: QueueState,
    index: number,
    { physicalOffset, storeTimestamp }: RecordLayout,
    extOffset: number,
    expectedTags: number,
    found: Extension | undefined,
  ): void {
    const place = state.reader!.place(index);
    const unit = state.extensions!.place(extOffset);
    const name = `entry ${index} of ${state.topic}/${state.queueId}`;
    const what =
      found === undefined
        ? 'an extension that is not there'
        : `the extension of another record, or with another hash than its record at ${physicalOffset}`;
    this.#findings.fault({
      kind: 'queue-entry',
      file: this.#shown(place.path),
      offset: place.offset + 12,
      length: 8,
      expected: `hash ${expectedTags} of ${storeTimestamp}`,
      found: found === undefined ? 'nothing' : `hash ${found.tagsCode} of ${found.storeTimestamp}`,
      message: `${name} leads to ${what}: RocketMQ's tag filters go wrong`,
      topic: state.topic,
      queueId: state.queueId,
      queueOffset: index,
      logOffset: physicalOffset,
      ...(unit === undefined ? {} : { orElse: { file: this.#shown(unit.path), offset: unit.offset, length: 20 } }),
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
    this.#order(state, index, {
      expected: `message ${expected}`,
      found: `message ${index}`,
      message: `the records of ${state.topic}/${state.queueId} are not in the order of their entries`,
    });
  }

  /** The entry is right and was stepped over: its record lies on the wrong side of its neighbours' records. */
  outOfLogOrder(state: QueueState, index: number, entry: QueueEntry): void {
    this.#order(state, index, {
      expected: 'a place in the order of the numbers',
      found: `offset ${entry.phyOffset}`,
      message: `the record of message ${index} of ${state.topic}/${state.queueId} is not between those of its neighbours in the log`,
      logOffset: entry.phyOffset,
    });
  }

  #order(
    { reader, topic, queueId }: QueueState,
    index: number,
    more: { expected: string; found: string; message: string; logOffset?: number },
  ): void {
    const { path, offset } = reader!.place(index);
    const place = { file: this.#shown(path), offset, length: 20 };
    this.#findings.fault({ kind: 'queue-order', ...place, ...more, topic, queueId, queueOffset: index });
  }

  #shown(path: string): string {
    return shownPath(this.#options.layout.root, path);
  }
}
