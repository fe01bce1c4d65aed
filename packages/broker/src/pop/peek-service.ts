import { ResponseCode } from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { popRetryTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { MESSAGES_MAX } from './check-point.ts';
import type { PopPermission } from './pop-permission.ts';
import type { QueueOfGroup } from './pop-request.ts';
import type { PopStart } from './pop-start.ts';

export interface PeekRequest extends QueueOfGroup {
  /** 1 to 32. */
  readonly maxMessages: number;
}

export interface PeekResult {
  readonly records: readonly Buffer[];
  /** Messages that the looked-at queues have, these among them. */
  readonly restCount: number;
}

export interface PeekServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly permission: PopPermission;
  readonly start: PopStart;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Room for the records of a peek. The first record of a queue may be larger. */
export const PEEK_BYTES = 512 * 1024;

/** Shows what a pop would give, without giving it (RocketMQ PeekMessageProcessor). */
export class PeekService {
  readonly #parts: PeekServiceParts;

  constructor(parts: PeekServiceParts) {
    this.#parts = parts;
  }

  /** Rejects STORE_READ_FAILED, STORE_CLOSED. */
  async peek(request: PeekRequest, caller: Caller): Promise<PeekResult | Refusal> {
    const { permission, config, random } = this.#parts;
    const { group, topic: name, queueId, maxMessages } = request;
    if (maxMessages < 1 || maxMessages > MESSAGES_MAX) {
      const remark = `maxMsgNums ${maxMessages}: a peek shows 1 to ${MESSAGES_MAX} messages`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const topic = permission.topic(request, caller);
    if (topic instanceof Refusal) return topic;
    const draw = Math.floor(random() * 100);
    const retries = popRetryTopicOf(name, group, config.enableRetryTopicV2);
    const isRetriesFirst = draw < config.popFromRetryProbability;
    const records: Buffer[] = [];
    let restCount = isRetriesFirst ? await this.#peek(request, retries, -1, draw, records) : 0;
    restCount += await this.#peek(request, name, queueId, draw, records);
    if (!isRetriesFirst && records.length < maxMessages) {
      restCount += await this.#peek(request, retries, -1, draw, records);
    }
    return { records, restCount };
  }

  async #peek(request: PeekRequest, name: string, queueId: number, draw: number, records: Buffer[]): Promise<number> {
    const { topics } = this.#parts;
    const count = topics.select(name)?.readQueueNums ?? 0;
    if (queueId >= 0) return this.#peekQueue(request, name, queueId, records);
    let rest = 0;
    for (let i = 0; i < count; i++) rest += await this.#peekQueue(request, name, (draw + i) % count, records);
    return rest;
  }

  async #peekQueue(request: PeekRequest, topic: string, queueId: number, records: Buffer[]): Promise<number> {
    const { store, start, stats, clock } = this.#parts;
    const { group, maxMessages } = request;
    const offset = start.estimated(group, topic, queueId);
    const rest = Math.max(0, store.getMaxOffsetInQueue(topic, queueId) - offset);
    const bytesLeft = PEEK_BYTES - records.reduce((bytes, record) => bytes + record.length, 0);
    if (rest === 0 || records.length >= maxMessages || bytesLeft <= 0) return rest;
    const count = maxMessages - records.length;
    let found = await store.getMessage(group, topic, queueId, offset, count, { maxBytes: bytesLeft });
    if (found.status === 'OFFSET_TOO_SMALL' || found.status === 'OFFSET_OVERFLOW_BADLY') {
      found = await store.getMessage(group, topic, queueId, found.nextBeginOffset, count, { maxBytes: bytesLeft });
    }
    records.push(...found.records);
    if (found.messageCount > 0) stats.countGet(clock.now(), group, topic, found.messageCount, found.bufferTotalSize);
    return rest;
  }
}
