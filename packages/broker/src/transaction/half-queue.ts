import type { MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC, TRANSACTION_GROUP } from '../base/names.ts';
import type { PlaceTable } from '../follow/follow-places.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { FollowProgress } from '../follow/queue-follower.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import { firstQueueOffsetOf, isForeignCopy } from './half.ts';
import { endedHalvesOf, OpPlaces } from './op-records.ts';
import type { OpenHalves } from './open-halves.ts';

const FOLLOWER = 'transaction halves';
const MESSAGES_AT_ONCE = 32;

export interface HalfQueueParts {
  readonly store: MessageStore;
  readonly offsets: ConsumerOffsetManager;
  readonly follow: FollowService;
  readonly halves: OpenHalves;
  readonly logger: StoreLogger;
  /** A half is done with that is no open transaction: its copy took its place, or it ended. */
  readonly superseded: (queueOffset: number) => void;
}

/**
 * What the queue of halves says, and the queue of markers beside it. A start reads both from the offsets of
 * CID_RMQ_SYS_TRANS on, as RocketMQ does, and knows the open transactions then; from there on it follows the halves, each
 * of which it is given when it is on disk.
 *
 * The offset of the halves is that of the oldest open one. It passes a half when what ends it is on disk: a marker, or a
 * copy that took its place. The offset of the markers goes behind by one step, so that of the two numbers in one file, of
 * which one may be older, the markers are never too far ahead.
 */
export class HalfQueue {
  readonly #parts: HalfQueueParts;
  /** Halves in front of it have been looked at. */
  #seenTo = 0;
  /** Halves in front of it were there at the start. */
  #loadEnd = 0;
  #endedAtStart = new Set<number>();
  /** First half of each transaction of the start, by its key: RocketMQ's copies do not say what they are copies of. */
  readonly #firstAtStart = new Map<string, number>();
  #opPlaces = new OpPlaces(0);
  /** The offset of the halves that was saved last. */
  #savedHead = 0;
  #isFollowing = false;
  #loaded: () => void = () => {};
  /** Resolves when the halves of the start are known. */
  readonly loaded: Promise<void>;

  constructor(parts: HalfQueueParts) {
    this.#parts = parts;
    this.loaded = new Promise((resolve) => {
      this.#loaded = resolve;
    });
  }

  get seenTo(): number {
    return this.#seenTo;
  }

