/**
 * Looks at RocketMQ stores, Vernier's and Java's, without opening them for writing: verify, inspect, dump, export; and
 * repairs what a person agreed to.
 *
 * Caveats: everything here reads files as they are, also beside a live broker; what a live broker has not written yet is
 * not seen. `applyRepair` is the only function that writes into a store; it takes the store's lock and keeps a copy of
 * every file that it changes.
 */

export type { IndexShape } from '@vernier/store/internal';
export { BodyUnpacker } from './bodies.ts';
export { DOCTOR_ERROR_CODES, DoctorError, type DoctorErrorCode } from './errors.ts';
export { type Finding, findingText } from './finding.ts';
export { type Inspection, inspectStore } from './inspect.ts';
export { fromExported, type ImportedMessage, toExported } from './jsonl.ts';
export { type Bound, selectMessages } from './messages.ts';
export { readQueueEntries } from './queue-entries.ts';
export { OpenFileCache } from './queue-reader.ts';
export { hexDump, type RawPiece, rawPieces } from './raw-records.ts';
export { applyRepair } from './repair-apply.ts';
export { planRepair, type RepairPlan, type RepairStep } from './repair-plan.ts';
export { commonSize, readLayout, type StoreLayout, shownPath } from './store-layout.ts';
export { type VerifyResult, verifyStore } from './verify.ts';
