import {
  type BatchMessage,
  encodeBatchBody,
  MessageSysFlag,
  ResponseCode,
  type TopicConfig,
  TRANSACTION_MASK,
} from '@vernier/remoting';
import type {
  Clock,
  MessageExtBatch,
  MessageExtBrokerInner,
  MessageStore,
  PutMessageResult,
  StoreHost,
} from '@vernier/store';
import { PROPERTY_INNER_MULTI_QUEUE_OFFSET, PropertyBit, PropertyScan, propertyOf } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { groupOfRetryTopic, isRetryOrDlqTopic, isRetryTopic, TIMER_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import { MessageTypeIndex } from '../stats/message-meters.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { Admission } from './admission.ts';
import { type HalfMessages, isTransactional } from './half-message.ts';
import { applyLiteTopic, lightQueuesDenied } from './lite-topic.ts';
import { type BatchToPut, keptBatch, keptMessage, type MessageToPut, propertiesTextOf } from './message-to-put.ts';
import { applyPriority } from './priority.ts';
import { innerBatchProperties } from './properties.ts';
import type { PutMessageHook } from './put-message-hook.ts';
import { isStored, remarkOfPut, responseCodeOfPut } from './put-result.ts';
import { type Origin, type PutRules, putRules } from './put-rules.ts';
import type { RetryLimit } from './retry-limit.ts';
import { Stamp } from './stamp.ts';

/** Bits that the broker decides alone: address families and inner batches. A client's say would make records unreadable. */
const BROKER_BITS =
  MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6 | MessageSysFlag.NEED_UNWRAP | MessageSysFlag.INNER_BATCH;
/** What no message of a batch may ask for: it would leave the batch. */
const BATCH_REFUSED = PropertyBit.DELAY | PropertyBit.TIMER | PropertyBit.TRAN_MSG;

/** A message was stored, as safely as `code` says: ResponseCode SUCCESS, or one of the three that say what is not known. */
export interface Stored {
  readonly code: number;
  readonly remark: string | undefined;
  /**
   * Where it is, or for a delayed message where it will be: not where it was sent to when it went to the dead letters, or
   * any queue would do. Of a half, where it goes when it is committed; its offsets are those of the half.
   */
  readonly topic: string;
  readonly queueId: number;
  /** Entry number of the (first) message in the queue that it stands in: for a delayed message that of its level. */
  readonly queueOffset: number;
  /** Offset in the log of the (first) record, and of each record of a batch. */
  readonly logOffset: number;
  readonly batchLogOffsets: readonly number[] | undefined;
  /** A batch that was stored as one record (RocketMQ inner batch). */
  readonly isInnerBatch?: boolean;
  /** It is the half of a transaction. */
  readonly isHalf?: boolean;
  /** The UNIQ_KEY it came with or was given. */
  readonly uniqKey: string | undefined;
  /** Of a message that waits for its time: its slot's, Unix milliseconds. */
  readonly timerOutMs?: number | undefined;
}

/** What became of a put: stored, or refused and not stored. */
export type PutOutcome = Stored | Refusal;

export interface PutServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  /** topics.json. */
  readonly topicsFile: { save(): Promise<void> };
  readonly admission: Admission;
  readonly retryLimit: RetryLimit;
  readonly halves: HalfMessages;
  /** Looked at in order for each message that has one of the properties a hook names. */
  readonly hooks: readonly PutMessageHook[];
  readonly stats: BrokerStats;
  /** Light queues are in use. */
  readonly hasLmqs: boolean;
  /** The broker's address as records store it. */
  readonly storeHost: StoreHost;
  readonly clock: Clock;
  /** From 0 up to 1, 1 excluded. */
  readonly random: () => number;
}

/**
 * The one way in: every message that the broker stores, a client's or its own, comes through here. `putRules` says what is
 * done with it, by who it comes from. The hot path of the broker: one message object and one promise; the property string
 * is scanned and not parsed, and stays bytes where no rule needs it as text.
 *
 * Both functions give `answer` the outcome and give back what it makes of it: at once for a refusal, else as a promise
 * that resolves when the message is as safe as the store's flushDiskType and the message's WAIT property ask for. It
 * rejects only for a fault of the program. A promise for the outcome and another for the answer would be one more for each
 * message than a send needs.
 */
export class PutService {
  readonly #parts: PutServiceParts;
  readonly #stamp: Stamp;
  /** For properties that are text: which of the names that a broker looks at are there. */
  readonly #scan = new PropertyScan();

  constructor(parts: PutServiceParts) {
    this.#parts = parts;
    this.#stamp = new Stamp(parts.config, parts.clock);
  }

