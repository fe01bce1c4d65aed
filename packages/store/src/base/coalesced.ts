/**
 * Runs an operation one at a time and shares it: whoever asks while a run is under way gets the *next* run, which starts
 * when the current one has ended, because the current one may have begun before what the caller wants covered.
 */
export class Coalesced<T> {
  readonly #operation: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(operation: () => Promise<T>) {
    this.#operation = operation;
  }

  run(): Promise<T> {
    if (this.#running === undefined) return this.#start();
    if (this.#next === undefined) {
      const start = (): Promise<T> => {
        this.#next = undefined;
        return this.#start();
      };
      // A failed run does not answer for the next one: the operation decides that itself.
      this.#next = this.#running.then(start, start);
    }
    return this.#next;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Resolves when nothing runs; a failure was its caller's to see. */
  async whenIdle(): Promise<void> {
    while (this.#running !== undefined) await (this.#next ?? this.#running).catch(() => {});
  }

  #start(): Promise<T> {
    const running = this.#operation().finally(() => {
      this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
