import type { Clock } from './clock.ts';
import type { StoreContext } from './context.ts';
import type { StoreLogger } from './logger.ts';
import { errnoOf } from './queue-failure.ts';

/** What a process or a disk can lack for a while: descriptors, room, a quota, memory. */
const LACKS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT', 'ENOMEM']);
/** Calls that force what was written. After one of them failed, the kernel may call pages clean that are not on disk. */
const FORCES: ReadonlySet<string> = new Set(['fsync', 'fdatasync', 'sync']);

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 5_000;
const LINE_EVERY_MS = 10_000;

/**
 * Whether a call failed for a lack that may pass, and may be made again with the same bytes. Not a call that forces: it
 * is never made again, whatever its error.
 */
export function isPassingLack(error: unknown): boolean {
  const { syscall } = (error ?? {}) as { syscall?: unknown };
  return LACKS.has(errnoOf(error)) && !(typeof syscall === 'string' && FORCES.has(syscall));
}

/** Goes on with the others when one piece of work fails for a lack, and rejects with the first of them at the end. */
export class Lacks {
  readonly #context: Pick<StoreContext, 'failure'>;
  #first: { error: unknown } | undefined;

  constructor(context: Pick<StoreContext, 'failure'>) {
    this.#context = context;
  }

  /** Rejects when the store has failed; `undone` is told that the work is left to do. */
  async pass(work: () => Promise<void>, undone?: () => void): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#context.failure) throw error;
      this.#first ??= { error };
      undone?.();
    }
  }

  throwFirst(): void {
    if (this.#first) throw this.#first.error;
  }
}

/**
 * What to do while files that can be made anew from the log cannot be written: try again with growing pauses, say so now
 * and then, count it. The log itself is sound, so nothing is lost and nothing has failed; readers see messages later.
 */
export class PassingLack {
  readonly #clock: Clock;
  readonly #logger: StoreLogger;
  /** What is late, for the log's lines. */
  readonly #what: string;
  #since: number | undefined;
  #pauseMs = 0;
  #retryAt = 0;
  #failedNow = 0;
  #saidAt = 0;
  #cause: unknown;
  /** Attempts that failed since the store was opened. */
  failedCount = 0;

  constructor(clock: Clock, logger: StoreLogger, what: string) {
    this.#clock = clock;
    this.#logger = logger;
    this.#what = what;
  }

  get isLacking(): boolean {
    return this.#since !== undefined;
  }

  /** Milliseconds since the first attempt of this lack failed; 0 without one. */
  get forMs(): number {
    return this.#since === undefined ? 0 : this.#clock.monotonic() - this.#since;
  }

  /** Milliseconds until the next attempt; 0 without a lack. */
  get retryInMs(): number {
    return this.#since === undefined ? 0 : Math.max(0, this.#retryAt - this.#clock.monotonic());
  }

  get cause(): string {
    return this.#cause instanceof Error ? this.#cause.message : String(this.#cause);
  }

  /** An attempt failed. */
  failed(cause: unknown): void {
    const now = this.#clock.monotonic();
    this.failedCount++;
    this.#cause = cause;
    this.#pauseMs = this.#since === undefined ? RETRY_FIRST_MS : Math.min(RETRY_MAX_MS, this.#pauseMs * 2);
    this.#retryAt = now + this.#pauseMs;
    const isFirst = this.#since === undefined;
    this.#since ??= now;
    this.#failedNow = isFirst ? 1 : this.#failedNow + 1;
    if (!isFirst && now - this.#saidAt < LINE_EVERY_MS) return;
    this.#saidAt = now;
    const fields = { attempts: this.#failedNow, forMs: Math.round(this.forMs), retryInMs: this.#pauseMs };
    this.#logger.warn(fields, `${this.#what} cannot be written, it is tried again: ${this.cause}`);
  }

  /** An attempt succeeded. True when that ended a lack. */
  succeeded(): boolean {
    if (this.#since === undefined) return false;
    const fields = { attempts: this.#failedNow, forMs: Math.round(this.forMs) };
    this.#since = undefined;
    this.#logger.info(fields, `${this.#what} can be written again`);
    return true;
  }
}
