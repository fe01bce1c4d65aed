import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import type { StoreFile } from '../base/file-system.ts';
import { readInt64, writeInt64 } from '../base/int64.ts';
import { isPassingLack } from '../base/passing-lack.ts';
import { toStoreError } from '../base/queue-failure.ts';
import { TARGET_NAMES, type TargetName, type TargetPoint } from '../record/dispatch-target.ts';

/**
 * The checkpoint file (RocketMQ StoreCheckpoint): one page of 4,096 bytes.
 *
 *      0  i64 physicMsgTimestamp    storeTimestamp of the newest record known to be on disk
 *      8  i64 logicsMsgTimestamp    the same for the consume queues
 *     16  i64 indexMsgTimestamp     endTimestamp of the newest index file on disk
 *     24  i64 masterFlushedOffset
 *     32  i64 confirmPhyOffset
 *     40  i64 logicsPhysicalOffset  end of the newest record whose queue entries are on disk (5.5.0; ours stays 0)
 *    512  our fields, copy A        1024  our fields, copy B
 *         +0 8 bytes magic   +8 i64 sequence   +16 i64 durable point   +24 i64 logics point
 *         +32 i64 physicMsgTimestamp these belong to   +40 i64 the one written before
 *         +48 4 × (i64 durableWhere, i64 newestWhere) of the targets of dispatch, in the order of TARGET_NAMES; the logics
 *         point is the smallest durableWhere. -1 -1: no such target; newestWhere -2: not known   +112 i32 CRC-32 of [0, 112)
 *         A copy of the first version ends with the CRC at +48, and its logics point is that of all targets.
 *
 * Java reads and writes these first fields alone, through a mapping; what follows survives it.
 *
 * Invariants:
 * - The durable point is at most flushedWhere when it is set: every byte of the log below it is on disk.
 * - A copy is overwritten only while the other one, of the sequence before, is on disk: whatever sectors a torn write
 *   leaves, one copy is whole.
 * - Java's fields are written after the copy that names them is on disk. So at any moment the first field equals the
 *   timestamp of the newest copy or the one before; anything else means that a Java broker has stored messages here
 *   since, and our points are void.
 */
export const CHECKPOINT_BYTES = 4096;
const COPY_POSITIONS = [512, 1024] as const;
const COPY_CRC_AT = 112;
const COPY_BYTES = COPY_CRC_AT + 4;
const JAVA_BYTES = 40;
const MAGIC = Buffer.from('VRNRCKP2', 'latin1');
const MAGIC_V1 = Buffer.from('VRNRCKP1', 'latin1');
const COPY_CRC_AT_V1 = 48;
const TARGETS_AT = 48;
const TARGET_BYTES = 16;
const NO_TARGET = -1;
const NOT_KNOWN = -2;
/** Java's fields carry no checksum; a timestamp this far ahead of the clock is garbage and not believed. */
const FUTURE_MS_MAX = 24 * 3_600_000;

/** By name of the target. */
export type TargetPoints = ReadonlyMap<TargetName, TargetPoint>;

const NO_TARGETS: TargetPoints = new Map();

interface OwnCopy {
  sequence: number;
  durablePoint: number;
  targets: TargetPoints;
  physicMsgTimestamp: number;
  previousPhysicMsgTimestamp: number;
}

/** Why the durable point cannot be used. */
export type DurablePointState = 'valid' | 'none' | 'java-ran-since';

/** What a checkpoint's page says, for whoever only wants to look. */
export interface CheckpointContent {
  /** Java's five fields as they stand in the file; a timestamp may be garbage. */
  physicMsgTimestamp: number;
  logicsMsgTimestamp: number;
  indexMsgTimestamp: number;
  masterFlushedOffset: number;
  confirmPhyOffset: number;
  durablePointState: DurablePointState;
  /** Offsets in the log, 0 unless the state is valid. */
  durablePoint: number;
  logicsPoint: number;
  /** Empty unless the state is valid. */
  targets: TargetPoints;
  /** Our two copies: never written, whole, or with a wrong CRC (a torn write leaves one of them so). */
  copies: readonly ('empty' | 'whole' | 'bad')[];
}

