import { addCounters, emptyCounters, type RunCounters } from './counters.ts';
import type { FrontOfHistory } from './front.ts';
import type { SimulatedEngine } from './settings.ts';
import { TortureRun } from './torture-run.ts';

/** Crashes in the history of one seed. */
export const CRASHES_PER_SEED = 5;

export interface TortureOptions {
  /** The first history's seed; the next ones count up. */
  seed: number;
  /** Crashes in all. */
  rounds: number;
  /** Without it, each seed draws its own. */
  engine?: SimulatedEngine | undefined;
  /** Makes what stands in front of the store in one history; by default nothing does. */
  front?: ((seed: number) => FrontOfHistory) | undefined;
  /** After so many milliseconds no further history begins. */
  timeMs?: number | undefined;
  /** After each history. */
  onHistory?: ((seed: number, total: RunCounters) => void) | undefined;
  /** Ends it before the next history. */
  signal?: AbortSignal | undefined;
}

export interface TortureFailure {
  seed: number;
  message: string;
  /** What happened in that history, in order. */
  steps: string[];
  /** Its last disk calls. */
  operations: string[];
  error: Error;
}

export interface TortureResult {
  counters: RunCounters;
  histories: number;
  elapsedMs: number;
  failure?: TortureFailure;
}

/**
 * Histories of a store by seed on a simulated disk and clock: crashes, faults and bit flips, each checked against a model
 * of what was promised. Stops at the first broken promise. Resolves in either case.
 */
export async function torture(options: TortureOptions): Promise<TortureResult> {
  const counters = emptyCounters();
  const startedAt = performance.now();
  const end = startedAt + (options.timeMs ?? Number.POSITIVE_INFINITY);
  const result: TortureResult = { counters, histories: 0, elapsedMs: 0 };
  for (let seed = options.seed; counters.crashes < options.rounds; seed++) {
    if (options.signal?.aborted || performance.now() > end) break;
    const failure = await history(
      seed,
      Math.min(CRASHES_PER_SEED, options.rounds - counters.crashes),
      options,
      counters,
    );
    result.histories++;
    if (failure) {
      result.failure = failure;
      break;
    }
    options.onHistory?.(seed, counters);
  }
  result.elapsedMs = performance.now() - startedAt;
  return result;
}

async function history(
  seed: number,
  crashes: number,
  options: TortureOptions,
  counters: RunCounters,
): Promise<TortureFailure | undefined> {
  const steps: string[] = [];
  const run = new TortureRun({
    seed,
    engine: options.engine,
    front: options.front?.(seed),
    crashes,
    onStep: (step) => steps.push(step),
  });
  let lost: Error | undefined;
  const onLost = (error: Error): void => {
    lost ??= error;
  };
  process.on('unhandledRejection', onLost);
  try {
    await run.run();
    // What nobody waited for is reported in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
    if (lost) throw lost;
    return undefined;
  } catch (error) {
    const { name, message } = error as Error;
    const text = name === 'Violation' ? message : `${name}: ${message}`;
    return { seed, message: text, steps, operations: run.lastOperations, error: error as Error };
  } finally {
    process.off('unhandledRejection', onLost);
    addCounters(counters, run.counters);
  }
}