  put<Answer>(
    message: MessageToPut,
    caller: Caller,
    origin: Origin,
    answer: (outcome: PutOutcome) => Answer,
  ): Answer | Promise<Answer> {
    if (!this.#isQueueSaved(message)) {
      const copy = keptMessage(message);
      return this.#whenSaved((refusal) =>
        refusal === undefined ? this.put(copy, caller, origin, answer) : answer(refusal),
      );
    }
    const rules = putRules[origin];
    const topic = this.#topicFor(message, caller, rules);
    if (topic instanceof Refusal) return answer(topic);
    const { store, storeHost, retryLimit, halves, hasLmqs } = this.#parts;
    const range = message.propertyBytes;
    const bytes = range !== undefined && rules.isStamped ? this.#stamp.bytes(message, range) : undefined;
    let properties = '';
    let found: number;
    let uniqKey: string | undefined;
    if (bytes === undefined) {
      properties = propertiesTextOf(message);
      found = this.#scan.scanText(properties).found;
    } else {
      found = bytes.scan.found;
      uniqKey = bytes.scan.uniqKey;
    }
    const fault = rules.isChecked ? messageFault(message, properties) : undefined;
    if (fault !== undefined) return answer(illegal(fault));
    if (bytes === undefined && rules.isStamped) ({ properties, uniqKey } = this.#stamp.text(properties, found));
    const inner: MessageExtBrokerInner = {
      topic: message.topic,
      queueId: message.queueId < 0 ? this.#anyQueue(topic) : message.queueId,
      flag: message.flag,
      sysFlag: rules.isStamped ? stampedSysFlag(message.sysFlag, topic) : message.sysFlag,
      bornTimestamp: message.bornTimestamp,
      bornHost: message.bornHost ?? caller.host,
      storeHost,
      reconsumeTimes: message.reconsumeTimes,
      preparedTransactionOffset: message.preparedTransactionOffset ?? 0,
      body: message.body,
      propertiesString: properties,
      propertyBytes: bytes,
    };
    if (rules.hasRetryLimit && isRetryTopic(message.topic)) {
      const refusal = retryLimit.apply(inner, message.maxReconsumeTimes ?? Number.NaN);
      if (refusal !== undefined) return answer(refusal);
      if (inner.topic !== message.topic) {
        this.#parts.stats.meters?.countEvent('deadLetters', message.topic, groupOfRetryTopic(message.topic));
      }
    }
    if (rules.isPlaced && hasLmqs && (found & PropertyBit.LITE_TOPIC) !== 0) {
      const refusal = applyLiteTopic(inner);
      if (refusal !== undefined) return answer(refusal);
    } else if (hasLmqs && (found & PropertyBit.MULTI_DISPATCH) !== 0) {
      const refusal = lightQueuesDenied(caller.identity, properties);
      if (refusal !== undefined) return answer(refusal);
    }
    if (rules.isPlaced && !message.isQueueFixed && (found & PropertyBit.PRIORITY) !== 0) {
      const target = inner.topic === message.topic ? topic : this.#parts.topics.select(inner.topic);
      applyPriority(inner, target ?? topic, found);
      if (!this.#parts.topics.isQueueSaved(inner.topic, inner.queueId)) {
        const copy = keptMessage(message);
        return this.#whenSaved((refusal) =>
          refusal === undefined ? this.put(copy, caller, origin, answer) : answer(refusal),
        );
      }
    }
    if (rules.mayBeHalf && (found & PropertyBit.TRAN_MSG) !== 0) {
      if (halves.isHalf(properties, message.reconsumeTimes)) return this.#putHalf(inner, found, uniqKey, rules, answer);
      // Such a record would get no queue entry.
      inner.sysFlag &= ~TRANSACTION_MASK;
    }
    const { topic: wantedTopic, queueId } = inner;
    const refusal = rules.isHooked ? this.#askHooks(inner, found) : undefined;
    if (refusal !== undefined) return answer(refusal);
    const waits = rules.isHooked && inner.topic === TIMER_TOPIC;
    const outMs = waits ? Number(propertyOf(inner.propertiesString, 'TIMER_OUT_MS')) : undefined;
    return store
      .asyncPutMessage(inner, rules.isAwaited ? undefined : 'async')
      .then((result) => answer(this.#outcome(result, inner.topic, wantedTopic, queueId, uniqKey, rules, found, outMs)));
  }

  #putHalf<Answer>(
    message: MessageExtBrokerInner,
    found: number,
    uniqKey: string | undefined,
    rules: PutRules,
    answer: (outcome: PutOutcome) => Answer,
  ): Answer | Promise<Answer> {
    const { topic, queueId } = message;
    // It would be acknowledged now, and refused when it is committed.
    const fault = this.#parts.store.hasBatchQueues(topic) ? this.#parts.store.messageFault(message) : undefined;
    if (fault !== undefined) return answer(illegal(fault));
    const refusal = this.#parts.halves.prepare(message, found);
    if (refusal !== undefined) return answer(refusal);
    return this.#parts.store.asyncPutMessage(message).then((result) => {
      const outcome = this.#outcome(result, message.topic, topic, queueId, uniqKey, rules, found);
      return answer(outcome instanceof Refusal ? outcome : { ...outcome, isHalf: true });
    });
  }

  putBatch<Answer>(
    batch: BatchToPut,
    caller: Caller,
    origin: Origin,
    answer: (outcome: PutOutcome) => Answer,
  ): Answer | Promise<Answer> {
    if (!this.#isQueueSaved(batch)) {
      const copy = keptBatch(batch);
      return this.#whenSaved((refusal) =>
        refusal === undefined ? this.putBatch(copy, caller, origin, answer) : answer(refusal),
      );
    }
    const rules = putRules[origin];
    const topic = this.#topicFor(batch, caller, rules);
    if (topic instanceof Refusal) return answer(topic);
    const fault = rules.isChecked ? batchFault(batch, this.#scan) : undefined;
    if (fault !== undefined) return answer(illegal(fault));
    const { store, storeHost } = this.#parts;
    const inner: MessageExtBatch = {
      topic: batch.topic,
      queueId: batch.queueId < 0 ? this.#anyQueue(topic) : batch.queueId,
      sysFlag: rules.isStamped ? stampedSysFlag(batch.sysFlag, topic) & ~TRANSACTION_MASK : batch.sysFlag,
      bornTimestamp: batch.bornTimestamp,
      bornHost: batch.bornHost ?? caller.host,
      storeHost,
      reconsumeTimes: batch.reconsumeTimes,
      preparedTransactionOffset: 0,
      messages: batch.messages,
    };
    const refusal = rules.isHooked ? this.#askHooksOfBatch(inner, batch.messages) : undefined;
    if (refusal !== undefined) return answer(refusal);
    const uniqKey = propertyOf(batch.properties, 'UNIQ_KEY');
    if (uniqKey !== undefined && store.hasBatchQueues(batch.topic)) {
      return this.#putInnerBatch(batch, inner, uniqKey, rules, answer);
    }
    return store
      .asyncPutMessages(inner)
      .then((result) => answer(this.#outcome(result, inner.topic, inner.topic, inner.queueId, uniqKey, rules, 0)));
  }

  /** One record for all messages, where the topic's queues have entries for that. */
  #putInnerBatch<Answer>(
    batch: BatchToPut,
    { messages, ...common }: MessageExtBatch,
    uniqKey: string,
    rules: PutRules,
    answer: (outcome: PutOutcome) => Answer,
  ): Answer | Promise<Answer> {
    const { store } = this.#parts;
    const { found } = this.#scan.scanText(batch.properties);
    if ((found & BATCH_REFUSED) !== 0) return answer(illegal('a batch cannot be delayed or transactional'));
    const own = rules.isStamped ? this.#stamp.text(batch.properties, found).properties : batch.properties;
    const message: MessageExtBrokerInner = {
      ...common,
      sysFlag: common.sysFlag | MessageSysFlag.NEED_UNWRAP | MessageSysFlag.INNER_BATCH,
      flag: batch.flag ?? 0,
      body: encodeBatchBody(messages),
      propertiesString: innerBatchProperties(own, messages.length),
    };
    const { topic, queueId } = common;
    return store.asyncPutMessage(message).then((result) => {
      const outcome = this.#outcome(result, topic, topic, queueId, uniqKey, rules, found);
      return answer(outcome instanceof Refusal ? outcome : { ...outcome, isInnerBatch: true });
    });
  }

  /** A start after a crash would let consumers read the queue. */
  #isQueueSaved({ topic, queueId }: MessageToPut | BatchToPut): boolean {
    return this.#parts.topics.isQueueSaved(topic, queueId < 0 ? Number.POSITIVE_INFINITY : queueId);
  }

  /** Nothing is stored in a queue that nobody may read after a crash: topics.json is saved first, which is rare. */
  async #whenSaved<Answer>(go: (refusal: Refusal | undefined) => Answer | Promise<Answer>): Promise<Answer> {
    try {
      await this.#parts.topicsFile.save();
    } catch (error) {
      return go(new Refusal(ResponseCode.SYSTEM_ERROR, `not stored: ${(error as Error).message}`));
    }
    return go(undefined);
  }

  #topicFor(message: MessageToPut | BatchToPut, caller: Caller, rules: PutRules): TopicConfig | Refusal {
    const { admission, topics } = this.#parts;
    if (rules.isChecked) return admission.admit(message, caller);
    return (
      topics.select(message.topic) ??
      new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${message.topic}] not exist, apply first please!`)
    );
  }

  #anyQueue(topic: TopicConfig): number {
    return Math.floor(this.#parts.random() * Math.max(1, topic.writeQueueNums));
  }

  #askHooks(message: MessageExtBrokerInner, found: number): Refusal | undefined {
    for (const hook of this.#parts.hooks) {
      if ((hook.properties & found) === 0) continue;
      const refusal = hook.executeBeforePutMessage(message, found);
      if (refusal !== undefined) return new Refusal(refusal.code, refusal.remark);
    }
    return undefined;
  }

  /** A hook may refuse a message of a batch, and the batch with it; it cannot change one. */
  #askHooksOfBatch(batch: MessageExtBatch, messages: readonly BatchMessage[]): Refusal | undefined {
    for (const { flag, body, propertiesString } of messages) {
      const { found } = this.#scan.scanText(propertiesString);
      if (!this.#parts.hooks.some((hook) => (hook.properties & found) !== 0)) continue;
      const { messages: _, ...common } = batch;
      const message: MessageExtBrokerInner = { ...common, flag, body, propertiesString };
      const refusal = this.#askHooks(message, found);
      if (refusal !== undefined) return refusal;
      if (message.topic !== batch.topic || message.propertiesString !== propertiesString) {
        return illegal('a batch holds no messages that the broker has to store in another way');
      }
    }
    return undefined;
  }

  #outcome(
    result: PutMessageResult,
    storedTopic: string,
    topic: string,
    queueId: number,
    uniqKey: string | undefined,
    rules: PutRules,
    found: number,
    timerOutMs?: number,
  ): PutOutcome {
    const { stats, clock } = this.#parts;
    const code = responseCodeOfPut(result);
    if (!isStored(code)) {
      if (rules.isCounted) stats.putFailed++;
      return new Refusal(code, remarkOfPut(result) as string);
    }
    if (rules.isCounted) {
      const now = clock.now();
      stats.countPut(now, storedTopic, result.messageCount, result.wroteBytes);
      if (rules.isMetered && stats.meters !== undefined && !isRetryOrDlqTopic(storedTopic)) {
        // What was delivered after its delay says so no more, and RocketMQ goes on counting it as delayed.
        const type = rules === putRules.delay ? MessageTypeIndex.DELAY : messageTypeOf(found);
        stats.meters.countIn(storedTopic, type, result.messageCount, result.wroteBytes);
      }
      // A clock that was set back since stands before the message's time.
      stats.putTimes.add(Math.max(0, now - result.storeTimestamp));
    }
    return {
      code,
      remark: remarkOfPut(result),
      topic,
      queueId,
      queueOffset: result.queueOffset,
      logOffset: result.wroteOffset,
      batchLogOffsets: result.batchOffsets,
      uniqKey,
      timerOutMs,
    };
  }
}

const illegal = (why: string): Refusal => new Refusal(ResponseCode.MESSAGE_ILLEGAL, `the message is illegal: ${why}`);

/** What RocketMQ calls the message in its metrics, by its properties (BrokerMetricsManager.getMessageType). */
function messageTypeOf(found: number): number {
  if ((found & PropertyBit.TRAN_MSG) !== 0) return MessageTypeIndex.TRANSACTION;
  if ((found & PropertyBit.SHARDING_KEY) !== 0) return MessageTypeIndex.FIFO;
  return (found & (PropertyBit.DELAY | PropertyBit.TIMER)) !== 0 ? MessageTypeIndex.DELAY : MessageTypeIndex.NORMAL;
}

const stampedSysFlag = (sysFlag: number, topic: TopicConfig): number =>
  (sysFlag & ~BROKER_BITS) | (topic.topicFilterType === 'MULTI_TAG' ? MessageSysFlag.MULTI_TAGS : 0);

/** What is wrong with a producer's message itself. */
function messageFault(message: MessageToPut, properties: string): string | undefined {
  if (message.body.length === 0) return 'its body is empty';
  // Such a record gets no queue entry, so it could never be read.
  if ((message.sysFlag & TRANSACTION_MASK) !== 0 && !isTransactional(properties)) {
    return 'sysFlag says transaction, TRAN_MSG does not';
  }
  return undefined;
}

function batchFault(batch: BatchToPut, scan: PropertyScan): string | undefined {
  if (isRetryTopic(batch.topic)) return `batch request does not support retry group ${batch.topic}`;
  if (batch.messages.length === 0) return 'the batch holds no message';
  for (const { propertiesString } of batch.messages) {
    const { found } = scan.scanText(propertiesString);
    if ((found & BATCH_REFUSED) !== 0) return 'a batch holds no delayed or transactional messages';
    const hasNumbers =
      (found & PropertyBit.MULTI_DISPATCH) !== 0 &&
      propertyOf(propertiesString, PROPERTY_INNER_MULTI_QUEUE_OFFSET) !== undefined;
    if (hasNumbers) return `${PROPERTY_INNER_MULTI_QUEUE_OFFSET} is for the log to write`;
  }
  return undefined;
}
