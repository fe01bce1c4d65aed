import { type ExtFields, type RemotingCommand, RequestCode, ResponseCode } from '@vernier/remoting';
import type { StoredMessage } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import type { RunCounters } from './counters.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { SenderOptions } from './sent.ts';
import { Violation } from './violation.ts';

export const TRANSACTION_TOPIC = 'Transactions';
export const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC';
export const OP_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC';
const GIVEN_UP_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC';
/** What TransactionModel judges, and Model does not. */
export const transactionTopics: ReadonlySet<string> = new Set([
  TRANSACTION_TOPIC,
  HALF_TOPIC,
  OP_TOPIC,
  GIVEN_UP_TOPIC,
]);

export const PRODUCER_GROUP = 'transaction-producers';
const COMMIT = 8;
const ROLLBACK = 12;
const OFFSET_HEX_CHARS = 16;

interface Transaction {
  readonly id: number;
  /** What its producer says whenever it says something. */
  readonly commits: boolean;
  /** Where its producer was told that the half is. */
  half: { queueOffset: number; logOffset: number } | undefined;
  /** The half is there whatever happens: it was acknowledged as on disk, or a start has found it. */
  isHalfPromised: boolean;
  isHalfWritten: boolean;
  /** Its producer has begun to say what is to become of it. */
  isEndSent: boolean;
  /** It was told that this is done: as safely as the settings say. */
  isEnded: boolean;
  isEndPromised: boolean;
}

/** What a start found of transactions, before it does anything with them. */
export interface FoundTransactions {
  messages: ReadonlyMap<string, readonly StoredMessage[]>;
  /** Offsets of CID_RMQ_SYS_TRANS. */
  halvesFrom: number;
  markersFrom: number;
  minPhyOffset: number;
  /** The process was killed, the page cache stayed. */
  killed: boolean;
}

/**
 * What the producers of transactions know: what they sent, what they said, and what they were told. A message is there once
 * when its commit was acknowledged, never twice, and never when its producer rolled it back or said nothing. A half of
 * which nobody has said anything is one that the next start asks about.
 */
export class TransactionModel {
  readonly #transactions = new Map<number, Transaction>();
  readonly options: SenderOptions;
  committedTotal = 0;
  #nextId = 1;

  constructor(options: SenderOptions) {
    this.options = options;
  }

  begin(commits: boolean): Transaction {
    const transaction: Transaction = {
      id: this.#nextId++,
      commits,
      half: undefined,
      isHalfPromised: false,
      isHalfWritten: false,
      isEndSent: false,
      isEnded: false,
      isEndPromised: false,
    };
    this.#transactions.set(transaction.id, transaction);
    return transaction;
  }

  get(id: number): Transaction | undefined {
    return this.#transactions.get(id);
  }

