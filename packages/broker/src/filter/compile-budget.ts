import type { Clock } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { SELECTOR_CHARS_MAX } from './sql92/index.ts';

/** Characters of one source that are compiled at once, after a while without any, and a second. */
const SOURCE_BURST_CHARS = 2 * SELECTOR_CHARS_MAX;
export const SOURCE_CHARS_A_SECOND = 8 * SELECTOR_CHARS_MAX;
/** Of all sources together: at once, some 10 ms of the event loop, and a second, a quarter of it. */
const ALL_BURST_CHARS = SELECTOR_CHARS_MAX;
export const ALL_CHARS_A_SECOND = 32 * SELECTOR_CHARS_MAX;
/** A short expression counts as so many: what keeps it takes time too. */
const EXPRESSION_CHARS_MIN = 64;
/** Sources that are told apart; the one that compiled nothing for longest gives way. */
const SOURCES_MAX = 1_024;
/** How long an expression waits at most before it is refused, and how often those that wait are looked at. */
export const COMPILE_WAIT_MS = 1_000;
const TICK_MS = 10;
/** What waits takes its text and something for the request: bytes of one source, and of all. */
const WAITING_BYTES = 1_024;
const SOURCE_WAITING_BYTES_MAX = 1024 * 1024;
const ALL_WAITING_BYTES_MAX = 8 * 1024 * 1024;
/** So many answers are sent in one go. */
const ANSWERS_A_TICK = 256;

/** An expression that may have to wait. */
export interface Compilation {
  /** 0 to SELECTOR_CHARS_MAX. */
  readonly chars: number;
  /** Another has compiled the same meanwhile: it costs nothing any more. */
  isKnown(): boolean;
  /** Called once, when it has waited: compile it, or refuse it. */
  done(isRefused: boolean): void;
}

interface Waiting {
  readonly compilation: Compilation;
  /** Monotonic milliseconds at which it is refused. */
  readonly until: number;
}

interface Source {
  readonly bucket: Bucket;
  /** In the order they came. */
  readonly waiting: Waiting[];
  waitingBytes: number;
}

/**
 * How much of the event loop expressions may have that nobody has sent before: each is compiled in one go. Each source
 * spends its own budget, and all together have one as the last bound. What finds none waits; the sources that wait take
 * turns, so that who sends many is before nobody else.
 */
