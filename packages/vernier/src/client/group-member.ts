import { hostname } from 'node:os';
import { decodeConsumerList, RequestCode, ResponseCode, writeJavaJson } from '@vernier/remoting';
import { type Cluster, type MessageQueue, numberField, queuesOf } from './cluster.ts';
import type { QueueSource } from './pull.ts';

const HEARTBEAT_MS = 20_000;

/**
 * One member of a consumer group (RocketMQ DefaultMQPushConsumer, clustering): heartbeats, its share of the queues by
 * AllocateMessageQueueAveragely, offsets at the broker.
 */
export class GroupMember {
  readonly clientId = `${hostname()}@${process.pid}#${Date.now()}`;
  readonly #cluster: Cluster;
  readonly #group: string;
  readonly #topic: string;
  readonly #tags: string;
  readonly #joined = new Set<string>();
  #heartbeat: NodeJS.Timeout | undefined;
  #onChange: () => void = () => {};

  constructor(cluster: Cluster, group: string, topic: string, tags: string) {
    this.#cluster = cluster;
    this.#group = group;
    this.#topic = topic;
    this.#tags = tags;
    cluster.remoting.registerProcessor(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, () => {
      this.#onChange();
      return undefined;
    });
  }

  /** Joins, and calls `onChange` whenever the members may have changed. */
  async join(onChange: () => void): Promise<void> {
    this.#onChange = onChange;
    await this.#beat();
    this.#heartbeat = setInterval(() => {
      // A broker that is away now gets the next one; its queues come back with it.
      this.#beat().then(onChange, () => {});
    }, HEARTBEAT_MS);
  }

  /** The queues that are ours now. */
  async assignment(): Promise<QueueSource[]> {
    const route = await this.#cluster.route(this.#topic);
    const addresses = new Map(route.map(({ brokerName, address }) => [brokerName, address]));
    const queues = queuesOf(this.#topic, route, 'read');
    const [first] = route;
    if (first === undefined) return [];
    const response = await this.#cluster.call(first.address, RequestCode.GET_CONSUMER_LIST_BY_GROUP, {
      consumerGroup: this.#group,
    });
    const consumerIdList = decodeConsumerList(response.body);
    return allocate(queues, consumerIdList, this.clientId).map((queue) => ({
      ...queue,
      address: addresses.get(queue.brokerName)!,
    }));
  }

  /** How far the group got in a queue; undefined when it has not read it yet. */
  async committedOffset(queue: QueueSource): Promise<number | undefined> {
    const response = await this.#cluster.call(
      queue.address,
      RequestCode.QUERY_CONSUMER_OFFSET,
      { consumerGroup: this.#group, topic: queue.topic, queueId: String(queue.queueId), setZeroIfNotFound: 'false' },
      { accept: [ResponseCode.QUERY_NOT_FOUND] },
    );
    return response.code === ResponseCode.SUCCESS ? numberField(response, 'offset') : undefined;
  }

  /** Remembers at the broker that everything below `offset` is done. Resolves when the broker has taken it. */
  async commit(queue: QueueSource, offset: number): Promise<void> {
    await this.#cluster.call(queue.address, RequestCode.UPDATE_CONSUMER_OFFSET, {
      consumerGroup: this.#group,
      topic: queue.topic,
      queueId: String(queue.queueId),
      commitOffset: String(offset),
    });
  }

  /** Leaves the group, so that the others take our queues at once. */
  async leave(): Promise<void> {
    clearInterval(this.#heartbeat);
    for (const address of this.#joined) {
      await this.#cluster
        .call(address, RequestCode.UNREGISTER_CLIENT, { clientID: this.clientId, consumerGroup: this.#group })
        .catch(() => {
          // A broker that is gone forgets us when the connection closes.
        });
    }
  }

  async #beat(): Promise<void> {
    const body = Buffer.from(
      writeJavaJson({
        clientID: this.clientId,
        producerDataSet: [],
        consumerDataSet: [
          {
            groupName: this.#group,
            consumeType: 'CONSUME_PASSIVELY',
            messageModel: 'CLUSTERING',
            consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
            unitMode: false,
            subscriptionDataSet: [
              {
                topic: this.#topic,
                subString: this.#tags,
                tagsSet: [],
                codeSet: [],
                subVersion: 1,
                expressionType: 'TAG',
                classFilterMode: false,
              },
            ],
          },
        ],
        heartbeatFingerprint: 0,
        withoutSub: false,
      }),
    );
    for (const { address } of await this.#cluster.route(this.#topic)) {
      await this.#cluster.call(address, RequestCode.HEART_BEAT, {}, { body });
      this.#joined.add(address);
    }
  }
}

/**
 * Our run of the queues, all runs as equal as can be, the longer ones first. Every member computes it for itself from
 * the same sorted lists, so that the runs do not overlap.
 */
export function allocate(
  queues: readonly MessageQueue[],
  members: readonly string[],
  self: string,
): readonly MessageQueue[] {
  const index = members.toSorted().indexOf(self);
  if (index < 0) return [];
  const share = Math.floor(queues.length / members.length);
  const longer = queues.length % members.length;
  const start = index * share + Math.min(index, longer);
  return queues.slice(start, start + share + (index < longer ? 1 : 0));
}