  /** Reads the markers, and begins with the halves. Rejects with the store's error; then it may be called again. */
  async start(): Promise<void> {
    const { store, follow } = this.#parts;
    this.#loadEnd = store.getMaxOffsetInQueue(TRANS_HALF_TOPIC, 0);
    const head = this.#savedOffset(TRANS_HALF_TOPIC);
    this.#seenTo = head;
    this.#savedHead = head;
    await this.#readMarkers(head);
    if (head >= this.#loadEnd) this.#hasLoaded();
    const places: PlaceTable = { get: () => ({ queueOffset: head, last: undefined }), set: () => {} };
    const act = (messages: readonly MessageExt[]): Promise<FollowProgress> => this.#seen(messages);
    follow.follow({ name: FOLLOWER, topic: TRANS_HALF_TOPIC, queueId: 0, act, places });
    this.#isFollowing = true;
  }

  /** The store has taken a marker. */
  markerStored(queueOffset: number, maxHalf: number): void {
    this.#opPlaces.note(queueOffset, maxHalf);
  }

  /** Nobody is to wait for what will not be known any more. */
  stop(): void {
    this.#loaded();
  }

  /** Puts the offsets into their table; they are on disk with its next save. */
  saveOffsets(): void {
    if (!this.#isFollowing) return;
    const { offsets, halves } = this.#parts;
    const markersFrom = this.#opPlaces.from(this.#savedHead);
    this.#savedHead = halves.head(this.#seenTo);
    offsets.commit(TRANSACTION_GROUP, TRANS_OP_HALF_TOPIC, 0, markersFrom);
    offsets.commit(TRANSACTION_GROUP, TRANS_HALF_TOPIC, 0, this.#savedHead);
  }

  /** Within the queue as it is: a power cut may have taken its end away, and its beginning expires. */
  #savedOffset(topic: string): number {
    const { store, offsets } = this.#parts;
    const saved = offsets.query(TRANSACTION_GROUP, topic, 0);
    const [min, max] = [store.getMinOffsetInQueue(topic, 0), store.getMaxOffsetInQueue(topic, 0)];
    return Math.min(Math.max(saved, min), max);
  }

  async #readMarkers(head: number): Promise<void> {
    const { store } = this.#parts;
    const ended = new Set<number>();
    const end = store.getMaxOffsetInQueue(TRANS_OP_HALF_TOPIC, 0);
    let at = this.#savedOffset(TRANS_OP_HALF_TOPIC);
    const places = new OpPlaces(at);
    while (at < end) {
      const { records, nextBeginOffset } = await store.getMessage('', TRANS_OP_HALF_TOPIC, 0, at, MESSAGES_AT_ONCE);
      for (const record of records) {
        const marker = decodeMessage(record);
        if (marker === undefined) continue;
        const named = endedHalvesOf(marker.body);
        for (const queueOffset of named) if (queueOffset >= head) ended.add(queueOffset);
        places.note(
          marker.queueOffset,
          named.reduce((max, offset) => Math.max(max, offset), 0),
        );
      }
      if (nextBeginOffset <= at) break;
      at = nextBeginOffset;
    }
    this.#endedAtStart = ended;
    this.#opPlaces = places;
  }

  async #seen(messages: readonly MessageExt[]): Promise<FollowProgress> {
    for (const half of messages) {
      // After a failure all of them are given again.
      if (half.queueOffset < this.#seenTo) continue;
      await this.#see(half);
      this.#seenTo = half.queueOffset + 1;
    }
    if (this.#seenTo >= this.#loadEnd) this.#hasLoaded();
    return { done: messages.length };
  }

  async #see(half: MessageExt): Promise<void> {
    const { halves, superseded, store } = this.#parts;
    const { queueOffset } = half;
    if (halves.takeEndedUnseen(queueOffset)) return;
    const isInherited = queueOffset < this.#loadEnd;
    if (isInherited && this.#endedAtStart.has(queueOffset)) return;
    const first = isInherited ? this.#firstOf(half) : firstQueueOffsetOf(half);
    const firstStoredAt =
      first === queueOffset || halves.get(first) !== undefined
        ? half.storeTimestamp
        : await store.getMessageStoreTimeStamp(TRANS_HALF_TOPIC, 0, first);
    // Without an await from here on: an end may come in between.
    const open = halves.get(first);
    if (open?.decision !== undefined) {
      // Its marker names the half and the copy that were known when it ended.
      if (queueOffset !== open.queueOffset && queueOffset !== open.copy) superseded(queueOffset);
    } else if (open !== undefined) {
      if (queueOffset === open.queueOffset) return;
      superseded(open.queueOffset);
      halves.moved(open, half);
    } else if (isInherited || first === queueOffset) {
      halves.open(half, first, firstStoredAt < 0 ? half.storeTimestamp : firstStoredAt, isInherited);
    } else {
      // A copy of what ended while it was on its way.
      superseded(queueOffset);
    }
  }

  #firstOf(half: MessageExt): number {
    const key = `${half.properties.get('UNIQ_KEY')} ${half.bornTimestamp}`;
    const known = isForeignCopy(half) ? this.#firstAtStart.get(key) : undefined;
    const first = known ?? firstQueueOffsetOf(half);
    this.#firstAtStart.set(key, first);
    return first;
  }

  #hasLoaded(): void {
    this.#firstAtStart.clear();
    this.#endedAtStart.clear();
    this.#loaded();
  }
}
