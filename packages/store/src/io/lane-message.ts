/**
 * The memory a lane thread shares with the main thread. `requested` counts commands, `completed` the ones that are
 * done; each is stored last and notified, so that whoever sees it also sees the fields it covers.
 *
 * | Int32 word | field                                   |
 * |------------|-----------------------------------------|
 * | 0          | requested                               |
 * | 1          | completed                               |
 * | 2          | command                                 |
 * | 3          | errno of the completed command, 0 = ok  |
 *
 * | Float64 word after these | field                          |
 * |--------------------------|--------------------------------|
 * | 0                        | fd                             |
 * | 1                        | position                       |
 * | 2                        | count of pieces                |
 * | 3 + 3 × n                | slot, byte offset, byte length |
 */
export const Control = { requested: 0, completed: 1, command: 2, errno: 3, words: 4 } as const;
export const Parameter = { fd: 0, position: 1, count: 2, pieces: 3, pieceWords: 3 } as const;
export const Command = { write: 1, sync: 2, exit: 3 } as const;

/** Buffers a thread keeps at hand; twice the pieces of one command, so that naming new ones never evicts its own. */
export const BUFFER_SLOTS = 64;

/** Sent before the first command that names `slot`. `base` is the byte offset that the first byte of memory stands for. */
export interface LaneMessage {
  slot: number;
  memory: ArrayBufferLike;
  base: number;
}

export function controlBytes(piecesMax: number): number {
  return (
    Control.words * Int32Array.BYTES_PER_ELEMENT +
    (Parameter.pieces + Parameter.pieceWords * piecesMax) * Float64Array.BYTES_PER_ELEMENT
  );
}
