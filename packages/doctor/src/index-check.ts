import type { IndexShape } from '@vernier/store/internal';
import {
  INDEX_SIZE,
  propertyCrcOf,
  type RecordLayout,
  TRANSACTION_ROLLBACK_TYPE,
  transactionType,
} from '@vernier/store/internal';
import type { DamageBook } from './damage-book.ts';
import type { Findings, NewFinding } from './finding.ts';
import { IndexCursor } from './index-cursor.ts';
import { IndexFileCheck } from './index-file-check.ts';
import type { FoundRecord, LogReader } from './log-reader.ts';
import { IndexHashes, type RecordFacts, RecordFactsReader, topicOf } from './record-facts.ts';
import { type DataFile, type StoreLayout, shownPath } from './store-layout.ts';

const MAX_INT32 = 0x7fff_ffff;

/** Records with keys that the index does not have. */
interface MissingKeys {
  count: number;
  firstPhy: number;
  lastPhy: number;
}

export interface IndexCheckOptions {
  layout: StoreLayout;
  shape: IndexShape;
  findings: Findings;
  book: DamageBook;
  log: LogReader;
  completeBelow: number;
}

/**
 * Compares the index with the log, in step: units are filed in log order, so each record with keys must be met by its
 * units as the walk comes by. Chains and slots are made anew from the units and compared.
 */
export class IndexCheck {
  readonly #options: IndexCheckOptions;
  readonly #ends: IndexFileCheck;
  readonly #hashes = new IndexHashes();
  readonly #files: DataFile[];
  #next = 0;
  #cursor: IndexCursor | undefined;
  #previousEnd = 0;
  #beginPhy: number;
  /** The last record that was met by its units; what repeats after it are leftovers of a recovery. */
  #lastPhy = -1;
  #missing: MissingKeys | undefined;
  /** Records in front of everything that the index has. */
  #older: MissingKeys | undefined;
  units = 0;
  duplicates = 0;

  constructor(options: IndexCheckOptions) {
    this.#options = options;
    this.#ends = new IndexFileCheck(options);
    this.#files = [...options.layout.indexFiles];
    this.#open();
    // Index files have had their day when the log of their records has: older records have lost theirs, or never had one.
    this.#beginPhy = this.#cursor?.read(1) ? this.#cursor.header.beginPhyOffset : 0;
    this.#skipExpired();
  }

  close(): void {
    this.#cursor?.close();
  }

  onRecord(topic: string, view: Buffer, record: RecordLayout, facts: RecordFacts): void {
    if (facts.uniqKey === '' && facts.keys === '' && facts.tags === '') return;
    if (transactionType(record.sysFlag) === TRANSACTION_ROLLBACK_TYPE) return;
    const hashes = this.#hashes;
    hashes.of(topic, facts);
    const phy = record.physicalOffset;
    for (let i = 0; i < hashes.count; i++) {
      if (this.#isMisplaced(phy, hashes.list[i]!)) {
        this.#take(this.#cursor!, record.storeTimestamp, hashes.list[i]!, phy);
        continue;
      }
      if (!this.#advanceTo(phy)) {
        this.#addMissing(phy, record.size);
        return;
      }
      if (i > 0 && !this.#passRepeated(record, hashes.list[i]!, i)) {
        this.#addMissing(phy, record.size);
        return;
      }
      const cursor = this.#cursor!;
      let hash = hashes.list[i]!;
      if (cursor.unit.keyHash !== hash) hash = this.#wrongHash(cursor, hash, { view, record });
      this.#take(cursor, record.storeTimestamp, hash, phy);
    }
    const { tagsHash } = hashes;
    if (tagsHash >= 0) {
      this.#passRepeated(record, tagsHash, hashes.count);
      this.#takeTags(record.storeTimestamp, tagsHash, phy);
    }
    this.#lastPhy = phy;
  }

