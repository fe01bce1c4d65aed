import type { Clock } from '@vernier/store';

/** Time on the event loop after which whoever else waits gets a turn. */
const SLICE_MS = 5;
/** Characters gathered before they become bytes. */
const PIECE_CHARS = 64 * 1024;

/** Why an answer is not finished. Thrown by `add`, caught by LongAnswers. */
export class AnswerAbandoned extends Error {
  readonly reason: 'too-large' | 'gone';

  constructor(reason: 'too-large' | 'gone') {
    super(reason);
    this.name = 'AnswerAbandoned';
    this.reason = reason;
  }
}

/**
 * The text of a long answer, written piece by piece: the event loop gets a turn every SLICE_MS, and the answer ends when
 * it is larger than `bytesMax` or when nobody waits for it any more.
 */
export class AnswerText {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #bytesMax: number;
  readonly #isGone: () => boolean;
  readonly #parts: Buffer[] = [];
  #piece = '';
  #bytes = 0;
  #sliceBegan: number;

  constructor(clock: Pick<Clock, 'monotonic'>, bytesMax: number, isGone: () => boolean) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.#isGone = isGone;
    this.#sliceBegan = clock.monotonic();
  }

  /** Adds text. Throws AnswerAbandoned. */
  async add(text: string): Promise<void> {
    this.#piece += text;
    if (this.#piece.length >= PIECE_CHARS) this.#cut();
    await this.turn();
  }

  /** Gives the event loop a turn when the slice is over: for work between two pieces of text. Throws AnswerAbandoned. */
  async turn(): Promise<void> {
    if (this.#clock.monotonic() - this.#sliceBegan < SLICE_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#isGone()) throw new AnswerAbandoned('gone');
    this.#sliceBegan = this.#clock.monotonic();
  }

  /** All of it, in the order in which it was added. Throws AnswerAbandoned. */
  parts(): Buffer[] {
    this.#cut();
    return this.#parts;
  }

  #cut(): void {
    if (this.#piece === '') return;
    const bytes = Buffer.from(this.#piece);
    this.#piece = '';
    this.#bytes += bytes.length;
    if (this.#bytes > this.#bytesMax) throw new AnswerAbandoned('too-large');
    this.#parts.push(bytes);
  }
}

/** Adds the members of an object or the elements of an array, with commas between them. */
export async function addJoined(text: AnswerText, pieces: AsyncIterable<string> | Iterable<string>): Promise<void> {
  let separator = '';
  for await (const piece of pieces) {
    await text.add(separator + piece);
    separator = ',';
  }
}
