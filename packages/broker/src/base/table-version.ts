import { type DataVersion, initialDataVersion, nextDataVersion } from '@vernier/remoting';

/**
 * The version of a table that changes more often than it is written: writing it out does not change it, the first change
 * after that does (RocketMQ DataVersion).
 */
export class TableVersion {
  current: DataVersion;
  readonly #now: () => number;
  #isOut = true;

  /** `now`: Unix milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.current = initialDataVersion(now());
  }

  /** Somebody was given the table as it is under the current version. */
  writtenOut(): void {
    this.#isOut = true;
  }

  changed(): void {
    if (!this.#isOut) return;
    this.#isOut = false;
    this.current = nextDataVersion(this.current, this.#now());
  }
}
