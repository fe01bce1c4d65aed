import type { MessageStoreConfig } from '../base/config.ts';
import {
  appendBytesMax,
  END_FILE_MIN_BLANK_LENGTH,
  PROPERTIES_BYTES_MAX,
  QUEUE_COUNT_MAX,
  RECORD_OVERHEAD_BYTES_MAX,
} from '../base/limits.ts';
import type {
  MessageExtBatch,
  MessageExtBrokerInner,
  PutMessageResult,
  PutMessageStatus,
  StoreHost,
} from '../base/types.ts';
import { innerBatchFault, withInnerBase } from './inner-batch.ts';
import type { EncodedPart, MessageEncoder } from './message-encoder.ts';
import { propertyOf } from './properties.ts';
import { INNER_BATCH_FLAG, NEED_UNWRAP_FLAG, transactionType } from './sys-flag.ts';
import { TOMBSTONE_PREPARED_OFFSET, TOMBSTONE_PROPERTY } from './tombstone.ts';
import { type FoldedTopics, topicFault } from './topic-name.ts';

export type Refusal = Pick<PutMessageResult, 'status' | 'reason' | 'cause'> & { reason: string };

export interface MessageCheckOptions {
  /** Looked at each time: maxMessageSize may change while the store runs. */
  config: Pick<MessageStoreConfig, 'maxMessageSize' | 'mappedFileSizeCommitLog'>;
  /** Bytes that the engine takes at once, for one record or for all of a batch. */
  engineBytesMax: number;
  encoder: MessageEncoder;
  /** On a file system that does not tell some names apart. */
  foldedTopics?: FoldedTopics | undefined;
  /** Topics with batch queues; none without. */
  batchTopics?: { has(topic: string): boolean } | undefined;
}

/** Topics whose name was looked at; more than a broker has in use at a time. */
const TOPICS_MAX = 10_000;

/**
 * What the log takes (RocketMQ HookUtils.checkBeforePutMessage, MessageExtEncoder): whatever passes can be encoded, found
 * again through its queue, and decoded to what was put, now and by the next process. What does not pass is refused with its
 * numbers before anything is changed; nothing here throws, whatever it is given.
 */
export class MessageCheck {
  readonly #config: MessageCheckOptions['config'];
  readonly #encoder: MessageEncoder;
  readonly #foldedTopics: FoldedTopics | undefined;
  readonly #batchTopics: { has(topic: string): boolean };
  readonly #goodTopics = new Set<string>();
  /** Bytes of the largest put that some file can hold. */
  readonly appendBytesMax: number;

  constructor(options: MessageCheckOptions) {
    this.#config = options.config;
    this.appendBytesMax = appendBytesMax(options.config.mappedFileSizeCommitLog, options.engineBytesMax);
    this.#encoder = options.encoder;
    this.#foldedTopics = options.foldedTopics;
    this.#batchTopics = options.batchTopics ?? { has: () => false };
  }

  /** Why this message is refused; undefined when it can be appended. */
  message(message: MessageExtBrokerInner): Refusal | undefined {
    if (typeof message !== 'object' || message === null) return illegal('the message is no object');
    const isInner = isInt32(message.sysFlag) && (message.sysFlag & INNER_BATCH_FLAG) !== 0;
    const refusal = this.#head(message, isInner) ?? this.#part(message);
    // Who has the properties as bytes comes again with the text.
    if (refusal !== undefined || message.propertyBytes !== undefined || !this.#batchTopics.has(message.topic)) {
      return refusal ?? this.#size(message);
    }
    const fault = innerBatchFault(message.sysFlag, message.body, message.propertiesString);
    if (fault !== undefined) return illegal(fault);
    if (!isInner) return this.#size(message);
    const propertiesString = withInnerBase(message.propertiesString, Number.MAX_SAFE_INTEGER);
    const stored = { ...message, propertiesString };
    return this.#part(stored) ?? this.#size(stored);
  }

