import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../client/cluster.ts';
import { connectingOf } from '../client/connecting.ts';
import { EXIT_FAILURE, EXIT_OK } from '../exit-codes.ts';
import { report } from '../main.ts';
import { type FlushLook, flushView, lookOf, type Sample } from '../output/flush-view.ts';
import { print } from '../output/print.ts';
import { askBrokers, type StatusAnswer, type StatusOptions } from './status.ts';

const INTERVAL_MS = 1_000;
/** Rates that the line of heights shows. */
const HISTORY_MAX = 40;
/** The screen of its own that terminals have, so that what stood there comes back at the end. */
const ENTER_SCREEN = '\x1b[?1049h\x1b[?25l';
const LEAVE_SCREEN = '\x1b[?25h\x1b[?1049l';

/** What is known of a broker from the looks before. */
interface Watched {
  sample: Sample;
  readonly history: number[];
}

/**
 * `vernier status --watch`: the flush pipeline live, until a signal or for `--count` looks. On a terminal it redraws a
 * screen; elsewhere, and with `--json`, each look is a line of JSON a broker. A broker that does not answer is said and
 * asked again; only at the first look it is an error.
 */
export async function watchStatus(options: StatusOptions): Promise<number> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  const cluster = new Cluster(options.namesrv, connectingOf(options));
  const isScreen = process.stdout.isTTY === true && options.json !== true;
  try {
    return await watch(cluster, options, isScreen, stop.signal);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
    await cluster.close();
  }
}

async function watch(
  cluster: Cluster,
  options: StatusOptions,
  isScreen: boolean,
  signal: AbortSignal,
): Promise<number> {
  const { interval = INTERVAL_MS, count = Number.POSITIVE_INFINITY } = options;
  const watched = new Map<string, Watched>();
  // Rates need two looks; the first one of all says what is wrong with the question.
  const first = await askBrokers(cluster, options);
  if (first.answers.length === 0) throw first.failures[0];
  note(watched, first.answers);
  if (isScreen) await print(ENTER_SCREEN);
  let hasFailed = first.failures.length > 0;
  try {
    for (let look = 0; look < count; look++) {
      await sleep(interval, undefined, { signal }).catch(() => {});
      if (signal.aborted) return EXIT_OK;
      const { answers, failures } = await askBrokers(cluster, options).catch((error: unknown) => ({
        ...{ answers: [] as StatusAnswer[], failures: [error] },
      }));
      hasFailed = failures.length > 0;
      const looks = note(watched, answers);
      if (isScreen)
        await print(screen(looks, watched, failures, process.stdout.columns ?? 80, process.stdout.rows ?? 24));
      else {
        for (const one of looks) await print(`${JSON.stringify(one)}\n`);
        for (const failure of failures) report(failure);
      }
    }
  } finally {
    if (isScreen) await print(LEAVE_SCREEN);
  }
  return hasFailed ? EXIT_FAILURE : EXIT_OK;
}

/** Takes in what brokers said; what happened since the look before, of those that were known. */
function note(watched: Map<string, Watched>, answers: readonly StatusAnswer[]): FlushLook[] {
  const looks: FlushLook[] = [];
  for (const { address, brokerName, info } of answers) {
    const sample = { atMs: performance.now(), info };
    const known = watched.get(address);
    if (known === undefined) {
      watched.set(address, { sample, history: [] });
      continue;
    }
    const look = lookOf(address, brokerName, sample, known.sample, new Date().toISOString());
    known.sample = sample;
    known.history.push(look.putsPerSecond);
    if (known.history.length > HISTORY_MAX) known.history.shift();
    looks.push(look);
  }
  // Brokers that are not there any more.
  for (const address of watched.keys()) {
    if (answers.length > 0 && !answers.some((answer) => answer.address === address)) watched.delete(address);
  }
  return looks;
}

/** Every line cut to the terminal, from its first line on, and nothing of the picture before. */
function screen(
  looks: readonly FlushLook[],
  watched: ReadonlyMap<string, Watched>,
  failures: readonly unknown[],
  columns: number,
  rows: number,
): string {
  const lines = looks.flatMap((look, index) => [
    ...(index === 0 ? [] : ['']),
    ...flushView(look, watched.get(look.address)?.history ?? []),
  ]);
  for (const failure of failures) lines.push('', `no answer: ${failure instanceof Error ? failure.message : failure}`);
  lines.push('', 'Ctrl-C ends it');
  const shown = lines.slice(0, Math.max(1, rows)).map((line) => `${[...line].slice(0, columns).join('')}\x1b[K`);
  return `\x1b[H${shown.join('\r\n')}\x1b[J`;
}
