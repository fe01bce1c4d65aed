import type { MessageStore, StoredMessage } from '@vernier/store';
import { PopGroup } from './pop-group.ts';
import type { PopHandle } from './pop-handles.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { idOfBody, newSent, type SenderOptions, type Sent, survives } from './sent.ts';
import { TIMER_PRECISION_MS, TIMER_ROLL_SLOTS } from './timers.ts';
import { Violation } from './violation.ts';

export const POPPED_TOPIC = 'Popped';
export const ORDERED_TOPIC = 'Popped-in-order';
export const POP_TOPICS: readonly string[] = [POPPED_TOPIC, ORDERED_TOPIC];
export const POP_QUEUES = 3;
export const TAGS: readonly string[] = ['red', 'green', 'blue'];
const TIMER_TOPIC = 'rmq_sys_wheel_timer';
const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster';

/** One takes everything, one what has a tag, one in order. */
const groups = (): PopGroup[] => [
  new PopGroup({ name: 'poppers', topic: POPPED_TOPIC, tags: TAGS, isOrdered: false }),
  new PopGroup({ name: 'filterers', topic: POPPED_TOPIC, tags: ['red', 'green'], isOrdered: false }),
  new PopGroup({ name: 'in-order', topic: ORDERED_TOPIC, tags: TAGS, isOrdered: true }),
];

/** What PopModel judges, and Model does not. */
export const popTopics: ReadonlySet<string> = new Set([
  ...[...POP_TOPICS, TIMER_TOPIC, REVIVE_TOPIC],
  ...groups().flatMap(({ name, topic }) => [`%RETRY%${name}_${topic}`, `%RETRY%${name}+${topic}`]),
]);

export interface PopSent extends Sent {
  readonly tag: string;
}

/** A message as one consumer has it. */
export interface Held {
  readonly group: PopGroup;
  readonly sent: PopSent;
  /** The queue that it lies in, which may be one of retries. */
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  handle: PopHandle;
  /** Unix milliseconds: nobody else gets it before. */
  until: number;
  /** False while nobody knows until when it is: its time is being changed. */
  isTimed: boolean;
  /** An ack was sent. */
  isAckSent: boolean;
  isAckOfOld: boolean;
  /** In order: it was acknowledged, and the message only counts as such when all in front of it are. */
  isTold: boolean;
  readonly life: number;
  /** Of the clock, see PopModel.epoch. */
  readonly epoch: number;
  readonly generation: number;
}

export interface FoundPops {
  messages: ReadonlyMap<string, readonly StoredMessage[]>;
  minPhyOffset: number;
  killed: boolean;
}

/**
 * What consumers that pop know, and those who send to them. Whatever ends the process:
 *
 * - A message that was stored and not acknowledged comes again, at the latest a second after its time, and not before it.
 * - One whose acknowledgement was answered in its time does not. Exceptions: there may be a second copy of it, because a
 *   crash came between a redelivery and the save of its place or into a change of its time, or because the disk did not say
 *   whether a checkpoint is there; the group was put back, or deleted; its clock was set.
 * - In order nothing is given that stands behind a message that is not acknowledged.
 * - After a reset everything from the new offset on comes; a deleted group begins anew; what was deleted with its topic does
 *   not come in the topic that is made again.
 */
export class PopModel {
  readonly options: SenderOptions;
  readonly groups = groups();
  /** Those of all lives, as far as they are not acknowledged. */
  held: Held[] = [];
  /** Those whose times are being changed, whether somebody has acknowledged them or not. */
  readonly changing = new Set<Held>();
  readonly #sent = new Map<number, PopSent>();
  /** By topic: the end of its dead records in the log; of deletions that were begun, and of those that were answered. */
  readonly #deadBelow = new Map<string, number>();
  readonly #begunBelow = new Map<string, number>();
  readonly #answeredBelow = new Map<string, number>();
  #scheduler: Scheduler | undefined;
  #store: Pick<MessageStore, 'minPhyOffset' | 'maxPhyOffset'> | undefined;
  /** Resets and deletions of groups that are not answered. */
  readonly #resets: PopGroup[] = [];
  #nextId = 1;
  #life = 0;
  #epoch = 0;
  #lastNow = 0;
  #lastStep = 0;
  /** The latest end of an invisible time. */
  latest = 0;
  deliveredTotal = 0;
  redeliveredTotal = 0;
  /** Acknowledgements after which the message must not come again. */
  endedTotal = 0;

  constructor(options: SenderOptions) {
    this.options = options;
  }

