import { closeSync, constants, fstatSync, openSync, statSync, writeSync } from 'node:fs';

/** Addresses and names of clients, no body: a group may read it, as it reads the logs of others. */
const LOG_MODE = 0o640;

/** `a`, and a named pipe without a reader is an error (ENXIO) and nothing to wait for: no signal would end the wait. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);

/** How often it is looked whether the file still has its name. */
const LOOK_MS = 1_000;

/**
 * A log file that a program like logrotate may rename: a second later at most, lines go into a new file of the name. So the
 * rotation needs no signal, and none can be missed; the renamed file has to stay as it is for that second (`delaycompress`).
 * Where the new one cannot be opened, lines go on into the old one.
 */
export class LogFile {
  readonly #path: string;
  readonly #now: () => number;
  #descriptor: number;
  #lookedAt: number;

  /** Opens it, or throws as `openSync` does. `now`: milliseconds that only grow. */
  constructor(path: string, now: () => number = () => performance.now()) {
    this.#path = path;
    this.#now = now;
    this.#descriptor = openSync(path, APPEND, LOG_MODE);
    this.#lookedAt = now();
  }

  /** As `writeSync`. `offset` > 0 is the rest of a line, which goes where its beginning went. */
  write(bytes: Uint8Array, offset: number): number {
    if (offset === 0) this.#follow();
    return writeSync(this.#descriptor, bytes, offset);
  }

  #follow(): void {
    const now = this.#now();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    try {
      const named = statSync(this.#path, { throwIfNoEntry: false, bigint: true });
      const open = fstatSync(this.#descriptor, { bigint: true });
      if (named !== undefined && named.ino === open.ino && named.dev === open.dev) return;
      const old = this.#descriptor;
      this.#descriptor = openSync(this.#path, APPEND, LOG_MODE);
      closeSync(old);
    } catch {
      // Who renames it may be making the new one; the next second looks again.
    }
  }
}
