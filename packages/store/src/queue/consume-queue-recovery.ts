import type { ConsumeQueueFiles } from './consume-queue-files.ts';
import { isFillerUnit, type UnitFormat, unitPhyOffset, unitSize } from './unit.ts';

/** The first look at a queue: most queues of a store with many end within it, so they cost one read. */
const FIRST_LOOK_UNITS = 200;
/** The least that a disk writes as a whole. */
const SECTOR_BYTES = 512;
/** At most; whole units of it are read at a time. */
const SCAN_BYTES = 65_536;

const ZEROS = Buffer.alloc(SCAN_BYTES);

const scanBytesOf = ({ bytes }: UnitFormat): number => Math.floor(SCAN_BYTES / bytes) * bytes;

export interface RecoveredUnits {
  endWhere: number;
  maxPhysicOffset: number;
  /** The first entry that is not filler, when the search came by it. */
  minWhere: number | undefined;
  minPhysicOffset: number;
  /** Entries that were on disk are bad although later ones are there: what follows endWhere has to be made anew. */
  isDamaged: boolean;
}

interface Scan {
  endWhere: number;
  /** End of the last entry's record, -1 before the first. */
  maxPhysicOffset: number;
  /** As maxPhysicOffset, before the last entry. */
  previousMaxPhysicOffset: number;
  /** Where the last entry stands. */
  lastWhere: number;
  /** Where the last entry's record begins, -1 before the first. */
  lastPhyOffset: number;
  /** The entry behind the last one begins in front of its end: one of the two is wrong, or that one lacks a half. */
  isOutOfOrder: boolean;
  first: { where: number; phyOffset: number } | undefined;
}

/**
 * Finds where the entries of a queue end on disk. An entry is good when its offset is not negative, its size positive
 * and it starts at or after the end of the entry before it.
 *
 * `durableWhere`: entries of records below it are known to be on disk without a hole, so the boundary is found by
 * doubling and halving; from there on every entry is looked at, because a power cut leaves holes in what was not synced.
 * Without it the look starts at the third last file, as RocketMQ's does.
 */
