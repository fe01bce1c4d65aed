import { type ExtFields, type RemotingCommand, RequestCode, ResponseCode } from '@vernier/remoting';
import type { MessageExt } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import type { RunCounters } from './counters.ts';
import type { PopGroup } from './pop-group.ts';
import { handleOf, type PopHandle, realTopicOf } from './pop-handles.ts';
import { type Held, ORDERED_TOPIC, POP_QUEUES, POP_TOPICS, POPPED_TOPIC, type PopModel, TAGS } from './pop-model.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { bodyOf, noteAnswer, sendFieldsOf } from './sent.ts';
import { Violation } from './violation.ts';

const MESSAGES_MAX = 32;
/** A message comes again so long after its time at the latest, while nothing disturbs the broker. */
const REDELIVERY_MS_MAX = 1_000;
/** Under ASYNC_FLUSH: what follows a queue waits for the flush of what it follows, twice. */
const REDELIVERY_MS_MAX_ASYNC = 25_000;
const LAST_INVISIBLE_MS = 2_000;
/** Between two acts the clock is set by as much at most, in histories in which somebody does that. */
const CLOCK_STEP_MS_MAX = 5_000;

export interface PopClientsOptions {
  readonly model: PopModel;
  readonly scheduler: Scheduler;
  readonly counters: RunCounters;
  /** Operators delete topics and groups, and put groups to other places. */
  readonly isOperated: boolean;
  readonly stepsClock: boolean;
  /** Resolves with the answer, however long the broker holds it. */
  request(code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand>;
}

interface PopWish {
  group: PopGroup;
  queueId: number;
  maxMessages: number;
  invisibleMs: number;
  pollMs: number;
}

/** Those who pop, and those who send to them, in one life of the broker. */
export class PopClients {
  readonly #options: PopClientsOptions;
  #isClosing = false;
  /** Of an answer that nobody waits for. */
  #violation: Error | undefined;

  constructor(options: PopClientsOptions) {
    this.#options = options;
  }

  /** Answers that are still to come say nothing. */
  stop(): void {
    this.#isClosing = true;
  }

  /** Rejects with a Violation. */
  async act(random: Random): Promise<void> {
    if (this.#violation !== undefined) throw this.#violation;
    if (this.#isClosing) return;
    const { isOperated, stepsClock } = this.#options;
    const choice = random.fraction();
    if (choice < 0.3) await this.#send(random);
    else if (choice < 0.6) await this.#anyPop(random);
    else if (choice < 0.85) await this.#anyAck(random);
    else if (choice < 0.94) await this.#change(random);
    else if (choice < 0.98) await (isOperated ? this.#operate(random) : this.#anyPop(random));
    else if (stepsClock) this.#stepClock(random);
  }

  /** Undefined when there is no answer that says anything. A fault of the program is a Violation. */
  async #ask(code: number, fields: ExtFields, body?: Buffer): Promise<RemotingCommand | undefined> {
    try {
      return await this.#options.request(code, fields, body);
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (typeof (error as { code?: unknown }).code === 'string') return undefined;
      throw new Violation(`request ${code} fails: ${(error as Error).stack}`);
    }
  }

  async #send(random: Random): Promise<void> {
    const { model, scheduler, counters } = this.#options;
    const topic = random.chance(0.6) ? POPPED_TOPIC : ORDERED_TOPIC;
    const sent = model.begin(topic, random.integer(0, POP_QUEUES - 1), random.pick(TAGS));
    counters.popSent++;
    const fields = sendFieldsOf(sent, scheduler.now(), `TAGS\u0001${sent.tag}\u0002KEYS\u0001p${sent.id}\u0002`);
    const answer = await this.#ask(RequestCode.SEND_MESSAGE_V2, fields, bodyOf(sent, random));
    if (answer !== undefined) noteAnswer(sent, answer, model.options);
  }

  async #anyPop(random: Random): Promise<void> {
    const pollMs = random.chance(0.3) ? random.integer(50, 1_500) : 0;
    const popping = this.#pop({
      group: random.pick(this.#options.model.groups),
      queueId: random.chance(0.5) ? -1 : random.integer(0, POP_QUEUES - 1),
      maxMessages: random.pick([1, 2, random.integer(1, 8), MESSAGES_MAX]),
      invisibleMs: random.integer(20, random.pick([60, 400, 1_500, 4_000])),
      pollMs,
    });
    if (pollMs === 0) await popping;
    else popping.catch((error: Error) => this.#failed(error));
  }

