import { type DecodedMessage, decodeRecords, type ExtFields, RequestCode, ResponseCode } from '@vernier/remoting';
import { CliError } from '../errors.ts';
import { timeOf } from '../input/time.ts';
import { type Cluster, type MessageQueue, numberField } from './cluster.ts';

/** Where reading begins: the oldest message, behind the newest, or the first one not older than a time (Unix ms). */
export type From = 'first' | 'last' | { timestamp: number };

/** A queue with the address of the broker that it lies on. */
export interface QueueSource extends MessageQueue {
  address: string;
}

/** A group that every broker knows and that remembers nothing for us (RocketMQ MixAll.TOOLS_CONSUMER_GROUP). */
export const TOOLS_CONSUMER_GROUP = 'TOOLS_CONSUMER';

const BATCH_MESSAGES = 32;
/** How long the broker holds a pull that finds nothing; the time the answer may take is longer by what the way needs. */
const SUSPEND_MS = 15_000;
const ANSWER_MS = SUSPEND_MS + 10_000;
/** RocketMQ PullSysFlag. */
const FLAG_SUSPEND = 2;
const FLAG_SUBSCRIPTION = 4;

/** --from as typed. */
export function parseFrom(typed: string): From {
  if (typed === 'first' || typed === 'last') return typed;
  const timestamp = /^\d{10,15}$/.test(typed) ? Number(typed) : timeOf(typed);
  if (timestamp === undefined) {
    throw new CliError(
      'CLI_USAGE',
      `--from ${typed}: allowed are first, last and a time such as 2026-01-31T12:00:00Z`,
      {
        typed,
      },
    );
  }
  return { timestamp };
}

/** `*`, or tags with `||` between them. The broker compares hashes; what passes there is compared here again. */
export function tagFilter(expression: string): (message: DecodedMessage) => boolean {
  const wanted = new Set(expression.split('||').map((tag) => tag.trim()));
  if (wanted.has('*') || expression.trim() === '') return () => true;
  return (message) => wanted.has(message.properties.get('TAGS') ?? '');
}

/** Reads queues of one topic for one group. */
export class Puller {
  readonly #cluster: Cluster;
  readonly #group: string;
  readonly #tags: string;
  readonly #matches: (message: DecodedMessage) => boolean;

  constructor(cluster: Cluster, group: string, tags: string) {
    this.#cluster = cluster;
    this.#group = group;
    this.#tags = tags;
    this.#matches = tagFilter(tags);
  }

  async beginning(queue: QueueSource, from: From): Promise<number> {
    if (from === 'first') return this.#offset(queue, RequestCode.GET_MIN_OFFSET);
    if (from === 'last') return this.end(queue);
    return this.#offset(queue, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { timestamp: String(from.timestamp) });
  }

  /** The offset that the queue's next message will have. */
  end(queue: QueueSource): Promise<number> {
    return this.#offset(queue, RequestCode.GET_MAX_OFFSET);
  }

  /**
   * One pull from `offset` on: the messages that match, and where to go on. A body that is not what was sent is the
   * reader's to notice (message-view.ts): it must not keep the others from being read. With `wait` the broker holds the request
   * until something comes or 15 s are over.
   */
  async pull(queue: QueueSource, offset: number, wait: boolean): Promise<{ messages: DecodedMessage[]; next: number }> {
    const response = await this.#cluster.call(
      queue.address,
      RequestCode.PULL_MESSAGE,
      {
        consumerGroup: this.#group,
        topic: queue.topic,
        queueId: String(queue.queueId),
        queueOffset: String(offset),
        maxMsgNums: String(BATCH_MESSAGES),
        sysFlag: String(FLAG_SUBSCRIPTION | (wait ? FLAG_SUSPEND : 0)),
        commitOffset: '0',
        suspendTimeoutMillis: String(SUSPEND_MS),
        subVersion: '0',
        subscription: this.#tags,
        expressionType: 'TAG',
      },
      {
        accept: [ResponseCode.PULL_NOT_FOUND, ResponseCode.PULL_RETRY_IMMEDIATELY, ResponseCode.PULL_OFFSET_MOVED],
        timeoutMs: ANSWER_MS,
      },
    );
    const messages = response.code === ResponseCode.SUCCESS && response.body ? decodeRecords(response.body, false) : [];
    const next = response.extFields?.nextBeginOffset === undefined ? offset : numberField(response, 'nextBeginOffset');
    return { messages: messages.filter(this.#matches), next };
  }

  /** The messages from `offset` up to `end`, which is not among them. */
  async *read(queue: QueueSource, offset: number, end: number): AsyncGenerator<DecodedMessage, void, undefined> {
    for (let position = offset; position < end; ) {
      const { messages, next } = await this.pull(queue, position, false);
      for (const message of messages) if (message.queueOffset < end) yield message;
      // A broker that does not move on would be asked for ever.
      if (next <= position) return;
      position = next;
    }
  }

  async #offset(queue: QueueSource, code: number, more: ExtFields = {}): Promise<number> {
    const fields = { topic: queue.topic, queueId: String(queue.queueId), ...more };
    const response = await this.#cluster.call(queue.address, code, fields);
    // A Java broker says -1 of a queue that nothing has been sent to.
    return Math.max(0, numberField(response, 'offset'));
  }
}

/** Joins queues into one stream by the time at which messages were stored; within a queue their order stays. */
export async function* mergeByTime(
  streams: readonly AsyncGenerator<DecodedMessage, void, undefined>[],
): AsyncGenerator<DecodedMessage, void, undefined> {
  const heads = await Promise.all(streams.map(async (stream) => ({ stream, head: await stream.next() })));
  for (;;) {
    let oldest: (typeof heads)[number] | undefined;
    for (const entry of heads) {
      if (entry.head.done) continue;
      if (oldest === undefined || entry.head.value.storeTimestamp < oldest.head.value!.storeTimestamp) oldest = entry;
    }
    if (oldest === undefined) return;
    yield oldest.head.value!;
    oldest.head = await oldest.stream.next();
  }
}
