import type { MessageStore } from '@vernier/store';

/** Bytes of the log that a start reads. */
export interface RecoveryProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** 0 to 100. */
  readonly percent: number;
  readonly bytesPerSecond: number;
  /** Milliseconds since the recovery began. */
  readonly elapsedMs: number;
}

export type HealthStatus = 'starting' | 'recovering' | 'unregistered' | 'ready' | 'read-only' | 'stopping';

export interface Health {
  readonly status: HealthStatus;
  /** Messages are taken and can be found by clients. */
  readonly isReady: boolean;
  readonly recovery?: RecoveryProgress;
  /** Why no message is taken. */
  readonly cause?: { readonly code: string; readonly message: string };
  readonly disk?: { readonly path: string; readonly freeBytes: number; readonly totalBytes: number };
}

type HealthStore = Pick<MessageStore, 'failure' | 'readOnlyReason' | 'diskFull' | 'isClosed'>;

/** How the broker is, for probes. It is told what happens and asks the store only when it is asked itself. */
export class HealthState {
  readonly #now: () => number;
  #recovery: RecoveryProgress | undefined;
  #recoveryBeganAt: number | undefined;
  #store: HealthStore | undefined;
  #isRoutable = false;
  #isStopping = false;

  /** `now`: milliseconds that only grow. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The store reads its log. */
  recovering(doneBytes: number, totalBytes: number): void {
    const now = this.#now();
    this.#recoveryBeganAt ??= now;
    const elapsedMs = Math.round(now - this.#recoveryBeganAt);
    this.#recovery = {
      doneBytes,
      totalBytes,
      // Whole only when it is: a start that hangs at its end must not look done.
      percent: totalBytes > 0 ? Math.floor((Math.min(doneBytes, totalBytes) / totalBytes) * 100) : 100,
      bytesPerSecond: elapsedMs > 0 ? Math.round((doneBytes / elapsedMs) * 1_000) : 0,
      elapsedMs,
    };
  }

  /** The store is open. */
  opened(store: HealthStore): void {
    this.#store = store;
  }

  /** A nameserver knows the broker. */
  routable(): void {
    this.#isRoutable = true;
  }

  /** A stop was asked for. */
  stopping(): void {
    this.#isStopping = true;
  }

  get health(): Health {
    const store = this.#store;
    if (this.#isStopping || store?.isClosed === true) return { status: 'stopping', isReady: false };
    if (store === undefined) {
      if (this.#recovery === undefined) return { status: 'starting', isReady: false };
      return { status: 'recovering', isReady: false, recovery: this.#recovery };
    }
    const { failure, readOnlyReason, diskFull } = store;
    if (failure !== undefined) {
      return { status: 'read-only', isReady: false, cause: { code: failure.code, message: failure.message } };
    }
    if (readOnlyReason !== undefined) {
      const code = diskFull === undefined ? 'DISPATCH_BEHIND' : 'DISK_FULL';
      return {
        ...{ status: 'read-only', isReady: false, cause: { code, message: readOnlyReason } },
        ...(diskFull === undefined ? {} : { disk: pick(diskFull) }),
      };
    }
    return this.#isRoutable ? { status: 'ready', isReady: true } : { status: 'unregistered', isReady: false };
  }
}

const pick = ({ path, freeBytes, totalBytes }: NonNullable<HealthStore['diskFull']>) => ({
  ...{ path, freeBytes, totalBytes },
});
