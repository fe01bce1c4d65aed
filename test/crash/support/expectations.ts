import { MessageStore, type MessageStoreOptions, type OpenOptions } from '@vernier/store';
import { keyOf, planOf, type RunShape, sequenceOf } from './messages.ts';
import { type RawLog, readRawLog, readRawQueues } from './raw-store.ts';
import { Kind, readWitnessLog, type WitnessEntry } from './witness-log.ts';

/** What a crash must not take away. */
export type CrashKind = 'kill' | 'power-cut';

export interface Verification {
  /** One sentence for everything that is not as promised; empty when all is well. At most FAULTS_MAX of them. */
  faults: string[];
  /** Messages found in the queues. */
  found: number;
  /** Promises that were checked: acknowledgements and messages seen. */
  checked: number;
}

const FAULTS_MAX = 20;
/** Index look-ups a verification; each reads records from disk. */
const LOOKUPS = 200;

interface Place {
  topic: string;
  queueId: number;
  queueOffset: number;
  sequence: number;
  offset: number;
  why: string;
}

/** Collects what writers were promised and consumers saw over the crashes of one store, and holds the store to it. */
export class Expectations {
  private readonly shape: RunShape;
  private readonly crash: CrashKind;
  private readonly witnessLog: string;
  private readonly writtenNeedsCommit: boolean;
  private readonly required = new Map<string, Place>();
  private entriesRead = 0;

  /**
   * @param writtenNeedsCommit "written" survives a killed process only once committed: true for the transient pool.
   */
  constructor(shape: RunShape, crash: CrashKind, witnessLog: string, writtenNeedsCommit: boolean) {
    this.shape = shape;
    this.crash = crash;
    this.witnessLog = witnessLog;
    this.writtenNeedsCommit = writtenNeedsCommit;
  }

  /** Takes in what the witness log holds since the last call: once after every crash, before anybody opens the store. */
  crashed(): { acked: number; seen: number; endOnDisk: number; faults: string[] } {
    const entries = readWitnessLog(this.witnessLog, this.entriesRead);
    this.entriesRead += entries.length;
    const committed = entries.reduce(
      (end, entry) => (entry.kind === Kind.committed ? Math.max(end, entry.offset) : end),
      0,
    );
    const faults: string[] = [];
    let acked = 0;
    let seen = 0;
    let endOnDisk = 0;
    for (const entry of entries) {
      if (entry.kind === Kind.seen) seen += 1;
      else if (entry.kind === Kind.ackedOnDisk || entry.kind === Kind.ackedWritten) acked += 1;
      if (!this.mustSurvive(entry, committed)) continue;
      endOnDisk = Math.max(endOnDisk, entry.offset + entry.bytes);
      const topic = this.shape.topics[entry.topicIndex]!;
      const key = `${topic}/${entry.queueId}/${entry.queueOffset}`;
      const known = this.required.get(key);
      if (known && known.sequence !== entry.sequence) {
        faults.push(`${key} was promised to message ${known.sequence} (${known.why}) and then to ${entry.sequence}`);
      }
      const why = entry.kind === Kind.seen ? 'seen by the consumer' : 'acknowledged';
      this.required.set(key, { ...entry, topic, why });
    }
    return { acked, seen, endOnDisk, faults };
  }

  private mustSurvive(entry: WitnessEntry, committed: number): boolean {
    if (entry.kind === Kind.ackedOnDisk || entry.kind === Kind.seen) return true;
    if (entry.kind !== Kind.ackedWritten || this.crash === 'power-cut') return false;
    return !this.writtenNeedsCommit || entry.offset + entry.bytes <= committed;
  }

  /** Opens the store, which recovers it, reads everything in it, closes it and reads its files as they lie there. */
  async verify(options: MessageStoreOptions, more: OpenOptions = {}): Promise<Verification> {
    const faults: string[] = [];
    const found = new Map<string, { sequence: number; offset: number }>();
    let store: MessageStore;
    try {
      store = await MessageStore.open(options, more);
    } catch (error) {
      return {
        faults: [`the store does not open: ${(error as Error).message}`],
        found: 0,
        checked: this.required.size,
      };
    }
    try {
      if (store.failure) faults.push(`the store opened read-only: ${store.failure.message}`);
      for (const topic of this.shape.topics) {
        for (let queueId = 0; queueId < this.shape.queueCount; queueId++) {
          await this.readQueue(store, topic, queueId, found, faults);
        }
      }
      await this.lookUp(store, found, faults);
    } finally {
      // On a disk that fails a shutdown may say so; what was served before counts all the same.
      await store.shutdown().catch((error: Error) => faults.push(`the store does not shut down: ${error.message}`));
    }
    this.compare(found, faults);
    const log = readRawLog(options.storePathRootDir);
    this.compareFiles(options.storePathRootDir, log, found, faults);
    // From here on the store's answers are promises too: this reader saw them.
    for (const [key, { sequence, offset }] of found) {
      if (this.required.has(key)) continue;
      const [topic, queueId, queueOffset] = key.split('/') as [string, string, string];
      const place = { topic, queueId: Number(queueId), queueOffset: Number(queueOffset) };
      this.required.set(key, { ...place, sequence, offset, why: 'seen after an earlier crash' });
    }
    return { faults: faults.slice(0, FAULTS_MAX), found: found.size, checked: this.required.size };
  }

