import type { Clock } from '../base/clock.ts';
import type { MessageStoreConfig } from '../base/config.ts';
import type { StoreLogger } from '../base/logger.ts';
import type { Durability, PutMessageResult } from '../base/types.ts';
import { CommitRealTimeService } from './commit-real-time-service.ts';
import { FlushRealTimeService } from './flush-real-time-service.ts';
import type { FlushListener, FlushTarget } from './flush-target.ts';
import { GroupCommitService } from './group-commit-service.ts';
import { GroupWriteService } from './group-write-service.ts';

type FlushOptions = MessageStoreConfig & { clock: Clock; logger: StoreLogger };

/**
 * Chooses the flush services for a log and decides what each append waits for (RocketMQ CommitLog.DefaultFlushManager).
 *
 *   flushDiskType  transient pool  services                                       an append resolves when
 *   SYNC_FLUSH     either          GroupCommitService                             on disk; with WAIT=false written
 *   ASYNC_FLUSH    off             FlushRealTimeService                           written
 *   ASYNC_FLUSH    on              FlushRealTimeService + CommitRealTimeService   in the pool buffer (RocketMQ's meaning);
 *                                                                                 with durability `async` written
 *
 * GroupWriteService makes bytes written for whoever waits for that and no more. A `sync` append under ASYNC_FLUSH is
 * served by a GroupCommitService of its own, started when the first one comes.
 */
export class FlushManager {
  readonly flushCommitLogService: GroupCommitService | FlushRealTimeService;
  readonly commitRealTimeService: CommitRealTimeService | undefined;
  readonly groupWriteService: GroupWriteService;
  readonly #groupCommitService: GroupCommitService | undefined;
  readonly #flushRealTimeService: FlushRealTimeService | undefined;
  #syncAppendService: GroupCommitService | undefined;
  readonly #target: FlushTarget;
  readonly #listener: FlushListener;
  readonly #options: FlushOptions;

  constructor(
    target: FlushTarget,
    listener: FlushListener,
    config: MessageStoreConfig,
    more: { clock: Clock; logger: StoreLogger },
  ) {
    // Inherits from the configuration and is no copy of it: a key that changes while the store is open counts at its
    // next use.
    const options: FlushOptions = Object.assign(Object.create(config), more);
    this.#target = target;
    this.#listener = listener;
    this.#options = options;
    const withPool = config.transientStorePoolEnable;
    const committing: FlushListener = {
      onFlushed: () => listener.onFlushed(),
      onGroup: (size) => listener.onGroup(size),
      onThrown: (error) => listener.onThrown(error),
      onCommitted: () => {
        listener.onCommitted();
        this.#flushRealTimeService?.onAppended();
      },
    };
    if (config.flushDiskType === 'SYNC_FLUSH') {
      this.#groupCommitService = new GroupCommitService(target, listener, options);
      this.flushCommitLogService = this.#groupCommitService;
    } else {
      this.#flushRealTimeService = new FlushRealTimeService(target, listener, options);
      this.flushCommitLogService = this.#flushRealTimeService;
      if (withPool) this.commitRealTimeService = new CommitRealTimeService(target, committing, options);
    }
    this.groupWriteService = new GroupWriteService(target, committing, options);
  }

  start(): void {
    this.flushCommitLogService.start();
    this.commitRealTimeService?.start();
    this.groupWriteService.start();
  }

  /** Answers the last group and leaves nothing unflushed, unless a flush failed. */
  async shutdown(): Promise<void> {
    await this.groupWriteService.shutdown();
    await this.#syncAppendService?.shutdown();
    await this.commitRealTimeService?.shutdown();
    await this.flushCommitLogService.shutdown();
  }

  get waiterCount(): number {
    const sync = (this.#groupCommitService?.waiterCount ?? 0) + (this.#syncAppendService?.waiterCount ?? 0);
    return sync + this.groupWriteService.waiterCount;
  }

  get oldestWaiterMs(): number {
    return Math.max(this.#groupCommitService?.oldestWaiterMs ?? 0, this.#syncAppendService?.oldestWaiterMs ?? 0);
  }

  /** Intervals may have changed: a wait that goes on under the old ones ends now. */
  configChanged(): void {
    this.#flushRealTimeService?.wakeup();
    this.commitRealTimeService?.wakeup();
  }

  /** Flushes everything appended now; resolves nothing (wait with whenFlushed). */
  flushNow(): void {
    if (this.#groupCommitService) this.#groupCommitService.wakeup();
    else this.#flushRealTimeService?.flushNow();
  }

  /**
   * RocketMQ handleDiskFlush. `waitStoreMsgOK` is the message's WAIT property, true unless it says false; `durability`
   * overrides it and the store's flushDiskType. `group` under ASYNC_FLUSH is the caller's whenFlushed.
   */
  submitFlushRequest(
    result: PutMessageResult,
    waitStoreMsgOK: boolean,
    durability: Durability | undefined,
  ): Promise<PutMessageResult> {
    const nextOffset = result.wroteOffset + result.wroteBytes;
    if (this.#groupCommitService) {
      const onDisk = durability === undefined ? waitStoreMsgOK : durability !== 'async';
      if (onDisk) return this.#groupCommitService.submit(nextOffset, result);
      // The write first: what the flush finds asked for alone, it leaves to an fdatasync of its own, and nobody who only
      // waits for *written* waits for the disk.
      const written = this.groupWriteService.submit(nextOffset, result);
      this.#groupCommitService.wakeup();
      return written;
    }
    this.#flushRealTimeService?.onAppended();
    if (durability === 'sync') return this.#syncAppends().submit(nextOffset, result);
    // RocketMQ's meaning, for whoever asks for nothing. An explicit `async` says *written*.
    if (this.commitRealTimeService && durability === undefined) {
      this.commitRealTimeService.onAppended();
      result.status = 'PUT_OK';
      return Promise.resolve(result);
    }
    return this.groupWriteService.submit(nextOffset, result);
  }

  #syncAppends(): GroupCommitService {
    if (!this.#syncAppendService) {
      const options: FlushOptions & { onlyOnRequest: boolean } = Object.assign(Object.create(this.#options), {
        onlyOnRequest: true,
      });
      this.#syncAppendService = new GroupCommitService(this.#target, this.#listener, options);
      this.#syncAppendService.start();
    }
    return this.#syncAppendService;
  }
}
