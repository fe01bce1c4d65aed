import type { TextForm } from './key-spec.ts';

/** RocketMQ MessageStoreConfig.messageDelayLevel. */
export const DEFAULT_MESSAGE_DELAY_LEVEL = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h';

/** A queue and a follower each; RocketMQ has no bound. */
const LEVELS_MAX = 128;
/** Beyond it a time is no delay any more but a mistake in the unit. */
const DELAY_MS_MAX = 366 * 86_400_000;
const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of each level, the first one first; or what is wrong with the text. */
export function parseDelayLevels(text: string): readonly number[] | string {
  const entries = text.trim().split(/\s+/);
  if (entries.length > LEVELS_MAX) return `it has ${entries.length} levels, at most ${LEVELS_MAX}`;
  const delaysMs: number[] = [];
  for (const entry of entries) {
    const match = /^(\d{1,9})([smhd])$/.exec(entry);
    if (match === null) return `'${entry}' is not a number with the unit s, m, h or d`;
    const delayMs = Number(match[1]) * units[match[2]!]!;
    if (delayMs > DELAY_MS_MAX) return `'${entry}' is longer than a year`;
    delaysMs.push(delayMs);
  }
  return delaysMs;
}

export const delayLevels: TextForm = {
  values: 'numbers with the unit s, m, h or d and blanks between them',
  lengthMax: 1_024,
  fault(value) {
    const parsed = parseDelayLevels(value);
    return typeof parsed === 'string' ? parsed : undefined;
  },
};
