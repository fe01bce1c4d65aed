import type { Durability, PutMessageResult, StoredMessage } from '@vernier/store';
import type { StoreContent } from './checks.ts';
import { Violation } from './violation.ts';

/** What was said about one message. */
export interface Put {
  id: number;
  topic: string;
  queueId: number;
  body: Buffer;
  key: string;
  tags: string;
  propertiesString: string;
  durability: Durability | undefined;
  waitStoreMsgOK: boolean;
  /** Unix milliseconds. */
  putTime: number;
  /** On the scheduler's monotonic scale; a put of an earlier generation has none. */
  putAt?: number;
  /** The store had failed before it was put. */
  afterFailure: boolean;
  /** Undefined until it was answered. */
  result?: PutMessageResult;
  /** A recovery or a clean shutdown has found it: whatever was answered, it is on disk and stays. */
  isKept?: boolean;
  /** Offset in the log and queue offset of this message of a batch, when it was appended. */
  offset?: number;
  queueOffset?: number;
}

export interface ModelOptions {
  /** Under these settings an acknowledgement without durability means on disk. */
  syncFlush: boolean;
  /** Readers must only be shown what is on disk. */
  durableReads: boolean;
  /** An acknowledgement of ASYNC_FLUSH means a buffer in memory (transient pool). */
  asyncInMemory: boolean;
  /** Topics of which somebody else says what is to be in them. */
  foreignTopics: ReadonlySet<string>;
  /** Files of the log go when they are as old, and not before; milliseconds. */
  reservedMs: number;
}

/** A topic is deleted: its records that start below an offset of the log are dead, once that holds. */
export interface Deletion {
  readonly topic: string;
  readonly below: number;
  isAnswered: boolean;
}

type Messages = ReadonlyMap<string, readonly StoredMessage[]>;

/**
 * What the outside knows: which messages were put, which answers were given, what consumers were shown. After a crash it
 * decides what must be there, what may be there, and what must not.
 */
export class Model {
  readonly puts: Put[] = [];
  readonly #byId = new Map<number, Put>();
  /** Bodies of all that was ever put: a record stays in the log when nobody is to see it any more. */
  readonly #everPut = new Map<number, Buffer>();
  /** Messages that a reader was given since the last crash, by topic, queue and queue offset. */
  readonly #seen = new Map<string, { id: number; offset: number }>();
  readonly #options: ModelOptions;
  /** The number that the next message of each queue gets at the least: what was given once is never given again. */
  readonly #queueEnds = new Map<string, number>();
  /** flush() has resolved: everything below was said to be on disk. */
  #flushedTo = 0;
  /** Since the last crash. */
  #deletions: Deletion[] = [];
  /** By topic: the end of its dead records in the log. */
  readonly #deadBelow = new Map<string, number>();
  /** Topics whose deletion was refused and came into force with a crash: their messages go on with the old numbers. */
  readonly #beginLate = new Set<string>();
  #nextId = 1;
  /** Deletions that were not answered and of which a crash left the messages. */
  undoneTotal = 0;
  acknowledgedTotal = 0;
  expiredTotal = 0;
  seenTotal = 0;

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  isForeign(topic: string): boolean {
    return this.#options.foreignTopics.has(topic);
  }

  newId(): number {
    return this.#nextId++;
  }

  add(put: Put): void {
    this.puts.push(put);
    this.#byId.set(put.id, put);
    this.#everPut.set(put.id, put.body);
  }

  /** It is in no queue that this model looks at, and its body may be met in the log all the same. */
  addElsewhere(put: Put): void {
    this.#everPut.set(put.id, put.body);
  }

  /** One answer for the messages of a batch, or for one message. */
  answered(puts: readonly Put[], result: PutMessageResult): void {
    for (const [i, put] of puts.entries()) {
      if (put.result) throw new Violation(`message ${put.id} was answered twice`);
      put.result = result;
      if (put.afterFailure && result.status === 'PUT_OK') {
        throw new Violation(`message ${put.id} was put into a failed store and acknowledged`);
      }
      if (result.wroteOffset < 0) continue;
      put.offset = result.batchOffsets?.[i] ?? result.wroteOffset;
      put.queueOffset = result.queueOffset + i;
      if (this.isOnDiskPromised(put)) this.acknowledgedTotal++;
    }
  }

  /** The log ends at `logEnd`, and no record of the topic is appended before the deletion holds or is refused. */
  deletionBegun(topic: string, logEnd: number): Deletion {
    const deletion = { topic, below: logEnd, isAnswered: false };
    this.#deletions.push(deletion);
    return deletion;
  }

  deletionAnswered(deletion: Deletion): void {
    deletion.isAnswered = true;
    this.#kill(deletion);
    this.#beginLate.delete(deletion.topic);
  }

