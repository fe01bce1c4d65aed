/** What the consume queues and the index need of one record (RocketMQ DispatchRequest). */
export interface DispatchRequest {
  topic: string;
  queueId: number;
  commitLogOffset: number;
  msgSize: number;
  /** Java hash of TAGS, 0 without; a delivery time for delayed messages. An exact integer, may exceed 32 bits. */
  tagsCode: number;
  storeTimestamp: number;
  /** Entry number in the queue. */
  consumeQueueOffset: number;
  /** KEYS, separated by blanks; empty when absent. */
  keys: string;
  /** UNIQ_KEY; undefined when absent. */
  uniqKey: string | undefined;
  sysFlag: number;
  preparedTransactionOffset: number;
}
