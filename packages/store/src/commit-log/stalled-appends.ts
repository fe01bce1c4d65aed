import type { TimerHandle } from '../clock.ts';
import type { StoreContext } from '../context.ts';
import type { StoreError } from '../errors.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { MessageExtBrokerInner, PutMessageResult, PutMessageStatus } from '../types.ts';
import type { EncodedPart } from './message-encoder.ts';

/** RocketMQ maxAsyncPutMessageRequests: appends that may wait at a time; more are answered OS_PAGE_CACHE_BUSY. */
const STALLED_MAX = 5_000;

interface Stalled {
  message: MessageExtBrokerInner;
  parts: EncodedPart[];
  since: number;
  resolve(result: PutMessageResult): void;
}

/**
 * Appends that found no room: the next file is still being allocated, or every buffer holds bytes that are not written
 * yet. They keep their order, and appends that come later line up behind them. Each is answered at the latest after
 * putMessageTimeout: backpressure with a status, never a crash and never a wait without end.
 */
export class StalledAppends {
  readonly #context: StoreContext;
  readonly #queue: MappedFileQueue;
  readonly #append: (message: MessageExtBrokerInner, parts: readonly EncodedPart[]) => PutMessageResult | undefined;
  #stalled: Stalled[] = [];
  #timer: TimerHandle;
  #waitingForFile = false;
  #committing = false;

  constructor(
    context: StoreContext,
    queue: MappedFileQueue,
    append: (message: MessageExtBrokerInner, parts: readonly EncodedPart[]) => PutMessageResult | undefined,
  ) {
    this.#context = context;
    this.#queue = queue;
    this.#append = append;
  }

  get size(): number {
    return this.#stalled.length;
  }

  /** Resolves with the append's result once it found room, or with a refusal (wroteOffset -1). */
  wait(message: MessageExtBrokerInner, parts: readonly EncodedPart[]): Promise<PutMessageResult> {
    const { config, clock } = this.#context;
    if (config.transientStorePoolEnable && config.fastFailIfNoBufferInStorePool && this.#queue.tryGetLastMappedFile()) {
      return Promise.resolve(refusal('OS_PAGE_CACHE_BUSY', 'the transient store pool has no free buffer'));
    }
    if (this.#stalled.length >= STALLED_MAX) {
      const oldestMs = Math.round(clock.monotonic() - this.#stalled[0]!.since);
      const reason = `${STALLED_MAX} appends wait for the disk already, the oldest for ${oldestMs} ms`;
      return Promise.resolve(refusal('OS_PAGE_CACHE_BUSY', reason));
    }
    return new Promise((resolve) => {
      // The caller may reuse its buffers once the call returned.
      const kept = parts.map((part) => ({
        flag: part.flag,
        body: Buffer.from(part.body),
        propertiesString: part.propertiesString,
      }));
      this.#stalled.push({ message: { ...message }, parts: kept, since: clock.monotonic(), resolve });
      if (this.#timer === undefined) this.#armTimer();
      this.#makeRoom();
    });
  }

  /** Room may have appeared: a file was made ready, bytes were written. */
  retry(): void {
    if (this.#stalled.length === 0) return;
    this.#appendStalled();
    if (this.#stalled.length > 0) this.#makeRoom();
  }

  #appendStalled(): void {
    let done = 0;
    while (done < this.#stalled.length) {
      const head = this.#stalled[done]!;
      const result = this.#append(head.message, head.parts);
      if (!result) break;
      done++;
      head.resolve(result);
    }
    if (done > 0) this.#stalled.splice(0, done);
    if (this.#stalled.length === 0) this.#clearTimer();
  }

  failAll(cause: StoreError): void {
    const reason = `the store is read-only since ${cause.message}`;
    for (const stalled of this.#stalled.splice(0)) {
      stalled.resolve({ ...refusal('SERVICE_NOT_AVAILABLE', reason), cause });
    }
    this.#clearTimer();
  }

  close(): void {
    for (const stalled of this.#stalled.splice(0)) {
      stalled.resolve(refusal('SERVICE_NOT_AVAILABLE', 'the store is shut down'));
    }
    this.#clearTimer();
  }

  #makeRoom(): void {
    if (this.#queue.tryGetLastMappedFile()) void this.#commitForRoom();
    else this.#waitForFile();
  }

  /**
   * A commit frees the buffers it has written, and waits for what else an engine needs before it can take bytes. When it
   * changed nothing, the next flush or commit of a service will.
   */
  async #commitForRoom(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    try {
      await this.#queue.commit(0);
    } catch {
      // The queue has told the store, which answers everybody here (failAll).
      return;
    } finally {
      this.#committing = false;
    }
    const before = this.#stalled.length;
    this.#appendStalled();
    const moved = this.#stalled.length < before || this.#queue.committedWhere < this.#queue.maxOffset;
    if (this.#stalled.length > 0 && moved) this.#makeRoom();
  }

  #waitForFile(): void {
    if (this.#waitingForFile) return;
    this.#waitingForFile = true;
    this.#queue.whenNextFileReady().then(
      () => {
        this.#waitingForFile = false;
        this.retry();
      },
      (error: StoreError) => {
        this.#waitingForFile = false;
        this.#refuseForLackOfFile(error);
      },
    );
  }

  /** No next file, mostly for lack of space: who waits is told now; the next append tries again. */
  #refuseForLackOfFile(cause: StoreError): void {
    this.#clearTimer();
    for (const stalled of this.#stalled.splice(0)) {
      stalled.resolve({ ...refusal('CREATE_MAPPED_FILE_FAILED', cause.message), cause });
    }
  }

  #armTimer(): void {
    const { clock, config } = this.#context;
    const delay = this.#stalled[0]!.since + config.putMessageTimeout - clock.monotonic();
    this.#timer = clock.setTimer(this.#expire, Math.max(0, delay));
  }

  readonly #expire = (): void => {
    this.#timer = undefined;
    const { clock, config } = this.#context;
    const due = clock.monotonic() - config.putMessageTimeout + 1;
    let count = 0;
    while (count < this.#stalled.length && this.#stalled[count]!.since <= due) count++;
    const reason = `no room in the log for ${config.putMessageTimeout} ms (putMessageTimeout): ${this.#why()}`;
    for (const stalled of this.#stalled.splice(0, count)) stalled.resolve(refusal('OS_PAGE_CACHE_BUSY', reason));
    if (this.#stalled.length > 0) this.#armTimer();
  };

  #why(): string {
    if (!this.#queue.tryGetLastMappedFile()) return 'the next file is not ready';
    const bytes = this.#queue.maxOffset - this.#queue.committedWhere;
    return `${bytes} bytes in the buffers are not written yet`;
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#context.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}

function refusal(status: PutMessageStatus, reason: string): PutMessageResult {
  return { status, reason, wroteOffset: -1, wroteBytes: 0, queueOffset: 0, storeTimestamp: 0, messageCount: 0 };
}
