import type { MessageQueue } from '@vernier/remoting';
import { type Budget, textBytes } from '../base/budget.ts';

interface LockEntry {
  clientId: string;
  /** Milliseconds of the clock when the lock was taken or renewed. */
  renewedAt: number;
}

const keyOf = (queue: MessageQueue): string => `${queue.topic}@${queue.brokerName}@${queue.queueId}`;

const groupBytes = (group: string): number => 200 + textBytes(group);
const lockBytes = (key: string, clientId: string): number => 120 + textBytes(key) + textBytes(clientId);

/** RocketMQ's lease. A longer one keeps a queue longer, and says nothing of who consumes now: clients renew each 20 seconds. */
const RENEWED_WITHIN_MS = 60_000;

/**
 * Leases of queues to orderly consumers (RocketMQ RebalanceLockManager). They live in memory alone: after a restart the
 * first to ask gets the queue, as after the lease's end.
 */
export class RebalanceLockManager {
  readonly #groups = new Map<string, Map<string, LockEntry>>();
  readonly #leaseMs: number;
  readonly #now: () => number;
  readonly #budget: Budget;
  #sweptAt: number;

  constructor(leaseMs: number, now: () => number, budget: Budget) {
    this.#leaseMs = leaseMs;
    this.#now = now;
    this.#budget = budget;
    this.#sweptAt = now();
  }

  /**
   * Takes or renews each queue that is free, expired or the client's own; returns those it holds now. A queue for whose
   * lock there is no room (queueLockBytesMax) is not locked.
   */
  lock(group: string, clientId: string, queues: readonly MessageQueue[]): MessageQueue[] {
    const now = this.#now();
    if (now - this.#sweptAt > this.#leaseMs) this.#sweep(now);
    let locks = this.#groups.get(group);
    if (locks === undefined) {
      if (!this.#budget.hasRoomFor(groupBytes(group))) return [];
      this.#budget.add(groupBytes(group));
      locks = new Map();
      this.#groups.set(group, locks);
    }
    const held: MessageQueue[] = [];
    for (const queue of queues) {
      const key = keyOf(queue);
      const entry = locks.get(key);
      if (entry !== undefined && entry.clientId !== clientId && !this.#isExpired(entry, now)) continue;
      const bytes = lockBytes(key, clientId) - (entry === undefined ? 0 : lockBytes(key, entry.clientId));
      if (!this.#budget.take(bytes)) continue;
      locks.set(key, { clientId, renewedAt: now });
      held.push(queue);
    }
    this.#forgetEmpty(group, locks);
    return held;
  }

  /** Locks whose lease is over, of clients that never came back. */
  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const [group, locks] of this.#groups) {
      for (const [key, entry] of locks) if (this.#isExpired(entry, now)) this.#free(locks, key, entry);
      this.#forgetEmpty(group, locks);
    }
  }

  #free(locks: Map<string, LockEntry>, key: string, entry: LockEntry): void {
    locks.delete(key);
    this.#budget.give(lockBytes(key, entry.clientId));
  }

  #forgetEmpty(group: string, locks: Map<string, LockEntry>): void {
    if (locks.size > 0 || !this.#groups.delete(group)) return;
    this.#budget.give(groupBytes(group));
  }

  /** Frees the queues that this client holds; others' stay. */
  unlock(group: string, clientId: string, queues: readonly MessageQueue[]): void {
    const locks = this.#groups.get(group);
    if (locks === undefined) return;
    for (const queue of queues) {
      const key = keyOf(queue);
      const entry = locks.get(key);
      if (entry?.clientId === clientId) this.#free(locks, key, entry);
    }
    this.#forgetEmpty(group, locks);
  }

  /** A consumer of the group has locked a queue, or renewed a lock, within the last minute. */
  isConsumedInOrder(group: string): boolean {
    const now = this.#now();
    for (const { renewedAt } of this.#groups.get(group)?.values() ?? []) {
      if (now - renewedAt <= Math.min(this.#leaseMs, RENEWED_WITHIN_MS)) return true;
    }
    return false;
  }

  #isExpired(entry: LockEntry, now: number): boolean {
    return now - entry.renewedAt > this.#leaseMs;
  }
}
