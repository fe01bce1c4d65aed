import type { Clock } from './clock.ts';
import type { RemotingLogger } from './logger.ts';

interface Cause {
  /** Monotonic milliseconds at which its time began. */
  since: number;
  /** Lines let through in that time. */
  lines: number;
  /** Lines left out since the last one that was let through. */
  leftOut: number;
}

const SECOND_MS = 1000;
/** Causes that are told apart; a peer who can make up new ones gets the lines of one for all of them together. */
const CAUSES_MAX = 256;

/** How many lines of one cause are let through in a time, a second unless told otherwise. What is left out is counted. */
export class LineLimit {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #linesMax: number;
  readonly #intervalMs: number;
  readonly #causes = new Map<string, Cause>();

  constructor(clock: Pick<Clock, 'monotonic'>, linesMax: number, intervalMs = SECOND_MS) {
    this.#clock = clock;
    this.#linesMax = linesMax;
    this.#intervalMs = intervalMs;
  }

  /** Undefined: leave this line out. A number: let it through; so many of its cause were left out before it. */
  admit(cause: string): number | undefined {
    const now = this.#clock.monotonic();
    const entry = this.#entry(cause, now);
    if (now - entry.since >= this.#intervalMs) {
      entry.since = now;
      entry.lines = 0;
    }
    if (entry.lines >= this.#linesMax) {
      entry.leftOut++;
      return undefined;
    }
    entry.lines++;
    const { leftOut } = entry;
    entry.leftOut = 0;
    return leftOut;
  }

  /** Causes of which lines were left out that no line has told of yet, with their number; each is told once. */
  takeLeftOut(): [cause: string, leftOut: number][] {
    const found: [string, number][] = [];
    for (const [cause, entry] of this.#causes) {
      if (entry.leftOut === 0) continue;
      found.push([cause, entry.leftOut]);
      entry.leftOut = 0;
    }
    return found;
  }

  #entry(cause: string, now: number): Cause {
    const known = this.#causes.get(cause);
    if (known !== undefined) return known;
    if (this.#causes.size >= CAUSES_MAX) this.#forgetQuiet(now);
    const name = this.#causes.size >= CAUSES_MAX ? '' : cause;
    let entry = this.#causes.get(name);
    if (entry === undefined) {
      entry = { since: now, lines: 0, leftOut: 0 };
      this.#causes.set(name, entry);
    }
    return entry;
  }

  #forgetQuiet(now: number): void {
    for (const [cause, entry] of this.#causes) {
      if (now - entry.since >= this.#intervalMs && entry.leftOut === 0) this.#causes.delete(cause);
    }
  }
}

/** Lines of a cause in a second that the wire writes about its peers. */
const PEER_LINES_MAX = 5;

/** The log of what peers do wrong: a flood of it is a few lines a second with the number of those left out. */
export class PeerLog {
  readonly #logger: RemotingLogger;
  readonly #limit: LineLimit;

  constructor(logger: RemotingLogger, clock: Pick<Clock, 'monotonic'>) {
    this.#logger = logger;
    this.#limit = new LineLimit(clock, PEER_LINES_MAX);
  }

  /** `cause` is what lines are counted by; it must not hold what a peer can choose freely. */
  write(level: 'warn' | 'error', cause: string, fields: object, message: string): void {
    const leftOut = this.#limit.admit(cause);
    if (leftOut === undefined) return;
    if (leftOut === 0) this.#logger[level](fields, message);
    else this.#logger[level]({ ...fields, leftOut }, `${message} (${leftOut} more like this were left out)`);
  }
}
