import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';

/** Room for the answer to one call, given back when it has been written. */
export class RoomClaim {
  readonly #proxy: ProxyContext;
  readonly #call: Call;
  #bytes = 0;

  constructor(proxy: ProxyContext, call: Call) {
    this.#proxy = proxy;
    this.#call = call;
  }

  /** Undefined: it is there. Rejects when nobody waits for the answer any more. */
  reserve(bytes: number): Promise<void> | undefined {
    const waits = this.#proxy.room.take(bytes, this.#call.caller.signal);
    if (waits === undefined) {
      this.#bytes += bytes;
      return undefined;
    }
    return waits.then(() => {
      this.#bytes += bytes;
    });
  }

  unreserve(): void {
    if (this.#bytes > 0) this.#proxy.room.give(this.#bytes);
    this.#bytes = 0;
  }
}
