/**
 * One simulated file: what reads see (volatile) and what a power cut leaves (durable), in sectors of 512 bytes.
 * A sector is dirty from the write until a sync that began after it has ended. The length is dirty likewise.
 *
 * A page whose first write-back failed is lost: as on ext4, whose blocks are reserved as unwritten and count as written
 * once a write-back has succeeded. The page in the cache does not know that this one did not. Whatever is written to it
 * later is reported as synced and read as zeros after a power cut, until the page has left the cache.
 */
export const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;
const PAGE_SECTORS = PAGE_BYTES / SECTOR_BYTES;

/** Sectors that get to the disk in part, of all that are dirty: drives promise whole ones, nobody should rely on it. */
const TORN_SECTOR_RATE = 0.02;
/**
 * A torn sector lacks at least so many bytes at its end: more than a record's head is long. Of a head that lacks a few
 * bytes in its middle nothing would tell; a drive answers for such a sector with a read error, not with half of it.
 */
const TORN_BYTES_MIN = 128;

/** What a power cut does to what was not synced; how often, by default, as if a coin were thrown for each sector. */
export interface CrashOptions {
  /** Sectors that share one fate: 1 (default), or 8 for whole pages. */
  sectorsTogether?: number;
  /** Share of what is dirty that got to the disk by itself; default 0.5. */
  survival?: number;
  /** Whether a sector may be torn; default true. */
  torn?: boolean;
}

/** A small seeded generator (mulberry32): the same seed, the same crash. Returns numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What a sync that has begun will make durable when it ends. */
export interface SyncSnapshot {
  sectors: Map<number, { version: number; bytes: Buffer }>;
  size: number;
}

export class Inode {
  content = Buffer.alloc(0);
  size = 0;
  durableContent = Buffer.alloc(0);
  durableSize = 0;
  mtimeMs: number;
  /** Sector number → version of its last write; versions only grow. */
  readonly #dirty = new Map<number, number>();
  /** Sector number → version that is on disk: a slow sync must not bring back what was there before a faster one. */
  readonly #onDisk = new Map<number, number>();
  #version = 0;
  /** Pages of which something is on disk, and those that are lost (above). */
  #written = new Set<number>();
  readonly #lost = new Set<number>();

  constructor(mtimeMs: number) {
    this.mtimeMs = mtimeMs;
  }

  get dirtySectorCount(): number {
    return this.#dirty.size;
  }

  write(data: Uint8Array, position: number): void {
    this.#ensure(position + data.length);
    this.content.set(data, position);
    this.size = Math.max(this.size, position + data.length);
    this.#touch(position, data.length);
  }

  zero(position: number, length: number): void {
    this.#forgetPages(position, length);
    this.#ensure(position + length);
    this.content.fill(0, position, position + length);
    this.#touch(position, length);
  }

  resize(length: number): void {
    this.#ensure(length);
    // What was cut off must not come back when the file grows again.
    if (length < this.size) this.zero(length, this.size - length);
    this.size = length;
  }

  /**
   * Whole pages without a dirty sector show what the disk has; the file's last one is whole when the range ends with it
   * (mm/fadvise.c).
   */
  dropCache(position: number, length: number): void {
    const toEnd = position + length >= this.size;
    const { firstPage, endPage } = pagesWithin(position, toEnd ? this.size + PAGE_BYTES - 1 - position : length);
    for (let page = firstPage; page < endPage; page++) {
      const first = page * PAGE_SECTORS;
      let isClean = true;
      for (let sector = first; sector < first + PAGE_SECTORS; sector++) isClean &&= !this.#dirty.has(sector);
      if (!isClean) continue;
      const end = (page + 1) * PAGE_BYTES;
      this.#ensure(end);
      this.durableContent = grown(this.durableContent, end);
      this.content.set(this.durableContent.subarray(page * PAGE_BYTES, end), page * PAGE_BYTES);
      this.#lost.delete(page);
    }
  }

