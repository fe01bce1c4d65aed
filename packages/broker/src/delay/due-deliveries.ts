import { MessageSysFlag } from '@vernier/remoting';
import type { MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { encodeProperties, PROPERTY_CRC32, QUEUE_COUNT_MAX } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { MessageToPut } from '../put/message-to-put.ts';
import { isNeverStored } from '../put/put-result.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { Destinations } from '../topics/destinations.ts';

export interface DueDeliveriesParts {
  readonly store: Pick<MessageStore, 'deletedBelow'>;
  readonly destinations: Destinations;
  readonly put: PutService;
  /** In whose name the broker puts. */
  readonly caller: Caller;
  readonly logger: StoreLogger;
}

/** At the latest after this the clock is looked at again: somebody may have set it. */
export const LOOK_AGAIN_MS = 1_000;
/** A delivery that failed is tried again after this, then after twice as long, up to the longest. */
export const RETRY_MS = 100;
export const RETRY_MS_MAX = 10_000;

/** What became of one message: dropped ones can be given to nobody any more; a refusal is to be tried again. */
export type Delivery = 'delivered' | 'dropped' | Refusal;

/**
 * Gives messages on whose time has come: a copy into the topic and queue that the message names, which resolves when it is
 * written. Whoever asks for it keeps its own place behind what is on disk.
 */
export class DueDeliveries {
  readonly #parts: DueDeliveriesParts;
  readonly #origin: 'delay' | 'timer';
  #deliveredTotal = 0;
  #droppedTotal = 0;

  constructor(parts: DueDeliveriesParts, origin: 'delay' | 'timer') {
    this.#parts = parts;
    this.#origin = origin;
  }

  /** Messages given on, and those that nobody can be given any more, since the start. */
  get deliveredTotal(): number {
    return this.#deliveredTotal;
  }

  get droppedTotal(): number {
    return this.#droppedTotal;
  }

  /** `added`: properties that the copy gets beside its own. Rejects when it cannot be said what becomes of it. */
  async deliver(message: MessageExt, added: Iterable<readonly [string, string]> = []): Promise<Delivery> {
    const topic = message.properties.get('REAL_TOPIC');
    const queueId = Number(message.properties.get('REAL_QID') ?? Number.NaN);
    if (topic === undefined || !Number.isInteger(queueId) || queueId < 0 || queueId >= QUEUE_COUNT_MAX) {
      return this.drop(message, 'it does not say where it is to go (REAL_TOPIC, REAL_QID)');
    }
    const gone = this.#goneReason(message, topic);
    if (gone !== undefined) return this.drop(message, gone);
    this.#parts.destinations.ready(topic, queueId);
    return this.#put(message, topic, queueId, added);
  }

  /** Puts a message once more into the queue it is in, to wait on. One whose topic was deleted is dropped. */
  async putBack(message: MessageExt, added: Iterable<readonly [string, string]>): Promise<Delivery> {
    const topic = message.properties.get('REAL_TOPIC');
    const gone = topic === undefined ? undefined : this.#goneReason(message, topic);
    if (gone !== undefined) return this.drop(message, gone);
    return this.#put(message, message.topic, message.queueId, added);
  }

  /** The others that are due must not wait for it. */
  drop({ topic, commitLogOffset, queueId, queueOffset, properties }: MessageExt, why: string): 'dropped' {
    this.#droppedTotal++;
    const uniqKey = properties.get('UNIQ_KEY');
    this.#parts.logger.error(
      { topic, queueId, queueOffset, commitLogOffset, uniqKey, why },
      `a delayed message is not delivered: ${why}. Its record stays at ${commitLogOffset} in the log`,
    );
    return 'dropped';
  }

  #goneReason(message: MessageExt, topic: string): string | undefined {
    if (message.commitLogOffset >= this.#parts.store.deletedBelow(topic)) return undefined;
    return `topic ${topic} was deleted after it was sent`;
  }

  async #put(
    message: MessageExt,
    topic: string,
    queueId: number,
    added: Iterable<readonly [string, string]>,
  ): Promise<Delivery> {
    const { put, caller } = this.#parts;
    const copy = copyOf(message, topic, queueId, added);
    const outcome = await put.put<PutOutcome>(copy, caller, this.#origin, (value) => value);
    if (!(outcome instanceof Refusal)) {
      this.#deliveredTotal++;
      return 'delivered';
    }
    return isNeverStored(outcome) ? this.drop(message, outcome.remark) : outcome;
  }
}

export const deliveryFailure = ({ code, remark }: Refusal): Error =>
  new Error(`the delivery was refused with ${code}: ${remark}`);

/** As RocketMQ leaves it: DELAY, REAL_TOPIC and REAL_QID stay among the properties. */
function copyOf(
  message: MessageExt,
  topic: string,
  queueId: number,
  added: Iterable<readonly [string, string]>,
): MessageToPut {
  const properties = new Map(message.properties);
  properties.delete(PROPERTY_CRC32);
  for (const [name, value] of added) properties.set(name, value);
  return {
    topic,
    queueId,
    flag: message.flag,
    // The address bits describe this record's hosts, which the encoder knows.
    sysFlag: message.sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6),
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    reconsumeTimes: message.reconsumeTimes,
    body: message.body,
    properties: encodeProperties(properties),
  };
}
