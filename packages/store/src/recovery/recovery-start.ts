import { endOf, type LogFile, logFileOf } from './log-file.ts';
import { type ScanOptions, type ScanStop, scanLog } from './recovery-scan.ts';
import { searchRecords } from './recovery-search.ts';
import type { DurablePointState } from './store-checkpoint.ts';

/** What recovery knows before it reads a record. */
export interface RecoveryFacts {
  files: readonly LogFile[];
  lastExitOk: boolean;
  durablePointState: DurablePointState;
  durablePoint: number;
  /** RocketMQ StoreCheckpoint.getMinTimestamp. */
  minTimestamp: number;
  /** End of the record behind the newest entry of all consume queues (dispatchFromPhyOffset); below 0 without one. */
  consumeQueueMaxOffset: number;
  /** Every target of dispatch has what it must of every record that ends at or below on disk (its point in the checkpoint,
   * as far as its files bear that out). */
  completeWhere: number;
  /** What was taken away of a target has to be made anew from here; Infinity without. */
  rebuildFrom?: number;
}

/** Bytes that were on disk and are not good records any more. */
export interface LogDamage {
  /** Start of the first bad record. */
  from: number;
  /** Start of the next good record, or the durable point when none is found below it. */
  to: number;
  path: string;
  stop: ScanStop;
}

/** Which rule decided where to start. */
export type StartRule = 'durable-point' | 'java-clean-exit' | 'java-unclean-exit';

export interface RecoveryStart {
  rule: StartRule;
  /** Start of a record: the scan begins here. */
  scanFrom: number;
  /** Below it a bad record is damage, above it the end of the log. At least scanFrom. */
  durablePoint: number;
  /** Start of a record, at least scanFrom: from here on queue and index entries are made anew. */
  dispatchFrom: number;
  damage?: LogDamage;
  /** Why a durable point that the checkpoint holds is not used. */
  voidReason?: string;
}

/** Windows before a point in which the last records in front of it are looked for; then the whole file is walked. */
const BACKWARD_WINDOWS = [64 * 1024, 8 * 1024 * 1024];

/** Decides where recovery starts. Reads a few records, changes nothing. Table: docs/design/recovery.md, "The start". */
export async function chooseStart(facts: RecoveryFacts, options: ScanOptions): Promise<RecoveryStart> {
  const minOffset = facts.files[0]!.from;
  const logEnd = endOf(facts.files);
  if (facts.durablePointState === 'java-ran-since') return javaStart(facts, options, 'another broker has stored since');
  if (facts.durablePointState === 'none') return javaStart(facts, options, undefined);
  const { durablePoint } = facts;
  if (durablePoint < minOffset)
    return javaStart(facts, options, `it is below the first file, which starts at ${minOffset}`);

  let damage: LogDamage | undefined;
  const present = Math.min(durablePoint, logEnd);
  if (present < durablePoint) {
    const last = facts.files[facts.files.length - 1]!;
    damage = { from: logEnd, to: durablePoint, path: last.path, stop: { kind: 'end' } };
  }
  const point = await checkPoint(facts.files, present, options);
  if (point.kind === 'inside') return javaStart(facts, options, `it is inside the record at ${point.start}`);
  if (point.kind === 'damage') damage = { ...point.damage, to: damage === undefined ? point.damage.to : durablePoint };
  // What queues and index have decides nothing about the log: an earlier start is right too, whatever is wrong with it.
  let dispatchFrom = Math.max(minOffset, Math.min(present, facts.completeWhere));
  if (dispatchFrom < present) {
    const derived = await checkPoint(facts.files, dispatchFrom, options);
    if (derived.kind === 'inside') dispatchFrom = derived.start;
    if (derived.kind === 'damage') damage = derived.damage;
  }
  const scanFrom = damage === undefined ? dispatchFrom : Math.min(dispatchFrom, damage.from);
  return { rule: 'durable-point', scanFrom, durablePoint, dispatchFrom: scanFrom, damage };
}

type PointCheck =
  | { kind: 'boundary' }
  /** A good record spans the point. */
  | { kind: 'inside'; start: number }
  | { kind: 'damage'; damage: LogDamage };

/** Whether good records end exactly at `offset`: then the next one starts there. */
async function checkPoint(files: readonly LogFile[], offset: number, options: ScanOptions): Promise<PointCheck> {
  const file = logFileOf(files, offset - 1);
  if (file === undefined) return { kind: 'boundary' };
  for (const window of BACKWARD_WINDOWS) {
    if (offset - window <= file.from) break;
    let candidate: number | undefined;
    await searchRecords([file], offset - window, offset, { ...options, chunkBytes: window }, (record) => {
      candidate = record.physicalOffset;
      return false;
    });
    if (candidate === undefined) continue;
    const chain = await scanLog([file], candidate, offset, options);
    if (chain.end === offset) return { kind: 'boundary' };
    break;
  }
  const walk = await scanLog([file], file.from, offset, options);
  if (walk.end === offset) return { kind: 'boundary' };
  if (walk.stop.kind === 'crosses') return { kind: 'inside', start: walk.end };
  return { kind: 'damage', damage: await damageAt(files, walk.end, offset, walk.stop, options) };
}

/** The extent of the damage that begins at `from`: up to the next good record below `durablePoint`. */
export async function damageAt(
  files: readonly LogFile[],
  from: number,
  durablePoint: number,
  stop: ScanStop,
  options: ScanOptions,
): Promise<LogDamage> {
  let to = durablePoint;
  await searchRecords(files, from + 1, durablePoint, options, (record) => {
    to = record.physicalOffset;
    return false;
  });
  return { from, to, path: (logFileOf(files, from) ?? files[files.length - 1]!).path, stop };
}

/**
 * RocketMQ's rules, for a directory that has no durable point of ours (CommitLog.recoverNormally, recoverAbnormally):
 * after a clean exit the newest file whose first record is at or below what the queues have; after an unclean one the
 * newest whose first record is good and not younger than the checkpoint's getMinTimestamp; the first file without such.
 * The last 10 files only (commitLogRecoverMaxNum of 5.5.0) is a limit we do not have.
 */
async function javaStart(
  facts: RecoveryFacts,
  options: ScanOptions,
  voidReason: string | undefined,
): Promise<RecoveryStart> {
  const { files, lastExitOk, rebuildFrom = Number.POSITIVE_INFINITY } = facts;
  let start = files[0]!.from;
  for (let index = files.length - 1; index > 0; index--) {
    const file = files[index]!;
    if (file.from > rebuildFrom || (lastExitOk && file.from > facts.consumeQueueMaxOffset)) continue;
    const first = await firstRecord(file, options);
    if (first === undefined) continue;
    if (lastExitOk || (first.storeTimestamp !== 0 && first.storeTimestamp <= facts.minTimestamp)) {
      start = file.from;
      break;
    }
  }
  return {
    rule: lastExitOk ? 'java-clean-exit' : 'java-unclean-exit',
    scanFrom: start,
    durablePoint: start,
    // Queue entries are dropped when they are there already, so an early start costs time and nothing else.
    dispatchFrom: start,
    voidReason,
  };
}

async function firstRecord(file: LogFile, options: ScanOptions): Promise<{ storeTimestamp: number } | undefined> {
  let found: { storeTimestamp: number } | undefined;
  await searchRecords([file], file.from, file.from + 1, { ...options, chunkBytes: 64 * 1024 }, (record) => {
    found = { storeTimestamp: record.storeTimestamp };
    return false;
  });
  return found;
}