export async function recoverUnits(
  files: ConsumeQueueFiles,
  topic: string,
  queueId: number,
  firstWhere: number,
  limitWhere: number,
  durableWhere: number | undefined,
): Promise<RecoveredUnits> {
  const { fileSize, units: format } = files;
  const firstLookBytes = FIRST_LOOK_UNITS * format.bytes;
  const read = async (from: number, bytes: number): Promise<Buffer> => {
    const units = Buffer.allocUnsafe(Math.min(bytes, limitWhere - from));
    await files.read(topic, queueId, from, units);
    return units;
  };

  const start = durableWhere === undefined ? Math.max(firstWhere, limitWhere - 3 * fileSize) : firstWhere;
  const scan: Scan = {
    endWhere: start,
    maxPhysicOffset: -1,
    previousMaxPhysicOffset: -1,
    lastWhere: start,
    lastPhyOffset: -1,
    isOutOfOrder: false,
    first: undefined,
  };
  let units = await read(start, firstLookBytes);
  let ended = scanUnits(format, units, start, scan);
  if (!ended && durableWhere !== undefined) {
    const boundary = await durableBoundary(read, scan.endWhere, limitWhere, durableWhere, files);
    if (boundary > scan.endWhere) {
      const last = await read(boundary - format.bytes, format.bytes);
      scan.endWhere = boundary;
      scan.lastWhere = boundary - format.bytes;
      scan.previousMaxPhysicOffset = scan.maxPhysicOffset;
      scan.lastPhyOffset = unitPhyOffset(last, 0);
      scan.maxPhysicOffset = scan.lastPhyOffset + unitSize(last, 0);
    }
  }
  let chunkWhere = start;
  while (!ended && scan.endWhere < limitWhere) {
    chunkWhere = scan.endWhere;
    units = await read(chunkWhere, scanBytesOf(format));
    ended = scanUnits(format, units, chunkWhere, scan);
  }

  // durableWhere lies between two records. An entry of a record on both sides of it is wrong, and its end would hide the
  // records that are dispatched anew.
  const isImpossible =
    durableWhere !== undefined && scan.lastPhyOffset < durableWhere && scan.maxPhysicOffset > durableWhere;
  // The last entry can lie over a sector's end whose second half a power cut took: a good offset with a tag of zeros. It
  // is dispatched again with the rest, unless nobody knows from where; then it has to stay.
  if (
    durableWhere !== undefined &&
    !isImpossible &&
    scan.maxPhysicOffset > durableWhere &&
    crossesSector(scan.endWhere, files)
  ) {
    scan.endWhere -= format.bytes;
    scan.maxPhysicOffset = scan.previousMaxPhysicOffset;
  }
  // Of two entries out of order it may be the first whose bits were turned over, and its end would hide the ones behind it.
  // Both are made anew.
  const isDoubtful = isImpossible || (durableWhere !== undefined && scan.isOutOfOrder);
  if (isDoubtful) {
    scan.endWhere = scan.lastWhere;
    scan.maxPhysicOffset = scan.previousMaxPhysicOffset;
  }
  const endWhere = scan.endWhere;
  const seen = endWhere < chunkWhere ? Buffer.alloc(0) : units.subarray(endWhere - chunkWhere);
  const isDamaged =
    durableWhere !== undefined &&
    ((isDoubtful && scan.maxPhysicOffset < durableWhere) ||
      holdsDurable(seen, endWhere, scan.maxPhysicOffset, durableWhere, files) ||
      (await filesHoldDurable(files, read, endWhere, limitWhere, scan.maxPhysicOffset, durableWhere)));
  // What is behind a damage is what dispatch makes anew; should it not come to that, the next start must find it again.
  if (!isDamaged) {
    // Newest first, so that a crash in between leaves no hole. The first file stays even when nothing good is in it: its
    // name keeps the number of the next entry.
    for (let file = limitWhere - fileSize; file >= endWhere && file > firstWhere; file -= fileSize) {
      await files.removeFile(topic, queueId, file);
    }
    if (endWhere % fileSize !== 0 || endWhere === firstWhere) {
      await zeroStale(files, topic, queueId, endWhere, seen);
    }
  }
  return {
    endWhere,
    maxPhysicOffset: scan.maxPhysicOffset,
    minWhere: start === firstWhere ? scan.first?.where : undefined,
    minPhysicOffset: scan.first?.phyOffset ?? -1,
    isDamaged,
  };
}

/**
 * Whether the units read from `where` on hold one of a record behind `maxPhysicOffset` and below `durableWhere`: it was on
 * disk, and so was all in front of it. Units that lie in two sectors say nothing, for half of one can be there.
 */
function holdsDurable(
  units: Buffer,
  where: number,
  maxPhysicOffset: number,
  durableWhere: number,
  files: ConsumeQueueFiles,
): boolean {
  const { units: format } = files;
  for (let at = 0; at + format.bytes <= units.length; at += format.bytes) {
    if (!format.isGood(units, at) || isFillerUnit(units, at)) continue;
    const phyOffset = unitPhyOffset(units, at);
    if (phyOffset < maxPhysicOffset || phyOffset + unitSize(units, at) > durableWhere) continue;
    if (!crossesSector(where + at + format.bytes, files)) return true;
  }
  return false;
}

/** As holdsDurable, of the files behind the one that the end lies in: the next and the last. */
async function filesHoldDurable(
  files: ConsumeQueueFiles,
  read: (from: number, bytes: number) => Promise<Buffer>,
  endWhere: number,
  limitWhere: number,
  maxPhysicOffset: number,
  durableWhere: number,
): Promise<boolean> {
  const { fileSize, units: format } = files;
  const next = Math.ceil(endWhere / fileSize) * fileSize;
  for (const file of new Set([next, limitWhere - fileSize])) {
    if (file < endWhere || file >= limitWhere) continue;
    const units = await read(file, Math.min(FIRST_LOOK_UNITS * format.bytes, fileSize));
    if (holdsDurable(units, file, maxPhysicOffset, durableWhere, files)) return true;
  }
  return false;
}

