/**
 * The transient-pool engine (`transientStorePoolEnable`): records are appended to a pool buffer as large as the file,
 * commit writes what is new to the file, flush forces it. As in RocketMQ only committed bytes can be read, and the
 * buffer goes back when the file is fully committed.
 */
import { MappedFileBase, type MappedFilePlace } from './mapped-file-base.ts';
import type { TransientStorePool } from './transient-store-pool.ts';

export class TransientPoolMappedFile extends MappedFileBase {
  readonly #pool: TransientStorePool;
  #buffer: Buffer | undefined;
  /** The buffer holds the file's bytes from here on. */
  #bufferFrom = 0;
  /** End of the bytes that were really appended; wrotePosition is beyond it once the file was closed by a BLANK. */
  #appendedPosition = 0;
  #reserved = 0;

  constructor(place: MappedFilePlace, pool: TransientStorePool) {
    super(place);
    this.#pool = pool;
  }

  override get readPosition(): number {
    return this.committedPosition;
  }

  reserve(size: number): boolean {
    if (size > this.fileSize - this.wrotePosition) throw new RangeError('reserve: more than the file has room for');
    if (this.#buffer === undefined) {
      const buffer = this.#pool.borrowBuffer();
      if (buffer === undefined) return false;
      this.#buffer = buffer;
      this.#bufferFrom = this.wrotePosition;
      this.target = buffer;
    }
    this.targetStart = this.wrotePosition;
    this.#reserved = size;
    return true;
  }

  advance(size: number, end = false): void {
    if (size > this.#reserved) throw new RangeError('advance: more than was reserved');
    this.#reserved = 0;
    this.wrotePosition += size;
    this.#appendedPosition = this.wrotePosition;
    if (end) this.wrotePosition = this.fileSize;
  }

  protected async writeOut(from: number, _to: number, durably: boolean): Promise<boolean> {
    const end = this.#appendedPosition;
    return from < end && (await this.writePieces([this.#buffer!.subarray(from, end)], from, durably));
  }

  protected override onCommitted(): void {
    if (this.committedPosition === this.fileSize) this.#giveBack();
  }

  selectHot(position: number, size: number): Buffer | undefined {
    const end = position + size;
    if (this.#buffer === undefined || position < this.#bufferFrom) return undefined;
    return end <= this.committedPosition && end <= this.#appendedPosition
      ? this.#buffer.subarray(position, end)
      : undefined;
  }

  /** What may be read is in the file. */
  protected copyUncommitted(): number {
    return 0;
  }

  protected dropMemory(position: number): void {
    this.#reserved = 0;
    this.#appendedPosition = position;
    this.#giveBack();
  }

  #giveBack(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    this.#pool.returnBuffer(buffer);
  }
}
