import {
  type ExtFields,
  encodePropertiesString,
  MessageProperty,
  RequestCode,
  ResponseCode,
  responseCodeName,
  UniqueIdGenerator,
} from '@vernier/remoting';
import type { Cluster, RouteEntry } from './cluster.ts';

/** The client's view of how a message fared (RocketMQ SendStatus). Everything but SEND_OK is not acknowledged. */
export interface SendResult {
  status: 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE' | 'FAILED';
  /** Unique id, made here; what Java's getMsgId shows. */
  msgId: string;
  /** Id that holds the address and the offset in the log. */
  offsetMsgId: string | undefined;
  brokerName: string;
  queueId: number;
  queueOffset: number | undefined;
  /** Why, when it is FAILED. */
  reason?: string;
}

export interface OutgoingMessage {
  body: Buffer;
  keys?: string | undefined;
  tags?: string | undefined;
}

const PRODUCER_GROUP = 'VERNIER_PRODUCER';
/** Answers that mean the message is stored, though something it should wait for did not happen. */
const STORED = new Map<number, SendResult['status']>([
  [ResponseCode.SUCCESS, 'SEND_OK'],
  [ResponseCode.FLUSH_DISK_TIMEOUT, 'FLUSH_DISK_TIMEOUT'],
  [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT'],
  [ResponseCode.SLAVE_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE'],
]);

/** Sends to the queues of one topic in turn. */
export class Sender {
  readonly #cluster: Cluster;
  readonly #topic: string;
  readonly #timeoutMs: number;
  readonly #ids = new UniqueIdGenerator();
  readonly #queues: { entry: RouteEntry; queueId: number }[];
  #next = 0;

  /** `route` has at least one queue that may be written. */
  constructor(cluster: Cluster, topic: string, route: readonly RouteEntry[], timeoutMs: number) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#timeoutMs = timeoutMs;
    this.#queues = route
      .filter(({ perm }) => (perm & 2) !== 0)
      .flatMap((entry) => Array.from({ length: entry.writeQueueNums }, (_, queueId) => ({ entry, queueId })));
  }

  /** Resolves with what the broker said; rejects only for faults of the program. */
  async send(message: OutgoingMessage): Promise<SendResult> {
    const { entry, queueId } = this.#queues[this.#next++ % this.#queues.length]!;
    const msgId = this.#ids.next();
    const result = { msgId, brokerName: entry.brokerName, queueId, offsetMsgId: undefined, queueOffset: undefined };
    try {
      const response = await this.#cluster.call(
        entry.address,
        RequestCode.SEND_MESSAGE_V2,
        this.#header(message, queueId, msgId),
        { body: message.body, accept: [...STORED.keys()], timeoutMs: this.#timeoutMs },
      );
      const fields = response.extFields ?? {};
      return {
        ...result,
        status: STORED.get(response.code) ?? 'FAILED',
        offsetMsgId: fields.msgId,
        queueOffset: offsetIn(fields.queueOffset),
        ...(response.code === ResponseCode.SUCCESS
          ? {}
          : { reason: response.remark ?? responseCodeName(response.code) }),
      };
    } catch (error) {
      return { ...result, status: 'FAILED', reason: (error as Error).message };
    }
  }

  /** The one-letter names of SendMessageRequestHeaderV2. */
  #header({ keys, tags }: OutgoingMessage, queueId: number, msgId: string): ExtFields {
    const properties: [string, string][] = [[MessageProperty.UNIQ_KEY, msgId]];
    if (keys !== undefined && keys !== '') properties.push([MessageProperty.KEYS, keys]);
    if (tags !== undefined && tags !== '') properties.push([MessageProperty.TAGS, tags]);
    properties.push([MessageProperty.WAIT, 'true']);
    return {
      a: PRODUCER_GROUP,
      b: this.#topic,
      c: 'TBW102',
      d: '4',
      e: String(queueId),
      f: '0',
      g: String(Date.now()),
      h: '0',
      i: encodePropertiesString(properties),
      j: '0',
      k: 'false',
      m: 'false',
    };
  }
}

/** The message is stored, whatever its broker says of the place; a place that is none is left out. */
function offsetIn(text: string | undefined): number | undefined {
  const offset = Number(text ?? Number.NaN);
  return text !== '' && Number.isSafeInteger(offset) ? offset : undefined;
}

/** A topic that is not there yet is created by the first message, with the queues of the template. */
export async function routeForSending(cluster: Cluster, topic: string): Promise<RouteEntry[]> {
  const route = await cluster.route(topic);
  if (route.length > 0) return route;
  const template = await cluster.route('TBW102');
  return template.map((entry) => ({
    ...entry,
    writeQueueNums: Math.min(4, entry.writeQueueNums),
    perm: entry.perm & ~1,
  }));
}
