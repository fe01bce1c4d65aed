import type { KeyHashes } from '../base/types.ts';
import type { LmqPlace } from './multi-dispatch.ts';

/** What the consume queues and the index need of one record (RocketMQ DispatchRequest). */
export interface DispatchRequest {
  topic: string;
  queueId: number;
  commitLogOffset: number;
  msgSize: number;
  /** Java hash of TAGS, 0 without; a delivery time for delayed messages. An exact integer, may exceed 32 bits. */
  tagsCode: number;
  storeTimestamp: number;
  /** Number in the queue of the (first) message. */
  consumeQueueOffset: number;
  /** Messages of an inner batch; undefined for a record that is one message. */
  innerCount?: number;
  /** Of UNIQ_KEY, KEYS and TAGS. */
  keyHashes: KeyHashes;
  sysFlag: number;
  preparedTransactionOffset: number;
  /** Light queues that the record is in besides its own. */
  lmqs?: readonly LmqPlace[] | undefined;
}

/** Numbers that the record takes in its queue. */
export const innerCountOf = ({ innerCount }: Pick<DispatchRequest, 'innerCount'>): number => innerCount ?? 1;
