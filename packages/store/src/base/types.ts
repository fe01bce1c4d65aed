import type { StoreError } from './errors.ts';

/** An address as records store it: 4 or 16 address bytes and a port. Make one a connection and share it. */
export interface StoreHost {
  readonly address: Uint8Array;
  readonly port: number;
}

/**
 * When an append is acknowledged (its promise resolves with PUT_OK):
 * - `sync`: once on disk; the flush starts now, whatever the store's flushDiskType.
 * - `group`: once on disk, with the next flush the store makes anyway.
 * - `async`: once written (page cache): survives a killed process, not a power cut.
 * Without one, the store's flushDiskType and the message's WAIT property decide, as RocketMQ has it; with the transient
 * pool under ASYNC_FLUSH that is a place in this process's memory, which does not survive a killed process.
 */
export type Durability = 'sync' | 'group' | 'async';

/**
 * Java hashes of the keys of one message, each as the pair (hash, 31^length): the hash of `prefix + key` is
 * hash(prefix) × 31^length + hash(key), so that a key is filed under any topic without its text.
 */
export interface KeyHashes {
  /** Of UNIQ_KEY, then of each of KEYS: hash and power in turn. */
  readonly keys: readonly number[];
  /** Of TAGS; the power is 0 without any. */
  readonly tagHash: number;
  readonly tagPower: number;
}

/** Properties that are bytes from the socket to the record; see PropertyBytes. */
export interface EncodedProperties {
  /** Bytes in the record. */
  readonly length: number;
  readonly scan: { readonly found: number; readonly waits: boolean; readonly tagsHash: number; keyHashes(): KeyHashes };
  /** Writes them at `at`; returns where they end. */
  writeTo(target: Buffer, at: number): number;
  /** The same as a properties string. */
  text(): string;
}

/** A message as the broker hands it to the store (RocketMQ MessageExtBrokerInner). */
export interface MessageExtBrokerInner {
  topic: string;
  queueId: number;
  /** Application flag, opaque to the store. */
  flag: number;
  sysFlag: number;
  /** Producer's clock, Unix milliseconds. */
  bornTimestamp: number;
  bornHost: StoreHost;
  storeHost: StoreHost;
  reconsumeTimes: number;
  /** For a committed transaction message the offset of its half message; else 0. */
  preparedTransactionOffset: number;
  body: Uint8Array;
  /** name 0x01 value 0x02, repeated (RocketMQ MessageDecoder.messageProperties2String). */
  propertiesString: string;
  /** Instead of `propertiesString`, which is empty then. Valid until the put returns. */
  propertyBytes?: EncodedProperties | undefined;
}

/** Several messages for one queue, stored as consecutive ordinary records (RocketMQ MessageExtBatch). */
export interface MessageExtBatch
  extends Omit<MessageExtBrokerInner, 'body' | 'propertiesString' | 'propertyBytes' | 'flag'> {
  messages: readonly { flag: number; body: Uint8Array; propertiesString: string }[];
}

/** A record as it stands in the log (RocketMQ MessageExt): KEYS, TAGS and the like are among its properties. */
export interface MessageExt {
  topic: string;
  queueId: number;
  /** Entry number in its queue. */
  queueOffset: number;
  /** Offset of the record in the log. */
  commitLogOffset: number;
  /** Bytes of the whole record. */
  storeSize: number;
  /** The body as stored, compressed when sysFlag says so. Yours to keep: no later operation changes it. */
  body: Buffer;
  bodyCRC: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: StoreHost;
  storeTimestamp: number;
  storeHost: StoreHost;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  properties: Map<string, string>;
}

/**
 * A message as a program that embeds the store reads it back: body, keys, tags, uniqKey and properties as `putMessage` was
 * given them (one key alone as a list of one), and what the store added. It can be put again as it is.
 */
export interface StoredMessage extends Omit<MessageExt, 'properties'> {
  keys: string[];
  tags?: string;
  uniqKey?: string;
  /** All others, by name. */
  properties: Record<string, string>;
}

/** RocketMQ PutMessageStatus. A value, not an exception. */
export type PutMessageStatus =
  | 'PUT_OK'
  | 'FLUSH_DISK_TIMEOUT'
  | 'FLUSH_SLAVE_TIMEOUT'
  | 'SLAVE_NOT_AVAILABLE'
  | 'SERVICE_NOT_AVAILABLE'
  | 'CREATE_MAPPED_FILE_FAILED'
  | 'MESSAGE_ILLEGAL'
  | 'PROPERTIES_SIZE_EXCEEDED'
  | 'OS_PAGE_CACHE_BUSY'
  | 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED'
  | 'UNKNOWN_ERROR';

export interface PutMessageResult {
  status: PutMessageStatus;
  /** Offset in the log of the (first) record; -1 when nothing was appended. */
  wroteOffset: number;
  /** Bytes of the record, of all records for a batch. */
  wroteBytes: number;
  /** Entry number of the (first) record in its queue. */
  queueOffset: number;
  storeTimestamp: number;
  /** Records appended: 1, or the batch's count. */
  messageCount: number;
  /** Offsets of each record of a batch (for the comma-joined msgId). */
  batchOffsets?: number[];
  /** Why, in one sentence with its numbers, whenever status is not PUT_OK. */
  reason?: string;
  /** The operating error behind a refusal, when there is one. */
  cause?: StoreError;
}

/** RocketMQ GetMessageStatus. */
export type GetMessageStatus =
  | 'FOUND'
  | 'NO_MATCHED_MESSAGE'
  | 'MESSAGE_WAS_REMOVING'
  | 'OFFSET_FOUND_NULL'
  | 'OFFSET_OVERFLOW_BADLY'
  | 'OFFSET_OVERFLOW_ONE'
  | 'OFFSET_TOO_SMALL'
  | 'NO_MATCHED_LOGIC_QUEUE'
  | 'NO_MESSAGE_IN_QUEUE';

export interface GetMessageResult {
  status: GetMessageStatus;
  nextBeginOffset: number;
  minOffset: number;
  /** Exclusive: the offset the next message will get. */
  maxOffset: number;
  /** All records back to back, each exactly the bytes on disk: the body of a pull response. Yours as long as you hold it. */
  buffer: Buffer;
  /** The single records, views of `buffer`, made when first asked for. */
  readonly records: Buffer[];
  messageCount: number;
  /** Sum of the records' sizes in bytes. */
  bufferTotalSize: number;
  /** The read had to go to files far behind the end of the log (RocketMQ suggestPullingFromSlave). */
  fromDisk: boolean;
}

/** One entry of a consume queue, as it stands there: nothing says that its record is still in the log. */
export interface QueueEntry {
  /** Offset of the record in the log. */
  commitLogOffset: number;
  /** Size of the record in bytes. */
  size: number;
  /** Java hash of the message's tag; a delivery time in the queue of a delay level. */
  tagsCode: number;
}

/** Decides on the consume-queue entry alone; true keeps the message. */
export interface MessageFilter {
  isMatchedByConsumeQueue(tagsCode: number): boolean;
  /** Optional second look at the whole record (SQL filters). */
  isMatchedByCommitLog?(record: Buffer): boolean;
}

export type BoundaryType = 'LOWER' | 'UPPER';
