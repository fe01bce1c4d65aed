import type { Held, PopSent } from './pop-model.ts';
import { Violation } from './violation.ts';

/** What a group knows of a message. */
export class State {
  /** `unknown`: it was asked for, and it may hold or not. `done`: the message must not come again. */
  ack: 'none' | 'unknown' | 'done' = 'none';
  /** `done` whatever happens to the machine. */
  isAckOnDisk = false;
  /** There may be more than one copy of it on its way. */
  isDoubled = false;
  /** Its topic may be gone, and a copy of it not. */
  mayComeDead = false;
  /** It has come a second time, because its time was over. */
  hasExpired = false;
  /** Another one when the group was put to another place: what is known of deliveries from before does not count. */
  generation = 0;
  last: Held | undefined;

  /** Over the end of a life a redelivery may be made twice: the place of the revive topic passes no checkpoint that waits. */
  lifeEnded(clean: boolean, now: number, epoch: number, isOrdered: boolean): void {
    if (clean) this.isAckOnDisk = true;
    const { last } = this;
    const mayHaveExpired = last !== undefined && this.ack !== 'done' && (last.until <= now || last.epoch !== epoch);
    if (mayHaveExpired || this.hasExpired) this.isDoubled = !isOrdered;
  }
}

export interface PopGroupOptions {
  name: string;
  topic: string;
  /** Those that it wants. */
  tags: readonly string[];
  isOrdered: boolean;
}

/** A consumer group of PopModel in its topic. */
export class PopGroup {
  readonly name: string;
  readonly topic: string;
  readonly tags: readonly string[];
  readonly isOrdered: boolean;
  readonly #states = new Map<number, State>();
  /** In order, by queue: the last one, as it was given. */
  readonly batches = new Map<number, Held[]>();
  /** How often it was put to another place. */
  resetCount = 0;
  /** It was deleted, and has not popped since. */
  isLoose = false;

  constructor({ name, topic, tags, isOrdered }: PopGroupOptions) {
    this.name = name;
    this.topic = topic;
    this.tags = tags;
    this.isOrdered = isOrdered;
  }

  states(): Iterable<State> {
    return this.#states.values();
  }

  stateOf(id: number): State {
    let state = this.#states.get(id);
    if (state === undefined) {
      state = new State();
      this.#states.set(id, state);
    }
    return state;
  }

  /** `comes`: it has to come again; undefined: nobody knows whether. */
  begunAnew(id: number, comes: boolean | undefined): void {
    const state = this.stateOf(id);
    this.mayBeginAnew(state);
    state.ack = comes === true ? 'none' : 'unknown';
  }

  mayBeginAnew(state: State): void {
    state.generation++;
    // In order there are no copies.
    state.isDoubled = !this.isOrdered;
    if (state.ack === 'done') state.ack = 'unknown';
  }

  /**
   * What ends behind `rolled` by the new clock is put back in the timer wheel, an ack perhaps before its checkpoint, which then
   * knows nothing of it.
   */
  clockWasSet(rolled: number): void {
    for (const state of this.#states.values()) {
      if (state.ack === 'done' && state.last !== undefined && state.last.until > rolled) state.ack = 'unknown';
    }
  }

  /** Acks that a crash may have taken hold no more. */
  recovered(isCacheKept: boolean, syncFlush: boolean): void {
    this.batches.clear();
    if (syncFlush) return;
    for (const state of this.#states.values()) {
      // Checkpoints, acks and copies of any time may be gone, each without the others.
      if (!isCacheKept) state.isDoubled = !this.isOrdered;
      if (state.ack !== 'done' || state.isAckOnDisk) continue;
      // Acks in order are saved with their table.
      if (isCacheKept && !this.isOrdered) state.isAckOnDisk = true;
      else state.ack = 'unknown';
    }
  }

