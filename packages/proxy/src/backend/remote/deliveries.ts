import {
  type Caller,
  handleText,
  type PopAsker,
  type PopRequest,
  parseHandle,
  Refusal,
  retryMark,
  topicOfMark,
  wholeNumber,
} from '@vernier/broker/internal';
import {
  type DecodedMessage,
  decodeRecords,
  type ExtFields,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import type { Receipt } from '../../receipts/handle.ts';
import { StatusError } from '../../status.ts';
import { Code } from '../../wire/messages.ts';
import type { Deliveries, Outgoing, ReceiveRequest, Taken } from '../backend.ts';
import { notServed } from '../served.ts';
import { type Calls, numberField, refusalOf, refused, unusable } from './calls.ts';
import { type ClusterNames, readable, readBrokersOf } from './topics.ts';

export interface RemoteDeliveriesParts {
  readonly calls: Calls;
  readonly names: ClusterNames;
  readonly clock: Clock;
  /** From 0 up to 1, 1 excluded. */
  readonly random: () => number;
  /** Pops that brokers have not answered, also those that nobody waits for any more; more are refused. */
  readonly popsMax: number;
}

/** Answers to a pop that found nothing. */
const NOTHING: ReadonlySet<number> = new Set([
  ResponseCode.POLLING_FULL,
  ResponseCode.POLLING_TIMEOUT,
  ResponseCode.PULL_NOT_FOUND,
]);

const MARKS = new Set(['0', '1', '2']);
const INT32_MAX = 0x7fff_ffff;

/** Pops at a broker, and gives back there what it gave. */
export class RemoteDeliveries implements Deliveries {
  readonly #parts: RemoteDeliveriesParts;
  /** Pops, and times that are changed, which is what gives back. */
  readonly #underWay = new Set<Promise<unknown>>();
  #pops = 0;

  constructor(parts: RemoteDeliveriesParts) {
    this.#parts = parts;
  }

  receive(request: ReceiveRequest, _caller: Caller, asker: PopAsker): Promise<Taken | Refusal> {
    const { popsMax } = this.#parts;
    if (this.#pops >= popsMax) {
      throw new StatusError(Code.TOO_MANY_REQUESTS, `flow limit: ${popsMax} pops wait for brokers`);
    }
    this.#pops++;
    const popping = this.#receive(request, asker).finally(() => {
      this.#pops--;
    });
    return this.#during(popping);
  }

  /** Resolves when no pop and no giving back is under way. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) {
      await Promise.allSettled(this.#underWay);
      // Who is gone by now gives back what was found.
      await new Promise(setImmediate);
    }
  }

  async #receive(request: ReceiveRequest, asker: PopAsker): Promise<Taken | Refusal> {
    if (request.isLite) throw notServed('lite consumers');
    const { calls, names, clock } = this.#parts;
    const { pop } = request;
    const brokerName = this.#brokerOf(request);
    const address = names.addressOf(brokerName);
    // Without it nobody knows whether it reads in order.
    if (names.find(pop.group) === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group [${pop.group}] not exist`);
    }
    const beganAt = clock.monotonic();
    // Nobody knows how much a broker will give, but while there is room for nothing it is not asked for more.
    const waits = asker.reserve(1);
    if (waits !== undefined) await waits;
    asker.unreserve();
    const pollMs = Math.max(0, Math.floor(pop.pollMs - (clock.monotonic() - beganAt)));
    const fields = popFields({ ...pop, pollMs }, brokerName, clock.now());
    const response = await calls.ask(address, RequestCode.POP_MESSAGE, fields, undefined, pollMs);
    if (NOTHING.has(response.code)) return { code: response.code, found: [] };
    if (response.code !== ResponseCode.SUCCESS) return refused(response);
    // The bytes are here already, and nothing overwrites them; who is gone by now gives back what they hold.
    await asker.reserve(response.body?.length ?? 0)?.catch(() => {});
    return { code: response.code, found: new PopAnswer(address, brokerName, pop, response).found() };
  }

  async ack(receipt: Receipt): Promise<Refusal | undefined> {
    const response = await this.#ask(receipt, RequestCode.ACK_MESSAGE, deliveryFields(receipt));
    return refusalOf(response);
  }

  change(receipt: Receipt, invisibleMs: number, isSuspended: boolean): Promise<Receipt | Refusal> {
    return this.#during(this.#change(receipt, invisibleMs, isSuspended));
  }

  async #change(receipt: Receipt, invisibleMs: number, isSuspended: boolean): Promise<Receipt | Refusal> {
    const fields = { ...deliveryFields(receipt), invisibleTime: String(invisibleMs), suspend: String(isSuspended) };
    const response = await this.#ask(receipt, RequestCode.CHANGE_MESSAGE_INVISIBLETIME, fields);
    const refusal = refusalOf(response);
    if (refusal !== undefined) return refusal;
    const { brokerName } = receipt.handle;
    const address = this.#parts.names.addressOf(brokerName);
    const handle = {
      startOffset: receipt.queueOffset,
      popTime: numberField(address, response, 'popTime'),
      invisibleMs: numberField(address, response, 'invisibleTime'),
      reviveQueueId: numberField(address, response, 'reviveQid'),
      brokerName,
    };
    return { ...receipt, handle };
  }

  /** Only asked of deliveries of before a restart, and nothing is kept over one. */
  async isOpen(): Promise<boolean> {
    return true;
  }

  async forward(receipt: Receipt): Promise<Refusal | undefined> {
    const { group, topic, logOffset, handle } = receipt;
    const fields = {
      ...{ group, offset: String(logOffset), delayLevel: '-1', maxReconsumeTimes: '0', unitMode: 'false' },
      ...{ originTopic: topic, bname: handle.brokerName },
    };
    const response = await this.#ask(receipt, RequestCode.CONSUMER_SEND_MSG_BACK, fields);
    return refusalOf(response);
  }

  async #during<Value>(asking: Promise<Value>): Promise<Value> {
    this.#underWay.add(asking);
    try {
      return await asking;
    } finally {
      this.#underWay.delete(asking);
    }
  }

  #ask({ handle, liteTopic }: Receipt, code: number, fields: ExtFields): Promise<RemotingCommand> {
    if (liteTopic !== '') throw notServed('messages of lite topics');
    return this.#parts.calls.ask(this.#parts.names.addressOf(handle.brokerName), code, fields);
  }

  /** The one that the client chose; any of those with a queue to read when it leaves it to us. */
  #brokerOf({ pop, brokerName }: ReceiveRequest): string {
    const route = this.#parts.names.route(pop.topic);
    if (route === undefined) throw new StatusError(Code.TOPIC_NOT_FOUND, `topic[${pop.topic}] not exist`);
    const brokers = readBrokersOf(route);
    const chosen = brokerName === '' ? brokers[Math.floor(this.#parts.random() * brokers.length)] : brokerName;
    if (chosen === undefined || !brokers.includes(chosen)) {
      throw new StatusError(
        Code.FORBIDDEN,
        brokerName === '' ? 'no readable queue' : `no readable queue at ${brokerName}`,
      );
    }
    return chosen;
  }
}

