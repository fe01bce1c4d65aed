import { asObject } from '@vernier/remoting';
import { type Budget, textBytes } from '../base/budget.ts';
import type { PutsOnDisk } from '../follow/follow-places.ts';
import {
  blockedUntil,
  countsAfter,
  nextOffsetOf,
  type OrderInfo,
  orderInfoFromJson,
  orderInfoJson,
} from './order-info.ts';

/** A batch that is popped in order. */
export interface OrderedBatch {
  readonly topic: string;
  readonly group: string;
  readonly queueId: number;
  readonly attemptId: string | undefined;
  readonly popTime: number;
  readonly invisibleMs: number;
  readonly queueOffsets: readonly number[];
  /** Where the last of them lies in the log; of a batch that is in no file it is not needed. */
  readonly logOffset?: number;
}

export interface OrderInfosDeps {
  /** Unix milliseconds. */
  now(): number;
  /** The table has to be saved. */
  changed(): void;
  readonly putsOnDisk: PutsOnDisk;
  readonly budget: Budget;
  /** The group may still pop from the queue. */
  isUsed(topic: string, group: string, queueId: number): boolean;
}

/** What became of an ack in order. */
export type OrderedAck =
  /** Where the group goes on. */
  | { readonly kind: 'committed'; readonly nextOffset: number }
  /** Of another pop than the last one: it says nothing any more. */
  | { readonly kind: 'stale' }
  /** The batch has no such message. */
  | { readonly kind: 'unknown' };

/** RocketMQ forgets a batch after a day. */
const FORGOTTEN_AFTER_MS = 86_400_000;

const keyOf = (topic: string, group: string): string => `${topic}@${group}`;
const keyBytes = (key: string): number => 200 + textBytes(key);
const infoBytes = ({ queueOffsets, consumedCounts, nextVisibleTimes, attemptId }: OrderInfo): number =>
  300 + 8 * queueOffsets.length + 48 * (consumedCounts.size + nextVisibleTimes.size) + textBytes(attemptId ?? '');

/**
 * The batches of groups that pop in order, consumerOrderInfo.json as RocketMQ keeps it (ConsumerOrderInfoManager). An ack in
 * order is in here and nowhere else, so the file has to be on disk before the ack is answered; the offsets of the group may
 * be older there, see `recoveredOffsets`.
 */
export class OrderInfos {
  readonly #deps: OrderInfosDeps;
  readonly #table = new Map<string, Map<number, OrderInfo>>();

  constructor(deps: OrderInfosDeps) {
    this.#deps = deps;
  }

  get(topic: string, group: string, queueId: number): OrderInfo | undefined {
    return this.#table.get(keyOf(topic, group))?.get(queueId);
  }

