import { type BrokerContext, popRetryTopicOf } from '@vernier/broker/internal';
import type { Labels, Observation } from '../observation.ts';
import { Slices, type Source } from '../source.ts';
import { isSystemGroup } from './system-names.ts';

/**
 * How far groups are behind (RocketMQ ConsumerLagCalculator): for each group that is online, each topic that it subscribes
 * to. Offsets are in memory, and a queue costs a look at three numbers. The age of a message is in its record, which may be
 * on disk: of a group in a topic the queues that are farthest behind are looked at, of all groups a number of them. Who
 * gets no turn has no series of that time, and is the first the next time.
 */

/** Records that are looked at for one export. */
const TIMES_MAX = 256;
/** Of them, for one group in one topic and one question. */
const QUEUES_LOOKED_AT = 4;
/** Ages that are known: an offset that has not moved needs no second look. */
const KNOWN_MAX = 4_096;

interface Behind {
  readonly queueId: number;
  readonly offset: number;
  readonly count: number;
}

/** Keeps those that are farthest behind. */
class Farthest {
  readonly queues: Behind[] = [];

  add(queueId: number, offset: number, count: number): void {
    const { queues } = this;
    if (queues.length >= QUEUES_LOOKED_AT && queues.at(-1)!.count >= count) return;
    if (queues.length >= QUEUES_LOOKED_AT) queues.pop();
    queues.push({ queueId, offset, count });
    queues.sort((one, other) => other.count - one.count);
  }
}

interface Row {
  readonly topic: string;
  readonly labels: Labels;
  readonly unconsumed: Farthest;
  readonly unpulled: Farthest;
}

export function lagSource(broker: BrokerContext): Source {
  const times = new StoreTimes(broker);
  let turn = 0;
  let usedMs = 0;
  return {
    get usedMs() {
      return usedMs;
    },
    async observe(into) {
      const slices = new Slices();
      const rows: Row[] = [];
      const inFlight = unacknowledged(broker);
      for (const { group, topic, label, isPop, isRetry } of subscriptions(broker)) {
        const labels = {
          consumer_group: group,
          topic: label,
          is_retry: String(isRetry),
          is_system: isSystem(broker, label, group),
        };
        rows.push(countsOf(broker, { group, topic, labels, inFlight: isPop ? inFlight : undefined }, into));
        const pause = slices.pause();
        if (pause !== undefined) await pause;
      }
      times.begin();
      let leftOut = 0;
      for (let index = 0; index < rows.length; index++) {
        const place = (turn + index) % rows.length;
        const row = rows[place]!;
        if (!times.hasRoom) {
          if (leftOut++ === 0) turn = place;
          continue;
        }
        await observeAges(into, row, times, broker, slices);
        const pause = slices.pause();
        if (pause !== undefined) await pause;
      }
      into.observe('vernier_lag_times_left_out', leftOut);
      usedMs = slices.usedMs;
    },
  };
}

const isSystem = ({ topics }: BrokerContext, topic: string, group: string): string =>
  String(topics.isSystemTopic(topic) || isSystemGroup(group));

interface Subscribed {
  readonly group: string;
  /** Whose queues are looked at. */
  readonly topic: string;
  /** The topic that is subscribed to. */
  readonly label: string;
  readonly isPop: boolean;
  readonly isRetry: boolean;
}

/** Groups that are online, with their topics; with POP, the retries of each topic beside it. */
function* subscriptions(broker: BrokerContext): Iterable<Subscribed> {
  const { consumers, topics, config } = broker;
  for (const group of consumers.groups()) {
    const info = consumers.group(group);
    if (info === undefined) continue;
    const isPop = info.consumeType === 'CONSUME_POP';
    for (const topic of info.subscriptionTable.keys()) {
      const topicConfig = topics.select(topic);
      if (topic.startsWith('%RETRY%') || topicConfig === undefined) continue;
      if ((topicConfig.perm & config.brokerPermission & 6) === 0) continue;
      yield { group, topic, label: topic, isPop, isRetry: false };
      if (!isPop) continue;
      yield {
        group,
        topic: popRetryTopicOf(topic, group, config.enableRetryTopicV2),
        label: topic,
        isPop,
        isRetry: true,
      };
    }
  }
}

const keyOf = (group: string, topic: string): string => `${topic}\u0000${group}`;

