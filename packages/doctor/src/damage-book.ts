import type { Damage } from './log-walk.ts';

/** A queue entry whose record lies in a damaged stretch. */
export interface LostEntry {
  topic: string;
  queueId: number;
  queueOffset: number;
  phyOffset: number;
  size: number;
  /** Of an entry of a batch queue: how many messages the record held. */
  innerCount?: number;
  /** What says so: an entry of the queue, the damaged record itself, or the numbers of the records around. */
  by: 'entry' | 'record' | 'neighbours';
}

export interface BookedDamage extends Damage {
  /** The messages that were here, as the queues know them. */
  lost: LostEntry[];
  /** storeTimestamp of the good record in front of it, 0 without. */
  timeBefore: number;
}

/** The damaged stretches of a log in order, and which messages the queues say were in them. */
export class DamageBook {
  readonly list: BookedDamage[] = [];

  add(damage: Damage, timeBefore: number): BookedDamage {
    const booked = { ...damage, lost: [], timeBefore };
    this.list.push(booked);
    return booked;
  }

  /** The stretch that holds this offset in the log. */
  find(offset: number): BookedDamage | undefined {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle]!.to <= offset) low = middle + 1;
      else high = middle;
    }
    const found = this.list[low];
    return found !== undefined && offset >= found.from ? found : undefined;
  }
}