  #failed(error: Error): void {
    this.#violation ??= error;
  }

  async #pop({ group, queueId, maxMessages, invisibleMs, pollMs }: PopWish): Promise<Held[]> {
    const { model, scheduler, counters } = this.#options;
    counters.pops++;
    const before = { epoch: model.epoch(), resetCount: group.resetCount, alive: this.#alive(group) };
    const answer = await this.#ask(RequestCode.POP_MESSAGE, {
      ...{ consumerGroup: group.name, topic: group.topic, queueId: String(queueId) },
      ...{ maxMsgNums: String(maxMessages), invisibleTime: String(invisibleMs), pollTime: String(pollMs) },
      ...{ bornTime: String(scheduler.now()), initMode: '0', order: String(group.isOrdered) },
      ...(group.tags === TAGS ? {} : { exp: group.tags.join(' || '), expType: 'TAG' }),
    });
    if (answer?.code !== ResponseCode.SUCCESS) return [];
    const fields = answer.extFields!;
    const popTime = Number(fields.popTime);
    const isWithin = group.resetCount === before.resetCount;
    // The clock was set meanwhile: its times are comparable with none, not with each other's either.
    const epoch = model.epoch() === before.epoch ? before.epoch : Number.NaN;
    const all: Held[] = [];
    for (const message of recordsOf(answer.body!)) {
      const sent = model.known(message);
      if (sent.topic !== group.topic || !group.tags.includes(sent.tag)) {
        throw new Violation(`${group.name} is given message ${sent.id} (${sent.topic}, ${sent.tag})`);
      }
      const state = group.stateOf(sent.id);
      if (!before.alive.has(sent.id) && model.isDeletionAnswered(sent) && !state.mayComeDead) {
        throw new Violation(`${group.name} is given message ${sent.id}, which was deleted with its topic`);
      }
      const text = handleOf(message, {
        ...{ startOffsetInfo: fields.startOffsetInfo!, popTime, invisibleMs: Number(fields.invisibleTime) },
        reviveQueueId: Number(fields.reviveQid),
      });
      const handle = parsed(text);
      const held: Held = {
        ...{ group, sent, handle, queueId: message.queueId, queueOffset: message.queueOffset },
        topic: realTopicOf(text, group.name, group.topic),
        until: handle.popTime + handle.invisibleMs,
        ...{
          isTimed: true,
          isAckSent: false,
          isAckOfOld: false,
          isTold: false,
          life: model.life,
          epoch,
          generation: isWithin ? state.generation : -1,
        },
      };
      if (state.last !== undefined) model.redeliveredTotal++;
      group.delivered(held, model.now, model.options.syncFlush);
      model.deliveredTotal++;
      model.latest = Math.max(model.latest, held.until);
      all.push(held);
    }
    if (group.isOrdered) {
      for (const id of new Set(all.map((held) => held.queueId))) {
        const batch = all.filter((held) => held.queueId === id);
        const isGone = (sent: Held['sent']): boolean => !isWithin || model.isGone(sent);
        group.gaveBatch(batch, model.now, model.sentTo(group.topic), isGone);
      }
    }
    model.held.push(...all);
    return all;
  }

  /** Those that no answered deletion has taken. */
  #alive({ topic }: PopGroup): ReadonlySet<number> {
    const { model } = this.#options;
    const alive = [...model.sentTo(topic)].filter((sent) => !model.isDeletionAnswered(sent));
    return new Set(alive.map(({ id }) => id));
  }

  async #anyAck(random: Random): Promise<void> {
    const { model } = this.#options;
    const held = model.any(random);
    if (held === undefined) return;
    if (random.chance(0.3)) {
      const isOfBatch = (other: Held): boolean =>
        other.group === held.group &&
        other.topic === held.topic &&
        other.queueId === held.queueId &&
        isSame(other, held);
      await this.#ackBatch(model.held.filter(isOfBatch));
    } else await this.ack(held);
    // A client that heard no answer sends it again.
    if (random.chance(0.1)) await this.ack(held);
  }

  async ack(held: Held): Promise<void> {
    const { model } = this.#options;
    model.forget(held);
    held.group.acking(held);
    const answer = await this.#ask(RequestCode.ACK_MESSAGE, deliveryFields(held));
    if (answer?.code === ResponseCode.SUCCESS) this.#acknowledged([held]);
  }

  async #ackBatch(all: readonly Held[]): Promise<void> {
    const { model } = this.#options;
    const [{ group, topic, queueId, handle }] = all as [Held];
    const bits = Buffer.alloc(
      Math.ceil((Math.max(...all.map((held) => held.queueOffset)) - handle.startOffset + 1) / 8),
    );
    for (const held of all) {
      model.forget(held);
      group.acking(held);
      const bit = held.queueOffset - handle.startOffset;
      bits[bit >> 3]! |= 1 << (bit & 7);
    }
    const retry = topic === group.topic ? '0' : topic.includes('+') ? '2' : '1';
    const { startOffset, popTime, invisibleMs, reviveQueueId } = handle;
    const ack = {
      ...{ c: group.name, t: group.topic, r: retry, so: startOffset, q: queueId, rq: reviveQueueId },
      ...{ pt: popTime, it: invisibleMs, b: bits.toString('base64') },
    };
    const body = Buffer.from(JSON.stringify({ brokerName: BROKER, acks: [ack] }));
    const answer = await this.#ask(RequestCode.BATCH_ACK_MESSAGE, {}, body);
    if (answer?.code === ResponseCode.SUCCESS)
      this.#acknowledged([...all].sort((a, b) => a.queueOffset - b.queueOffset));
  }

  #acknowledged(all: readonly Held[]): void {
    const { model } = this.#options;
    const epoch = model.epoch();
    for (const held of all) {
      if (held.group.acknowledged(held, model.now, epoch, model.options.syncFlush)) model.endedTotal++;
    }
  }

  async #change(random: Random): Promise<void> {
    const { model, counters } = this.#options;
    // When its topic was made again another message has the offset, and the handle does not tell.
    const held = model.any(random, ({ isTimed, sent }) => isTimed && !model.isDead(sent));
    if (held === undefined) return;
    counters.popChanges++;
    const wasInTime = model.now < held.until;
    const fields = {
      ...deliveryFields(held),
      invisibleTime: String(random.integer(0, random.pick([100, 1_000, 4_000]))),
    };
    const { group, until } = held;
    held.isTimed = false;
    model.changing.add(held);
    const answer = await this.#ask(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, fields);
    model.changing.delete(held);
    if (answer?.code !== ResponseCode.SUCCESS) return group.notChanged(held);
    const isStillInTime = wasInTime && model.now < until && model.epoch() === held.epoch;
    const popTime = Number(answer.extFields!.popTime);
    if (!isStillInTime || popTime === 0) {
      group.notChanged(held);
      return model.forget(held);
    }
    const invisibleMs = Number(answer.extFields!.invisibleTime);
    held.handle = { ...held.handle, popTime, invisibleMs, reviveQueueId: Number(answer.extFields!.reviveQid) };
    if (!group.isOrdered) held.handle.startOffset = held.queueOffset;
    held.until = popTime + invisibleMs;
    held.isTimed = true;
    model.latest = Math.max(model.latest, held.until);
  }

  async #operate(random: Random): Promise<void> {
    const { model, counters } = this.#options;
    const group = random.pick(model.groups);
    const { name, topic } = group;
    const choice = random.fraction();
    if (choice < 0.7) model.beginReset(group);
    if (choice < 0.4) {
      const queueId = random.integer(0, POP_QUEUES - 1);
      const ends = [...model.sentTo(topic)].filter((sent) => sent.queueId === queueId && !model.isDead(sent));
      const end = ends.reduce((most, { queueOffset = -1 }) => Math.max(most, queueOffset + 1), 0);
      const fields = { topic, group: name, queueId: String(queueId), offset: String(random.integer(0, end)) };
      const answer = await this.#ask(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, {
        ...fields,
        timestamp: '-1',
        isForce: 'true',
      });
      const isDone = answer?.code === ResponseCode.SUCCESS;
      model.endReset(group, isDone);
      if (isDone) counters.offsetsSetBack++;
    } else if (choice < 0.7) {
      const answer = await this.#ask(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: name, cleanOffset: 'true' });
      const isDone = answer?.code === ResponseCode.SUCCESS;
      model.endReset(group, isDone);
      if (isDone) counters.groupsDeleted++;
    } else {
      const answer = await this.#ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic });
      if (answer?.code === ResponseCode.SUCCESS) model.deletionAnswered(topic);
      counters[answer?.code === ResponseCode.SUCCESS ? 'deletions' : 'deletionsRefused']++;
    }
  }

  #stepClock(random: Random): void {
    const { scheduler, counters } = this.#options;
    const most = random.pick([500, CLOCK_STEP_MS_MAX, CLOCK_STEP_MS_MAX * 60]);
    scheduler.stepWallClock(random.integer(-most, most));
    counters.clockSteps++;
  }

  /**
   * Nothing disturbs the broker any more, and every time is over: takes everything that there is, in time and once more. Rejects
   * with a Violation when something does not come.
   */
  async settle(): Promise<void> {
    if (this.#violation !== undefined) throw this.#violation;
    const { model } = this.#options;
    for (const group of model.groups) {
      const first = await this.#popAll(group);
      const kept = first.filter((_, index) => index % 2 === 0);
      for (const held of first) if (!kept.includes(held)) await this.ack(held);
      await this.#again(group, kept);
      // What comes behind those in order.
      for (let more = await this.#popAll(group); more.length > 0; more = await this.#popAll(group)) {
        for (const held of more) await this.ack(held);
      }
    }
    if (this.#violation !== undefined) throw this.#violation;
  }

  async #popAll(group: PopGroup): Promise<Held[]> {
    const all: Held[] = [];
    const wish = { group, queueId: -1, maxMessages: MESSAGES_MAX, invisibleMs: LAST_INVISIBLE_MS, pollMs: 0 };
    for (let found = await this.#pop(wish); found.length > 0; found = await this.#pop(wish)) all.push(...found);
    return all;
  }

  /** They come again within their time, and who waits for them is woken. */
  async #again(group: PopGroup, kept: readonly Held[]): Promise<void> {
    const { model } = this.#options;
    const limitMs = model.options.syncFlush ? REDELIVERY_MS_MAX : REDELIVERY_MS_MAX_ASYNC;
    const missing = new Map(kept.map(({ sent, until }) => [sent, until + limitMs]));
    const end = kept.reduce((latest, { until }) => Math.max(latest, until), 0) + limitMs;
    while (missing.size > 0) {
      const pollMs = Math.max(0, end - model.now);
      const wish = { group, queueId: -1, maxMessages: MESSAGES_MAX, invisibleMs: LAST_INVISIBLE_MS, pollMs };
      const found = await this.#pop(wish);
      for (const held of found) {
        const latest = missing.get(held.sent) ?? held.handle.popTime;
        if (held.handle.popTime > latest) {
          throw new Violation(`${group.name}: message ${held.sent.id} comes ${held.handle.popTime - latest} ms late`);
        }
        missing.delete(held.sent);
        await this.ack(held);
      }
      if (found.length > 0 || model.now < end) continue;
      const ids = [...missing.keys()].map(({ id }) => id);
      throw new Violation(`${group.name}: message ${ids} was to come again until ${end}, and did not`);
    }
  }
}

