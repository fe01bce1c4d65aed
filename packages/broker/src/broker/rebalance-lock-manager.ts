import type { MessageQueue } from '@vernier/remoting';

interface LockEntry {
  clientId: string;
  /** Milliseconds of the clock when the lock was taken or renewed. */
  renewedAt: number;
}

const keyOf = (queue: MessageQueue): string => `${queue.topic}@${queue.brokerName}@${queue.queueId}`;

/**
 * Leases of queues to orderly consumers (RocketMQ RebalanceLockManager). They live in memory alone: after a restart the
 * first to ask gets the queue, as after the lease's end.
 */
export class RebalanceLockManager {
  readonly #groups = new Map<string, Map<string, LockEntry>>();
  readonly #leaseMs: number;
  readonly #now: () => number;

  constructor(leaseMs: number, now: () => number) {
    this.#leaseMs = leaseMs;
    this.#now = now;
  }

  /** Takes or renews each queue that is free, expired or the client's own; returns those it holds now. */
  lock(group: string, clientId: string, queues: readonly MessageQueue[]): MessageQueue[] {
    const now = this.#now();
    let locks = this.#groups.get(group);
    if (locks === undefined) {
      locks = new Map();
      this.#groups.set(group, locks);
    }
    const held: MessageQueue[] = [];
    for (const queue of queues) {
      const key = keyOf(queue);
      const entry = locks.get(key);
      if (entry !== undefined && entry.clientId !== clientId && !this.#isExpired(entry, now)) continue;
      locks.set(key, { clientId, renewedAt: now });
      held.push(queue);
    }
    if (locks.size === 0) this.#groups.delete(group);
    return held;
  }

  /** Frees the queues that this client holds; others' stay. */
  unlock(group: string, clientId: string, queues: readonly MessageQueue[]): void {
    const locks = this.#groups.get(group);
    if (locks === undefined) return;
    for (const queue of queues) {
      const key = keyOf(queue);
      if (locks.get(key)?.clientId === clientId) locks.delete(key);
    }
    if (locks.size === 0) this.#groups.delete(group);
  }

  /** No consumer of the group holds a queue: it does not consume orderly. */
  isLockAllExpired(group: string): boolean {
    const locks = this.#groups.get(group);
    if (locks === undefined) return true;
    const now = this.#now();
    for (const entry of locks.values()) if (!this.#isExpired(entry, now)) return false;
    this.#groups.delete(group);
    return true;
  }

  #isExpired(entry: LockEntry, now: number): boolean {
    return now - entry.renewedAt > this.#leaseMs;
  }
}
