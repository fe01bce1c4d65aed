export { type Clock, systemClock } from './clock.ts';
export { defaultMessageStoreConfig, type MessageStoreConfig, type MessageStoreOptions } from './config.ts';
export { STORE_ERROR_CODES, StoreError, type StoreErrorCode } from './errors.ts';
export { type StoreLogger, silentLogger } from './logger.ts';
export { MessageStore, type MessageStoreEvents, type OpenOptions } from './message-store.ts';
export type { HistogramSnapshot, StoreMetrics } from './metrics.ts';
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
