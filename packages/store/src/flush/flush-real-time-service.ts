import type { Clock } from '../base/clock.ts';
import { ServiceLoop } from '../base/service-loop.ts';
import { type FlushListener, type FlushTarget, nothingAdvancedError } from './flush-target.ts';

export interface FlushRealTimeOptions {
  clock: Clock;
  /** Milliseconds between flushes while anything is unflushed (RocketMQ default 500). */
  flushIntervalCommitLog: number;
  /** OS pages of 4096 bytes that must be new for a flush before the thorough one is due. */
  flushCommitLogLeastPages: number;
  /** After so many milliseconds a flush takes whatever there is. */
  flushCommitLogThoroughInterval: number;
  /** true: the interval is kept whatever is appended; false: an append ends the wait when wakeFlushWhenPutMessage. */
  flushCommitLogTimed: boolean;
  wakeFlushWhenPutMessage: boolean;
}

/**
 * The flush service of ASYNC_FLUSH (RocketMQ CommitLog.FlushRealTimeService): flushes at intervals. Its timer runs only
 * while bytes are unflushed.
 */
export class FlushRealTimeService extends ServiceLoop {
  readonly #target: FlushTarget;
  readonly #listener: FlushListener;
  readonly #options: FlushRealTimeOptions;
  #lastThoroughFlush: number;
  #idle = false;
  #urgent = false;

  constructor(target: FlushTarget, listener: FlushListener, options: FlushRealTimeOptions) {
    super(options.clock);
    this.#target = target;
    this.#listener = listener;
    this.#options = options;
    this.#lastThoroughFlush = options.clock.monotonic();
  }

  /** Bytes were appended or committed: arms the interval, or ends it where the settings say so. */
  onAppended(): void {
    if (this.#idle || (this.#options.wakeFlushWhenPutMessage && !this.#options.flushCommitLogTimed)) this.wakeup();
  }

  /** Flushes everything that is appended now, without waiting for the interval. */
  flushNow(): void {
    this.#urgent = true;
    this.wakeup();
  }

  protected override async run(): Promise<void> {
    while (!this.stopped) {
      if (this.#target.flushedWhere === this.#target.maxOffset) {
        this.#idle = true;
        await this.waitForRunning();
        this.#idle = false;
        // The interval counts from the first unflushed byte. Before it, the thorough flush was not due either.
        this.#lastThoroughFlush = this.clock.monotonic();
        if (this.#options.flushCommitLogTimed && !this.#urgent) {
          if (this.stopped) break;
          await this.waitForRunning(this.#options.flushIntervalCommitLog);
        }
      } else if (!this.#urgent) {
        await this.waitForRunning(this.#options.flushIntervalCommitLog);
      }
      if (!(await this.#flushRound())) return;
    }
    // Shutdown leaves nothing unflushed.
    while (this.#target.flushedWhere < this.#target.maxOffset) {
      this.#urgent = true;
      if (!(await this.#flushRound())) return;
    }
  }

  /** False when a flush failed: the store is read-only and this service has nothing left to do. */
  async #flushRound(): Promise<boolean> {
    const now = this.clock.monotonic();
    const thorough = this.#urgent || now - this.#lastThoroughFlush >= this.#options.flushCommitLogThoroughInterval;
    if (thorough) this.#lastThoroughFlush = now;
    this.#urgent = false;
    const leastPages = thorough ? 0 : this.#options.flushCommitLogLeastPages;
    const end = this.#target.maxOffset;
    try {
      while (this.#target.flushedWhere < end) {
        const nothingAdvanced = await this.#target.flush(leastPages);
        if (nothingAdvanced && leastPages > 0) break;
        if (nothingAdvanced) throw nothingAdvancedError('flush', this.#target.flushedWhere, end);
        this.#listener.onFlushed();
      }
      return true;
    } catch (error) {
      this.onDied(error);
      return false;
    }
  }

  protected override onDied(error: unknown): void {
    this.#listener.onThrown(error);
  }
}
