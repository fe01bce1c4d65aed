import { writeSync } from 'node:fs';

/** A disk call that has not returned: what it does, to which file, and for how long already. */
export interface DiskCall {
  operation: string;
  file: string;
  /** Milliseconds since it began. */
  forMs: number;
}

export interface StopOptions {
  /** Stops everything cleanly. Called once. */
  stop: () => Promise<void>;
  /** The disk calls under way now. */
  diskCalls: () => readonly DiskCall[];
  /** Grows as long as the stop gets on. */
  progress?: () => number;
  /** Told when the stop begins, with the signal's name. */
  onStopping?: (signal: string) => void;
  /** Time in which something must get on, ms. Below the promised two seconds by what the message and the end itself need. */
  limitMs?: number;
  /** Time for all of a stop that gets on, ms. */
  totalLimitMs?: number;
  /** For tests: ends the process. */
  kill?: (message: string) => void;
  now?: () => number;
}

/**
 * A repeat within this time is the same request: Ctrl-C reaches npm and us alike and npm passes its own on, and so does
 * a service manager that signals a whole group.
 */
const SAME_REQUEST_MS = 100;
export const STOP_LIMIT_MS = 1_800;
/** Below the 10 seconds after which Docker ends a container without a word. */
export const STOP_TOTAL_LIMIT_MS = 9_000;
/** How often a stop is asked whether it got on. */
const LOOKS_PER_LIMIT = 18;

/**
 * Turns SIGTERM, SIGINT and SIGHUP into a clean stop, and into SIGKILL to ourselves when nothing of it gets on for
 * `limitMs`, all of it takes longer than `totalLimitMs`, or a second signal comes. `process.exit` would not do: it waits for the threads that sit in a hung disk call. Nothing that
 * was not acknowledged becomes acknowledged by it, and the next start recovers.
 */
export class StopControl {
  readonly #options: StopOptions;
  readonly #now: () => number;
  #firstSignalAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #listeners = new Map<NodeJS.Signals, () => void>();

  constructor(options: StopOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Starts listening for signals. */
  listen(): void {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const listener = (): void => this.onSignal(signal);
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  onSignal(signal: string): void {
    const now = this.#now();
    if (this.#firstSignalAt !== undefined) {
      if (now - this.#firstSignalAt >= SAME_REQUEST_MS) this.#kill(`a second ${signal} came while stopping`);
      return;
    }
    this.#firstSignalAt = now;
    this.#watch(now);
    this.#options.onStopping?.(signal);
    void this.#options.stop().then(
      () => this.close(),
      (error: Error) => {
        this.close();
        throw error;
      },
    );
  }

  #watch(beganAt: number): void {
    const { limitMs = STOP_LIMIT_MS, totalLimitMs = STOP_TOTAL_LIMIT_MS, progress = () => 0 } = this.#options;
    let last = { progress: progress(), at: beganAt };
    this.#timer = setInterval(() => {
      const now = this.#now();
      const done = progress();
      if (done !== last.progress) last = { progress: done, at: now };
      if (now - last.at >= limitMs) this.#kill(`the stop did not get on for ${limitMs} ms`);
      else if (now - beganAt >= totalLimitMs) this.#kill(`not stopped within ${totalLimitMs} ms`);
    }, limitMs / LOOKS_PER_LIMIT);
  }

  get stopping(): boolean {
    return this.#firstSignalAt !== undefined;
  }

  /** Stops listening and waiting. */
  close(): void {
    clearInterval(this.#timer);
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
    this.#listeners.clear();
  }

  #kill(why: string): void {
    clearInterval(this.#timer);
    const calls = this.#options.diskCalls();
    const what =
      calls.length === 0
        ? 'no disk call is under way'
        : calls
            .map(({ operation, file, forMs }) => `${operation} of ${file} has not returned for ${seconds(forMs)}`)
            .join('; ');
    const message = `vernier: ${why}: ${what}; ending with SIGKILL (exit code 137), the next start recovers\n`;
    (this.#options.kill ?? killSelf)(message);
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

function killSelf(message: string): void {
  try {
    // Straight to the descriptor: a stream would still be waiting for its turn when the signal arrives.
    writeSync(2, message);
  } catch {
    // Nobody reads it; the end is not to depend on that.
  }
  process.kill(process.pid, 'SIGKILL');
}
