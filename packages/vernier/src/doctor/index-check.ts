import * as fs from 'node:fs';
import {
  decodeIndexHeader,
  HASH_SLOT_SIZE,
  INDEX_HEADER_SIZE,
  INDEX_SIZE,
  type IndexHeader,
  propertyCrcOf,
  type RecordLayout,
  readInt32,
  readInt64,
  TRANSACTION_ROLLBACK_TYPE,
  transactionType,
} from '@vernier/store/internal';
import type { DamageBook } from './damage-book.ts';
import type { Findings, NewFinding } from './finding.ts';
import type { IndexShape } from './index-shape.ts';
import type { FoundRecord, LogReader } from './log-reader.ts';
import { readFully } from './log-walk.ts';
import { topicOf } from './queue-check.ts';
import { IndexHashes, type RecordFacts, RecordFactsReader } from './record-facts.ts';
import { type DataFile, type StoreLayout, shownPath } from './store-layout.ts';

const BLOCK_UNITS = 6_553;
const MAX_INT32 = 0x7fff_ffff;

export interface IndexCheckOptions {
  layout: StoreLayout;
  shape: IndexShape;
  findings: Findings;
  book: DamageBook;
  log: LogReader;
  completeBelow: number;
}

interface Unit {
  keyHash: number;
  phyOffset: number;
  timeDiff: number;
  previous: number;
}

/** One index file while its units are walked. Its slots are made anew beside, to be compared at the end: 20 MB. */
class IndexCursor {
  readonly file: DataFile;
  readonly header: IndexHeader;
  readonly headerBytes: Buffer;
  /** Number of the unit the cursor stands at. */
  number = 1;
  readonly slots: Int32Array;
  slotsUsed = 0;
  firstSeen: { phyOffset: number; storeTimestamp: number } | undefined;
  lastSeen: { phyOffset: number; storeTimestamp: number } | undefined;
  readonly unit: Unit = { keyHash: 0, phyOffset: 0, timeDiff: 0, previous: 0 };
  readonly #fd: number;
  readonly #unitsAt: number;
  readonly #block = Buffer.alloc(BLOCK_UNITS * INDEX_SIZE);
  #blockFrom = 0;
  #blockCount = 0;

