import type { Clock, StoreLogger } from '@vernier/store';

/** Sources that are told apart; those whose last failure is longest ago give way. */
const SOURCES_MAX = 1_024;
const MINUTE_MS = 60_000;
/** Failures of a source in a minute that are answered at once. */
const AT_ONCE = 10;
/** After them one answer each so many milliseconds. */
const STEP_MS = 100;
/** Lines a minute about all sources together; who has many addresses does not fill the log. */
const LINES_MAX = 60;
/** Answers of one source, and of all, that may wait. Beyond it the source is disconnected. */
const WAITING_MAX = 100;
const ALL_WAITING_MAX = 2_000;

/** Why a sign-in failed: it says nobody, a user that there is not, a wrong signature, or a user that is disabled. */
export const SIGN_IN_FAULTS = ['unsigned', 'no_user', 'signature', 'disabled'] as const;
export type SignInFaultKind = (typeof SIGN_IN_FAULTS)[number];

interface Source {
  /** Monotonic milliseconds at which its minute began. */
  since: number;
  failures: number;
  /** Failures that no line has told of. */
  untold: number;
  /** Monotonic milliseconds before which no further failure is answered. */
  nextAnswer: number;
  waiting: number;
}

/**
 * Requests that nobody was allowed to sign. Of each source (an address without its port) one line a minute is logged, with
 * the first reason and how many came before; who fails often is answered slowly. What is signed well waits for nobody.
 */
export class FailedSignIns {
  readonly #clock: Clock;
  readonly #logger: StoreLogger;
  readonly #sources = new Map<string, Source>();
  readonly #counts: Record<SignInFaultKind, number> = { unsigned: 0, no_user: 0, signature: 0, disabled: 0 };
  #waiting = 0;
  #linesSince = Number.NEGATIVE_INFINITY;
  #lines = 0;

  constructor(clock: Clock, logger: StoreLogger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Since the start. */
  get total(): number {
    return Object.values(this.#counts).reduce((sum, count) => sum + count, 0);
  }

  /** Since the start, by the reason. */
  get counts(): Readonly<Record<SignInFaultKind, number>> {
    return this.#counts;
  }

  /**
   * Counts a failure, and resolves when it may be answered: undefined for at once, `disconnect` when too many of this
   * source's answers wait.
   */
  failed(address: string, reason: string, kind: SignInFaultKind): Promise<void> | 'disconnect' | undefined {
    this.#counts[kind]++;
    const now = this.#clock.monotonic();
    const source = this.#sourceOf(address, now);
    source.failures++;
    if (source.failures === 1 && this.#mayLog(now)) {
      const fields = { address, failures: 1, failuresBefore: source.untold };
      const before = source.untold === 0 ? '' : `; ${source.untold} more of it since the last line`;
      this.#logger.warn(fields, `sign-in from ${address} failed: ${reason}${before}`);
      source.untold = 0;
    } else source.untold++;
    if (source.failures <= AT_ONCE) return undefined;
    if (source.waiting >= WAITING_MAX || this.#waiting >= ALL_WAITING_MAX) return 'disconnect';
    source.nextAnswer = Math.max(source.nextAnswer, now) + STEP_MS;
    source.waiting++;
    this.#waiting++;
    return new Promise((resolve) => {
      this.#clock.setTimer(() => {
        source.waiting--;
        this.#waiting--;
        resolve();
      }, source.nextAnswer - now);
    });
  }

  #mayLog(now: number): boolean {
    if (now - this.#linesSince >= MINUTE_MS) {
      this.#linesSince = now;
      this.#lines = 0;
    }
    return ++this.#lines <= LINES_MAX;
  }

  #sourceOf(address: string, now: number): Source {
    const known = this.#sources.get(address);
    if (known !== undefined) {
      if (now - known.since >= MINUTE_MS) {
        known.since = now;
        known.failures = 0;
      }
      // The map keeps the order of the last failures.
      this.#sources.delete(address);
      this.#sources.set(address, known);
      return known;
    }
    if (this.#sources.size >= SOURCES_MAX) {
      const [oldest] = this.#sources.keys();
      this.#sources.delete(oldest!);
    }
    const source = { since: now, failures: 0, untold: 0, nextAnswer: now, waiting: 0 };
    this.#sources.set(address, source);
    return source;
  }
}
