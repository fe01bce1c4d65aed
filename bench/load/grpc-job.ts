import type { ProcessMemory } from '../process-stats.ts';
import type { LatencySummary } from './histogram.ts';
import type { BrokerAddress } from './requests.ts';

export interface GrpcJob {
  /** `send`: one message a call; `receive`: up to 32 of a filled topic a call, then an acknowledgement of each by itself. */
  kind: 'send' | 'receive';
  proxy: BrokerAddress;
  /** The broker itself, for topics and groups. */
  broker: BrokerAddress;
  brokerPid: number;
  topic: string;
  queueCount: number;
  connections: number;
  inFlight: number;
  bodySize: number;
  /** Messages of a send that are counted as nothing. */
  warmup: number;
  count: number;
}

export interface GrpcResult {
  count: number;
  seconds: number;
  perSecond: number;
  brokerCpuUsPerMessage: number;
  loadCpuUsPerMessage: number;
  memory: ProcessMemory;
  /** Of a call: SendMessage, or AckMessage. */
  latency: LatencySummary;
}
