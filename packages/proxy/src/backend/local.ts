import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  type BrokerContext,
  type Caller,
  isWriteable,
  lmqOf,
  ORDER_REVIVE_QUEUE,
  type PopAsker,
  type PopDelivery,
  type PutOutcome,
  queueOffsetIn,
  Refusal,
  recallHandleOf,
  type StaticQueue,
  type Stored,
  TRANS_HALF_TOPIC,
} from '@vernier/broker/internal';
import { type DecodedMessage, decodeRecord, Perm, type TopicConfig } from '@vernier/remoting';
import { queueOfGroup } from '../messages/consistent-hash.ts';
import type { FromClient } from '../messages/from-client.ts';
import { invalid, type Receipt } from '../receipts/handle.ts';
import { StatusError } from '../status.ts';
import { Code } from '../wire/messages.ts';
import type {
  Backend,
  Deliveries,
  HalfPlace,
  Lite,
  Members,
  Messages,
  Outgoing,
  Queues,
  ReceiveRequest,
  RoutedTopic,
  Sent,
  Taken,
  Target,
  Topics,
  Transactions,
} from './backend.ts';
import { routedBroker } from './routed-queues.ts';

/** The broker of the same process: its services are called, and nothing is asked over a wire. */
export class LocalBackend implements Backend {
  readonly clock: Backend['clock'];
  readonly logger: Backend['logger'];
  readonly access: Backend['access'];
  readonly config: BrokerContext['config'];
  readonly reports: Backend['reports'];
  readonly tlsPorts: Backend['tlsPorts'];
  readonly metadata: Backend['metadata'];
  readonly topics: Topics;
  readonly groups: Backend['groups'];
  readonly members: Members;
  readonly messages: Messages;
  readonly deliveries: Deliveries;
  readonly transactions: Transactions;
  readonly queues: Queues;
  readonly lite: Lite;
  readonly learn = undefined;

  constructor(broker: BrokerContext) {
    const { clock, logger, access, config, reports, metadata, groups } = broker;
    this.clock = clock;
    this.logger = logger;
    this.access = access;
    this.config = config;
    this.reports = reports;
    this.tlsPorts = broker.tls.ports;
    this.metadata = {
      file: (name, table, delayMs) => metadata.file(name, table, delayMs),
      brokerName: config.brokerName,
    };
    this.groups = groups;
    this.lite = broker.lite;
    const { pull, groupOffsets, queueBounds, staticTopics } = broker;
    this.queues = { pull, groupOffsets, queueBounds, staticTopics, brokerName: config.brokerName };
    this.topics = {
      isSystemTopic: (topic) => broker.topics.isSystemTopic(topic),
      select: (topic) => broker.topics.select(topic),
      route: (topic) => routeOf(broker, topic),
    };
    this.members = {
      beat: (heartbeat, client) => broker.heartbeats.beat(heartbeat, client),
      remove(client) {
        broker.producers.remove(client);
        broker.consumers.remove(client);
      },
    };
    this.messages = new LocalMessages(broker);
    this.deliveries = new LocalDeliveries(broker);
    this.transactions = {
      end: ({ half: { queueOffset, logOffset }, producerGroup, commitOrRollback, isFromCheck }, caller) =>
        broker.transactions.end({ producerGroup, queueOffset, logOffset, commitOrRollback, isFromCheck }, caller),
      find: (topic, transactionId) => findHalf(broker, topic, transactionId),
    };
  }

  checkBroker(brokerName: string): void {
    const own = this.config.brokerName;
    if (brokerName !== own) throw invalid(`the receipt is one of broker ${brokerName}, this is ${own}`);
  }
}

/** How many queues a topic gets that its first message makes (RocketMQ: what clients of gRPC ask for). */
const NEW_TOPIC_QUEUES = 4;

/**
 * The topic; what it will be when the first message may make it. RocketMQ's proxy knows no topic that is not there, whatever
 * autoCreateTopicEnable says.
 */
function configOf({ topics, config }: BrokerContext, name: string): TopicConfig | undefined {
  const limited = (topic: TopicConfig): TopicConfig => ({
    ...topic,
    perm: topic.perm & (config.brokerPermission | ~(Perm.READ | Perm.WRITE)),
  });
  const known = topics.select(name);
  if (known !== undefined) return limited(known);
  const template = config.autoCreateTopicEnable ? topics.select(AUTO_CREATE_TOPIC_KEY_TOPIC) : undefined;
  if (template === undefined) return undefined;
  const count = Math.min(NEW_TOPIC_QUEUES, template.writeQueueNums);
  const queues = { readQueueNums: count, writeQueueNums: count };
  return limited({
    ...template,
    ...queues,
    topicName: name,
    perm: template.perm & ~Perm.INHERIT,
    attributes: new Map(),
  });
}

