import type { MessageStoreOptions } from '@vernier/store';

/** The ways to write the log, by the settings that choose them. */
export const engines = {
  'channel, pool lane': { writeWithoutMmap: true, ioLane: 'pool' },
  'channel, worker lane': { writeWithoutMmap: true, ioLane: 'worker' },
  'channel, zeros ahead': { writeWithoutMmap: true, ioLane: 'pool', zeroAheadBytes: 256 * 1024 },
  mmap: { writeWithoutMmap: false },
  'transient pool': { writeWithoutMmap: false, transientStorePoolEnable: true, transientStorePoolSize: 4 },
} as const satisfies Record<string, Partial<MessageStoreOptions>>;

export type EngineName = keyof typeof engines;

export const engineNames = Object.keys(engines) as EngineName[];

/** Files so small that the log, the queues and the index roll many times within seconds. */
export function smallStore(engine: EngineName, storePathRootDir: string): MessageStoreOptions {
  return {
    storePathRootDir,
    ...engines[engine],
    mappedFileSizeCommitLog: 1024 * 1024,
    mappedFileSizeConsumeQueue: 20 * 500,
    maxHashSlotNum: 5_000,
    maxIndexNum: 20_000,
    appendBufferSize: 2 * 1024 * 1024,
    diskFreeBytesMin: 8 * 1024 * 1024,
    // The test's own readers decide what is old; nothing may expire under it.
    fileReservedTime: 24 * 365,
    diskMaxUsedSpaceRatio: 99,
    diskSpaceCleanForciblyRatio: 99,
    diskSpaceWarningLevelRatio: 99,
  };
}

/** Rounds an engine: VERNIER_CRASH_ROUNDS, or `otherwise` where nobody asked for more. */
export function crashRounds(otherwise: number): number {
  const typed = process.env.VERNIER_CRASH_ROUNDS;
  if (typed === undefined || typed === '') return otherwise;
  const rounds = Number(typed);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`VERNIER_CRASH_ROUNDS=${typed}: expected 1 or more`);
  return rounds;
}

/** VERNIER_CRASH_SEED repeats a run's decisions (the machine's timing it cannot repeat). */
export function crashSeed(): number {
  const typed = process.env.VERNIER_CRASH_SEED;
  return typed === undefined || typed === '' ? Math.floor(Math.random() * 2 ** 31) : Number(typed);
}
