import { ResponseCode } from '@vernier/remoting';
import type { Clock, GetMessageResult, MessageFilter, MessageStore } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { isRetryTopic } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { mergeKeyOf, type PopCheckPoint } from './check-point.ts';
import { deletedBelow } from './deleted-below.ts';
import type { DurableOffsets } from './durable-offsets.ts';
import { handleText, OffsetInfos } from './handle.ts';
import type { InFlightTable } from './in-flight.ts';
import type { OrderInfos } from './order-infos.ts';
import type { PopDelivery, PopRequest } from './pop-request.ts';
import type { PopStart } from './pop-start.ts';
import type { PoppedOffsets } from './popped-offsets.ts';
import type { QueueLocks } from './queue-locks.ts';
import { logOffsetOf, queueOffsetIn, retryRecord } from './retry-record.ts';
import type { ReviveLog } from './revive-log.ts';

interface LookOptions {
  readonly request: PopRequest;
  readonly caller: Caller;
  readonly filter: MessageFilter | undefined;
  readonly reviveQueueId: number;
  readonly popTime: number;
  readonly bytesMax: number;
}

interface Seen {
  readonly topic: string;
  readonly queueId: number;
  /** Exclusive. */
  readonly maxOffset: number;
}

/** What one look at the queues has found so far. */
export class PopLook {
  readonly request: PopRequest;
  readonly caller: Caller;
  readonly filter: MessageFilter | undefined;
  readonly reviveQueueId: number;
  readonly popTime: number;
  readonly infos = new OffsetInfos();
  readonly records: Buffer[] = [];
  /** One for each record. */
  readonly deliveries: PopDelivery[] = [];
  restCount = 0;
  bytesLeft: number;
  /** Queues without a message, and where they ended. */
  readonly seen: Seen[] = [];
  /** Topics that do not exist. */
  readonly missing: string[] = [];
  /** Queues that somebody else was at. */
  readonly busy: { readonly topic: string; readonly queueId: number }[] = [];
  /** Unix milliseconds when the first of the blocked queues is free; 0: none is blocked. */
  blockedUntil = 0;
  /** Why a queue gave nothing that has messages. */
  refusal: Refusal | undefined;

  constructor(options: LookOptions) {
    this.request = options.request;
    this.caller = options.caller;
    this.filter = options.filter;
    this.reviveQueueId = options.reviveQueueId;
    this.popTime = options.popTime;
    this.bytesLeft = options.bytesMax;
  }

  get isFull(): boolean {
    return this.records.length >= this.request.maxMessages || this.bytesLeft <= 0;
  }
}

/** A pop of one queue that is under way. */
interface UnderWay {
  readonly group: string;
  readonly topic: string;
  /** The group's offsets in the topic were deleted since it began. */
  isForgotten: boolean;
}

const ENTRIES_AT_ONCE = 1_024;

export interface PopQueuesParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: Pick<SubscriptionGroupManager, 'find'>;
  readonly offsets: ConsumerOffsetManager;
  readonly durable: DurableOffsets;
  readonly popped: PoppedOffsets;
  readonly start: PopStart;
  readonly orders: OrderInfos;
  readonly log: ReviveLog;
  readonly inFlight: InFlightTable;
  readonly locks: QueueLocks;
  readonly stats: BrokerStats;
  readonly clock: Clock;
}

/** Pops from one queue; whoever calls `pop` has the lock of the group's queue. */
export class PopQueues {
  readonly #parts: PopQueuesParts;
  /** Bounded by the requests under way. */
  readonly #underWay = new Set<UnderWay>();

  constructor(parts: PopQueuesParts) {
    this.#parts = parts;
  }

  /** The group's offsets in the topic are gone: what a pop under way knows of them is not true any more. */
  forget(group: string, topic: string): void {
    for (const pop of this.#underWay) if (pop.group === group && pop.topic === topic) pop.isForgotten = true;
  }

  get locks(): QueueLocks {
    return this.#parts.locks;
  }

  hasReset(group: string, topic: string, queueId: number): boolean {
    return this.#parts.offsets.hasReset(group, topic, queueId);
  }

  /** Messages of the queue that the group has not popped. */
  restOf(group: string, topic: string, queueId: number): number {
    const { store, start } = this.#parts;
    return Math.max(0, store.getMaxOffsetInQueue(topic, queueId) - start.estimated(group, topic, queueId));
  }

  async pop(look: PopLook, topic: string, queueId: number): Promise<void> {
    const { groups } = this.#parts;
    const { group } = look.request;
    for (let isDone = false; !isDone; ) {
      // It may have been deleted while the pop waited: this is its first one then.
      if (groups.find(group) === undefined) {
        const remark = `subscription group [${group}] does not exist`;
        look.refusal ??= new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark);
        return;
      }
      const underWay: UnderWay = { group, topic, isForgotten: false };
      this.#underWay.add(underWay);
      try {
        isDone = await this.#pop(look, topic, queueId, underWay);
      } finally {
        this.#underWay.delete(underWay);
      }
    }
  }

