/**
 * A simulated disk and simulated time for a store, and random histories with crashes on them. For tests; no package that
 * users install depends on it.
 *
 * `SimulatedFileSystem` keeps what is written apart from what is durable; `crash(seed)` gives what a power cut would leave.
 * `Scheduler` runs timers and disk calls in an order that a seed decides; `ManualClock` is a clock that stands until a test
 * moves it. `torture` runs whole histories, `crashAt` stops at a named step (`FAILPOINTS`).
 *
 * Caveats: the disk is a model. It tears writes at sectors and forgets unsynced names, as the file systems do that it was
 * compared with; it knows no device that lies about a flush.
 */
export type { RunCounters } from './counters.ts';
export type { Front, FrontOfHistory } from './front.ts';
export { QueueKinds } from './queue-kinds.ts';
export { type HistoryKind, replayCommand } from './replay.ts';
export { Scheduler } from './scheduler.ts';
export { SIMULATED_ENGINES, type SimulatedEngine } from './settings.ts';
export { type Crash, crashAt, FAILPOINTS, type FailpointName } from './simulation/failpoints.ts';
export { ManualClock, settle } from './simulation/manual-clock.ts';
export { type CrashOptions, SECTOR_BYTES, seededRandom } from './simulation/simulated-file.ts';
export {
  type CallDetail,
  type CallHook,
  type FaultRule,
  type Held,
  SimulatedFileSystem,
  type SimulatedFileSystemOptions,
  type SimulatedOperation,
} from './simulation/simulated-file-system.ts';
export {
  CRASHES_PER_SEED,
  type TortureFailure,
  type TortureOptions,
  type TortureResult,
  torture,
} from './torture.ts';
export { Violation } from './violation.ts';
