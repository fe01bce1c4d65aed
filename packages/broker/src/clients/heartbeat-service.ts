import { type HeartbeatData, ResponseCode } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import type { Budget } from '../base/budget.ts';
import { retryTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import { ensureRetryTopic } from '../topics/retry-topics.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { Client } from './client.ts';
import type { ClientHousekeeping } from './client-housekeeping.ts';
import type { ConsumerManager } from './consumer-manager.ts';
import type { GroupMember } from './group-clients.ts';
import type { ProducerManager } from './producer-manager.ts';

export interface HeartbeatServiceParts {
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly consumers: ConsumerManager;
  readonly producers: ProducerManager;
  readonly housekeeping: ClientHousekeeping;
  readonly clock: Clock;
  /** Of producers and consumers together. */
  readonly budget: Budget;
}

/** RocketMQ's are an address, a process and a time: 40 characters and less. */
const CLIENT_ID_LENGTH_MAX = 1_024;

const noRoom = (budget: Budget): Refusal => new Refusal(ResponseCode.SYSTEM_BUSY, `heartbeat: ${budget.reason}`);

/** Clients come, say that they are there, and go (RocketMQ ClientManageProcessor). */
export class HeartbeatService {
  readonly #parts: HeartbeatServiceParts;

  constructor(parts: HeartbeatServiceParts) {
    this.#parts = parts;
  }

  /** Why a heartbeat is refused, before anything of it is stored; undefined when it is not. */
  check({ clientID }: HeartbeatData): Refusal | undefined {
    if (clientID.length <= CLIENT_ID_LENGTH_MAX) return undefined;
    const remark = `clientID has ${clientID.length} characters, at most ${CLIENT_ID_LENGTH_MAX}`;
    return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
  }

  /**
   * Registers the client in the groups it names. A group that is not known and may not be made is passed over. A group for
   * which there is no room refuses the heartbeat; those before it are registered.
   */
  beat(heartbeat: HeartbeatData, client: Client): Refusal | undefined {
    // It would stay in its groups: its end has been signalled already.
    if (client.isGone) return undefined;
    const refusal = this.#register(heartbeat, client);
    // Of a refused one too: it may have joined groups before.
    this.#parts.housekeeping.watch();
    return refusal;
  }

  #register(heartbeat: HeartbeatData, client: Client): Refusal | undefined {
    const { topics, groups, consumers, producers, clock, budget } = this.#parts;
    const member = (): GroupMember => ({
      client,
      lastUpdateTimestamp: clock.now(),
      lastSeen: clock.monotonic(),
    });
    for (const group of heartbeat.producerGroups) {
      if (group !== '' && producers.register(group, member()) === undefined) return noRoom(budget);
    }
    for (const consumer of heartbeat.consumers) {
      const group = consumer.groupName;
      const config = groups.find(group);
      if (config === undefined) continue;
      ensureRetryTopic(topics, retryTopicOf(group), config.retryQueueNums, consumer.unitMode);
      // A heartbeat V2 says once what it subscribes to; later ones carry a fingerprint of it and no subscriptions.
      const keepsSubscriptions = heartbeat.withoutSub && consumers.group(group) !== undefined;
      const isRegistered = consumers.register(group, member(), {
        consumeType: consumer.consumeType,
        messageModel: consumer.messageModel,
        consumeFromWhere: consumer.consumeFromWhere,
        subscriptions: keepsSubscriptions
          ? undefined
          : consumer.subscriptionDataSet.filter(({ topic }) => topic !== ''),
      });
      if (isRegistered === undefined) return noRoom(budget);
    }
    return undefined;
  }

  leave(client: Client, producerGroup: string | undefined, consumerGroup: string | undefined): void {
    if (producerGroup !== undefined) this.#parts.producers.unregister(producerGroup, client);
    if (consumerGroup !== undefined) this.#parts.consumers.unregister(consumerGroup, client);
  }
}