  /** False: the group was forgotten before anything was given, and begins anew. */
  async #pop(look: PopLook, topic: string, queueId: number, underWay: UnderWay): Promise<boolean> {
    const { start, orders, clock, offsets, topics } = this.#parts;
    const { group, isOrdered, attemptId, invisibleMs, startsAtEnd } = look.request;
    const first = await start.begin(group, topic, queueId, startsAtEnd);
    if (first < 0) {
      look.refusal ??= new Refusal(ResponseCode.SYSTEM_BUSY, offsets.refusal);
      return true;
    }
    const offset = await this.#behindDeleted(look, topic, queueId, first);
    if (isOrdered) {
      const until = orders.blockedUntil(topic, group, queueId, attemptId, invisibleMs);
      if (until > clock.now()) {
        look.blockedUntil = look.blockedUntil === 0 ? until : Math.min(look.blockedUntil, until);
        return true;
      }
    }
    const { found, from } = await this.#read(look, topic, queueId, offset);
    if (look.caller.isGone || topics.select(topic) === undefined) return true;
    if (underWay.isForgotten) return false;
    if (found.messageCount > 0) {
      const isTaken = isOrdered
        ? this.#takeOrdered(look, topic, queueId, from, found)
        : await this.#take(look, topic, queueId, from, found, underWay);
      if (isTaken) look.restCount += Math.max(0, found.maxOffset - found.nextBeginOffset);
      return true;
    }
    const isPast = isPassed(found) && found.nextBeginOffset > from;
    // The filter wants none of them, or they are gone.
    if (isPast) this.#move(look, topic, queueId, found.nextBeginOffset, 0);
    look.restCount += Math.max(0, found.maxOffset - Math.max(from, found.nextBeginOffset));
    // Behind the messages that the filter did not want others may be: the look after this one sees them.
    look.seen.push({ topic, queueId, maxOffset: isPast ? found.nextBeginOffset : found.maxOffset });
    return true;
  }

  /** Of a retry topic: behind the copies of messages that were deleted with their topic. */
  async #behindDeleted(look: PopLook, topic: string, queueId: number, offset: number): Promise<number> {
    const { store, offsets, durable } = this.#parts;
    const { group, topic: normalTopic } = look.request;
    const below = topic === normalTopic ? 0 : deletedBelow(store, topic, normalTopic);
    if (below === 0) return offset;
    let next = Math.max(offset, store.getMinOffsetInQueue(topic, queueId));
    // Once it is behind them, the first entry says so.
    for (let count = 1; ; count = ENTRIES_AT_ONCE) {
      const entries = (await store.queueEntries(topic, queueId, next, count)) ?? [];
      const alive = entries.findIndex(({ commitLogOffset }) => commitLogOffset >= below);
      next += alive < 0 ? entries.length : alive;
      if (alive >= 0 || entries.length === 0) break;
    }
    if (next === offset || offsets.hasReset(group, topic, queueId)) return offset;
    durable.forget(group, topic, queueId);
    offsets.commit(group, topic, queueId, next);
    return next;
  }

  /** Once more from where the queue is, when the offset is not within it. */
  async #read(
    look: PopLook,
    topic: string,
    queueId: number,
    offset: number,
  ): Promise<{ found: GetMessageResult; from: number }> {
    const { store, offsets, durable } = this.#parts;
    const { group, maxMessages } = look.request;
    const count = maxMessages - look.records.length;
    const options = {
      maxBytes: look.bytesLeft,
      ...(look.filter === undefined ? {} : { filter: look.filter }),
    };
    const found = await store.getMessage(group, topic, queueId, offset, count, options);
    const { status, nextBeginOffset } = found;
    const isOutside =
      status === 'OFFSET_TOO_SMALL' || status === 'OFFSET_OVERFLOW_BADLY' || status === 'OFFSET_FOUND_NULL';
    if (!isOutside || nextBeginOffset === offset) return { found, from: offset };
    durable.forget(group, topic, queueId);
    offsets.commit(group, topic, queueId, nextBeginOffset);
    const again = await store.getMessage(group, topic, queueId, nextBeginOffset, count, options);
    return { found: again, from: nextBeginOffset };
  }

  /** Under a checkpoint. False: nothing is given. */
  async #take(
    look: PopLook,
    topic: string,
    queueId: number,
    from: number,
    found: GetMessageResult,
    underWay: UnderWay,
  ): Promise<boolean> {
    const { config, log, inFlight, popped } = this.#parts;
    const { group, invisibleMs } = look.request;
    const queueOffsets = found.records.map((record) => queueOffsetIn(record, topic));
    const point: PopCheckPoint = {
      ...{ topic, group, queueId, startOffset: from, popTime: look.popTime, invisibleMs },
      diffs: queueOffsets.map((queueOffset) => queueOffset - from),
      brokerName: config.brokerName,
      rePutTimes: 0,
      logOffset: logOffsetOf(found.records.at(-1) as Buffer),
    };
    // A reset in this millisecond: the handles of the two pops would be the same.
    if (!inFlight.claim(point)) {
      look.refusal ??= new Refusal(ResponseCode.SYSTEM_BUSY, `${mergeKeyOf(point)} was popped in this millisecond`);
      return false;
    }
    const mark = popped.begin();
    const putting = log.putCheckPoint(point, look.reviveQueueId, found.nextBeginOffset);
    const logEnd = await putting
      .catch((error: unknown) => {
        popped.end(mark);
        throw error;
      })
      .finally(() => inFlight.unclaim(point));
    if (logEnd instanceof Refusal) {
      popped.end(mark);
      look.refusal ??= logEnd;
      look.restCount += Math.max(0, found.maxOffset - from);
      return false;
    }
    inFlight.gaveOut(point, look.reviveQueueId);
    // Its first offset is not where this pop ends. What it was given comes again, as it would have from there.
    if (underWay.isForgotten) popped.end(mark);
    else this.#move(look, topic, queueId, found.nextBeginOffset, logEnd, () => popped.end(mark));
    this.#give(look, topic, queueId, from, found, queueOffsets, undefined);
    return true;
  }

  #takeOrdered(look: PopLook, topic: string, queueId: number, from: number, found: GetMessageResult): boolean {
    const { orders, offsets } = this.#parts;
    const { group, attemptId, invisibleMs } = look.request;
    const { popTime, infos } = look;
    const queueOffsets = found.records.map((record) => queueOffsetIn(record, topic));
    const logOffset = logOffsetOf(found.records.at(-1) as Buffer);
    const counts = orders.popped({ topic, group, queueId, attemptId, popTime, invisibleMs, queueOffsets, logOffset });
    if (counts === undefined) {
      look.refusal ??= new Refusal(ResponseCode.SYSTEM_BUSY, 'there is no room for more batches in order');
      return false;
    }
    infos.addCounts(topic, queueId, queueOffsets, counts);
    offsets.commit(group, topic, queueId, from);
    this.#give(look, topic, queueId, from, found, queueOffsets, counts);
    return true;
  }

  #move(
    look: PopLook,
    topic: string,
    queueId: number,
    offset: number,
    logEnd: number,
    done: () => void = () => {},
  ): void {
    const { offsets, durable } = this.#parts;
    const { group, isOrdered } = look.request;
    // A reset that came meanwhile is where the next pop begins. A topic that is being deleted has offsets until `forget` says
    // that it has none, and has them still when its deletion fails.
    if (offsets.hasReset(group, topic, queueId)) done();
    else if (isOrdered) offsets.commit(group, topic, queueId, offset);
    else durable.advance(group, topic, queueId, offset, logEnd, done);
  }

  #give(
    look: PopLook,
    topic: string,
    queueId: number,
    startOffset: number,
    found: GetMessageResult,
    queueOffsets: readonly number[],
    counts: ReadonlyMap<number, number> | undefined,
  ): void {
    const { config, stats, clock } = this.#parts;
    const { popTime, reviveQueueId, request, infos } = look;
    infos.addQueue(topic, queueId, startOffset, queueOffsets);
    const { brokerName, popResponseReturnActualRetryTopic } = config;
    const isChanged = isRetryTopic(topic) && topic !== request.topic && !popResponseReturnActualRetryTopic;
    for (const [index, record] of found.records.entries()) {
      const queueOffset = queueOffsets[index] as number;
      const place = { topic, queueId, queueOffset };
      const handle = { startOffset, popTime, invisibleMs: request.invisibleMs, reviveQueueId, brokerName, ...place };
      look.deliveries.push({ handle, orderCount: counts?.get(queueOffset) ?? 0 });
      look.records.push(isChanged ? retryRecord(record, request.topic, handleText(handle)) : record);
    }
    look.bytesLeft -= found.bufferTotalSize;
    stats.countGet(clock.now(), request.group, topic, found.messageCount, found.bufferTotalSize);
  }
}

/** No message, and the group goes on behind what was looked at. */
const isPassed = ({ status }: GetMessageResult): boolean =>
  status === 'NO_MATCHED_MESSAGE' ||
  status === 'OFFSET_FOUND_NULL' ||
  status === 'MESSAGE_WAS_REMOVING' ||
  status === 'NO_MATCHED_LOGIC_QUEUE';