/** Of a static topic the queues are the logical ones. */
function routeOf(broker: BrokerContext, name: string): RoutedTopic | undefined {
  const topic = configOf(broker, name);
  if (topic === undefined) return undefined;
  const { attributes, perm } = topic;
  const { brokerName } = broker.config;
  const hosted = broker.staticTopics.hosted(name);
  if (hosted === undefined) return { attributes, brokers: [routedBroker(brokerName, topic)] };
  const queues = hosted.map(({ globalId }) => ({ id: globalId, perm }));
  const readIds = topic.readQueueNums === 0 ? [] : queues.map(({ id }) => id);
  return { attributes, brokers: [{ name: brokerName, perm, queues, readIds }] };
}

/** What a message that makes its topic asks for. */
const newTopic = { defaultTopic: AUTO_CREATE_TOPIC_KEY_TOPIC, defaultTopicQueueNums: NEW_TOPIC_QUEUES };

/** A queue that messages are put into. */
interface Place {
  /** -1: any. */
  readonly queueId: number;
  readonly isQueueFixed: boolean;
  /** Of a static topic: the number that clients know of a message less the broker's. */
  readonly delta: number;
}

class LocalMessages implements Messages {
  readonly #broker: BrokerContext;

  constructor(broker: BrokerContext) {
    this.#broker = broker;
  }

  async send(target: Target, messages: readonly FromClient[], caller: Caller): Promise<Sent | Refusal> {
    const place = this.#placeOf(target);
    const [first] = messages as readonly [FromClient];
    const { queueId, isQueueFixed } = place;
    const { put } = this.#broker;
    const stored =
      messages.length === 1
        ? await put.put<PutOutcome>({ ...first.message, ...newTopic, queueId, isQueueFixed }, caller, 'client', same)
        : await put.putBatch<PutOutcome>(batchOf(target.topic, place, messages), caller, 'client', same);
    if (stored instanceof Refusal) return stored;
    // By the number that a half has it is ended; one that waits for its time stands elsewhere until then.
    const isElsewhere = messages.length === 1 && (first.type === 'TRANSACTION' || first.type === 'DELAY');
    const { brokerName } = this.#broker.config;
    return {
      code: stored.code,
      offset: stored.queueOffset + (isElsewhere ? 0 : deltaOf(place, target.topic, stored)),
      isInnerBatch: stored.isInnerBatch === true,
      recallHandle: recallHandleOf(stored, brokerName) ?? '',
      half: { queueOffset: stored.queueOffset, logOffset: stored.logOffset, brokerName },
    };
  }

  recall(recall: { topic: string; handle: string; producerGroup: string }, caller: Caller): Promise<string | Refusal> {
    return this.#broker.recall.recall(recall, caller);
  }

  /** Of a static topic the queues are the logical ones. */
  #placeOf({ topic, messageGroup }: Target): Place {
    const config = configOf(this.#broker, topic);
    if (config === undefined) throw new StatusError(Code.TOPIC_NOT_FOUND, `topic[${topic}] not exist`);
    const { perm, writeQueueNums } = config;
    const hosted = this.#broker.staticTopics.hosted(topic);
    if (!isWriteable(perm) || (hosted?.length ?? writeQueueNums) === 0) {
      throw new StatusError(Code.FORBIDDEN, 'no writable queue');
    }
    const isAny = messageGroup === '';
    if (hosted === undefined) {
      return { queueId: isAny ? -1 : queueOfGroup(messageGroup, writeQueueNums), isQueueFixed: false, delta: 0 };
    }
    const index = isAny ? Math.floor(this.#broker.random() * hosted.length) : queueOfGroup(messageGroup, hosted.length);
    const { queueId, delta } = hosted[index] as StaticQueue;
    return { queueId, isQueueFixed: true, delta };
  }
}

const same = (outcome: PutOutcome): PutOutcome => outcome;

function batchOf(topic: string, { queueId, isQueueFixed }: Place, taken: readonly FromClient[]) {
  const { message, messageId } = taken[0] as FromClient;
  return {
    ...{ ...newTopic, topic, queueId, isQueueFixed },
    sysFlag: message.sysFlag,
    bornTimestamp: message.bornTimestamp,
    reconsumeTimes: 0,
    properties: `UNIQ_KEY\u0001${messageId}\u0002`,
    messages: taken.map(({ message: { body, properties } }) => ({ flag: 0, body, propertiesString: properties })),
  };
}

/** What belongs to a lite topic does not stand in the logical queue. */
const deltaOf = ({ queueId, delta }: Place, topic: string, stored: Stored): number =>
  stored.topic === topic && stored.queueId === queueId ? delta : 0;

class LocalDeliveries implements Deliveries {
  readonly #broker: BrokerContext;

  constructor(broker: BrokerContext) {
    this.#broker = broker;
  }

  receive(request: ReceiveRequest, caller: Caller, asker: PopAsker): Promise<Taken | Refusal | undefined> {
    return request.isLite ? this.#receiveLite(request, caller, asker) : this.#receive(request, caller, asker);
  }

