import type { TimerHandle } from '../base/clock.ts';
import type { StoreContext } from '../base/context.ts';
import type { StoreError } from '../base/errors.ts';
import type { MessageExtBrokerInner, PutMessageResult, PutMessageStatus } from '../base/types.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { EncodedPart } from '../record/message-encoder.ts';

/** What their copies may take in memory. One larger than that waits all the same when it is the only one. */
export const STALLED_BYTES_MAX = 64 * 1024 * 1024;
/** Of one append and of each message in it, around body and properties. */
const STALLED_OVERHEAD_BYTES = 512;

/** What an append that found room waits for next; called in the turn of the event loop in which it was appended. */
type Submit = (result: PutMessageResult) => Promise<PutMessageResult>;
type Append = (message: MessageExtBrokerInner, parts: readonly EncodedPart[]) => PutMessageResult | undefined;

interface Stalled {
  message: MessageExtBrokerInner;
  parts: EncodedPart[];
  bytes: number;
  since: number;
  submit: Submit;
  resolve(result: PutMessageResult | Promise<PutMessageResult>): void;
  reject(error: unknown): void;
}

/**
 * Appends that found no room: the next file is still being allocated, or every buffer holds bytes that are not written
 * yet. They keep their order, and appends that come later line up behind them, until the first has waited for
 * osPageCacheBusyTimeOutMills or there are maxAsyncPutMessageRequests: more are then refused with OS_PAGE_CACHE_BUSY. Each
 * is answered at the latest after putMessageTimeout: backpressure with a status, never a crash and never a wait without end.
 */
export class StalledAppends {
  readonly #context: StoreContext;
  readonly #queue: MappedFileQueue;
  readonly #append: Append;
  readonly #onThrown: (error: unknown) => void;
  #stalled: Stalled[] = [];
  #bytes = 0;
  #timer: TimerHandle;
  #waitingForFile = false;
  #committing = false;

  constructor(context: StoreContext, queue: MappedFileQueue, append: Append, onThrown: (error: unknown) => void) {
    this.#context = context;
    this.#queue = queue;
    this.#append = append;
    this.#onThrown = onThrown;
  }

  get size(): number {
    return this.#stalled.length;
  }

  /** Bytes that the waiting appends take in memory; at most STALLED_BYTES_MAX and the largest of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Resolves with what `submit` makes of the append once it found room, or with a refusal (wroteOffset -1). `submit` is
   * called in the turn of the append: an append that comes later must not be submitted earlier.
   */
  wait(message: MessageExtBrokerInner, parts: readonly EncodedPart[], submit: Submit): Promise<PutMessageResult> {
    const { config, clock } = this.#context;
    if (config.transientStorePoolEnable && config.fastFailIfNoBufferInStorePool && this.#queue.tryGetLastMappedFile()) {
      return Promise.resolve(refusal('OS_PAGE_CACHE_BUSY', 'the transient store pool has no free buffer'));
    }
    const bytes = bytesOf(parts);
    const busy = this.#busyReason(bytes);
    if (busy !== undefined) return Promise.resolve(refusal('OS_PAGE_CACHE_BUSY', busy));
    return new Promise((resolve, reject) => {
      // The caller may reuse its buffers once the call returned.
      const kept = parts.map((part) => ({
        flag: part.flag,
        body: Buffer.from(part.body),
        propertiesString: part.propertiesString,
      }));
      const since = clock.monotonic();
      this.#stalled.push({ message: { ...message }, parts: kept, bytes, since, submit, resolve, reject });
      this.#bytes += bytes;
      if (this.#timer === undefined) this.#armTimer();
      this.#makeRoom();
    });
  }

  /** How long the first append has waited, ms; 0 without one. */
  get oldestMs(): number {
    const first = this.#stalled[0];
    return first === undefined ? 0 : this.#context.clock.monotonic() - first.since;
  }

  /** Why an append of so many bytes may not wait; undefined when it may. */
  #busyReason(bytes: number): string | undefined {
    const count = this.#stalled.length;
    if (count === 0) return undefined;
    const { osPageCacheBusyTimeOutMills, maxAsyncPutMessageRequests } = this.#context.config;
    const { oldestMs } = this;
    let limit: string;
    if (oldestMs > osPageCacheBusyTimeOutMills) limit = `osPageCacheBusyTimeOutMills is ${osPageCacheBusyTimeOutMills}`;
    else if (count >= maxAsyncPutMessageRequests) limit = `maxAsyncPutMessageRequests is ${maxAsyncPutMessageRequests}`;
    else if (this.#bytes + bytes > STALLED_BYTES_MAX) {
      limit = `${bytes} more do not fit the ${STALLED_BYTES_MAX} bytes that may wait`;
    } else return undefined;
    const waiting = `${count} appends of ${this.#bytes} bytes wait for the disk, the oldest for ${Math.round(oldestMs)} ms`;
    return `${waiting}; ${limit}: ${this.#why()}`;
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
      try {
        const result = this.#append(head.message, head.parts);
        if (!result) break;
        head.resolve(head.submit(result));
      } catch (error) {
        // Its caller's, as it would be without the wait; nobody else's who waits here, and not the flush's that made room.
        head.reject(error);
      }
      done++;
    }
    if (done > 0) this.#take(done);
    if (this.#stalled.length === 0) this.#clearTimer();
  }

  failAll(cause: StoreError): void {
    const reason = `the store is read-only since ${cause.message}`;
    for (const stalled of this.#take(this.#stalled.length)) {
      stalled.resolve({ ...refusal('SERVICE_NOT_AVAILABLE', reason), cause });
    }
    this.#clearTimer();
  }

  /** Those that `isRefused` says get this reason; the others keep their order. */
  refuse(isRefused: (message: MessageExtBrokerInner) => boolean, reason: string): void {
    const refused = this.#stalled.filter(({ message }) => isRefused(message));
    if (refused.length === 0) return;
    this.#stalled = this.#stalled.filter((stalled) => !refused.includes(stalled));
    for (const { bytes, resolve } of refused) {
      this.#bytes -= bytes;
      resolve(refusal('SERVICE_NOT_AVAILABLE', reason));
    }
    if (this.#stalled.length === 0) this.#clearTimer();
  }

  close(): void {
    for (const stalled of this.#take(this.#stalled.length)) {
      stalled.resolve(refusal('SERVICE_NOT_AVAILABLE', 'the store is shut down'));
    }
    this.#clearTimer();
  }

  #take(count: number): Stalled[] {
    const taken = this.#stalled.splice(0, count);
    for (const { bytes } of taken) this.#bytes -= bytes;
    return taken;
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
    } catch (error) {
      // The store has failed or fails with it, and answers everybody here (failAll).
      this.#onThrown(error);
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
    for (const stalled of this.#take(this.#stalled.length)) {
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
    const reason = `no room in the log for ${config.putMessageTimeout} ms (putMessageTimeout), ${this.#stalled.length} appends wait: ${this.#why()}`;
    for (const stalled of this.#take(count)) stalled.resolve(refusal('OS_PAGE_CACHE_BUSY', reason));
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

function bytesOf(parts: readonly EncodedPart[]): number {
  let bytes = STALLED_OVERHEAD_BYTES;
  for (const part of parts) bytes += STALLED_OVERHEAD_BYTES + part.body.length + part.propertiesString.length * 2;
  return bytes;
}

function refusal(status: PutMessageStatus, reason: string): PutMessageResult {
  return { status, reason, wroteOffset: -1, wroteBytes: 0, queueOffset: 0, storeTimestamp: 0, messageCount: 0 };
}
