/**
 * The channel engine (`writeWithoutMmap=true`): records are encoded into append buffers, a group reaches the file as one
 * positional write, and flush adds an fdatasync. The buffers serve readers at the tail until they are used again.
 */
import type { StoreFile } from '../base/file-system.ts';
import type { AppendBuffers, AppendPiece } from './append-buffers.ts';
import { MappedFileBase, type MappedFilePlace } from './mapped-file-base.ts';

export class ChannelMappedFile extends MappedFileBase {
  readonly #buffers: AppendBuffers;
  /** The piece that is appended to. */
  #current: AppendPiece | undefined;
  /** Pieces of this file that may hold unwritten bytes, in the order of the log; the current one is the last. */
  readonly #unwritten: AppendPiece[] = [];
  /** End of the bytes that were really appended; wrotePosition is beyond it once the file was closed by a BLANK. */
  #appendedPosition = 0;
  #reserved = 0;

  constructor(place: MappedFilePlace, buffers: AppendBuffers) {
    super(place);
    this.#buffers = buffers;
  }

  reserve(size: number): boolean {
    const piece = this.#current;
    if (piece === undefined || piece.used + size > piece.buffer.length) return this.#reserveInNextPiece(size);
    this.target = piece.buffer;
    this.targetStart = piece.used;
    this.#reserved = size;
    return true;
  }

  #reserveInNextPiece(size: number): boolean {
    if (size > this.fileSize - this.wrotePosition) throw new RangeError('reserve: more than the file has room for');
    const piece = this.#buffers.take(size, this.fileFromOffset + this.wrotePosition);
    if (piece === undefined) return false;
    this.#closeCurrent();
    this.#current = piece;
    this.#unwritten.push(piece);
    this.target = piece.buffer;
    this.targetStart = 0;
    this.#reserved = size;
    return true;
  }

  advance(size: number, end = false): void {
    if (size > this.#reserved || size > this.fileSize - this.wrotePosition) {
      throw new RangeError('advance: more than was reserved');
    }
    this.#reserved = 0;
    if (size > 0) this.#current!.used += size;
    this.wrotePosition += size;
    this.#appendedPosition = this.wrotePosition;
    if (end) this.wrotePosition = this.fileSize;
    // A piece of its own takes one record. While it is open it counts against the next such record, which it must not
    // once it is written.
    if (this.wrotePosition === this.fileSize || this.#current?.dedicated === true) this.#closeCurrent();
  }

  #closeCurrent(): void {
    const piece = this.#current;
    if (piece === undefined) return;
    this.#current = undefined;
    piece.open = false;
    if (piece.committed === piece.used) this.#dropWritten();
  }

  protected async writeOut(from: number, _to: number, durably: boolean): Promise<boolean> {
    const views: Buffer[] = [];
    const ends: number[] = [];
    for (const piece of this.#unwritten) {
      if (piece.used > piece.committed) views.push(piece.buffer.subarray(piece.committed, piece.used));
      ends.push(piece.used);
    }
    const pieces = this.#unwritten.slice();
    // Closing a file can move wrotePosition without a byte appended.
    const onDisk = views.length > 0 && (await this.writePieces(views, from, durably));
    for (let index = 0; index < pieces.length; index++) pieces[index]!.committed = ends[index]!;
    this.#dropWritten();
    return onDisk;
  }

  protected override writeOutNow(file: StoreFile, from: number): boolean {
    const [piece] = this.#unwritten;
    // The end of one piece and the beginning of the next are two calls, which is no small write.
    if (piece === undefined || this.#unwritten.length > 1) return false;
    const { used } = piece;
    if (!file.writeNow!(piece.buffer.subarray(piece.committed, used), from)) return false;
    piece.committed = used;
    this.#dropWritten();
    return true;
  }

  #dropWritten(): void {
    while (this.#unwritten.length > 0) {
      const piece = this.#unwritten[0]!;
      if (piece.open || piece.committed !== piece.used) return;
      this.#unwritten.shift();
      this.#buffers.written(piece);
    }
  }

  selectHot(position: number, size: number): Buffer | undefined {
    return this.#buffers.find(this.fileFromOffset + position, size);
  }

  protected copyUncommitted(target: Buffer, position: number): number {
    const end = position + target.length;
    const from = Math.max(position, this.committedPosition);
    if (from >= end) return 0;
    // Behind the last appended byte of a closed file there are the zeros it was allocated (or cut) with.
    if (end > this.#appendedPosition) target.fill(0, Math.max(from, this.#appendedPosition) - position);
    for (const piece of this.#unwritten) {
      const pieceFrom = piece.logOffset - this.fileFromOffset;
      const start = Math.max(from, pieceFrom);
      const stop = Math.min(end, pieceFrom + piece.used);
      if (start < stop) piece.buffer.copy(target, start - position, start - pieceFrom, stop - pieceFrom);
    }
    return end - from;
  }

  protected dropMemory(position: number): void {
    this.#current = undefined;
    this.#unwritten.length = 0;
    this.#reserved = 0;
    this.#appendedPosition = position;
    this.#buffers.forget(this.fileFromOffset + position, this.fileFromOffset + this.fileSize);
  }
}
