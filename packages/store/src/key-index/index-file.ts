import { dirname } from 'node:path';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import type { OpenMode, StoreFile } from '../base/file-system.ts';
import { failStore, failUnlessLack, toStoreError } from '../base/queue-failure.ts';
import {
  decodeIndexHeader,
  decodeIndexUnit,
  encodeIndexHeader,
  HASH_SLOT_SIZE,
  INDEX_HEADER_SIZE,
  INDEX_SIZE,
  type IndexHeader,
  type IndexUnit,
  indexFileSize,
} from './index-layout.ts';
import { IndexSlots } from './index-slots.ts';
import { IndexUnits } from './index-units.ts';

const MAX_INT32 = 0x7fff_ffff;
const READ_BYTES = 3_276 * INDEX_SIZE;
/** A flush syncs after this many bytes, so that the commit log's own syncs never queue behind 20 MB of slots. */
const SYNC_BYTES = 4 * 1024 * 1024;
/** Units read at once along a chain: a page of the disk. The chain of a tag has most of a file's units. */
const CHAIN_UNITS = 204;

/**
 * One index file (RocketMQ IndexFile); layout in index-layout.ts. The live one keeps its slots and its new units in
 * memory; a flush makes durable, in this order, each step synced before the next begins:
 *
 *   units → slots → header
 *
 * so at any moment the header on disk counts only units that are on disk, and a slot on disk points to a unit that is.
 * A crash between slots and header leaves slots that point past the header's count; the units they point to are there,
 * and activate() follows them back to the newest unit that counts. What it leads back is made durable before the units past
 * the count are written anew: a second crash would find other keys' units behind those slots, and no way back.
 */
export class IndexFile {
  readonly path: string;
  readonly hashSlotNum: number;
  readonly indexNum: number;
  readonly #context: StoreContext;
  readonly #header: IndexHeader;
  #units: IndexUnits;
  /** Only of a file that can still take keys or has some to flush. */
  #slots: IndexSlots | undefined;
  #file: Promise<StoreFile> | undefined;
  #onDisk: boolean;
  /** Its making has begun. */
  #mayBeOnDisk: boolean;
  /** indexCount of the header on disk. */
  #flushedCount: number;
  /** Slots were led back in memory; on disk they still point past the header's count. */
  #slotsRepaired = false;
  #isFinished = false;

  private constructor(context: StoreContext, path: string, header: IndexHeader, onDisk: boolean) {
    this.#context = context;
    this.path = path;
    this.hashSlotNum = context.config.maxHashSlotNum;
    this.indexNum = context.config.maxIndexNum;
    this.#header = header;
    this.#onDisk = onDisk;
    this.#mayBeOnDisk = onDisk;
    this.#flushedCount = onDisk ? header.indexCount : 1;
    this.#units = new IndexUnits(header.indexCount);
  }

  /** A new, empty file; on disk it appears with its first flush. It starts where its predecessor ends. */
  static create(context: StoreContext, path: string, endPhyOffset: number, endTimestamp: number): IndexFile {
    const header: IndexHeader = {
      beginTimestamp: endTimestamp,
      endTimestamp,
      beginPhyOffset: endPhyOffset,
      endPhyOffset,
      hashSlotCount: 0,
      indexCount: 1,
    };
    const file = new IndexFile(context, path, header, false);
    file.#slots = new IndexSlots(file.hashSlotNum);
    return file;
  }

