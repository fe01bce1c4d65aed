import { join } from 'node:path';
import {
  checkMessageAndReturnSize,
  type IndexShape,
  isLmq,
  type LmqPlace,
  offsetToFileName,
  propertyCrcOf,
  storePaths,
} from '@vernier/store/internal';
import type { BookedDamage, LostEntry } from './damage-book.ts';
import { type FillPlan, type FillRequest, type LostMessage, planFill } from './filler.ts';
import type { Finding } from './finding.ts';
import { LogReader } from './log-reader.ts';
import { type DataFile, doctorFileSystem, type StoreLayout, shownPath } from './store-layout.ts';
import { type VerifyResult, verifyStore } from './verify.ts';

/** One thing that a repair does. Offsets are those of the log; files are paths below the root. */
export type RepairStep =
  | { kind: 'make-log-file'; file: string; path: string; from: number; size: number; now: number }
  | {
      kind: 'quarantine';
      file: string;
      path: string;
      position: number;
      request: FillRequest;
      plan: FillPlan;
      reason: string;
    }
  | {
      kind: 'patch-record';
      file: string;
      path: string;
      position: number;
      field: string;
      bytes: Buffer;
      /** The record's. */
      logOffset: number;
      message: string;
    }
  | { kind: 'cut-tail'; file: string; path: string; position: number; length: number; from: number }
  | { kind: 'rebuild-queue'; topic: string; queueId: number; why: string }
  | { kind: 'patch-entry'; topic: string; queueId: number; queueOffset: number; offset: number; size: number }
  | { kind: 'rebuild-index'; why: string }
  | { kind: 'restore-config'; file: string; name: string }
  | { kind: 'put-aside'; file: string; path: string; why: string }
  | { kind: 'checkpoint' }
  | { kind: 'remove-abort' };

export interface RepairPlan {
  layout: StoreLayout;
  verified: VerifyResult;
  steps: RepairStep[];
  /** What is wrong and stays so. */
  left: string[];
  indexShape: IndexShape;
  /** Of the queues that are there, or were before a repair was interrupted; 0 without any. */
  queueFileSize: number;
  batchFileSize: number;
}

/** What an interrupted repair was about to make anew; it is made anew by the next one. */
export interface UnfinishedRepair {
  backup: string;
  queues: { topic: string; queueId: number }[];
  index: boolean;
  /** Sizes that the files taken away had: nothing else tells them once the last one is gone. */
  indexShape?: IndexShape;
  queueFileSize?: number;
  batchFileSize?: number;
}

/** Where a repair in progress writes down what it takes away before it has put the new in its place. */
export const unfinishedPath = (root: string): string => join(storePaths(root).quarantine, 'repair-unfinished.json');

export async function readUnfinished(root: string): Promise<UnfinishedRepair | undefined> {
  const content = await doctorFileSystem.readFile(unfinishedPath(root)).catch(() => undefined);
  if (content === undefined || content.length === 0) return undefined;
  return JSON.parse(content.toString('utf8')) as UnfinishedRepair;
}

const DEFAULT_SHAPE: IndexShape = { slots: 5_000_000, units: 20_000_000 };

/** Verifies the store and decides what to do about each fault. Changes nothing. */
export async function planRepair(
  layout: StoreLayout,
  options: { indexShape: Partial<IndexShape>; onProgress?: (done: number, total: number) => void },
): Promise<RepairPlan> {
  const verified = await verifyStore(layout, { depth: 'full', ...options });
  return await new Planner(layout, verified, options.indexShape).plan();
}

class Planner {
  readonly #layout: StoreLayout;
  readonly #verified: VerifyResult;
  readonly #indexShape: Partial<IndexShape>;
  #unfinished: UnfinishedRepair | undefined;
  readonly #steps: RepairStep[] = [];
  readonly #left: string[] = [];
  readonly #log: LogReader;
  readonly #rebuild = new Map<string, { topic: string; queueId: number; why: string }>();
  /** Faults of records that nothing sets right, by the record's offset. */
  readonly #unknown = new Map<number, string[]>();
  #rebuildIndex: string | undefined;

  constructor(layout: StoreLayout, verified: VerifyResult, indexShape: Partial<IndexShape>) {
    this.#layout = layout;
    this.#verified = verified;
    this.#indexShape = indexShape;
    this.#log = new LogReader(layout.logFiles);
  }

