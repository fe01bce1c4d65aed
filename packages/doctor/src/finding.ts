/**
 * What verify found. A fault is something that a reader, a query or a restart would stumble over; a note is worth
 * knowing and harms nobody (leftovers of a crash that the next start removes, messages of deleted topics).
 */
export type Severity = 'fault' | 'note';

/** Which part of the store a finding is about. */
export type FindingKind =
  | 'log-file'
  | 'log-record'
  | 'log-field'
  | 'log-tail'
  | 'queue-file'
  | 'queue-entry'
  | 'queue-missing-entry'
  | 'queue-dangling-entry'
  | 'queue-order'
  | 'index-file'
  | 'index-header'
  | 'index-slot'
  | 'index-entry'
  | 'index-missing-entry'
  | 'checkpoint'
  | 'config'
  | 'timer'
  | 'repair';

export interface Finding {
  severity: Severity;
  kind: FindingKind;
  /** Path below the store's root. */
  file: string;
  /** Byte of that file at which the wrong thing starts, and how many bytes it covers. */
  offset: number;
  length: number;
  expected: string;
  found: string;
  /** What it means, in one sentence. */
  message: string;
  topic?: string;
  queueId?: number;
  queueOffset?: number;
  /** Offset in the log of the record it is about. */
  logOffset?: number;
  /** Of a log-field whose right value is known, `expected`: which one. */
  field?: 'topic' | 'queueId' | 'queueOffset' | 'port';
  /** Another place that may be the wrong one instead. */
  orElse?: { file: string; offset: number; length: number };
}

export type NewFinding = Omit<Finding, 'severity'>;

/** Findings kept as they are; beyond that only counted, so that a store in shreds does not fill the memory. */
export const FINDINGS_MAX = 10_000;

/** Collects findings in the order in which they are made. */
export class Findings {
  readonly list: Finding[] = [];
  faults = 0;
  notes = 0;
  /** Faults by kind, those beyond FINDINGS_MAX included. */
  readonly faultsByKind = new Map<FindingKind, number>();

  fault(finding: NewFinding): void {
    this.faults++;
    this.faultsByKind.set(finding.kind, (this.faultsByKind.get(finding.kind) ?? 0) + 1);
    if (this.list.length < FINDINGS_MAX) this.list.push({ severity: 'fault', ...finding });
  }

  note(finding: NewFinding): void {
    this.notes++;
    if (this.list.length < FINDINGS_MAX) this.list.push({ severity: 'note', ...finding });
  }

  /** Found, but not in the list any more. */
  get omitted(): number {
    return this.faults + this.notes - this.list.length;
  }
}

/** `commitlog/00000000000000000000 at 4096, 120 bytes: … (expected A, found B)` */
export function findingText(finding: Finding): string {
  const { file, offset, length, message, expected, found } = finding;
  const where = length > 0 ? `${file} at ${offset}, ${length} bytes` : `${file}`;
  const numbers = expected === '' && found === '' ? '' : ` (expected ${expected}, found ${found})`;
  const or = finding.orElse === undefined ? '' : `; or ${finding.orElse.file} at ${finding.orElse.offset}`;
  return `${finding.severity}  ${where}: ${message}${numbers}${or}`;
}
