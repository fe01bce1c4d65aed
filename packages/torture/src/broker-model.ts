import { Violation } from './violation.ts';

/** As ConsumerOffsetManager.query answers without an offset. */
export const NONE = -1;

interface QueueOffset {
  current: number;
  /** What a crash may leave: everything since the last time that something was taken back. */
  allowed: Set<number>;
  /** Taken back, and nobody was told yet that it is. */
  fading: Set<number>;
  ever: Set<number>;
}

/**
 * What consumers and operators of one group were told by a broker. A commit lives in memory until a save, so that a crash
 * may leave an earlier one. What an operator takes back (by deleting a topic or the group, by setting the group back) does
 * not return once the request is answered.
 */
export class BrokerModel {
  readonly #offsets = new Map<string, QueueOffset>();
  /** The group was deleted, the operator was told, and nobody has used it since. */
  #isGroupGone = false;
  #isGroupUsed = false;

  current(queue: string): number {
    return this.#offset(queue).current;
  }

  committed(queue: string, offset: number): void {
    const { allowed, ever } = this.#offset(queue);
    allowed.add(offset);
    ever.add(offset);
    this.#offset(queue).current = offset;
  }

  /** In the turn of the event loop in which the broker does it: what follows is `offset`. */
  takenBack(isTaken: (queue: string) => boolean, offset: number): void {
    for (const [queue, { allowed, fading }] of this.#offsets) {
      if (!isTaken(queue)) continue;
      for (const value of allowed) fading.add(value);
      allowed.clear();
      this.committed(queue, offset);
    }
  }

  /** The request that took it back is answered. */
  answered(isTaken: (queue: string) => boolean): void {
    for (const [queue, { fading }] of this.#offsets) if (isTaken(queue)) fading.clear();
  }

  /** Its messages from `end` on are lost: a start puts an offset behind it there. */
  endsAt(queue: string, end: number): void {
    const { allowed, ever } = this.#offset(queue);
    if ([...ever].some((offset) => offset > end)) allowed.add(end);
  }

  /** What a start found; `isBackup`: in the copy before the table. */
  found(queue: string, offset: number, isBackup: boolean): void {
    const known = this.#offset(queue);
    const isAllowed = known.allowed.has(offset) || known.fading.has(offset) || (isBackup && known.ever.has(offset));
    if (!isAllowed) {
      const why = known.ever.has(offset) ? 'was taken back' : 'nobody committed';
      throw new Violation(`${queue}: the table has the offset ${offset}, which ${why}`);
    }
    known.current = offset;
    known.allowed.add(offset);
  }

  groupRemoved(): void {
    this.#isGroupUsed = false;
  }

  groupUsed(): void {
    this.#isGroupUsed = true;
    this.#isGroupGone = false;
  }

  groupDeletionAnswered(): void {
    this.#isGroupGone = !this.#isGroupUsed;
  }

  groupFound(isThere: boolean, isBackup: boolean): void {
    if (isThere && this.#isGroupGone && !isBackup) {
      throw new Violation('the consumer group was deleted, nobody has used it since, and after a start it is there');
    }
    if (isThere) this.#isGroupGone = false;
  }

  #offset(queue: string): QueueOffset {
    let offset = this.#offsets.get(queue);
    if (offset === undefined) {
      offset = { current: NONE, allowed: new Set([NONE]), fading: new Set(), ever: new Set([NONE]) };
      this.#offsets.set(queue, offset);
    }
    return offset;
  }
}
