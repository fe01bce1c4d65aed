import { join } from 'node:path';
import { type IndexShape, indexShapeOf, offsetToFileName, type RecordLayout } from '@vernier/store/internal';
import { BatchQueueCheck } from './batch-queue-check.ts';
import { type BookedDamage, DamageBook } from './damage-book.ts';
import { EXPLAINED_BYTES_MAX, findWrongByte, type WrongByte } from './diagnose.ts';
import { FieldCheck } from './field-check.ts';
import { Findings, type NewFinding } from './finding.ts';
import { IndexCheck } from './index-check.ts';
import { LogCensus } from './log-census.ts';
import { LogReader } from './log-reader.ts';
import { type Damage, type LogTail, type LogWalkOptions, type LogWalkResult, walkLog } from './log-walk.ts';
import { describedBy, settleLost } from './lost-messages.ts';
import {
  type ConfigFile,
  checkCheckpoint,
  checkConfigFiles,
  checkConsumerOffsets,
  knownTopicsOf,
  readConfigFiles,
} from './metadata-check.ts';
import { QueueCheck } from './queue-check.ts';
import { newestRecord } from './queue-reader.ts';
import { RecordFactsReader, type TagsCodes } from './record-facts.ts';
import { queuesCompleteBelow } from './recovery-start.ts';
import { type DataFile, doctorFileSystem, type StoreLayout, shownPath } from './store-layout.ts';
import { checkTimers } from './timer-check.ts';

export interface VerifyOptions {
  /** `quick`: the ends of everything. `full`: every record, entry and key. */
  depth: 'quick' | 'full';
  /** Of the index files, where the configuration says it. */
  indexShape?: Partial<IndexShape>;
  onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export interface VerifyResult {
  findings: Findings;
  /** Damaged stretches of the log, each with the messages that were in it. */
  damages: readonly BookedDamage[];
  tail: LogTail;
  /** Offset in the log from which on something is written that belongs to nothing; undefined without. */
  cutFrom: number | undefined;
  tags: TagsCodes;
  /** Offset in the log behind the last record that is good or known to have been there. */
  logEnd: number;
  records: number;
  entries: number;
  indexEntries: number;
  bytes: number;
  elapsedMs: number;
  lastStoreTimestamp: number;
  configFiles: readonly ConfigFile[];
  indexShape: IndexShape | undefined;
}

/** Reads a store and says everything that is wrong with it. Changes nothing, takes no lock. */
export async function verifyStore(layout: StoreLayout, options: VerifyOptions): Promise<VerifyResult> {
  return await new Verification(layout, options).run();
}

class Verification {
  readonly #layout: StoreLayout;
  readonly #options: VerifyOptions;
  readonly #findings = new Findings();
  readonly #book = new DamageBook();
  readonly #log: LogReader;
  /** Behind the log's end something is written that is no record: offset in the log. */
  #cutFrom: number | undefined;
  readonly #wrongBytes = new Map<BookedDamage, WrongByte>();

  constructor(layout: StoreLayout, options: VerifyOptions) {
    this.#layout = layout;
    this.#options = options;
    this.#log = new LogReader(layout.logFiles);
  }