  /**
   * Reads the header of an existing file; with `dropCache` from the disk and not from the page cache (recovery.md). Rejects
   * with STORE_FILE_SIZE_MISMATCH or STORE_READ_FAILED.
   */
  static async load(context: StoreContext, path: string, size: number, dropCache = false): Promise<IndexFile> {
    const expected = indexFileSize(context.config.maxHashSlotNum, context.config.maxIndexNum);
    if (size !== expected) {
      throw new StoreError(
        'STORE_FILE_SIZE_MISMATCH',
        `${path} has ${size} bytes, expected ${expected} (maxHashSlotNum ${context.config.maxHashSlotNum}, maxIndexNum ${context.config.maxIndexNum})`,
        { path, expected, found: size },
      );
    }
    const file = new IndexFile(context, path, decodeIndexHeader(new Uint8Array(INDEX_HEADER_SIZE)), true);
    try {
      if (dropCache) await file.#dropCache();
      const bytes = Buffer.alloc(INDEX_HEADER_SIZE);
      await file.#read(bytes, 0);
      const { indexCount } = Object.assign(file.#header, decodeIndexHeader(bytes));
      if (indexCount > file.indexNum) {
        throw new StoreError('STORE_DAMAGED', `${path}: indexCount ${indexCount}, expected at most ${file.indexNum}`, {
          path,
          expected: file.indexNum,
          found: indexCount,
        });
      }
      file.#flushedCount = indexCount;
      file.#units = new IndexUnits(indexCount);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get beginTimestamp(): number {
    return this.#header.beginTimestamp;
  }
  get endTimestamp(): number {
    return this.#header.endTimestamp;
  }
  get beginPhyOffset(): number {
    return this.#header.beginPhyOffset;
  }
  get endPhyOffset(): number {
    return this.#header.endPhyOffset;
  }
  get indexCount(): number {
    return this.#header.indexCount;
  }
  get hashSlotCount(): number {
    return this.#header.hashSlotCount;
  }
  get isWriteFull(): boolean {
    return this.#header.indexCount >= this.indexNum;
  }
  /** Nothing more will be filed: it is full, or has a successor. */
  get isComplete(): boolean {
    return this.isWriteFull || this.#isFinished;
  }
  /** Units that a crash would lose. */
  get unflushedCount(): number {
    return this.#header.indexCount - this.#flushedCount;
  }

  /** Adds one key, in memory. False when the file is full. Needs activate() after load(). */
  putKey(keyHash: number, phyOffset: number, storeTimestamp: number): boolean {
    const header = this.#header;
    const number = header.indexCount;
    if (number >= this.indexNum) return false;
    const slot = keyHash % this.hashSlotNum;
    const previous = this.#slots!.replace(slot, number);
    let timeDiff = 0;
    if (header.beginTimestamp > 0) {
      timeDiff = Math.trunc((storeTimestamp - header.beginTimestamp) / 1000);
      timeDiff = Math.min(MAX_INT32, Math.max(0, timeDiff));
    }
    this.#units.append(keyHash, phyOffset, timeDiff, previous);
    if (number <= 1) {
      header.beginPhyOffset = phyOffset;
      header.beginTimestamp = storeTimestamp;
    }
    if (previous === 0) header.hashSlotCount++;
    header.indexCount = number + 1;
    header.endPhyOffset = phyOffset;
    header.endTimestamp = storeTimestamp;
    return true;
  }

  /** It has a successor, full or not. */
  finish(): void {
    this.#isFinished = true;
    if (this.unflushedCount === 0 && !this.#slotsRepaired) this.#slots = undefined;
  }

  /** The file may hold records of [begin, end] (RocketMQ isTimeMatched). */
  isTimeMatched(begin: number, end: number): boolean {
    return begin <= this.#header.endTimestamp && end >= this.#header.beginTimestamp;
  }

  /**
   * Log offsets filed under the hash with a time in [begin, end], newest first (RocketMQ selectPhyOffset). Different keys
   * may share a hash: whoever asks compares the keys.
   */
  async *phyOffsets(keyHash: number, begin: number, end: number): AsyncGenerator<number, void, undefined> {
    const slot = keyHash % this.hashSlotNum;
    const chain = new ChainReader((number) => this.#unitsUpTo(number));
    let number = this.#slots ? this.#slots.get(slot) : await this.#readSlot(slot);
    let bound = this.#header.indexCount;
    while (number > 0 && number < bound) {
      const unit = this.#units.get(number) ?? (await chain.unit(number));
      if (unit.timeDiff < 0) return;
      const time = this.#header.beginTimestamp + unit.timeDiff * 1000;
      if (unit.keyHash === keyHash && time >= begin && time <= end) yield unit.phyOffset;
      if (time < begin) return;
      // A chain only leads to lower numbers; anything else is damage and must not make this loop for ever.
      bound = number;
      number = unit.previous;
    }
  }

  /**
   * Resolves when every key put before the call is *on disk*. A failure stops the store; a lack that may pass
   * (base/passing-lack.ts) rejects alone, and the call can be repeated. One call at a time.
   */
  async flush(): Promise<void> {
    const slots = this.#slots;
    const count = this.#header.indexCount;
    // What was led back in a file that gets no more keys is written without one: nobody leads it back again.
    const isWritten = count === this.#flushedCount && !(this.#isFinished && this.#slotsRepaired);
    if (slots === undefined || isWritten) return;
    const header = encodeIndexHeader(this.#header);
    let step = 'creating index file';
    try {
      if (!this.#onDisk) await this.#createOnDisk();
      const file = await this.#open();
      const write = pacedWrite(file);
      if (this.#slotsRepaired) {
        step = 'writing repaired slots of index file';
        await this.#writeSlots(slots, this.#flushedCount, write);
        await file.sync();
        this.#slotsRepaired = false;
      }
      step = 'writing units of index file';
      const unitsAt = this.#unitPosition(0);
      await this.#units.writeOut(count, (first, chunks) => write(chunks, unitsAt + first * INDEX_SIZE));
      await file.sync();
      step = 'writing slots of index file';
      await this.#writeSlots(slots, count, write);
      await file.sync();
      step = 'writing header of index file';
      await file.write(header, 0);
      await file.sync();
    } catch (error) {
      throw failUnlessLack(this.#context, 'STORE_FLUSH_FAILED', step, this.path, error);
    }
    this.#flushedCount = count;
    this.#units.release(count);
    if (this.isComplete && count === this.#header.indexCount) this.#slots = undefined;
  }

  /** Makes a loaded file take keys: reads the slots and repairs those that point past indexCount. */
  async activate(): Promise<void> {
    if (this.#slots !== undefined) return;
    const slots = new IndexSlots(this.hashSlotNum);
    await slots.load((bytes, firstSlot) => this.#read(bytes, INDEX_HEADER_SIZE + firstSlot * HASH_SLOT_SIZE));
    await this.#repairSlots(slots);
    this.#slots = slots;
  }

  /** Adds the hashes filed last, for the record at `phyOffset`. True when the file holds nothing else. */
  async collectNewest(phyOffset: number, hashes: Set<number>): Promise<boolean> {
    for (let number = this.#header.indexCount - 1; number > 0; number--) {
      const unit = await this.#unit(number);
      if (unit.phyOffset !== phyOffset) return false;
      hashes.add(unit.keyHash);
    }
    return true;
  }

  /**
   * Removes the units of records at or above `phyOffset`, durably. Recovery only. False when none would be left; the
   * caller then destroys the file.
   */
  async truncateDirty(phyOffset: number): Promise<boolean> {
    await this.activate();
    await this.flush();
    let low = 1;
    let high = this.#header.indexCount;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.#unit(middle)).phyOffset >= phyOffset) high = middle;
      else low = middle + 1;
    }
    if (low === 1) return false;
    const last = await this.#unit(low - 1);
    const header = this.#header;
    header.indexCount = low;
    header.endPhyOffset = last.phyOffset;
    // Units keep seconds only; the end may be up to one late, never early.
    header.endTimestamp = Math.min(header.endTimestamp, header.beginTimestamp + (last.timeDiff + 1) * 1000);
    this.#units = new IndexUnits(low);
    try {
      const file = await this.#open();
      // The header first: once units behind it are overwritten, the old count would take them for the old ones.
      await file.write(encodeIndexHeader(header), 0);
      await file.sync();
    } catch (error) {
      throw failStore(this.#context, 'STORE_FLUSH_FAILED', 'truncating index file', this.path, error);
    }
    this.#flushedCount = low;
    await this.#repairSlots(this.#slots!);
    return true;
  }

  async close(): Promise<void> {
    const opening = this.#file;
    this.#file = undefined;
    if (opening) await opening.then((file) => file.close()).catch(() => {});
  }

  async destroy(): Promise<void> {
    await this.close();
    this.#slots = undefined;
    if (!this.#mayBeOnDisk) return;
    try {
      await this.#context.fileSystem.remove(this.path);
    } catch (error) {
      throw toStoreError('STORE_WRITE_FAILED', 'removing index file', this.path, error);
    }
  }

  /** Writes the changed slots as they stood when the file had `count` units: newer ones are in memory and lead back. */
  async #writeSlots(slots: IndexSlots, count: number, write: PacedWrite): Promise<void> {
    const lead = (number: number): number => {
      let older = number;
      while (older >= count) older = this.#units.get(older)!.previous;
      return older;
    };
    await slots.writeOut(lead, count, (firstSlot, bytes) =>
      write([bytes], INDEX_HEADER_SIZE + firstSlot * HASH_SLOT_SIZE),
    );
  }

  /** Leads every slot that points at or past indexCount back to its newest unit that counts. */
  async #repairSlots(slots: IndexSlots): Promise<void> {
    const { indexCount } = this.#header;
    const highest = slots.highest();
    if (highest >= indexCount) this.#slotsRepaired = true;
    let end = Math.min(highest + 1, this.indexNum);
    while (end > indexCount) {
      const first = Math.max(indexCount, end - READ_BYTES / INDEX_SIZE);
      const bytes = Buffer.allocUnsafe((end - first) * INDEX_SIZE);
      await this.#read(bytes, this.#unitPosition(first));
      // Downwards: the previous unit of one that is taken off may be one to take off itself.
      for (let number = end - 1; number >= first; number--) {
        const unit = decodeIndexUnit(bytes, (number - first) * INDEX_SIZE);
        const slot = unit.keyHash % this.hashSlotNum;
        if (unit.keyHash < 0 || slots.get(slot) !== number) continue;
        slots.replace(slot, unit.previous >= 0 && unit.previous < number ? unit.previous : 0);
      }
      end = first;
    }
    this.#header.hashSlotCount = slots.clearAbove(indexCount - 1);
  }

  async #unit(number: number): Promise<IndexUnit> {
    const held = this.#units.get(number);
    if (held) return held;
    const bytes = Buffer.allocUnsafe(INDEX_SIZE);
    await this.#read(bytes, this.#unitPosition(number));
    return decodeIndexUnit(bytes, 0);
  }

  /** The unit and those in front of it, at most CHAIN_UNITS, read at once. */
  async #unitsUpTo(number: number): Promise<Buffer> {
    const count = Math.min(CHAIN_UNITS, number);
    const bytes = Buffer.allocUnsafe(count * INDEX_SIZE);
    await this.#read(bytes, this.#unitPosition(number - count + 1));
    return bytes;
  }

  async #readSlot(slot: number): Promise<number> {
    const bytes = Buffer.allocUnsafe(HASH_SLOT_SIZE);
    await this.#read(bytes, INDEX_HEADER_SIZE + slot * HASH_SLOT_SIZE);
    return bytes.readInt32BE(0);
  }

  #unitPosition(number: number): number {
    return INDEX_HEADER_SIZE + this.hashSlotNum * HASH_SLOT_SIZE + number * INDEX_SIZE;
  }

  async #read(target: Buffer, position: number): Promise<void> {
    try {
      const file = await this.#open();
      const count = await file.read(target, position);
      if (count !== target.length) throw new Error(`ends at ${position + count}, expected ${position + target.length}`);
    } catch (error) {
      throw toStoreError('STORE_READ_FAILED', 'reading index file', this.path, error);
    }
  }

  async #dropCache(): Promise<void> {
    try {
      const file = await this.#open();
      await file.sync();
      await file.dropCache(0, indexFileSize(this.hashSlotNum, this.indexNum));
    } catch (error) {
      throw toStoreError('STORE_READ_FAILED', 'syncing index file', this.path, error);
    }
  }

  #open(mode: OpenMode = 'write'): Promise<StoreFile> {
    if (this.#file === undefined) {
      const opening = this.#context.fileSystem.open(this.path, mode);
      this.#file = opening;
      opening.catch(() => {
        if (this.#file === opening) this.#file = undefined;
      });
    }
    return this.#file;
  }

  /**
   * Sparse, at its full size, its name durable before anything counts on it. May be called again when a lack interrupted
   * it: what the file has until then is no length anybody may count on.
   */
  async #createOnDisk(): Promise<void> {
    const { fileSystem, config } = this.#context;
    const directory = dirname(this.path);
    await fileSystem.makeDirectory(directory, config.storePathRootDir);
    this.#mayBeOnDisk = true;
    const file = await this.#open('create');
    await file.truncate(indexFileSize(this.hashSlotNum, this.indexNum));
    await fileSystem.syncDirectory(directory);
    await fileSystem.syncDirectory(config.storePathRootDir);
    this.#onDisk = true;
  }
}

/** Reads the units of a chain, which leads to lower and lower numbers, a block at a time. */
class ChainReader {
  readonly #readUpTo: (number: number) => Promise<Buffer>;
  #block: Buffer = Buffer.alloc(0);
  /** Number of the block's last unit. */
  #last = 0;

  constructor(readUpTo: (number: number) => Promise<Buffer>) {
    this.#readUpTo = readUpTo;
  }

  async unit(number: number): Promise<IndexUnit> {
    let at = this.#block.length - (this.#last - number + 1) * INDEX_SIZE;
    if (at < 0 || number > this.#last) {
      this.#block = await this.#readUpTo(number);
      this.#last = number;
      at = this.#block.length - INDEX_SIZE;
    }
    return decodeIndexUnit(this.#block, at);
  }
}

type PacedWrite = (chunks: readonly Buffer[], position: number) => Promise<void>;

function pacedWrite(file: StoreFile): PacedWrite {
  let unsynced = 0;
  return async (chunks, position) => {
    await file.write(chunks, position);
    for (const chunk of chunks) unsynced += chunk.length;
    if (unsynced < SYNC_BYTES) return;
    unsynced = 0;
    await file.sync();
  };
}
