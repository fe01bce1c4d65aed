import { ResponseCode, type TopicConfig } from '@vernier/remoting';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { LineRate } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import type { Identity } from '../base/identity.ts';
import { popRetryTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { SizedFilter } from '../filter/sized-filter.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { MESSAGES_MAX } from './check-point.ts';
import { ORDER_REVIVE_QUEUE, TIME_MAX } from './handle.ts';
import { waitsUntil } from './poll-time.ts';
import type { PopPermission } from './pop-permission.ts';
import type { PopPolling } from './pop-polling.ts';
import { PopLook, type PopQueues } from './pop-queues.ts';
import { ATTEMPT_ID_MAX, type PopRequest, type PopResult } from './pop-request.ts';
import type { PopStart } from './pop-start.ts';
import { goesByPriority, priorityQueue } from './priority-order.ts';
import { queueKeyOf } from './queue-locks.ts';

/** Who wants the outcome of a pop. */
export interface PopAsker {
  /**
   * Asks for room for records of so many bytes before they are read; undefined when it is there. Rejects when the caller is
   * gone.
   */
  reserve(bytes: number): Promise<void> | undefined;
  /** Gives back the room that no answer used. */
  unreserve(): void;
  /** Nothing is there yet: the answer comes when something is, or the time is over. */
  held(): void;
}

export interface PopServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly permission: PopPermission;
  readonly queues: PopQueues;
  readonly start: PopStart;
  readonly polling: PopPolling;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly random: () => number;
}

/** Room for the records of one pop. The first record of a queue may be larger, as in a pull. */
const POP_BYTES = 512 * 1024;

/** One pop under way: what is needed of it when it looks again. */
interface Pop {
  readonly request: PopRequest;
  readonly caller: Caller;
  readonly identity: Identity | undefined;
  readonly asker: PopAsker;
  readonly filter: SizedFilter | undefined;
  /** Monotonic milliseconds until which it may wait. */
  readonly waitsUntil: number;
}

/**
 * Gives a group messages that nobody else of it gets until they are acknowledged or their time is over (RocketMQ
 * PopMessageProcessor).
 *
 * The steps of a pop of one queue, under the lock of the group's queue, and what a crash leaves between them:
 *
 *   1 read      the messages from the group's offset on
 *   2 put       a checkpoint that names them; in order: the batch in consumerOrderInfo.json, in memory
 *   3 move      the group's offset; committed when the checkpoint is on disk, and on disk with the table's next save.
 *               In order it is not moved
 *   4 answer
 *
 * A crash before 2 leaves the messages where they were; after it they come again at the end of their time, from the
 * checkpoint, and once more when the offset was not saved. None is left out.
 */
export class PopService {
  readonly #parts: PopServiceParts;
  readonly #failedLines: LineRate;
  #popCount = 0;

  constructor(parts: PopServiceParts) {
    this.#parts = parts;
    this.#failedLines = new LineRate(parts.clock);
  }

  /**
   * Resolves with the messages, or that there are none, after as long as the request waits. Undefined when the caller is
   * gone, and never when the broker stops while the request waits. Rejects STORE_READ_FAILED, STORE_CLOSED.
   */
  async pop(request: PopRequest, caller: Caller, asker: PopAsker): Promise<PopResult | Refusal | undefined> {
    const { permission, clock } = this.#parts;
    const { identity } = caller;
    const fault = faultOf(request);
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    const until = waitsUntil(request, clock);
    if (until instanceof Refusal) return until;
    const topic = permission.topic(request, caller);
    if (topic instanceof Refusal) return topic;
    const asked = permission.filter(request, caller);
    const filter = asked instanceof Promise ? await asked : asked;
    if (filter instanceof Refusal) return filter;
    const denied = asked instanceof Promise ? identity?.expired() : undefined;
    if (denied !== undefined) return denied;
    // It may wait for long, and the text of the expression is not needed any more.
    const waiting = { ...request, expression: undefined };
    return this.#try({ request: waiting, caller, identity, asker, filter, waitsUntil: until });
  }