  async run(): Promise<VerifyResult> {
    const layout = this.#layout;
    const findings = this.#findings;
    const startedAt = performance.now();
    const configFiles = await readConfigFiles(layout.root);
    checkConfigFiles(configFiles, findings);
    this.#checkFileSizes();
    this.#checkDeletions();
    this.#checkQueueKinds();
    await checkTimers(layout, findings);
    const queues = new QueueCheck({
      layout,
      findings,
      book: this.#book,
      log: this.#log,
      completeBelow: 0,
      knownTopics: knownTopicsOf(configFiles),
    });
    const shape = await indexShapeOf(doctorFileSystem, layout.indexFiles, this.#options.indexShape ?? {});
    const batches = new BatchQueueCheck({ layout, findings, book: this.#book });
    let index: IndexCheck | undefined;
    try {
      const newest = newestRecord([...queues.states.readers(), ...batches.readers()]);
      const completeBelow = await queuesCompleteBelow(layout, newest);
      queues.completeBelow = completeBelow;
      batches.completeBelow = completeBelow;
      index = this.#openIndex(shape, completeBelow);
      const walk = await this.#walk(queues, batches, index);
      const logEnd = this.#judgeTail(walk.tail, queues, walk.lastStoreTimestamp);
      this.#explainDamages();
      queues.lookBeyond(logEnd);
      batches.finish(logEnd);
      await this.#hearTheLog(queues);
      queues.finish();
      index?.finish(logEnd);
      this.#reportDamages();
      checkCheckpoint(layout, logEnd, walk.lastStoreTimestamp, findings);
      const maxOffsets = new Map([...queues.states.all()].map((state) => [`${state.topic}@${state.queueId}`, state]));
      checkConsumerOffsets(
        configFiles,
        (topic, queueId) => {
          const state = maxOffsets.get(`${topic}@${queueId}`);
          return state === undefined ? batches.endOf(topic, queueId) : Math.max(state.next, state.reader?.end() ?? 0);
        },
        findings,
      );
      return {
        findings,
        damages: this.#book.list,
        tail: walk.tail,
        cutFrom: this.#cutFrom,
        tags: queues.tags,
        logEnd,
        records: walk.records,
        entries: queues.entries + batches.entries,
        indexEntries: index?.units ?? 0,
        bytes: walk.bytes,
        elapsedMs: performance.now() - startedAt,
        lastStoreTimestamp: walk.lastStoreTimestamp,
        configFiles,
        indexShape: shape,
      };
    } finally {
      queues.close();
      batches.close();
      index?.close();
      this.#log.close();
    }
  }

  #openIndex(shape: IndexShape | undefined, completeBelow: number): IndexCheck | undefined {
    const { indexFiles } = this.#layout;
    if (indexFiles.length === 0) return undefined;
    if (shape === undefined) {
      this.#findings.note({
        kind: 'index-file',
        file: shownPath(this.#layout.root, indexFiles[0]!.path),
        offset: 0,
        length: 0,
        expected: '',
        found: '',
        message:
          'the index was not checked: it is empty, or of a size that does not tell its slots (--set maxHashSlotNum=…)',
      });
      return undefined;
    }
    return new IndexCheck({
      layout: this.#layout,
      shape,
      findings: this.#findings,
      book: this.#book,
      log: this.#log,
      completeBelow,
    });
  }

  #checkDeletions(): void {
    const { deletionsProblem: problem } = this.#layout;
    if (problem === undefined) return;
    this.#findings.fault({
      kind: 'config',
      file: 'deletions.json',
      offset: 0,
      length: 0,
      expected: '',
      found: '',
      message: `the record of deleted topics is not believed: ${problem}`,
    });
  }

  /** Names and lengths of the files: each file of the log must be as long as the others. */
  #checkFileSizes(): void {
    const { root, logFiles, logFileSize, queues, queueFileSize, emptyFiles, strangers } = this.#layout;
    const { batchQueues, batchFileSize } = this.#layout;
    for (const [index, file] of logFiles.entries()) {
      if (file.size === logFileSize && file.from % logFileSize === logFiles[0]!.from % logFileSize) continue;
      this.#findings.fault({
        kind: 'log-file',
        file: shownPath(root, file.path),
        offset: Math.min(file.size, logFileSize),
        length: Math.abs(file.size - logFileSize),
        expected: `${logFileSize} bytes`,
        found: String(file.size),
        message: `file ${index + 1} of the log has another length than the others; a broker does not start with it`,
        logOffset: file.from,
      });
    }
    const finding = (path: string, message: string): NewFinding => ({
      kind: 'log-file',
      file: shownPath(root, path),
      offset: 0,
      length: 0,
      expected: '',
      found: '',
      message,
    });
    for (const path of emptyFiles) this.#findings.note(finding(path, 'empty: no part of the log'));
    for (const path of strangers) {
      this.#findings.fault(finding(path, 'its name is no offset: a broker does not start with it'));
    }
    this.#checkQueueFiles(queues, queueFileSize);
    this.#checkQueueFiles(batchQueues, batchFileSize);
  }

  #checkQueueFiles(queues: StoreLayout['queues'], queueFileSize: number): void {
    const { root } = this.#layout;
    for (const byId of queues.values()) {
      for (const { files } of byId.values()) {
        for (const [index, file] of files.entries()) {
          const gap = index > 0 && file.from !== files[index - 1]!.from + queueFileSize;
          if (file.size === queueFileSize && file.from % queueFileSize === 0 && !gap) continue;
          this.#findings.fault({
            kind: 'queue-file',
            file: shownPath(root, file.path),
            offset: 0,
            length: file.size,
            expected: gap ? `a file from ${files[index - 1]!.from + queueFileSize} on` : `${queueFileSize} bytes`,
            found: gap ? `one from ${file.from} on` : String(file.size),
            message: gap
              ? 'a file of the queue is missing in front of it'
              : 'has another length than the other queue files',
          });
        }
      }
    }
  }

  /** A topic has queues of one kind, and topics.json says which. */
  #checkQueueKinds(): void {
    for (const { topic, path, expected } of this.#layout.misplaced) {
      const found = expected === 'BatchCQ' ? 'consume queues' : 'batch queues';
      this.#findings.fault({
        kind: 'queue-file',
        file: shownPath(this.#layout.root, path),
        offset: 0,
        length: 0,
        expected: `queue.type=${expected}, as topics.json says`,
        found,
        message: `topic ${topic} has ${found}, which are of another kind: a RocketMQ broker does not start`,
      });
    }
  }

  async #walk(queues: QueueCheck, batches: BatchQueueCheck, index: IndexCheck | undefined): Promise<LogWalkResult> {
    const { logFiles, logFileSize } = this.#layout;
    const factsReader = new RecordFactsReader();
    const fields = new FieldCheck(this.#layout, this.#log, this.#findings);
    const topics = new TopicNames();
    const totalBytes = logFiles.length * logFileSize;
    let lastTime = 0;
    return await walkLog(logFiles, this.#walkOptions(), {
      onRecord: (view, record) => {
        lastTime = record.storeTimestamp;
        const topic = topics.of(view, record);
        const facts = factsReader.read(view, record);
        fields.onRecord(view, record, facts);
        queues.onRecord(topic, record, facts);
        batches.onRecord(topic, record, facts);
        index?.onRecord(topic, view, record, facts);
      },
      onDamage: (damage) => this.#book.add(damage, lastTime),
      onProgress: (bytes) => this.#options.onProgress?.(bytes, totalBytes),
    });
  }

  #walkOptions(): LogWalkOptions {
    const { state, own, checkpoint } = this.#layout;
    const quick = this.#options.depth === 'quick';
    const options: LogWalkOptions = { checkCrc: !quick, live: state === 'live' };
    if (!quick) options.zeroBytesMax = Number.POSITIVE_INFINITY;
    // Vernier writes the log from front to back, and what a crash left behind its end is gone after the next start.
    if (own && state !== 'unclean') options.endsBehind = checkpoint!.durablePoint;
    return options;
  }

  /** Where entries and records disagree, and for what is lost, the log is asked as a whole. */
  async #hearTheLog(queues: QueueCheck): Promise<void> {
    const book = this.#book;
    if (book.list.length === 0 && queues.disagreements.length === 0) return;
    const { disagreements } = queues;
    const described = describedBy(book, this.#log, this.#layout);
    const census = new LogCensus({ layout: this.#layout, book, disagreements, described, walk: this.#walkOptions() });
    await census.run();
    queues.settle(census.judged);
    settleLost(book, census, queues, described);
  }

  /** Where the log ends, and whether that is as it should be. */
  #judgeTail(tail: LogTail, queues: QueueCheck, lastStoreTimestamp: number): number {
    const { state, checkpoint, own } = this.#layout;
    // Entries that point behind the last good record: something was there.
    // A live broker has gone on since the walk came to the end; what the checkpoint said before it is sure.
    const byQueues = state === 'live' ? -1 : queues.states.endBehind(tail.from);
    const durable = own ? checkpoint!.durablePoint : 0;
    // A file that is too short ended where the others do.
    const fileEnd = tail.file === undefined ? tail.from : tail.file.from + this.#lengthOf(tail.file);
    // Whole files that are missing at the end: the checkpoint alone may be of another store, and so may an entry.
    const isMissing = state !== 'live' && durable > fileEnd && byQueues > fileEnd;
    const known = isMissing ? durable : Math.min(Math.max(byQueues, durable), fileEnd);
    if (known > tail.from && (state === 'clean' || own)) {
      this.#addTail(tail, known, fileEnd, lastStoreTimestamp);
      return known;
    }
    if (tail.kind === 'bad' && tail.file !== undefined) {
      this.#reportTail(tail.from, tail.file, tail.record?.size ?? 8, tail.check!);
    }
    return tail.from;
  }

  #lengthOf({ size }: DataFile): number {
    return Math.max(size, this.#layout.logFileSize);
  }

  /** The log went on up to `known`, and nothing good is there: damage, and behind it nothing that counts. */
  #addTail(tail: LogTail, known: number, fileEnd: number, timeBefore: number): void {
    const { logDirectories, logFileSize } = this.#layout;
    const { from, file, check, record } = tail;
    const { expected, found } = check ?? { expected: 0, found: 0 };
    const to = Math.min(known, fileEnd);
    if (file !== undefined && to > from) {
      const reason = check?.reason ?? 'zeros';
      this.#book.add({ file, from, to, toFileEnd: false, reason, expected, found, record }, timeBefore);
    }
    if (known > fileEnd) {
      const next = this.#log.fileAt(fileEnd);
      const path = next?.path ?? join(logDirectories[0]!, offsetToFileName(fileEnd));
      const where = { from: fileEnd, to: known, toFileEnd: false, expected: known, found: fileEnd };
      const reason = next === undefined ? 'missing-file' : 'magic';
      const beyond = { path, from: fileEnd, size: logFileSize };
      this.#book.add({ file: beyond, ...where, reason, record: undefined }, timeBefore);
    }
    const last = this.#log.fileAt(known);
    const behind = this.#log.bytesAt(known, 8);
    if (last !== undefined && behind.some((byte) => byte !== 0)) {
      const what = { reason: 'magic', expected: 0, found: behind.readUIntBE(0, Math.min(4, behind.length)) };
      this.#reportTail(known, last, behind.length, what);
    }
  }

  #reportTail(
    from: number,
    file: DataFile,
    length: number,
    { reason, expected, found }: { reason: string; expected: number; found: number },
  ): void {
    this.#cutFrom = from;
    const finding = {
      kind: 'log-tail' as const,
      file: shownPath(this.#layout.root, file.path),
      offset: from - file.from,
      length,
      expected: String(expected),
      found: String(found),
      message: `the log ends here, with something that is no whole record (${reason}); the next start cuts it`,
      logOffset: from,
    };
    if (this.#layout.state === 'clean') this.#findings.fault(finding);
    else this.#findings.note(finding);
  }

  /** Finds the one wrong byte behind a damage, where there is one. */
  #explainDamages(): void {
    for (const damage of this.#book.list.slice(0, 200)) {
      if (damage.record !== undefined || damage.toFileEnd || damage.reason === 'missing-file') continue;
      if (damage.to - damage.from > EXPLAINED_BYTES_MAX) continue;
      const bytes = this.#log.bytesAt(damage.from, damage.to - damage.from);
      const wrong = findWrongByte(bytes, damage.from);
      if (wrong !== undefined) this.#wrongBytes.set(damage, wrong);
    }
  }

  #reportDamages(): void {
    for (const damage of this.#book.list) this.#reportDamage(damage);
  }

  #reportDamage(damage: BookedDamage): void {
    const { file, from, to, lost } = damage;
    const wrong = this.#wrongBytes.get(damage);
    const messages =
      lost.length === 0
        ? 'no queue has an entry for it'
        : lost
            .slice(0, 3)
            .map(({ topic, queueId, queueOffset }) => `message ${queueOffset} of ${topic}/${queueId}`)
            .join(', ') + (lost.length > 3 ? ` and ${lost.length - 3} more` : '');
    let message = `${whatIsWrong(damage)}; ${messages}`;
    if (wrong !== undefined) message = `the record's ${wrong.field} is wrong in one byte; ${messages}`;
    this.#findings.fault({
      kind: 'log-record',
      file: shownPath(this.#layout.root, file.path),
      offset: from - file.from + (wrong?.at ?? 0),
      length: wrong === undefined ? to - from : 1,
      expected: String(wrong?.expected ?? damage.expected),
      found: String(wrong?.found ?? damage.found),
      message,
      logOffset: from,
      ...(lost.length > 0
        ? { topic: lost[0]!.topic, queueId: lost[0]!.queueId, queueOffset: lost[0]!.queueOffset }
        : {}),
    });
  }
}

