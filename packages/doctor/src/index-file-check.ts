import { HASH_SLOT_SIZE, INDEX_HEADER_SIZE, readInt32 } from '@vernier/store/internal';
import type { Findings, NewFinding } from './finding.ts';
import type { IndexCursor } from './index-cursor.ts';
import type { LogReader } from './log-reader.ts';
import { type StoreLayout, shownPath } from './store-layout.ts';

export interface IndexFileCheckOptions {
  layout: StoreLayout;
  findings: Findings;
  log: LogReader;
}

/** Header and slots of an index file, against the units that were walked. */
export class IndexFileCheck {
  readonly #options: IndexFileCheckOptions;

  constructor(options: IndexFileCheckOptions) {
    this.#options = options;
  }

  /** All units of a file have been walked: its header and its slots. */
  check(cursor: IndexCursor): void {
    const { header, firstSeen, lastSeen, number } = cursor;
    const live = this.#options.layout.state !== 'clean';
    if (number < header.indexCount && !live) {
      this.headerFault(cursor, 36, 4, String(number), String(header.indexCount), 'the number of entries');
    }
    if (number === header.indexCount && !live && cursor.read(number) && !cursor.isZeroUnit) {
      const { phyOffset } = cursor.unit;
      if (phyOffset >= header.beginPhyOffset && this.#options.log.recordAt(phyOffset) !== undefined) {
        this.headerFault(cursor, 36, 4, `more than ${number}`, String(number), 'the number of entries');
      }
    }
    if (firstSeen !== undefined && firstSeen.storeTimestamp >= 0) {
      if (firstSeen.phyOffset !== header.beginPhyOffset) {
        this.headerFault(cursor, 16, 8, String(firstSeen.phyOffset), String(header.beginPhyOffset), 'the first offset');
      }
      if (firstSeen.storeTimestamp !== header.beginTimestamp) {
        this.headerFault(
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
        this.headerFault(cursor, 24, 8, String(lastSeen.phyOffset), String(header.endPhyOffset), 'the last offset');
      }
      // A recovery that cut the file knows seconds only.
      const apart = Math.abs(lastSeen.storeTimestamp - header.endTimestamp);
      if (lastSeen.storeTimestamp >= 0 && apart > 1_000) {
        this.headerFault(cursor, 8, 8, String(lastSeen.storeTimestamp), String(header.endTimestamp), 'the last time');
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

  headerFault(
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
    more: Pick<NewFinding, 'expected' | 'found' | 'message'>,
  ): void {
    const file = shownPath(this.#options.layout.root, cursor.file.path);
    this.#options.findings.fault({ kind, file, offset, length, ...more });
  }
}
