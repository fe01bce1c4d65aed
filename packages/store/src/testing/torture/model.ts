import type { Durability, MessageExt, PutMessageResult } from '../../types.ts';

/** What was said about one message. */
export interface Put {
  id: number;
  topic: string;
  queueId: number;
  body: Buffer;
  key: string;
  durability: Durability | undefined;
  waitStoreMsgOK: boolean;
  /** Undefined until it was answered. */
  result?: PutMessageResult;
  /** A recovery or a clean shutdown has found it: whatever was answered, it is on disk and stays. */
  isKept?: boolean;
  /** Offset in the log and queue offset of this message of a batch, when it was appended. */
  offset?: number;
  queueOffset?: number;
}

export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Violation';
  }
}

const idOf = (body: Buffer): number => (body.length >= 4 ? body.readUInt32BE(0) : -1);

/**
 * What the outside knows: which messages were put, which answers were given, what consumers were shown. After a crash it
 * decides what must be there, what may be there, and what must not.
 */
export class Model {
  readonly puts: Put[] = [];
  /** Messages that a reader was given, by topic, queue and queue offset. */
  readonly #seen = new Map<string, number>();
  /** Under these settings an acknowledgement without durability means on disk. */
  readonly #syncFlush: boolean;
  /** Readers must only be shown what is on disk. */
  readonly #durableReads: boolean;

  constructor(options: { syncFlush: boolean; durableReads: boolean }) {
    this.#syncFlush = options.syncFlush;
    this.#durableReads = options.durableReads;
  }

  /** Acknowledged, and what the acknowledgement promised was *on disk*. */
  isOnDiskPromised(put: Put): boolean {
    if (put.isKept) return true;
    if (put.result?.status !== 'PUT_OK') return false;
    if (put.durability !== undefined) return put.durability !== 'async';
    return this.#syncFlush && put.waitStoreMsgOK;
  }

  get acknowledged(): number {
    let count = 0;
    for (const put of this.puts) if (this.isOnDiskPromised(put)) count++;
    return count;
  }

  sawByConsumer(message: MessageExt): void {
    const put = this.#putOf(message);
    if (!put || !put.body.equals(message.body)) {
      throw new Violation(`a consumer was given a message that nobody put: ${place(message)}`);
    }
    if (this.#durableReads) this.#seen.set(place(message), put.id);
  }

  get seenCount(): number {
    return this.#seen.size;
  }

  /**
   * After a crash and recovery: `messages` is everything the store has, by queue, in order. Checks it against what was
   * promised; from then on these are the facts, and what is gone was never promised.
   */
  checkAfterCrash(messages: ReadonlyMap<string, readonly MessageExt[]>): void {
    const present = new Map<number, MessageExt>();
    for (const [queue, list] of messages) {
      for (const [i, message] of list.entries()) {
        if (message.queueOffset !== i) {
          throw new Violation(`queue ${queue} is not dense: entry ${i} holds queue offset ${message.queueOffset}`);
        }
        const put = this.#putOf(message);
        if (!put) throw new Violation(`invented message at ${place(message)}, log offset ${message.commitLogOffset}`);
        if (!put.body.equals(message.body) || message.properties.get('KEYS') !== put.key) {
          throw new Violation(`message ${put.id} at ${place(message)} is not what was put`);
        }
        if (present.has(put.id)) throw new Violation(`message ${put.id} is there twice, again at ${place(message)}`);
        if (put.topic !== message.topic || put.queueId !== message.queueId) {
          throw new Violation(`message ${put.id} was put into ${put.topic}-${put.queueId} and is at ${place(message)}`);
        }
        present.set(put.id, message);
      }
    }
    for (const put of this.puts) {
      if (!this.isOnDiskPromised(put)) continue;
      const message = present.get(put.id);
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
    for (const [where, id] of this.#seen) {
      const message = present.get(id);
      if (!message || place(message) !== where) {
        throw new Violation(`a consumer saw message ${id} at ${where}, and it is gone`);
      }
    }
    this.#forgetLost(present);
  }

  /** The store was shut down cleanly: everything that was appended is on disk. */
  shutDownCleanly(): void {
    for (const put of this.puts) if (put.offset !== undefined) put.isKept = true;
  }

  #forgetLost(present: ReadonlyMap<number, MessageExt>): void {
    const kept = this.puts.filter((put) => present.has(put.id));
    for (const put of kept) {
      const message = present.get(put.id)!;
      put.offset = message.commitLogOffset;
      put.queueOffset = message.queueOffset;
      put.isKept = true;
    }
    this.puts.length = 0;
    this.puts.push(...kept);
    this.#byId.clear();
    for (const put of kept) this.#byId.set(put.id, put);
  }

  readonly #byId = new Map<number, Put>();

  add(put: Put): void {
    this.puts.push(put);
    this.#byId.set(put.id, put);
  }

  #putOf(message: MessageExt): Put | undefined {
    return this.#byId.get(idOf(message.body));
  }
}

function place(message: MessageExt): string {
  return `${message.topic}-${message.queueId}@${message.queueOffset}`;
}
