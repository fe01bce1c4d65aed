import assert from 'node:assert';
import type { Clock, MessageExt, MessageStore, QueueEntry, StoreLogger } from '@vernier/store';
import { decodeMessage, ServiceLoop } from '@vernier/store/internal';
import type { Place, PlaceTable } from './follow-places.ts';

/** What an action did with the messages it was given. */
export interface FollowProgress {
  /** So many from the front are done and will not be given again. */
  readonly done: number;
  /** The rest is to be given again after so many milliseconds: it is not time for it yet. Without it, at once. */
  readonly waitMs?: number;
}

/**
 * What is to be done with the messages of a queue, a few at a time, in their order. It may be given a message again that is
 * done already: when the process ended before the place was saved. A rejection is a failure, and all of the messages are
 * given again later; so is a message that can never be done, until the action says that it is. `signal` aborts when the
 * follower stops or is reset: the action then ends soon, and may reject.
 */
export type FollowAction = (messages: readonly MessageExt[], signal: AbortSignal) => Promise<FollowProgress>;

export interface FollowOptions {
  /** Unique in the broker, the same after a restart: the place is kept under it. */
  readonly name: string;
  readonly topic: string;
  readonly queueId: number;
  readonly act: FollowAction;
  /**
   * How many milliseconds the message of this entry is to wait from now on; 0 and less: none. Asked before the message is
   * read, so that one that waits costs nothing but this question, which is asked again when the time is up. What stands
   * behind it waits too. A rejection is a failure.
   */
  readonly waitMs?: (entry: QueueEntry, queueOffset: number) => number | Promise<number>;
  /**
   * Where its place is kept, when not with those of the others: for an action that has to be given, after a restart,
   * messages that it was given before.
   */
  readonly places?: PlaceTable;
  /** Where a follower begins that has no place yet; default `start`, the oldest message there is. */
  readonly from?: 'start' | 'end';
  /** Messages given at a time, default 32; the store's transfer limits bound their bytes. */
  readonly messagesMax?: number;
  /** After a failure, milliseconds, doubled with each one that follows; default 100. */
  readonly retryMs?: number;
  /** Default 30,000. */
  readonly retryMsMax?: number;
}

/** What a follower needs of the store. */
export type FollowedStore = Pick<
  MessageStore,
  | 'getMessage'
  | 'getMinOffsetInQueue'
  | 'getMaxOffsetInQueue'
  | 'getMessageStoreTimeStamp'
  | 'queueEntries'
  | 'flushedWhere'
  | 'whenFlushed'
  | 'isClosed'
>;

export interface FollowerParts {
  readonly store: FollowedStore;
  readonly places: PlaceTable;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

export type ResetTarget = number | 'start' | 'end';

const MESSAGES_MAX = 32;
const RETRY_MS = 100;
const RETRY_MS_MAX = 30_000;
/** Size that a filler entry states. */
const FILLER_SIZE = 0x7fff_ffff;

/**
 * Follows a queue of a system topic: gives its messages to an action, in order, and remembers how far it came.
 *
 * - A message is given once it is on disk, whatever flushDiskType says: a power cut takes no message back that an action has
 *   seen, and a saved place is never behind the queue's end.
 * - The place moves when the action says so, and is saved with its table. After a crash the messages since the last save are
 *   given again; none is left out.
 * - The place is one in the log. When the topic is deleted and made again, the follower goes on with the first message of
 *   the new queue; when messages expire before they were given, with the oldest that is left, and says so.
 * - It waits without a timer, and is woken by `messageArrived`.
 * - A failure is retried after a time that doubles, with the same messages: what comes behind them waits.
 */
export class QueueFollower extends ServiceLoop {
  readonly name: string;
  readonly topic: string;
  readonly queueId: number;
  readonly #act: FollowAction;
  readonly #messagesMax: number;
  readonly #retryMs: number;
  readonly #retryMsMax: number;
  readonly #store: FollowedStore;
  readonly #places: PlaceTable;
  readonly #waitMs: FollowOptions['waitMs'];
  readonly #logger: StoreLogger;
  #place: Place;
  #doneTotal = 0;
  /** Failures one after the other, now. */
  #failures = 0;
  #failuresTotal = 0;
  #abort = new AbortController();
  #reset: { target: ResetTarget; applied: (queueOffset: number) => void } | undefined;

