import { RemotingError } from '../errors.ts';
import type { RemotingCommand } from '../protocol/remoting-command.ts';
import type { Deadline, Deadlines } from './deadlines.ts';

interface Invocation {
  resolve: (response: RemotingCommand) => void;
  reject: (error: RemotingError) => void;
  deadline: Deadline;
}

/** Own requests of one connection that wait for their response (RocketMQ responseTable). */
export class Invocations {
  readonly #deadlines: Deadlines;
  readonly #max: number;
  readonly #waiting = new Map<number, Invocation>();

  constructor(deadlines: Deadlines, max: number) {
    this.#deadlines = deadlines;
    this.#max = max;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Waits for the response to `request`; `send` puts the request on its way once the wait is set up. */
  wait(request: RemotingCommand, timeoutMs: number, address: string, send: () => boolean): Promise<RemotingCommand> {
    const { opaque, code } = request;
    if (this.#waiting.size >= this.#max) {
      const message = `${this.#max} requests to ${address} wait for their response already`;
      return Promise.reject(
        new RemotingError('REMOTING_TOO_MANY_REQUESTS', message, { address, pendingInvocationsMax: this.#max }),
      );
    }
    if (this.#waiting.has(opaque)) {
      const message = `opaque ${opaque} waits for its response already; every request needs a fresh one`;
      return Promise.reject(new RemotingError('REMOTING_TOO_MANY_REQUESTS', message, { address, opaque }));
    }
    return new Promise((resolve, reject) => {
      const deadline = this.#deadlines.add(timeoutMs, () => {
        this.#waiting.delete(opaque);
        reject(
          new RemotingError('REMOTING_TIMEOUT', `no response from ${address} to request ${code} in ${timeoutMs} ms`, {
            address,
            requestCode: code,
            opaque,
            timeoutMs,
          }),
        );
      });
      this.#waiting.set(opaque, { resolve, reject, deadline });
      if (!send()) this.#fail(opaque, `connection to ${address} is closed`, address);
    });
  }

  /** Hands a response to its waiter; false when nobody waits for its opaque (any more). */
  settle(response: RemotingCommand): boolean {
    const invocation = this.#waiting.get(response.opaque);
    if (invocation === undefined) return false;
    this.#waiting.delete(response.opaque);
    this.#deadlines.remove(invocation.deadline);
    invocation.resolve(response);
    return true;
  }

  /** Rejects every waiter with REMOTING_CONNECTION_CLOSED. */
  failAll(reason: string, address: string): void {
    for (const opaque of [...this.#waiting.keys()]) {
      this.#fail(opaque, `connection to ${address} closed before the response: ${reason}`, address);
    }
  }

  /** Rejects one waiter whose request could not be put on the wire. */
  failOne(opaque: number, error: RemotingError): void {
    const invocation = this.#waiting.get(opaque);
    if (invocation === undefined) return;
    this.#waiting.delete(opaque);
    this.#deadlines.remove(invocation.deadline);
    invocation.reject(error);
  }

  #fail(opaque: number, message: string, address: string): void {
    this.failOne(opaque, new RemotingError('REMOTING_CONNECTION_CLOSED', message, { address, opaque }));
  }
}
