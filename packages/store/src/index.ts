/**
 * A durable commit log in RocketMQ's file formats, for a broker or for a program that embeds it.
 *
 * `MessageStore.open(options)` takes the directory's lock and recovers. `putMessage` appends; its promise says how safe the
 * message is (`Durability`). `readQueue` iterates over a queue, `queryMessage` finds messages by key, `flush` makes all of
 * it durable, `shutdown` closes. `metrics` shows the flush path.
 *
 * Caveats:
 * - One process, one open store for a directory. The lock refuses a second one.
 * - PUT_OK under SYNC_FLUSH says that the message is on disk; under ASYNC_FLUSH that it survives a killed process.
 * - A failed write or flush makes the store read-only for good: it emits `failed`, and only a new open ends that.
 * - Buffers that are handed out (`body`, records) are yours to keep; a body that is handed in may be used again at once.
 * - Errors are `StoreError`: match on `code`. A refused message is a status and no error.
 * - `@vernier/store/internal` is for Vernier's own packages and changes without notice.
 */
export { type Clock, systemClock } from './base/clock.ts';
export { defaultMessageStoreConfig, type MessageStoreConfig, type MessageStoreOptions } from './base/config.ts';
export { STORE_ERROR_CODES, StoreError, type StoreErrorCode } from './base/errors.ts';
export type { InFlightOperation } from './base/file-system.ts';
export { type StoreLogger, silentLogger } from './base/logger.ts';
export type { HistogramSnapshot, StoreMetrics } from './base/metrics.ts';
export type {
  BoundaryType,
  Durability,
  GetMessageResult,
  GetMessageStatus,
  MessageExt,
  MessageExtBatch,
  MessageExtBrokerInner,
  MessageFilter,
  PutMessageResult,
  PutMessageStatus,
  QueueEntry,
  StoredMessage,
  StoreHost,
} from './base/types.ts';
export type { IndexType } from './key-index/index-service.ts';
export { MessageStore, type MessageStoreEvents } from './message-store.ts';
export type { Arrival, OpenOptions } from './open-options.ts';
export type { QueryMessageResult } from './read/key-query.ts';
export type { GetMessageOptions, RoomForRecords } from './read/message-reader.ts';
export type { ReadQueueOptions } from './read/read-queue.ts';
export type { Message } from './record/message.ts';