  /** The same for a batch, whose records must all fit one file. */
  batch(batch: MessageExtBatch): Refusal | undefined {
    if (typeof batch !== 'object' || batch === null) return illegal('the batch is no object');
    const { messages } = batch;
    if (!Array.isArray(messages)) return illegal('the messages of the batch are no array');
    if (messages.length === 0) return illegal('batch holds no message');
    const refusal = this.#head(batch);
    if (refusal !== undefined) return refusal;
    const head = batch as unknown as MessageExtBrokerInner;
    const limit = Math.min(this.#config.maxMessageSize + RECORD_OVERHEAD_BYTES_MAX, this.appendBytesMax);
    let totalSize = 0;
    const isOfBatchQueue = this.#batchTopics.has(batch.topic);
    for (const part of messages) {
      if (typeof part !== 'object' || part === null) return illegal('a message of the batch is no object');
      const refusal = this.#part(part);
      if (refusal !== undefined) return refusal;
      const fault = isOfBatchQueue ? innerBatchFault(0, part.body, part.propertiesString) : undefined;
      if (fault !== undefined) return illegal(fault);
      totalSize += this.#encoder.size(head, part);
    }
    if (totalSize <= limit) return undefined;
    return illegal(`batch needs ${totalSize} bytes in the log, ${this.#limitText(limit)}`);
  }

  /** A deleted topic's name is free again. */
  forgetTopic(topic: string): void {
    this.#foldedTopics?.release(topic);
    this.#goodTopics.delete(topic);
  }

  #head(message: Omit<MessageExtBrokerInner, keyof EncodedPart>, isInner = false): Refusal | undefined {
    const { topic, queueId, sysFlag, reconsumeTimes, bornTimestamp, preparedTransactionOffset } = message;
    if (!this.#goodTopics.has(topic)) {
      const fault = this.#topicFault(topic);
      if (fault !== undefined) return illegal(fault);
    }
    if (!isInt32(queueId) || queueId < 0 || queueId >= QUEUE_COUNT_MAX) {
      return illegal(`queueId ${shown(queueId)} is not an integer from 0 to ${QUEUE_COUNT_MAX - 1}`);
    }
    if (!isInt32(sysFlag)) return illegal(`sysFlag ${shown(sysFlag)} is not a 32-bit integer`);
    const isOfBatch = (sysFlag & (INNER_BATCH_FLAG | NEED_UNWRAP_FLAG)) !== 0;
    if (isOfBatch && !(isInner && this.#batchTopics.has(topic))) {
      return illegal(`sysFlag ${sysFlag} says inner batch, which only a topic with batch queues holds`);
    }
    if (!isInt32(reconsumeTimes)) return illegal(`reconsumeTimes ${shown(reconsumeTimes)} is not a 32-bit integer`);
    if (!Number.isSafeInteger(bornTimestamp)) {
      return illegal(`bornTimestamp ${shown(bornTimestamp)} is not an integer in milliseconds`);
    }
    if (!Number.isSafeInteger(preparedTransactionOffset)) {
      return illegal(`preparedTransactionOffset ${shown(preparedTransactionOffset)} is not an integer`);
    }
    if (preparedTransactionOffset === TOMBSTONE_PREPARED_OFFSET && transactionType(sysFlag) === 0) {
      return illegal(`a message with preparedTransactionOffset ${preparedTransactionOffset} is passed over by readers`);
    }
    return checkHost('bornHost', message.bornHost) ?? checkHost('storeHost', message.storeHost);
  }

  #topicFault(topic: string): string | undefined {
    if (typeof topic !== 'string') return 'topic is no string';
    const fault = topicFault(topic);
    if (fault !== undefined) return fault;
    const owner = this.#foldedTopics?.claim(topic);
    if (owner !== undefined) {
      return `this file system does not tell the topic ${JSON.stringify(topic)} from ${JSON.stringify(owner)}`;
    }
    if (this.#goodTopics.size >= TOPICS_MAX) this.#goodTopics.clear();
    this.#goodTopics.add(topic);
    return undefined;
  }

  /** What differs within a batch. */
  #part(part: EncodedPart): Refusal | undefined {
    const { body, flag, propertiesString } = part;
    if (!(body instanceof Uint8Array)) return illegal('body is no Uint8Array');
    if (body.length > this.#config.maxMessageSize) {
      return illegal(`body is ${body.length} bytes long, maxMessageSize is ${this.#config.maxMessageSize}`);
    }
    if (!isInt32(flag)) return illegal(`flag ${shown(flag)} is not a 32-bit integer`);
    if (part.propertyBytes !== undefined) return propertiesFault(part.propertyBytes.length);
    if (typeof propertiesString !== 'string') return illegal('propertiesString is no string');
    // Of a text that only looks like what is stored, keys are filed that nobody finds after the next start.
    if (!propertiesString.isWellFormed()) {
      return illegal('properties hold half of a surrogate pair, which UTF-8 cannot hold');
    }
    if (body.length === 0 && propertyOf(propertiesString, TOMBSTONE_PROPERTY) !== undefined) {
      return illegal(`a message without a body and with the property ${TOMBSTONE_PROPERTY} is passed over by readers`);
    }
    // Three bytes a UTF-16 unit at most, and the checksum: below this bound nothing has to be measured.
    if (propertiesString.length * 3 + 32 <= PROPERTIES_BYTES_MAX) return undefined;
    return propertiesFault(this.#encoder.propertiesSize(propertiesString));
  }

  /** A record that no file can hold would close one file after the other, each with nothing in it. */
  #size(message: MessageExtBrokerInner): Refusal | undefined {
    if (this.#encoder.sizeMax(message, message) <= this.appendBytesMax) return undefined;
    const size = this.#encoder.size(message, message);
    if (size <= this.appendBytesMax) return undefined;
    return illegal(`message needs ${size} bytes in the log, ${this.#limitText(this.appendBytesMax)}`);
  }

  #limitText(limit: number): string {
    if (limit < this.appendBytesMax) return `the limit is ${limit} (maxMessageSize and ${RECORD_OVERHEAD_BYTES_MAX})`;
    const fileSize = this.#config.mappedFileSizeCommitLog;
    return limit < fileSize - END_FILE_MIN_BLANK_LENGTH
      ? `a mapping takes ${limit} at once (writeWithoutMmap=false)`
      : `a file of the log holds ${limit} (mappedFileSizeCommitLog ${fileSize})`;
  }
}

function propertiesFault(bytes: number): Refusal | undefined {
  if (bytes <= PROPERTIES_BYTES_MAX) return undefined;
  const reason = `properties are ${bytes} bytes long, a record holds ${PROPERTIES_BYTES_MAX}`;
  return { status: 'PROPERTIES_SIZE_EXCEEDED', reason };
}

function checkHost(name: string, host: StoreHost): Refusal | undefined {
  if (typeof host !== 'object' || host === null || !(host.address instanceof Uint8Array)) {
    return illegal(`${name} has no address of bytes`);
  }
  const { length } = host.address;
  if (length !== 4 && length !== 16) return illegal(`${name} has an address of ${length} bytes, not 4 or 16`);
  return isInt32(host.port) ? undefined : illegal(`${name} has port ${shown(host.port)}, not a 32-bit integer`);
}

function isInt32(value: number): boolean {
  return typeof value === 'number' && (value | 0) === value;
}

/** A number as it is, of anything else the kind: a caller's object may throw when it is asked for its text. */
function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : `(${value === null ? 'null' : typeof value})`;
}

const illegal = (reason: string): Refusal => ({ status: 'MESSAGE_ILLEGAL' satisfies PutMessageStatus, reason });
