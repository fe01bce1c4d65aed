import { ResponseCode, type TopicConfig } from '@vernier/remoting';
import type {
  Clock,
  GetMessageOptions,
  GetMessageResult,
  MessageStore,
  RoomForRecords,
  StoreLogger,
} from '@vernier/store';
import { LineRate } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import type { Identity } from '../base/identity.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { HeldFilters } from '../filter/held-filters.ts';
import type { SizedFilter } from '../filter/sized-filter.ts';
import type { SubscriptionGroupConfig } from '../groups/subscription-group-config.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import { BodyPool } from './body-pool.ts';
import type { PullPermission } from './pull-permission.ts';
import type { PullAsker, PullOutcome, PullRequest, PullStatus } from './pull-request.ts';
import type { HeldPull, PullRequestHoldService } from './pull-request-hold-service.ts';

const MASTER_ID = 0;
const NO_RECORDS = Buffer.alloc(0);

type Look = Omit<GetMessageResult, 'status' | 'records'> & { status: PullStatus };

export interface PullServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly permission: PullPermission;
  readonly offsets: ConsumerOffsetManager;
  readonly holds: PullRequestHoldService;
  readonly heldFilters: HeldFilters;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

/**
 * Gives consumers the messages of a queue (RocketMQ PullMessageProcessor, DefaultPullMessageResultHandler): permission,
 * subscription, filter, read, and waiting for a message when there is none.
 */
export class PullService {
  readonly #parts: PullServiceParts;
  readonly #bodies = new BodyPool();
  readonly #failedLines: LineRate;

  constructor(parts: PullServiceParts) {
    this.#parts = parts;
    this.#failedLines = new LineRate(parts.clock);
  }

  /**
   * Gives back what the asker makes of the outcome: at once for most refusals, else as a promise. It resolves with undefined
   * when the pull is held: the asker's `send` is then called once, when a message has come or the time is over, or never
   * when the caller is gone or the broker stops. Rejects STORE_READ_FAILED, STORE_CLOSED.
   */
  pull<Answer>(request: PullRequest, caller: Caller, asker: PullAsker<Answer>): Answer | Promise<Answer | undefined> {
    const { permission } = this.#parts;
    const group = permission.group(request);
    if (group instanceof Refusal) return asker.answer(group);
    const topic = permission.topic(request, caller);
    if (topic instanceof Refusal) return asker.answer(topic);
    const filter = permission.filter(request, group, caller);
    if (filter instanceof Refusal) return asker.answer(filter);
    const { identity } = caller;
    if (!(filter instanceof Promise)) {
      return this.#look(new Pull(this, request, caller, identity, asker, group, topic, filter), true);
    }
    // Its expression waits to be compiled.
    return filter.then((compiled) => {
      if (caller.isGone) return undefined;
      if (compiled instanceof Refusal) return asker.answer(compiled);
      const denied = identity?.expired();
      if (denied !== undefined) return asker.answer(denied);
      return this.#look(new Pull(this, request, caller, identity, asker, group, topic, compiled), true);
    });
  }

  /** Takes back the buffer of a result, for the next one. Nobody may look at it afterwards. */
  release(buffer: Buffer): void {
    this.#bodies.give(buffer);
  }

