import type { FileSystem, OpenMode, StoreFile, Traffic } from '../../../packages/store/src/base/file-system.ts';
import { loadNative, type Native } from '../../../packages/store/src/io/native.ts';
import { NodeFileSystem } from '../../../packages/store/src/io/node-file-system.ts';

/**
 * Faults that the crash tests put into a writer to show that they would notice them. Nothing outside of the tests knows
 * of these; a store without one gets its own file system.
 * - `never-flush`: fdatasync and msync of a file report success and do nothing.
 * - `flush-later`: they report success at once and do their work up to 150 ms later, as a disk that lies does.
 */
export type Mutation = 'never-flush' | 'flush-later';

const LATER_MS = 150;

/** One late flush at a time: each covers all that was written before it, so that several would leave little undone. */
let isLateFlushDue = false;

function mutated(mutation: Mutation, flush: () => Promise<void>): Promise<void> {
  if (mutation === 'flush-later' && !isLateFlushDue) {
    isLateFlushDue = true;
    setTimeout(() => {
      isLateFlushDue = false;
      // A failure of the late flush is a store that is gone by then; there is nobody left to tell.
      flush().catch(() => {});
    }, LATER_MS);
  }
  return Promise.resolve();
}

class MutatedFileSystem extends NodeFileSystem {
  readonly #mutation: Mutation;

  constructor(mutation: Mutation) {
    super();
    this.#mutation = mutation;
  }

  override async open(path: string, mode: OpenMode, traffic?: Traffic): Promise<StoreFile> {
    const file = await super.open(path, mode, traffic);
    const realSync = file.sync.bind(file);
    const sync = () => mutated(this.#mutation, realSync);
    if (file.writeDurably === undefined) return Object.assign(file, { sync });
    // A write on an O_DSYNC descriptor flushes by itself; only as a write and a flush can the flush be taken out.
    const writeDurably: StoreFile['writeDurably'] = async (data, position) => {
      await file.write(data, position);
      await sync();
    };
    return Object.assign(file, { sync, writeDurably });
  }
}

export function mutatedFileSystem(mutation: Mutation): FileSystem {
  const native = loadNative();
  if (native) mutateMappings(mutation, native);
  return new MutatedFileSystem(mutation);
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
