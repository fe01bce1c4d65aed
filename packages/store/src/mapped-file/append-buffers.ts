/**
 * The memory of the channel engine: a ring of equal pieces that all files of one log share.
 *
 *     ┌────────────┬────────────┬────────────┬────────────┐
 *     │ written    │ written    │ being      │ appended to│  the next piece to take is the oldest,
 *     │ (hot tail) │ (hot tail) │ written    │  ▓▓▓░░░░░░ │  and only when all of it is written
 *     └────────────┴────────────┴────────────┴────────────┘
 *
 * - A piece holds one run of the log, of one file, without holes.
 * - 0 ≤ committed ≤ used ≤ buffer.length; it may be taken again only when committed = used and no file appends to it.
 * - Until taken again its bytes serve readers at the tail.
 *
 * The pieces are shared memory, so that a lane's thread writes them in place.
 */
export interface AppendPiece {
  readonly buffer: Buffer;
  /** Made for one record larger than a piece; not part of the ring, gone once written. */
  readonly dedicated: boolean;
  /** Offset in the log of the buffer's first byte. */
  logOffset: number;
  /** Bytes appended. */
  used: number;
  /** Bytes written. */
  committed: number;
  /** A file appends to it. */
  open: boolean;
}

const PIECE_BYTES_MAX = 2 * 1024 * 1024;
const PIECE_BYTES_MIN = 64 * 1024;
/** The fewest pieces that let one be appended to while another is written. */
const PIECES_MIN = 2;
/** Up to here the ring grows whether it has to or not, so that readers find the tail in memory: 6 MiB of pieces of full size. */
const PIECES_KEPT = 3;

export class AppendBuffers {
  readonly pieceBytes: number;
  readonly #piecesMax: number;
  readonly #dedicatedBytesMax: number;
  readonly #ring: AppendPiece[] = [];
  #next = 0;
  readonly #dedicated = new Set<AppendPiece>();
  #dedicatedBytes = 0;

  /** `totalBytes` is config.appendBufferSize; memory is taken piece by piece, when what is there is not written yet. */
  constructor(totalBytes: number, fileSize: number) {
    const wanted = Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, Math.floor(totalBytes / 8)));
    this.pieceBytes = Math.min(wanted, Math.max(PIECE_BYTES_MIN, fileSize));
    this.#piecesMax = Math.max(PIECES_MIN, Math.floor(totalBytes / this.pieceBytes));
    this.#dedicatedBytesMax = totalBytes;
  }

  /** A piece with room for `size` bytes; undefined while everything holds bytes that are not written. */
  take(size: number, logOffset: number): AppendPiece | undefined {
    if (size > this.pieceBytes) return this.#takeDedicated(size, logOffset);
    const piece = this.#takeOldest() ?? this.#addPiece();
    if (piece === undefined) return undefined;
    begin(piece, logOffset);
    return piece;
  }

  /** Called when the last byte of a closed piece is written. */
  written(piece: AppendPiece): void {
    if (this.#dedicated.delete(piece)) this.#dedicatedBytes -= piece.buffer.length;
  }

  /** A view of [logOffset, logOffset + size) if one piece holds it all. */
  find(logOffset: number, size: number): Buffer | undefined {
    for (const piece of this.#ring) {
      const start = logOffset - piece.logOffset;
      if (start >= 0 && start + size <= piece.used) return piece.buffer.subarray(start, start + size);
    }
    for (const piece of this.#dedicated) {
      const start = logOffset - piece.logOffset;
      if (start >= 0 && start + size <= piece.used) return piece.buffer.subarray(start, start + size);
    }
    return undefined;
  }

  /** Drops what is held of [from, to): those bytes are cut from the log or their file is gone. */
  forget(from: number, to: number): void {
    for (const piece of [...this.#ring, ...this.#dedicated]) {
      if (piece.logOffset >= to || piece.logOffset + piece.used <= from) continue;
      begin(piece, piece.logOffset);
      piece.open = false;
      this.written(piece);
    }
  }

  /** Undefined while the ring is small, or the oldest piece is needed. */
  #takeOldest(): AppendPiece | undefined {
    if (this.#ring.length < Math.min(PIECES_KEPT, this.#piecesMax)) return undefined;
    const piece = this.#ring[this.#next]!;
    if (piece.open || piece.committed !== piece.used) return undefined;
    this.#next = (this.#next + 1) % this.#ring.length;
    return piece;
  }

  /** Behind the newest piece, which is in front of the oldest. Undefined when there are as many as the budget has room for. */
  #addPiece(): AppendPiece | undefined {
    if (this.#ring.length >= this.#piecesMax) return undefined;
    const piece = newPiece(Buffer.from(new SharedArrayBuffer(this.pieceBytes)), false);
    this.#ring.splice(this.#next, 0, piece);
    this.#next = (this.#next + 1) % this.#ring.length;
    return piece;
  }

  /** One record larger than a piece is let through whatever it needs; several share the ring's budget. */
  #takeDedicated(size: number, logOffset: number): AppendPiece | undefined {
    if (this.#dedicated.size > 0 && this.#dedicatedBytes + size > this.#dedicatedBytesMax) return undefined;
    const piece = newPiece(Buffer.allocUnsafeSlow(size), true);
    begin(piece, logOffset);
    this.#dedicated.add(piece);
    this.#dedicatedBytes += size;
    return piece;
  }
}

function newPiece(buffer: Buffer, dedicated: boolean): AppendPiece {
  return { buffer, dedicated, logOffset: 0, used: 0, committed: 0, open: false };
}

function begin(piece: AppendPiece, logOffset: number): void {
  piece.logOffset = logOffset;
  piece.used = 0;
  piece.committed = 0;
  piece.open = true;
}
