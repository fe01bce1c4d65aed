import { Budget, Refusal, retryMark, type SavedTable, textBytes } from '@vernier/broker/internal';
import type { Backend } from '../backend/backend.ts';
import type { Clients } from '../clients/clients.ts';
import { backoffMs } from '../clients/settings.ts';
import { rules } from '../limits.ts';
import { expired, type Receipt, visibleAt } from './handle.ts';
import { type KeptRenewal, renewalsTable } from './kept-renewals.ts';

export interface RenewalsParts {
  readonly broker: Backend;
  readonly clients: Clients;
  readonly bytesMax: () => number;
  /** Of the file that is kept over a restart. */
  readonly stateBytesMax: () => number;
}

const MINUTE = 60_000;
/** By how much the time of a delivery grows, one renewal after the other (RocketMQ RenewStrategyPolicy). */
const slices: readonly number[] = [1, 3, 5, 10, 30, 60].map((minutes) => minutes * MINUTE);
const SCAN_MS = 5_000;
const AHEAD_MS = 10_000;
const FAILURES_MAX = 3;
/** A message that is consumed for longer comes again. */
const RENEWED_MS_MAX = 3 * 60 * MINUTE;
const ENTRY_BYTES = 800;

interface Renewal extends KeptRenewal {
  readonly key: string;
  newest: Receipt;
  renewals: number;
  failures: number;
  /** Of before a restart: what became of it at the very end may not have been kept, and the log is asked. */
  isUnsure: boolean;
  /** It is in what was saved last. */
  isSaved: boolean;
  /**
   * It comes again by its newest receipt, and is known as long as its first one looks good: that would be answered as done, and
   * do nothing.
   */
  isEnding: boolean;
  /** Settles when the change of its time that is under way is done. */
  busy: Promise<void> | undefined;
}

/**
 * Keeps deliveries from coming again while their consumers work on them: those that asked for it give no time of their own
 * (RocketMQ DefaultReceiptHandleManager). Each renewal makes a new receipt, and the consumer has the first one: what it does
 * with that is done with the newest.
 *
 * What has no room is not renewed, and comes again after its first time.
 *
 * What lasts for longer than a look around is kept over a restart, see `tableOf`, so that it goes on being renewed and its
 * consumer's first receipt stays good. A kill loses at most what came since the last look; that comes again at the end of its
 * time, and its old receipt is refused.
 */
export class Renewals {
  readonly #parts: RenewalsParts;
  readonly #budget: Budget;
  readonly #renewals = new Map<string, Renewal>();
  /** Called when `tableOf` has something else to save; `isUrgent`: receipts of consumers depend on it. */
  changed: (isUrgent: boolean) => void = () => {};
  #savedCount = 0;
  #keepsAll = false;
  #timer: unknown;
  #isStopped = false;

  constructor(parts: RenewalsParts) {
    this.#parts = parts;
    this.#budget = new Budget('receiptBytesMax', parts.bytesMax, parts.broker.logger);
  }

  get count(): number {
    return this.#renewals.size;
  }

  get usedBytes(): number {
    return this.#budget.usedBytes;
  }

