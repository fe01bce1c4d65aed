import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { errnoOf } from '../base/queue-failure.ts';
import type { MappedFileQueue } from '../mapped-file/mapped-file-queue.ts';
import type { ConsumeQueueStore } from '../queue/consume-queue-store.ts';
import type { Deletions } from '../queue/deletions.ts';
import type { DelayLevels } from '../record/delay-levels.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';
import type { DispatchTarget, TargetName, TargetPoint } from '../record/dispatch-target.ts';
import { dispatchRequestOf } from '../record/record-dispatch.ts';
import { endOf, type LogFile, logFileOf } from './log-file.ts';
import { type Quarantined, quarantineRecords, Rewriter } from './recovery-repair.ts';
import { type ScanOptions, type ScanResult, type ScanStop, scanLog } from './recovery-scan.ts';
import { chooseStart, damageAt, type LogDamage, type RecoveryStart, type StartRule } from './recovery-start.ts';
import type { StoreCheckpoint } from './store-checkpoint.ts';

/**
 * Recovery of the commit log (RocketMQ CommitLog.recoverNormally, recoverAbnormally). Neither the log's tail nor the
 * page cache is believed. Every case, its decision and its test: docs/design/recovery.md.
 *
 * The order of steps is what makes it survive a crash of itself; after each of them a new start comes to the same end:
 *
 *   1 scan      from a record's start to the first thing that is no good record; changes nothing below the durable point
 *   2 rewrite   what was accepted above the durable point, same bytes, fdatasync
 *   3 quarantine  good records behind the end go to a side file, durably
 *   4 cut       later files removed newest first, the rest of the last one zeroed durably
 *   5 truncate  queue and index entries at or above the first offset that is dispatched again, durably
 *   6 note      flushedWhere, then the checkpoint: on disk up to the end
 *   7 dispatch  in log order
 *
 * Invariants: nothing is dispatched that is not on disk · below the durable point nothing is ever written or cut · a
 * damaged store (policy read-only) is left as it is, queues included.
 */
export interface RecoveryParts {
  context: StoreContext;
  /** Loaded: every file counts as full. Empty for an empty directory. */
  mappedFileQueue: Pick<MappedFileQueue, 'mappedFiles' | 'truncateDirtyFiles' | 'setFlushedWhere' | 'endReadOnlyAt'>;
  /** Loaded. */
  consumeQueueStore: Pick<ConsumeQueueStore, 'correctMinOffsets'>;
  /** Loaded: whatever follows the log. */
  targets: readonly DispatchTarget[];
  /** Loaded; queues and dispatch know them. */
  deletions?: Pick<Deletions, 'endAt'> | undefined;
  checkpoint: StoreCheckpoint;
  /** The abort file was absent: the last process shut the store down cleanly. */
  lastExitOk: boolean;
  /** Takes one record into the targets; each drops what it has already. Awaited when it returns a promise. */
  dispatch(request: DispatchRequest): void | Promise<void>;
  /** The last record was dispatched. */
  onDispatched?: (() => void) | undefined;
  /** Bytes done of bytes that may have to be read; the end may come long before. */
  onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  delayLevels?: DelayLevels | undefined;
  /** Bytes of one read; tests make it small. */
  chunkBytes?: number;
}

export interface RecoveryResult {
  /** End of the log: the next record goes there, and everything below is on disk. With damage: where reading ends. */
  maxOffset: number;
  minOffset: number;
  rule: StartRule | 'empty';
  /** Records read, and those of them above the durable point, which were written again. */
  records: number;
  bytesScanned: number;
  bytesRewritten: number;
  /** Records handed to dispatch. */
  dispatched: number;
  /** Why the log ends where it ends. */
  stop: ScanStop;
  /** The store is read-only because of this; context.fail has the STORE_DAMAGED error. */
  damage: LogDamage | undefined;
  quarantined: Quarantined | undefined;
  /** storeTimestamp of the last record read; the checkpoint's physicMsgTimestamp when none was. */
  lastStoreTimestamp: number;
  elapsedMs: number;
}

/**
 * Recovers the store. When it resolves, everything below maxOffset is *on disk*, nothing lies behind it, and queues and
 * index have (in memory) all of it; or, with `damage`, the store is read-only and untouched.
 *
 * Rejects STORE_DAMAGED (damagedStorePolicy refuse, or the whole log is missing) without having changed anything, and
 * STORE_RECOVERY_FAILED when a read, a write or a sync failed: the store must not be opened; a later start begins anew.
 */
