import { crc32 } from 'node:zlib';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { errnoOf, toStoreError } from '../base/queue-failure.ts';
import { backupPath, writeAtomic } from '../io/atomic-file.ts';

/**
 * The place that deletions of topics have in the order of the log: `<root>/deletions.json`.
 *
 *     {"version":1,"deletions":[["orders",123456],…],"crc32":"9ae0daaf"}
 *
 * Each pair says: records of this topic that start below this offset of the log are dead. They stay in the log until
 * their files expire; nobody dispatches, reads or counts them. The CRC-32 is that of the text of `deletions`: a digit that
 * is wrong would take messages out of sight that nobody deleted.
 *
 * Invariants:
 * - A pair is on disk before the deletion is answered, and the log below its offset is on disk before the pair is written.
 *   So no crash leaves a log that ends below it, and what is appended later lies at or above it. Where a log ends below a
 *   pair all the same (somebody put another log there), the pair is taken back to the log's end before anything is appended.
 * - A pair goes when the log begins at or above its offset.
 *
 * A Java broker does not know the file and leaves it alone. When it has built dead queue entries anew, the next start here
 * takes them away.
 *
 * The file is written as a whole, so it must stay small: there is room for about 100,000 topics of usual names.
 */
export const DELETIONS_BYTES_MAX = 4 * 1024 * 1024;

/** Since where in the log a topic's records count. One object a topic, so that queues see when it changes. */
export interface TopicLife {
  deadBelow: number;
}

/** Of every topic that was never deleted. */
export const NEVER_DELETED: Readonly<TopicLife> = Object.freeze({ deadBelow: 0 });

export class Deletions {
  readonly path: string;
  readonly #context: Pick<StoreContext, 'fileSystem' | 'logger'>;
  readonly #lives = new Map<string, TopicLife>();

  constructor(path: string, context: Pick<StoreContext, 'fileSystem' | 'logger'>) {
    this.path = path;
    this.#context = context;
  }

  /**
   * Reads the file; without one nothing was ever deleted. One that does not pass its checksum is replaced by the copy
   * before it, with a line. Rejects STORE_METADATA_DAMAGED when neither can be used: who deleted a topic must not find it
   * again without a word.
   */
  async load(): Promise<void> {
    const { logger } = this.#context;
    const main = await this.#read(this.path);
    if (main === undefined) return;
    let pairs = typeof main === 'string' ? undefined : main;
    if (pairs === undefined) {
      const copy = await this.#read(backupPath(this.path));
      if (copy === undefined || typeof copy === 'string') {
        throw new StoreError(
          'STORE_METADATA_DAMAGED',
          `${this.path} is damaged (${main}), and so is the copy before it. Without both the store opens, and deleted ` +
            'topics may be there again',
          { path: this.path, reason: main, backup: backupPath(this.path) },
        );
      }
      logger.error(
        { path: this.path, reason: main, used: backupPath(this.path) },
        `${this.path} is damaged; its previous copy is used, a topic that was deleted last may be there again`,
      );
      pairs = copy;
    }
    for (const [topic, deadBelow] of pairs) this.#lives.set(topic, { deadBelow });
  }

  /** Topics with dead records in the log. */
  get size(): number {
    return this.#lives.size;
  }

  topics(): IterableIterator<string> {
    return this.#lives.keys();
  }

  lifeOf(topic: string): TopicLife {
    return this.#lives.get(topic) ?? NEVER_DELETED;
  }

  /** Records of the topic that start below this offset are dead; 0 for a topic that was not deleted. */
  deadBelow(topic: string): number {
    return this.#lives.get(topic)?.deadBelow ?? 0;
  }

