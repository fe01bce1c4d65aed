import { EventEmitter } from 'node:events';
import type { MessageStoreConfig, MessageStoreOptions } from './config.ts';
import type { StoreError } from './errors.ts';
import type { StoreLogger } from './logger.ts';
import type { StoreMetrics } from './metrics.ts';
import type {
  BoundaryType,
  Durability,
  GetMessageResult,
  MessageExt,
  MessageExtBatch,
  MessageExtBrokerInner,
  MessageFilter,
  PutMessageResult,
} from './types.ts';

export interface OpenOptions {
  logger?: StoreLogger;
  /** Called while recovery reads the log: bytes done of bytes to do. */
  onRecoveryProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface MessageStoreEvents {
  /** Messages of a queue became readable; `maxOffset` is the queue's new exclusive end. Emitted per message, in order. */
  arrived: [arrival: { topic: string; queueId: number; maxOffset: number; tagsCode: number; storeTimestamp: number }];
  /** The first failed write or flush; the store is read-only from here on. */
  failed: [cause: StoreError];
}

export class MessageStore extends EventEmitter<MessageStoreEvents> {
  declare readonly config: MessageStoreConfig;
  declare readonly metrics: StoreMetrics;
  /** The failure that made the store read-only, once there was one. */
  declare readonly failure: StoreError | undefined;
  /** Offsets in the log, bytes: minOffset ≤ flushedWhere ≤ committedWhere ≤ maxOffset. */
  declare readonly minPhyOffset: number;
  declare readonly maxPhyOffset: number;
  declare readonly flushedWhere: number;
  declare readonly committedWhere: number;
  /** End of what the queues and the index know. */
  declare readonly dispatchedWhere: number;
  /** Free to write: neither failed, nor disk full, nor shut down. */
  declare readonly isWriteable: boolean;

  /** Takes the lock, loads, recovers, starts the services. */
  static open(_options: MessageStoreOptions, _more?: OpenOptions): Promise<MessageStore> {
    throw new Error('contract only');
  }
  /** Hot path of the broker. See PutMessageResult for what each status means. Never rejects for an operating error. */
  asyncPutMessage(_message: MessageExtBrokerInner, _durability?: Durability): Promise<PutMessageResult> {
    throw new Error('contract only');
  }
  asyncPutMessages(_batch: MessageExtBatch, _durability?: Durability): Promise<PutMessageResult> {
    throw new Error('contract only');
  }
  getMessage(
    _group: string,
    _topic: string,
    _queueId: number,
    _offset: number,
    _maxMsgNums: number,
    _options?: { maxBytes?: number; filter?: MessageFilter },
  ): Promise<GetMessageResult> {
    throw new Error('contract only');
  }
  /** Exclusive end of what readers may see; 0 for a queue that does not exist. */
  getMaxOffsetInQueue(_topic: string, _queueId: number): number {
    throw new Error('contract only');
  }
  getMinOffsetInQueue(_topic: string, _queueId: number): number {
    throw new Error('contract only');
  }
  getOffsetInQueueByTime(
    _topic: string,
    _queueId: number,
    _timestamp: number,
    _boundary?: BoundaryType,
  ): Promise<number> {
    throw new Error('contract only');
  }
  /** storeTimestamp of the record behind this entry; -1 when there is none. */
  getMessageStoreTimeStamp(_topic: string, _queueId: number, _queueOffset: number): Promise<number> {
    throw new Error('contract only');
  }
  /** storeTimestamp of the queue's first message, -1 when it has none. */
  getEarliestMessageTime(_topic: string, _queueId: number): Promise<number> {
    throw new Error('contract only');
  }
  /** The raw record at this offset, undefined when there is none (checked: magic, size, own offset). */
  selectOneMessageByOffset(_commitLogOffset: number): Promise<Buffer | undefined> {
    throw new Error('contract only');
  }
  lookMessageByOffset(_commitLogOffset: number): Promise<MessageExt | undefined> {
    throw new Error('contract only');
  }
  queryMessage(
    _topic: string,
    _key: string,
    _maxNum: number,
    _begin: number,
    _end: number,
  ): Promise<{ indexLastUpdateTimestamp: number; indexLastUpdatePhyoffset: number; records: Buffer[] }> {
    throw new Error('contract only');
  }
  /** Topics that have at least one queue, with their queue ids. */
  queuesByTopic(): Map<string, number[]> {
    throw new Error('contract only');
  }
  /** Removes the queues of a topic; its records stay in the log until they expire. */
  deleteTopic(_topic: string): Promise<void> {
    throw new Error('contract only');
  }
  /** Resolves when every byte below `offset` is on disk; rejects when the store fails first. */
  whenFlushed(_offset: number): Promise<void> {
    throw new Error('contract only');
  }
  /** The keys of RocketMQ's GET_BROKER_RUNTIME_INFO that the store owns. */
  runtimeInfo(): Record<string, string> {
    throw new Error('contract only');
  }
  shutdown(): Promise<void> {
    throw new Error('contract only');
  }
}
