import { ResponseCode } from '@vernier/remoting';
import type { Clock, GetMessageResult, MessageStore } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { isReadable } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import { MESSAGES_MAX } from '../pop/check-point.ts';
import { TIME_MAX } from '../pop/handle.ts';
import type { OrderInfos } from '../pop/order-infos.ts';
import { waitsUntil } from '../pop/poll-time.ts';
import type { PopPolling } from '../pop/pop-polling.ts';
import type { PopAsker } from '../pop/pop-service.ts';
import type { PopStart } from '../pop/pop-start.ts';
import { type QueueLocks, queueKeyOf } from '../pop/queue-locks.ts';
import { queueOffsetIn } from '../pop/retry-record.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { LiteEvents } from './lite-events.ts';
import { isLiteTopic, liteGroupOf } from './lite-rules.ts';
import { NEEDS_LMQS } from './lite-subscription-service.ts';
import type { LiteWakes } from './lite-wakes.ts';

/** What a client wants of the lite topics that it subscribes to. */
export interface PopLiteRequest {
  readonly clientId: string;
  readonly group: string;
  /** The parent. */
  readonly topic: string;
  /** 1 to 32. */
  readonly maxMessages: number;
  /** How long nobody else of the group gets messages of the same lite topics. */
  readonly invisibleMs: number;
  /** How long the request may wait for a message; 0: not at all. */
  readonly pollMs: number;
  /** Unix milliseconds when the client sent it, by its clock; 0: not known. */
  readonly bornTime: number;
  readonly attemptId: string | undefined;
}

export interface PopLiteResult {
  /** ResponseCode: SUCCESS, POLLING_TIMEOUT or POLLING_FULL. */
  readonly code: number;
  /** Unix milliseconds. */
  readonly popTime: number;
  readonly invisibleMs: number;
  /** Whole records; each says in its properties which lite topic it is of, and its number there. */
  readonly records: readonly Buffer[];
  /** How often each was given before. */
  readonly counts: readonly number[];
}

export interface PopLiteServiceParts {
  readonly config: BrokerConfig;
  readonly hasLmqs: boolean;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly orders: OrderInfos;
  readonly locks: QueueLocks;
  readonly start: PopStart;
  readonly events: LiteEvents;
  readonly wakes: LiteWakes;
  readonly polling: PopPolling;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  /** The broker's address as refusals name it. */
  readonly host: string;
}

/** Room for the records of one pop. The first record of a lite topic may be larger. */
const POP_BYTES = 512 * 1024;
/** Looks at places where messages were: files that have expired, and what a repair left. */
const LOOKS_MAX = 16;

interface Look {
  readonly request: PopLiteRequest;
  readonly popTime: number;
  readonly records: Buffer[];
  readonly counts: number[];
  bytesLeft: number;
  refusal: Refusal | undefined;
}

/**
 * Gives a client messages of the lite topics that it subscribes to, of each in order: no more of one before those given are
 * acknowledged or their time is over (RocketMQ PopLiteMessageProcessor). Which lite topics have messages say LiteEvents. Who
 * has which batch is known in memory: after a restart what was not acknowledged comes again at once.
 */
export class PopLiteService {
  readonly #parts: PopLiteServiceParts;

  constructor(parts: PopLiteServiceParts) {
    this.#parts = parts;
  }

  /** As PopService.pop. Rejects STORE_READ_FAILED, STORE_CLOSED. */
  async pop(request: PopLiteRequest, caller: Caller, asker: PopAsker): Promise<PopLiteResult | Refusal | undefined> {
    const { clock, polling, events } = this.#parts;
    const { identity } = caller;
    const refusal = this.#refusal(request);
    if (refusal !== undefined) return refusal;
    const until = waitsUntil(request, clock);
    if (until instanceof Refusal) return until;
    const { group, clientId } = request;
    for (;;) {
      if (caller.isGone) return undefined;
      let look: Look;
      try {
        await asker.reserve(POP_BYTES);
        look = await this.#look(request, caller);
      } catch (error) {
        asker.unreserve();
        if (caller.isGone) return undefined;
        throw error;
      }
      if (look.records.length > 0) return this.#result(ResponseCode.SUCCESS, look);
      asker.unreserve();
      if (caller.isGone) return undefined;
      if (look.refusal !== undefined) return look.refusal;
      const left = until - clock.monotonic();
      if (left <= 0) return this.#result(ResponseCode.POLLING_TIMEOUT, look);
      let wake = (): void => {};
      const wakes = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const held = { caller, group, topic: clientId, queueId: 0, filter: undefined };
      if (!polling.hold(held, left, wake)) return this.#result(ResponseCode.POLLING_FULL, look);
      // What came since the look is not announced again.
      if (events.hasAny(clientId)) polling.notify(group, clientId, 0);
      asker.held();
      await wakes;
      const denied = identity?.expired();
      if (denied !== undefined) return denied;
    }
  }

