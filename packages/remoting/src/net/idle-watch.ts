import type { Clock, TimerHandle } from '../clock.ts';
import type { Connection } from './connection.ts';

/** The idle time is counted in so many steps: a connection goes between 10/10 and 11/10 of it after its last traffic. */
const STEPS = 10;

/**
 * Closes connections without traffic. One coarse timer for all of them, none while there is no connection; traffic
 * costs a connection nothing but setting `idleTicks` to 0.
 */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #idleTimeoutMs: number;
  readonly #connections: ReadonlySet<Connection>;
  #timer: TimerHandle | undefined;

  constructor(clock: Clock, idleTimeoutMs: number, connections: ReadonlySet<Connection>) {
    this.#clock = clock;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#connections = connections;
  }

  /** To be called when a connection was added or removed. */
  update(): void {
    const wanted = this.#idleTimeoutMs > 0 && this.#connections.size > 0;
    if (wanted === (this.#timer !== undefined)) return;
    if (wanted) {
      this.#timer = this.#clock.setTimer(() => this.#tick(), Math.max(1, Math.floor(this.#idleTimeoutMs / STEPS)));
    } else {
      this.#clock.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }

  #tick(): void {
    this.#timer = undefined;
    for (const connection of this.#connections) {
      // What we do not read is no silence of the peer's.
      if (connection.isPaused) continue;
      if (connection.idleTicks++ >= STEPS) connection.destroy(`idle for ${this.#idleTimeoutMs} ms`);
    }
    this.update();
  }
}