  constructor(options: FollowOptions, { store, places, clock, logger }: FollowerParts) {
    super(clock);
    this.name = options.name;
    this.topic = options.topic;
    this.queueId = options.queueId;
    this.#act = options.act;
    this.#waitMs = options.waitMs;
    this.#messagesMax = options.messagesMax ?? MESSAGES_MAX;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#retryMsMax = options.retryMsMax ?? RETRY_MS_MAX;
    this.#store = store;
    this.#places = options.places ?? places;
    this.#logger = logger;
    const known = this.#places.get(this.name);
    this.#place = known ?? { queueOffset: options.from === 'end' ? this.#maxOffset : this.#minOffset, last: undefined };
    // Where it began is remembered, or the next start would begin at another end.
    if (known === undefined) this.#places.set(this.name, this.#place);
  }

  /** Entry number of the next message. */
  get queueOffset(): number {
    return this.#place.queueOffset;
  }

  /** Messages done since the follower was made. */
  get doneTotal(): number {
    return this.#doneTotal;
  }

  get failuresTotal(): number {
    return this.#failuresTotal;
  }

  /**
   * How far the follower is behind: messages that are not done, and how long ago the first of them was stored. It is 0
   * without one; for an action that waits for a time it is no lag.
   */
  async behind(): Promise<{ entries: number; ms: number }> {
    const from = Math.max(this.#place.queueOffset, this.#minOffset);
    const entries = Math.max(0, this.#maxOffset - from);
    if (entries === 0) return { entries, ms: 0 };
    const storedAt = await this.#store.getMessageStoreTimeStamp(this.topic, this.queueId, from);
    return { entries, ms: storedAt < 0 ? 0 : Math.max(0, this.clock.now() - storedAt) };
  }

  /** A message of its queue can be read. Cheap enough to be called for every message. */
  messageArrived(): void {
    this.wakeup();
  }

  /**
   * Puts the follower somewhere else in its queue, within its bounds. What the action is doing is called off and does not
   * count. Resolves with the offset from which on messages are given, at the latest when the follower stops.
   */
  reset(target: ResetTarget): Promise<number> {
    return new Promise((resolve) => {
      const before = this.#reset?.applied;
      this.#reset = {
        target,
        applied: (queueOffset) => {
          before?.(queueOffset);
          resolve(queueOffset);
        },
      };
      this.#callOff();
      this.wakeup();
    });
  }

  /** Lets the action end what it does; resolves when its place is in the table. */
  override async shutdown(): Promise<void> {
    const ended = super.shutdown();
    this.#callOff();
    await ended;
  }

  protected override async run(): Promise<void> {
    while (!this.stopped) {
      let pauseMs: number | undefined;
      try {
        await this.#anchor();
        await this.#applyReset();
        pauseMs = await this.#round();
      } catch (error) {
        if (this.stopped || this.#store.isClosed) break;
        // The reset called the action off; that is no failure.
        pauseMs = this.#reset === undefined ? this.#failed(error) : 0;
      }
      if (pauseMs === undefined) await this.waitForRunning();
      else if (pauseMs > 0) await this.#pause(pauseMs);
    }
    if (!this.#store.isClosed) await this.#applyReset();
  }

  /** Everything that an action or the store throws is a failure and is retried; what comes here is neither. */
  protected override onDied(error: unknown): void {
    this.#logger.error({ err: error, follower: this.name }, `${this.name} follows no more: ${String(error)}`);
  }

  /** One look at the queue. Resolves with how long to pause before the next one; undefined: until a message arrives. */
  async #round(): Promise<number | undefined> {
    const { queueOffset } = this.#place;
    const asked = this.#waitMs === undefined ? undefined : await this.#askedAbout(this.#waitMs);
    if (asked !== undefined && asked.pauseMs > 0) return asked.pauseMs;
    const count = asked === undefined ? this.#messagesMax : Math.max(1, asked.entries.length);
    const found = await this.#store.getMessage('', this.topic, this.queueId, queueOffset, count);
    const all = found.records.flatMap((record) => decodeMessage(record) ?? []);
    const isAsked = (message: MessageExt): boolean =>
      asked === undefined ||
      asked.entries[message.queueOffset - queueOffset]?.commitLogOffset === message.commitLogOffset;
    // After the read: what was read is the queue that the place belongs to, or it is not given. Entries say it too, when
    // they were read together with the last one that was done.
    const isKnown = asked?.isPlaceOfThisQueue === true && all[0] !== undefined && isAsked(all[0]);
    if (!isKnown && (!(await this.#isPlaceOfThisQueue()) || queueOffset > this.#maxOffset)) {
      await this.#relocate();
      return 0;
    }
    // One that has come since may have to wait.
    const firstUnasked = all.findIndex((message) => !isAsked(message));
    const messages = firstUnasked < 0 ? all : all.slice(0, firstUnasked);
    const end = messages.at(-1);
    if (end === undefined) {
      const next = all[0]?.queueOffset ?? found.nextBeginOffset;
      if (next > queueOffset) this.#stepOver(next);
      else if (all.length === 0) return undefined;
      return 0;
    }
    if (!(await this.#isOnDisk(end))) return 0;
    const { signal } = this.#abort;
    if (this.stopped || this.#reset !== undefined) return 0;
    const { done, waitMs = 0 } = await this.#act(messages, signal);
    assert(Number.isInteger(done) && done >= 0 && done <= messages.length, 'done counts the messages that were given');
    if (this.#reset !== undefined) return 0;
    const last = messages[done - 1];
    if (last !== undefined) {
      this.#moveTo({
        queueOffset: all[done]?.queueOffset ?? found.nextBeginOffset,
        last: { queueOffset: last.queueOffset, logOffset: last.commitLogOffset },
      });
      this.#doneTotal += done;
    } else if (waitMs <= 0 && !this.stopped) {
      throw new Error('the action did nothing and does not say until when');
    }
    this.#failures = 0;
    return waitMs;
  }

  /** The entries from the place on whose messages need not wait; or how long the first one has to. */
  async #askedAbout(
    waitMs: NonNullable<FollowOptions['waitMs']>,
  ): Promise<{ entries: readonly QueueEntry[]; pauseMs: number; isPlaceOfThisQueue: boolean }> {
    const { queueOffset, last } = this.#place;
    const isBehindLast =
      last !== undefined && last.queueOffset === queueOffset - 1 && last.queueOffset >= this.#minOffset;
    const from = isBehindLast ? queueOffset - 1 : queueOffset;
    const count = this.#messagesMax + queueOffset - from;
    const read = (await this.#store.queueEntries(this.topic, this.queueId, from, count)) ?? [];
    const isSame = isBehindLast ? read[0]?.commitLogOffset === last.logOffset : await this.#isPlaceOfThisQueue();
    // Of another queue than the place's nobody is asked; the look at the messages finds it out.
    const entries = isSame ? read.slice(queueOffset - from) : [];
    for (const [i, entry] of entries.entries()) {
      const pauseMs = entry.size < FILLER_SIZE ? await waitMs(entry, queueOffset + i) : 0;
      if (pauseMs <= 0) continue;
      return { entries: entries.slice(0, i), pauseMs: i > 0 ? 0 : pauseMs, isPlaceOfThisQueue: isSame };
    }
    return { entries, pauseMs: 0, isPlaceOfThisQueue: isSame };
  }

  /** False: the follower was called off meanwhile. Rejects with the store's failure. */
  async #isOnDisk({ commitLogOffset, storeSize }: MessageExt): Promise<boolean> {
    const end = commitLogOffset + storeSize;
    if (end <= this.#store.flushedWhere) return true;
    const { signal } = this.#abort;
    if (signal.aborted) return false;
    let calledOff = (): void => {};
    const whenCalledOff = new Promise<false>((resolve) => {
      calledOff = () => resolve(false);
      signal.addEventListener('abort', calledOff, { once: true });
    });
    try {
      return await Promise.race([this.#store.whenFlushed(end).then(() => true), whenCalledOff]);
    } finally {
      // One signal lasts for all waits of the follower's life.
      signal.removeEventListener('abort', calledOff);
    }
  }

  /** Without a last message that was done, the one in front of the place stands for it. */
  async #anchor(): Promise<void> {
    const { queueOffset, last } = this.#place;
    if (last !== undefined || queueOffset <= this.#minOffset || queueOffset > this.#maxOffset) return;
    const previous = await this.#entry(queueOffset - 1);
    if (previous === undefined) return;
    this.#moveTo({ queueOffset, last: { queueOffset: queueOffset - 1, logOffset: previous.commitLogOffset } });
  }

  /** The last message that was done stands in the queue where it stood. False: this is another queue of the same name. */
  async #isPlaceOfThisQueue(): Promise<boolean> {
    const { last } = this.#place;
    if (last === undefined || last.queueOffset < this.#minOffset) return true;
    return (await this.#entry(last.queueOffset))?.commitLogOffset === last.logOffset;
  }

  /**
   * Finds the first message that was put behind the last one that was done: the first of all when the topic was made again,
   * the end when the queue lost its last entries. Log offsets grow along a queue.
   */
  async #relocate(): Promise<void> {
    const { last, queueOffset: before } = this.#place;
    const [min, max] = [this.#minOffset, this.#maxOffset];
    let from = min;
    for (let to = last === undefined ? min : max; from < to; ) {
      const middle = Math.floor((from + to) / 2);
      const entry = await this.#entry(middle);
      // A filler, which has no record, counts as not done: it is stepped over, a message would not be given.
      const isDone = entry !== undefined && entry.size < FILLER_SIZE && entry.commitLogOffset <= last!.logOffset;
      if (isDone) from = middle + 1;
      else to = middle;
    }
    const previous = from > min ? await this.#entry(from - 1) : undefined;
    const logOffset = previous?.commitLogOffset ?? last?.logOffset;
    this.#moveTo({
      queueOffset: from,
      last: logOffset === undefined ? undefined : { queueOffset: from - 1, logOffset },
    });
    this.#logger.warn(
      { follower: this.name, topic: this.topic, queueId: this.queueId, before, now: from, min, max },
      `${this.name} goes on at ${from} instead of ${before}: the queue is not the one it was`,
    );
  }

  /** There are no messages up to `queueOffset`: they expired, or the queue has a gap. */
  #stepOver(queueOffset: number): void {
    const { queueOffset: before, last } = this.#place;
    const isExpired = queueOffset <= this.#minOffset;
    this.#moveTo({
      queueOffset,
      last: isExpired && last !== undefined ? { ...last, queueOffset: queueOffset - 1 } : last,
    });
    this.#logger.warn(
      { follower: this.name, topic: this.topic, queueId: this.queueId, from: before, to: queueOffset },
      `${this.name} steps over ${queueOffset - before} messages that are not there any more`,
    );
  }

  async #applyReset(): Promise<void> {
    const reset = this.#reset;
    if (reset === undefined) return;
    const [min, max] = [this.#minOffset, this.#maxOffset];
    const { target } = reset;
    const wanted = target === 'start' ? min : target === 'end' ? max : target;
    const queueOffset = Math.min(Math.max(wanted, min), max);
    const previous = queueOffset > min ? await this.#entry(queueOffset - 1) : undefined;
    const last =
      previous === undefined ? undefined : { queueOffset: queueOffset - 1, logOffset: previous.commitLogOffset };
    // Another one may have come while this one looked at the queue.
    if (this.#reset !== reset) return this.#applyReset();
    this.#reset = undefined;
    this.#failures = 0;
    const { queueOffset: before } = this.#place;
    this.#moveTo({ queueOffset, last });
    this.#logger.warn({ follower: this.name, before, now: queueOffset, min, max }, `${this.name} was reset`);
    reset.applied(queueOffset);
  }

  #moveTo(place: Place): void {
    this.#place = place;
    this.#places.set(this.name, place);
  }

  #failed(error: unknown): number {
    const pauseMs = Math.min(this.#retryMs * 2 ** Math.min(this.#failures, 30), this.#retryMsMax);
    this.#failures++;
    this.#failuresTotal++;
    const { queueOffset } = this.#place;
    this.#logger.error(
      {
        err: error,
        follower: this.name,
        topic: this.topic,
        queueId: this.queueId,
        queueOffset,
        attempt: this.#failures,
      },
      `${this.name} failed at offset ${queueOffset}, attempt ${this.#failures}; again in ${pauseMs} ms`,
    );
    return pauseMs;
  }

  /** Messages that arrive do not end it: those in front of them are not done. */
  async #pause(ms: number): Promise<void> {
    const until = this.clock.monotonic() + ms;
    while (!this.stopped && this.#reset === undefined) {
      const left = until - this.clock.monotonic();
      if (left <= 0) return;
      await this.waitForRunning(left);
    }
  }

  #callOff(): void {
    this.#abort.abort();
    if (!this.stopped) this.#abort = new AbortController();
  }

  async #entry(queueOffset: number) {
    return (await this.#store.queueEntries(this.topic, this.queueId, queueOffset, 1))?.[0];
  }

  get #minOffset(): number {
    return Math.max(0, this.#store.getMinOffsetInQueue(this.topic, this.queueId));
  }

  get #maxOffset(): number {
    return this.#store.getMaxOffsetInQueue(this.topic, this.queueId);
  }
}
