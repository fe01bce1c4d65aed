/**
 * The limits of a message, in one place: what the encoder can write, what the decoder takes, what the checks before a put
 * refuse, and what a broker grants a topic. Settings (maxMessageSize, mappedFileSizeCommitLog …) lower some of them; see
 * recordBytesMax(). The table stands in docs/reference/limits.md.
 */
export interface Limit {
  readonly value: number;
  readonly unit: 'bytes' | 'queues' | 'integer' | 'milliseconds';
  /** What it bounds, and why at this number. */
  readonly why: string;
}

const MiB = 1024 * 1024;

/** Largest integer of a signed 32-bit field, and of a JavaScript number that is exact. */
export const INT32_MAX = 0x7fff_ffff;

export const limits = {
  TOPIC_BYTES_MAX: {
    value: 127,
    unit: 'bytes',
    why: 'Name of a topic, as UTF-8: a V1 record has one signed byte for its length.',
  },
  TOPIC_BYTES_MAX_RETRY: {
    value: 255,
    unit: 'bytes',
    why: 'Name of a topic that begins with `%RETRY%`: written as a V2 record, whose length has two bytes; a directory’s name has 255 on most file systems.',
  },
  QUEUE_COUNT_MAX: {
    value: 65_536,
    unit: 'queues',
    why: 'Queues of one topic; `queueId` goes from 0 to one less. Each is a directory, and a broker that finds queue n announces n + 1 queues to every client.',
  },
  PROPERTIES_BYTES_MAX: {
    value: 32_767,
    unit: 'bytes',
    why: 'All properties of a message as they are stored, `KEYS`, `TAGS` and the record’s checksum among them: the length is a signed 16-bit field.',
  },
  RECORD_OVERHEAD_BYTES_MAX: {
    value: 65_536,
    unit: 'bytes',
    why: 'What a put may need in the log around its body, or a batch around all of its bodies together, beyond `maxMessageSize`. RocketMQ’s number; one record of ours needs 33,138 at most.',
  },
  RECORD_BYTES_MIN: {
    value: 91,
    unit: 'bytes',
    why: 'The smallest record: IPv4 hosts, no body, no topic, no properties.',
  },
  END_FILE_MIN_BLANK_LENGTH: {
    value: 8,
    unit: 'bytes',
    why: 'Left behind the last record of each file of the log, for the mark of its end. So the largest put, a batch with all its records, needs this much less than `mappedFileSizeCommitLog`.',
  },
  MMAP_APPEND_BYTES_MAX: {
    value: 32 * MiB - 4_096,
    unit: 'bytes',
    why: 'The largest put with `writeWithoutMmap=false`, a batch with all its records: what is mapped at a time, less the page in which it may begin.',
  },
  INT32_MAX: {
    value: INT32_MAX,
    unit: 'integer',
    why: '`flag`, `sysFlag`, `reconsumeTimes` and the ports of both hosts are signed 32-bit fields: from −2,147,483,648.',
  },
  SAFE_INTEGER_MAX: {
    value: Number.MAX_SAFE_INTEGER,
    unit: 'integer',
    why: '`bornTimestamp`, `preparedTransactionOffset` and every offset: 64-bit fields, of which JavaScript holds integers up to 2⁵³ exactly.',
  },
  STORE_TIME_HELD_MS: {
    value: 60_000,
    unit: 'milliseconds',
    why: 'While the clock stands no farther behind the last `storeTimestamp`, messages get that one again, so that times along the log do not fall. A clock that is farther behind is followed.',
  },
} as const satisfies Record<string, Limit>;

export const TOPIC_BYTES_MAX = limits.TOPIC_BYTES_MAX.value;
export const TOPIC_BYTES_MAX_RETRY = limits.TOPIC_BYTES_MAX_RETRY.value;
export const QUEUE_COUNT_MAX = limits.QUEUE_COUNT_MAX.value;
export const PROPERTIES_BYTES_MAX = limits.PROPERTIES_BYTES_MAX.value;
export const RECORD_OVERHEAD_BYTES_MAX = limits.RECORD_OVERHEAD_BYTES_MAX.value;
/** Bytes of a V1 record with IPv4 hosts, an empty body, an empty topic and no properties. */
export const RECORD_BYTES_MIN = limits.RECORD_BYTES_MIN.value;
/**
 * No record is larger, whatever maxMessageSize was when it was stored (its greatest value, 64 MiB, and what goes around it).
 * For places of the log that somebody else names, where a body may have been made to look like a record of a gigabyte.
 */
export const RECORD_BYTES_CEILING = 64 * 1024 * 1024 + RECORD_OVERHEAD_BYTES_MAX;
/** Bytes that always remain behind the last record of a file, for the BLANK marker (RocketMQ END_FILE_MIN_BLANK_LENGTH). */
export const END_FILE_MIN_BLANK_LENGTH = limits.END_FILE_MIN_BLANK_LENGTH.value;
export const MMAP_APPEND_BYTES_MAX = limits.MMAP_APPEND_BYTES_MAX.value;
export const STORE_TIME_HELD_MS = limits.STORE_TIME_HELD_MS.value;

/**
 * Bytes of the largest put in a log with files of this size: one record, or all records of a batch, which lie in one
 * file. `engineBytesMax` is what the engine can take at once.
 */
export function appendBytesMax(fileSize: number, engineBytesMax: number): number {
  return Math.min(fileSize - END_FILE_MIN_BLANK_LENGTH, engineBytesMax);
}