  /**
   * Over units that repeat one of the record's first `taken` keys: after a crash between two of its keys RocketMQ files
   * all of them again. `due` is the hash that comes next. False when no unit of the record follows.
   */
  #passRepeated({ physicalOffset: phy, storeTimestamp }: RecordLayout, due: number, taken: number): boolean {
    const { list } = this.#hashes;
    for (let cursor = this.#live(); cursor !== undefined; cursor = this.#live()) {
      const { unit } = cursor;
      if (unit.phyOffset !== phy) return false;
      const known = list.indexOf(unit.keyHash);
      if (unit.keyHash === due || known < 0 || known >= taken) return true;
      this.#repeated(cursor, storeTimestamp);
      this.#step(cursor);
    }
    return false;
  }

  /** The next unit has the hash that is due, and leads elsewhere: reported, and true when its offset is what is wrong. */
  #isMisplaced(phy: number, hash: number): boolean {
    const cursor = this.#live();
    if (cursor === undefined || cursor.unit.phyOffset === phy || cursor.unit.keyHash !== hash) return false;
    const { unit, number } = cursor;
    // Neighbours often share a key; one of a damaged record is met by none.
    if (this.#options.book.find(unit.phyOffset) !== undefined) return false;
    if (this.#recordWithKey(unit.phyOffset, hash) !== undefined) return false;
    this.#fault('index-entry', cursor, cursor.place(number) + 4, 8, {
      expected: String(phy),
      found: String(unit.phyOffset),
      message: `entry ${number} points to another place than its record`,
      logOffset: phy,
    });
    return true;
  }

  #recordWithKey(phy: number, hash: number): RecordLayout | undefined {
    const found = phy < 0 || !Number.isSafeInteger(phy) ? undefined : this.#options.log.recordAt(phy);
    if (found === undefined) return undefined;
    const { record, view } = found;
    const own = new IndexHashes();
    own.of(topicOf(view, record), new RecordFactsReader().read(view, record));
    return own.list.includes(hash) || own.tagsHash === hash ? record : undefined;
  }

  /** The unit of a key that was filed before; who filed it again may have begun a file with it. */
  #repeated(cursor: IndexCursor, storeTimestamp: number): void {
    this.duplicates++;
    cursor.saw(cursor.unit.phyOffset, storeTimestamp);
  }

  /** The entry for the tags; RocketMQ before 5.4 and Vernier 0.1 filed none. */
  #takeTags(storeTimestamp: number, tagsHash: number, phy: number): void {
    const cursor = this.#live();
    if (cursor === undefined || cursor.unit.keyHash !== tagsHash) return;
    if (cursor.unit.phyOffset !== phy && !this.#isMisplaced(phy, tagsHash)) return;
    this.#take(cursor, storeTimestamp, tagsHash, phy);
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
          if (cursor.isZeroUnit || !this.#nextIsSmaller(cursor, phy)) return false;
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

  /** A unit that no record met. It may repeat one that was met before, as a recovery leaves them. */
  #strayUnit(cursor: IndexCursor): void {
    const { unit, number } = cursor;
    const { book, log, layout } = this.#options;
    const phy = unit.phyOffset;
    if (phy >= 0 && phy < (layout.logFiles[0]?.from ?? 0)) return;
    if (book.find(phy) !== undefined) return;
    const before = phy <= this.#lastPhy ? this.#recordWithKey(phy, unit.keyHash) : undefined;
    if (before !== undefined) {
      this.#repeated(cursor, before.storeTimestamp);
      return;
    }
    const found = phy < 0 || !Number.isSafeInteger(phy) ? undefined : log.recordAt(phy);
    const text = `entry ${number} points to ${found === undefined ? `${phy}, where no record starts` : `the record at ${phy}, which has no such key`}`;
    if (found !== undefined) {
      const keys = this.#keysOf(found);
      const unit = this.#hashPlace(cursor);
      // The chain was made with this hash, so the record had the key: its properties were changed since.
      const recordIsWrong = this.#fitsChain(cursor, cursor.unit.keyHash) && !isChecked(found);
      this.#options.findings.fault({
        kind: recordIsWrong ? 'log-field' : 'index-entry',
        ...(recordIsWrong ? keys : { ...unit, length: INDEX_SIZE }),
        expected: recordIsWrong ? `a key of hash ${cursor.unit.keyHash}` : `a record after ${this.#lastPhy}`,
        found: recordIsWrong ? 'none' : String(phy),
        message: text,
        logOffset: phy,
        ...(isChecked(found) ? {} : { orElse: recordIsWrong ? unit : keys }),
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

  /** What the hashes of a record's keys are made of: its topic and its properties, which lie next to each other. */
  #keysOf({ record }: FoundRecord): { file: string; offset: number; length: number } {
    const file = this.#options.log.fileAt(record.physicalOffset)!;
    return {
      file: shownPath(this.#options.layout.root, file.path),
      offset: record.physicalOffset - file.from + record.topicAt - record.at,
      length: record.size - (record.topicAt - record.at),
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
    const inLog = this.#keysOf(found);
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
    cursor.saw(phy, storeTimestamp);
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
      cursor.saw(unit.phyOffset, -1);
    }
    if (unit.keyHash >= 0 && !cursor.isZeroUnit) {
      const slot = unit.keyHash % cursor.slots.length;
      if (cursor.slots[slot] === 0) cursor.slotsUsed++;
      cursor.slots[slot] = cursor.number;
    }
    cursor.number++;
    this.units++;
  }

  #addMissing(phy: number, size: number): void {
    if (phy + size > this.#options.completeBelow || this.#mayBeInNewFile()) return;
    if (phy < this.#beginPhy) this.#older = oneMore(this.#older, phy);
    else this.#missing = oneMore(this.#missing, phy);
  }

  /** The last file is full: a live broker may have begun the next one since the files were listed. */
  #mayBeInNewFile(): boolean {
    const { layout, shape } = this.#options;
    const cursor = this.#cursor;
    if (layout.state !== 'live' || cursor === undefined || this.#next < this.#files.length) return false;
    return cursor.number >= shape.units && cursor.header.indexCount >= shape.units;
  }

  set completeBelow(offset: number) {
    this.#options.completeBelow = offset;
  }

  /** After the walk. `logEnd`: end of the log. */
  finish(logEnd: number): void {
    for (let cursor = this.#live(); cursor !== undefined; cursor = this.#live()) {
      const { unit } = cursor;
      if (cursor.isZeroUnit) break;
      if (unit.phyOffset < logEnd) this.#strayUnit(cursor);
      else if (this.#options.layout.state === 'clean') this.#strayUnit(cursor);
      this.#step(cursor);
    }
    if (this.#cursor !== undefined) this.#closeFile(this.#cursor);
    this.#cursor = undefined;
    const { indexFiles } = this.#options.layout;
    if (this.#older !== undefined) this.#reportMissing(this.#older, indexFiles[0]!, ': the index begins behind them');
    if (this.#missing !== undefined) this.#reportMissing(this.#missing, indexFiles.at(-1)!, '');
    if (this.duplicates > 0) {
      const last = this.#options.layout.indexFiles.at(-1)!;
      this.#options.findings.note({
        kind: 'index-entry',
        file: shownPath(this.#options.layout.root, last.path),
        offset: 0,
        length: 0,
        expected: '',
        found: '',
        message: `${this.duplicates} entries are there twice, as a recovery leaves them; RocketMQ answers such a message twice`,
      });
    }
  }

  #reportMissing({ count, firstPhy, lastPhy }: MissingKeys, file: DataFile, why: string): void {
    const which = count === 1 ? `the record at ${firstPhy} is` : `${count} records from ${firstPhy} to ${lastPhy} are`;
    this.#options.findings.fault({
      kind: 'index-missing-entry',
      file: shownPath(this.#options.layout.root, file.path),
      offset: 0,
      length: 0,
      expected: `entries of ${count === 1 ? 'one record' : `${count} records`}`,
      found: 'none',
      message: `${which} not found by ${count === 1 ? 'its' : 'their'} keys${why}`,
      logOffset: firstPhy,
    });
  }

  #open(): void {
    this.#cursor = undefined;
    const file = this.#files[this.#next++];
    if (file === undefined) return;
    const { shape } = this.#options;
    this.#cursor = new IndexCursor(file, shape);
    const { header } = this.#cursor;
    if (header.indexCount > shape.units || header.indexCount < 1) {
      this.#ends.headerFault(
        this.#cursor,
        36,
        4,
        `1 to ${shape.units}`,
        String(header.indexCount),
        'the number of entries',
      );
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

  #closeFile(cursor: IndexCursor): void {
    this.#ends.check(cursor);
    this.#previousEnd = cursor.header.endTimestamp;
    cursor.close();
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

function oneMore(missing: MissingKeys | undefined, phy: number): MissingKeys {
  return { count: (missing?.count ?? 0) + 1, firstPhy: missing?.firstPhy ?? phy, lastPhy: phy };
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
