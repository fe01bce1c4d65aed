import type { FileSystem } from '../../../packages/store/src/io/file-system.ts';
import { type IoLane, PoolLane } from '../../../packages/store/src/io/io-lane.ts';
import { loadNative, type Native } from '../../../packages/store/src/io/native.ts';
import { NodeFileSystem } from '../../../packages/store/src/io/node-file-system.ts';

/**
 * Faults that the crash tests put into a writer to show that they would notice them. Nothing outside of the tests knows
 * of these; a store without one gets its own file system.
 * - `never-flush`: fdatasync and msync of the log report success and do nothing.
 * - `flush-later`: they report success at once and do their work 150 ms later, as a disk that lies does.
 */
export type Mutation = 'never-flush' | 'flush-later';

const LATER_MS = 150;

function mutated(mutation: Mutation, flush: () => Promise<void>): Promise<void> {
  // A failure of the late flush is a store that is gone by then; there is nobody left to tell.
  if (mutation === 'flush-later') setTimeout(() => flush().catch(() => {}), LATER_MS);
  return Promise.resolve();
}

export function mutatedFileSystem(mutation: Mutation): FileSystem {
  const real = new PoolLane();
  const lane: IoLane = {
    kind: 'pool',
    times: real.times,
    write: (fd, file, pieces, position) => real.write(fd, file, pieces, position),
    sync: (fd, file) => mutated(mutation, () => real.sync(fd, file)),
    inFlight: () => real.inFlight(),
    close: () => real.close(),
  };
  const native = loadNative();
  if (native) mutateMappings(mutation, native);
  return new NodeFileSystem({ lane });
}

/** In place: the process has one object for its native calls, and whoever maps files asks for it anew. */
function mutateMappings(mutation: Mutation, native: Native): void {
  const reserveWindow = native.reserveWindow.bind(native);
  native.reserveWindow = (length) => {
    const window = reserveWindow(length);
    const sync = window.sync.bind(window);
    window.sync = (start, size) => mutated(mutation, () => sync(start, size));
    return window;
  };
}