  /** Records of the topic that start below it are dead. */
  deadBelow(topic: string): number {
    return this.#deadBelow.get(topic) ?? 0;
  }

  #kill({ topic, below }: Deletion): void {
    this.#deadBelow.set(topic, Math.max(this.deadBelow(topic), below));
    for (const queue of this.#queueEnds.keys()) if (topicOf(queue) === topic) this.#queueEnds.delete(queue);
    for (const [where, { offset }] of this.#seen) {
      if (topicOf(where.slice(0, where.lastIndexOf('@'))) === topic && offset < below) this.#seen.delete(where);
    }
  }

  /** A flush() has resolved that was called when the log ended at `offset`. */
  flushed(offset: number): void {
    this.#flushedTo = Math.max(this.#flushedTo, offset);
  }

  /** Acknowledged, and what the acknowledgement promised was *on disk*. */
  isOnDiskPromised(put: Put): boolean {
    if (put.isKept) return true;
    if (put.offset !== undefined && put.offset < this.#flushedTo) return true;
    if (put.result?.status !== 'PUT_OK') return false;
    if (put.durability !== undefined) return put.durability !== 'async';
    return this.#options.syncFlush && put.waitStoreMsgOK;
  }

  /** Acknowledged, and with that at least *written*: a killed process does not lose it. */
  isWrittenPromised(put: Put): boolean {
    if (this.isOnDiskPromised(put)) return true;
    return put.result?.status === 'PUT_OK' && !this.#options.asyncInMemory;
  }

  /** The log begins behind it, and its file was old enough to go. A violation when it was not. */
  isExpired(put: Put, minPhyOffset: number, now: number): boolean {
    if (put.offset === undefined || put.offset >= minPhyOffset) return false;
    if (put.putTime + this.#options.reservedMs <= now) return true;
    throw new Violation(`message ${put.id} was removed ${now - put.putTime} ms after it was put`);
  }

  /** Every put has its answer at the latest `limitMs` after it was made. */
  checkAnswers(now: number, limitMs: (put: Put) => number): void {
    for (const put of this.puts) {
      if (put.result || put.putAt === undefined) continue;
      const waited = now - put.putAt;
      if (waited > limitMs(put)) {
        throw new Violation(
          `message ${put.id} (durability ${put.durability}) has no answer after ${Math.round(waited)} ms`,
        );
      }
    }
  }

  sawByConsumer(message: StoredMessage): void {
    this.checkBody(message.body, place(message));
    this.#checkAlive(message, 'a consumer was given');
    this.seenTotal++;
    const seen = { id: idOf(message), offset: message.commitLogOffset };
    if (this.#options.durableReads) this.#seen.set(place(message), seen);
  }

  #checkAlive(message: StoredMessage, what: string): void {
    const below = this.deadBelow(message.topic);
    if (message.commitLogOffset >= below) return;
    throw new Violation(
      `${what} the message at ${place(message)}, log offset ${message.commitLogOffset}: its topic was deleted at ${below}`,
    );
  }

  /**
   * After a crash and recovery, before anything else is checked: a deletion that was not answered holds or does not, as a
   * whole; `content` says which.
   */
  settleDeletions({ messages, maxPhyOffset }: StoreContent): void {
    for (const deletion of this.#deletions) {
      const { topic, below, isAnswered } = deletion;
      if (isAnswered) continue;
      const isOld = ({ commitLogOffset }: StoredMessage): boolean => commitLogOffset < below;
      const isUndone = [...messages].some(([queue, list]) => topicOf(queue) === topic && list.some(isOld));
      if (isUndone) this.undoneTotal++;
      else {
        this.#kill(deletion);
        this.#beginLate.add(topic);
      }
    }
    this.#deletions = [];
    // What is appended from here on lies behind the log's present end.
    for (const [topic, below] of this.#deadBelow) this.#deadBelow.set(topic, Math.min(below, maxPhyOffset));
  }

  /** Every byte of the body is what somebody put, whatever became of it. */
  checkBody(body: Buffer, where: string): void {
    const put = this.#everPut.get(idOf({ body }));
    if (!put?.equals(body)) throw new Violation(`a consumer was given a message that nobody put: ${where}`);
  }

  /**
   * After a crash and recovery: `content` is everything the store has. Checks it against what was promised; from then on
   * these are the facts, and what is gone was never promised, or has had its time. `now`: Unix milliseconds.
   */
  checkAfterCrash(content: StoreContent, crash: { killed: boolean; now: number }): void {
    const { messages, queueEnds, minPhyOffset } = content;
    const present = this.#checkPresent(messages, minPhyOffset);
    const isExpired = (put: Put): boolean => this.isExpired(put, minPhyOffset, crash.now);
    for (const put of this.puts) {
      if (this.#isDead(put)) continue;
      const promised = crash.killed ? this.isWrittenPromised(put) : this.isOnDiskPromised(put);
      if (!promised) continue;
      this.#raiseQueueEnd(put.topic, put.queueId, put.queueOffset!);
      const message = present.get(put.id);
      if (!message && isExpired(put)) {
        this.expiredTotal++;
        continue;
      }
      if (!message) {
        throw new Violation(
          `acknowledged message ${put.id} (${put.topic}-${put.queueId}, queue offset ${put.queueOffset}, log offset ` +
            `${put.offset}, durability ${put.durability ?? 'default'}) is gone`,
        );
      }
      if (message.queueOffset !== put.queueOffset || message.commitLogOffset !== put.offset) {
        throw new Violation(
          `message ${put.id} was acknowledged at queue offset ${put.queueOffset}, log offset ${put.offset} and is at ` +
            `${message.queueOffset}, ${message.commitLogOffset}`,
        );
      }
    }
    for (const [where, { id }] of this.#seen) {
      const message = present.get(id);
      const put = this.#byId.get(id);
      if (!message && put && isExpired(put)) continue;
      if (!message || place(message) !== where) {
        throw new Violation(`a consumer saw message ${id} at ${where}, and it is gone`);
      }
    }
    this.#keepOnly(present);
    for (const [queue, end] of this.#queueEnds) {
      const found = queueEnds.get(queue) ?? 0;
      if (found < end)
        throw new Violation(`queue ${queue} ends at ${found}, and has given the number ${end - 1} before`);
    }
  }

  #isDead({ topic, offset }: Put): boolean {
    return offset !== undefined && offset < this.deadBelow(topic);
  }

  #raiseQueueEnd(topic: string, queueId: number, queueOffset: number): void {
    const queue = `${topic}-${queueId}`;
    this.#queueEnds.set(queue, Math.max(this.#queueEnds.get(queue) ?? 0, queueOffset + 1));
  }

  /** The store was shut down cleanly: everything that was appended is on disk. */
  shutDownCleanly(): void {
    for (const put of this.puts) {
      if (put.putAt !== undefined && !put.result)
        throw new Violation(`message ${put.id} has no answer after the shutdown`);
      if (put.offset !== undefined) put.isKept = true;
    }
  }

  #checkPresent(messages: Messages, minPhyOffset: number): Map<number, StoredMessage> {
    const present = new Map<number, StoredMessage>();
    for (const [queue, list] of messages) {
      const first = list[0]?.queueOffset ?? 0;
      if (first > 0 && minPhyOffset === 0 && !this.#beginLate.has(list[0]!.topic)) {
        throw new Violation(`queue ${queue} begins at ${first}, and nothing has expired`);
      }
      for (const [i, message] of list.entries()) {
        if (message.queueOffset !== first + i) {
          throw new Violation(
            `queue ${queue} is not dense: entry ${first + i} holds queue offset ${message.queueOffset}`,
          );
        }
        const put = this.#byId.get(idOf(message));
        if (!put) throw new Violation(`invented message at ${place(message)}, log offset ${message.commitLogOffset}`);
        const same =
          put.body.equals(message.body) &&
          message.keys.join(' ') === put.key &&
          message.tags === put.tags &&
          message.flag === (put.id & 0xff);
        if (!same) throw new Violation(`message ${put.id} at ${place(message)} is not what was put`);
        if (present.has(put.id)) throw new Violation(`message ${put.id} is there twice, again at ${place(message)}`);
        if (put.topic !== message.topic || put.queueId !== message.queueId) {
          throw new Violation(`message ${put.id} was put into ${put.topic}-${put.queueId} and is at ${place(message)}`);
        }
        this.#checkAlive(message, 'after a crash there is');
        present.set(put.id, message);
      }
    }
    return present;
  }

  #keepOnly(present: ReadonlyMap<number, StoredMessage>): void {
    const kept = this.puts.filter((put) => present.has(put.id));
    this.puts.length = 0;
    this.#byId.clear();
    for (const put of kept) {
      const message = present.get(put.id)!;
      put.offset = message.commitLogOffset;
      put.queueOffset = message.queueOffset;
      this.#raiseQueueEnd(put.topic, put.queueId, put.queueOffset);
      put.isKept = true;
      delete put.putAt;
      this.puts.push(put);
      this.#byId.set(put.id, put);
    }
    this.#seen.clear();
    this.#flushedTo = 0;
  }
}

function idOf({ body }: { body: Buffer }): number {
  return body.length >= 4 ? body.readUInt32BE(0) : -1;
}

/** Of `topic-queueId`. */
function topicOf(queue: string): string {
  return queue.slice(0, queue.lastIndexOf('-'));
}

function place(message: StoredMessage): string {
  return `${message.topic}-${message.queueId}@${message.queueOffset}`;
}
