import * as fs from 'node:fs';
import {
  decodeIndexHeader,
  HASH_SLOT_SIZE,
  INDEX_HEADER_SIZE,
  INDEX_SIZE,
  indexFileSize,
  readInt32,
  readInt64,
} from '@vernier/store/internal';
import { readFully } from './log-walk.ts';
import type { DataFile } from './store-layout.ts';

/** maxHashSlotNum and maxIndexNum of an index file. */
export interface IndexShape {
  slots: number;
  units: number;
}

const DEFAULT: IndexShape = { slots: 5_000_000, units: 20_000_000 };
const SEARCH_BYTES = 1024 * 1024;

/**
 * Slots and units of the index files. Their size alone leaves many pairs; RocketMQ's own is tried first, then the place
 * of the newest unit is looked for, whose offset the header names. `given`: what the configuration says. Undefined when
 * no file tells.
 */
export function indexShapeOf(files: readonly DataFile[], given: Partial<IndexShape>): IndexShape | undefined {
  for (const { path, size } of files) {
    if (given.slots !== undefined && given.units !== undefined) {
      return indexFileSize(given.slots, given.units) === size ? (given as IndexShape) : undefined;
    }
    if (given.slots !== undefined) return shapeWith(given.slots, size);
    if (size === indexFileSize(DEFAULT.slots, DEFAULT.units)) return DEFAULT;
    const found = searchShape(path, size);
    if (found !== undefined) return found;
  }
  return undefined;
}

function shapeWith(slots: number, size: number): IndexShape | undefined {
  const rest = size - INDEX_HEADER_SIZE - slots * HASH_SLOT_SIZE;
  return slots > 0 && rest > 0 && rest % INDEX_SIZE === 0 ? { slots, units: rest / INDEX_SIZE } : undefined;
}

function searchShape(path: string, size: number): IndexShape | undefined {
  const fd = fs.openSync(path, 'r');
  try {
    const head = Buffer.alloc(INDEX_HEADER_SIZE);
    if (readFully(fd, head, 0) < head.length) return undefined;
    const { beginPhyOffset, endPhyOffset, indexCount } = decodeIndexHeader(head);
    const last = indexCount - 1;
    if (last < 1) return undefined;
    const wanted = head.subarray(24, 32);
    // The newest unit's offset field lies at 40 + 4 × slots + 20 × last + 4.
    const first = INDEX_HEADER_SIZE + HASH_SLOT_SIZE + last * INDEX_SIZE + 4;
    const view = Buffer.alloc(SEARCH_BYTES + 8);
    for (let from = first; from < size; from += SEARCH_BYTES) {
      const read = readFully(fd, view, from);
      for (let at = view.indexOf(wanted); at >= 0 && at + 8 <= read; at = view.indexOf(wanted, at + 1)) {
        const slotBytes = from + at - 4 - last * INDEX_SIZE - INDEX_HEADER_SIZE;
        if (slotBytes % HASH_SLOT_SIZE !== 0) continue;
        const shape = shapeWith(slotBytes / HASH_SLOT_SIZE, size);
        if (shape !== undefined && shape.units > last && fits(fd, shape, last, beginPhyOffset, endPhyOffset))
          return shape;
      }
    }
    return undefined;
  } finally {
    fs.closeSync(fd);
  }
}

/** First and last unit are where they should be, and the last one's slot leads to it. */
function fits(fd: number, shape: IndexShape, last: number, beginPhyOffset: number, endPhyOffset: number): boolean {
  const unitsAt = INDEX_HEADER_SIZE + shape.slots * HASH_SLOT_SIZE;
  const unit = Buffer.alloc(INDEX_SIZE);
  const slot = Buffer.alloc(HASH_SLOT_SIZE);
  readFully(fd, unit, unitsAt + INDEX_SIZE);
  if (readInt64(unit, 4) !== beginPhyOffset) return false;
  readFully(fd, unit, unitsAt + last * INDEX_SIZE);
  if (readInt64(unit, 4) !== endPhyOffset) return false;
  const hash = readInt32(unit, 0);
  if (hash < 0) return false;
  readFully(fd, slot, INDEX_HEADER_SIZE + (hash % shape.slots) * HASH_SLOT_SIZE);
  return readInt32(slot, 0) >= last;
}
