import type { Clock } from '../base/clock.ts';
import { ServiceLoop } from '../base/service-loop.ts';
import { type FlushListener, type FlushTarget, nothingAdvancedError } from './flush-target.ts';

export interface CommitRealTimeOptions {
  clock: Clock;
  /** Milliseconds between commits while anything is uncommitted (RocketMQ default 200). */
  commitIntervalCommitLog: number;
  commitCommitLogLeastPages: number;
  commitCommitLogThoroughInterval: number;
  wakeCommitWhenPutMessage: boolean;
}

/**
 * Copies the transient pool's buffers to the file (RocketMQ CommitLog.CommitRealTimeService). After each commit that
 * moved committedWhere the listener wakes the flush service. Its timer runs only while bytes are uncommitted.
 */
export class CommitRealTimeService extends ServiceLoop {
  readonly #target: FlushTarget;
  readonly #listener: FlushListener;
  readonly #options: CommitRealTimeOptions;
  #lastThoroughCommit: number;
  #idle = false;

  constructor(target: FlushTarget, listener: FlushListener, options: CommitRealTimeOptions) {
    super(options.clock);
    this.#target = target;
    this.#listener = listener;
    this.#options = options;
    this.#lastThoroughCommit = options.clock.monotonic();
  }

  /** Bytes were appended to a pool buffer. */
  onAppended(): void {
    if (this.#idle || this.#options.wakeCommitWhenPutMessage) this.wakeup();
  }

  protected override async run(): Promise<void> {
    while (!this.stopped) {
      const uncommitted = this.#target.committedWhere < this.#target.maxOffset;
      this.#idle = !uncommitted;
      await this.waitForRunning(uncommitted ? this.#options.commitIntervalCommitLog : undefined);
      this.#idle = false;
      if (!(await this.#commitRound(false))) return;
    }
    while (this.#target.committedWhere < this.#target.maxOffset) {
      if (!(await this.#commitRound(true))) return;
    }
  }

  /** False when a commit failed: the store is read-only and this service has nothing left to do. */
  async #commitRound(everything: boolean): Promise<boolean> {
    const now = this.clock.monotonic();
    const thorough = everything || now - this.#lastThoroughCommit >= this.#options.commitCommitLogThoroughInterval;
    const leastPages = thorough ? 0 : this.#options.commitCommitLogLeastPages;
    const end = this.#target.maxOffset;
    try {
      while (this.#target.committedWhere < end) {
        const nothingAdvanced = await this.#target.commit(leastPages);
        if (nothingAdvanced && leastPages > 0) break;
        if (nothingAdvanced) throw nothingAdvancedError('commit', this.#target.committedWhere, end);
        this.#lastThoroughCommit = now;
        this.#listener.onCommitted();
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
