import type { GiveBack, SpareDescriptors } from '../base/file-system.ts';
import { errnoOf } from '../base/queue-failure.ts';

/** Attempts beyond which a lack is one: what is given back, others take. */
const ATTEMPTS_MAX = 20;

export function isDescriptorLack(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'EMFILE' || errno === 'ENFILE';
}

/** Who keeps descriptors open for later, and calls that take one. */
export class DescriptorsInReserve implements SpareDescriptors {
  readonly #givers = new Set<GiveBack>();

  register(giveBack: GiveBack): void {
    this.#givers.add(giveBack);
  }

  unregister(giveBack: GiveBack): void {
    this.#givers.delete(giveBack);
  }

  /**
   * Makes a call that takes a descriptor. When there is none, those that are kept open for later go first, whoever keeps them:
   * idle files of queues must not keep the log from getting its next file, nor a start from reading its queues.
   */
  async with<T>(call: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (!isDescriptorLack(error) || attempt === ATTEMPTS_MAX) throw error;
        const given = await Promise.all([...this.#givers].map((giveBack) => giveBack()));
        if (!given.includes(true)) throw error;
      }
    }
  }
}

/** Of this thread; the limit is the process's. */
export const descriptorsInReserve = new DescriptorsInReserve();