  /** Answers a pull that was held, whatever there is now. */
  runAgain<Answer>(pull: Pull<Answer>): void {
    const { asker } = pull;
    const denied = pull.identity?.expired();
    if (denied !== undefined) {
      asker.send(asker.answer(denied));
      return;
    }
    this.#look(pull, false).then(
      (answer) => {
        if (answer !== undefined) asker.send(answer);
      },
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        // One disk that does not read fails every pull that is held.
        const failedBefore = this.#failedLines.admit();
        if (failedBefore !== undefined) {
          this.#parts.logger.error({ err: error, topic: pull.topic, failedBefore }, `held pull failed: ${message}`);
        }
        asker.send(asker.answer(new Refusal(ResponseCode.SYSTEM_ERROR, message)));
      },
    );
  }

  /**
   * Looks at the queue. `isFirst` is false when a held pull runs again: it is then answered whatever there is, and its
   * commit has been taken already.
   */
  async #look<Answer>(pull: Pull<Answer>, isFirst: boolean): Promise<Answer | undefined> {
    const { consumerGroup, topic, queueId, offset, maxMsgNums, maxMsgBytes } = pull;
    const { store, offsets, config, clock, stats } = this.#parts;
    const reset = config.useServerSideResetOffset ? offsets.takeReset(consumerGroup, topic, queueId) : undefined;
    let found: Look;
    if (reset !== undefined) {
      found = this.#resetLook(topic, queueId, reset);
    } else {
      const options: GetMessageOptions = { allocate: this.#bodies.take, room: pull };
      if (maxMsgBytes > 0) options.maxBytes = maxMsgBytes;
      if (pull.filter !== undefined) options.filter = pull.filter;
      const began = clock.monotonic();
      try {
        found = await store.getMessage(consumerGroup, topic, queueId, offset, maxMsgNums, options);
      } catch (error) {
        pull.asker.unreserve();
        // It waited for its asker to read what it has, and the asker went away.
        if (pull.caller.isGone) return undefined;
        throw error;
      }
      if (!pull.hasWaitedForRoom) stats.getTimeMax = Math.max(stats.getTimeMax, Math.round(clock.monotonic() - began));
    }
    const outcome = this.#outcome(pull, found, isFirst);
    if (outcome !== undefined) return pull.asker.answer(outcome);
    pull.asker.unreserve();
    return undefined;
  }

  #resetLook(topic: string, queueId: number, nextBeginOffset: number): Look {
    const { store } = this.#parts;
    return {
      status: 'OFFSET_RESET',
      nextBeginOffset,
      minOffset: store.getMinOffsetInQueue(topic, queueId),
      maxOffset: store.getMaxOffsetInQueue(topic, queueId),
      buffer: NO_RECORDS,
      messageCount: 0,
      bufferTotalSize: 0,
      fromDisk: false,
    };
  }

  /** What was found, counted and committed; undefined when the pull is held. */
  #outcome<Answer>(pull: Pull<Answer>, found: Look, isFirst: boolean): PullOutcome | undefined {
    const { group, consumerGroup, topic, queueId } = pull;
    const { offsets, stats, clock } = this.#parts;
    const code = responseCodeOfPull(found.status, pull.offset);
    offsets.commitPull(consumerGroup, topic, queueId, found.nextBeginOffset);
    // What a pull that learns of a reset has consumed came before it, and would undo it.
    const commits = isFirst && pull.commits && pull.commitOffset >= 0 && found.status !== 'OFFSET_RESET';
    if (commits) offsets.commit(consumerGroup, topic, queueId, pull.commitOffset);
    const now = clock.now();
    if (code === ResponseCode.SUCCESS) {
      stats.countGet(now, consumerGroup, topic, found.messageCount, found.bufferTotalSize);
    } else {
      stats.countGetMiss(now);
      if (code === ResponseCode.PULL_NOT_FOUND && isFirst && pull.waits) return this.#hold(pull, found.maxOffset);
    }
    return {
      code,
      status: found.status,
      nextBeginOffset: found.nextBeginOffset,
      minOffset: found.minOffset,
      maxOffset: found.maxOffset,
      messageCount: found.messageCount,
      buffer: found.buffer,
      topicSysFlag: pull.topicSysFlag,
      groupSysFlag: group.groupSysFlag,
      suggestWhichBrokerId: this.#suggestedBroker(found, group),
    };
  }

  /** Where the group should go on: a master does not send its consumers away unless it is told to. */
  #suggestedBroker({ fromDisk }: Look, group: SubscriptionGroupConfig): number {
    if (!this.#parts.config.slaveReadEnable) return MASTER_ID;
    return fromDisk ? group.whichBrokerWhenConsumeSlowly : group.brokerId;
  }

  /** Waits for a message instead of answering that there is none. */
  #hold<Answer>(pull: Pull<Answer>, seenMaxOffset: number): Refusal | undefined {
    const { holds, heldFilters, store, config } = this.#parts;
    const { topic, queueId, suspendTimeoutMillis } = pull;
    if (pull.caller.isGone) return undefined;
    if (holds.count >= config.heldPullRequestsMax) {
      return new Refusal(
        ResponseCode.SYSTEM_BUSY,
        `${holds.count} pull requests are held, heldPullRequestsMax is ${config.heldPullRequestsMax}`,
      );
    }
    if (!heldFilters.hasRoomFor(pull.filter)) {
      return new Refusal(ResponseCode.SYSTEM_BUSY, `the filter of a pull that waits: ${heldFilters.noRoom}`);
    }
    holds.suspend(pull, config.longPollingEnable ? suspendTimeoutMillis : config.shortPollingTimeMills);
    // A message may have arrived since the look at the queue, and its arrival is not announced again.
    const maxOffset = store.getMaxOffsetInQueue(topic, queueId);
    if (maxOffset > seenMaxOffset) holds.wake(topic, queueId, maxOffset);
    return undefined;
  }
}