  /** Some of those whose halves were acknowledged. */
  any(random: Random): Transaction | undefined {
    const known = [...this.#transactions.values()].filter(({ half }) => half !== undefined);
    return known.length === 0 ? undefined : random.pick(known);
  }

  /** Everything appended is on disk. */
  shutDownCleanly(): void {
    for (const transaction of this.#transactions.values()) {
      if (transaction.half !== undefined) transaction.isHalfPromised = true;
      if (transaction.isEnded) transaction.isEndPromised = true;
    }
  }

  /** After a recovery that nothing disturbs, before its broker does anything. From then on what it found are the facts. */
  check(found: FoundTransactions): void {
    const messages = byId(found.messages, (topic) => topic === TRANSACTION_TOPIC);
    const halves = byId(found.messages, (topic) => topic === HALF_TOPIC);
    // Too old: an operator finds it there. The model's own histories have no other reason.
    const givenUp = byId(found.messages, (topic) => topic === GIVEN_UP_TOPIC);
    const markers = found.messages.get(`${OP_TOPIC}-0`) ?? [];
    const ended = new Set<number>();
    for (const { queueOffset, body } of markers) {
      if (queueOffset < found.markersFrom) continue;
      for (const text of body.toString('latin1').split(',')) if (text !== '') ended.add(Number(text));
    }
    const isOpen = (id: number): boolean =>
      (halves.get(id) ?? []).some(({ queueOffset }) => queueOffset >= found.halvesFrom && !ended.has(queueOffset));
    for (const id of messages.keys()) {
      if (!this.#transactions.has(id))
        throw new Violation(`there is a message of transaction ${id}, which nobody began`);
    }
    for (const transaction of [...this.#transactions.values()]) {
      const { id } = transaction;
      this.#checkOne(transaction, found, messages.get(id) ?? [], halves.get(id) ?? [], isOpen, givenUp.has(id));
    }
  }

  #checkOne(
    transaction: Transaction,
    found: FoundTransactions,
    messages: readonly StoredMessage[],
    halves: readonly StoredMessage[],
    isOpen: (id: number) => boolean,
    isGivenUp: boolean,
  ): void {
    const { id, commits, half } = transaction;
    const name = `transaction ${id} (${commits ? 'commits' : 'rolls back'})`;
    const survives = (isPromised: boolean, isWritten: boolean): boolean =>
      isPromised || (found.killed && isWritten && !this.options.asyncInMemory);
    if (messages.length > 1) throw new Violation(`${name} was delivered ${messages.length} times`);
    if (messages.length > 0 && !commits) throw new Violation(`${name} was delivered`);
    if (messages.length > 0 && !transaction.isEndSent) throw new Violation(`${name} was delivered before its commit`);
    // Its files may have expired with all that there was of it.
    const isExpired = found.minPhyOffset > 0 && (half === undefined || half.logOffset < found.minPhyOffset);
    const isEndKept = survives(transaction.isEndPromised, transaction.isEnded);
    if (isEndKept && commits && messages.length === 0 && !isExpired) {
      throw new Violation(`${name}: its commit was acknowledged, and its message is not there`);
    }
    if (isEndKept && !commits && isOpen(id)) throw new Violation(`${name}: it was acknowledged, and it is open again`);
    if (messages.length > 0 && halves.length === 0 && found.minPhyOffset === 0) {
      throw new Violation(`${name}: its message is there and its half is not`);
    }
    const isHalfKept = survives(transaction.isHalfPromised, transaction.isHalfWritten);
    if (isHalfKept && !transaction.isEndSent && !isExpired && !isOpen(id) && !isGivenUp) {
      throw new Violation(`${name}: nobody has ended it, and the next start will not ask about it`);
    }
    if (halves.length === 0 && messages.length === 0) {
      // Its producer knows no more of it than that there was no answer that counts.
      this.#transactions.delete(id);
      return;
    }
    if (messages.length > 0 && !transaction.isEndPromised) this.committedTotal++;
    transaction.isHalfPromised = true;
    const [first] = halves;
    if (first !== undefined) {
      transaction.half = { queueOffset: first.queueOffset, logOffset: first.commitLogOffset };
    }
    transaction.isEnded = messages.length > 0 || (!commits && transaction.isEnded && !isOpen(id));
    transaction.isEndPromised = transaction.isEnded;
  }
}

/** The producers of one life of the broker. */
export class TransactionProducers {
  readonly #model: TransactionModel;
  readonly #scheduler: Scheduler;
  readonly #counters: RunCounters;
  readonly #request: (code: number, fields: ExtFields, body?: Buffer) => Promise<RemotingCommand>;
  #random: Random | undefined;
  #isClosing = false;
  /** Of a check that should not have come: whoever sends it must not see an error of ours. */
  #violation: Error | undefined;

  constructor(
    model: TransactionModel,
    scheduler: Scheduler,
    counters: RunCounters,
    request: (code: number, fields: ExtFields, body?: Buffer) => Promise<RemotingCommand>,
  ) {
    this.#model = model;
    this.#scheduler = scheduler;
    this.#counters = counters;
    this.#request = request;
  }

  stop(): void {
    this.#isClosing = true;
  }

  get violation(): Error | undefined {
    return this.#violation;
  }

  /** Begins a transaction, and ends it or does not; or says once more of an earlier one what was said before, or the opposite. */
  async act(random: Random): Promise<void> {
    this.#random ??= random.fork();
    if (this.#violation !== undefined) throw this.#violation;
    if (this.#isClosing) return;
    if (random.chance(0.2)) {
      const earlier = this.#model.any(random);
      if (earlier?.half !== undefined) await this.#end(earlier, earlier.half, random.chance(0.7));
      return;
    }
    const transaction = this.#model.begin(random.chance(0.6));
    this.#counters.transactions++;
    await this.#send(transaction, random);
    if (transaction.half === undefined || random.chance(0.4)) return;
    await this.#end(transaction, transaction.half, true);
  }

  async #send(transaction: Transaction, random: Random): Promise<void> {
    const { id } = transaction;
    const body = Buffer.alloc(random.integer(4, 200), id & 0xff);
    body.writeUInt32BE(id, 0);
    const key = id.toString(16).padStart(32, '0');
    const properties = `TRAN_MSG\u0001true\u0002PGROUP\u0001${PRODUCER_GROUP}\u0002UNIQ_KEY\u0001${key}\u0002KEYS\u0001t${id}\u0002`;
    const fields = {
      ...{ a: PRODUCER_GROUP, b: TRANSACTION_TOPIC, c: 'TBW102', d: '2', e: String(id % 2), f: '4' },
      ...{ g: String(this.#scheduler.now()), h: '0', i: properties, j: '0', k: 'false', m: 'false' },
    };
    const { code, extFields } = await this.#request(RequestCode.SEND_MESSAGE_V2, fields, body);
    if (code !== ResponseCode.SUCCESS && code !== ResponseCode.FLUSH_DISK_TIMEOUT) return;
    const logOffset = Number.parseInt(extFields!.msgId!.slice(-OFFSET_HEX_CHARS), 16);
    transaction.half = { queueOffset: Number(extFields!.queueOffset), logOffset };
    // FLUSH_DISK_TIMEOUT promises nothing: the write itself may be waiting for the disk.
    transaction.isHalfWritten = code === ResponseCode.SUCCESS;
    transaction.isHalfPromised = transaction.isHalfWritten && this.#model.options.syncFlush;
  }

  /** `isMeant`: what this transaction's producer means; else the opposite, which it says only of what has ended. */
  async #end(transaction: Transaction, half: NonNullable<Transaction['half']>, isMeant: boolean): Promise<void> {
    const wasEnded = transaction.isEnded;
    if (!isMeant && !wasEnded) return;
    if (isMeant) transaction.isEndSent = true;
    const isCommit = transaction.commits === isMeant;
    const answered = this.#request(RequestCode.END_TRANSACTION, {
      producerGroup: PRODUCER_GROUP,
      tranStateTableOffset: String(half.queueOffset),
      commitLogOffset: String(half.logOffset),
      commitOrRollback: String(isCommit ? COMMIT : ROLLBACK),
      fromTransactionCheck: 'false',
      msgId: String(transaction.id),
    });
    const answer = await answered.catch((error: Error & { code?: string }) => {
      // A broker that stops has let go of its connections before it closes its store: nobody gets this answer.
      if (this.#isClosing && error.code === 'STORE_CLOSED') return undefined;
      throw error;
    });
    if (answer?.code !== ResponseCode.SUCCESS) return;
    if (!isMeant) throw new Violation(`transaction ${transaction.id} ended, and the opposite end was acknowledged too`);
    transaction.isEnded = true;
    if (this.#model.options.syncFlush) transaction.isEndPromised = true;
  }

  /** The broker asks what is to become of a half. */
  asked(record: Buffer, half: { queueOffset: number; logOffset: number }): boolean {
    const id = decodeMessage(record)?.body.readUInt32BE(0) ?? -1;
    const transaction = this.#model.get(id);
    this.#counters.transactionChecks++;
    if (transaction === undefined || transaction.isEnded) {
      const why = transaction === undefined ? 'nobody began it' : 'it has ended';
      this.#violation ??= new Violation(`a producer was asked about transaction ${id}: ${why}`);
      return true;
    }
    const random = this.#random;
    if (random === undefined || this.#isClosing || random.chance(0.1)) return false;
    if (random.chance(0.4)) return true;
    // With the place of this copy, or of the first one.
    const place = random.chance(0.5) ? half : (transaction.half ?? half);
    void this.#scheduler
      .delay(random.fraction() * 300)
      .then(() => (this.#isClosing ? undefined : this.#end(transaction, place, true)))
      .catch((error: Error) => {
        if (error instanceof Violation) this.#violation ??= error;
      });
    return true;
  }
}

function byId(
  messages: ReadonlyMap<string, readonly StoredMessage[]>,
  isOf: (topic: string) => boolean,
): Map<number, StoredMessage[]> {
  const found = new Map<number, StoredMessage[]>();
  for (const list of messages.values()) {
    for (const message of list) {
      if (!isOf(message.topic)) continue;
      const id = message.body.readUInt32BE(0);
      const others = found.get(id);
      if (others === undefined) found.set(id, [message]);
      else others.push(message);
    }
  }
  return found;
}
