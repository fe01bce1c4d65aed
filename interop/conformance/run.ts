/** Runs all cases with one broker: side by side what waits, one after the other what an operator looks at, then a kill. */

import { batchQueues } from './batch-queues.ts';
import type { Bench } from './bench.ts';
import type { Names, RestartCase, Result } from './case.ts';
import { grpcTransactions } from './grpc/transactions.ts';
import { lightQueues } from './light-queues.ts';
import { liteTopics } from './lite-topics.ts';
import { mqadmin } from './mqadmin.ts';
import type { Row } from './report.ts';
import { staticTopics } from './static-topics.ts';
import { transactions } from './transactions.ts';

/** Most cases wait for a time to pass; more at once would measure the machine. */
const SIDE_BY_SIDE = 20;
/** Behind mqadmin: where there are such topics, RocketMQ’s cleanExpiredCQ and exports fail. */
const ofOtherQueues = [lightQueues, liteTopics, batchQueues, staticTopics];
const CASE_LIMIT_MS = 180_000;

const namesOf = (id: string): Names => {
  const base = `c${id.replace('.', '_')}`;
  return { topic: `${base}_t`, group: `${base}_g`, other: (suffix) => `${base}_${suffix}` };
};

async function side<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
}

async function withinLimit<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${CASE_LIMIT_MS / 1_000} s`)), CASE_LIMIT_MS);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}

/** Results by id; of a case that failed its reason, as `failed: …`. */
export async function runAll(bench: Bench, rows: readonly Row[]): Promise<Map<string, Result>> {
  const results = new Map<string, Result>();
  const keep = async (id: string, work: () => Promise<Result>): Promise<void> => {
    try {
      results.set(id, await withinLimit(work()));
    } catch (error) {
      results.set(id, `failed: ${error instanceof Error ? error.message : error}`);
    }
  };
  const plain = rows.flatMap((row) => ('run' in row.one ? [{ ...row, one: row.one }] : []));
  const restarts = rows.flatMap((row) => ('before' in row.one ? [{ ...row, one: row.one }] : []));
  const run = ({ id, one }: (typeof plain)[number]) => keep(id, () => bench.apart((own) => one.run(own, namesOf(id))));
  const of = (title: string) => plain.filter(({ chapter }) => chapter === title);
  const behind = [transactions, grpcTransactions, ...ofOtherQueues];
  const apart = [mqadmin, ...behind].map(({ title }) => title);
  // What mqadmin looks at has settled by the time that it looks. No other case knows its names.
  const ready = of(mqadmin.title).length > 0 ? withinLimit(mqadmin.prepare(bench)) : undefined;
  ready?.catch(() => undefined);
  await side(
    plain.filter(({ chapter }) => !apart.includes(chapter)),
    run,
  );
  if (ready !== undefined) {
    for (const row of of(mqadmin.title))
      await ready.then(
        () => run(row),
        (error) => keep(row.id, () => Promise.reject(error)),
      );
  }
  // Behind the others: from its first transaction on, RocketMQ 5.5.0 keeps one core busy until it is started anew.
  await side(
    behind.flatMap(({ title }) => of(title)),
    run,
  );
  if (restarts.length === 0) return results;

  const known = new Map<string, unknown>();
  const before = async ({ id, one }: { id: string; one: RestartCase }): Promise<void> => {
    try {
      known.set(id, await withinLimit(bench.apart((own) => one.before(own, namesOf(id)))));
    } catch (error) {
      results.set(id, `failed: before the kill, ${error instanceof Error ? error.message : error}`);
    }
  };
  await side(
    restarts.filter(({ one }) => !one.last),
    before,
  );
  await side(
    restarts.filter(({ one }) => one.last),
    before,
  );
  await bench.broker.killBroker();
  await bench.broker.startBroker();
  await side(
    restarts.filter(({ id }) => !results.has(id)),
    ({ id, one }) => keep(id, () => bench.apart((own) => one.after(own, namesOf(id), known.get(id) as never))),
  );
  return results;
}
