import type { Client } from './client.ts';

/** Members told in one turn of the event loop, all groups together: a millisecond or two. */
export const NOTICES_A_TURN = 256;

/** One telling of a group's members. */
interface Round {
  clients: Client[];
  /** Those before this index have been told. */
  told: number;
  /** The group has changed since the round began. */
  changed: boolean;
}

/**
 * Tells the members of consumer groups that their group has changed.
 *
 * The first change in a turn of the event loop is told at once, before the member that caused it gets its answer: the
 * others then give up their queues, and commit their offsets, before the new one asks where to begin. Changes while a
 * group is told, or later in the turn, are told once, afterwards: a thousand consumers that start together would
 * otherwise get half a million notices. And no turn has more than so many, so that a group of thousands that comes or goes
 * keeps nobody else waiting; its members then hear of it over some turns.
 */
export class MemberNotices {
  readonly #membersOf: (group: string) => Iterable<Client>;
  /** In the order in which the groups changed. */
  readonly #rounds = new Map<string, Round>();
  #left = NOTICES_A_TURN;
  #isScheduled = false;

  constructor(membersOf: (group: string) => Iterable<Client>) {
    this.#membersOf = membersOf;
  }

  changed(group: string): void {
    const round = this.#rounds.get(group);
    if (round !== undefined) {
      round.changed = true;
      return;
    }
    this.#begin(group);
    this.#tell();
    this.#schedule();
  }

  #begin(group: string): void {
    this.#rounds.set(group, { clients: [...this.#membersOf(group)], told: 0, changed: false });
  }

  #tell(): void {
    for (const [group, round] of this.#rounds) {
      const { clients } = round;
      while (round.told < clients.length) {
        if (this.#left === 0) return;
        this.#left--;
        const client = clients[round.told++] as Client;
        if (!client.isGone) client.notifyConsumerIdsChanged(group);
      }
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#endTurn();
    });
  }

  #endTurn(): void {
    this.#left = NOTICES_A_TURN;
    for (const [group, round] of [...this.#rounds]) {
      if (round.told < round.clients.length) continue;
      this.#rounds.delete(group);
      if (round.changed) this.#begin(group);
    }
    this.#tell();
    if (this.#rounds.size > 0) this.#schedule();
  }
}
