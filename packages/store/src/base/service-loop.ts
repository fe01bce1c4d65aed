import type { Clock, TimerHandle } from './clock.ts';

/**
 * A background service that sleeps until there is work (RocketMQ ServiceThread). Not a thread: `run` is an async loop on
 * the event loop, and the blocking calls it awaits run on an IoLane.
 *
 * - A wakeup is never lost: one that comes while the service works makes its next waitForRunning return at once.
 * - A wakeup is never doubled: any number of them between two waits causes one round.
 * - onWaitEnd runs exactly once at the end of every wait, before the wait's caller goes on.
 */
export abstract class ServiceLoop {
  protected readonly clock: Clock;
  #notified = false;
  #stopped = false;
  #wake: (() => void) | undefined;
  #timer: TimerHandle;
  #running: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Set by shutdown(); run() leaves its loop when it sees it. */
  protected get stopped(): boolean {
    return this.#stopped;
  }

  /** Starts the loop; a second call does nothing. */
  start(): void {
    if (this.#running) return;
    this.#running = this.run();
    // shutdown() rejects with it too; until then it must not count as an unhandled rejection.
    this.#running.catch((error: unknown) => this.onDied(error));
  }

  /** Ends the current wait, or the next one when the service is at work. Cheap enough to be called for every message. */
  wakeup(): void {
    if (this.#notified) return;
    this.#notified = true;
    if (this.#wake) this.clock.defer(this.#endIfNotified);
  }

  /** Lets run() finish its last round; resolves when it has, rejects with what it threw. */
  async shutdown(): Promise<void> {
    this.#stopped = true;
    this.wakeup();
    await this.#running;
  }

  /** The loop: `while (!this.stopped) { await this.waitForRunning(…); … }` and what remains to be done at the end. */
  protected abstract run(): Promise<void>;

  /** Waits for a wakeup, or for `intervalMs` at most. Without an interval no timer is armed: an idle service costs nothing. */
  protected async waitForRunning(intervalMs?: number): Promise<void> {
    if (!this.#notified) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (intervalMs !== undefined) this.#timer = this.clock.setTimer(this.#endWait, intervalMs);
      });
    }
    this.#notified = false;
    this.onWaitEnd();
  }

  /** run() threw: nothing is served any more. Whoever waits for this service must be told. */
  protected abstract onDied(error: unknown): void;

  /** What a service does at the end of each wait (GroupCommitService swaps its request lists here). */
  protected onWaitEnd(): void {}

  /** When the timer ended the wait before this deferred call came, the wakeup was consumed and the next wait is not its. */
  readonly #endIfNotified = (): void => {
    if (this.#notified) this.#endWait();
  };

  readonly #endWait = (): void => {
    const wake = this.#wake;
    if (!wake) return;
    this.#wake = undefined;
    if (this.#timer !== undefined) {
      this.clock.clearTimer(this.#timer);
      this.#timer = undefined;
    }
    wake();
  };
}
