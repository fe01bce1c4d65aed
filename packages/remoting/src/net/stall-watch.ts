import type { Clock, TimerHandle } from '../clock.ts';
import { type Connection, PauseReason } from './connection.ts';
import type { Budgets } from './limits.ts';

/** A connection is closed after so many looks in a row at which it had not moved on. */
const LOOKS = 3;
/** What counts as moving on while others wait: a peer that sends or takes a byte now and then holds them up all the same. */
const PROGRESS_BYTES_MIN = 64 * 1024;

interface Progress {
  takenBytes: number;
  receivedBytes: number;
  /** Looks without progress. */
  looks: number;
}

/**
 * Closes connections that do not move on while something depends on it: much waits for a peer that does not read, or
 * others wait for the room that a peer's half-sent frame or unread answers take. A peer that reads, however slowly, keeps
 * its connection as long as nobody waits for its room. No timer runs while nothing depends on anybody.
 */
export class StallWatch {
  readonly #clock: Clock;
  readonly #stallTimeoutMs: number;
  readonly #connections: ReadonlySet<Connection>;
  readonly #budgets: Budgets;
  readonly #onStalled: (connection: Connection, reason: string) => void;
  #progress = new WeakMap<Connection, Progress>();
  #timer: TimerHandle | undefined;

  constructor(
    clock: Clock,
    stallTimeoutMs: number,
    connections: ReadonlySet<Connection>,
    budgets: Budgets,
    onStalled: (connection: Connection, reason: string) => void,
  ) {
    this.#clock = clock;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#connections = connections;
    this.#budgets = budgets;
    this.#onStalled = onStalled;
  }

  /** Something has begun to depend on a peer. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#progress = new WeakMap();
    this.#look();
  }

  close(): void {
    this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    let depends = false;
    for (const connection of [...this.#connections]) {
      const wanted = this.#wanted(connection);
      if (wanted === undefined) {
        this.#progress.delete(connection);
        continue;
      }
      depends = true;
      const { takenBytes, receivedBytes } = connection;
      const before = this.#progress.get(connection);
      const moved =
        before === undefined || takenBytes - before.takenBytes + receivedBytes - before.receivedBytes >= wanted.bytes;
      const looks = moved ? 0 : before.looks + 1;
      this.#progress.set(connection, { takenBytes, receivedBytes, looks });
      if (looks >= LOOKS) this.#onStalled(connection, wanted.reason);
    }
    if (depends) this.#timer = this.#clock.setTimer(() => this.#look(), Math.ceil(this.#stallTimeoutMs / LOOKS));
  }

  /** What this connection has to move on by, and why; undefined when nothing depends on it. */
  #wanted(connection: Connection): { bytes: number; reason: string } | undefined {
    const { answers, receiving } = this.#budgets;
    const { outgoingBytes } = connection;
    // What we do not read does not arrive.
    if (connection.isReceiving && !connection.isPaused && receiving.waiting > 0) {
      return { bytes: PROGRESS_BYTES_MIN, reason: 'its frame does not arrive, and others wait for the room it has' };
    }
    if (outgoingBytes > 0 && answers.waiting > 0) {
      const bytes = Math.min(PROGRESS_BYTES_MIN, outgoingBytes);
      return { bytes, reason: `${outgoingBytes} bytes wait for it to read, and others wait for the room they have` };
    }
    if (outgoingBytes > 0 && connection.isPausedFor(PauseReason.OUTGOING)) {
      return { bytes: 1, reason: `${outgoingBytes} bytes wait for it to read` };
    }
    return undefined;
  }
}
