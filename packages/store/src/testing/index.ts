export { ManualClock, settle } from './manual-clock.ts';
export { SECTOR_BYTES, seededRandom } from './simulated-file.ts';
export {
  type FaultRule,
  type Held,
  SimulatedFileSystem,
  type SimulatedFileSystemOptions,
  type SimulatedOperation,
} from './simulated-file-system.ts';
