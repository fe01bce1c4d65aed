export { type Crash, crashAt, FAILPOINTS, type FailpointName } from './failpoints.ts';
export { ManualClock, settle } from './manual-clock.ts';
export { type CrashOptions, SECTOR_BYTES, seededRandom } from './simulated-file.ts';
export {
  type CallDetail,
  type CallHook,
  type FaultRule,
  type Held,
  SimulatedFileSystem,
  type SimulatedFileSystemOptions,
  type SimulatedOperation,
} from './simulated-file-system.ts';
export type { RunCounters } from './torture/counters.ts';
export type { Front, FrontOfHistory } from './torture/front.ts';
export { Scheduler } from './torture/scheduler.ts';
export { SIMULATED_ENGINES, type SimulatedEngine } from './torture/settings.ts';
export {
  CRASHES_PER_SEED,
  type TortureFailure,
  type TortureOptions,
  type TortureResult,
  torture,
} from './torture/torture.ts';
export { Violation } from './torture/violation.ts';
