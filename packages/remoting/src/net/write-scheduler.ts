/** Something with commands to write at the end of the turn. */
export interface Writer {
  flush(): void;
}

let writers: Writer[] = [];
let scheduled = false;

/**
 * Calls `flush` of every writer once, in the check phase that follows the present turn of the event loop: whatever all
 * handlers, completions and timers of this turn answered leaves in one write a connection.
 */
export function flushAtEndOfTurn(writer: Writer): void {
  writers.push(writer);
  if (!scheduled) {
    scheduled = true;
    setImmediate(flushAll);
  }
}

function flushAll(): void {
  const due = writers;
  writers = [];
  scheduled = false;
  for (const writer of due) writer.flush();
}