function popFields(pop: PopRequest, brokerName: string, now: number): ExtFields {
  return {
    ...{ consumerGroup: pop.group, topic: pop.topic, queueId: String(pop.queueId) },
    ...{ maxMsgNums: String(pop.maxMessages), invisibleTime: String(pop.invisibleMs), pollTime: String(pop.pollMs) },
    ...{ bornTime: String(now), initMode: pop.startsAtEnd ? '1' : '0', order: String(pop.isOrdered) },
    ...{ exp: pop.expression, expType: pop.expressionType, attemptId: pop.attemptId, bname: brokerName },
  };
}

const deliveryFields = (receipt: Receipt): ExtFields => {
  const { group: consumerGroup, topic, queueId, queueOffset, handle } = receipt;
  const extraInfo = handleText({ ...handle, topic, queueId, queueOffset });
  const place = { consumerGroup, topic, queueId: String(queueId), offset: String(queueOffset) };
  return { ...place, extraInfo, bname: handle.brokerName };
};

/** What the answer to a pop says, as RocketMQ's client reads it (MQClientAPIImpl.processPopResponse). */
class PopAnswer {
  readonly #address: string;
  readonly #brokerName: string;
  readonly #pop: PopRequest;
  readonly #response: RemotingCommand;
  readonly #starts: Map<string, number>;
  readonly #counts: ReadonlyMap<string, number>;