  /**
   * A message has come. `now`: Unix milliseconds, by the broker's clock; the pop may have begun before the message was free.
   * Throws a Violation.
   */
  delivered(held: Held, now: number, acksOnDisk: boolean): void {
    const { sent } = held;
    const state = this.stateOf(sent.id);
    const { last } = state;
    const what = `message ${sent.id} (${held.topic}-${held.queueId}, offset ${held.queueOffset})`;
    if (state.ack === 'done' && !state.isDoubled) throw new Violation(`${what} comes to ${this.name} after its ack`);
    const isKnown = last?.isTimed === true && last.epoch === held.epoch && last.generation === state.generation;
    // Of deliveries in order, and of those that no disk has, the next process knows nothing.
    // In order a message that is acknowledged blocks nothing, and comes with one in front of it that is not.
    const isBlocking = !this.isOrdered || last?.isAckSent === false;
    const isHere = last?.life === held.life || (acksOnDisk && !this.isOrdered);
    if (last !== undefined && isKnown && isHere && isBlocking && !state.isDoubled && now < last.until) {
      throw new Violation(`${what} comes to ${this.name} at ${now}, somebody has it until ${last.until}`);
    }
    if (last !== undefined) state.hasExpired = true;
    // A pop whose answer nobody got gave it before; over a crash its copy may have been put twice.
    if (last === undefined && held.topic !== this.topic) state.isDoubled = !this.isOrdered;
    // Nobody knows when its time was over.
    if (last !== undefined && last.epoch !== held.epoch) state.isDoubled = !this.isOrdered;
    state.last = held;
    this.isLoose = false;
  }

  /** Its time was to be changed: the new checkpoint may be there, and the old one not be ended. */
  notChanged({ sent }: Held): void {
    const state = this.stateOf(sent.id);
    if (state.ack !== 'done') state.isDoubled = !this.isOrdered;
  }

  /** An ack is sent. */
  acking(held: Held): void {
    const { sent, generation } = held;
    const state = this.stateOf(sent.id);
    held.isAckSent = true;
    // While its time is being changed, the ack is of a handle that is about to be replaced.
    held.isAckOfOld = !held.isTimed;
    // What was given before the group was put back comes again, whoever acknowledges it. In order, while nobody knows the last
    // batch, an ack of the message at which the group stands counts whatever it was given by; and handles of two deliveries in
    // one millisecond are the same.
    const batch = this.batches.get(held.queueId);
    const alike = batch?.find((one) => one.sent === sent && isOfOneTime(one, held));
    if (alike !== undefined) alike.isAckSent = true;
    const mayCount = this.isOrdered && (batch === undefined || alike !== undefined);
    const isOfNow = generation < 0 || generation === state.generation;
    if (state.ack === 'none' && (isOfNow || mayCount)) state.ack = 'unknown';
  }

  /** It was answered that it is done. `now`: Unix milliseconds. True when the message must not come again. */
  acknowledged(held: Held, now: number, epoch: number, isOnDisk: boolean): boolean {
    const state = this.stateOf(held.sent.id);
    const isCurrent = state.last === held && held.generation === state.generation && !held.isAckOfOld;
    if (!isCurrent || state.isDoubled || held.epoch !== epoch || now >= held.until) return false;
    if (!this.isOrdered) return this.#ended(state, isOnDisk);
    const batch = this.batches.get(held.queueId);
    if (batch === undefined || !batch.includes(held)) return false;
    held.isTold = true;
    // An ack counts when all in front of it are there.
    for (const other of batch) {
      if (!other.isTold) break;
      this.#ended(this.stateOf(other.sent.id), isOnDisk);
    }
    return state.ack === 'done';
  }

  #ended(state: State, isOnDisk: boolean): boolean {
    state.ack = 'done';
    state.isAckOnDisk = isOnDisk;
    return true;
  }

  /** In order: one answer's messages of one queue. Throws a Violation. */
  gaveBatch(batch: readonly Held[], now: number, sentTo: Iterable<PopSent>, isGone: (sent: PopSent) => boolean): void {
    const [first] = batch as [Held];
    const { queueId, queueOffset, life, epoch } = first;
    for (const [i, held] of batch.entries()) {
      if (held.queueOffset === queueOffset + i) continue;
      throw new Violation(`in order: after ${queueOffset + i - 1} of queue ${queueId} comes ${held.queueOffset}`);
    }
    for (const sent of sentTo) {
      if (sent.queueId !== queueId || sent.queueOffset === undefined || sent.queueOffset >= queueOffset) continue;
      if (isGone(sent) || !sent.isAppended || this.stateOf(sent.id).ack !== 'none') continue;
      throw new Violation(
        `in order: ${queueOffset} of queue ${queueId} is given, and message ${sent.id} at ${sent.queueOffset} was not acknowledged`,
      );
    }
    for (const held of this.batches.get(queueId) ?? []) {
      const isKnown = held.isTimed && held.life === life && held.epoch === epoch && !held.isAckSent;
      const isOpen = held.generation === this.stateOf(held.sent.id).generation;
      if (isKnown && isOpen && now < held.until) {
        throw new Violation(`in order: queue ${queueId} is given at ${now}, and is blocked until ${held.until}`);
      }
    }
    this.batches.set(queueId, [...batch]);
  }
}

const isOfOneTime = (a: Held, b: Held): boolean => a.handle.popTime === b.handle.popTime;