/** Whether the unit that ends at `where` lies in two sectors of its file. */
function crossesSector(where: number, { fileSize, units }: ConsumeQueueFiles): boolean {
  const position = (where - units.bytes) % fileSize;
  return position % SECTOR_BYTES > SECTOR_BYTES - units.bytes;
}

/** Moves the scan over the good units; true when it met one that is not. */
function scanUnits(format: UnitFormat, units: Buffer, where: number, scan: Scan): boolean {
  for (let at = 0; at < units.length; at += format.bytes) {
    if (!format.isGood(units, at)) return true;
    if (!isFillerUnit(units, at)) {
      const phyOffset = unitPhyOffset(units, at);
      if (phyOffset < scan.maxPhysicOffset) {
        scan.isOutOfOrder = true;
        return true;
      }
      scan.lastWhere = where + at;
      scan.previousMaxPhysicOffset = scan.maxPhysicOffset;
      scan.lastPhyOffset = phyOffset;
      scan.maxPhysicOffset = phyOffset + unitSize(units, at);
      scan.first ??= { where: where + at, phyOffset };
    }
    scan.endWhere = where + at + format.bytes;
  }
  return false;
}

/** End of the entries of records below durableWhere, at or after `from`. Filler counts as not known, which only makes the
 * scan behind it longer. */
async function durableBoundary(
  read: (from: number, bytes: number) => Promise<Buffer>,
  from: number,
  limit: number,
  durableWhere: number,
  files: ConsumeQueueFiles,
): Promise<number> {
  const { units: format } = files;
  const end = limit / format.bytes;
  const isDurable = async (index: number): Promise<boolean> => {
    const where = (index + 1) * format.bytes;
    // Of a unit in two sectors a power cut may leave the second half alone: a size with a log offset of zero, which would
    // pass for old. What holds for its neighbour, which is whole or not there, holds for it.
    const asked = crossesSector(where, files) ? index + 1 : index;
    if (asked >= end) return false;
    const unit = await read(asked * format.bytes, format.bytes);
    return (
      format.isGood(unit, 0) && !isFillerUnit(unit, 0) && unitPhyOffset(unit, 0) + unitSize(unit, 0) <= durableWhere
    );
  };
  let low = from / format.bytes;
  let step = FIRST_LOOK_UNITS;
  let high = end;
  for (let probe = low + step; probe < end; probe = low + step) {
    if (!(await isDurable(probe))) {
      high = probe;
      break;
    }
    low = probe + 1;
    step *= 2;
  }
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isDurable(middle)) low = middle + 1;
    else high = middle;
  }
  return low * format.bytes;
}

/**
 * Zeroes what an earlier life of the queue left behind the end. `seen` is what was read from the end on. Such leftovers
 * lie together, in the stretch that had not been synced at a power cut, so the search stops at the first chunk of zeros.
 */
async function zeroStale(
  files: ConsumeQueueFiles,
  topic: string,
  queueId: number,
  endWhere: number,
  seen: Buffer,
): Promise<void> {
  const fileEnd = files.fileFromOffset(endWhere) + files.fileSize;
  const readChunk = async (from: number): Promise<Buffer> => {
    const bytes = Buffer.allocUnsafe(Math.min(scanBytesOf(files.units), fileEnd - from));
    if (bytes.length > 0) await files.read(topic, queueId, from, bytes);
    return bytes;
  };
  let where = endWhere;
  let staleEnd = endWhere;
  let chunk = seen.subarray(0, Math.min(seen.length, fileEnd - endWhere));
  if (chunk.length === 0) chunk = await readChunk(endWhere);
  while (chunk.length > 0) {
    const stale = !chunk.equals(ZEROS.subarray(0, chunk.length));
    where += chunk.length;
    if (stale) staleEnd = where;
    else break;
    chunk = await readChunk(where);
  }
  await files.zero(topic, queueId, endWhere, staleEnd);
}