  /**
   * Puts a deletion on record. *On disk* when it resolves, and only then seen by anybody. Pairs that the log has outlived
   * (`minOffset`: where it begins, on disk) go. Rejects with the store's error for a failed write: the deletion may be on
   * disk or not, and is not in force here. Calls must not overlap.
   */
  async record(topic: string, deadBelow: number, minOffset: number): Promise<void> {
    const pairs = new Map<string, number>();
    for (const [name, life] of this.#lives) if (life.deadBelow > minOffset) pairs.set(name, life.deadBelow);
    pairs.set(topic, deadBelow);
    await this.#write(pairs);
    for (const name of this.#lives.keys()) if (!pairs.has(name)) this.#lives.delete(name);
    const life = this.#lives.get(topic);
    if (life === undefined) this.#lives.set(topic, { deadBelow });
    else life.deadBelow = deadBelow;
  }

  /**
   * Recovery only: the log goes from `minOffset` to `end`, and what is appended next starts at `end`. Pairs beyond it are
   * taken back to it. Resolves when that is on disk; with nothing to change there is no I/O.
   */
  async endAt(end: number, minOffset: number): Promise<void> {
    let changed = false;
    for (const [topic, life] of this.#lives) {
      if (life.deadBelow > end) {
        this.#context.logger.warn(
          { path: this.path, topic, deadBelow: life.deadBelow, end },
          'recovery: a topic was deleted at a place that the log does not have any more',
        );
        life.deadBelow = end;
        changed = true;
      }
      if (life.deadBelow > minOffset) continue;
      this.#lives.delete(topic);
      // Nobody has it any more, and queues that were made with it go on without a bound.
      life.deadBelow = 0;
      changed = true;
    }
    if (!changed) return;
    await this.#write(new Map([...this.#lives].map(([topic, life]) => [topic, life.deadBelow])));
  }

  async #write(pairs: ReadonlyMap<string, number>): Promise<void> {
    const content = encodeDeletions(pairs);
    if (content.length > DELETIONS_BYTES_MAX) {
      throw new StoreError(
        'STORE_DELETIONS_FULL',
        `${this.path} would have ${content.length} bytes with ${pairs.size} deleted topics, ${DELETIONS_BYTES_MAX} at most; ` +
          'there is room again when files of the log have expired',
        { path: this.path, bytes: content.length, limit: DELETIONS_BYTES_MAX, topics: pairs.size },
      );
    }
    try {
      await writeAtomic(this.#context.fileSystem, this.path, content, {
        isWhole: (present) => typeof decodeDeletions(present) !== 'string',
      });
    } catch (error) {
      throw toStoreError('STORE_WRITE_FAILED', 'writing', this.path, error);
    }
  }

  /** The pairs, or what is wrong with the content; undefined without a file. */
  async #read(path: string): Promise<ReadonlyMap<string, number> | string | undefined> {
    try {
      const content = await this.#context.fileSystem.readFile(path);
      return content === undefined ? undefined : decodeDeletions(content);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      const reason = errnoOf(error) || String(error);
      throw new StoreError('STORE_METADATA_DAMAGED', `${path} cannot be read: ${reason}`, { path, reason }, error);
    }
  }
}

export function encodeDeletions(pairs: ReadonlyMap<string, number>): Buffer {
  const text = JSON.stringify([...pairs]);
  return Buffer.from(`{"version":1,"deletions":${text},"crc32":"${checksum(text)}"}\n`);
}

/** What the file says, or what is wrong with it. */
export function decodeDeletions(content: Buffer): ReadonlyMap<string, number> | string {
  let file: unknown;
  try {
    file = JSON.parse(content.toString('utf8'));
  } catch {
    return 'no JSON';
  }
  const { version, deletions, crc32: found } = (file ?? {}) as Record<string, unknown>;
  if (version !== 1) return `version ${String(version)}`;
  if (!Array.isArray(deletions) || !deletions.every(isPair)) return 'no list of topics and offsets';
  const expected = checksum(JSON.stringify(deletions));
  if (found !== expected) return `checksum ${String(found)}, expected ${expected}`;
  return new Map(deletions);
}

function isPair(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [topic, deadBelow] = value as [unknown, unknown];
  return typeof topic === 'string' && Number.isSafeInteger(deadBelow) && (deadBelow as number) >= 0;
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