const BROKER = 'broker-a';

function recordsOf(body: Buffer): MessageExt[] {
  const records: MessageExt[] = [];
  for (let at = 0; at < body.length; ) {
    const message = decodeMessage(body, at);
    if (message === undefined) throw new Violation(`a pop gives no record at ${at}`);
    records.push(message);
    at += message.storeSize;
  }
  return records;
}

function parsed(text: string): PopHandle {
  const [startOffset, popTime, invisibleMs, reviveQueueId] = text.split(' ').map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return { startOffset, popTime, invisibleMs, reviveQueueId };
}

const isSame = (a: Held, b: Held): boolean =>
  a.handle.startOffset === b.handle.startOffset &&
  a.handle.popTime === b.handle.popTime &&
  a.handle.invisibleMs === b.handle.invisibleMs &&
  a.handle.reviveQueueId === b.handle.reviveQueueId;

function deliveryFields({ group, topic, queueId, queueOffset, handle }: Held): ExtFields {
  const { startOffset, popTime, invisibleMs, reviveQueueId } = handle;
  const mark = POP_TOPICS.includes(topic) ? '0' : topic.includes('+') ? '2' : '1';
  return {
    ...{ consumerGroup: group.name, topic, queueId: String(queueId), offset: String(queueOffset) },
    extraInfo: `${startOffset} ${popTime} ${invisibleMs} ${reviveQueueId} ${mark} ${BROKER} ${queueId} ${queueOffset}`,
  };
}