  async #try(pop: Pop): Promise<PopResult | Refusal | undefined> {
    const { request, caller, identity, asker } = pop;
    const { polling, clock } = this.#parts;
    for (;;) {
      if (caller.isGone) return undefined;
      let look: PopLook;
      try {
        await asker.reserve(POP_BYTES);
        look = await this.#look(pop);
      } catch (error) {
        asker.unreserve();
        if (caller.isGone) return undefined;
        throw error;
      }
      if (caller.isGone && look.records.length === 0) {
        asker.unreserve();
        return undefined;
      }
      if (look.refusal !== undefined && look.records.length === 0) {
        asker.unreserve();
        return look.refusal;
      }
      if (look.records.length > 0) {
        // All of those who want any queue, or the same queue, may have the rest.
        if (look.restCount > 0) polling.notify(request.group, request.topic, request.queueId);
        return resultOf(ResponseCode.SUCCESS, pop, look);
      }
      asker.unreserve();
      const left = pop.waitsUntil - clock.monotonic();
      if (left <= 0) return resultOf(ResponseCode.POLLING_TIMEOUT, pop, look);
      const wakes = this.#hold(pop, look, left);
      if (wakes === undefined) return resultOf(ResponseCode.POLLING_FULL, pop, look);
      asker.held();
      await wakes;
      const denied = identity?.expired();
      if (denied !== undefined) {
        // What it was woken for is another's.
        polling.notify(request.group, request.topic, request.queueId);
        return denied;
      }
    }
  }

  /** Resolves when it is time to look again; undefined when too many wait. */
  #hold({ request, caller, filter }: Pop, look: PopLook, left: number): Promise<void> | undefined {
    const { polling, clock, store, topics } = this.#parts;
    const { group, topic, queueId } = request;
    // A queue that is blocked is free at its time without anybody saying so.
    const untilFree = look.blockedUntil > 0 ? Math.max(1, look.blockedUntil - clock.now()) : left;
    let wake = (): void => {};
    const wakes = new Promise<void>((resolve) => {
      wake = resolve;
    });
    if (!polling.hold({ caller, group, topic, queueId, filter }, Math.min(left, untilFree), wake)) return undefined;
    // What has arrived since the look at its queue is not announced again.
    const hasNew =
      look.seen.some(({ topic: name, queueId: id, maxOffset }) => store.getMaxOffsetInQueue(name, id) > maxOffset) ||
      look.missing.some((name) => topics.select(name) !== undefined);
    if (hasNew) polling.notify(group, topic, queueId);
    return wakes;
  }

  async #look(pop: Pop): Promise<PopLook> {
    const { request, caller, filter } = pop;
    const { config, topics, groups, clock, random } = this.#parts;
    const { isOrdered, group, topic } = request;
    const draw = Math.floor(random() * 100);
    const reviveQueueId = isOrdered ? ORDER_REVIVE_QUEUE : this.#popCount++ % config.reviveQueueNum;
    const look = new PopLook({ request, caller, filter, reviveQueueId, popTime: clock.now(), bytesMax: POP_BYTES });
    const retryTopics = this.#retryTopics(request, draw);
    const topicConfig = topics.select(topic);
    const byPriority =
      !isOrdered && topicConfig !== undefined && goesByPriority(topicConfig, groups.table.get(group), draw);
    const from = byPriority ? undefined : draw;
    const retriesFirst =
      draw < (byPriority ? config.popFromRetryProbabilityForPriority : config.popFromRetryProbability);
    if (!isOrdered && retriesFirst) await this.#lookAtRetries(look, retryTopics, from);
    await this.#lookAt(look, topic, request.queueId, from);
    if (!isOrdered && !retriesFirst && !look.isFull) await this.#lookAtRetries(look, retryTopics, from);
    // Somebody was at these. Their messages may come back, or others may be there that nobody announces.
    for (const { topic: name, queueId } of look.busy) {
      if (look.records.length > 0 || caller.isGone) break;
      await this.#popLocked(look, name, queueId);
    }
    if (topics.select(topic) === undefined) {
      look.refusal ??= new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist, apply first please!`);
    }
    return look;
  }

  /** Of both versions, in a drawn order; without version 2 there is one. */
  #retryTopics({ group, topic }: PopRequest, draw: number): string[] {
    const { enableRetryTopicV2, retrieveMessageFromPopRetryTopicV1 } = this.#parts.config;
    const v1 = popRetryTopicOf(topic, group, false);
    if (!enableRetryTopicV2) return [v1];
    const v2 = popRetryTopicOf(topic, group, true);
    if (!retrieveMessageFromPopRetryTopicV1) return [v2];
    return draw % 2 === 0 ? [v1, v2] : [v2, v1];
  }

  /** Only one of them has a place in the answer's header: the second is for when the first has nothing. */
  async #lookAtRetries(look: PopLook, retryTopics: readonly string[], draw: number | undefined): Promise<void> {
    const before = look.records.length;
    for (const retryTopic of retryTopics) {
      await this.#lookAt(look, retryTopic, -1, draw);
      if (look.records.length > before) return;
    }
  }

  /** `queueId`: -1 is each one, from a drawn one on or, without `draw`, by priority. */
  async #lookAt(look: PopLook, name: string, queueId: number, draw: number | undefined): Promise<void> {
    const { topics, config } = this.#parts;
    const topic: TopicConfig | undefined = topics.select(name);
    if (topic === undefined) {
      look.missing.push(name);
      return;
    }
    if (queueId >= 0) {
      await this.#popOne(look, name, queueId);
      return;
    }
    const { readQueueNums: count } = topic;
    for (let i = 0; i < count; i++) {
      const id = draw === undefined ? priorityQueue(i, count, config.priorityOrderAsc) : (draw + i) % count;
      // Most queues of a wide topic are read to their end.
      if (!this.#isAtEnd(look, name, id)) await this.#popOne(look, name, id);
    }
  }

  #isAtEnd(look: PopLook, topic: string, queueId: number): boolean {
    const { start, store, config, queues } = this.#parts;
    const { group } = look.request;
    if (config.useServerSideResetOffset && queues.hasReset(group, topic, queueId)) return false;
    const offset = start.known(group, topic, queueId);
    const maxOffset = store.getMaxOffsetInQueue(topic, queueId);
    if (offset < 0 || offset !== maxOffset) return false;
    look.seen.push({ topic, queueId, maxOffset });
    return true;
  }

  async #popOne(look: PopLook, topic: string, queueId: number): Promise<void> {
    const { queues } = this.#parts;
    const { group, isOrdered } = look.request;
    if (look.isFull) {
      look.restCount += queues.restOf(group, topic, queueId);
      return;
    }
    if (isOrdered) return this.#popLocked(look, topic, queueId);
    const unlock = queues.locks.tryLock(queueKeyOf(topic, group, queueId));
    if (unlock === undefined) {
      look.restCount += queues.restOf(group, topic, queueId);
      look.busy.push({ topic, queueId });
      return;
    }
    try {
      await this.#popQueue(look, topic, queueId);
    } finally {
      unlock();
    }
  }

  #popLocked(look: PopLook, topic: string, queueId: number): Promise<void> {
    const { locks } = this.#parts.queues;
    return locks.run(queueKeyOf(topic, look.request.group, queueId), () => this.#popQueue(look, topic, queueId));
  }

  /** A queue that fails does not take away what the others gave. */
  async #popQueue(look: PopLook, topic: string, queueId: number): Promise<void> {
    try {
      await this.#parts.queues.pop(look, topic, queueId);
    } catch (error) {
      if (look.records.length === 0 || look.caller.isGone) throw error;
      const failedBefore = this.#failedLines.admit();
      if (failedBefore === undefined) return;
      const message = `a queue is left out of a pop: ${(error as Error).message}`;
      this.#parts.logger.error({ err: error, topic, queueId, failedBefore }, message);
    }
  }
}

/** What no pop can ask for. */
function faultOf({ maxMessages, invisibleMs, pollMs, attemptId }: PopRequest): string | undefined {
  if (maxMessages < 1 || maxMessages > MESSAGES_MAX) {
    return `maxMsgNums ${maxMessages}: a pop gives 1 to ${MESSAGES_MAX} messages`;
  }
  if (invisibleMs < 0 || invisibleMs > TIME_MAX) return `invisibleTime ${invisibleMs}: allowed are 0 to ${TIME_MAX} ms`;
  if (pollMs < 0) return `pollTime ${pollMs}: allowed are 0 and more ms`;
  if ((attemptId?.length ?? 0) > ATTEMPT_ID_MAX) {
    return `attemptId has ${attemptId?.length} characters, at most ${ATTEMPT_ID_MAX}`;
  }
  return undefined;
}

function resultOf(code: number, { request }: Pop, look: PopLook): PopResult {
  const { popTime, reviveQueueId, restCount, infos, records, deliveries } = look;
  const { invisibleMs, isOrdered } = request;
  return { code, popTime, invisibleMs, reviveQueueId, restCount, infos, records, deliveries, isOrdered };
}
