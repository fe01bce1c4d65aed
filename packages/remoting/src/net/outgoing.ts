import type { Duplex } from 'node:stream';
import { RemotingError } from '../errors.ts';
import { bodyBytes, type FrameEncoder } from '../protocol/frame-encoder.ts';
import type { RemotingCommand } from '../protocol/remoting-command.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { ConnectionLimits } from './types.ts';
import { flushAtEndOfTurn, type Writer } from './write-scheduler.ts';

/** What the outgoing side of a connection needs of it. */
export interface OutgoingOwner {
  readonly remoteAddress: string;
  /** A command cannot be written as it is: appends another in its place, or tells who sent it. */
  cannotEncode(command: RemotingCommand, error: RemotingError): void;
  /** Something else went wrong while frames were made or written. */
  failed(cause: unknown): void;
  /** Bytes have been queued or have left. */
  outgoingChanged(): void;
}

interface Reservation {
  bytes: number;
  resolve: () => void;
  reject: (error: RemotingError) => void;
}

/** A command's header and bookkeeping, roughly: what a queued command without a body counts for. */
const COMMAND_BYTES = 256;
/**
 * What is given to the socket at once. Everything usual is less; of more, the rest waits here, so that it shows how much
 * of a large answer the peer has taken.
 */
const STAGE_BYTES = 256 * 1024;
/** What a connection may have waiting however little is left of the budget. */
const MARK_MIN = 64 * 1024;

/**
 * What leaves on a connection:
 *
 *   send → [queue] → encoded at the end of the turn → [backlog] → 256 KiB at a time → socket → kernel
 *
 * It counts what waits, for its own mark and for the budget of all connections. Whoever is about to make a large answer
 * reserves room for it first.
 */
export class Outgoing implements Writer {
  #socket: Duplex;
  /** Given with the last piece of a write to a socket that never takes it at once: TLS. Nothing else tells that it has. */
  #whenTaken: (() => void) | undefined;
  readonly #owner: OutgoingOwner;
  readonly #encoder: FrameEncoder;
  readonly #frameBytesMax: number;
  readonly #pauseBytes: number;
  readonly #budget: ByteBudget;
  #queue: RemotingCommand[] = [];
  #queuedBytes = 0;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  /** Bytes encoded since the connection began. */
  #handedBytes = 0;
  /** Room reserved and not used yet. */
  #reservedBytes = 0;
  /** What of all this the budget knows. */
  #countedBytes = 0;
  readonly #waiting: Reservation[] = [];
  #leaveBudgetQueue: (() => void) | undefined;
  #closed = false;

  /** `encoder` is used within one call and may be shared. */
  constructor(
    owner: OutgoingOwner,
    socket: Duplex,
    encoder: FrameEncoder,
    limits: Pick<ConnectionLimits, 'frameBytesMax' | 'outgoingBytesPause'>,
    budget: ByteBudget,
  ) {
    this.#owner = owner;
    this.#socket = socket;
    this.use(socket);
    this.#encoder = encoder;
    this.#frameBytesMax = limits.frameBytesMax;
    this.#pauseBytes = limits.outgoingBytesPause;
    this.#budget = budget;
  }

  /** Writes to `socket` from here on. Nothing has been written to the one before. */
  use(socket: Duplex): void {
    this.#socket = socket;
    this.#whenTaken = 'encrypted' in socket ? this.#onTaken : undefined;
  }

  /** Bytes that the kernel has not taken yet. */
  get bytes(): number {
    return this.#queuedBytes + this.#backlogBytes + this.#socket.writableLength;
  }

  /** Bytes that the kernel has taken since the connection began. */
  get takenBytes(): number {
    return this.#handedBytes - this.#backlogBytes - this.#socket.writableLength;
  }

  /**
   * More waits, or is promised, than this connection should have: at most its own limit, and less when all together are
   * near the budget, so that those who do not read leave room for those who do.
   */
  get isAboveMark(): boolean {
    return this.#waiting.length > 0 || this.bytes + this.#reservedBytes > this.#mark();
  }

  /** So little waits that the peer may ask for more. */
  get isBelowHalfMark(): boolean {
    return this.#waiting.length === 0 && this.bytes + this.#reservedBytes <= this.#mark() / 2;
  }

