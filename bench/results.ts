import type { FlushMode } from './brokers.ts';
import type { DiskTimes } from './disk.ts';
import type { LatencySummary } from './load/histogram.ts';

/** One measured window of one workload on one broker. */
export interface Run {
  perSecond: number;
  brokerCpuUsPerMessage: number;
  loadCpuUsPerMessage: number;
  latency: Pick<LatencySummary, 'p50Us' | 'p99Us' | 'p999Us' | 'maxUs'>;
  /** Answers other than SUCCESS; they are in no rate and no latency. */
  refused: number;
  rssAnonMiB?: number;
  rssMiB?: number;
}

/** All rounds of one workload on one broker. */
export interface Series {
  flushDiskType: FlushMode;
  /** `16 × 16`, `pull, 4 connections` ... */
  workload: string;
  broker: string;
  runs: Run[];
}

export interface Hardware {
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  fileSystem: string;
}

/** What one `npm run bench` measured; docs/benchmarks.json holds exactly this. */
export interface BenchResults {
  date: string;
  command: string;
  rounds: number;
  seconds: number;
  hardware: Hardware;
  versions: Record<string, string>;
  disk: DiskTimes[];
  /** Other programs' share of all cores' time before each broker's turn, 0 to 1: what disturbed the numbers. */
  busy: number[];
  load: Series[];
  engines: Series[];
  javaClient: Series[];
  /** Messages that are delayed, transactional, popped or filtered. */
  kinds: Series[];
  /** The gRPC protocol, beside Apache's proxy in local mode. */
  grpc?: Series[];
  /** From the start of the process, on the store of the run before, until both protocols are served. */
  grpcStart?: { broker: string; startMs: number }[];
  startup?: { readyMs: number[] };
  idle?: { seconds: number; cpuPercent: number; fresh: number };
  memory?: { messages: number; bodySize: number; rssAnonMiB: number; rssMiB: number; seconds: number };
  waiting?: { queues: number; pulls: number; rssAnonMiB: number; cpuPercent: number };
  /** From a message's write to its arrival at a consumer that waits for it, and to its producer's answer. */
  delivery?: { flushDiskType: FlushMode; p50Us: number; p99Us: number; acknowledgedP50Us: number }[];
  restart?: { logBytes: number; readyMs: number[] };
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The series of one workload, where it was measured. */
export function find(
  series: readonly Series[],
  flushDiskType: FlushMode,
  workload: string,
  broker: string,
): Series | undefined {
  return series.find(
    (one) => one.flushDiskType === flushDiskType && one.workload === workload && one.broker === broker,
  );
}

/** Adds a run to its series, which is made with its first run. */
export function addRun(
  series: Series[],
  key: { flushDiskType: FlushMode; workload: string; broker: string },
  run: Run,
): void {
  const known = find(series, key.flushDiskType, key.workload, key.broker);
  if (known) known.runs.push(run);
  else series.push({ ...key, runs: [run] });
}
