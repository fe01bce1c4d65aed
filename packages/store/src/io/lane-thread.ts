/**
 * What a thread of the worker lane runs: waits, makes the blocking call it was told, reports, waits again.
 *
 * The function is sent to the thread as text, so that it needs no file beside it (sources, a build and a bundle all run
 * alike). It therefore uses nothing but its parameters, and has no inner functions, which a transpiler may rename.
 */
import type { Command, Control, LaneMessage, Parameter } from './lane-message.ts';

export interface LaneThreadData {
  memory: SharedArrayBuffer;
  Command: typeof Command;
  Control: typeof Control;
  Parameter: typeof Parameter;
}

function laneThread(threads: typeof import('node:worker_threads'), fs: typeof import('node:fs')): void {
  const { memory, Command, Control, Parameter } = threads.workerData as LaneThreadData;
  const port = threads.parentPort!;
  const control = new Int32Array(memory, 0, Control.words);
  const parameters = new Float64Array(memory, Control.words * Int32Array.BYTES_PER_ELEMENT);
  const slots: LaneMessage[] = [];
  // For an error that carries no number of its own.
  const EIO = 5;
  let seen = 0;
  for (;;) {
    Atomics.wait(control, Control.requested, seen);
    const requested = Atomics.load(control, Control.requested);
    if (requested === seen) continue;
    const command = Atomics.load(control, Control.command);
    if (command === Command.exit) return;
    let errno = 0;
    try {
      const fd = parameters[Parameter.fd]!;
      if (command === Command.sync) {
        fs.fdatasyncSync(fd);
      } else {
        // Buffers are announced before the first command that names them.
        for (;;) {
          const received = threads.receiveMessageOnPort(port) as { message: LaneMessage } | undefined;
          if (received === undefined) break;
          slots[received.message.slot] = received.message;
        }
        let position = parameters[Parameter.position]!;
        let pieces: Uint8Array[] = [];
        const count = parameters[Parameter.count]!;
        for (let index = 0; index < count; index++) {
          const at = Parameter.pieces + index * Parameter.pieceWords;
          const slot = slots[parameters[at]!]!;
          pieces.push(new Uint8Array(slot.memory, parameters[at + 1]! - slot.base, parameters[at + 2]!));
        }
        // Short writes are continued where they stopped.
        while (pieces.length > 0) {
          let written = fs.writevSync(fd, pieces, position);
          if (written === 0) throw new Error('a write took no bytes');
          position += written;
          const rest: Uint8Array[] = [];
          for (const part of pieces) {
            if (written >= part.length) {
              written -= part.length;
            } else {
              rest.push(part.subarray(written));
              written = 0;
            }
          }
          pieces = rest;
        }
      }
    } catch (error) {
      errno = Math.abs((error as NodeJS.ErrnoException).errno ?? EIO);
    }
    Atomics.store(control, Control.errno, errno);
    seen = requested;
    Atomics.store(control, Control.completed, requested);
    Atomics.notify(control, Control.completed);
  }
}

/** Program text for `new Worker(text, { eval: true })`. */
export const laneThreadProgram = `(${laneThread.toString()})(require('node:worker_threads'), require('node:fs'));`;