export class CompileBudget {
  readonly #clock: Clock;
  readonly #all: Bucket;
  /** Longest without a compilation first. One that waits is never left out. */
  readonly #sources = new Map<string, Source>();
  #waitingBytes = 0;
  /** The next in turn waits for the budget of all: nobody goes before it. */
  #isAllSpent = false;
  #isTicking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = new Bucket(ALL_BURST_CHARS, ALL_CHARS_A_SECOND, clock.monotonic());
  }

  /**
   * `now`: compile it. `later`: its `done` is called within COMPILE_WAIT_MS and a little. `refused`: too much of the source,
   * or of all sources, waits already.
   */
  ask(source: string, compilation: Compilation): 'now' | 'later' | 'refused' {
    const now = this.#clock.monotonic();
    const asker = this.#source(source, now);
    if (asker.waiting.length === 0 && !this.#isAllSpent && this.#take(asker, compilation, now)) {
      this.#renew(source, asker);
      return 'now';
    }
    const bytes = bytesOf(compilation);
    if (asker.waitingBytes + bytes > SOURCE_WAITING_BYTES_MAX) return 'refused';
    if (this.#waitingBytes + bytes > ALL_WAITING_BYTES_MAX) return 'refused';
    asker.waiting.push({ compilation, until: now + COMPILE_WAIT_MS });
    asker.waitingBytes += bytes;
    this.#waitingBytes += bytes;
    this.#tickLater();
    return 'later';
  }

  /** Sources that are told apart now. */
  get sourceCount(): number {
    return this.#sources.size;
  }

  #tickLater(): void {
    if (this.#isTicking || this.#waitingBytes === 0) return;
    this.#isTicking = true;
    this.#clock.setTimer(() => {
      this.#isTicking = false;
      this.#tick();
      this.#tickLater();
    }, TICK_MS);
  }

  /** One of each source, round after round, until none has budget. */
  #tick(): void {
    this.#isAllSpent = false;
    const now = this.#clock.monotonic();
    const sources = [...this.#sources].filter(([, { waiting }]) => waiting.length > 0);
    let left = ANSWERS_A_TICK;
    let hasTaken: boolean;
    do {
      hasTaken = false;
      for (const [name, source] of sources) {
        const [first] = source.waiting;
        if (first === undefined) continue;
        const { compilation } = first;
        const isRefused = first.until <= now;
        if (!isRefused && !compilation.isKnown()) {
          if (!source.bucket.has(costOf(compilation), now)) continue;
          if (!this.#take(source, compilation, now)) {
            this.#isAllSpent = true;
            this.#refuseLate(now, left);
            return;
          }
          this.#renew(name, source);
        }
        hasTaken = true;
        this.#end(source, isRefused);
        if (--left === 0) return;
      }
    } while (hasTaken);
  }

  #refuseLate(now: number, atMost: number): void {
    let left = atMost;
    for (const source of this.#sources.values()) {
      while (source.waiting[0] !== undefined && source.waiting[0].until <= now) {
        this.#end(source, true);
        if (--left === 0) return;
      }
    }
  }

  #end(source: Source, isRefused: boolean): void {
    const { compilation } = source.waiting.shift()!;
    const bytes = bytesOf(compilation);
    source.waitingBytes -= bytes;
    this.#waitingBytes -= bytes;
    compilation.done(isRefused);
  }

  #take(source: Source, compilation: Compilation, now: number): boolean {
    const cost = costOf(compilation);
    if (!source.bucket.has(cost, now) || !this.#all.has(cost, now)) return false;
    source.bucket.spend(cost);
    this.#all.spend(cost);
    return true;
  }

  #source(name: string, now: number): Source {
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
    if (this.#sources.size >= SOURCES_MAX) {
      for (const [oldest, { waiting }] of this.#sources) {
        if (waiting.length === 0) this.#sources.delete(oldest);
        if (this.#sources.size < SOURCES_MAX) break;
      }
    }
    const source = { bucket: new Bucket(SOURCE_BURST_CHARS, SOURCE_CHARS_A_SECOND, now), waiting: [], waitingBytes: 0 };
    this.#sources.set(name, source);
    return source;
  }

  /** To the end: the next turn is another's. */
  #renew(name: string, source: Source): void {
    this.#sources.delete(name);
    this.#sources.set(name, source);
  }
}

/** Whose budget a caller spends: its address, of IPv6 the network of 64 bits, which one host may have all of. */
export function sourceOf({ host }: Pick<Caller, 'host'>): string {
  const bytes = Buffer.from(host.address);
  if (bytes.length <= 4) return bytes.toString('hex');
  const isMapped = bytes.subarray(0, 12).toString('hex') === '00000000000000000000ffff';
  return (isMapped ? bytes.subarray(12) : bytes.subarray(0, 8)).toString('hex');
}

const costOf = ({ chars }: Compilation): number => Math.max(chars, EXPRESSION_CHARS_MIN);
const bytesOf = ({ chars }: Compilation): number => WAITING_BYTES + 2 * chars;

/** Fills by time up to its burst. */
class Bucket {
  readonly #burst: number;
  readonly #aSecond: number;
  #chars: number;
  #at: number;

  constructor(burst: number, aSecond: number, now: number) {
    this.#burst = burst;
    this.#aSecond = aSecond;
    this.#chars = burst;
    this.#at = now;
  }

  has(chars: number, now: number): boolean {
    this.#chars = Math.min(this.#burst, this.#chars + ((now - this.#at) * this.#aSecond) / 1_000);
    this.#at = now;
    return chars <= this.#chars;
  }

  spend(chars: number): void {
    this.#chars -= chars;
  }
}
