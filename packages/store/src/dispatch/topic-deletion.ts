import type { StoreContext } from '../base/context.ts';
import type { Deletions } from '../queue/deletions.ts';

export interface DeletionOptions {
  /** Also of a topic without a queue. */
  readonly isRecorded: boolean;
  /** Only when queue 0 still ends there. */
  readonly endsAt?: number | undefined;
  /** Begins in the turn in which the topic is gone; appends to it wait until it resolves. */
  readonly beforeNext?: (() => Promise<void>) | undefined;
}

export interface TopicDeletionParts {
  context: Pick<StoreContext, 'failure' | 'logger'>;
  deletions: Pick<Deletions, 'record'>;
  log: {
    /** End of what was appended, and where the log begins on disk; bytes. */
    maxOffset(): number;
    minOffset(): number;
    /** Resolves when everything below `offset` is on disk; rejects with the store's failure. */
    flushTo(offset: number): Promise<void>;
    /** From here on appends to the topic wait; those that wait for room already are refused. */
    hold(topic: string): void;
    release(topic: string): void;
  };
  queues: {
    has(topic: string): boolean;
    /** The number that the next message of the topic's queue 0 gets. */
    nextNumber(topic: string): number;
    /** Takes the topic's queues and its next numbers out of sight, in this turn of the event loop. */
    forget(topic: string): void;
    /** Resolves when the files of what was forgotten are gone on disk. */
    removeFiles(): Promise<void>;
    /** Resolves when the checkpoint does not expect their entries any more. */
    note(): Promise<void>;
  };
}

/**
 * Deletes topics, one after the other. What a crash may interrupt, in this order:
 *
 *   1 hold    appends to the topic wait, so that all its records lie below the log's present end
 *   2 flush   the log up to that end is on disk: no crash leaves a log that ends below it, on which what is appended
 *             anew would count as dead
 *   3 record  the deletion is on disk (deletions.json): from here on it holds
 *   4 forget  queues and numbers are gone from memory, the appends that wait go on with number 0
 *   5 remove  the queues' files are gone on disk
 *   6 note    the checkpoint does not expect their entries, so that no start reads the log again to look for them
 *
 * A crash before 3 leaves the topic as it was, one after it leaves a topic without its messages; either way nothing that
 * was acknowledged meanwhile is lost, for nothing was. Records that wait for their flush at the deletion are dispatched
 * after it, and dropped by their offset. docs/design/recovery.md has the cases.
 */
export class TopicDeletion {
  readonly #parts: TopicDeletionParts;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: TopicDeletionParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the deletion is *on disk* and in force. Rejects with the store's error when it could not be put on
   * record: then the topic is as it was, though a crash may still bring the deletion into force. A topic without queue
   * costs nothing, unless its deletion `isRecorded` in any case. False: queue 0 did not end at `endsAt`, and nothing was done.
   */
  delete(topic: string, options: DeletionOptions = { isRecorded: false }): Promise<boolean> {
    const { isRecorded, endsAt, beforeNext } = options;
    const { context, log, queues } = this.#parts;
    if (context.failure) return Promise.reject(context.failure);
    log.hold(topic);
    let isHeld = true;
    const release = (): void => {
      if (isHeld) log.release(topic);
      isHeld = false;
    };
    const run = this.#last
      .then(async () => {
        // Appends wait from here on, so the end stays where it is.
        if (endsAt !== undefined && queues.nextNumber(topic) !== endsAt) return false;
        if (isRecorded || queues.has(topic)) await this.#delete(topic, release, beforeNext);
        return true;
      })
      .finally(release);
    this.#last = run.then(
      () => {},
      () => {},
    );
    return run;
  }

  /** Resolves when the deletions that were begun have ended. */
  idle(): Promise<void> {
    return this.#last;
  }

  async #delete(topic: string, release: () => void, beforeNext: DeletionOptions['beforeNext']): Promise<void> {
    const { context, deletions, log, queues } = this.#parts;
    const deadBelow = log.maxOffset();
    await log.flushTo(deadBelow);
    await deletions.record(topic, deadBelow, log.minOffset());
    queues.forget(topic);
    try {
      await beforeNext?.();
    } catch (error) {
      const message = `${topic} is deleted, what belongs to it could not be: ${(error as Error).message}`;
      context.logger.warn({ topic, err: error }, message);
    }
    release();
    try {
      await queues.removeFiles();
      await queues.note();
    } catch (error) {
      // The deletion holds. A failed sync has failed the store, which says so.
      context.logger.warn(
        { topic, err: error },
        `the queues of the deleted topic ${topic} could not be removed, the next flush tries again`,
      );
    }
  }
}
