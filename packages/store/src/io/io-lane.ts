/**
 * Where the commit log's blocking calls run, and nothing else's. At most one write and one sync are under way at a
 * time; both may run together, so that a write of the asynchronous mode never waits behind an fdatasync. Further calls
 * wait in order behind their own kind.
 *
 * `pool` uses libuv's threads, which the host program shares; `worker` (worker-lane.ts) has two threads of its own.
 */
import { fdatasync, write, writev } from 'node:fs';
import type { InFlightOperation } from '../base/file-system.ts';

export type LaneOperation = 'write' | 'sync';

/** What is known of the operations of one kind that have returned. */
export interface LaneTimes {
  count: number;
  failed: number;
  totalMs: number;
  maxMs: number;
}

export interface IoLane {
  readonly kind: 'pool' | 'worker';
  /** Milliseconds from the call's start on this thread to its completion here, by kind. */
  readonly times: Readonly<Record<LaneOperation, LaneTimes>>;
  /** Resolves when every byte of `pieces` is *written* at `position`. Rejects with the errno error. */
  write(fd: number, file: string, pieces: readonly Uint8Array[], position: number): Promise<void>;
  /**
   * A write on a descriptor opened with O_DSYNC: the bytes of `pieces` are *on disk* when it resolves. It counts as a
   * sync and takes a sync's turn. Rejects with the errno error.
   */
  writeDurably(fd: number, file: string, pieces: readonly Uint8Array[], position: number): Promise<void>;
  /** fdatasync. What was written before the call is *on disk* when it resolves. Rejects with the errno error. */
  sync(fd: number, file: string): Promise<void>;
  /** The calls that have not returned, waiting ones included, oldest first. */
  inFlight(): InFlightOperation[];
  /** Waits for what is under way and ends the lane's threads. Nothing may be called afterwards. */
  close(): Promise<void>;
}

interface Waiting {
  start(): void;
  file: string;
  sinceMs: number;
}

/** Runs calls of one kind one after the other and times them. Both lanes are made of two of these. */
export class SerialCalls {
  readonly times: LaneTimes = { count: 0, failed: 0, totalMs: 0, maxMs: 0 };
  readonly #operation: string;
  #running: Waiting | undefined;
  readonly #waiting: Waiting[] = [];
  #idle: (() => void) | undefined;

  constructor(operation: string) {
    this.#operation = operation;
  }

  /** `start` begins the call and must call `done` exactly once, with the error if there is one. */
  run(file: string, start: (done: (error: unknown) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const call: Waiting = {
        file,
        sinceMs: performance.now(),
        start: () => {
          const startMs = performance.now();
          start((error) => {
            this.#finished(performance.now() - startMs, error);
            if (error) reject(error);
            else resolve();
          });
        },
      };
      if (this.#running === undefined) {
        this.#running = call;
        call.start();
      } else {
        this.#waiting.push(call);
      }
    });
  }

  inFlight(): InFlightOperation[] {
    if (this.#running === undefined) return [];
    const now = performance.now();
    return [this.#running, ...this.#waiting].map(({ file, sinceMs }) => ({
      operation: this.#operation,
      file,
      sinceMs: now - sinceMs,
    }));
  }

  /** Resolves when nothing runs or waits. */
  whenIdle(): Promise<void> {
    if (this.#running === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const before = this.#idle;
      this.#idle = () => {
        before?.();
        resolve();
      };
    });
  }

  #finished(ms: number, error: unknown): void {
    const times = this.times;
    times.count++;
    if (error) times.failed++;
    times.totalMs += ms;
    if (ms > times.maxMs) times.maxMs = ms;
    this.#running = this.#waiting.shift();
    if (this.#running !== undefined) this.#running.start();
    else if (this.#idle !== undefined) {
      const idle = this.#idle;
      this.#idle = undefined;
      idle();
    }
  }
}

/** What is left of `pieces` after the first `count` bytes. */
export function piecesAfter(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const piece of pieces) {
    if (skip >= piece.length) skip -= piece.length;
    else {
      rest.push(skip === 0 ? piece : piece.subarray(skip));
      skip = 0;
    }
  }
  return rest;
}

/** A write that moves nothing and reports no error would be repeated for ever; POSIX allows it, no disk does it. */
export function stalledWriteError(file: string): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`EIO: write '${file}' took no bytes`);
  error.code = 'EIO';
  error.syscall = 'write';
  return error;
}

/** Positional write of all pieces on libuv's threads; short writes are continued. */
export function writePieces(
  fd: number,
  file: string,
  pieces: readonly Uint8Array[],
  position: number,
  done: (error: unknown) => void,
): void {
  const next = (error: unknown, written: number): void => {
    const rest = error ? [] : piecesAfter(pieces, written);
    if (rest.length === 0) done(error);
    else if (written === 0) done(stalledWriteError(file));
    else writePieces(fd, file, rest, position + written, done);
  };
  if (pieces.length === 0) done(undefined);
  else if (pieces.length === 1) write(fd, pieces[0]!, 0, pieces[0]!.length, position, next);
  else writev(fd, pieces, position, next);
}

export class PoolLane implements IoLane {
  readonly kind = 'pool';
  readonly times: Record<LaneOperation, LaneTimes>;
  readonly #writes = new SerialCalls('write');
  readonly #syncs = new SerialCalls('sync');

  constructor() {
    this.times = { write: this.#writes.times, sync: this.#syncs.times };
  }

  write(fd: number, file: string, pieces: readonly Uint8Array[], position: number): Promise<void> {
    return this.#writes.run(file, (done) => writePieces(fd, file, pieces, position, done));
  }

  writeDurably(fd: number, file: string, pieces: readonly Uint8Array[], position: number): Promise<void> {
    return this.#syncs.run(file, (done) => writePieces(fd, file, pieces, position, done));
  }

  sync(fd: number, file: string): Promise<void> {
    return this.#syncs.run(file, (done) => fdatasync(fd, done));
  }

  inFlight(): InFlightOperation[] {
    return [...this.#writes.inFlight(), ...this.#syncs.inFlight()].sort((a, b) => b.sinceMs - a.sinceMs);
  }

  async close(): Promise<void> {
    await Promise.all([this.#writes.whenIdle(), this.#syncs.whenIdle()]);
  }
}
