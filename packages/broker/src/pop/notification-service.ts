import { ResponseCode, type TopicConfig } from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { popRetryTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { OrderInfos } from './order-infos.ts';
import { ageOf, POLL_MS_MAX } from './poll-time.ts';
import type { PopPermission } from './pop-permission.ts';
import type { PopPolling } from './pop-polling.ts';
import { ATTEMPT_ID_MAX, type QueueOfGroup } from './pop-request.ts';
import type { PopStart } from './pop-start.ts';

export interface NotificationRequest extends QueueOfGroup {
  readonly pollMs: number;
  /** Unix milliseconds when the consumer sent it, by its clock; 0: not known. */
  readonly bornTime: number;
  readonly isOrdered: boolean;
  readonly attemptId: string | undefined;
}

export interface Notification {
  readonly hasMessage: boolean;
  /** Too many wait: ask again later. */
  readonly isPollingFull: boolean;
}

export interface NotificationServiceParts {
  readonly config: BrokerConfig;
  readonly store: Pick<MessageStore, 'getMaxOffsetInQueue'>;
  readonly topics: TopicConfigManager;
  readonly permission: PopPermission;
  readonly start: PopStart;
  readonly orders: OrderInfos;
  /** Of notifications, not of pops. */
  readonly polling: PopPolling;
  readonly clock: Clock;
}

/** Tells a consumer that there is something to pop, and gives it nothing (RocketMQ NotificationProcessor). */
export class NotificationService {
  readonly #parts: NotificationServiceParts;

  constructor(parts: NotificationServiceParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the group has a message to pop, or the time is over; `held` is called when it waits. Undefined when the
   * caller is gone.
   */
  async whenMessage(
    request: NotificationRequest,
    caller: Caller,
    held: () => void,
  ): Promise<Notification | Refusal | undefined> {
    const { permission, clock, polling } = this.#parts;
    const { identity } = caller;
    if (request.pollMs < 0) {
      return new Refusal(ResponseCode.INVALID_PARAMETER, `pollTime ${request.pollMs}: allowed are 0 and more ms`);
    }
    const { attemptId } = request;
    if ((attemptId?.length ?? 0) > ATTEMPT_ID_MAX) {
      const remark = `attemptId has ${attemptId?.length} characters, at most ${ATTEMPT_ID_MAX}`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const now = clock.now();
    const ageMs = ageOf(request.bornTime, now);
    const waitsUntil = clock.monotonic() + Math.min(request.pollMs, POLL_MS_MAX) - ageMs;
    for (;;) {
      if (caller.isGone) return undefined;
      const topic = permission.topic(request, caller);
      if (topic instanceof Refusal) return topic;
      if (this.#hasMessage(request, topic)) return { hasMessage: true, isPollingFull: false };
      const left = waitsUntil - clock.monotonic();
      if (left <= 0) return { hasMessage: false, isPollingFull: false };
      let wake = (): void => {};
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const { group, queueId } = request;
      const waiting = { caller, group, topic: request.topic, queueId, filter: undefined };
      // What comes while a queue is blocked is not seen before it is free.
      const waitMs = Math.min(left, this.#untilFree(request, topic) ?? left);
      if (!polling.hold(waiting, waitMs, wake)) return { hasMessage: false, isPollingFull: true };
      held();
      await woken;
      const denied = identity?.expired();
      if (denied !== undefined) {
        // What it was woken for is another's.
        polling.notify(group, request.topic, queueId);
        return denied;
      }
    }
  }

  #hasMessage(request: NotificationRequest, topic: TopicConfig): boolean {
    const { config, topics } = this.#parts;
    const { group, isOrdered, topic: name } = request;
    for (const id of queueIdsOf(request, topic)) {
      if (isOrdered && this.#blockedUntil(request, id) > 0) continue;
      if (this.#hasIn(group, name, id)) return true;
    }
    if (isOrdered) return false;
    const versions = config.enableRetryTopicV2
      ? [true, ...(config.retrieveMessageFromPopRetryTopicV1 ? [false] : [])]
      : [false];
    for (const isV2 of versions) {
      const retries = topics.select(popRetryTopicOf(name, group, isV2));
      if (retries === undefined) continue;
      for (let id = 0; id < retries.readQueueNums; id++) if (this.#hasIn(group, retries.topicName, id)) return true;
    }
    return false;
  }

  #hasIn(group: string, topic: string, queueId: number): boolean {
    const { store, start } = this.#parts;
    return store.getMaxOffsetInQueue(topic, queueId) > start.estimated(group, topic, queueId);
  }

  #blockedUntil({ group, topic, attemptId }: NotificationRequest, queueId: number): number {
    return this.#parts.orders.blockedUntil(topic, group, queueId, attemptId, 0);
  }

  #untilFree(request: NotificationRequest, topic: TopicConfig): number | undefined {
    if (!request.isOrdered) return undefined;
    let first = Number.POSITIVE_INFINITY;
    for (const id of queueIdsOf(request, topic)) {
      const until = this.#blockedUntil(request, id);
      if (until > 0) first = Math.min(first, until);
    }
    return first === Number.POSITIVE_INFINITY ? undefined : Math.max(1, first - this.#parts.clock.now());
  }
}

const queueIdsOf = ({ queueId }: QueueOfGroup, topic: TopicConfig): number[] =>
  queueId >= 0 ? [queueId] : Array.from({ length: topic.readQueueNums }, (_, id) => id);
