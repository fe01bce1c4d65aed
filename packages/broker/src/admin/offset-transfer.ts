import { ResponseCode } from '@vernier/remoting';
import type { MessageStore, StoreLogger } from '@vernier/store';
import { groupNameFault } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

export interface OffsetTransferParts {
  readonly store: Pick<MessageStore, 'getMinOffsetInQueue'>;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly consumers: ConsumerManager;
  readonly file: Pick<MetadataFile, 'save'>;
  readonly groupsFile: Pick<MetadataFile, 'save'>;
  readonly logger: StoreLogger;
}

export interface CloneRequest {
  readonly source: string;
  readonly target: string;
  /** Undefined: every topic that the source has offsets in. */
  readonly topic: string | undefined;
  /** Topics that the source, which is online, does not subscribe to any more are cloned too. */
  readonly isOffline: boolean;
}

/** What one group's offsets say for another (RocketMQ AdminBrokerProcessor.cloneGroupOffset, queryCorrectionOffset). */
export class OffsetTransfer {
  readonly #parts: OffsetTransferParts;

  constructor(parts: OffsetTransferParts) {
    this.#parts = parts;
  }

  /**
   * Puts the target where the source is. All of the topics or none; the target is made when groups may be. Resolves when
   * the tables are on disk. Topics that are gone are passed over.
   */
  async clone(request: CloneRequest): Promise<Refusal | undefined> {
    const { groups, offsets, file, groupsFile, logger } = this.#parts;
    const { source, target } = request;
    const fault = groupNameFault(source) ?? groupNameFault(target);
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    const topics = source === target ? [] : this.#topicsOf(request);
    const isKnown = groups.has(target);
    const group = groups.preview(target);
    if (group === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${target} does not exist`);
    }
    if (topics.length === 0) return undefined;
    if (!offsets.hasRoomToClone(source, target, topics)) return new Refusal(ResponseCode.SYSTEM_BUSY, offsets.refusal);
    if (!isKnown && !groups.hasRoomFor([group])) return new Refusal(ResponseCode.SYSTEM_BUSY, groups.noRoom);
    if (!isKnown) groups.update(group);
    offsets.clone(source, target, topics);
    if (!isKnown) await groupsFile.save();
    await file.save();
    logger.info({ source, target, topics }, 'consumer offsets cloned');
    return undefined;
  }

  #topicsOf({ source, topic, isOffline }: CloneRequest): string[] {
    const { topics, offsets, consumers } = this.#parts;
    const subscribed = consumers.group(source)?.subscriptionTable;
    const names = topic === undefined ? offsets.topicsOfGroup(source) : [topic];
    return names.filter(
      (name) =>
        topics.select(name) !== undefined &&
        offsets.offsetsOf(source, name).size > 0 &&
        (isOffline || subscribed === undefined || subscribed.size === 0 || subscribed.has(name)),
    );
  }

  /**
   * How far all groups but those of `without` have come in each queue of the topic, in which `compared` is no further;
   * infinity for a queue in which it is behind the others. Offsets below the queue's begin do not count.
   */
  corrections(topic: string, compared: string, without: ReadonlySet<string>): Map<number, number> {
    const { store, offsets } = this.#parts;
    const smallest = new Map<number, number>();
    for (const group of offsets.groupsOfTopic(topic)) {
      if (without.has(group)) continue;
      for (const [queueId, offset] of offsets.offsetsOf(group, topic)) {
        if (offset < store.getMinOffsetInQueue(topic, queueId)) continue;
        smallest.set(queueId, Math.min(offset, smallest.get(queueId) ?? offset));
      }
    }
    for (const [queueId, offset] of offsets.offsetsOf(compared, topic)) {
      if ((smallest.get(queueId) ?? offset) > offset) smallest.set(queueId, Number.POSITIVE_INFINITY);
    }
    return smallest;
  }
}