  async plan(): Promise<RepairPlan> {
    const { findings, configFiles, indexShape } = this.#verified;
    try {
      this.#planEntriesOfLost();
      this.#planLogFiles();
      this.#planMisplaced();
      for (const damage of this.#merged()) this.#planDamage(damage);
      for (const finding of findings.list) if (finding.severity === 'fault') this.#planFinding(finding);
      this.#planTail();
      await this.#planUnfinished();
    } finally {
      this.#log.close();
    }
    for (const step of this.#rebuild.values()) this.#steps.push({ kind: 'rebuild-queue', ...step });
    if (this.#rebuildIndex !== undefined) this.#steps.push({ kind: 'rebuild-index', why: this.#rebuildIndex });
    for (const { name, problem, backup } of configFiles) {
      if (problem === undefined) continue;
      if (backup === 'usable') this.#steps.push({ kind: 'restore-config', file: `config/${name}`, name });
      else this.#left.push(`config/${name}: ${problem}, and there is no whole copy of it`);
    }
    const { deletionsProblem } = this.#layout;
    if (deletionsProblem !== undefined) {
      this.#left.push(`deletions.json: ${deletionsProblem}; a start uses its previous copy, or refuses without one`);
    }
    const wrongCheckpoint = (findings.faultsByKind.get('checkpoint') ?? 0) > 0;
    if (this.#steps.length > 0 || wrongCheckpoint) {
      this.#steps.push({ kind: 'checkpoint' });
      if (this.#layout.abort.exists) this.#steps.push({ kind: 'remove-abort' });
    }
    this.#left.push(...this.#leftOfRecords());
    return {
      layout: this.#layout,
      verified: this.#verified,
      steps: this.#steps,
      left: this.#left,
      indexShape: indexShape ?? { ...DEFAULT_SHAPE, ...this.#unfinished?.indexShape, ...this.#indexShape },
      queueFileSize: this.#layout.queueFileSize || (this.#unfinished?.queueFileSize ?? 0),
      batchFileSize: this.#layout.batchFileSize || (this.#unfinished?.batchFileSize ?? 0),
    };
  }

  /** Queues that have no entry for a message that is lost are made anew, with one for what keeps its number. */
  #planEntriesOfLost(): void {
    for (const { lost } of this.#verified.damages) {
      for (const { topic, queueId, by } of lost) {
        const isBatch = this.#layout.batchTopics.has(topic);
        if (by !== 'entry' || isBatch) this.#addRebuild(topic, queueId, 'entries are missing, or of lost messages');
      }
    }
  }

  /** Files that are missing between others, or too short: made as long as the others, so that they can be filled. */
  #planLogFiles(): void {
    const { logFiles, logFileSize, emptyFiles, strangers, root } = this.#layout;
    if (logFiles.length === 0) return;
    const first = logFiles[0]!.from;
    const bySlot = new Map(logFiles.map((file) => [(file.from - first) / logFileSize, file]));
    // Also those that are missing at the end.
    const last = Math.max(...bySlot.keys(), Math.ceil((this.#verified.logEnd - first) / logFileSize) - 1);
    for (let slot = 0; slot <= last; slot++) {
      const from = first + slot * logFileSize;
      const file = bySlot.get(slot);
      if (file !== undefined && file.size === logFileSize) continue;
      const path = file?.path ?? join(this.#layout.logDirectories[0]!, offsetToFileName(from));
      if (file !== undefined && file.size > logFileSize) {
        this.#left.push(
          `${shownPath(root, path)} is longer than the other files; --set mappedFileSizeCommitLog=… says which size is right`,
        );
        continue;
      }
      const shown = shownPath(root, path);
      this.#steps.push({ kind: 'make-log-file', file: shown, path, from, size: logFileSize, now: file?.size ?? 0 });
    }
    for (const slot of bySlot.keys()) {
      if (!Number.isInteger(slot)) this.#left.push(`the log has a file whose name is no multiple of ${logFileSize}`);
    }
    const made = new Set(this.#steps.map((step) => (step.kind === 'make-log-file' ? step.path : '')));
    for (const path of [...emptyFiles, ...strangers]) {
      // An empty file between others is made a whole one.
      if (made.has(path)) continue;
      this.#steps.push({ kind: 'put-aside', file: shownPath(root, path), path, why: 'no part of the log' });
    }
  }

  /** Queues of the wrong kind. */
  #planMisplaced(): void {
    const { root, misplaced } = this.#layout;
    for (const { path, expected } of misplaced) {
      const why = `by topics.json the topic has queue.type=${expected}`;
      this.#steps.push({ kind: 'put-aside', file: shownPath(root, path), path, why });
    }
  }

  /** Damaged stretches of one file that touch each other become one, with their messages in the order of their numbers. */
  #merged(): BookedDamage[] {
    const merged: BookedDamage[] = [];
    for (const damage of this.#verified.damages) {
      const last = merged.at(-1);
      const sameFile = last !== undefined && this.#fileOf(last.from).from === this.#fileOf(damage.from).from;
      if (sameFile && last.to === damage.from) {
        last.to = damage.to;
        last.toFileEnd = damage.toFileEnd;
        last.lost.push(...damage.lost);
      } else merged.push({ ...damage, lost: [...damage.lost] });
    }
    for (const { lost } of merged) orderWithinQueues(lost);
    return merged;
  }

  /** The file that holds this offset, or will once it is made. */
  #fileOf(offset: number): DataFile {
    const { logFiles, logFileSize, logDirectories } = this.#layout;
    const known = logFiles.find(({ from }) => offset >= from && offset < from + logFileSize);
    if (known !== undefined) return { ...known, size: logFileSize };
    const first = logFiles[0]!.from;
    const from = first + Math.floor((offset - first) / logFileSize) * logFileSize;
    return { path: join(logDirectories[0]!, offsetToFileName(from)), from, size: logFileSize };
  }

  #planDamage(damage: BookedDamage): void {
    // A missing stretch may reach over several files.
    let lost = damage.lost;
    for (let from = damage.from; from < damage.to; ) {
      const file = this.#fileOf(from);
      const fileEnd = file.from + file.size;
      const to = Math.min(damage.to, fileEnd);
      const here = lost.filter(({ phyOffset }) => phyOffset < fileEnd);
      lost = lost.filter(({ phyOffset }) => phyOffset >= fileEnd);
      this.#planStretch(file, from, to, here, damage);
      from = to;
    }
  }

  #planStretch(file: DataFile, from: number, to: number, lost: BookedDamage['lost'], damage: BookedDamage): void {
    const around = this.#around(damage, to);
    const request: FillRequest = {
      from,
      to,
      toFileEnd: to === file.from + file.size,
      fromFileStart: from === file.from,
      lost: messagesOf(lost),
      ...around,
    };
    const plan = planFill(request);
    const shown = shownPath(this.#layout.root, file.path);
    if (plan === undefined) {
      this.#left.push(
        `${to - from} bytes of the log from ${from} on are too few for a record that could be passed over`,
      );
      return;
    }
    const position = from - file.from;
    this.#steps.push({
      kind: 'quarantine',
      file: shown,
      path: file.path,
      position,
      request,
      plan,
      reason: damage.reason,
    });
    for (const { topic, queueId, queueOffset, lmqs = [], offset, size } of plan.tombstones) {
      this.#steps.push({ kind: 'patch-entry', topic, queueId, queueOffset, offset, size });
      for (const place of lmqs) {
        const entry = { topic: place.name, queueId: 0, queueOffset: place.queueOffset };
        this.#steps.push({ kind: 'patch-entry', ...entry, offset, size });
      }
    }
    // Keys of lost messages would be found and lead to records that have none.
    if (this.#layout.indexFiles.length > 0) this.#rebuildIndex ??= 'it has keys of messages that are lost';
  }

  /** Time and checksum habit of the records next to a stretch. */
  #around({ timeBefore }: BookedDamage, to: number): { storeTimestamp: number; propertyCrc: boolean } {
    const next = this.#log.recordAt(to);
    const time = timeBefore || next?.record.storeTimestamp || Date.now();
    const crc =
      next !== undefined &&
      next.record.propertiesLength >= 20 &&
      propertyCrcOf(next.view, 0, next.record.size) !== undefined;
    return { storeTimestamp: time, propertyCrc: crc };
  }