  constructor(address: string, brokerName: string, pop: PopRequest, response: RemotingCommand) {
    this.#address = address;
    this.#brokerName = brokerName;
    this.#pop = pop;
    this.#response = response;
    this.#starts = this.#numbers('startOffsetInfo');
    this.#counts = this.#numbers('orderCountInfo');
  }

  /** Throws INTERNAL_SERVER_ERROR for what is no such answer: its messages come again at the end of their time. */
  found(): Outgoing[] {
    const { body } = this.#response;
    if (body === undefined) unusable(this.#address, 'messages are said to be found, and none is there');
    const messages = readable(this.#address, () => decodeRecords(body, false));
    const popTime = numberField(this.#address, this.#response, 'popTime');
    const invisibleMs = numberField(this.#address, this.#response, 'invisibleTime');
    const reviveQueueId = numberField(this.#address, this.#response, 'reviveQid');
    const common = { popTime, invisibleMs, reviveQueueId, brokerName: this.#brokerName };
    return messages.map((message) => {
      const own = message.properties.get('POP_CK');
      const receipt = (own === undefined ? undefined : this.#retried(own, message)) ?? {
        ...{ group: this.#pop.group, topic: message.topic, queueId: message.queueId, queueOffset: message.queueOffset },
        handle: { ...common, startOffset: this.#startOf(message) },
        ...{ logOffset: message.commitLogOffset, liteTopic: '' },
      };
      const attempt = Math.max(message.reconsumeTimes, this.#countOf(message)) + 1;
      return { receipt, message: { ...message, topic: this.#pop.topic }, attempt };
    });
  }

  /** A message that comes again brings its handle, which names the topic of retries that it lies in. */
  #retried(text: string, { commitLogOffset }: DecodedMessage): Receipt | undefined {
    const handle = parseHandle(text);
    const fields = text.split(' ');
    if (typeof handle === 'string' || handle.brokerName !== this.#brokerName) return undefined;
    const { group } = this.#pop;
    const topic = topicOfMark(this.#pop.topic, group, fields[4] ?? '');
    const [queueId, queueOffset] = [wholeNumber(fields[6], INT32_MAX), wholeNumber(fields[7], Number.MAX_SAFE_INTEGER)];
    if (topic === undefined || queueId === undefined || queueOffset === undefined) return undefined;
    return { group, topic, queueId, queueOffset, handle, logOffset: commitLogOffset, liteTopic: '' };
  }

  /** Where the checkpoint of the delivery begins; of an old broker's that does not say it, at the first of the queue. */
  #startOf({ topic, queueId, queueOffset }: DecodedMessage): number {
    const queue = `${retryMark(topic)} ${queueId}`;
    const start = this.#starts.get(queue);
    if (start !== undefined) return start;
    if (this.#response.extFields?.startOffsetInfo)
      unusable(this.#address, `startOffsetInfo says nothing of queue ${queue}`);
    this.#starts.set(queue, queueOffset);
    return queueOffset;
  }

  /** In order: how often the message was delivered before. */
  #countOf({ topic, queueId, queueOffset }: DecodedMessage): number {
    const mark = retryMark(topic);
    return this.#counts.get(`${mark} qo${queueId}%${queueOffset}`) ?? this.#counts.get(`${mark} ${queueId}`) ?? 0;
  }

  /** `0 3 17;1 0 5`: the last number of each by what stands before it. */
  #numbers(name: string): Map<string, number> {
    const numbers = new Map<string, number>();
    const text = this.#response.extFields?.[name] ?? '';
    for (const part of text === '' ? [] : text.split(';')) {
      const [mark = '', place = '', number] = part.split(' ');
      const value = wholeNumber(number, Number.MAX_SAFE_INTEGER);
      if (!MARKS.has(mark) || value === undefined) unusable(this.#address, `its field ${name} is none`);
      numbers.set(`${mark} ${place}`, value);
    }
    return numbers;
  }
}
