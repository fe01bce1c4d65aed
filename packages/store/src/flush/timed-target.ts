import type { Clock } from '../base/clock.ts';
import type { Histogram } from '../base/metrics.ts';
import type { FlushTarget } from './flush-target.ts';

/** `target` as the flush services see it, with the time of each flush that moved something in `flushTimeMs`. */
export function timedTarget(
  target: Required<FlushTarget>,
  clock: Clock,
  flushTimeMs: Histogram,
): Required<FlushTarget> {
  return {
    get maxOffset() {
      return target.maxOffset;
    },
    get committedWhere() {
      return target.committedWhere;
    },
    get flushedWhere() {
      return target.flushedWhere;
    },
    commit: (leastPages) => target.commit(leastPages),
    commitNow: (bytesMax) => target.commitNow(bytesMax),
    flush: async (leastPages) => {
      const start = clock.monotonic();
      const nothingAdvanced = await target.flush(leastPages);
      if (!nothingAdvanced) flushTimeMs.record(clock.monotonic() - start);
      return nothingAdvanced;
    },
  };
}
