/** Gives the lock back; a second call does nothing. */
export type Unlock = () => void;

/**
 * One at a time for each queue of a group: pops, acks in order and changes of them (RocketMQ QueueLockManager). Who waits
 * gets the lock in turn. Bounded by the requests under way.
 */
export class QueueLocks {
  /** Those who hold a lock, and who waits for it. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Undefined when somebody holds it. */
  tryLock(key: string): Unlock | undefined {
    if (this.#waiting.has(key)) return undefined;
    this.#waiting.set(key, []);
    return this.#unlockOnce(key);
  }

  async lock(key: string): Promise<Unlock> {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, []);
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return this.#unlockOnce(key);
  }

  /** Runs `act` alone; resolves or rejects as it does. */
  async run<Result>(key: string, act: () => Result | Promise<Result>): Promise<Result> {
    const unlock = await this.lock(key);
    try {
      return await act();
    } finally {
      unlock();
    }
  }

  #unlockOnce(key: string): Unlock {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.get(key)?.shift();
      if (next === undefined) this.#waiting.delete(key);
      else next();
    };
  }
}

/** The queue of a group. */
export const queueKeyOf = (topic: string, group: string, queueId: number): string => `${topic}@${group}@${queueId}`;
