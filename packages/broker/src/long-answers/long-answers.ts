import { FRAME_BYTES_MAX } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import { AnswerAbandoned, AnswerText } from './answer-text.ts';

/** Long answers that are built at once. Each holds at most ANSWER_BYTES_MAX, so that all of them hold 64 MiB. */
const BUILDING_MAX = 4;
/** Long answers that wait for their turn; each is a request of a few hundred bytes. */
const WAITING_MAX = 1_000;
/** What a frame has room for beside its header. */
const ANSWER_BYTES_MAX = FRAME_BYTES_MAX - 64 * 1024;

export type LongAnswer =
  | { parts: Buffer[]; refused?: undefined }
  | { parts?: undefined; refused: 'busy' | 'too-large' | 'gone' };

/**
 * Builds answers whose length grows with the number of queues, topics or groups: a topic may have 65,536 queues, and
 * each takes a look at the disk. Built in slices (AnswerText), a few at a time, so that neither the event loop nor the
 * memory belongs to whoever asks most.
 */
export class LongAnswers {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #waiting: (() => void)[] = [];
  #building = 0;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Requests that wait for their turn. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Answers that are being built. */
  get buildingCount(): number {
    return this.#building;
  }

  /** The bytes that `write` wrote, or why there are none. Rejects with what `write` throws. */
  async build(write: (text: AnswerText) => Promise<void>, isGone: () => boolean = () => false): Promise<LongAnswer> {
    if (this.#building >= BUILDING_MAX) {
      if (this.#waiting.length >= WAITING_MAX) return { refused: 'busy' };
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#building++;
    }
    try {
      if (isGone()) return { refused: 'gone' };
      const text = new AnswerText(this.#clock, ANSWER_BYTES_MAX, isGone);
      await write(text);
      return { parts: text.parts() };
    } catch (error) {
      if (error instanceof AnswerAbandoned) return { refused: error.reason };
      throw error;
    } finally {
      // The place goes to whoever has waited longest.
      const next = this.#waiting.shift();
      if (next === undefined) this.#building--;
      else next();
    }
  }
}
