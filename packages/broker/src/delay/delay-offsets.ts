import { asObject, type DataVersion, dataVersionFromJson } from '@vernier/remoting';
import { TableVersion } from '../base/table-version.ts';
import type { Place, PlaceTable, PutsOnDisk } from '../follow/follow-places.ts';

/**
 * How far each delay level is: entry number of the next message in its queue, as RocketMQ keeps it (delayOffset.json, by
 * level, counted from 1). The file has no room for the message's place in the log, which stays in memory. Nobody but the
 * broker can delete the queues, and its own places are never ahead of what is on disk, so the number alone tells where a
 * level goes on after a restart.
 *
 * Bounded by the number of levels. Levels that nobody follows (a messageDelayLevel that is shorter than it was) stay.
 */
export class DelayOffsets {
  readonly #version: TableVersion;
  readonly #places = new Map<number, Place>();
  readonly #changed: () => void;
  readonly #putsOnDisk: PutsOnDisk;
  /** What may be saved. */
  #saved: ReadonlyMap<number, number> | undefined;

  /** `changed` is called after each change: the table has to be saved. */
  constructor(now: () => number, changed: () => void, putsOnDisk: PutsOnDisk) {
    this.#changed = changed;
    this.#putsOnDisk = putsOnDisk;
    this.#version = new TableVersion(now);
  }

  get dataVersion(): DataVersion {
    return this.#version.current;
  }

  /** Levels with an offset, in the order in which they got one. */
  offsets(): Map<number, number> {
    return new Map([...this.#places].map(([level, { queueOffset }]) => [level, queueOffset]));
  }

  offset(level: number): number | undefined {
    return this.#places.get(level)?.queueOffset;
  }

  /** The table as the follower of one level sees it. */
  placeOf(level: number): PlaceTable {
    return {
      get: () => this.#places.get(level),
      set: (_name, place) => this.#set(level, place),
    };
  }

  /**
   * Before the level is followed: an offset that its queue does not have is the nearest one that it has, and is saved so. A
   * file of another directory or of another day would else stop the level until its queue has grown past the offset, or
   * for ever. True: it was another one.
   */
  clamp(level: number, min: number, max: number): boolean {
    const known = this.#places.get(level);
    if (known === undefined) return false;
    const queueOffset = Math.min(Math.max(known.queueOffset, min), max);
    if (queueOffset === known.queueOffset) return false;
    this.#set(level, { queueOffset, last: undefined });
    return true;
  }

  /** Takes over a parsed delayOffset.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { offsetTable, dataVersion } = asObject(file, 'delayOffset.json');
    for (const [key, offset] of Object.entries(asObject(offsetTable, 'offsetTable'))) {
      const level = Number(key);
      if (!Number.isSafeInteger(level) || level < 1 || !Number.isSafeInteger(offset)) continue;
      this.#places.set(level, { queueOffset: Math.max(0, offset as number), last: undefined });
    }
    this.#version.current = dataVersionFromJson(dataVersion);
  }

  async prepareSave(): Promise<boolean> {
    this.#version.writtenOut();
    this.#saved = this.offsets();
    return this.#putsOnDisk();
  }

  /** delayOffset.json: the offsets as they were when the save was prepared. */
  *encode(): Iterable<string> {
    yield this.#text(this.#saved ?? this.offsets());
  }

  /** The same with the offsets of this moment, as GET_ALL_DELAY_OFFSET answers it. */
  text(): string {
    this.#version.writtenOut();
    return this.#text(this.offsets());
  }

  #text(offsets: ReadonlyMap<number, number>): string {
    const rows = [...offsets].sort(([a], [b]) => a - b).map(([level, offset]) => `${level}:${offset}`);
    return `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n"offsetTable":{${rows.join(',')}}\n}\n`;
  }

  #set(level: number, place: Place): void {
    const isMoved = this.#places.get(level)?.queueOffset !== place.queueOffset;
    this.#places.set(level, place);
    if (!isMoved) return;
    this.#version.changed();
    this.#changed();
  }
}