  add(clientId: string, receipt: Receipt, reconsumeTimes: number): void {
    const key = keyOf(receipt);
    this.#forget(this.#renewals.get(key));
    if (this.#isStopped || !this.#budget.take(bytesOf(key))) return;
    const since = this.#parts.broker.clock.now();
    const state = { first: receipt, newest: receipt, renewals: 0, isUnsure: false };
    this.#renewals.set(key, { key, clientId, reconsumeTimes, since, ...state, ...NEW });
    this.#watch();
  }

  /**
   * The newest receipt of a delivery, which is not renewed any more; the receipt itself when it never was. Rejects with
   * INVALID_RECEIPT_HANDLE when a restart lost the newest one.
   */
  async take(receipt: Receipt): Promise<Receipt> {
    const renewal = this.#renewals.get(keyOf(receipt));
    if (renewal === undefined || !isOf(renewal, receipt)) return receipt;
    this.#forget(renewal);
    await renewal.busy;
    // What it says would be answered as done, and the message would come again all the same.
    if (!(await this.#isOpen(renewal))) throw expired();
    return renewal.newest;
  }

  /** What is kept over a restart: deliveries of the broker that have lasted for a while, and their receipts. */
  tableOf(brokerName: string): SavedTable {
    return renewalsTable({
      ...{ brokerName, bytesMax: this.#parts.stateBytesMax },
      rows: () => this.#toKeep(),
      load: (kept) => this.#load(kept),
    });
  }

  /** From here on all are kept; true: what is kept is not what it was. */
  keepAll(): boolean {
    this.#keepsAll = true;
    return this.#renewals.size > 0 || this.#savedCount > 0;
  }

  *#toKeep(): Iterable<KeptRenewal> {
    this.#savedCount = 0;
    for (const renewal of this.#renewals.values()) {
      renewal.isSaved = this.#isKept(renewal);
      if (!renewal.isSaved) continue;
      this.#savedCount++;
      yield renewal;
    }
  }

  /** Most are done within moments, and their first receipts are good. The order of lite topics does not outlast a restart. */
  #isKept({ since, newest }: KeptRenewal): boolean {
    if (newest.liteTopic !== '') return false;
    const now = this.#parts.broker.clock.now();
    return this.#keepsAll || now - since >= SCAN_MS || now < since;
  }

  #load(kept: KeptRenewal): void {
    const key = keyOf(kept.newest);
    const now = this.#parts.broker.clock.now();
    if (lastEndOf(kept) <= now || !this.#budget.take(bytesOf(key))) return;
    this.#forget(this.#renewals.get(key));
    const isEnding = visibleAt(kept.newest) <= now;
    this.#renewals.set(key, { key, ...kept, isUnsure: true, ...NEW, isSaved: true, isEnding });
    this.#savedCount++;
    this.#watch();
  }

  /** False: its newest receipt is not the newest, or it is acknowledged. */
  async #isOpen(renewal: Renewal): Promise<boolean> {
    if (!renewal.isUnsure) return true;
    const isOpen = await this.#parts.broker.deliveries.isOpen(renewal.newest);
    if (isOpen) renewal.isUnsure = false;
    return isOpen;
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== undefined) this.#parts.broker.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #watch(): void {
    if (this.#timer !== undefined || this.#isStopped || this.#renewals.size === 0) return;
    this.#timer = this.#parts.broker.clock.setTimer(() => {
      this.#timer = undefined;
      this.scan();
      this.#watch();
    }, SCAN_MS);
  }

  /** Renews what would come again soon, and lets go of what has no consumer any more. */
  scan(): void {
    const { broker, clients } = this.#parts;
    const now = broker.clock.now();
    let isNew = false;
    for (const renewal of [...this.#renewals.values()]) {
      const { newest, clientId, busy, since, reconsumeTimes } = renewal;
      if (busy !== undefined) continue;
      if (renewal.isEnding) {
        if (lastEndOf(renewal) <= now) this.#forget(renewal);
        continue;
      }
      isNew ||= !renewal.isSaved && this.#isKept(renewal);
      if (!clients.isMember(clientId, newest.group)) {
        this.#end(renewal, rules.untakenMs);
      } else if (visibleAt(newest) <= now) {
        // Too late: a change would not hold it back any more.
        this.#forget(renewal);
      } else if (visibleAt(newest) - now <= AHEAD_MS) {
        if (now - since < RENEWED_MS_MAX) this.#renew(renewal);
        else this.#end(renewal, this.#backoffOf(newest.group, reconsumeTimes));
      }
    }
    if (isNew) this.changed(false);
  }

  #backoffOf(group: string, reconsumeTimes: number): number {
    const policy = this.#parts.broker.groups.preview(group)?.groupRetryPolicy;
    return backoffMs(policy ?? { type: 'CUSTOMIZED' }, reconsumeTimes);
  }

  #renew(renewal: Renewal): void {
    const slice = slices[Math.min(renewal.renewals, slices.length - 1)] as number;
    renewal.busy = this.#change(renewal, slice).then((isChanged) => {
      renewal.busy = undefined;
      if (isChanged) {
        renewal.renewals++;
        renewal.failures = 0;
        if (this.#isKept(renewal)) this.changed(true);
      } else if (++renewal.failures >= FAILURES_MAX) {
        this.#forget(renewal);
      }
    });
  }

  /** Not renewed any more: the message comes again after so many milliseconds. */
  #end(renewal: Renewal, afterMs: number): void {
    renewal.isEnding = true;
    renewal.busy = this.#change(renewal, afterMs).then(() => {
      renewal.busy = undefined;
    });
  }

  /** False: its time is what it was. */
  async #change(renewal: Renewal, invisibleMs: number): Promise<boolean> {
    const { newest } = renewal;
    try {
      if (!(await this.#isOpen(renewal))) {
        this.#forget(renewal);
        return false;
      }
      const changed = await this.#parts.broker.deliveries.change(newest, invisibleMs, false);
      if (!(changed instanceof Refusal)) {
        renewal.newest = changed;
        return true;
      }
      this.#failed(newest, changed.remark);
    } catch (error) {
      this.#failed(newest, (error as Error).message);
    }
    return false;
  }

  #failed({ topic, group, queueId, queueOffset }: Receipt, why: string): void {
    this.#parts.broker.logger.warn({ topic, group, queueId, queueOffset }, `a delivery is not renewed: ${why}`);
  }

  #forget(renewal: Renewal | undefined): void {
    if (renewal === undefined || this.#renewals.get(renewal.key) !== renewal) return;
    this.#renewals.delete(renewal.key);
    this.#budget.give(bytesOf(renewal.key));
  }
}

const NEW = { failures: 0, busy: undefined, isSaved: false, isEnding: false } as const;

/** Unix milliseconds when none of its receipts is good any more. */
const lastEndOf = ({ first, newest }: KeptRenewal): number => Math.max(visibleAt(first), visibleAt(newest));

const keyOf = ({ group, topic, liteTopic, queueId, queueOffset, handle }: Receipt): string =>
  `${group}@${retryMark(topic)}${topic}@${liteTopic}@${handle.brokerName}@${queueId}@${queueOffset}`;

const bytesOf = (key: string): number => ENTRY_BYTES + 2 * textBytes(key);

/** The receipt is the first of the delivery, or the newest: not one of another delivery of the message. */
const isOf = ({ first, newest }: Renewal, { handle }: Receipt): boolean =>
  [first, newest].some(({ handle: { popTime, startOffset } }) => {
    return popTime === handle.popTime && startOffset === handle.startOffset;
  });
