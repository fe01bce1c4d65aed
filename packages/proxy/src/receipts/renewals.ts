import { type BrokerContext, Budget, handleText, Refusal, retryMark, textBytes } from '@vernier/broker/internal';
import type { Clients } from '../clients/clients.ts';
import { backoffMs } from '../clients/settings.ts';
import { rules } from '../limits.ts';
import { type Receipt, visibleAt } from './handle.ts';

export interface RenewalsParts {
  readonly broker: BrokerContext;
  readonly clients: Clients;
  readonly bytesMax: () => number;
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

interface Renewal {
  readonly key: string;
  readonly clientId: string;
  readonly reconsumeTimes: number;
  /** Unix milliseconds. */
  readonly since: number;
  /** What its consumer has. */
  readonly first: Receipt;
  newest: Receipt;
  renewals: number;
  failures: number;
  /** Settles when the change of its time that is under way is done. */
  busy: Promise<void> | undefined;
}

/**
 * Keeps deliveries from coming again while their consumers work on them: those that asked for it give no time of their own
 * (RocketMQ DefaultReceiptHandleManager). Each renewal makes a new receipt, and the consumer has the first one: what it does
 * with that is done with the newest.
 *
 * What has no room is not renewed, and comes again after its first time.
 */
export class Renewals {
  readonly #parts: RenewalsParts;
  readonly #budget: Budget;
  readonly #renewals = new Map<string, Renewal>();
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
    const state = { first: receipt, newest: receipt, renewals: 0, failures: 0, busy: undefined };
    this.#renewals.set(key, { key, clientId, reconsumeTimes, since, ...state });
    this.#watch();
  }

  /** The newest receipt of a delivery, which is not renewed any more; the receipt itself when it never was. */
  async take(receipt: Receipt): Promise<Receipt> {
    const renewal = this.#renewals.get(keyOf(receipt));
    if (renewal === undefined || !isOf(renewal, receipt)) return receipt;
    this.#forget(renewal);
    await renewal.busy;
    return renewal.newest;
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
    for (const renewal of [...this.#renewals.values()]) {
      const { newest, clientId, busy, since, reconsumeTimes } = renewal;
      if (busy !== undefined) continue;
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
      } else if (++renewal.failures >= FAILURES_MAX) {
        this.#forget(renewal);
      }
    });
  }

  /** Not renewed any more: the message comes again after so many milliseconds. */
  #end(renewal: Renewal, afterMs: number): void {
    this.#forget(renewal);
    renewal.busy = this.#change(renewal, afterMs).then(() => {});
  }

  /** False: its time is what it was. */
  async #change(renewal: Renewal, invisibleMs: number): Promise<boolean> {
    const { newest } = renewal;
    try {
      const changed = await changeTime(this.#parts.broker, newest, invisibleMs);
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

/** Gives a delivery another time from now on; resolves with its new receipt. */
export async function changeTime(
  { pop, lite }: Pick<BrokerContext, 'pop' | 'lite'>,
  receipt: Receipt,
  invisibleMs: number,
): Promise<Receipt | Refusal> {
  const service = receipt.liteTopic === '' ? pop.changes : lite.acks;
  const changed = await service.change(receipt, invisibleMs);
  if (changed instanceof Refusal) return changed;
  const { brokerName } = receipt.handle;
  return { ...receipt, handle: { ...changed, startOffset: receipt.queueOffset, brokerName } };
}

/** Undefined: the delivery is acknowledged. */
export const acknowledge = (
  { pop, lite }: Pick<BrokerContext, 'pop' | 'lite'>,
  receipt: Receipt,
): Promise<Refusal | undefined> => (receipt.liteTopic === '' ? pop.acks.ack(receipt) : lite.acks.ack(receipt));

/** The text of a receipt that was changed. */
export const changedReceiptText = ({ handle, topic, queueId, queueOffset, logOffset }: Receipt): string =>
  `${handleText({ ...handle, topic, queueId, queueOffset })}${logOffset < 0 ? '' : ` ${logOffset}`}`;

const keyOf = ({ group, topic, liteTopic, queueId, queueOffset }: Receipt): string =>
  `${group}@${retryMark(topic)}${topic}@${liteTopic}@${queueId}@${queueOffset}`;

const bytesOf = (key: string): number => ENTRY_BYTES + 2 * textBytes(key);

/** The receipt is the first of the delivery, or the newest: not one of another delivery of the message. */
const isOf = ({ first, newest }: Renewal, { handle }: Receipt): boolean =>
  [first, newest].some(({ handle: { popTime, startOffset } }) => {
    return popTime === handle.popTime && startOffset === handle.startOffset;
  });
