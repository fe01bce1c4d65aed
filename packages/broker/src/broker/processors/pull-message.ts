import {
  createResponse,
  PullSysFlag,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  type SubscriptionData,
  type TopicConfig,
} from '@vernier/remoting';
import type { GetMessageOptions, GetMessageResult, MessageFilter } from '@vernier/store';
import { BodyPool } from '../body-pool.ts';
import type { BrokerContext } from '../broker-context.ts';
import { isReadable } from '../names.ts';
import { type PullMessageHeader, parsePullMessageHeader, pullHeaderFault } from '../pull-message-header.ts';
import type { SubscriptionGroupConfig } from '../subscription-group-manager.ts';
import { buildSubscription, isTagType, tagFilter } from '../tag-filter.ts';

/** Which rule forbade a pull, in the response (RocketMQ ForbiddenType). */
const Forbidden = { BROKER: 1, GROUP: 2, TOPIC: 3, BROADCASTING: 4, SUBSCRIPTION: 5 } as const;

/** A pull request as far as it is needed after its frame is gone; small, because ten thousand may be held. */
interface Pull {
  readonly request: Pick<RemotingCommand, 'opaque' | 'serializeType'>;
  readonly connection: RemotingConnection;
  readonly header: PullMessageHeader;
  readonly group: SubscriptionGroupConfig;
  readonly topicSysFlag: number;
  readonly filter: MessageFilter | undefined;
}

/** The outcome of a look at a queue: what the store found, or a pending reset of the group's offset. */
type PullResult = Omit<GetMessageResult, 'status'> & { status: GetMessageResult['status'] | 'OFFSET_RESET' };

const MASTER_ID = 0;

/** PULL_MESSAGE and LITE_PULL_MESSAGE (RocketMQ PullMessageProcessor, DefaultPullMessageResultHandler). */
export class PullMessageProcessor {
  readonly #broker: BrokerContext;
  readonly #bodies = new BodyPool();

  constructor(broker: BrokerContext) {
    this.#broker = broker;
  }

  handlers(): [number, RequestHandler][] {
    return [
      [RequestCode.PULL_MESSAGE, this.handle],
      [RequestCode.LITE_PULL_MESSAGE, this.handle],
    ];
  }

  readonly handle = (
    request: RemotingCommand,
    connection: RemotingConnection,
  ): RemotingCommand | Promise<RemotingCommand | undefined> => {
    const header = parsePullMessageHeader(request);
    const fault = pullHeaderFault(header);
    if (fault !== undefined) return createResponse(request, ResponseCode.INVALID_PARAMETER, fault);
    const { config, groups, topics } = this.#broker;
    if (!isReadable(config.brokerPermission) || (header.lite && !config.litePullMessageEnable)) {
      return forbidden(
        request,
        Forbidden.BROKER,
        `the broker[${this.#broker.hosts.host}] pulling message is forbidden`,
      );
    }
    const group = groups.find(header.consumerGroup);
    if (group === undefined) {
      const remark = `subscription group [${header.consumerGroup}] does not exist`;
      return createResponse(request, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    }
    if (!group.consumeEnable) {
      return forbidden(request, Forbidden.GROUP, `subscription group no permission, ${header.consumerGroup}`);
    }
    const topic = topics.select(header.topic);
    if (topic === undefined) {
      const remark = `topic[${header.topic}] not exist, apply first please!`;
      return createResponse(request, ResponseCode.TOPIC_NOT_EXIST, remark);
    }
    if (!isReadable(topic.perm)) {
      return forbidden(request, Forbidden.TOPIC, `the topic[${header.topic}] pulling message is forbidden`);
    }
    if (header.queueId < 0 || header.queueId >= topic.readQueueNums) {
      const remark = `queueId[${header.queueId}] is illegal, topic:[${header.topic}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${connection.remoteAddress}]`;
      return createResponse(request, ResponseCode.INVALID_PARAMETER, remark);
    }
    const subscription = this.#subscription(request, header, group);
    if ('flag' in subscription) return subscription;
    if (!isTagType(subscription.expressionType)) {
      const remark = `The broker does not support consumer to filter message by ${subscription.expressionType}`;
      return createResponse(request, ResponseCode.SYSTEM_ERROR, remark);
    }
    return this.#pull(this.#pullOf(request, connection, header, group, topic, subscription), true);
  };

  #pullOf(
    request: RemotingCommand,
    connection: RemotingConnection,
    header: PullMessageHeader,
    group: SubscriptionGroupConfig,
    topic: TopicConfig,
    subscription: SubscriptionData,
  ): Pull {
    return {
      request: { opaque: request.opaque, serializeType: request.serializeType },
      connection,
      header,
      group,
      topicSysFlag: topic.topicSysFlag,
      filter: tagFilter(subscription),
    };
  }

