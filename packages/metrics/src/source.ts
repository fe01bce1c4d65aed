import type { BrokerContext } from '@vernier/broker/internal';
import type { RequestTimes } from '@vernier/remoting';
import type { MetricsConfig } from './config.ts';
import type { Observation } from './observation.ts';

/** What the sources ask. */
export interface SourceParts {
  readonly broker: BrokerContext;
  readonly config: MetricsConfig;
  readonly version: string;
  /** Open connections of the broker’s own port. */
  connectionCount(): number;
  readonly requestTimes: RequestTimes | undefined;
  /** Log lines that could not be written since the start. */
  droppedLogLines(): number;
  /** Milliseconds from the first listening port to ready. */
  readonly recoveryMs: number;
}

/** Says something at an export. Nothing runs between two of them. */
export interface Source {
  observe(into: Observation): void | Promise<void>;
  /** Of an asynchronous one: milliseconds of the event loop that its last turn took. */
  readonly usedMs?: number;
  /** Ends what it holds. */
  close?(): void;
}

export const inSeconds = (ms: number): number => ms / 1_000;

/** At most so long at a stretch: clients wait meanwhile. */
const SLICE_MS = 5;

/** Lets the event loop go on when a slice is used up. Counts the time that was used. */
export class Slices {
  #began = performance.now();
  #usedMs = 0;

  /** Undefined while there is time left in this slice. */
  pause(): Promise<void> | undefined {
    return performance.now() - this.#began < SLICE_MS ? undefined : this.#yield();
  }

  /** Milliseconds of all slices until now. */
  get usedMs(): number {
    return this.#usedMs + performance.now() - this.#began;
  }

  /** Waits for something else; that is not counted. */
  async outside<Value>(wait: Promise<Value>): Promise<Value> {
    this.#usedMs += performance.now() - this.#began;
    try {
      return await wait;
    } finally {
      this.#began = performance.now();
    }
  }

  async #yield(): Promise<void> {
    await this.outside(new Promise<void>((resolve) => setImmediate(resolve)));
  }
}