  startLife(scheduler: Scheduler, store: Pick<MessageStore, 'minPhyOffset' | 'maxPhyOffset'>): void {
    this.#scheduler = scheduler;
    this.#store = store;
    this.#life++;
    this.epoch();
  }

  get life(): number {
    return this.#life;
  }

  get now(): number {
    return this.#scheduler!.now();
  }

  /** Another one after each step of the clock: no rule about times holds across. */
  epoch(): number {
    const { now } = this;
    const step = now - this.#scheduler!.time;
    if (step !== this.#lastStep || now < this.#lastNow) {
      this.#epoch++;
      for (const group of this.groups) group.clockWasSet(now + TIMER_ROLL_SLOTS * TIMER_PRECISION_MS);
    }
    this.#lastStep = step;
    this.#lastNow = now;
    return this.#epoch;
  }

  begin(topic: string, queueId: number, tag: string): PopSent {
    const sent = { ...newSent(this.#nextId++, topic, queueId), tag };
    this.#sent.set(sent.id, sent);
    return sent;
  }

  *sentTo(topic: string): Iterable<PopSent> {
    for (const sent of this.#sent.values()) if (sent.topic === topic) yield sent;
  }

  known({ body, commitLogOffset }: { body: Buffer; commitLogOffset: number }): PopSent {
    const sent = this.#sent.get(idOfBody(body));
    if (sent === undefined) throw new Violation(`a message that nobody sent, at ${commitLogOffset} of the log`);
    return sent;
  }

  /** It went with its topic. */
  isDead({ topic, logOffset }: Sent): boolean {
    return logOffset !== undefined && logOffset < (this.#deadBelow.get(topic) ?? 0);
  }

  /** The same, or its file has expired. */
  isGone(sent: Sent): boolean {
    return this.isDead(sent) || (sent.logOffset ?? 0) < this.#store!.minPhyOffset;
  }

  /** It went with its topic, and the operator was told so. */
  isDeletionAnswered({ topic, logOffset }: Sent): boolean {
    return logOffset !== undefined && logOffset < (this.#answeredBelow.get(topic) ?? 0);
  }

  deletionBegun(topic: string, logEnd: number): void {
    this.#begunBelow.set(topic, logEnd);
  }

  /** The store has deleted it. */
  deletionHolds(topic: string): void {
    this.#deadBelow.set(topic, this.#begunBelow.get(topic) ?? 0);
    for (const group of this.groups) {
      if (group.topic === topic) group.batches.clear();
      // Nothing says that the group has messages of the topic in a retry topic, once its offsets are gone.
      if (group.topic === topic && group.isLoose) for (const state of group.states()) state.mayComeDead = true;
    }
  }

  deletionAnswered(topic: string): void {
    this.#answeredBelow.set(topic, this.#deadBelow.get(topic) ?? 0);
  }

  /** A checkpoint, an ack or a copy of which nobody was told whether it is there. */
  uncertain(): void {
    for (const group of this.groups) {
      for (const sent of this.sentTo(group.topic)) {
        const state = group.stateOf(sent.id);
        if (state.ack !== 'done') state.isDoubled = true;
      }
    }
  }

  /** A consumer drops what it holds: it would not be told the truth about it any more. */
  forget(held: Held): void {
    this.held = this.held.filter((other) => other !== held);
  }

  any(random: Random, isWanted: (held: Held) => boolean = () => true): Held | undefined {
    const held = this.held.filter(isWanted);
    return held.length === 0 ? undefined : random.pick(held);
  }

  /** Offsets are set; by queue where to. In the turn of the event loop in which the broker does it. */
  resetAssigned(name: string, topic: string, targets: ReadonlyMap<number, number>): void {
    const group = this.group(name, topic);
    for (const sent of this.sentTo(topic)) {
      const target = targets.get(sent.queueId);
      if (group === undefined || target === undefined) continue;
      const isAfter = sent.queueOffset === undefined ? undefined : sent.queueOffset >= target;
      group.begunAnew(sent.id, isAfter);
    }
    if (group === undefined) return;
    group.resetCount++;
    for (const queueId of targets.keys()) group.batches.delete(queueId);
  }

  /** An operator puts a group to another place, or deletes it. */
  beginReset(group: PopGroup): void {
    this.#resets.push(group);
  }

  /** Without an answer nobody knows whether that holds. */
  endReset(group: PopGroup, isDone: boolean): void {
    this.#resets.splice(this.#resets.indexOf(group), 1);
    if (isDone) return;
    for (const state of group.states()) if (state.ack === 'none') state.ack = 'unknown';
  }

  /** While its deletion goes on, a topic may be there again: what was popped and acknowledged of it meanwhile may come again. */
  offsetsRemoved(topic: string): void {
    for (const group of this.groups) {
      if (group.topic !== topic) continue;
      for (const state of group.states()) group.mayBeginAnew(state);
      group.batches.clear();
      group.resetCount++;
    }
  }

  groupRemoved(name: string): void {
    for (const group of this.groups) {
      if (group.name !== name) continue;
      for (const sent of this.sentTo(group.topic)) group.begunAnew(sent.id, true);
      group.batches.clear();
      group.resetCount++;
      group.isLoose = true;
    }
  }

  group(name: string, topic: string): PopGroup | undefined {
    return this.groups.find((group) => group.name === name && group.topic === topic);
  }

  ended(clean: boolean): void {
    if (this.#scheduler === undefined) return;
    for (const group of [...this.#resets]) this.endReset(group, false);
    for (const held of this.changing) held.group.notChanged(held);
    this.changing.clear();
    const epoch = this.epoch();
    const { now } = this;
    if (clean) for (const sent of this.#sent.values()) if (sent.isAppended) sent.isPromised = true;
    for (const group of this.groups)
      for (const state of group.states()) state.lifeEnded(clean, now, epoch, group.isOrdered);
  }

  /** After a recovery that nothing disturbs, before its broker does anything. From then on what it found are the facts. */
  check({ messages, minPhyOffset, killed }: FoundPops): void {
    const found = new Set<number>();
    // What is appended from here on lies behind the log's present end.
    const { maxPhyOffset } = this.#store!;
    for (const ends of [this.#deadBelow, this.#answeredBelow]) {
      for (const [topic, below] of ends) ends.set(topic, Math.min(below, maxPhyOffset));
    }
    // A deletion holds only when the log up to its end is on disk.
    for (const [topic, below] of this.#begunBelow) if (below > maxPhyOffset) this.#begunBelow.delete(topic);
    for (const list of messages.values()) {
      for (const message of list) {
        if (!POP_TOPICS.includes(message.topic)) continue;
        const sent = this.known(message);
        const place = `${message.topic}-${message.queueId}`;
        if (sent.queueId !== message.queueId || sent.topic !== message.topic) {
          throw new Violation(`message ${sent.id} for ${sent.topic}-${sent.queueId} is in ${place}`);
        }
        if (this.isDead(sent)) throw new Violation(`message ${sent.id} was deleted with its topic and is in ${place}`);
        found.add(sent.id);
        // The deletion that a crash came into does not hold.
        if (message.commitLogOffset < (this.#begunBelow.get(sent.topic) ?? 0)) this.#begunBelow.delete(sent.topic);
        Object.assign(sent, { isPromised: true, isAppended: true });
        Object.assign(sent, { logOffset: message.commitLogOffset, queueOffset: message.queueOffset });
      }
    }
    for (const sent of [...this.#sent.values()]) {
      if (found.has(sent.id) || this.isDead(sent)) continue;
      const { topic, logOffset } = sent;
      const isDeleted = logOffset !== undefined && logOffset < (this.#begunBelow.get(topic) ?? 0);
      if (isDeleted) this.#deadBelow.set(topic, this.#begunBelow.get(topic)!);
      else if (logOffset !== undefined && logOffset < minPhyOffset) continue;
      else if (survives(sent, killed, this.options))
        throw new Violation(`message ${sent.id} was acknowledged and is gone`);
      else this.#sent.delete(sent.id);
    }
    this.#begunBelow.clear();
    // Of what ASYNC_FLUSH lost: another message has its number, and in order an ack would be taken for that one's.
    this.held = this.held.filter(({ sent }) => this.#sent.has(sent.id));
    for (const group of this.groups) group.recovered(killed && !this.options.asyncInMemory, this.options.syncFlush);
  }

  /** Nothing is left, and nothing waits: what was stored has been with every group. */
  checkEnd(): void {
    for (const group of this.groups) {
      for (const sent of this.sentTo(group.topic)) {
        const isWanted = sent.isPromised && group.tags.includes(sent.tag) && group.stateOf(sent.id).ack === 'none';
        if (!isWanted || this.isGone(sent)) continue;
        const place = `${sent.topic}-${sent.queueId}, offset ${sent.queueOffset}`;
        throw new Violation(`message ${sent.id} (${place}) was stored, and never comes to ${group.name}`);
      }
    }
  }
}