  /** Zeroing a whole page, or cutting it off, takes it out of the cache. */
  #forgetPages(position: number, length: number): void {
    const { firstPage, endPage } = pagesWithin(position, length);
    for (let page = firstPage; page < endPage; page++) this.#lost.delete(page);
  }

  #lose(sector: number): void {
    const page = Math.floor(sector / PAGE_SECTORS);
    if (!this.#written.has(page)) this.#lost.add(page);
  }

  beginSync(): SyncSnapshot {
    const sectors: SyncSnapshot['sectors'] = new Map();
    for (const [sector, version] of this.#dirty) {
      const bytes = Buffer.from(this.content.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
      sectors.set(sector, { version, bytes });
    }
    return { sectors, size: this.size };
  }

  endSync(snapshot: SyncSnapshot): void {
    for (const [sector, { version, bytes }] of snapshot.sectors) {
      this.#setDurable(sector, bytes, version);
      if (this.#dirty.get(sector) === version) this.#dirty.delete(sector);
    }
    this.durableSize = snapshot.size;
  }

  /** What an O_DSYNC write leaves: the sectors of its range, whole, and the length if it grew. */
  syncRange(from: number, to: number): void {
    for (let sector = Math.floor(from / SECTOR_BYTES); sector * SECTOR_BYTES < to; sector++) {
      const end = (sector + 1) * SECTOR_BYTES;
      this.#setDurable(sector, this.content.subarray(sector * SECTOR_BYTES, end), this.#dirty.get(sector));
      this.#dirty.delete(sector);
    }
    this.durableSize = Math.max(this.durableSize, Math.min(this.size, to));
  }

  /** As Linux after a failed fsync: the pages count as clean, the disk has the old bytes, a later sync succeeds. */
  failSync(snapshot: SyncSnapshot, partial = 0): void {
    let left = Math.floor(snapshot.sectors.size * partial);
    for (const [sector, { version, bytes }] of snapshot.sectors) {
      if (left-- > 0) this.#setDurable(sector, bytes, version);
      else this.#lose(sector);
      if (this.#dirty.get(sector) === version) this.#dirty.delete(sector);
    }
  }

  /** As failSync, of an O_DSYNC write of [from, to): the whole sectors below `got` are on disk, nothing counts as dirty. */
  failRange(from: number, got: number, to: number): void {
    for (let sector = Math.floor(from / SECTOR_BYTES); sector * SECTOR_BYTES < to; sector++) {
      const end = (sector + 1) * SECTOR_BYTES;
      if (end <= got) {
        this.#setDurable(sector, this.content.subarray(sector * SECTOR_BYTES, end), this.#dirty.get(sector));
      } else this.#lose(sector);
      this.#dirty.delete(sector);
    }
  }

  /** What is left after a power cut: of each dirty sector (there, not there, or torn), and of the length, `random` decides. */
  afterCrash(random: () => number, mtimeMs: number, options: CrashOptions = {}): Inode {
    const { sectorsTogether = 1, survival = 0.5, torn = true } = options;
    const left = new Inode(mtimeMs);
    left.durableContent = Buffer.from(this.durableContent);
    left.#written = new Set(this.#written);
    const fates = new Map<number, number>();
    for (const sector of this.#dirty.keys()) {
      if (this.#lost.has(Math.floor(sector / PAGE_SECTORS))) continue;
      const group = Math.floor(sector / sectorsTogether);
      const fate = fates.get(group) ?? random();
      if (sectorsTogether > 1) fates.set(group, fate);
      if (fate < 1 - survival) continue;
      const bytes = Buffer.from(this.content.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
      if (torn && fate < 1 - survival + TORN_SECTOR_RATE) {
        left.durableContent = grown(left.durableContent, (sector + 1) * SECTOR_BYTES);
        const from = Math.floor(random() * (SECTOR_BYTES - TORN_BYTES_MIN + 1));
        left.durableContent.copy(bytes, from, sector * SECTOR_BYTES + from, (sector + 1) * SECTOR_BYTES);
      }
      left.#setDurable(sector, bytes);
    }
    left.durableSize = this.size !== this.durableSize && random() < 0.5 ? this.size : this.durableSize;
    left.durableContent = grown(left.durableContent, left.durableSize);
    left.durableContent.fill(0, left.durableSize);
    left.content = Buffer.from(left.durableContent);
    left.size = left.durableSize;
    return left;
  }

  #ensure(length: number): void {
    this.content = grown(this.content, length);
  }

  #setDurable(sector: number, bytes: Uint8Array, version = 0): void {
    if (version < (this.#onDisk.get(sector) ?? 0)) return;
    this.#onDisk.set(sector, version);
    const page = Math.floor(sector / PAGE_SECTORS);
    if (this.#lost.has(page)) return;
    this.#written.add(page);
    this.durableContent = grown(this.durableContent, (sector + 1) * SECTOR_BYTES);
    this.durableContent.set(bytes, sector * SECTOR_BYTES);
  }

  #touch(position: number, length: number): void {
    if (length === 0) return;
    this.#version++;
    const last = Math.floor((position + length - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector <= last; sector++) {
      this.#dirty.set(sector, this.#version);
    }
  }
}

/** The pages that lie whole in [position, position + length). */
function pagesWithin(position: number, length: number): { firstPage: number; endPage: number } {
  return { firstPage: Math.ceil(position / PAGE_BYTES), endPage: Math.floor((position + length) / PAGE_BYTES) };
}

/** At least `length` bytes in whole sectors, zeros behind what was there. */
function grown(buffer: Buffer<ArrayBuffer>, length: number): Buffer<ArrayBuffer> {
  if (buffer.length >= length) return buffer;
  const wanted = Math.max(length, Math.min(buffer.length * 2, buffer.length + 4 * 1024 * 1024));
  const larger = Buffer.alloc(Math.ceil(wanted / SECTOR_BYTES) * SECTOR_BYTES);
  larger.set(buffer);
  return larger;
}