  send(command: RemotingCommand): void {
    if (this.#queue.length === 0) flushAtEndOfTurn(this);
    this.#queue.push(command);
    this.#queuedBytes += COMMAND_BYTES + bodyBytes(command);
    if (command.reservedBytes !== undefined) this.#reservedBytes -= command.reservedBytes;
    if (this.#queuedBytes > this.#pauseBytes / 4) this.#changed();
  }

  /**
   * Room for an answer of so many bytes. Undefined: it is there. Otherwise a promise of it, which rejects with
   * REMOTING_CONNECTION_CLOSED. Answers are let through in the order in which room was asked for.
   */
  reserve(bytes: number): Promise<void> | undefined {
    if (this.#closed) return Promise.reject(this.#closedError());
    if (this.#waiting.length === 0 && this.#mayTake(bytes)) {
      this.#take(bytes);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject });
      this.#grant();
      this.#changed();
    });
  }

  /** Gives back room that no answer used. */
  unreserve(bytes: number): void {
    if (this.#closed || bytes === 0) return;
    this.#reservedBytes -= bytes;
    this.#changed();
  }

  /** Bytes an answer under way may take, as far as that is known beforehand. Negative when it is made. */
  promise(bytes: number): void {
    if (this.#closed) return;
    this.#reservedBytes += bytes;
    this.#changed();
  }

  /** Encodes everything queued and hands it to the socket, as one write if it is as little as usual. */
  flush(): void {
    const queue = this.#queue;
    if (queue.length === 0) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#closed) return;
    try {
      this.#write(queue);
    } catch (error) {
      // What was encoded of the frames that do not go is not to stand before another connection's.
      this.#encoder.take();
      this.#owner.failed(error);
    }
  }

  /** The socket has taken what it was given. */
  drained(): void {
    this.#pump();
    this.#changed();
  }

  /** Hands over all that waits, for a socket that is about to be ended. */
  finish(): void {
    this.flush();
    for (const piece of this.#backlog) this.#socket.write(piece);
    this.#backlog = [];
    this.#backlogBytes = 0;
  }

  /** Drops what waits. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.#reservedBytes = 0;
    this.#leaveBudgetQueue?.();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#closedError());
    this.#budget.give(this.#countedBytes);
    this.#countedBytes = 0;
  }

  #write(queue: readonly RemotingCommand[]): void {
    for (const command of queue) this.#encode(command);
    const pieces = this.#encoder.take();
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    this.#handedBytes += bytes;
    const socket = this.#socket;
    if (this.#backlogBytes > 0 || bytes > STAGE_BYTES) {
      for (const piece of pieces) this.#backlog.push(piece);
      this.#backlogBytes += bytes;
      this.#pump();
    } else if (pieces.length === 1) {
      socket.write(pieces[0], this.#whenTaken);
    } else if (pieces.length > 1) {
      const last = pieces.length - 1;
      socket.cork();
      for (let index = 0; index < last; index++) socket.write(pieces[index]);
      socket.write(pieces[last], this.#whenTaken);
      socket.uncork();
    }
    // With nothing left in the stream the kernel has taken all of it, and the slab is free again.
    if (socket.writableLength === 0 && this.#backlogBytes === 0) {
      this.#encoder.recycle();
      for (const command of queue) command.release?.();
    }
    this.#changed();
  }

  #encode(command: RemotingCommand): void {
    try {
      this.#encoder.append(command, this.#frameBytesMax);
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      this.#owner.cannotEncode(command, error);
    }
  }

  /** Gives the socket of the backlog what it may have. */
  #pump(): void {
    const socket = this.#socket;
    while (this.#backlogBytes > 0 && socket.writableLength === 0 && !this.#closed) {
      let room = STAGE_BYTES;
      let index = 0;
      socket.cork();
      while (room > 0 && index < this.#backlog.length) {
        const piece = this.#backlog[index] as Uint8Array;
        if (piece.length > room) {
          socket.write(piece.subarray(0, room), this.#onTaken);
          this.#backlog[index] = piece.subarray(room);
          this.#backlogBytes -= room;
          room = 0;
        } else {
          room -= piece.length;
          index++;
          this.#backlogBytes -= piece.length;
          socket.write(piece, room === 0 || this.#backlogBytes === 0 ? this.#onTaken : undefined);
        }
      }
      this.#backlog.splice(0, index);
      socket.uncork();
    }
  }

  /** What was given to the socket last has been taken: a stream need not say that it has drained. */
  readonly #onTaken = (): void => this.drained();

  #mark(): number {
    const shared = (this.#budget.max - this.#budget.used) / 2;
    return Math.min(this.#pauseBytes, Math.max(MARK_MIN, shared));
  }

  /** One answer always has room of its own; a further one as long as it stays below the mark. */
  #hasRoom(bytes: number): boolean {
    const waiting = this.bytes + this.#reservedBytes;
    return waiting === 0 || waiting + bytes <= this.#mark();
  }

  #mayTake(bytes: number): boolean {
    return this.#hasRoom(bytes) && this.#budget.waiting === 0 && this.#budget.fits(bytes);
  }

  #take(bytes: number): void {
    this.#reservedBytes += bytes;
    this.#budget.take(bytes);
    this.#countedBytes += bytes;
  }

  /** Lets through who waits for room, the first one first. Only the first of a connection waits for the budget. */
  #grant(): void {
    while (this.#leaveBudgetQueue === undefined) {
      const first = this.#waiting[0];
      if (first === undefined || !this.#hasRoom(first.bytes)) return;
      if (this.#mayTake(first.bytes)) {
        this.#take(first.bytes);
        this.#admitFirst();
      } else {
        this.#leaveBudgetQueue = this.#budget.wait(first.bytes, () => {
          this.#leaveBudgetQueue = undefined;
          this.#reservedBytes += first.bytes;
          this.#countedBytes += first.bytes;
          this.#admitFirst();
          this.#grant();
        });
      }
    }
  }

  #admitFirst(): void {
    this.#waiting.shift()?.resolve();
  }

  #changed(): void {
    if (this.#closed) return;
    if (this.#waiting.length > 0) this.#grant();
    const bytes = this.bytes + this.#reservedBytes;
    const change = bytes - this.#countedBytes;
    this.#countedBytes = bytes;
    if (change > 0) this.#budget.take(change);
    else if (change < 0) this.#budget.give(-change);
    this.#owner.outgoingChanged();
  }

  #closedError(): RemotingError {
    const address = this.#owner.remoteAddress;
    return new RemotingError('REMOTING_CONNECTION_CLOSED', `connection to ${address} is closed`, { address });
  }
}