/** Messages of each group in each queue that were popped and are neither acknowledged nor given again. */
function unacknowledged({ pop, consumers }: BrokerContext): Map<string, Map<number, number>> {
  const counts = new Map<string, Map<number, number>>();
  for (const { group, topic, queueId, count } of pop.revive.unacknowledged()) {
    if (consumers.group(group) === undefined) continue;
    const key = keyOf(group, topic);
    let queues = counts.get(key);
    if (queues === undefined) {
      queues = new Map();
      counts.set(key, queues);
    }
    queues.set(queueId, (queues.get(queueId) ?? 0) + count);
  }
  return counts;
}

interface Asked {
  readonly group: string;
  readonly topic: string;
  readonly labels: Labels;
  /** Undefined: the group does not pop. */
  readonly inFlight: ReadonlyMap<string, ReadonlyMap<number, number>> | undefined;
}

function countsOf({ store, topics, offsets }: BrokerContext, asked: Asked, into: Observation): Row {
  const { group, topic, labels, inFlight } = asked;
  const committed = offsets.offsetsOf(group, topic);
  const pulled = inFlight === undefined ? offsets.pullOffsetsOf(group, topic) : committed;
  const popped = inFlight?.get(keyOf(group, topic));
  const unconsumed = new Farthest();
  const unpulled = new Farthest();
  let lag = 0;
  let flying = 0;
  let ready = 0;
  const queueCount = topics.select(topic)?.writeQueueNums ?? 0;
  for (let queueId = 0; queueId < queueCount; queueId++) {
    const max = store.getMaxOffsetInQueue(topic, queueId);
    // A group without an offset begins at the end.
    const pullOffset = pulled.get(queueId);
    const given = popped?.get(queueId) ?? 0;
    const consumed = committed.get(queueId);
    const consumedTo = (consumed ?? max) - given;
    const behind = Math.max(0, max - consumedTo);
    const waiting = Math.max(0, max - (pullOffset ?? max));
    lag += behind;
    ready += waiting;
    flying += inFlight === undefined ? Math.max(0, (pullOffset ?? 0) - (consumed ?? pullOffset ?? 0)) : given;
    if (behind > 0) unconsumed.add(queueId, Math.max(0, consumedTo), behind);
    if (waiting > 0) unpulled.add(queueId, pullOffset!, waiting);
  }
  into.observe('rocketmq_consumer_lag_messages', lag, labels);
  into.observe('rocketmq_consumer_inflight_messages', flying, labels);
  into.observe('rocketmq_consumer_ready_messages', ready, labels);
  return { topic, labels, unconsumed, unpulled };
}

async function observeAges(
  into: Observation,
  { topic, labels, unconsumed, unpulled }: Row,
  times: StoreTimes,
  { clock }: BrokerContext,
  slices: Slices,
): Promise<void> {
  const age = (time: number): number => (time === Number.POSITIVE_INFINITY ? 0 : Math.max(0, clock.now() - time));
  const one = await times.oldest(topic, unconsumed.queues, slices);
  const other = await times.oldest(topic, unpulled.queues, slices);
  into.observe('rocketmq_consumer_lag_latency', age(one), labels);
  into.observe('rocketmq_consumer_queueing_latency', age(other), labels);
}

/** Store times of messages, by their entries; those of the last exports are known. */
class StoreTimes {
  readonly #store: BrokerContext['store'];
  readonly #known = new Map<string, number>();
  #left = TIMES_MAX;

  constructor({ store }: BrokerContext) {
    this.#store = store;
  }

  begin(): void {
    this.#left = TIMES_MAX;
  }

  get hasRoom(): boolean {
    return this.#left > 0;
  }

  /** Unix milliseconds; infinite when there is no message. */
  async oldest(topic: string, queues: readonly Behind[], slices: Slices): Promise<number> {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { queueId, offset } of queues) {
      const key = `${topic}\u0000${queueId}`;
      const known = this.#known.get(`${key}\u0000${offset}`);
      const time = known ?? (await this.#look(topic, queueId, offset, slices));
      if (known === undefined) this.#note(`${key}\u0000${offset}`, time);
      if (time > 0) oldest = Math.min(oldest, time);
    }
    return oldest;
  }

  async #look(topic: string, queueId: number, offset: number, slices: Slices): Promise<number> {
    this.#left--;
    const first = this.#store.getMinOffsetInQueue(topic, queueId);
    const time = this.#store.getMessageStoreTimeStamp(topic, queueId, Math.max(offset, first));
    return slices.outside(time.catch(() => -1));
  }

  #note(key: string, time: number): void {
    if (time <= 0) return;
    if (this.#known.size >= KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, time);
  }
}