/** Reads a checkpoint's page without touching the file. Bytes that the file lacks count as zeros. */
export function decodeCheckpoint(content: Buffer): CheckpointContent {
  const page = Buffer.alloc(CHECKPOINT_BYTES);
  content.copy(page);
  const { believed, copies } = chooseCopy(page);
  return {
    physicMsgTimestamp: readInt64(page, 0),
    logicsMsgTimestamp: readInt64(page, 8),
    indexMsgTimestamp: readInt64(page, 16),
    masterFlushedOffset: readInt64(page, 24),
    confirmPhyOffset: readInt64(page, 32),
    durablePointState: believed !== undefined ? 'valid' : copies.length > 0 ? 'java-ran-since' : 'none',
    durablePoint: believed?.durablePoint ?? 0,
    logicsPoint: smallest(believed?.targets ?? NO_TARGETS),
    targets: believed?.targets ?? NO_TARGETS,
    copies: COPY_POSITIONS.map((at, index) => {
      if (readCopy(page, at, index) !== undefined) return 'whole';
      return page.subarray(at, at + COPY_BYTES).every((byte) => byte === 0) ? 'empty' : 'bad';
    }),
  };
}

export class StoreCheckpoint {
  readonly path: string;
  readonly #context: Pick<StoreContext, 'fileSystem' | 'clock' | 'logger' | 'fail'>;
  readonly #file: StoreFile;
  #physicMsgTimestamp = 0;
  #logicsMsgTimestamp = 0;
  #indexMsgTimestamp = 0;
  #masterFlushedOffset = 0;
  #confirmPhyOffset = 0;
  #durablePoint = 0;
  #targets: TargetPoints = NO_TARGETS;
  #state: DurablePointState = 'none';
  #sequence = 0;
  /** Index of the copy that may be overwritten: never the one that was believed or written last. */
  #nextCopy = 0;
  /** physicMsgTimestamp as Java's field holds it on disk. */
  #writtenPhysicMsgTimestamp = 0;
  #dirty = false;
  #writing: Promise<void> = Promise.resolve();
  #failure: StoreError | undefined;

  private constructor(
    path: string,
    context: Pick<StoreContext, 'fileSystem' | 'clock' | 'logger' | 'fail'>,
    file: StoreFile,
  ) {
    this.path = path;
    this.#context = context;
    this.#file = file;
  }

  /**
   * Opens or creates the file. A missing, short or unreadable copy is no error: the durable point is then absent and
   * recovery starts earlier. Rejects STORE_METADATA_DAMAGED when the file itself cannot be opened, read or created.
   *
   * `lastExitOk` false: the process that wrote it may have been killed before its sync, or its sync may have failed; what
   * is read is then in the page cache at best. It is written again and synced, or the next flush would overwrite the one
   * copy that the disk has.
   */
  static async open(
    path: string,
    context: Pick<StoreContext, 'fileSystem' | 'clock' | 'logger' | 'fail'>,
    lastExitOk = true,
  ): Promise<StoreCheckpoint> {
    let file: StoreFile | undefined;
    try {
      file = await context.fileSystem.open(path, 'create');
      const checkpoint = new StoreCheckpoint(path, context, file);
      await checkpoint.#load(lastExitOk);
      return checkpoint;
    } catch (error) {
      await file?.close().catch(() => {});
      if (error instanceof StoreError && error.code === 'STORE_NOT_A_FILE') throw error;
      throw new StoreError('STORE_METADATA_DAMAGED', `The checkpoint ${path} cannot be used`, { path }, error);
    }
  }

  async #load(lastExitOk: boolean): Promise<void> {
    const page = Buffer.alloc(CHECKPOINT_BYTES);
    const bytes = await this.#file.read(page, 0);
    if (bytes < CHECKPOINT_BYTES || !lastExitOk) {
      // New, or its creation was cut short: Java maps 4,096 bytes, so the length is made right at once.
      page.fill(0, bytes);
      // Out of the page cache first: a page whose first write-back failed swallows what is written to it (recovery.md).
      if (bytes > 0) {
        await this.#file.sync();
        await this.#file.dropCache(0, CHECKPOINT_BYTES);
      }
      await this.#file.write(page, 0);
      await this.#file.sync();
      await this.#context.fileSystem.syncDirectory(dirname(this.path));
    }
    const limit = this.#context.clock.now() + FUTURE_MS_MAX;
    const timestampAt = (at: number): number => {
      const value = readInt64(page, at);
      return value >= 0 && value <= limit ? value : 0;
    };
    this.#physicMsgTimestamp = timestampAt(0);
    this.#logicsMsgTimestamp = timestampAt(8);
    this.#indexMsgTimestamp = timestampAt(16);
    this.#masterFlushedOffset = readOffset(page, 24);
    this.#confirmPhyOffset = readOffset(page, 32);
    this.#writtenPhysicMsgTimestamp = readInt64(page, 0);