  #refusal(request: PopLiteRequest): Refusal | undefined {
    const { config, hasLmqs, topics, groups, host } = this.#parts;
    const { group, topic: name } = request;
    const fault = hasLmqs ? faultOf(request) : NEEDS_LMQS;
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    if (!isReadable(config.brokerPermission)) {
      return new Refusal(ResponseCode.NO_PERMISSION, `the broker[${host}] pop message is forbidden`);
    }
    const topic = topics.select(name);
    if (topic === undefined) {
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic [${name}] not exist, apply first please!`);
    }
    if (!isReadable(topic.perm)) {
      return new Refusal(ResponseCode.NO_PERMISSION, `the topic [${name}] peeking message is forbidden`);
    }
    if (!isLiteTopic(topic)) {
      return new Refusal(ResponseCode.INVALID_PARAMETER, `the topic [${name}] message type not match`);
    }
    const groupConfig = groups.find(group);
    if (groupConfig === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group [${group}] not exist`);
    }
    if (!groupConfig.consumeEnable || groups.isReadForbidden(group, name)) {
      return new Refusal(ResponseCode.NO_PERMISSION, `subscription group no permission, ${group}`);
    }
    if (liteGroupOf(groupConfig)?.bindTopic === name) return undefined;
    return new Refusal(ResponseCode.INVALID_PARAMETER, `subscription bind topic not match, ${group}`);
  }

  async #look(request: PopLiteRequest, caller: Caller): Promise<Look> {
    const { events, locks, clock } = this.#parts;
    const { group, clientId, maxMessages } = request;
    const popTime = clock.now();
    const look: Look = { request, popTime, records: [], counts: [], bytesLeft: POP_BYTES, refusal: undefined };
    const seen = new Set<string>();
    try {
      while (look.records.length < maxMessages && look.bytesLeft > 0 && !caller.isGone) {
        const lmq = events.next(clientId);
        if (lmq === undefined) break;
        // It stayed free, or was freed meanwhile: the look behind the loop decides, and the next pop takes it.
        if (seen.has(lmq)) break;
        seen.add(lmq);
        await locks.run(queueKeyOf(lmq, group, 0), () => this.#popQueue(look, lmq, caller));
      }
    } finally {
      // A queue that was looked at has lost its event. An ack, or a message, may have come since.
      for (const lmq of seen) events.offer(group, lmq);
    }
    return look;
  }

  async #popQueue(look: Look, lmq: string, caller: Caller): Promise<void> {
    const { start, orders, offsets, wakes, clock, stats } = this.#parts;
    const { group, topic, attemptId, invisibleMs } = look.request;
    const offset = await start.begin(group, lmq, 0, true);
    if (offset < 0) {
      look.refusal ??= new Refusal(ResponseCode.SYSTEM_BUSY, offsets.refusal);
      return;
    }
    const until = orders.blockedUntil(lmq, group, 0, attemptId, invisibleMs);
    if (until > clock.now()) {
      wakes.at(group, lmq, until);
      return;
    }
    const { found, from } = await this.#read(look, lmq, offset);
    if (caller.isGone || found.messageCount === 0) return;
    const queueOffsets = found.records.map((record) => queueOffsetIn(record, lmq));
    const batch = { topic: lmq, group, queueId: 0, attemptId, popTime: look.popTime, invisibleMs, queueOffsets };
    const counts = orders.popped(batch);
    if (counts === undefined) {
      look.refusal ??= new Refusal(ResponseCode.SYSTEM_BUSY, 'there is no room for more batches in order');
      return;
    }
    offsets.commit(group, lmq, 0, from);
    wakes.at(group, lmq, clock.now() + invisibleMs);
    look.records.push(...found.records);
    look.counts.push(...queueOffsets.map((queueOffset) => counts.get(queueOffset) ?? 0));
    look.bytesLeft -= found.bufferTotalSize;
    stats.countGet(clock.now(), group, topic, found.messageCount, found.bufferTotalSize);
  }

  /** From where there are messages: places without one are passed over, for good. */
  async #read(look: Look, lmq: string, offset: number): Promise<{ found: GetMessageResult; from: number }> {
    const { store, offsets } = this.#parts;
    const { group, maxMessages } = look.request;
    const count = maxMessages - look.records.length;
    let from = offset;
    for (let looks = 1; ; looks++) {
      const found = await store.getMessage(group, lmq, 0, from, count, { maxBytes: look.bytesLeft });
      const { nextBeginOffset, messageCount } = found;
      if (messageCount > 0 || nextBeginOffset === from || looks >= LOOKS_MAX) return { found, from };
      from = nextBeginOffset;
      offsets.commit(group, lmq, 0, from);
    }
  }

  #result(code: number, { request, popTime, records, counts }: Look): PopLiteResult {
    return { code, popTime, invisibleMs: request.invisibleMs, records, counts };
  }
}

function faultOf({ clientId, maxMessages, invisibleMs, pollMs, attemptId }: PopLiteRequest): string | undefined {
  if (clientId === '' || clientId.length > 1_024) return `clientId has ${clientId.length} characters, 1 to 1024`;
  if (maxMessages < 1 || maxMessages > MESSAGES_MAX) {
    return `maxMsgNum ${maxMessages}: a pop gives 1 to ${MESSAGES_MAX} messages`;
  }
  if (invisibleMs < 0 || invisibleMs > TIME_MAX) return `invisibleTime ${invisibleMs}: allowed are 0 to ${TIME_MAX} ms`;
  if (pollMs < 0) return `pollTime ${pollMs}: allowed are 0 and more ms`;
  if ((attemptId?.length ?? 0) > 256) return `attemptId has ${attemptId?.length} characters, at most 256`;
  return undefined;
}
