import { type BrokerContext, Budget, TRANS_HALF_TOPIC, textBytes } from '@vernier/broker/internal';
import { type DecodedMessage, decodeRecord } from '@vernier/remoting';

/** Where the half of a transaction lies; clients of gRPC know only its id. */
export interface HalfPlace {
  /** Entry number in the queue of halves. */
  readonly queueOffset: number;
  /** Offset in the log. */
  readonly logOffset: number;
}

export interface HalvesParts {
  readonly broker: Pick<BrokerContext, 'messages' | 'logger'>;
  readonly bytesMax: () => number;
}

/** Halves of one id that the index is asked for: a client may give an id again. */
const FOUND_MAX = 32;
const ENTRY_BYTES = 200;

const keyOf = (topic: string, transactionId: string): string => `${topic}\n${transactionId}`;

/**
 * Where the halves of open transactions are, by the ids that clients have. RocketMQ forgets them after 30 seconds, and a
 * commit that comes later is lost until the half is checked; here the index of keys is asked for what memory does not have:
 * halves of before a start, and those for which there was no room.
 */
export class Halves {
  readonly #parts: HalvesParts;
  readonly #budget: Budget;
  readonly #places = new Map<string, HalfPlace>();

  constructor(parts: HalvesParts) {
    this.#parts = parts;
    this.#budget = new Budget('receiptBytesMax', parts.bytesMax, parts.broker.logger);
  }

  get count(): number {
    return this.#places.size;
  }

  get usedBytes(): number {
    return this.#budget.usedBytes;
  }

  /** The half was stored, or its producer is asked about it. The oldest makes room. */
  add(topic: string, transactionId: string, place: HalfPlace): void {
    const key = keyOf(topic, transactionId);
    const bytes = ENTRY_BYTES + textBytes(key);
    this.#forget(key);
    while (this.#places.size > 0 && this.#budget.usedBytes + bytes > this.#parts.bytesMax()) {
      this.#forget(this.#places.keys().next().value as string);
    }
    if (!this.#budget.take(bytes)) return;
    this.#places.set(key, place);
  }

  /** The newest half of that id; undefined when there is none. Rejects with the errors of reading the store. */
  async find(topic: string, transactionId: string): Promise<HalfPlace | undefined> {
    return this.#places.get(keyOf(topic, transactionId)) ?? (await this.#findInIndex(topic, transactionId));
  }

  /** The transaction is ended. */
  ended(topic: string, transactionId: string): void {
    this.#forget(keyOf(topic, transactionId));
  }

  async #findInIndex(topic: string, transactionId: string): Promise<HalfPlace | undefined> {
    const { records } = await this.#parts.broker.messages.byKey({
      ...{ topic: TRANS_HALF_TOPIC, key: transactionId, isUnique: true, isTag: false, maxNum: FOUND_MAX },
      ...{ begin: 0, end: Number.MAX_SAFE_INTEGER },
    });
    const isIt = ({ properties }: DecodedMessage): boolean =>
      properties.get('UNIQ_KEY') === transactionId && properties.get('REAL_TOPIC') === topic;
    const half = records.map((record) => decodeRecord(record, 0, false)).findLast(isIt);
    return half === undefined ? undefined : { queueOffset: half.queueOffset, logOffset: half.commitLogOffset };
  }

  #forget(key: string): void {
    if (this.#places.delete(key)) this.#budget.give(ENTRY_BYTES + textBytes(key));
  }
}
