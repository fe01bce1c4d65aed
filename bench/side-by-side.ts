import { dirname } from 'node:path';
import { type BenchBroker, type Engine, engines, type FlushMode, startApache, startVernier } from './brokers.ts';
import { measureDisk } from './disk.ts';
import type { LoadResult } from './load/job.ts';
import type { Kind } from './load/kind-job.ts';
import { busyShare } from './machine.ts';
import { addRun, type BenchResults, type Run } from './results.ts';
import { runJavaClient, runKind, runLoad } from './run-load.ts';

export const brokerKinds = ['apache', 'before', 'vernier'] as const;
/** `before` is Vernier of another checkout, to see what a change costs or gains. */
export type BrokerKind = (typeof brokerKinds)[number];

export interface SideBySideOptions {
  rounds: number;
  /** Of each measured window. */
  seconds: number;
  flushModes: FlushMode[];
  brokers: BrokerKind[];
  /** The built checkout that is `before`. */
  before?: string;
  /** Which parts to run: names of sendWorkloads, `pull`, `java-client`, and `go`: those again with the Go generator. */
  parts: ReadonlySet<string>;
  say: (line: string) => void;
}

export const QUEUE_COUNT = 8;
export const BODY_SIZE = 1024;
const PULL_MESSAGES = 400_000;
const PULL_CONNECTIONS = 4;

/** RocketMQ's own values, written out for both brokers, because Vernier's default for the pages differs; and SQL92. */
export const sameSettings: Record<string, string> = {
  flushIntervalCommitLog: '500',
  flushCommitLogLeastPages: '4',
  flushCommitLogThoroughInterval: '10000',
  enablePropertyFilter: 'true',
};

export const sendWorkloads: Record<string, { connections: number; inFlight: number }> = {
  '1 × 1': { connections: 1, inFlight: 1 },
  '64 × 1': { connections: 64, inFlight: 1 },
  '16 × 16': { connections: 16, inFlight: 16 },
  '64 × 16': { connections: 64, inFlight: 16 },
};
export const PULL_WORKLOAD = `pull, ${PULL_CONNECTIONS} connections`;
/** Rows of RocketMQ's own client: producers, each with its connection, and the threads that share them. */
export const javaWorkloads: Record<string, { producers: number; threads: number; tls?: boolean }> = {
  '2 producers': { producers: 2, threads: 2 },
  '16 producers': { producers: 16, threads: 16 },
  '64 threads': { producers: 1, threads: 64 },
  '16 producers by TLS': { producers: 16, threads: 16, tls: true },
};
/** Kinds of messages, and how many of each; enough that a fast broker is busy for two seconds. */
export const kindWorkloads: Record<string, { kind: Kind; count: number }> = {
  'delay levels': { kind: 'levels', count: 60_000 },
  'timed messages': { kind: 'timer', count: 60_000 },
  transactions: { kind: 'transactions', count: 20_000 },
  'pop and ack': { kind: 'pop', count: 60_000 },
  'SQL92 pulls': { kind: 'sql', count: 60_000 },
};
/** Workloads that the Go generator repeats. */
export const goWorkloads = ['1 × 1', '64 × 1', '16 × 16'];
export const byGo = (workload: string): string => `${workload}, Go generator`;

/** Just-in-time compilers decide what a first measurement shows; the JVM's needs longer. */
const warmupSeconds: Record<BrokerKind, number> = { apache: 12, before: 5, vernier: 5 };

function runOf(result: Omit<LoadResult, 'window' | 'brokerSystemUsPerMessage' | 'unexpected' | 'unanswered'>): Run {
  const { p50Us, p99Us, p999Us, maxUs } = result.latency;
  return {
    perSecond: result.perSecond,
    brokerCpuUsPerMessage: result.brokerCpuUsPerMessage,
    loadCpuUsPerMessage: result.loadCpuUsPerMessage,
    latency: { p50Us, p99Us, p999Us, maxUs },
    refused: Object.values(result.refusals).reduce((sum, count) => sum + count, 0),
    rssAnonMiB: result.memory?.rssAnonMiB,
    rssMiB: result.memory?.rssMiB,
  };
}

export function describeRun(run: Run): string {
  return (
    `${Math.round(run.perSecond).toLocaleString('en')}/s, ${run.brokerCpuUsPerMessage.toFixed(1)} µs CPU, ` +
    `p50 ${run.latency.p50Us} p99 ${run.latency.p99Us} p99.9 ${run.latency.p999Us} max ${run.latency.maxUs} µs` +
    (run.refused > 0 ? `, ${run.refused} refused` : '')
  );
}

export async function warmUp(broker: BenchBroker, seconds: number, bodySize = BODY_SIZE): Promise<void> {
  const job = { kind: 'send', topic: 'bench', queueCount: QUEUE_COUNT, bodySize } as const;
  await runLoad(broker, { ...job, connections: 16, inFlight: 16, warmupMs: 0, durationMs: seconds * 1000 });
}

