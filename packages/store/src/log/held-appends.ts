import type { StoreContext } from '../base/context.ts';
import type { MessageExtBrokerInner, PutMessageResult } from '../base/types.ts';
import type { EncodedPart } from '../record/message-encoder.ts';

/** Appends that may wait for the end of a deletion, all topics together, and what their copies may take in memory. */
const HELD_MAX = 1_000;
const HELD_BYTES_MAX = 16 * 1024 * 1024;

/** Why the append cannot go on, or undefined: it can. */
type Go = (refusal: string | undefined) => void;

/**
 * Appends to a topic that is being deleted. Until the deletion is on disk nobody knows which number they get: an append
 * that took 0 would be acknowledged, and a crash would bring back a queue that has a 0 already. So they wait, in order, and
 * go on when the deletion has ended, whether it came to pass or not. Each is answered at the latest after
 * putMessageTimeout.
 */
export class HeldAppends {
  readonly #context: Pick<StoreContext, 'clock' | 'config'>;
  readonly #topics = new Map<string, { deletions: number; waiting: Set<Go> }>();
  #count = 0;
  #bytes = 0;

  constructor(context: Pick<StoreContext, 'clock' | 'config'>) {
    this.#context = context;
  }

  /** Topics that are being deleted. */
  get topicCount(): number {
    return this.#topics.size;
  }

  /** Appends that wait. */
  get size(): number {
    return this.#count;
  }

  isHeld(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** As often as it is called, release() has to be. */
  hold(topic: string): void {
    const held = this.#topics.get(topic);
    if (held === undefined) this.#topics.set(topic, { deletions: 1, waiting: new Set() });
    else held.deletions++;
  }

  release(topic: string): void {
    const held = this.#topics.get(topic);
    if (held === undefined || --held.deletions > 0) return;
    this.#topics.delete(topic);
    for (const go of held.waiting) go(undefined);
  }

  /**
   * Calls `append` with copies of the message and its parts when `topic` is let go, and resolves as it does; or with what
   * `refuse` makes of the reason.
   */
  wait(
    topic: string,
    message: MessageExtBrokerInner,
    parts: readonly EncodedPart[],
    append: (message: MessageExtBrokerInner, parts: readonly EncodedPart[]) => Promise<PutMessageResult>,
    refuse: (reason: string) => PutMessageResult,
  ): Promise<PutMessageResult> {
    const { clock, config } = this.#context;
    let bytes = 0;
    for (const { body, propertiesString } of parts) bytes += body.length + propertiesString.length * 2;
    const isFull = this.#count >= HELD_MAX || (this.#count > 0 && this.#bytes + bytes > HELD_BYTES_MAX);
    if (isFull) {
      const reason = `${topic} is being deleted, and ${this.#count} appends of ${this.#bytes} bytes wait for it already`;
      return Promise.resolve(refuse(reason));
    }
    // The caller may reuse its buffers once the call returned.
    const copy = { ...message };
    const copies = parts.map((part) => ({
      flag: part.flag,
      body: Buffer.from(part.body),
      propertiesString: part.propertiesString,
    }));
    const { waiting } = this.#topics.get(topic)!;
    this.#count++;
    this.#bytes += bytes;
    return new Promise((resolve, reject) => {
      const go: Go = (reason) => {
        clock.clearTimer(timer);
        waiting.delete(go);
        this.#count--;
        this.#bytes -= bytes;
        try {
          resolve(reason === undefined ? append(copy, copies) : refuse(reason));
        } catch (error) {
          // Its caller's, as it would be without the wait; nobody else's who waits here.
          reject(error);
        }
      };
      const ms = config.putMessageTimeout;
      const timer = clock.setTimer(() => go(`${topic} is being deleted, for ${ms} ms (putMessageTimeout)`), ms);
      waiting.add(go);
    });
  }
}
