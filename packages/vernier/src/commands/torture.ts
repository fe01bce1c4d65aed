import {
  type HistoryKind,
  QueueKinds,
  type RunCounters,
  replayCommand,
  torture as run,
  type SimulatedEngine,
} from '@vernier/torture';
import { BrokerFront } from '@vernier/torture/broker-front';
import { EXIT_FAILURE, EXIT_OK } from '../exit-codes.ts';
import { printJson } from '../output/print.ts';
import { Progress } from '../output/progress.ts';
import { facts, grouped } from '../output/table.ts';

export interface TortureCommandOptions {
  seed: number;
  rounds: number;
  minutes?: number;
  engine?: SimulatedEngine;
  broker?: boolean;
  /** Through a broker, with producers of transactions. */
  transactions?: boolean;
  /** Through a broker, with senders of timed messages. */
  timers?: boolean;
  /** Through a broker, with consumers that pop. */
  pop?: boolean;
  /** With light queues and batch queues; without a broker. */
  queueKinds?: boolean;
  json?: boolean;
}

/**
 * `vernier torture`: histories of a store by seed on a simulated disk and clock, each with crashes, faults and damage, and
 * a check after each crash of everything that was promised. The same seed gives the same history, on any machine.
 */
export async function torture(options: TortureCommandOptions): Promise<number> {
  const { seed, rounds, engine, transactions = false, timers = false, pop = false, json = false } = options;
  const { queueKinds = false } = options;
  const broker = transactions || timers || pop || options.broker === true;
  const progress = new Progress();
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  if (!json) {
    const what = [
      ...[`seed ${seed}`, `${grouped(rounds)} crashes`, engine ?? 'engine by seed'],
      ...(broker ? ['through a broker'] : []),
      ...(transactions ? ['transactions'] : []),
      ...(timers ? ['timed messages'] : []),
      ...(pop ? ['consumers that pop'] : []),
      ...(queueKinds ? ['light queues and batch queues'] : []),
    ];
    process.stdout.write(`${what.join(', ')}\n`);
  }
  const result = await run({
    seed,
    rounds,
    engine,
    front: frontOf({ broker, transactions, timers, pop, queueKinds }),
    timeMs: options.minutes === undefined ? undefined : options.minutes * 60_000,
    signal: controller.signal,
    onHistory: (last, counters) => {
      progress.update(() => `seed ${last}, ${grouped(counters.crashes)} of ${grouped(rounds)} crashes`);
      // Whoever started this process (scripts/torture.mjs) sees by it that no history hangs.
      process.send?.({ seed: last, counters });
    },
  });
  progress.clear();
  process.off('SIGINT', stop);
  process.off('SIGTERM', stop);
  const { counters, histories, elapsedMs, failure } = result;
  const replay = failure && replayCommand(failure.seed, { engine, broker, transactions, timers, pop, queueKinds });
  if (json) {
    const { error: _error, ...told } = failure ?? {};
    const violation = failure && { ...told, replay };
    const answer = { seed, rounds, engine, broker, histories, elapsedMs: Math.round(elapsedMs), counters, violation };
    await printJson(answer);
  } else if (failure) {
    const lines = [
      `violation in seed ${failure.seed}: ${failure.message}`,
      '',
      'its history:',
      ...failure.steps.map((step) => `  ${step}`),
      '',
      'its last disk calls:',
      ...failure.operations.map((operation) => `  ${operation}`),
      '',
      `replay: ${replay}`,
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  } else {
    process.stdout.write(`${summary(counters, histories, elapsedMs)}\n`);
  }
  return failure ? EXIT_FAILURE : EXIT_OK;
}

function frontOf({ broker, transactions, timers, pop, queueKinds }: HistoryKind) {
  if (queueKinds) return (seed: number) => new QueueKinds(seed);
  return broker ? (seed: number) => new BrokerFront({ transactions, timers, pop, seed }) : undefined;
}

function summary(counters: RunCounters, histories: number, elapsedMs: number): string {
  const row = (name: string, value: number): [string, string] => [name, grouped(value)];
  const text = facts(
    [
      row('histories', histories),
      row('crashes', counters.crashes),
      row('power cuts', counters.powerCuts),
      row('kills', counters.kills),
      row('in a recovery', counters.cutsInRecovery),
      row('at a failpoint', counters.failpointsReached),
      row('clean shutdowns', counters.cleanShutdowns),
      row('faults injected', counters.faults),
      row('lacks among them', counters.lacks),
      row('stores failed', counters.storesFailed),
      row('openings refused', counters.openingsRefused),
      row('bits flipped', counters.bitsFlipped),
      row('damage named', counters.damageNamed),
      row('messages put', counters.messagesPut),
      row('acknowledged', counters.acknowledged),
      row('read', counters.read),
      row('expired', counters.expired),
      row('clock steps', counters.clockSteps),
      row('topics deleted', counters.deletions),
      row('deletions refused', counters.deletionsRefused),
      row('deletions undone', counters.deletionsUndone),
      row('groups deleted', counters.groupsDeleted),
      row('offsets set back', counters.offsetsSetBack),
      row('transactions', counters.transactions),
      row('of them asked about', counters.transactionChecks),
      row('timed messages', counters.timers),
      row('of them recalled', counters.timersRecalled),
      row('of them delivered', counters.timersDelivered),
      row('messages to pop', counters.popSent),
      row('pops', counters.pops),
      row('given by them', counters.popDelivered),
      row('given again', counters.popDeliveredAgain),
      row('acks that hold', counters.popAcks),
      row('times changed', counters.popChanges),
      row('events', counters.events),
    ],
    '',
  );
  const each = counters.crashes === 0 ? 0 : elapsedMs / counters.crashes;
  return `${text}\nno promise was broken; ${(elapsedMs / 1_000).toFixed(1)} s, ${each.toFixed(1)} ms a crash`;
}
