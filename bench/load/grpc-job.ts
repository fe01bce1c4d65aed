import type { LoadResult } from './kind-job.ts';
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

/** `latency` is that of a call: SendMessage, or AckMessage. */
export type GrpcResult = LoadResult;