  private async readQueue(
    store: MessageStore,
    topic: string,
    queueId: number,
    found: Map<string, { sequence: number; offset: number }>,
    faults: string[],
  ): Promise<void> {
    const end = store.getMaxOffsetInQueue(topic, queueId);
    let offset = store.getMinOffsetInQueue(topic, queueId);
    if (offset !== 0) faults.push(`${topic}/${queueId} begins at ${offset}`);
    while (offset < end) {
      const result = await store.getMessage('verify', topic, queueId, offset, 32, { maxBytes: 1 << 20 });
      if (result.status !== 'FOUND') {
        faults.push(`${topic}/${queueId}/${offset} of ${end}: ${result.status}`);
        return;
      }
      for (const record of result.records) {
        const key = `${topic}/${queueId}/${offset}`;
        if (Number(record.readBigInt64BE(20)) !== offset) {
          faults.push(`${key} is a record with queue offset ${record.readBigInt64BE(20)}`);
        }
        const sequence = sequenceOf(this.shape, record.subarray(88, 88 + record.readInt32BE(84)));
        if (typeof sequence === 'string') faults.push(`${key}: ${sequence}`);
        else found.set(key, { sequence, offset: Number(record.readBigInt64BE(28)) });
        offset += 1;
      }
    }
  }

  /** Everything promised is there, and everything that is there was sent, once, to this queue. */
  private compare(found: Map<string, { sequence: number; offset: number }>, faults: string[]): void {
    let missing = 0;
    for (const [key, place] of this.required) {
      const there = found.get(key);
      if (there && there.sequence === place.sequence && there.offset === place.offset) continue;
      missing += 1;
      if (missing > 5) continue;
      faults.push(
        `${key}, message ${place.sequence} at ${place.offset}, ${place.why}, is ` +
          (there ? `now message ${there.sequence} at ${there.offset}` : 'gone'),
      );
    }
    if (missing > 5) faults.push(`${missing} of ${this.required.size} promises broken`);
    const bySequence = new Map<number, string>();
    for (const [key, { sequence }] of found) {
      const { topicIndex, queueId } = planOf(this.shape, sequence);
      if (!key.startsWith(`${this.shape.topics[topicIndex]}/${queueId}/`)) {
        faults.push(`${key} is message ${sequence}, which was sent to ${this.shape.topics[topicIndex]}/${queueId}`);
      }
      const other = bySequence.get(sequence);
      if (other !== undefined) faults.push(`message ${sequence} is there twice: ${other} and ${key}`);
      bySequence.set(sequence, key);
    }
  }

  private async lookUp(
    store: MessageStore,
    found: Map<string, { sequence: number; offset: number }>,
    faults: string[],
  ): Promise<void> {
    const all = [...found];
    // The newest ones are the ones that recovery had to bring into the index; the others are spread over the log.
    all.sort(([, left], [, right]) => right.offset - left.offset);
    const step = Math.max(1, Math.floor(all.length / (LOOKUPS / 2)));
    const chosen = all.filter((_, index) => index < LOOKUPS / 2 || index % step === 0);
    for (const [key, { sequence, offset }] of chosen) {
      const topic = key.split('/')[0]!;
      const { records } = await store.queryMessage(topic, keyOf(sequence), 64, 0, Number.MAX_SAFE_INTEGER);
      if (!records.some((record) => Number(record.readBigInt64BE(28)) === offset)) {
        faults.push(`the index does not find ${keyOf(sequence)} (${key} at ${offset}), only ${records.length} others`);
      }
      const raw = await store.selectOneMessageByOffset(offset);
      if (!raw) faults.push(`no record at ${offset}, where ${key} is`);
    }
  }

  /** The files say the same as the store did, and nothing else. */
  private compareFiles(
    root: string,
    log: RawLog,
    found: Map<string, { sequence: number; offset: number }>,
    faults: string[],
  ): void {
    faults.push(...log.faults);
    const queues = readRawQueues(root);
    const inLog = new Set<string>();
    for (const record of log.records) {
      const key = `${record.topic}/${record.queueId}/${record.queueOffset}`;
      inLog.add(key);
      const entry = queues.get(key);
      if (entry !== `${record.offset}/${record.size}`) {
        faults.push(`record ${record.offset}/${record.size} is ${key}, whose queue entry says ${entry}`);
      }
      if (!found.has(key)) faults.push(`record ${key} is in the log and was not served`);
    }
    for (const key of queues.keys()) if (!inLog.has(key)) faults.push(`queue entry ${key} has no record in the log`);
    for (const key of found.keys()) if (!inLog.has(key)) faults.push(`${key} was served and is not in the log's files`);
  }
}