  constructor(file: DataFile, shape: IndexShape) {
    this.file = file;
    this.#fd = fs.openSync(file.path, 'r');
    this.headerBytes = Buffer.alloc(INDEX_HEADER_SIZE);
    readFully(this.#fd, this.headerBytes, 0);
    this.header = decodeIndexHeader(this.headerBytes);
    this.#unitsAt = INDEX_HEADER_SIZE + shape.slots * HASH_SLOT_SIZE;
    this.slots = new Int32Array(shape.slots);
  }

  /** Byte of the file at which this unit begins. */
  place(number: number): number {
    return this.#unitsAt + number * INDEX_SIZE;
  }

  /** Loads the unit into `unit`; false when the file has no such place. */
  read(number: number): boolean {
    if (number < this.#blockFrom || number >= this.#blockFrom + this.#blockCount) {
      this.#blockFrom = number;
      this.#blockCount = Math.floor(readFully(this.#fd, this.#block, this.place(number)) / INDEX_SIZE);
      if (this.#blockCount === 0) return false;
    }
    const at = (number - this.#blockFrom) * INDEX_SIZE;
    const { unit } = this;
    unit.keyHash = readInt32(this.#block, at);
    unit.phyOffset = readInt64(this.#block, at + 4);
    unit.timeDiff = readInt32(this.#block, at + 12);
    unit.previous = readInt32(this.#block, at + 16);
    return true;
  }

  readSlots(first: number, target: Buffer): void {
    readFully(this.#fd, target, INDEX_HEADER_SIZE + first * HASH_SLOT_SIZE);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/**
 * Compares the index with the log, in step: units are filed in log order, so each record with keys must be met by its
 * units as the walk comes by. Chains and slots are made anew from the units and compared.
 */
export class IndexCheck {
  readonly #options: IndexCheckOptions;
  readonly #hashes = new IndexHashes();
  readonly #files: DataFile[];
  #next = 0;
  #cursor: IndexCursor | undefined;
  #previousEnd = 0;
  #beginPhy: number;
  /** The last record that was met by its units; what repeats after it are leftovers of a recovery. */
  #lastPhy = -1;
  #missing: { count: number; firstPhy: number; lastPhy: number } | undefined;
  units = 0;
  /** Entries for tags, as RocketMQ files them since 5.4. */
  tagEntries = 0;
  duplicates = 0;

  constructor(options: IndexCheckOptions) {
    this.#options = options;
    this.#files = [...options.layout.indexFiles];
    this.#open();
    // Records older than the index: it was switched on later, or its files have had their day.
    this.#beginPhy = this.#cursor?.read(1) ? this.#cursor.header.beginPhyOffset : 0;
    this.#skipExpired();
  }

  close(): void {
    this.#cursor?.close();
  }

  onRecord(topic: string, view: Buffer, record: RecordLayout, facts: RecordFacts): void {
    if (facts.uniqKey === '' && facts.keys === '' && facts.tags === '') return;
    if (transactionType(record.sysFlag) === TRANSACTION_ROLLBACK_TYPE) return;
    const hashes = this.#hashes.of(topic, facts);
    const phy = record.physicalOffset;
    for (let i = 0; i < hashes.length; i++) {
      if (this.#isMisplaced(phy, hashes[i]!)) {
        this.#take(this.#cursor!, record.storeTimestamp, hashes[i]!, phy);
        continue;
      }
      if (!this.#advanceTo(phy)) {
        this.#addMissing(phy, record.size);
        return;
      }
      const cursor = this.#cursor!;
      let hash = hashes[i]!;
      if (cursor.unit.keyHash !== hash) hash = this.#wrongHash(cursor, hash, { view, record });
      this.#take(cursor, record.storeTimestamp, hash, phy);
    }
    const { tagsHash } = this.#hashes;
    if (tagsHash >= 0) this.#takeTags(record.storeTimestamp, tagsHash, phy);
    this.#lastPhy = phy;
  }

  /** The next unit has the hash that is due, and leads elsewhere: reported, and true when its offset is what is wrong. */
  #isMisplaced(phy: number, hash: number): boolean {
    const cursor = this.#live();
    if (cursor === undefined || cursor.unit.phyOffset === phy || cursor.unit.keyHash !== hash) return false;
    const { unit, number } = cursor;
    if (this.#hasKey(unit.phyOffset, hash)) return false;
    this.#fault('index-entry', cursor, cursor.place(number) + 4, 8, {
      expected: String(phy),
      found: String(unit.phyOffset),
      message: `entry ${number} points to another place than its record`,
      logOffset: phy,
    });
    return true;
  }

  #hasKey(phy: number, hash: number): boolean {
    const found = phy < 0 || !Number.isSafeInteger(phy) ? undefined : this.#options.log.recordAt(phy);
    if (found === undefined) return false;
    const { record, view } = found;
    const own = new IndexHashes();
    const list = own.of(topicOf(view, record), new RecordFactsReader().read(view, record));
    return list.includes(hash) || own.tagsHash === hash;
  }

  /** The entry that newer releases file for the tags: there or not, depending on who stored the message. */
  #takeTags(storeTimestamp: number, tagsHash: number, phy: number): void {
    const cursor = this.#live();
    if (cursor === undefined || cursor.unit.phyOffset !== phy || cursor.unit.keyHash !== tagsHash) return;
    this.#take(cursor, storeTimestamp, tagsHash, phy);
    this.tagEntries++;
  }

  /** Brings the cursor to a unit of this record; false when there is none. */
  #advanceTo(phy: number): boolean {
    while (true) {
      const cursor = this.#live();
      if (cursor === undefined) return false;
      const { unit } = cursor;
      if (unit.phyOffset === phy) return true;
      if (unit.phyOffset > phy) {
        // Units rise with the log; one that is followed by a smaller one, and that fits here, is itself wrong.
        if (!this.#comesSoon(cursor, phy)) {
          if (this.#isZeroUnit(cursor) || !this.#nextIsSmaller(cursor, phy)) return false;
        }
        this.#strayUnit(cursor);
      } else {
        this.#strayUnit(cursor);
      }
      this.#step(cursor);
    }
  }

  /** The cursor on a unit that counts, over the end of files; undefined behind the last one. */
  #live(): IndexCursor | undefined {
    while (this.#cursor !== undefined) {
      const cursor = this.#cursor;
      if (cursor.number < cursor.header.indexCount && cursor.read(cursor.number)) return cursor;
      if (this.#next >= this.#files.length) return undefined;
      this.#closeFile(cursor);
      this.#open();
    }
    return undefined;
  }

  #comesSoon(cursor: IndexCursor, phy: number): boolean {
    const { number } = cursor;
    for (let ahead = 1; ahead <= 4; ahead++) {
      if (number + ahead >= cursor.header.indexCount || !cursor.read(number + ahead)) break;
      if (cursor.unit.phyOffset === phy) {
        cursor.read(number);
        return true;
      }
    }
    cursor.read(number);
    return false;
  }

  /** The unit's successors lie before it and not before this record: then the unit is the wrong one. */
  #nextIsSmaller(cursor: IndexCursor, phy: number): boolean {
    const { number, unit } = cursor;
    const own = unit.phyOffset;
    let smaller = false;
    if (number + 1 < cursor.header.indexCount && cursor.read(number + 1)) {
      smaller = cursor.unit.phyOffset < own && cursor.unit.phyOffset >= phy;
    }
    cursor.read(number);
    return smaller;
  }

  #isZeroUnit({ unit }: IndexCursor): boolean {
    return unit.keyHash === 0 && unit.phyOffset === 0 && unit.timeDiff === 0 && unit.previous === 0;
  }

  /** A unit that no record met. It may repeat one that was met before, as a recovery leaves them. */
  #strayUnit(cursor: IndexCursor): void {
    const { unit, number } = cursor;
    const { book, log, layout } = this.#options;
    const phy = unit.phyOffset;
    if (phy >= 0 && phy < (layout.logFiles[0]?.from ?? 0)) return;
    if (book.find(phy) !== undefined) return;
    if (phy <= this.#lastPhy && this.#hasKey(phy, unit.keyHash)) {
      this.duplicates++;
      return;
    }
    const found = phy < 0 || !Number.isSafeInteger(phy) ? undefined : log.recordAt(phy);
    const text = `entry ${number} points to ${found === undefined ? `${phy}, where no record starts` : `the record at ${phy}, which has no such key`}`;
    if (found !== undefined) {
      const properties = this.#propertiesOf(found);
      const unit = this.#hashPlace(cursor);
      // The chain was made with this hash, so the record had the key: its properties were changed since.
      const recordIsWrong = this.#fitsChain(cursor, cursor.unit.keyHash) && !isChecked(found);
      this.#options.findings.fault({
        kind: recordIsWrong ? 'log-field' : 'index-entry',
        ...(recordIsWrong ? properties : { ...unit, length: INDEX_SIZE }),
        expected: recordIsWrong ? `a key of hash ${cursor.unit.keyHash}` : `a record after ${this.#lastPhy}`,
        found: recordIsWrong ? 'none' : String(phy),
        message: text,
        logOffset: phy,
        ...(isChecked(found) ? {} : { orElse: recordIsWrong ? unit : properties }),
      });
      return;
    }
    this.#fault('index-entry', cursor, cursor.place(number), INDEX_SIZE, {
      expected: `a record after ${this.#lastPhy}`,
      found: String(phy),
      message: text,
      ...(phy >= 0 && Number.isSafeInteger(phy) ? { logOffset: phy } : {}),
    });
  }

  #propertiesOf({ record }: FoundRecord): { file: string; offset: number; length: number } {
    const file = this.#options.log.fileAt(record.physicalOffset)!;
    return {
      file: shownPath(this.#options.layout.root, file.path),
      offset: record.physicalOffset - file.from + record.propertiesAt - record.at,
      length: record.propertiesLength,
    };
  }

  #hashPlace(cursor: IndexCursor): { file: string; offset: number; length: number } {
    const file = shownPath(this.#options.layout.root, cursor.file.path);
    return { file, offset: cursor.place(cursor.number), length: 4 };
  }

  /** The unit leads on to the newest one of the slot that this hash belongs to. */
  #fitsChain({ slots, unit }: IndexCursor, hash: number): boolean {
    return hash >= 0 && slots[hash % slots.length] === unit.previous;
  }

  /** Entry and record disagree about the key; the chain tells which is right. Answers the hash that is. */
  #wrongHash(cursor: IndexCursor, expected: number, found: FoundRecord): number {
    const { unit, number } = cursor;
    const phy = found.record.physicalOffset;
    const inLog = this.#propertiesOf(found);
    const inIndex = this.#hashPlace(cursor);
    const entryIsRight =
      this.#fitsChain(cursor, unit.keyHash) && !this.#fitsChain(cursor, expected) && !isChecked(found);
    this.#options.findings.fault({
      kind: entryIsRight ? 'log-field' : 'index-entry',
      ...(entryIsRight ? inLog : inIndex),
      expected: String(entryIsRight ? unit.keyHash : expected),
      found: String(entryIsRight ? expected : unit.keyHash),
      message: entryIsRight
        ? `the record at ${phy} has another key than entry ${number} of the index was made from`
        : `entry ${number} has another hash than the keys of its record at ${phy}`,
      logOffset: phy,
      orElse: entryIsRight ? inIndex : inLog,
    });
    return entryIsRight ? unit.keyHash : expected;
  }

  /** Checks time and chain of the unit that the record has met, and goes on. */
  #take(cursor: IndexCursor, storeTimestamp: number, keyHash: number, phy: number): void {
    const { unit, number, header } = cursor;
    const expected = timeDiffOf(storeTimestamp, header.beginTimestamp);
    // The first unit of a file is timed before the file has its own begin: from the end of the file before.
    const ofPrevious = timeDiffOf(storeTimestamp, this.#previousEnd);
    const ofFirst = number === 1 && (unit.timeDiff === 0 || this.#previousEnd === 0 || unit.timeDiff === ofPrevious);
    const begin = cursor.firstSeen?.storeTimestamp ?? -1;
    // Header and first record both name the begin; when they differ, that is reported once and not for each entry.
    const byFirst = begin >= 0 && unit.timeDiff === timeDiffOf(storeTimestamp, begin);
    if (unit.timeDiff !== expected && !ofFirst && !byFirst) {
      const file = this.#options.log.fileAt(phy)!;
      this.#fault('index-entry', cursor, cursor.place(number) + 12, 4, {
        expected: String(expected),
        found: String(unit.timeDiff),
        message: `entry ${number} has another time than its record at ${phy}`,
        logOffset: phy,
        orElse: { file: shownPath(this.#options.layout.root, file.path), offset: phy - file.from + 56, length: 20 },
      });
    }
    cursor.firstSeen ??= { phyOffset: phy, storeTimestamp };
    if (cursor.lastSeen === undefined) cursor.lastSeen = { phyOffset: phy, storeTimestamp };
    else {
      cursor.lastSeen.phyOffset = phy;
      cursor.lastSeen.storeTimestamp = storeTimestamp;
    }
    this.#chain(cursor, keyHash);
    cursor.number++;
    this.units++;
  }

  #chain(cursor: IndexCursor, keyHash: number): void {
    const { unit, number, slots } = cursor;
    const slot = keyHash % slots.length;
    const before = slots[slot]!;
    if (before === 0) cursor.slotsUsed++;
    if (unit.previous !== before) {
      this.#fault('index-entry', cursor, cursor.place(number) + 16, 4, {
        expected: String(before),
        found: String(unit.previous),
        message: `entry ${number} leads on to a wrong entry of its slot`,
      });
    }
    slots[slot] = number;
  }

  /** Over a unit that no record met; it is part of its chain all the same. */
  #step(cursor: IndexCursor): void {
    const { unit } = cursor;
    if (this.#options.book.find(unit.phyOffset) !== undefined) {
      // The record is damaged, and with it its time; the header counts it all the same.
      cursor.firstSeen ??= { phyOffset: unit.phyOffset, storeTimestamp: -1 };
      cursor.lastSeen = { phyOffset: unit.phyOffset, storeTimestamp: -1 };
    }
    if (unit.keyHash >= 0 && !this.#isZeroUnit(cursor)) {
      const slot = unit.keyHash % cursor.slots.length;
      if (cursor.slots[slot] === 0) cursor.slotsUsed++;
      cursor.slots[slot] = cursor.number;
    }
    cursor.number++;
    this.units++;
  }

  #addMissing(phy: number, size: number): void {
    if (phy < this.#beginPhy || phy + size > this.#options.completeBelow) return;
    if (this.#missing === undefined) this.#missing = { count: 1, firstPhy: phy, lastPhy: phy };
    else {
      this.#missing.count++;
      this.#missing.lastPhy = phy;
    }
  }

  set completeBelow(offset: number) {
    this.#options.completeBelow = offset;
  }

  /** After the walk. `logEnd`: end of the log. */
  finish(logEnd: number): void {
    for (let cursor = this.#live(); cursor !== undefined; cursor = this.#live()) {
      const { unit } = cursor;
      if (this.#isZeroUnit(cursor)) break;
      if (unit.phyOffset < logEnd) this.#strayUnit(cursor);
      else if (this.#options.layout.state === 'clean') this.#strayUnit(cursor);
      this.#step(cursor);
    }
    if (this.#cursor !== undefined) this.#closeFile(this.#cursor);
    this.#cursor = undefined;
    const missing = this.#missing;
    if (missing !== undefined) {
      const last = this.#options.layout.indexFiles.at(-1)!;
      this.#options.findings.fault({
        kind: 'index-missing-entry',
        file: shownPath(this.#options.layout.root, last.path),
        offset: 0,
        length: 0,
        expected: `entries of ${missing.count} records`,
        found: 'none',
        message: `${missing.count} records from ${missing.firstPhy} to ${missing.lastPhy} are not found by their keys`,
        logOffset: missing.firstPhy,
      });
    }
    if (this.duplicates > 0) {
      const last = this.#options.layout.indexFiles.at(-1)!;
      this.#options.findings.note({
        kind: 'index-entry',
        file: shownPath(this.#options.layout.root, last.path),
        offset: 0,
        length: 0,
        expected: '',
        found: '',
        message: `${this.duplicates} entries are there twice, as a recovery leaves them; queries answer such a message twice`,
      });
    }
  }

  #open(): void {
    this.#cursor = undefined;
    const file = this.#files[this.#next++];
    if (file === undefined) return;
    const { shape } = this.#options;
    this.#cursor = new IndexCursor(file, shape);
    const { header } = this.#cursor;
    if (header.indexCount > shape.units || header.indexCount < 1) {
      this.#headerFault(this.#cursor, 36, 4, `1 to ${shape.units}`, String(header.indexCount), 'the number of entries');
      header.indexCount = Math.min(shape.units, Math.max(1, header.indexCount));
    }
  }

  /** Units of records whose log files are gone. */
  #skipExpired(): void {
    const minOffset = this.#options.layout.logFiles[0]?.from ?? 0;
    for (let cursor = this.#live(); cursor !== undefined; cursor = this.#live()) {
      if (cursor.unit.phyOffset >= minOffset) break;
      cursor.firstSeen ??= { phyOffset: cursor.unit.phyOffset, storeTimestamp: cursor.header.beginTimestamp };
      cursor.lastSeen = { phyOffset: cursor.unit.phyOffset, storeTimestamp: -1 };
      this.#step(cursor);
    }
  }

  /** All units of a file have been walked: its header and its slots. */
  #closeFile(cursor: IndexCursor): void {
    const { header, firstSeen, lastSeen, number } = cursor;
    const live = this.#options.layout.state !== 'clean';
    if (number < header.indexCount && !live) {
      this.#headerFault(cursor, 36, 4, String(number), String(header.indexCount), 'the number of entries');
    }
    if (number === header.indexCount && !live && cursor.read(number) && !this.#isZeroUnit(cursor)) {
      const { phyOffset } = cursor.unit;
      if (phyOffset >= header.beginPhyOffset && this.#options.log.recordAt(phyOffset) !== undefined) {
        this.#headerFault(cursor, 36, 4, `more than ${number}`, String(number), 'the number of entries');
      }
    }
    if (firstSeen !== undefined && firstSeen.storeTimestamp >= 0) {
      if (firstSeen.phyOffset !== header.beginPhyOffset) {
        this.#headerFault(
          cursor,
          16,
          8,
          String(firstSeen.phyOffset),
          String(header.beginPhyOffset),
          'the first offset',
        );
      }
      if (firstSeen.storeTimestamp !== header.beginTimestamp) {
        this.#headerFault(
          cursor,
          0,
          8,
          String(firstSeen.storeTimestamp),
          String(header.beginTimestamp),
          'the first time',
        );
      }
    }
    if (!live && lastSeen !== undefined) {
      if (lastSeen.phyOffset !== header.endPhyOffset) {
        this.#headerFault(cursor, 24, 8, String(lastSeen.phyOffset), String(header.endPhyOffset), 'the last offset');
      }
      // A recovery that cut the file knows seconds only.
      const apart = Math.abs(lastSeen.storeTimestamp - header.endTimestamp);
      if (lastSeen.storeTimestamp >= 0 && apart > 1_000) {
        this.#headerFault(cursor, 8, 8, String(lastSeen.storeTimestamp), String(header.endTimestamp), 'the last time');
      }
    }
    // Releases before 4.8 count every entry; nothing reads the number.
    if (!live && header.hashSlotCount !== cursor.slotsUsed && header.hashSlotCount !== number - 1) {
      this.#options.findings.note({
        kind: 'index-header',
        file: shownPath(this.#options.layout.root, cursor.file.path),
        offset: 32,
        length: 4,
        expected: String(cursor.slotsUsed),
        found: String(header.hashSlotCount),
        message: 'the header counts other slots in use than there are; nothing reads that number',
      });
    }
    this.#compareSlots(cursor, live);
    this.#previousEnd = header.endTimestamp;
    cursor.close();
  }

  #compareSlots(cursor: IndexCursor, live: boolean): void {
    const bytes = Buffer.allocUnsafe(262_144 * HASH_SLOT_SIZE);
    const { slots, header } = cursor;
    for (let first = 0; first < slots.length; first += 262_144) {
      const count = Math.min(262_144, slots.length - first);
      cursor.readSlots(first, bytes.subarray(0, count * HASH_SLOT_SIZE));
      for (let i = 0; i < count; i++) {
        const found = readInt32(bytes, i * HASH_SLOT_SIZE);
        const expected = slots[first + i]!;
        if (found === expected) continue;
        // Behind what the header counted when the file was opened: a live broker went on, or a crash came in between.
        if (live && found >= header.indexCount) continue;
        const unused = expected === 0 && (found >= header.indexCount || found < 0);
        const finding = {
          expected: String(expected),
          found: String(found),
          message: `slot ${first + i} leads to entry ${found}${unused ? ', which is none: readers stop there' : ''}`,
        };
        const at = INDEX_HEADER_SIZE + (first + i) * HASH_SLOT_SIZE;
        this.#fault('index-slot', cursor, at, HASH_SLOT_SIZE, finding);
      }
    }
  }

  #headerFault(
    cursor: IndexCursor,
    offset: number,
    length: number,
    expected: string,
    found: string,
    what: string,
  ): void {
    const message = `the header is wrong about ${what}`;
    this.#fault('index-header', cursor, offset, length, { expected, found, message });
  }

  #fault(
    kind: NewFinding['kind'],
    cursor: IndexCursor,
    offset: number,
    length: number,
    more: Pick<NewFinding, 'expected' | 'found' | 'message' | 'logOffset' | 'orElse'>,
  ): void {
    const file = shownPath(this.#options.layout.root, cursor.file.path);
    this.#options.findings.fault({ kind, file, offset, length, ...more });
  }
}

/** A checksum covers the properties too, so what they say is what the broker stored. */
function isChecked({ view, record }: FoundRecord): boolean {
  return propertyCrcOf(view, record.at, record.size) !== undefined;
}

/** RocketMQ IndexFile.putKey: whole seconds from the file's begin, none when that is not known. */
function timeDiffOf(storeTimestamp: number, beginTimestamp: number): number {
  if (beginTimestamp <= 0) return 0;
  return Math.min(MAX_INT32, Math.max(0, Math.trunc((storeTimestamp - beginTimestamp) / 1000)));
}
