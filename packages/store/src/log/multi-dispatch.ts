import type { MessageStoreConfig } from '../base/config.ts';
import type { MessageExtBrokerInner } from '../base/types.ts';
import type { QueueOffsetOperator } from '../queue/queue-offset-operator.ts';
import type { Refusal } from '../record/check-message.ts';
import type { EncodedPart } from '../record/message-encoder.ts';
import {
  allowsMultiDispatch,
  isLmq,
  LMQ_PREFIX,
  type LmqPlace,
  offsetsText,
  PROPERTY_INNER_MULTI_DISPATCH,
  PROPERTY_INNER_MULTI_QUEUE_OFFSET,
  splitNames,
} from '../record/multi-dispatch.ts';
import { encodeProperties, propertyOf, removeProperties } from '../record/properties.ts';
import { hasQueueEntry, INNER_BATCH_FLAG } from '../record/sys-flag.ts';

/** What both property names begin with. */
const MULTI = 'INNER_MULTI_';
const writtenNames: ReadonlySet<string> = new Set([PROPERTY_INNER_MULTI_QUEUE_OFFSET]);
/** Halves of transactions and the markers that end them: nobody consumes them, by a light queue neither. */
const transactionTopics: ReadonlySet<string> = new Set(['RMQ_SYS_TRANS_HALF_TOPIC', 'RMQ_SYS_TRANS_OP_HALF_TOPIC']);

/** A message with its numbers in light queues, or without ones that are another message's. */
export interface Assigned {
  readonly parts: readonly EncodedPart[];
  readonly places: readonly LmqPlace[] | undefined;
}

/**
 * Gives messages their numbers in light queues (RocketMQ LmqDispatch; record/multi-dispatch.ts). Numbers of a light queue come
 * from one counter, whichever topics its messages are sent to, and are taken in the turn of the append.
 *
 * The number of light queues is bounded: any producer can name one, and each is a directory.
 */
export class MultiDispatch {
  readonly #config: Pick<MessageStoreConfig, 'maxLmqConsumeQueueNum'>;
  readonly #queueOffsets: QueueOffsetOperator;

  readonly #check: (message: MessageExtBrokerInner) => Refusal | undefined;

  /** `check`: why the log does not take a message (MessageCheck). */
  constructor(
    config: Pick<MessageStoreConfig, 'maxLmqConsumeQueueNum'>,
    queueOffsets: QueueOffsetOperator,
    check: (message: MessageExtBrokerInner) => Refusal | undefined,
  ) {
    this.#config = config;
    this.#queueOffsets = queueOffsets;
    this.#check = check;
  }

  /** Why a message cannot be put into the light queues that it names; undefined when it can, and for all that name none. */
  fault(message: MessageExtBrokerInner): Refusal | undefined {
    const fault = this.#topicFault(message.topic);
    if (fault !== undefined) return fault;
    const names = this.namesOf(message);
    if (names === undefined) return undefined;
    return listFault(message.topic, names) ?? this.#roomFault(names) ?? this.#formFault(message, names);
  }

  /** The light queues that a message asks for and may be in. */
  namesOf(message: MessageExtBrokerInner): readonly string[] | undefined {
    const { topic, sysFlag, propertiesString } = message;
    if (!propertiesString.includes(MULTI)) return undefined;
    if ((sysFlag & INNER_BATCH_FLAG) !== 0) return undefined;
    if (!hasQueueEntry(sysFlag) || !allowsMultiDispatch(topic) || transactionTopics.has(topic)) return undefined;
    const value = propertyOf(propertiesString, PROPERTY_INNER_MULTI_DISPATCH) ?? '';
    const names = value.trim() === '' ? [] : splitNames(value);
    return names.length === 0 ? undefined : names;
  }

  /**
   * The parts as they are to be written; undefined: as they are. Changes nothing: `taken` moves the counters when the record
   * is appended. A batch is in no light queue, unless it is sent to one. A refusal when there is no room for one more light
   * queue: others may have been made while the message waited.
   */
  assign(message: MessageExtBrokerInner, parts: readonly EncodedPart[]): Assigned | Refusal | undefined {
    const fault = this.#topicFault(message.topic);
    if (fault !== undefined) return fault;
    if (!parts.some(({ propertiesString }) => propertiesString.includes(MULTI))) return undefined;
    const [first] = parts;
    // Of a batch the message itself has no properties.
    const isOne = parts.length === 1 && first!.propertiesString === message.propertiesString;
    const names = isOne ? this.namesOf(message) : undefined;
    const full = names === undefined ? undefined : this.#roomFault(names);
    if (full !== undefined) return full;
    const places = names?.map((name) => ({ name, queueOffset: this.#queueOffsets.currentOffset(name, 0) }));
    const written = parts.map(({ flag, body, propertiesString }) => ({
      flag,
      body,
      propertiesString: withNumbers(propertiesString, places ?? []),
    }));
    return { parts: written, places };
  }

  taken(places: readonly LmqPlace[]): void {
    for (const { name } of places) this.#queueOffsets.increase(name, 0, 1);
  }

  /** Why a message cannot be sent to the topic, which may be a light queue itself. */
  #topicFault(topic: string): Refusal | undefined {
    const isOne = topic.charCodeAt(0) === LMQ_PREFIX.charCodeAt(0) && isLmq(topic);
    return isOne ? this.#roomFault([topic]) : undefined;
  }

  /** What would not be found again under its name, or does not fit the record. */
  #formFault(message: MessageExtBrokerInner, names: readonly string[]): Refusal | undefined {
    for (const name of names) {
      const fault = this.#check({ ...message, topic: name });
      if (fault !== undefined) return { ...fault, reason: `${nameShown(name)}: ${fault.reason}` };
    }
    // With the widest numbers there are: what passes has room for those that it gets.
    const widest = names.map((name) => ({ name, queueOffset: Number.MAX_SAFE_INTEGER }));
    return this.#check({ ...message, propertiesString: withNumbers(message.propertiesString, widest) });
  }

  #roomFault(names: readonly string[]): Refusal | undefined {
    const unknown = names.filter((name) => !this.#queueOffsets.has(name));
    if (unknown.length === 0) return undefined;
    const { maxLmqConsumeQueueNum: most } = this.#config;
    const count = this.#queueOffsets.lmqCount;
    if (count + unknown.length <= most) return undefined;
    return {
      status: 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED',
      reason: `${unknown[0]} would be a new light queue, there are ${count} and maxLmqConsumeQueueNum is ${most}`,
    };
  }
}

/** Without numbers of another message, and with these. */
const withNumbers = (properties: string, places: readonly LmqPlace[]): string =>
  removeProperties(properties, writtenNames) +
  encodeProperties([[PROPERTY_INNER_MULTI_QUEUE_OFFSET, offsetsText(places)]]);

const nameShown = (name: string): string => `${PROPERTY_INNER_MULTI_DISPATCH} ${JSON.stringify(name.slice(0, 255))}`;

/** Names that are none of light queues, and those that stand there twice: a record has one entry in a queue. */
function listFault(topic: string, names: readonly string[]): Refusal | undefined {
  const seen = new Set([topic]);
  for (const name of names) {
    let what = '';
    if (!isLmq(name) || name === LMQ_PREFIX) what = `does not begin with ${LMQ_PREFIX} and a name`;
    else if (seen.has(name)) what = 'stands there twice';
    if (what !== '') return { status: 'MESSAGE_ILLEGAL', reason: `${nameShown(name)} ${what}` };
    seen.add(name);
  }
  return undefined;
}