export async function recoverStore(parts: RecoveryParts): Promise<RecoveryResult> {
  return await new Recovery(parts).run();
}

class Recovery {
  readonly #parts: RecoveryParts;
  readonly #context: StoreContext;
  readonly #files: readonly LogFile[];
  readonly #scanOptions: ScanOptions;
  readonly #startedAt: number;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
    this.#context = parts.context;
    const { config, fileSystem, clock } = parts.context;
    this.#startedAt = clock.monotonic();
    this.#files = parts.mappedFileQueue.mappedFiles.map((file) => ({
      path: file.fileName,
      from: file.fileFromOffset,
      size: file.fileSize,
    }));
    this.#scanOptions = {
      fileSystem,
      checkCrc: config.checkCRCOnRecover,
      verifyPropCrc: config.forceVerifyPropCRC || config.enabledAppendPropCRC,
      ...(parts.chunkBytes === undefined ? {} : { chunkBytes: parts.chunkBytes }),
    };
  }

  async run(): Promise<RecoveryResult> {
    try {
      if (this.#files.length === 0) return await this.#recoverEmpty();
      const start = await this.#chooseStart();
      return await this.#recover(start);
    } catch (error) {
      if (error instanceof StoreError && (error.code === 'STORE_DAMAGED' || error.code === 'STORE_RECOVERY_FAILED')) {
        throw error;
      }
      const full = isNoRoom(error);
      const reason = error instanceof Error ? error.message : String(error);
      throw new StoreError(
        full ? 'STORE_DISK_FULL' : 'STORE_RECOVERY_FAILED',
        `Recovery of ${this.#context.config.storePathCommitLog} failed, the store stays closed: ${reason}`,
        { path: this.#context.config.storePathCommitLog },
        error,
      );
    }
  }

  /** RocketMQ's rule for a log without files: the queues are of no log and go. Not when bytes are known to be missing. */
  async #recoverEmpty(): Promise<RecoveryResult> {
    const { checkpoint, targets } = this.#parts;
    const { storePathCommitLog: path } = this.#context.config;
    const known = checkpoint.durablePointState === 'valid' ? checkpoint.durablePoint : 0;
    if (known > 0) {
      throw new StoreError(
        'STORE_DAMAGED',
        `${path} has no file, but the log was on disk up to offset ${known}. Is the volume mounted? Nothing was changed; ` +
          'to start with an empty log, remove the checkpoint as well',
        { path, from: 0, to: known, durablePoint: known },
      );
    }
    for (const target of targets) {
      const { maxPhysicOffset } = await target.recover(undefined, true);
      if (maxPhysicOffset > 0) {
        this.#context.logger.warn(
          { path, target: target.name, maxPhysicOffset },
          'recovery: the log has no files, what belonged to it is removed',
        );
      }
      await target.destroy();
    }
    await this.#parts.deletions?.endAt(0, 0);
    checkpoint.recovered(0, this.#targetPoints(), 0);
    await checkpoint.flush();
    const none = {
      from: 0,
      records: 0,
      bytesScanned: 0,
      lastStoreTimestamp: 0,
      end: 0,
      stop: { kind: 'end' } as const,
    };
    return this.#result(none, 'empty', 0, 0, undefined, undefined);
  }

  async #chooseStart(): Promise<RecoveryStart> {
    const { checkpoint, targets, lastExitOk } = this.#parts;
    const valid = checkpoint.durablePointState === 'valid';
    let completeWhere = Number.POSITIVE_INFINITY;
    let rebuildFrom = Number.POSITIVE_INFINITY;
    let queuesMaxOffset = -1;
    for (const target of targets) {
      const found = await target.recover(valid ? checkpoint.targetPoint(target.name) : undefined, lastExitOk);
      completeWhere = Math.min(completeWhere, found.completeWhere);
      rebuildFrom = Math.min(rebuildFrom, found.rebuildFrom);
      if (target.name === 'queues') queuesMaxOffset = found.maxPhysicOffset;
    }
    const start = await chooseStart(
      {
        files: this.#files,
        lastExitOk,
        durablePointState: checkpoint.durablePointState,
        durablePoint: checkpoint.durablePoint,
        minTimestamp: checkpoint.minTimestamp,
        consumeQueueMaxOffset: queuesMaxOffset,
        completeWhere,
        rebuildFrom,
      },
      this.#scanOptions,
    );
    const { logger } = this.#context;
    if (start.voidReason !== undefined) {
      logger.warn(
        { durablePoint: checkpoint.durablePoint, reason: start.voidReason },
        'recovery: the durable point is void, RocketMQ’s rule decides where to start',
      );
    }
    logger.info(
      {
        rule: start.rule,
        lastExitOk,
        from: start.scanFrom,
        durablePoint: start.durablePoint,
        logEnd: endOf(this.#files),
      },
      'recovery: reading the log',
    );
    return start;
  }

  async #recover(start: RecoveryStart): Promise<RecoveryResult> {
    const below = await this.#scanBelow(start);
    if (below.end < start.durablePoint) return await this.#openDamaged(start, below);
    const rewriter = new Rewriter(this.#context, start.durablePoint);
    let above: ScanResult;
    try {
      // RocketMQ's own records may hold zero bytes and carry no CRC; its directories are read by its rule.
      const options = { ...this.#scanOptions, checkTorn: start.rule === 'durable-point' };
      above = await scanLog(this.#files, start.durablePoint, endOf(this.#files), options, {
        onVerified: (file, position, bytes) => rewriter.write(file, position, bytes),
        onProgress: (offset) => this.#progress(start, offset),
      });
      await rewriter.finish();
    } finally {
      await rewriter.abandon();
    }
    const scan: ScanResult = {
      end: above.end,
      records: below.records + above.records,
      bytesScanned: below.bytesScanned + above.bytesScanned,
      lastStoreTimestamp: above.lastStoreTimestamp || below.lastStoreTimestamp,
      stop: above.stop,
    };
    const untouched = start.rule === 'durable-point' && this.#parts.lastExitOk && this.#isAsLeft(start, above);
    const quarantined = untouched ? undefined : await this.#cut(scan);
    if (untouched) this.#setLastPosition(scan.end);
    await this.#parts.deletions?.endAt(scan.end, this.#files[0]!.from);
    await this.#note(start, scan);
    const dispatched = await this.#dispatchAll(start, scan.end);
    await this.#parts.consumeQueueStore.correctMinOffsets(this.#files[0]!.from);
    this.#parts.onProgress?.(1, 1);
    return this.#result(scan, start.rule, rewriter.bytesRewritten, dispatched, undefined, quarantined);
  }

  /** Nothing behind the durable point, no file behind the last one in use: the directory stays as it is. */
  #isAsLeft(start: RecoveryStart, above: ScanResult): boolean {
    const isEmpty = above.stop.kind === 'zero' || above.stop.kind === 'end';
    return isEmpty && above.end === start.durablePoint && above.end >= this.#files[this.#files.length - 1]!.from;
  }

  async #scanBelow(start: RecoveryStart): Promise<ScanResult> {
    const { scanFrom, durablePoint } = start;
    return await scanLog(this.#files, scanFrom, durablePoint, this.#scanOptions, {
      onProgress: (offset) => this.#progress(start, offset),
    });
  }

  /** A bad record below the durable point. Nothing on disk is changed: what is there may be all that is left. */
  async #openDamaged(start: RecoveryStart, scan: ScanResult): Promise<RecoveryResult> {
    const { config, logger } = this.#context;
    const damage =
      start.damage?.from === scan.end
        ? start.damage
        : await damageAt(this.#files, scan.end, start.durablePoint, scan.stop, this.#scanOptions);
    const error = damageError(damage, start.durablePoint);
    logger.error({ ...error.details, policy: config.damagedStorePolicy }, error.message);
    if (config.damagedStorePolicy === 'refuse') throw error;
    this.#parts.mappedFileQueue.endReadOnlyAt(scan.end);
    // From here on nothing is written: the entries made anew stay in memory, over what the files have.
    this.#context.fail(error);
    for (const target of this.#parts.targets) await target.truncateDirty(Math.min(start.dispatchFrom, scan.end), true);
    const dispatched = await this.#dispatchAll(start, scan.end);
    return this.#result(scan, start.rule, 0, dispatched, damage, undefined);
  }

  /** Steps 3 and 4. */
  async #cut(scan: ScanResult): Promise<Quarantined | undefined> {
    const { logger } = this.#context;
    const quarantined = await quarantineRecords(this.#files, scan.end, this.#context);
    const path = logFileOf(this.#files, scan.end)?.path;
    if (quarantined !== undefined) {
      logger.warn(
        { path, end: scan.end, stop: scan.stop, quarantined },
        'recovery: the log ends here; good records behind its end were copied to a side file',
      );
    } else if (scan.stop.kind === 'bad') {
      logger.warn({ path, end: scan.end, stop: scan.stop }, 'recovery: the log ends at a record that is not whole');
    }
    await this.#parts.mappedFileQueue.truncateDirtyFiles(scan.end);
    return quarantined;
  }

  #targetPoints(): Map<TargetName, TargetPoint> {
    return new Map(this.#parts.targets.map(({ name, point }) => [name, point]));
  }

  #setLastPosition(end: number): void {
    const last = this.#parts.mappedFileQueue.mappedFiles.at(-1)!;
    last.setPositions(end - last.fileFromOffset);
  }

  /** Steps 5 and 6. */
  async #note(start: RecoveryStart, scan: ScanResult): Promise<void> {
    const { checkpoint, targets, mappedFileQueue } = this.#parts;
    const dispatchFrom = Math.min(start.dispatchFrom, scan.end);
    if (dispatchFrom < scan.end) await checkpoint.forgetQueues();
    for (const target of targets) await target.truncateDirty(dispatchFrom, false);
    mappedFileQueue.setFlushedWhere(scan.end);
    const last = mappedFileQueue.mappedFiles.at(-1);
    if (last !== undefined) last.storeTimestamp = scan.lastStoreTimestamp;
    checkpoint.recovered(scan.end, this.#targetPoints(), scan.lastStoreTimestamp);
    await checkpoint.flush();
  }

  async #dispatchAll(start: RecoveryStart, end: number): Promise<number> {
    if (start.dispatchFrom >= end) return 0;
    const { dispatch, delayLevels } = this.#parts;
    const { enableLmq, enableMultiDispatch } = this.#context.config;
    const hasLmqs = enableLmq && enableMultiDispatch;
    // Everything in the range was checked a moment ago; only what the records say is wanted now.
    const options = { ...this.#scanOptions, checkCrc: false, verifyPropCrc: false };
    const scan = await scanLog(this.#files, start.dispatchFrom, end, options, {
      onRecord: (record, chunk) => dispatch(dispatchRequestOf(chunk, record, delayLevels, hasLmqs)),
    });
    if (scan.end !== end) {
      throw new StoreError(
        'STORE_RECOVERY_FAILED',
        `The log read differently the second time: good up to ${end} first, up to ${scan.end} now`,
        { expected: end, found: scan.end },
      );
    }
    this.#parts.onDispatched?.();
    return scan.records;
  }

  #progress(start: RecoveryStart, offset: number): void {
    this.#parts.onProgress?.(offset - start.scanFrom, endOf(this.#files) - start.scanFrom);
  }

  #result(
    scan: ScanResult,
    rule: RecoveryResult['rule'],
    bytesRewritten: number,
    dispatched: number,
    damage: LogDamage | undefined,
    quarantined: Quarantined | undefined,
  ): RecoveryResult {
    const result: RecoveryResult = {
      maxOffset: scan.end,
      minOffset: this.#files[0]?.from ?? 0,
      rule,
      records: scan.records,
      bytesScanned: scan.bytesScanned,
      bytesRewritten,
      dispatched,
      stop: scan.stop,
      damage,
      quarantined,
      lastStoreTimestamp: scan.lastStoreTimestamp || this.#parts.checkpoint.physicMsgTimestamp,
      elapsedMs: this.#context.clock.monotonic() - this.#startedAt,
    };
    this.#context.logger.info({ ...result }, 'recovery: done');
    return result;
  }
}

/** A full disk, whichever step met it: nothing has failed, and the next start goes on where this one ended. */
function isNoRoom(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOSPC' || errno === 'EDQUOT' || (error instanceof StoreError && error.code === 'STORE_DISK_FULL');
}

function damageError(damage: LogDamage, durablePoint: number): StoreError {
  const { from, to, path, stop } = damage;
  const what =
    stop.kind === 'bad'
      ? `${stop.reason}: expected ${stop.expected}, found ${stop.found}`
      : stop.kind === 'end'
        ? 'the file is missing'
        : 'no record there';
  return new StoreError(
    'STORE_DAMAGED',
    `${path}: the log was on disk up to offset ${durablePoint}, but from ${from} to ${to} it is damaged (${what}). ` +
      'Nothing was changed',
    { path, from, to, durablePoint, ...(stop.kind === 'bad' ? { expected: stop.expected, found: stop.found } : {}) },
  );
}