  #planFinding(finding: Finding): void {
    const { kind, topic, queueId, message } = finding;
    switch (kind) {
      case 'log-field':
        this.#planPatch(finding);
        return;
      case 'queue-file':
      case 'queue-entry':
      case 'queue-missing-entry':
      case 'queue-dangling-entry':
      case 'queue-order': {
        const named = topic === undefined ? queueOfPath(finding.file) : { topic, queueId: queueId! };
        if (named !== undefined) this.#addRebuild(named.topic, named.queueId, message);
        return;
      }
      case 'index-file':
      case 'index-header':
      case 'index-slot':
      case 'index-entry':
      case 'index-missing-entry':
        this.#rebuildIndex ??= message;
        return;
      default:
      // log-record, log-file and log-tail are planned from the stretches; checkpoint and config by themselves.
    }
  }

  /** A field of a sound record that its queue entry, or what the field can hold at all, proves wrong. */
  #planPatch({ file, offset, length, expected, message, logOffset, field }: Finding): void {
    if (field === undefined) {
      const list = this.#unknown.get(logOffset!) ?? [];
      this.#unknown.set(logOffset!, [...list, `${file} at ${offset}: ${message}; nothing says what was there`]);
      return;
    }
    const log = this.#fileOf(logOffset!);
    const bytes = Buffer.alloc(length);
    if (field === 'topic') {
      if (Buffer.byteLength(expected) !== length) {
        this.#left.push(`${file} at ${offset}: ${message}`);
        return;
      }
      bytes.write(expected, 'utf8');
    } else if (length === 2) bytes.writeUInt16BE(Number(expected));
    else if (length === 4) bytes.writeInt32BE(Number(expected));
    else bytes.writeBigInt64BE(BigInt(expected));
    const position = offset;
    // Only what is still a record afterwards is written: the other checksums have to agree.
    const whole = this.#log.recordAt(logOffset!);
    const at = offset + log.from - logOffset!;
    if (whole === undefined) return;
    const patched = Buffer.from(whole.view.subarray(0, whole.record.size));
    bytes.copy(patched, at);
    const check = checkMessageAndReturnSize(patched, 0, { checkCrc: true, verifyPropCrc: true });
    if (check.kind !== 'record') {
      this.#left.push(`${file} at ${offset}: ${message}`);
      return;
    }
    this.#steps.push({
      kind: 'patch-record',
      file,
      path: log.path,
      position,
      field,
      bytes,
      logOffset: logOffset!,
      message,
    });
  }

  /** Where another finding says what was there, setting that right explains these too. */
  #leftOfRecords(): string[] {
    for (const step of this.#steps) {
      if (step.kind !== 'patch-record') continue;
      this.#unknown.delete(step.logOffset);
    }
    return [...this.#unknown.values()].flat();
  }

  #planTail(): void {
    const { cutFrom: from } = this.#verified;
    if (from === undefined) return;
    const file = this.#fileOf(from);
    const position = from - file.from;
    const shown = shownPath(this.#layout.root, file.path);
    this.#steps.push({ kind: 'cut-tail', file: shown, path: file.path, position, length: file.size - position, from });
  }

  async #planUnfinished(): Promise<void> {
    const unfinished = await readUnfinished(this.#layout.root);
    if (unfinished === undefined) return;
    this.#unfinished = unfinished;
    for (const { topic, queueId } of unfinished.queues) {
      this.#addRebuild(topic, queueId, 'a repair was interrupted before it was made anew');
    }
    if (unfinished.index) this.#rebuildIndex ??= 'a repair was interrupted before it was made anew';
  }

  #addRebuild(topic: string, queueId: number, why: string): void {
    const key = `${topic}/${queueId}`;
    if (!this.#rebuild.has(key)) this.#rebuild.set(key, { topic, queueId, why });
  }
}

