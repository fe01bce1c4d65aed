/**
 * The lane with threads of its own: one writes, one syncs, so that they overlap, and the host's work on libuv's threads
 * delays neither. Each thread sleeps in Atomics.wait and costs nothing while idle.
 *
 * A call is a few numbers in shared memory (lane-message.ts) and one notify. Completion comes back by
 * Atomics.waitAsync, which measured a little below a MessagePort (17–18 µs a round trip against 18–19, as libuv's pool).
 * Append buffers are shared memory too: the thread is told of each once, by message, and reads it in place afterwards.
 */
import { Worker } from 'node:worker_threads';
import type { InFlightOperation } from '../base/file-system.ts';
import { type IoLane, type LaneOperation, type LaneTimes, SerialCalls } from './io-lane.ts';
import { BUFFER_SLOTS, Command, Control, controlBytes, type LaneMessage, Parameter } from './lane-message.ts';
import { type LaneThreadData, laneThreadProgram } from './lane-thread.ts';
import { errnoError } from './native.ts';

/** The largest number of pieces one command can name; more are written by several commands. */
const PIECES_MAX = 32;

class LaneThread {
  readonly #worker: Worker;
  readonly #control: Int32Array;
  readonly #parameters: Float64Array;
  /** The shared buffers the thread knows, by slot; the same table exists over there. */
  readonly #slots: (ArrayBufferLike | undefined)[] = new Array(BUFFER_SLOTS).fill(undefined);
  #nextSlot = 0;
  #sequence = 0;
  #died: Error | undefined;
  #done: ((error: unknown) => void) | undefined;
  readonly #exited: Promise<void>;

  constructor(name: string) {
    const memory = new SharedArrayBuffer(controlBytes(PIECES_MAX));
    this.#control = new Int32Array(memory, 0, Control.words);
    this.#parameters = new Float64Array(memory, Control.words * Int32Array.BYTES_PER_ELEMENT);
    const workerData: LaneThreadData = { memory, Command, Control, Parameter };
    this.#worker = new Worker(laneThreadProgram, { eval: true, name, workerData, execArgv: [], env: {} });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#lost(new Error(`the ${name} thread of the commit log ended`));
        resolve();
      });
    });
    this.#worker.on('error', (error) => this.#lost(error));
    // A thread that waits must not keep the process alive; a call under way must (see call()).
    this.#worker.unref();
  }

  /** One call at a time: the caller is a SerialCalls. */
  sync(fd: number, done: (error: unknown) => void): void {
    this.#parameters[Parameter.fd] = fd;
    this.#call(Command.sync, 'fdatasync', done);
  }

  write(fd: number, pieces: readonly Uint8Array[], position: number, done: (error: unknown) => void): void {
    const now = pieces.length > PIECES_MAX ? pieces.slice(0, PIECES_MAX) : pieces;
    const rest = pieces.slice(now.length);
    let bytes = 0;
    this.#parameters[Parameter.fd] = fd;
    this.#parameters[Parameter.position] = position;
    this.#parameters[Parameter.count] = now.length;
    for (let index = 0; index < now.length; index++) {
      const piece = now[index]!;
      const at = Parameter.pieces + index * Parameter.pieceWords;
      this.#parameters[at] = this.#slotOf(piece);
      this.#parameters[at + 1] = piece.byteOffset;
      this.#parameters[at + 2] = piece.length;
      bytes += piece.length;
    }
    this.#call(Command.write, 'write', (error) => {
      if (error || rest.length === 0) done(error);
      else this.write(fd, rest, position + bytes, done);
    });
  }

  async close(): Promise<void> {
    this.#worker.ref();
    this.#command(Command.exit);
    await this.#exited;
  }

  /** The number of the table entry that holds this piece's memory, told to the thread first when it is new. */
  #slotOf(piece: Uint8Array): number {
    const shared = piece.buffer instanceof SharedArrayBuffer;
    let slot = shared ? this.#slots.indexOf(piece.buffer) : -1;
    if (slot >= 0) return slot;
    slot = this.#nextSlot;
    this.#nextSlot = (slot + 1) % BUFFER_SLOTS;
    // Memory that is not shared is sent as a copy of the piece, good for this one command; `base` undoes the offset.
    this.#slots[slot] = shared ? piece.buffer : undefined;
    if (shared) {
      this.#worker.postMessage({ slot, memory: piece.buffer, base: 0 } satisfies LaneMessage);
    } else {
      const copy = new Uint8Array(piece);
      this.#worker.postMessage({ slot, memory: copy.buffer, base: piece.byteOffset } satisfies LaneMessage, [
        copy.buffer,
      ]);
    }
    return slot;
  }

  #call(command: number, syscall: string, done: (error: unknown) => void): void {
    if (this.#died !== undefined) {
      queueMicrotask(() => done(this.#died));
      return;
    }
    this.#done = done;
    this.#worker.ref();
    const sequence = this.#sequence;
    const waiting = Atomics.waitAsync(this.#control, Control.completed, sequence);
    this.#command(command);
    const completed = (): void => {
      const settle = this.#done;
      if (settle === undefined) return;
      this.#done = undefined;
      this.#worker.unref();
      const errno = Atomics.load(this.#control, Control.errno);
      settle(errno === 0 ? undefined : errnoError(errno, syscall));
    };
    if (waiting.async) waiting.value.then(completed);
    else queueMicrotask(completed);
  }

  #command(command: number): void {
    this.#sequence = (this.#sequence + 1) | 0;
    Atomics.store(this.#control, Control.command, command);
    Atomics.store(this.#control, Control.requested, this.#sequence);
    Atomics.notify(this.#control, Control.requested);
  }

  #lost(error: Error): void {
    this.#died ??= error;
    const done = this.#done;
    this.#done = undefined;
    done?.(this.#died);
  }
}

export class WorkerLane implements IoLane {
  readonly kind = 'worker';
  readonly times: Record<LaneOperation, LaneTimes>;
  readonly #writes = new SerialCalls('write');
  readonly #syncs = new SerialCalls('sync');
  readonly #writer = new LaneThread('vernier-write');
  readonly #syncer = new LaneThread('vernier-sync');
  #closed: Promise<void> | undefined;

  constructor() {
    this.times = { write: this.#writes.times, sync: this.#syncs.times };
  }

  write(fd: number, file: string, pieces: readonly Uint8Array[], position: number): Promise<void> {
    return this.#writes.run(file, (done) => this.#writer.write(fd, pieces, position, done));
  }

  writeDurably(fd: number, file: string, pieces: readonly Uint8Array[], position: number): Promise<void> {
    return this.#syncs.run(file, (done) => this.#syncer.write(fd, pieces, position, done));
  }

  sync(fd: number, file: string): Promise<void> {
    return this.#syncs.run(file, (done) => this.#syncer.sync(fd, done));
  }

  inFlight(): InFlightOperation[] {
    return [...this.#writes.inFlight(), ...this.#syncs.inFlight()].sort((a, b) => b.sinceMs - a.sinceMs);
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.all([this.#writes.whenIdle(), this.#syncs.whenIdle()]);
      await Promise.all([this.#writer.close(), this.#syncer.close()]);
    })();
    return this.#closed;
  }
}