  ack(receipt: Receipt): Promise<Refusal | undefined> {
    const { pop, lite } = this.#broker;
    return receipt.liteTopic === '' ? pop.acks.ack(receipt) : lite.acks.ack(receipt);
  }

  async change(receipt: Receipt, invisibleMs: number, isSuspended: boolean): Promise<Receipt | Refusal> {
    const { pop, lite } = this.#broker;
    const service = receipt.liteTopic === '' ? pop.changes : lite.acks;
    const changed = await service.change(receipt, invisibleMs, isSuspended);
    if (changed instanceof Refusal) return changed;
    const { brokerName } = receipt.handle;
    return { ...receipt, handle: { ...changed, startOffset: receipt.queueOffset, brokerName } };
  }

  isOpen(receipt: Receipt): Promise<boolean> {
    return this.#broker.pop.acks.isOpen(receipt);
  }

  forward({ group, logOffset }: Receipt, caller: Caller): Promise<Refusal | undefined> {
    const dead = { group, logOffset, delayLevel: -1, maxReconsumeTimes: 0, unitMode: false };
    return this.#broker.sendBack.sendBack(dead, caller);
  }

  async #receive({ pop }: ReceiveRequest, caller: Caller, asker: PopAsker): Promise<Taken | Refusal | undefined> {
    const result = await this.#broker.pop.pop.pop(pop, caller, asker);
    if (result === undefined || result instanceof Refusal) return result;
    const { code, records, deliveries } = result;
    const found = records.map((record, index): Outgoing => {
      const stored = decodeRecord(record, 0, false);
      const { handle, orderCount } = deliveries[index] as PopDelivery;
      const place = { group: pop.group, topic: handle.topic, queueId: handle.queueId, queueOffset: handle.queueOffset };
      return {
        receipt: { ...place, handle, logOffset: stored.commitLogOffset, liteTopic: '' },
        message: this.#logical(stored, handle.topic, handle.queueId),
        attempt: Math.max(stored.reconsumeTimes, orderCount) + 1,
      };
    });
    return { code, found };
  }

  /** A message of a static topic has the numbers of its logical queue; its receipt has the broker's. */
  #logical(message: DecodedMessage, topic: string, queueId: number): DecodedMessage {
    const queue = this.#broker.staticTopics.logical(topic, queueId);
    if (queue === undefined) return message;
    return { ...message, queueId: queue.globalId, queueOffset: message.queueOffset + queue.delta };
  }

  /** Of the lite topics that the client wants; each message says of which it is. */
  async #receiveLite(
    { pop, clientId }: ReceiveRequest,
    caller: Caller,
    asker: PopAsker,
  ): Promise<Taken | Refusal | undefined> {
    const { group, topic, maxMessages, invisibleMs, pollMs, bornTime, attemptId } = pop;
    const wanted = { clientId, group, topic, maxMessages, invisibleMs, pollMs, bornTime, attemptId };
    const result = await this.#broker.lite.pop.pop(wanted, caller, asker);
    if (result === undefined || result instanceof Refusal) return result;
    const { brokerName } = this.#broker.config;
    const found = result.records.map((record, index): Outgoing => {
      const message = decodeRecord(record, 0, false);
      const liteTopic = message.properties.get('__LITE_TOPIC') ?? '';
      const queueOffset = queueOffsetIn(record, lmqOf(topic, liteTopic));
      const { popTime } = result;
      const handle = { startOffset: queueOffset, popTime, invisibleMs, reviveQueueId: ORDER_REVIVE_QUEUE, brokerName };
      const place = { group, topic, queueId: 0, queueOffset };
      const receipt = { ...place, handle, logOffset: message.commitLogOffset, liteTopic };
      return { receipt, message, attempt: (result.counts[index] ?? 0) + 1 };
    });
    return { code: result.code, found };
  }
}

/** Halves of one id that the index is asked for: a client may give an id again. */
const FOUND_MAX = 32;

async function findHalf(
  { messages, config }: BrokerContext,
  topic: string,
  transactionId: string,
): Promise<HalfPlace | undefined> {
  const { records } = await messages.byKey({
    ...{ topic: TRANS_HALF_TOPIC, key: transactionId, isUnique: true, isTag: false, maxNum: FOUND_MAX },
    ...{ begin: 0, end: Number.MAX_SAFE_INTEGER },
  });
  const isIt = ({ properties }: DecodedMessage): boolean =>
    properties.get('UNIQ_KEY') === transactionId && properties.get('REAL_TOPIC') === topic;
  const half = records.map((record) => decodeRecord(record, 0, false)).findLast(isIt);
  if (half === undefined) return undefined;
  const { queueOffset, commitLogOffset: logOffset } = half;
  return { queueOffset, logOffset, brokerName: config.brokerName };
}