/** Both brokers in turn, each started anew in each round on an empty store, so that neither gets the better minutes. */
export async function runSideBySide(options: SideBySideOptions, results: BenchResults): Promise<void> {
  for (let round = 1; round <= options.rounds; round++) {
    for (const flushDiskType of options.flushModes) {
      // Whoever comes second finds a disk with the first one's work behind it, so the order changes with the round.
      const order = round % 2 === 1 ? options.brokers : [...options.brokers].reverse();
      for (const kind of order) {
        options.say(`round ${round} of ${options.rounds}, ${flushDiskType}, ${kind}`);
        results.busy.push(await busyShare(1000));
        const broker =
          kind === 'apache'
            ? await startApache(flushDiskType, sameSettings)
            : await startVernier({
                flushDiskType,
                settings: sameSettings,
                ...(kind === 'before' && options.before !== undefined && { checkout: options.before }),
              });
        try {
          await warmUp(broker, warmupSeconds[kind]);
          await measure(broker, flushDiskType, options, results);
        } finally {
          await broker.stop();
        }
      }
    }
  }
}

async function measure(
  broker: BenchBroker,
  flushDiskType: FlushMode,
  options: SideBySideOptions,
  results: BenchResults,
): Promise<void> {
  const { parts, say } = options;
  const durationMs = options.seconds * 1000;
  const topic = { topic: 'bench', queueCount: QUEUE_COUNT };
  const keep = (list: 'load' | 'javaClient' | 'kinds', workload: string, run: Run) => {
    addRun(results[list], { flushDiskType, workload, broker: broker.label }, run);
    say(`  ${workload}: ${describeRun(run)}`);
  };
  results.disk.push(measureDisk(dirname(broker.storeDir)));
  for (const [workload, shape] of Object.entries(sendWorkloads)) {
    if (!parts.has(workload)) continue;
    const job = { kind: 'send', ...topic, ...shape, bodySize: BODY_SIZE, warmupMs: 1000, durationMs } as const;
    keep('load', workload, runOf(await runLoad(broker, job)));
    if (!parts.has('go') || !goWorkloads.includes(workload)) continue;
    keep('load', byGo(workload), runOf(await runLoad(broker, job, 'go')));
  }
  // Reading does not depend on the flush mode, and a fill under ASYNC_FLUSH takes less of the run.
  if (parts.has('pull') && flushDiskType === options.flushModes.at(-1)) {
    await runLoad(broker, {
      kind: 'send',
      ...{ topic: 'pull', queueCount: QUEUE_COUNT, connections: 64, inFlight: 16, bodySize: BODY_SIZE },
      ...{ warmupMs: 0, durationMs: 120_000, count: PULL_MESSAGES },
    });
    const shape = { connections: PULL_CONNECTIONS, batchSize: 32, warmupMs: 3000, durationMs };
    const job = { kind: 'pull', topic: 'pull', queueCount: QUEUE_COUNT, ...shape } as const;
    keep('load', PULL_WORKLOAD, runOf(await runLoad(broker, job)));
    if (parts.has('go')) keep('load', byGo(PULL_WORKLOAD), runOf(await runLoad(broker, job, 'go')));
  }
  if (parts.has('kinds')) {
    for (const [workload, { kind, count }] of Object.entries(kindWorkloads)) {
      const shape = { connections: 8, inFlight: 16, queueCount: QUEUE_COUNT, bodySize: BODY_SIZE };
      const result = await runKind(broker, { kind, topic: `bench-${kind}`, count, ...shape });
      keep('kinds', workload, runOf({ ...result, refusals: { SYSTEM_BUSY: result.refused } }));
    }
  }
  if (parts.has('java-client')) {
    for (const [workload, shape] of Object.entries(javaWorkloads)) {
      const result = await runJavaClient(broker, {
        ...{ topic: 'bench', bodySize: BODY_SIZE, warmupSeconds: 6, seconds: options.seconds, ...shape },
      });
      keep('javaClient', workload, {
        perSecond: result.count / result.seconds,
        brokerCpuUsPerMessage: result.brokerCpuUsPerMessage,
        loadCpuUsPerMessage: Number.NaN,
        latency: { p50Us: result.p50Us, p99Us: result.p99Us, p999Us: result.p999Us, maxUs: result.maxUs },
        refused: result.failed + result.notOk,
      });
    }
  }
}

/** Vernier's own engines against each other at 16 × 16, interleaved. */
export async function runEngines(options: SideBySideOptions, results: BenchResults): Promise<void> {
  const workload = '16 × 16';
  for (let round = 1; round <= options.rounds; round++) {
    for (const flushDiskType of options.flushModes) {
      for (const engine of Object.keys(engines) as Engine[]) {
        options.say(`round ${round} of ${options.rounds}, ${flushDiskType}, engine ${engine}`);
        const broker = await startVernier({ flushDiskType, engine, settings: sameSettings });
        try {
          await warmUp(broker, 4);
          const run = runOf(
            await runLoad(broker, {
              ...{ kind: 'send', topic: 'bench', queueCount: QUEUE_COUNT, bodySize: BODY_SIZE },
              ...{ ...sendWorkloads[workload]!, warmupMs: 1000, durationMs: options.seconds * 1000 },
            }),
          );
          addRun(results.engines, { flushDiskType, workload, broker: engine }, run);
          options.say(`  ${describeRun(run)}`);
        } finally {
          await broker.stop();
        }
      }
    }
  }
}
