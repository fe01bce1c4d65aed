export { type Clock, systemClock } from './clock.ts';
export { defaultMessageStoreConfig, type MessageStoreConfig, type MessageStoreOptions } from './config.ts';
export type { Message } from './embedding/message.ts';
export { STORE_ERROR_CODES, StoreError, type StoreErrorCode } from './errors.ts';
export type { InFlightOperation } from './io/file-system.ts';
export { type StoreLogger, silentLogger } from './logger.ts';
export { MessageStore, type MessageStoreEvents } from './message-store.ts';
export type { HistogramSnapshot, StoreMetrics } from './metrics.ts';
export type { Arrival, OpenOptions } from './open-options.ts';
export type { GetMessageOptions } from './read/message-reader.ts';
export type { ReadQueueOptions } from './read/read-queue.ts';
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
  StoreHost,
} from './types.ts';