  /** What the pull wants of the topic: as it says itself, or as the group's last heartbeat said. */
  #subscription(
    request: RemotingCommand,
    header: PullMessageHeader,
    group: SubscriptionGroupConfig,
  ): SubscriptionData | RemotingCommand {
    if ((header.sysFlag & PullSysFlag.SUBSCRIPTION) !== 0) {
      const { topic, subscription, expressionType, subVersion } = header;
      return (
        buildSubscription(topic, subscription, expressionType, subVersion) ??
        createResponse(request, ResponseCode.SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed")
      );
    }
    const info = this.#broker.consumers.group(header.consumerGroup);
    if (info === undefined) {
      return createResponse(request, ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist");
    }
    if (!group.consumeBroadcastEnable && info.messageModel === 'BROADCASTING') {
      const remark = `the consumer group[${header.consumerGroup}] can not consume by broadcast way`;
      return forbidden(request, Forbidden.BROADCASTING, remark);
    }
    if (this.#broker.groups.isReadForbidden(header.consumerGroup, header.topic)) {
      const remark = `the consumer group[${header.consumerGroup}] is forbidden for topic[${header.topic}]`;
      return forbidden(request, Forbidden.SUBSCRIPTION, remark);
    }
    const subscription = info.subscriptionTable.get(header.topic);
    if (subscription === undefined) {
      return createResponse(request, ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist");
    }
    if (subscription.subVersion < header.subVersion) {
      return createResponse(request, ResponseCode.SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest");
    }
    return subscription;
  }

  /**
   * Looks at the queue. `first` is false when a held request runs again: it is then answered whatever there is, and its
   * commit has been taken already.
   */
  async #pull(pull: Pull, first: boolean): Promise<RemotingCommand | undefined> {
    const { header } = pull;
    const { store, offsets, config } = this.#broker;
    const reset = config.useServerSideResetOffset
      ? offsets.takeReset(header.consumerGroup, header.topic, header.queueId)
      : undefined;
    if (reset !== undefined) return this.#answer(pull, this.#resetResult(header, reset), first);
    const options: GetMessageOptions = { allocate: this.#bodies.take };
    if (header.maxMsgBytes > 0) options.maxBytes = header.maxMsgBytes;
    if (pull.filter !== undefined) options.filter = pull.filter;
    const began = this.#broker.clock.now();
    const result = await store.getMessage(
      header.consumerGroup,
      header.topic,
      header.queueId,
      header.queueOffset,
      header.maxMsgNums,
      options,
    );
    const { stats } = this.#broker;
    stats.getTimeMax = Math.max(stats.getTimeMax, this.#broker.clock.now() - began);
    return this.#answer(pull, result, first);
  }

  #resetResult(header: PullMessageHeader, nextBeginOffset: number): PullResult {
    const { store } = this.#broker;
    return {
      status: 'OFFSET_RESET',
      nextBeginOffset,
      minOffset: store.getMinOffsetInQueue(header.topic, header.queueId),
      maxOffset: store.getMaxOffsetInQueue(header.topic, header.queueId),
      buffer: Buffer.alloc(0),
      records: [],
      messageCount: 0,
      bufferTotalSize: 0,
      fromDisk: false,
    };
  }

  #answer(pull: Pull, result: PullResult, first: boolean): RemotingCommand | undefined {
    const { header, group } = pull;
    const { offsets, stats, config } = this.#broker;
    const code = responseCodeOfPull(result.status, header.queueOffset);
    offsets.commitPull(header.consumerGroup, header.topic, header.queueId, result.nextBeginOffset);
    if (first && (header.sysFlag & PullSysFlag.COMMIT_OFFSET) !== 0) {
      offsets.commit(header.consumerGroup, header.topic, header.queueId, header.commitOffset);
    }
    const now = this.#broker.clock.now();
    if (code === ResponseCode.SUCCESS) {
      stats.countGet(now, header.consumerGroup, header.topic, result.messageCount, result.bufferTotalSize);
    } else {
      stats.countGetMiss(now);
      if (code === ResponseCode.PULL_NOT_FOUND && first && (header.sysFlag & PullSysFlag.SUSPEND) !== 0) {
        return this.#hold(pull, result.maxOffset);
      }
    }
    const slow = config.slaveReadEnable && result.fromDisk;
    const response = createResponse(pull.request, code, result.status, {
      suggestWhichBrokerId: String(slow ? group.whichBrokerWhenConsumeSlowly : MASTER_ID),
      nextBeginOffset: String(result.nextBeginOffset),
      minOffset: String(result.minOffset),
      maxOffset: String(result.maxOffset),
      topicSysFlag: String(pull.topicSysFlag),
      groupSysFlag: String(group.groupSysFlag),
    });
    if (result.messageCount > 0) {
      response.body = result.buffer;
      response.release = () => this.#bodies.give(result.buffer);
    }
    return response;
  }

  /** Waits for a message instead of answering that there is none. */
  #hold(pull: Pull, seenMaxOffset: number): RemotingCommand | undefined {
    const { holds, store, config } = this.#broker;
    const { header, connection } = pull;
    if (connection.closed) return undefined;
    if (holds.count >= config.heldPullRequestsMax) {
      return createResponse(
        pull.request,
        ResponseCode.SYSTEM_BUSY,
        `${holds.count} pull requests are held, heldPullRequestsMax is ${config.heldPullRequestsMax}`,
      );
    }
    holds.suspend(
      {
        connection,
        topic: header.topic,
        queueId: header.queueId,
        offset: header.queueOffset,
        filter: pull.filter,
        run: () => this.#runAgain(pull),
      },
      config.longPollingEnable ? header.suspendTimeoutMillis : config.shortPollingTimeMills,
    );
    // A message may have arrived between the look at the queue and now, and nobody would tell of it again.
    const maxOffset = store.getMaxOffsetInQueue(header.topic, header.queueId);
    if (maxOffset > seenMaxOffset) holds.wake(header.topic, header.queueId, maxOffset);
    return undefined;
  }

  #runAgain(pull: Pull): void {
    this.#pull(pull, false).then(
      (response) => {
        if (response !== undefined) pull.connection.send(response);
      },
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        this.#broker.logger.error({ err: error, topic: pull.header.topic }, `held pull failed: ${message}`);
        pull.connection.send(createResponse(pull.request, ResponseCode.SYSTEM_ERROR, message));
      },
    );
  }
}

/** The code that goes with what a look at a queue found (E.5). */
export function responseCodeOfPull(status: PullResult['status'], queueOffset: number): number {
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

function forbidden(request: RemotingCommand, type: number, remark: string): RemotingCommand {
  return createResponse(request, ResponseCode.NO_PERMISSION, remark, { forbiddenType: String(type) });
}
