import { type MessageModel, type MessageQueue, ResponseCode, type TopicRouteData } from '@vernier/remoting';
import { isReadable, isRetryTopic } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';
import type { BrokerConfig } from '../config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { allocateForPop, compareQueues, strategies } from './allocate-queues.ts';
import type { RequestMode, RequestModes } from './request-modes.ts';

export interface AssignmentRequest {
  readonly topic: string;
  readonly group: string;
  readonly clientId: string;
  /** AVG or AVG_BY_CIRCLE. */
  readonly strategyName: string;
  readonly messageModel: MessageModel;
}

export interface Assignment {
  readonly messageQueue: MessageQueue;
  readonly mode: RequestMode['mode'];
}

export interface AssignmentServiceParts {
  readonly config: BrokerConfig;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly consumers: ConsumerManager;
  readonly modes: RequestModes;
  readonly modesFile: Pick<MetadataFile, 'save'>;
  /** Which brokers have a topic; undefined when no nameserver knows. */
  routeOf(topic: string): Promise<TopicRouteData | undefined>;
}

/** Tells the members of groups which queues are theirs, and whether they pull or pop them (RocketMQ QueryAssignmentProcessor). */
export class AssignmentService {
  readonly #parts: AssignmentServiceParts;

  constructor(parts: AssignmentServiceParts) {
    this.#parts = parts;
  }

  /** Undefined: nothing is known, and the member keeps what it has. */
  async query(request: AssignmentRequest): Promise<Assignment[] | undefined> {
    const { mode, popShareQueueNum } = this.#mode(request.topic, request.group);
    const queues = await this.#queues(request, mode, popShareQueueNum);
    if (queues === undefined) return undefined;
    const unique = new Map(queues.map((queue) => [`${queue.brokerName}@${queue.queueId}`, queue]));
    return [...unique.values()].map((messageQueue) => ({ messageQueue, mode }));
  }

  /** Undefined: it is set, and on disk. */
  async setMode(mode: RequestMode): Promise<Refusal | undefined> {
    const { topics, groups, modes, modesFile } = this.#parts;
    const { topic, consumerGroup } = mode;
    if (isRetryTopic(topic)) return new Refusal(ResponseCode.NO_PERMISSION, 'retry topic is not allowed to set mode');
    if (topics.select(topic) === undefined) {
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist`);
    }
    if (groups.find(consumerGroup) === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'subscription group does not exist');
    }
    if (!modes.set(mode)) return new Refusal(ResponseCode.SYSTEM_BUSY, modes.refusal);
    await modesFile.save();
    return undefined;
  }

  #mode(topic: string, group: string): Pick<RequestMode, 'mode' | 'popShareQueueNum'> {
    const { modes, config } = this.#parts;
    const set = modes.get(topic, group);
    if (set !== undefined) return set;
    // Retries of pulled messages are pulled.
    if (isRetryTopic(topic)) return { mode: 'PULL', popShareQueueNum: 0 };
    return {
      mode: config.defaultMessageRequestMode === 'POP' ? 'POP' : 'PULL',
      popShareQueueNum: config.defaultPopShareQueueNum,
    };
  }

  async #queues(
    { topic, group, clientId, strategyName, messageModel }: AssignmentRequest,
    mode: RequestMode['mode'],
    popShareQueueNum: number,
  ): Promise<MessageQueue[] | undefined> {
    const { config, consumers } = this.#parts;
    const all = await this.#allQueues(topic);
    if (all === undefined || messageModel === 'BROADCASTING' || !config.serverLoadBalancerEnable) return all;
    const allocate = Object.hasOwn(strategies, strategyName) ? strategies[strategyName] : undefined;
    const clientIds = consumers.clientIds(group);
    if (allocate === undefined || clientIds instanceof Refusal || all.length === 0) return undefined;
    all.sort(compareQueues);
    clientIds.sort();
    return mode === 'POP'
      ? allocateForPop(allocate, clientId, all, clientIds, popShareQueueNum)
      : allocate(clientId, all, clientIds);
  }

  /** Those of all brokers, as far as nameservers know; else our own. */
  async #allQueues(topic: string): Promise<MessageQueue[] | undefined> {
    const { topics, config, routeOf } = this.#parts;
    const route = await routeOf(topic);
    const own = topics.select(topic);
    const datas =
      route?.queueDatas ??
      (own === undefined ? undefined : [{ ...own, brokerName: config.brokerName, perm: own.perm }]);
    if (datas === undefined) return undefined;
    const readable = datas.filter(({ perm }) => isReadable(perm));
    return readable.flatMap(({ brokerName, readQueueNums }) =>
      Array.from({ length: readQueueNums }, (_, queueId) => ({ topic, brokerName, queueId })),
    );
  }
}