  /** Unix milliseconds until which nobody gets messages of the queue; 0: it is free. */
  blockedUntil(
    topic: string,
    group: string,
    queueId: number,
    attemptId: string | undefined,
    invisibleMs: number,
  ): number {
    const info = this.get(topic, group, queueId);
    return info === undefined ? 0 : blockedUntil(info, attemptId, invisibleMs, this.#deps.now());
  }

  /** How often each message of the batch was given before; undefined, and nothing is changed, when there is no room. */
  popped(batch: OrderedBatch): ReadonlyMap<number, number> | undefined {
    const { topic, group, queueId, attemptId, popTime, invisibleMs, queueOffsets, logOffset } = batch;
    const last = this.get(topic, group, queueId);
    const info: OrderInfo = {
      ...{ popTime, invisibleMs, queueOffsets, attemptId, nextVisibleTimes: new Map(), committed: 0n },
      consumedCounts: countsAfter(last, attemptId, queueOffsets),
      lastConsumeTime: this.#deps.now(),
      logOffset,
    };
    if (!this.#put(topic, group, queueId, info)) return undefined;
    this.#deps.changed();
    return info.consumedCounts;
  }

  #put(topic: string, group: string, queueId: number, info: OrderInfo): boolean {
    const key = keyOf(topic, group);
    const queues = this.#table.get(key);
    const last = queues?.get(queueId);
    const bytes =
      infoBytes(info) - (last === undefined ? 0 : infoBytes(last)) + (queues === undefined ? keyBytes(key) : 0);
    if (!this.#deps.budget.take(bytes)) return false;
    if (queues === undefined) this.#table.set(key, new Map([[queueId, info]]));
    else queues.set(queueId, info);
    return true;
  }

  /** `popTime` says which pop the consumer has it from, `committed` where the group is. */
  ack(
    topic: string,
    group: string,
    queueId: number,
    queueOffset: number,
    popTime: number,
    committed: number,
  ): OrderedAck {
    const info = this.get(topic, group, queueId);
    if (info === undefined) {
      // Its batch was forgotten, by a kill or with its topic. To go on behind it would leave out what stands in front of it.
      return queueOffset === committed ? { kind: 'committed', nextOffset: queueOffset + 1 } : { kind: 'unknown' };
    }
    if (popTime !== info.popTime) return { kind: 'stale' };
    const index = info.queueOffsets.indexOf(queueOffset);
    if (index < 0) return { kind: 'unknown' };
    info.committed |= 1n << BigInt(index);
    this.#deps.changed();
    return { kind: 'committed', nextOffset: nextOffsetOf(info) };
  }

  /** False when the last batch has no such message. */
  changeVisibleTime(
    topic: string,
    group: string,
    queueId: number,
    queueOffset: number,
    popTime: number,
    visibleAt: number,
    isSuspended = false,
  ): boolean {
    const info = this.get(topic, group, queueId);
    if (info === undefined || popTime !== info.popTime || !info.queueOffsets.includes(queueOffset)) return false;
    this.#deps.budget.add(-infoBytes(info));
    info.nextVisibleTimes.set(queueOffset, visibleAt);
    if (isSuspended) info.isSuspended = true;
    this.#deps.budget.add(infoBytes(info));
    this.#deps.changed();
    return true;
  }

  /** The queue is free: its group was put to another place. */
  clear(topic: string, group: string, queueId: number): void {
    if (this.#forget(keyOf(topic, group), queueId)) this.#deps.changed();
  }

  /** The same for all queues. True when there was a batch. */
  clearAll(topic: string, group: string): boolean {
    const key = keyOf(topic, group);
    const queues = this.#table.get(key);
    if (queues === undefined) return false;
    for (const queueId of [...queues.keys()]) this.#forget(key, queueId);
    this.#deps.changed();
    return true;
  }

  #forget(key: string, queueId: number): boolean {
    const queues = this.#table.get(key);
    const info = queues?.get(queueId);
    if (queues === undefined || info === undefined) return false;
    queues.delete(queueId);
    this.#deps.budget.give(infoBytes(info));
    if (queues.size === 0) {
      this.#table.delete(key);
      this.#deps.budget.give(keyBytes(key));
    }
    return true;
  }

  /**
   * At a start: forgets batches of messages that are not there any more. `isAlive` is asked with the topic and the place in the
   * log of a batch's last message. True: some were forgotten.
   */
  dropDead(isAlive: (topic: string, logOffset: number | undefined) => boolean): boolean {
    let isAny = false;
    for (const [key, queues] of this.#table) {
      const topic = key.slice(0, key.lastIndexOf('@'));
      for (const [queueId, { logOffset }] of queues) {
        if (!isAlive(topic, logOffset) && this.#forget(key, queueId)) isAny = true;
      }
    }
    if (isAny) this.#deps.changed();
    return isAny;
  }

  /**
   * Where groups go on by their acks, which is behind the saved offset when the process ended before that was saved. Only
   * within a batch: an offset from elsewhere was set by an operator.
   */
  *recoveredOffsets(): Iterable<{ topic: string; group: string; queueId: number; first: number; next: number }> {
    for (const [key, queues] of this.#table) {
      const at = key.lastIndexOf('@');
      for (const [queueId, info] of queues) {
        const [topic, group] = [key.slice(0, at), key.slice(at + 1)];
        yield { topic, group, queueId, first: info.queueOffsets[0] as number, next: nextOffsetOf(info) };
      }
    }
  }

  /** Takes over a parsed consumerOrderInfo.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    for (const [key, queues] of Object.entries(asObject(asObject(file, 'consumerOrderInfo.json').table, 'table'))) {
      const at = key.lastIndexOf('@');
      for (const [queueId, value] of Object.entries(asObject(queues, key))) {
        const info = /^\d{1,10}$/.test(queueId) ? orderInfoFromJson(value) : undefined;
        if (info === undefined || at < 1) continue;
        // What is there stays, whatever the budget is.
        this.#deps.budget.add(infoBytes(info) + (this.#table.has(key) ? 0 : keyBytes(key)));
        const known = this.#table.get(key) ?? new Map<number, OrderInfo>();
        known.set(Number(queueId), info);
        this.#table.set(key, known);
      }
    }
  }

  async prepareSave(): Promise<boolean> {
    this.#forgetUnused();
    return this.#deps.putsOnDisk();
  }

  #forgetUnused(): void {
    const before = this.#deps.now() - FORGOTTEN_AFTER_MS;
    for (const [key, queues] of this.#table) {
      const at = key.lastIndexOf('@');
      for (const [queueId, info] of queues) {
        const isUsed = this.#deps.isUsed(key.slice(0, at), key.slice(at + 1), queueId);
        if (!isUsed || info.lastConsumeTime < before) this.#forget(key, queueId);
      }
    }
  }

  /** consumerOrderInfo.json in pieces, one group and topic each. */
  *encode(): Iterable<string> {
    yield '{\n"table":{';
    let separator = '\n';
    for (const [key, queues] of this.#table) {
      const rows = [...queues].map(([queueId, info]) => `${queueId}:${orderInfoJson(info)}`);
      yield `${separator}${JSON.stringify(key)}:{${rows.join(',')}}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }
}