/** A pull under way: what is needed of it when it runs, and runs again after its request is gone. */
class Pull<Answer> implements HeldPull, RoomForRecords {
  readonly caller: Caller;
  readonly identity: Identity | undefined;
  readonly asker: PullAsker<Answer>;
  readonly group: SubscriptionGroupConfig;
  readonly consumerGroup: string;
  readonly topic: string;
  readonly queueId: number;
  readonly offset: number;
  readonly maxMsgNums: number;
  readonly maxMsgBytes: number;
  readonly commits: boolean;
  readonly commitOffset: number;
  readonly waits: boolean;
  readonly suspendTimeoutMillis: number;
  readonly topicSysFlag: number;
  readonly filter: SizedFilter | undefined;
  /** It found messages, and its asker had not taken yet what it has. */
  hasWaitedForRoom = false;
  readonly #service: PullService;

  constructor(
    service: PullService,
    request: PullRequest,
    caller: Caller,
    identity: Identity | undefined,
    asker: PullAsker<Answer>,
    group: SubscriptionGroupConfig,
    topic: TopicConfig,
    filter: SizedFilter | undefined,
  ) {
    this.#service = service;
    this.caller = caller;
    this.identity = identity;
    this.asker = asker;
    this.group = group;
    this.consumerGroup = request.consumerGroup;
    this.topic = request.topic;
    this.queueId = request.queueId;
    this.offset = request.queueOffset;
    this.maxMsgNums = request.maxMsgNums;
    this.maxMsgBytes = request.maxMsgBytes;
    this.commits = request.commits;
    this.commitOffset = request.commitOffset;
    this.waits = request.waits;
    this.suspendTimeoutMillis = request.suspendTimeoutMillis;
    this.topicSysFlag = topic.topicSysFlag;
    this.filter = filter;
  }

  run(): void {
    this.#service.runAgain(this);
  }

  reserve(bytes: number): Promise<void> | undefined {
    const room = this.asker.reserve(bytes);
    if (room !== undefined) this.hasWaitedForRoom = true;
    return room;
  }
}

/** The code that goes with what a look at a queue found (E.5). */
export function responseCodeOfPull(status: PullStatus, queueOffset: number): number {
  switch (status) {
    case 'FOUND':
      return ResponseCode.SUCCESS;
    case 'NO_MATCHED_MESSAGE':
    case 'MESSAGE_WAS_REMOVING':
      return ResponseCode.PULL_RETRY_IMMEDIATELY;
    case 'NO_MATCHED_LOGIC_QUEUE':
    case 'NO_MESSAGE_IN_QUEUE':
      return queueOffset === 0 ? ResponseCode.PULL_NOT_FOUND : ResponseCode.PULL_OFFSET_MOVED;
    case 'OFFSET_FOUND_NULL':
    case 'OFFSET_OVERFLOW_ONE':
      return ResponseCode.PULL_NOT_FOUND;
    case 'OFFSET_OVERFLOW_BADLY':
    case 'OFFSET_TOO_SMALL':
    case 'OFFSET_RESET':
      return ResponseCode.PULL_OFFSET_MOVED;
  }
}
