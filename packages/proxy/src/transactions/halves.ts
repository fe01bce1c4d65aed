import { Budget, textBytes } from '@vernier/broker/internal';
import type { Backend, HalfPlace } from '../backend/backend.ts';

export interface HalvesParts {
  readonly broker: Pick<Backend, 'transactions' | 'logger'>;
  readonly bytesMax: () => number;
}

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
    const place = this.#places.get(keyOf(topic, transactionId));
    return place ?? (await this.#parts.broker.transactions.find(topic, transactionId));
  }

  /** The transaction is ended. */
  ended(topic: string, transactionId: string): void {
    this.#forget(keyOf(topic, transactionId));
  }

  #forget(key: string): void {
    if (this.#places.delete(key)) this.#budget.give(ENTRY_BYTES + textBytes(key));
  }
}
