import type { SimulatedEngine } from './settings.ts';
import { CRASHES_PER_SEED } from './torture.ts';

/** Who takes part in a history beside the store, and what it is run on. */
export interface HistoryKind {
  readonly engine?: SimulatedEngine | undefined;
  readonly broker?: boolean | undefined;
  readonly transactions?: boolean | undefined;
  readonly timers?: boolean | undefined;
  readonly pop?: boolean | undefined;
  readonly queueKinds?: boolean | undefined;
}

/** The command that plays the history of one seed again. */
export function replayCommand(seed: number, kind: HistoryKind): string {
  const { engine, broker, transactions, timers, pop, queueKinds } = kind;
  const words = ['vernier torture', `--seed ${seed}`, `--rounds ${CRASHES_PER_SEED}`];
  if (engine !== undefined) words.push(`--engine ${engine}`);
  // The others have one.
  if (broker && !transactions && !timers && !pop) words.push('--broker');
  if (transactions) words.push('--transactions');
  if (timers) words.push('--timers');
  if (pop) words.push('--pop');
  if (queueKinds) words.push('--queue-kinds');
  return words.join(' ');
}
