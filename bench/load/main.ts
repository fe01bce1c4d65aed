// The load generator, a process of its own: `main.ts JSON`, where JSON is a SendJob or a PullJob. Prints one line of JSON,
// a LoadResult, and exits with 1 when a connection broke, an answer was not expected or a record was missing.
import { cpuTimesMs, memory } from '../process-stats.ts';
import type { Job, LoadResult, PullJob, SendJob } from './job.ts';
import { PullConnection, type PullLoadOptions, PullStats } from './pull-load.ts';
import { createTopic, queueRange } from './requests.ts';
import { SendConnection, type SendLoadOptions, SendStats } from './send-load.ts';

const DRAIN_TIMEOUT_MS = 15_000;

interface RunningLoad {
  start(): void;
  /** Messages or records counted since the last reset. */
  done(): number;
  reset(): void;
  /** Sends nothing more; resolves when every answer is in, or the drain timed out. */
  finish(): Promise<void>;
  result(): Pick<LoadResult, 'latency' | 'refusals' | 'unexpected' | 'unanswered'>;
  /** Resolves when the load ends by itself, because its count was reached. */
  ended: Promise<void>;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition() && Date.now() < deadline) await sleep(5);
}

async function sendLoad(job: SendJob, fail: (error: Error) => void): Promise<RunningLoad> {
  await createTopic(job, job.topic, job.queueCount);
  const stats = new SendStats();
  if (job.count !== undefined) stats.sendLimit = job.count;
  const options: SendLoadOptions = job;
  const connections = Array.from(
    { length: job.connections },
    (_, index) => new SendConnection(options, stats, index, fail),
  );
  await Promise.all(connections.map((connection) => connection.connect()));
  return {
    start: () => {
      for (const connection of connections) connection.start();
    },
    done: () => stats.succeeded,
    reset: () => stats.reset(),
    finish: async () => {
      stats.stopping = true;
      await until(() => stats.inFlight === 0, DRAIN_TIMEOUT_MS);
      for (const connection of connections) connection.close();
    },
    result: () => ({
      latency: stats.latency.summary(),
      refusals: Object.fromEntries(stats.refusals),
      unexpected: stats.unexpected,
      unanswered: stats.inFlight,
    }),
    ended: job.count === undefined ? new Promise(() => {}) : reached(stats, job.count),
  };
}

async function reached(stats: SendStats, count: number): Promise<void> {
  while (stats.sent < count || stats.inFlight > 0) await sleep(20);
}

async function pullLoad(job: PullJob, fail: (error: Error) => void): Promise<RunningLoad> {
  const minOffsets: number[] = [];
  const maxOffsets: number[] = [];
  for (let queueId = 0; queueId < job.queueCount; queueId++) {
    const range = await queueRange(job, job.topic, queueId);
    minOffsets.push(range.min);
    maxOffsets.push(range.max);
  }
  if (maxOffsets.some((end, queueId) => end <= minOffsets[queueId]!)) {
    throw new Error(`a queue of ${job.topic} is empty: ${minOffsets} to ${maxOffsets}`);
  }
  const stats = new PullStats();
  const options: PullLoadOptions = { ...job, minOffsets, maxOffsets };
  const queuesOf = (index: number) =>
    maxOffsets.map((_, queueId) => queueId).filter((queueId) => queueId % job.connections === index);
  const connections = Array.from(
    { length: job.connections },
    (_, index) => new PullConnection(options, queuesOf(index), stats, fail),
  );
  await Promise.all(connections.map((connection) => connection.connect()));
  return {
    start: () => {
      for (const connection of connections) connection.start();
    },
    done: () => stats.records,
    reset: () => stats.reset(),
    finish: async () => {
      stats.stopping = true;
      await until(() => stats.inFlight === 0, DRAIN_TIMEOUT_MS);
      for (const connection of connections) connection.close();
    },
    result: () => ({
      latency: stats.latency.summary(),
      refusals: {},
      unexpected: stats.outOfOrder,
      unanswered: stats.inFlight,
    }),
    ended: new Promise(() => {}),
  };
}

const monotonicUs = () => Number(process.hrtime.bigint() / 1000n);

function brokerCpu(job: Job): { user: number; system: number } {
  return job.brokerPid === undefined ? { user: Number.NaN, system: Number.NaN } : cpuTimesMs(job.brokerPid);
}

async function run(job: Job): Promise<LoadResult> {
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const load = job.kind === 'send' ? await sendLoad(job, fail) : await pullLoad(job, fail);
  const wait = (ms: number) => Promise.race([sleep(ms), load.ended, failed]);
  load.start();
  if (job.warmupMs > 0) {
    await wait(job.warmupMs);
    load.reset();
  }
  const startedAt = performance.now();
  const fromUs = monotonicUs();
  const brokerBefore = brokerCpu(job);
  const ownCpuBefore = process.cpuUsage();
  await wait(job.durationMs);
  const seconds = (performance.now() - startedAt) / 1000;
  const count = load.done();
  const ownCpu = process.cpuUsage(ownCpuBefore);
  const brokerAfter = brokerCpu(job);
  const systemMs = brokerAfter.system - brokerBefore.system;
  const toUs = monotonicUs();
  const measured = load.result();
  await load.finish();
  const end = load.result();
  return {
    count,
    seconds,
    perSecond: count / seconds,
    window: { fromUs, toUs },
    brokerCpuUsPerMessage: ((brokerAfter.user - brokerBefore.user + systemMs) * 1000) / count,
    brokerSystemUsPerMessage: (systemMs * 1000) / count,
    loadCpuUsPerMessage: (ownCpu.user + ownCpu.system) / count,
    memory: job.brokerPid === undefined ? undefined : memory(job.brokerPid),
    ...measured,
    unexpected: end.unexpected,
    unanswered: end.unanswered,
  };
}

try {
  const result = await run(JSON.parse(process.argv[2] ?? '{}') as Job);
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.unexpected > 0 || result.unanswered > 0) {
    throw new Error(
      `${result.unexpected} unexpected answers or records, ${result.unanswered} requests without an answer`,
    );
  }
  process.exit(0);
} catch (error) {
  process.stderr.write(`load: ${(error as Error).message}\n`);
  process.exit(1);
}
