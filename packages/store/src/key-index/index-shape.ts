import type { FileSystem, StoreFile } from '../base/file-system.ts';
import { readInt32, readInt64 } from '../base/int64.ts';
import { decodeIndexHeader, HASH_SLOT_SIZE, INDEX_HEADER_SIZE, INDEX_SIZE, indexFileSize } from './index-layout.ts';

/** maxHashSlotNum and maxIndexNum of an index file. */
export interface IndexShape {
  slots: number;
  units: number;
}

/** RocketMQ's own. */
const DEFAULT: IndexShape = { slots: 5_000_000, units: 20_000_000 };
const SEARCH_BYTES = 1024 * 1024;
/** Units that are looked at to tell a shape from another. */
const SAMPLES = 16;
/** Places that look like the newest unit's and are not; a file where there are more tells no shape. */
const CANDIDATES_MAX = 1_000;

/**
 * Slots and units of the index files. Their size alone leaves many pairs; RocketMQ's own is tried first, then the place
 * of the newest unit is looked for, whose offset the header names. `given`: what the configuration says. Undefined when
 * no file tells.
 */
export async function indexShapeOf(
  fileSystem: Pick<FileSystem, 'open'>,
  files: readonly { readonly path: string; readonly size: number }[],
  given: Partial<IndexShape>,
): Promise<IndexShape | undefined> {
  for (const { path, size } of files) {
    if (given.slots !== undefined && given.units !== undefined) {
      return indexFileSize(given.slots, given.units) === size ? (given as IndexShape) : undefined;
    }
    if (given.slots !== undefined) return shapeWith(given.slots, size);
    if (size === indexFileSize(DEFAULT.slots, DEFAULT.units)) return DEFAULT;
    const found = await searchShape(fileSystem, path, size);
    if (found !== undefined) return found;
  }
  return undefined;
}

function shapeWith(slots: number, size: number): IndexShape | undefined {
  const rest = size - INDEX_HEADER_SIZE - slots * HASH_SLOT_SIZE;
  return slots > 0 && rest > 0 && rest % INDEX_SIZE === 0 ? { slots, units: rest / INDEX_SIZE } : undefined;
}

async function searchShape(
  fileSystem: Pick<FileSystem, 'open'>,
  path: string,
  size: number,
): Promise<IndexShape | undefined> {
  const file = await fileSystem.open(path, 'read');
  try {
    const head = Buffer.alloc(INDEX_HEADER_SIZE);
    if ((await file.read(head, 0)) < head.length) return undefined;
    const { beginPhyOffset, indexCount } = decodeIndexHeader(head);
    const last = indexCount - 1;
    if (last < 1) return undefined;
    const wanted = head.subarray(24, 32);
    // The newest unit's offset field lies at 40 + 4 × slots + 20 × last + 4.
    const first = INDEX_HEADER_SIZE + HASH_SLOT_SIZE + last * INDEX_SIZE + 4;
    // One wrong byte must not hide the right shape: the one that most of the newest units bear out is taken.
    let best: { shape: IndexShape | undefined; right: number } = {
      shape: undefined,
      right: Math.min(last, SAMPLES) / 2,
    };
    let candidates = 0;
    const view = Buffer.alloc(SEARCH_BYTES + 8);
    for (let from = first; from < size; from += SEARCH_BYTES) {
      const read = await file.read(view, from);
      for (let at = view.indexOf(wanted); at >= 0 && at + 8 <= read; at = view.indexOf(wanted, at + 1)) {
        const slotBytes = from + at - 4 - last * INDEX_SIZE - INDEX_HEADER_SIZE;
        if (slotBytes % HASH_SLOT_SIZE !== 0) continue;
        const shape = shapeWith(slotBytes / HASH_SLOT_SIZE, size);
        if (shape === undefined || shape.units <= last) continue;
        if (++candidates > CANDIDATES_MAX) return best.shape;
        const right = (await score(file, shape, last, beginPhyOffset)) ?? 0;
        if (right <= best.right) continue;
        best = { shape, right };
        if (right >= Math.min(last, SAMPLES)) return shape;
      }
    }
    return best.shape;
  } finally {
    await file.close();
  }
}

/** How many of the newest units are led to by their slots, as far as that can be told; undefined when the first one is wrong. */
async function score(
  file: StoreFile,
  shape: IndexShape,
  last: number,
  beginPhyOffset: number,
): Promise<number | undefined> {
  const unitsAt = INDEX_HEADER_SIZE + shape.slots * HASH_SLOT_SIZE;
  const unit = Buffer.alloc(INDEX_SIZE);
  const slot = Buffer.alloc(HASH_SLOT_SIZE);
  await file.read(unit, unitsAt + INDEX_SIZE);
  if (readInt64(unit, 4) !== beginPhyOffset) return undefined;
  let right = 0;
  for (let number = last; number >= 1 && number > last - SAMPLES; number--) {
    await file.read(unit, unitsAt + number * INDEX_SIZE);
    const hash = readInt32(unit, 0);
    if (hash < 0) continue;
    await file.read(slot, INDEX_HEADER_SIZE + (hash % shape.slots) * HASH_SLOT_SIZE);
    const found = readInt32(slot, 0);
    if (found >= number && found <= last) right++;
  }
  return right;
}
