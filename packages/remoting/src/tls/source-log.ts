import type { Clock } from '../clock.ts';
import { LineLimit } from '../line-limit.ts';
import type { RemotingLogger } from '../logger.ts';

const MINUTE_MS = 60_000;

/** The log of connections that were refused: a line a minute of each host, with the number of those left out before it. */
export class SourceLog {
  readonly #logger: RemotingLogger;
  readonly #limit: LineLimit;

  constructor(logger: RemotingLogger, clock: Pick<Clock, 'monotonic'>) {
    this.#logger = logger;
    this.#limit = new LineLimit(clock, 1, MINUTE_MS);
  }

  warn(host: string, fields: object, message: string): void {
    const leftOut = this.#limit.admit(host);
    if (leftOut === undefined) return;
    if (leftOut === 0) this.#logger.warn(fields, message);
    else this.#logger.warn({ ...fields, leftOut }, `${message} (${leftOut} more of ${host} were left out)`);
  }
}