/** By place in the log, and within each queue by number: where the place is not known, the number decides. */
function orderWithinQueues(lost: LostEntry[]): void {
  lost.sort((a, b) => a.phyOffset - b.phyOffset || a.queueOffset - b.queueOffset);
  const byQueue = new Map<string, number[]>();
  for (const { topic, queueId, queueOffset } of lost) {
    const key = `${topic}/${queueId}`;
    const numbers = byQueue.get(key);
    if (numbers === undefined) byQueue.set(key, [queueOffset]);
    else numbers.push(queueOffset);
  }
  for (const numbers of byQueue.values()) numbers.sort((a, b) => a - b);
  for (const entry of lost) entry.queueOffset = byQueue.get(`${entry.topic}/${entry.queueId}`)!.shift()!;
}

/** The places of one message in its own queue and in light queues are one tombstone: there was room for one record. */
function messagesOf(lost: BookedDamage['lost']): LostMessage[] {
  const own = new Map<number, LostMessage & { lmqs: LmqPlace[] }>();
  const messages: LostMessage[] = [];
  for (const { topic, queueId, queueOffset, phyOffset, innerCount } of lost) {
    if (isLmq(topic)) continue;
    const message = { topic, queueId, queueOffset, innerCount, lmqs: [] };
    own.set(phyOffset, message);
    messages.push(message);
  }
  for (const { topic, queueId, queueOffset, phyOffset } of lost) {
    if (!isLmq(topic)) continue;
    const lmqs = own.get(phyOffset)?.lmqs;
    if (lmqs === undefined) messages.push({ topic, queueId, queueOffset });
    else lmqs.push({ name: topic, queueOffset });
  }
  return messages;
}

function queueOfPath(file: string): { topic: string; queueId: number } | undefined {
  const found = /^(?:batch)?consumequeue\/(.+)\/(\d+)\/\d+$/.exec(file);
  return found === null ? undefined : { topic: found[1]!, queueId: Number(found[2]) };
}
