import type { ProcessMemory } from '../process-stats.ts';
import type { LatencySummary } from './histogram.ts';
import type { BrokerAddress } from './requests.ts';

interface CommonJob extends BrokerAddress {
  topic: string;
  queueCount: number;
  connections: number;
  /** Counted as nothing. */
  warmupMs: number;
  durationMs: number;
  /** The broker's process, when its CPU time and memory are wanted. */
  brokerPid?: number;
}

export interface SendJob extends CommonJob {
  kind: 'send';
  inFlight: number;
  bodySize: number;
  /** Ends the load early, once so many messages were sent and answered (warm-up included). */
  count?: number;
}

export interface PullJob extends CommonJob {
  kind: 'pull';
  batchSize: number;
}

export type Job = SendJob | PullJob;

export interface LoadResult {
  /** Messages answered with SUCCESS, or records received, inside the measured time. */
  count: number;
  seconds: number;
  /** The measured time on the machine's monotonic clock, microseconds; V8's profiles use the same clock. */
  window: { fromUs: number; toUs: number };
  perSecond: number;
  /** utime + stime of the broker in the measured time by message; NaN (null in JSON) without a brokerPid. */
  brokerCpuUsPerMessage: number;
  /** The kernel's share of it. */
  brokerSystemUsPerMessage: number;
  loadCpuUsPerMessage: number;
  /** Of the broker, right after the load. */
  memory: ProcessMemory | undefined;
  /** Of a message from its write to its answer; of a pull request with its whole batch. */
  latency: LatencySummary;
  /** Answers other than SUCCESS inside the measured time, by their response code. */
  refusals: Record<string, number>;
  /** Answers nobody asked for; for pulls, records that did not follow their predecessor. */
  unexpected: number;
  unanswered: number;
}
