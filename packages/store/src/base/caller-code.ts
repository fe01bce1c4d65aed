/**
 * Code of the program that embeds the store: listeners and loggers. It may throw, and then that is the program's business
 * and no flush's: a listener of `arrived` that threw into the flush loop would fail every later put.
 */
import type { Clock } from './clock.ts';
import type { StoreLogger } from './logger.ts';

/**
 * Calls a listener once for each event, in the order in which they came, after the turn's own work: as a promise's
 * callback, not on the stack of the code that announced the event. What the listener throws surfaces as an uncaught
 * exception; the events behind it are delivered all the same.
 */
export class EventDelivery<T> {
  readonly #deliver: (event: T) => void;
  readonly #clock: Pick<Clock, 'defer'>;
  #events: T[] = [];
  /** Being delivered; those before `#head` are. */
  #batch: T[] = [];
  #head = 0;
  #scheduled = false;

  constructor(clock: Pick<Clock, 'defer'>, deliver: (event: T) => void) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  announce(event: T): void {
    this.#events.push(event);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#run);
  }

  readonly #run = (): void => {
    if (this.#head === this.#batch.length) {
      this.#batch = this.#events;
      this.#events = [];
      this.#head = 0;
    }
    try {
      while (this.#head < this.#batch.length) this.#deliver(this.#batch[this.#head++]!);
    } finally {
      // What the listener itself set off waits for the next turn: a listener that puts a message for each one it hears of
      // must not keep the disk's answers from being seen.
      if (this.#head < this.#batch.length) queueMicrotask(this.#run);
      else if (this.#events.length > 0) this.#clock.defer(this.#run);
      else this.#scheduled = false;
    }
  };
}

/** A logger that drops and counts the lines which the given one throws at: no line is worth the work it reports. */
export class CarefulLogger implements StoreLogger {
  readonly #logger: StoreLogger;
  /** Lines that could not be written. */
  droppedCount = 0;

  constructor(logger: StoreLogger) {
    this.#logger = logger;
  }

  debug(fields: object, message: string): void {
    this.#log('debug', fields, message);
  }
  info(fields: object, message: string): void {
    this.#log('info', fields, message);
  }
  warn(fields: object, message: string): void {
    this.#log('warn', fields, message);
  }
  error(fields: object, message: string): void {
    this.#log('error', fields, message);
  }

  #log(level: keyof StoreLogger, fields: object, message: string): void {
    try {
      this.#logger[level](fields, message);
    } catch {
      this.droppedCount++;
    }
  }
}