    const { believed: newest, copies } = chooseCopy(page);
    this.#sequence = copies[0]?.sequence ?? 0;
    this.#nextCopy = 1 - (copies[0]?.index ?? 1);
    const written = this.#writtenPhysicMsgTimestamp;
    if (newest !== undefined) {
      this.#state = 'valid';
      this.#nextCopy = 1 - newest.index;
      this.#durablePoint = newest.durablePoint;
      this.#targets = newest.targets;
      // Java's field trails the copy that bears it out, and its time may be the higher one.
      this.#physicMsgTimestamp = newest.physicMsgTimestamp;
    } else if (copies.length > 0) {
      this.#state = 'java-ran-since';
      this.#context.logger.warn(
        { path: this.path, expected: copies[0]!.physicMsgTimestamp, found: written },
        'checkpoint: another broker has stored messages here since; its durable point is void',
      );
    }
  }

  /** Whether `durablePoint` and `logicsPoint` may be believed. `none`: never set, or both copies unreadable. */
  get durablePointState(): DurablePointState {
    return this.#state;
  }
  /** Offset in the log; every byte below was on disk when this was written. 0 unless the state is valid. */
  get durablePoint(): number {
    return this.#durablePoint;
  }
  /** Offset in the log; what the targets of dispatch have of every record below was on disk. 0 unless the state is valid. */
  get logicsPoint(): number {
    return smallest(this.#targets);
  }
  /** Of one target. Where it was not in use, it is taken for as far as the others: what was stored meanwhile is not its. */
  targetPoint(name: TargetName): TargetPoint {
    return this.#targets.get(name) ?? { durableWhere: this.logicsPoint, newestWhere: undefined };
  }
  get physicMsgTimestamp(): number {
    return this.#physicMsgTimestamp;
  }
  get logicsMsgTimestamp(): number {
    return this.#logicsMsgTimestamp;
  }
  get indexMsgTimestamp(): number {
    return this.#indexMsgTimestamp;
  }
  get masterFlushedOffset(): number {
    return this.#masterFlushedOffset;
  }
  get confirmPhyOffset(): number {
    return this.#confirmPhyOffset;
  }

  /**
   * Times of the newest record that is on disk, in the queues, in a full index file. They follow the log, whose times fall
   * when a clock that was wrong is set right; 0 is no time and changes nothing. Offsets below never fall: a value under the
   * present one changes nothing. All of it is in memory until flush().
   */
  setPhysicMsgTimestamp(value: number): void {
    if (value > 0 && value !== this.#physicMsgTimestamp) this.#physicMsgTimestamp = this.#changed(value);
  }
  setLogicsMsgTimestamp(value: number): void {
    if (value > 0 && value !== this.#logicsMsgTimestamp) this.#logicsMsgTimestamp = this.#changed(value);
  }
  setIndexMsgTimestamp(value: number): void {
    if (value > 0 && value !== this.#indexMsgTimestamp) this.#indexMsgTimestamp = this.#changed(value);
  }
  setMasterFlushedOffset(value: number): void {
    if (value > this.#masterFlushedOffset) this.#masterFlushedOffset = this.#changed(value);
  }
  setConfirmPhyOffset(value: number): void {
    if (value > this.#confirmPhyOffset) this.#confirmPhyOffset = this.#changed(value);
  }

  /**
   * Every byte of the log below `offset` is on disk, the newest record of them stored at `physicMsgTimestamp` (0: not
   * known, the field stays). `flushedWhere` is the log's own; a point above it is a programmer error and throws.
   */
  setDurablePoint(offset: number, flushedWhere: number, physicMsgTimestamp = 0): void {
    if (offset > flushedWhere) throw new RangeError('StoreCheckpoint: durable point above flushedWhere');
    this.setPhysicMsgTimestamp(physicMsgTimestamp);
    if (offset > this.#durablePoint) this.#durablePoint = this.#changed(offset);
  }

  /**
   * How far the targets of dispatch are on disk, each of them; at most what was dispatched. A point does not go down, the
   * place of the newest record that a target has something of may.
   */
  setTargetPoints(points: TargetPoints): void {
    const next = new Map<TargetName, TargetPoint>();
    for (const [name, point] of points) {
      const durableWhere = Math.max(point.durableWhere, this.#targets.get(name)?.durableWhere ?? 0);
      next.set(name, { durableWhere, newestWhere: point.newestWhere });
    }
    if (!areAsFar(next, this.#targets)) this.#dirty = true;
    this.#targets = next;
  }

  /**
   * Recovery only: the log is known to be on disk up to `durablePoint`, the targets of dispatch up to their points. The one
   * place where a point may go down, as when the checkpoint's own was void. In memory until flush().
   */
  recovered(durablePoint: number, targets: TargetPoints, physicMsgTimestamp: number): void {
    this.setPhysicMsgTimestamp(physicMsgTimestamp);
    const same = this.#durablePoint === durablePoint && areAsFar(targets, this.#targets);
    // To know of a newest record what was not known before is worth no write of its own.
    this.#targets = new Map(targets);
    if (this.#state === 'valid' && same) return;
    this.#state = 'valid';
    this.#durablePoint = this.#changed(durablePoint);
  }

  /**
   * Recovery only, before entries of queues and index are removed to be made anew: a Java broker that finds the directory
   * before they are back must not believe that they are complete, or it would never make them again. Its fields say so
   * by time and, in 5.5.0, by the offset at 40. Resolves when all three are 0 *on disk*.
   */
  async forgetQueues(): Promise<void> {
    this.#logicsMsgTimestamp = 0;
    this.#indexMsgTimestamp = 0;
    await this.#file.write(Buffer.alloc(16), 8);
    await this.#file.write(Buffer.alloc(8), JAVA_BYTES);
    await this.#file.sync();
  }

  /** RocketMQ StoreCheckpoint.getMinTimestamp: up to here log and queues are both complete, with 3 s to spare. */
  get minTimestamp(): number {
    return Math.max(0, Math.min(this.#physicMsgTimestamp, this.#logicsMsgTimestamp) - 3000);
  }

  /**
   * Resolves when everything set before this call is *on disk*, except that Java's fields are only *written* (they get
   * to disk with the next flush() or close(); they trail our copy on purpose). Nothing changed: no I/O. Calls queue up.
   * A failure is never retried: it is reported through context.fail, and this and every later call rejects with it. A
   * write without room (base/passing-lack.ts) rejects this call alone; the next one writes it.
   */
  flush(): Promise<void> {
    const run = this.#writing.then(() => this.#write());
    // The chain itself must go on for later callers, who get the sticky failure from #write.
    this.#writing = run.catch(() => {});
    return run;
  }

  async #write(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#dirty) return;
    this.#dirty = false;
    // Java's fields as they are now, so that what is set meanwhile waits for the next flush together with its copy.
    const java = this.#javaFields();
    const sequence = this.#sequence + 1;
    const copy = encodeCopy({
      sequence,
      durablePoint: this.#durablePoint,
      targets: this.#targets,
      physicMsgTimestamp: this.#physicMsgTimestamp,
      previousPhysicMsgTimestamp: this.#writtenPhysicMsgTimestamp,
    });
    const physicMsgTimestamp = this.#physicMsgTimestamp;
    try {
      await this.#file.write(copy, COPY_POSITIONS[this.#nextCopy]!);
      await this.#file.sync();
      this.#sequence = sequence;
      this.#nextCopy = 1 - this.#nextCopy;
      await this.#file.write(java, 0);
      this.#writtenPhysicMsgTimestamp = physicMsgTimestamp;
    } catch (error) {
      if (isPassingLack(error)) {
        // One copy is on disk, and the same bytes can be written again: at the next flush, with what is set by then.
        this.#dirty = true;
        throw toStoreError('STORE_WRITE_FAILED', 'writing the checkpoint', this.path, error);
      }
      this.#failure = new StoreError(
        'STORE_FLUSH_FAILED',
        `The checkpoint ${this.path} cannot be written`,
        { path: this.path, durablePoint: this.#durablePoint },
        error,
      );
      this.#context.fail(this.#failure);
      throw this.#failure;
    }
  }

  /** Flushes and closes. Resolves when everything, Java's fields included, is *on disk*. */
  async close(): Promise<void> {
    try {
      await this.flush();
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
  }

  /** Closes without writing: for a store that did not open or failed. */
  async abandon(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  #changed(value: number): number {
    this.#dirty = true;
    return value;
  }

  #javaFields(): Buffer {
    const fields = Buffer.alloc(JAVA_BYTES);
    writeInt64(fields, this.#physicMsgTimestamp, 0);
    writeInt64(fields, this.#logicsMsgTimestamp, 8);
    writeInt64(fields, this.#indexMsgTimestamp, 16);
    writeInt64(fields, this.#masterFlushedOffset, 24);
    writeInt64(fields, this.#confirmPhyOffset, 32);
    return fields;
  }
}

function readOffset(page: Buffer, at: number): number {
  const value = readInt64(page, at);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function encodeCopy(copy: OwnCopy): Buffer {
  const bytes = Buffer.alloc(COPY_BYTES);
  MAGIC.copy(bytes, 0);
  writeInt64(bytes, copy.sequence, 8);
  writeInt64(bytes, copy.durablePoint, 16);
  writeInt64(bytes, smallest(copy.targets), 24);
  writeInt64(bytes, copy.physicMsgTimestamp, 32);
  writeInt64(bytes, copy.previousPhysicMsgTimestamp, 40);
  for (let at = TARGETS_AT, slot = 0; at < COPY_CRC_AT; at += TARGET_BYTES, slot++) {
    const name = TARGET_NAMES[slot];
    const point = name === undefined ? undefined : copy.targets.get(name);
    writeInt64(bytes, point?.durableWhere ?? NO_TARGET, at);
    writeInt64(bytes, point === undefined ? NO_TARGET : (point.newestWhere ?? NOT_KNOWN), at + 8);
  }
  bytes.writeUInt32BE(crc32(bytes.subarray(0, COPY_CRC_AT)), COPY_CRC_AT);
  return bytes;
}

function decodeTargets(bytes: Buffer): TargetPoints {
  const targets = new Map<TargetName, TargetPoint>();
  for (const [slot, name] of TARGET_NAMES.entries()) {
    const at = TARGETS_AT + slot * TARGET_BYTES;
    const durableWhere = readInt64(bytes, at);
    const newestWhere = readInt64(bytes, at + 8);
    if (durableWhere < 0) continue;
    targets.set(name, { durableWhere, newestWhere: newestWhere === NOT_KNOWN ? undefined : newestWhere });
  }
  return targets;
}

/** Of every target, as far as a point that is theirs together; what they have last is not known. */
export function targetsAt(durableWhere: number): TargetPoints {
  return new Map(TARGET_NAMES.map((name) => [name, { durableWhere, newestWhere: undefined }]));
}

function smallest(targets: TargetPoints): number {
  let where = Number.POSITIVE_INFINITY;
  for (const { durableWhere } of targets.values()) where = Math.min(where, durableWhere);
  return where === Number.POSITIVE_INFINITY ? 0 : where;
}

/** `next` says nothing else than `known`, though perhaps more. */
function areAsFar(next: TargetPoints, known: TargetPoints): boolean {
  if (next.size !== known.size) return false;
  for (const [name, { durableWhere, newestWhere }] of next) {
    const before = known.get(name);
    if (before?.durableWhere !== durableWhere) return false;
    if (before.newestWhere !== undefined && before.newestWhere !== newestWhere) return false;
  }
  return true;
}

type PlacedCopy = OwnCopy & { index: number };

/** Our whole copies, newest first, and the one that Java's first field bears out. */
function chooseCopy(page: Buffer): { believed: PlacedCopy | undefined; copies: readonly PlacedCopy[] } {
  const copies = COPY_POSITIONS.map((at, index) => readCopy(page, at, index)).filter((copy) => copy !== undefined);
  copies.sort((a, b) => b.sequence - a.sequence);
  const written = readInt64(page, 0);
  const believed = copies.find(
    (copy) => copy.physicMsgTimestamp === written || copy.previousPhysicMsgTimestamp === written,
  );
  return { believed, copies };
}

function readCopy(page: Buffer, at: number, index: number): PlacedCopy | undefined {
  const bytes = page.subarray(at, at + COPY_BYTES);
  const magic = bytes.subarray(0, MAGIC.length);
  const isV1 = magic.equals(MAGIC_V1);
  if (!isV1 && !magic.equals(MAGIC)) return undefined;
  const crcAt = isV1 ? COPY_CRC_AT_V1 : COPY_CRC_AT;
  if (crc32(bytes.subarray(0, crcAt)) !== bytes.readUInt32BE(crcAt)) return undefined;
  return {
    index,
    sequence: readInt64(bytes, 8),
    durablePoint: readInt64(bytes, 16),
    targets: isV1 ? targetsAt(readInt64(bytes, 24)) : decodeTargets(bytes),
    physicMsgTimestamp: readInt64(bytes, 32),
    previousPhysicMsgTimestamp: readInt64(bytes, 40),
  };
}
