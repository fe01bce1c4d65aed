import { createTopicConfig, MessageSysFlag, Perm, ResponseCode } from '@vernier/remoting';
import type { Clock, MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { decodeMessage, encodeProperties, LineRate, PROPERTY_CRC32 } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { isRetryTopic, normalTopicOf, popRetryTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { MessageToPut } from '../put/message-to-put.ts';
import { isNeverStored } from '../put/put-result.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { PopCheckPoint } from './check-point.ts';
import { deletedBelow } from './deleted-below.ts';
import type { InFlight } from './in-flight.ts';
import { queueOffsetIn } from './retry-record.ts';
import { putStatusOf, type ReviveLog } from './revive-log.ts';

export interface ReviveRetriesParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly put: PutService;
  readonly log: ReviveLog;
  readonly stats: BrokerStats;
  /** In whose name the broker puts. */
  readonly caller: Caller;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

/** Seconds after which a message that could not be given on is tried again, each time one further (RocketMQ). */
const RE_PUT_SECONDS = [10, 20, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];
const READ_WRITE = Perm.READ | Perm.WRITE;
const RETRY_QUEUE_NUMS = 1;

/** Gives messages whose time is over to their group again: copies in its retry topic. */
export class ReviveRetries {
  readonly #parts: ReviveRetriesParts;
  readonly #failedLines: LineRate;
  #revivedTotal = 0;
  #rePutTotal = 0;

  constructor(parts: ReviveRetriesParts) {
    this.#parts = parts;
    this.#failedLines = new LineRate(parts.clock);
  }

  /** Messages given again, and those that have to be tried once more, since the start. */
  get revivedTotal(): number {
    return this.#revivedTotal;
  }

  get rePutTotal(): number {
    return this.#rePutTotal;
  }

  /**
   * Gives again what is not acknowledged of a checkpoint. Resolves with an offset of the log: when it is on disk up to there,
   * nothing of the checkpoint is needed any more. Rejects when neither a copy nor another checkpoint could be stored.
   */
  async revive(entry: InFlight): Promise<number> {
    const { point } = entry;
    this.#checkDeletion(point);
    if (!this.#isWanted(point)) return 0;
    let logEnd = 0;
    for (const [index, diff] of point.diffs.entries()) {
      // An ack may have come while the others were put.
      if (entry.isAcked(index)) continue;
      logEnd = Math.max(logEnd, await this.#revive(point, point.startOffset + diff, entry.reviveQueueId));
    }
    return logEnd;
  }

  /** Throws while the topic is being deleted: it may be there again after that, and a copy would outlive it. */
  #checkDeletion({ topic, group }: PopCheckPoint): void {
    const { topics } = this.#parts;
    const normalTopic = normalTopicOf(topic, group);
    const isBeingDeleted = topics.isBeingDeleted(topic) || topics.isBeingDeleted(normalTopic);
    if (isBeingDeleted) throw new Error(`topic ${normalTopic} is being deleted`);
  }

  /**
   * Topic and group are still there; a group may have been made by the pop, and not be saved. A topic that was deleted and
   * made again has other messages at these offsets.
   */
  #isWanted({ topic, group, logOffset }: PopCheckPoint): boolean {
    const { topics, groups, store } = this.#parts;
    const normalTopic = normalTopicOf(topic, group);
    if (logOffset !== undefined && logOffset < deletedBelow(store, topic, normalTopic)) return false;
    return topics.select(normalTopic) !== undefined && groups.find(group) !== undefined;
  }

  async #revive(point: PopCheckPoint, queueOffset: number, reviveQueueId: number): Promise<number> {
    let failure: unknown;
    try {
      const message = await this.#message(point, queueOffset);
      this.#checkDeletion(point);
      // It has expired, was lost, or was deleted with its topic: what has its number now is younger than what was popped.
      if (message === undefined || message.commitLogOffset > (point.logOffset ?? Number.POSITIVE_INFINITY)) return 0;
      if (!this.#isWanted({ ...point, logOffset: message.commitLogOffset })) return 0;
      const stored = await this.#putCopy(point, message);
      const putStatus = putStatusOf(stored instanceof Refusal);
      this.#parts.stats.meters?.countEvent('reviveRetries', point.topic, point.group, 1, putStatus);
      if (!(stored instanceof Refusal)) {
        this.#revivedTotal++;
        return stored;
      }
      failure = new Error(stored.remark);
    } catch (error) {
      failure = error;
    }
    return this.#again(point, queueOffset, reviveQueueId, failure);
  }

  /** The message at exactly this offset. */
  async #message({ topic, group, queueId }: PopCheckPoint, queueOffset: number): Promise<MessageExt | undefined> {
    const { store } = this.#parts;
    if (
      queueOffset < store.getMinOffsetInQueue(topic, queueId) ||
      queueOffset >= store.getMaxOffsetInQueue(topic, queueId)
    ) {
      return undefined;
    }
    const { records } = await store.getMessage(group, topic, queueId, queueOffset, 1);
    const [record] = records;
    return record !== undefined && queueOffsetIn(record, topic) === queueOffset ? decodeMessage(record) : undefined;
  }

  async #putCopy(point: PopCheckPoint, message: MessageExt): Promise<number | Refusal> {
    const { put, caller } = this.#parts;
    const topic = this.#retryTopic(point);
    if (topic instanceof Refusal) return topic;
    const send = (withPopTime: boolean): PutOutcome | Promise<PutOutcome> =>
      put.put<PutOutcome>(copyOf(message, topic, point, withPopTime), caller, 'revive', (value) => value);
    let outcome = await send(true);
    // Its properties are as long as properties may be: it goes without what is added.
    if (outcome instanceof Refusal && isNeverStored(outcome)) outcome = await send(false);
    return outcome instanceof Refusal ? outcome : outcome.logOffset + 1;
  }

  /** The topic of the group's retries, made when it is missing; the group begins there at the first message. */
  #retryTopic({ topic, group }: PopCheckPoint): string | Refusal {
    const { config, topics, offsets } = this.#parts;
    const name = isRetryTopic(topic) ? topic : popRetryTopicOf(topic, group, config.enableRetryTopicV2);
    if (topics.select(name) !== undefined) return name;
    // Consumers invent groups, and with each of them and each topic one of these.
    if (!topics.hasRoomFor([createTopicConfig(name)])) return new Refusal(ResponseCode.SYSTEM_BUSY, topics.noRoom);
    topics.createInSendMessageBack(name, RETRY_QUEUE_NUMS, READ_WRITE, 0);
    if (offsets.query(group, name, 0) < 0) offsets.commit(group, name, 0, 0);
    return name;
  }

  /** Another checkpoint, of this message alone, which ends later. No number of tries is the last one. */
  async #again(point: PopCheckPoint, queueOffset: number, reviveQueueId: number, failure: unknown): Promise<number> {
    const { log, clock, logger } = this.#parts;
    const seconds = RE_PUT_SECONDS[Math.min(point.rePutTimes, RE_PUT_SECONDS.length - 1)] as number;
    const invisibleMs = Math.max(0, clock.now() - point.popTime) + seconds * 1_000;
    const again: PopCheckPoint = {
      ...{ ...point, startOffset: queueOffset, diffs: [0], invisibleMs, rePutTimes: point.rePutTimes + 1 },
    };
    const stored = await log.putCheckPoint(again, reviveQueueId);
    if (stored instanceof Refusal) throw new Error(stored.remark, { cause: failure });
    this.#rePutTotal++;
    const failedBefore = this.#failedLines.admit();
    if (failedBefore !== undefined) {
      const message = `a message was not given to ${point.group} again, once more in ${seconds} s: ${(failure as Error).message}`;
      logger.error({ err: failure, ...point, queueOffset, failedBefore }, message);
    }
    return stored;
  }
}

/** Body, flags and properties as they were, one more reconsumption unless it was suspended, born here (RocketMQ PopReviveService.reviveRetry). */
function copyOf(
  message: MessageExt,
  topic: string,
  { popTime, group, isSuspended }: PopCheckPoint,
  withPopTime: boolean,
): MessageToPut {
  const properties = new Map(message.properties);
  properties.delete(PROPERTY_CRC32);
  if (withPopTime) {
    if (message.reconsumeTimes === 0 || !properties.has('1ST_POP_TIME'))
      properties.set('1ST_POP_TIME', String(popTime));
    properties.set('ORIGIN_GROUP', group);
  }
  return {
    topic,
    queueId: 0,
    flag: message.flag,
    // The address bits describe this record's hosts, which the encoder knows.
    sysFlag: message.sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6),
    bornTimestamp: message.bornTimestamp,
    reconsumeTimes: message.reconsumeTimes + (isSuspended === true ? 0 : 1),
    body: message.body,
    properties: encodeProperties(properties),
  };
}
