import type { ProcessMemory } from '../process-stats.ts';
import type { LatencySummary } from './histogram.ts';
import type { BrokerAddress } from './requests.ts';

export type Kind = 'levels' | 'timer' | 'transactions' | 'pop' | 'sql';

export interface KindJob extends BrokerAddress {
  kind: Kind;
  topic: string;
  brokerName: string;
  brokerPid: number;
  queueCount: number;
  connections: number;
  inFlight: number;
  bodySize: number;
  count: number;
}

/** What one load of a kind gave. */
export interface LoadResult {
  count: number;
  seconds: number;
  perSecond: number;
  brokerCpuUsPerMessage: number;
  loadCpuUsPerMessage: number;
  memory: ProcessMemory;
  /** Of a request. */
  latency: LatencySummary;
}

export interface KindResult extends LoadResult {
  /** Requests that the broker was too busy for; each was made again until it was taken. */
  refused: number;
}
