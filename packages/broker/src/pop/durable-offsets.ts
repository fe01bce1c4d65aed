import type { MessageStore, StoreLogger } from '@vernier/store';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import { queueKeyOf } from './queue-locks.ts';

interface Ahead {
  readonly group: string;
  readonly topic: string;
  readonly queueId: number;
  /** Where the next pop goes on. */
  offset: number;
  /** Everything that the offset depends on is in the log below it. */
  logEnd: number;
  /** Called when the offset is committed, or will never be. */
  readonly done: (() => void)[];
}

/**
 * Offsets that may be committed only behind what is on disk. A pop moves its group's offset past messages that stand in a
 * checkpoint from then on: if the offset were saved and the checkpoint not, a power cut would lose them for the group.
 *
 * The offset of the next pop is here at once; it is committed when the log is flushed up to the checkpoint. Under
 * SYNC_FLUSH that is the case when the put of the checkpoint returns. Bounded by the queues of groups that were popped
 * since the last flush; each of them has an entry in the table of offsets already.
 */
export class DurableOffsets {
  readonly #offsets: ConsumerOffsetManager;
  readonly #store: Pick<MessageStore, 'flushedWhere' | 'whenFlushed' | 'flush' | 'failure' | 'isClosed'>;
  readonly #logger: StoreLogger;
  readonly #ahead = new Map<string, Ahead>();

  constructor(
    offsets: ConsumerOffsetManager,
    store: Pick<MessageStore, 'flushedWhere' | 'whenFlushed' | 'flush' | 'failure' | 'isClosed'>,
    logger: StoreLogger,
  ) {
    this.#offsets = offsets;
    this.#store = store;
    this.#logger = logger;
  }

  /** Where the group goes on; -1 when it has no offset. */
  next(group: string, topic: string, queueId: number): number {
    const committed = this.#offsets.query(group, topic, queueId);
    const ahead = this.#ahead.get(queueKeyOf(topic, group, queueId));
    return ahead === undefined ? committed : Math.max(committed, ahead.offset);
  }

  /** `logEnd`: offset in the log; the new offset is committed when everything below it is on disk. */
  advance(
    group: string,
    topic: string,
    queueId: number,
    offset: number,
    logEnd: number,
    done: () => void = () => {},
  ): void {
    const key = queueKeyOf(topic, group, queueId);
    const ahead = this.#ahead.get(key);
    if (ahead !== undefined) {
      ahead.offset = offset;
      ahead.logEnd = Math.max(ahead.logEnd, logEnd);
      ahead.done.push(done);
      return;
    }
    if (logEnd <= this.#store.flushedWhere) {
      this.#offsets.commit(group, topic, queueId, offset);
      done();
      return;
    }
    const entry: Ahead = { group, topic, queueId, offset, logEnd, done: [done] };
    this.#ahead.set(key, entry);
    void this.#commitWhenFlushed(key, entry);
  }

  /** The group's offset was set to another place: what was on its way to be committed is not. */
  forget(group: string, topic: string, queueId: number): void {
    const key = queueKeyOf(topic, group, queueId);
    const ahead = this.#ahead.get(key);
    if (ahead !== undefined) this.#remove(key, ahead);
  }

  /** The same for all queues of a topic. */
  forgetAll(group: string, topic: string): void {
    for (const [key, entry] of [...this.#ahead]) {
      if (entry.group === group && entry.topic === topic) this.#remove(key, entry);
    }
  }

  /** Before the table of offsets is saved for the last time. */
  async stop(): Promise<void> {
    if (this.#ahead.size === 0 || this.#store.isClosed || this.#store.failure !== undefined) return;
    await this.#store.flush();
    for (const [key, entry] of [...this.#ahead]) this.#commit(key, entry);
  }

  async #commitWhenFlushed(key: string, entry: Ahead): Promise<void> {
    try {
      // More may come while it waits.
      while (this.#ahead.get(key) === entry && entry.logEnd > this.#store.flushedWhere) {
        await this.#store.whenFlushed(entry.logEnd);
      }
      this.#commit(key, entry);
    } catch (error) {
      // Nothing comes to the disk any more; the offset stays where it was, and the messages come again.
      this.#logger.warn(
        { err: error, group: entry.group, topic: entry.topic, queueId: entry.queueId },
        `an offset is not committed: ${(error as Error).message}`,
      );
      if (this.#ahead.get(key) === entry) this.#remove(key, entry);
    }
  }

  #commit(key: string, entry: Ahead): void {
    if (this.#ahead.get(key) !== entry) return;
    const { group, topic, queueId, offset } = entry;
    // An operator may have set another place.
    if (!this.#offsets.hasReset(group, topic, queueId)) this.#offsets.commit(group, topic, queueId, offset);
    this.#remove(key, entry);
  }

  #remove(key: string, entry: Ahead): void {
    this.#ahead.delete(key);
    for (const done of entry.done) done();
  }
}