function whatIsWrong({ reason, from, to, toFileEnd }: Damage): string {
  const range = `${to - from} bytes of the log from ${from} to ${to}`;
  switch (reason) {
    case 'body-crc':
      return `the record at ${from} has a body that does not match its checksum`;
    case 'property-crc':
      return `the record at ${from} does not match the checksum in its properties`;
    case 'zeros':
      return `${range} are zeros in the middle of the log`;
    case 'missing-file':
      return `${range} are in a file that is missing`;
    case 'unreadable':
      return `${range} cannot be read from the disk`;
    case 'blank-size':
      return `the marker of the file's end at ${from} names another length than what is left`;
    default:
      return `${range}${toFileEnd ? ', up to the end of the file,' : ''} hold no good record (${reason})`;
  }
}

/** Topics as strings, each made once and found again by its bytes: a string a record would be half of the garbage. */
class TopicNames {
  readonly #names = new Map<number, { bytes: Buffer; name: string }>();

  of(view: Buffer, { topicAt, topicLength }: RecordLayout): string {
    const end = topicAt + topicLength;
    let hash = topicLength;
    for (let at = topicAt; at < end; at++) hash = (Math.imul(hash, 31) + view[at]!) | 0;
    const known = this.#names.get(hash);
    if (known !== undefined && known.bytes.length === topicLength && isEqual(view, topicAt, known.bytes)) {
      return known.name;
    }
    if (this.#names.size >= TOPICS_MAX) this.#names.clear();
    const bytes = Buffer.from(view.subarray(topicAt, end));
    const name = bytes.toString('utf8');
    this.#names.set(hash, { bytes, name });
    return name;
  }
}

const TOPICS_MAX = 100_000;

function isEqual(view: Buffer, from: number, bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if (view[from + at] !== bytes[at]) return false;
  return true;
}
