import type { Duration, Timestamp } from './messages.ts';

/** A 64-bit number as protobufjs gives it. */
export type Int64 = number | { toNumber(): number };

/** Exact to 2^53; what is larger is rounded, and refused by whoever looks at it. */
export const numberOf = (value: Int64 | null | undefined): number =>
  typeof value === 'number' ? value : (value?.toNumber() ?? 0);

/** Milliseconds; a fraction of one is dropped. 0 for none. */
export const millisecondsOf = (time: Timestamp | Duration | null | undefined): number =>
  numberOf(time?.seconds) * 1_000 + Math.trunc((time?.nanos ?? 0) / 1_000_000);

/** A Duration, or the Timestamp of so many Unix milliseconds. */
export function timeOf(milliseconds: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: (milliseconds - seconds * 1_000) * 1_000_000 };
}

const SECONDS_MIN = -62_135_596_800;
const SECONDS_MAX = 253_402_300_799;

/** Within the years 1 to 9999, as protobuf has it. */
export const isTimestamp = (time: Timestamp | null | undefined): time is Timestamp => {
  if (time === null || time === undefined) return false;
  const [seconds, nanos] = [numberOf(time.seconds), time.nanos ?? 0];
  return seconds >= SECONDS_MIN && seconds <= SECONDS_MAX && nanos >= 0 && nanos < 1_000_000_000;
};
