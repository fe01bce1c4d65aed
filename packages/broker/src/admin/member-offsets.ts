import {
  bodyObject,
  javaMapEntries,
  type MessageQueue,
  messageQueueFromJson,
  RemotingError,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { forEachLimited } from '@vernier/store/internal';
import { Refusal } from '../base/refusal.ts';
import type { Client } from '../clients/client.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

/** mqadmin waits five seconds for its answer. */
export const MEMBERS_ANSWER_MS = 4_000;
const ASKED_AT_ONCE = 8;
/** Of one member's answer, and of those of all members: some five thousand queues each, at 50 bytes. */
const MEMBER_BYTES_MAX = 256 * 1024;
const ANSWERS_BYTES_MAX = 1024 * 1024;
const TOLD_A_TURN = 64;

export interface MemberOffsetsParts {
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly offsets: ConsumerOffsetManager;
  readonly consumers: ConsumerManager;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

export interface MemberReset {
  readonly topic: string;
  readonly group: string;
  /** Unix milliseconds; negative: each queue's end. */
  readonly timestamp: number;
  /** Without it a queue only goes back. */
  readonly isForced: boolean;
}

/** Where a member says it is in the queues it has. */
export type QueueOffsets = readonly (readonly [queue: MessageQueue, offset: number])[];

/**
 * Offsets as a group's members have them: they are told to go elsewhere, and asked where they are (RocketMQ
 * Broker2Client.resetOffset, getConsumeStatus). For groups that are online; nothing is committed here.
 */
export class MemberOffsets {
  readonly #parts: MemberOffsetsParts;

  constructor(parts: MemberOffsetsParts) {
    this.#parts = parts;
  }

  /** Where each queue is to go on. `giveTurn` is called after each of them. */
  async targets(reset: MemberReset, giveTurn: () => Promise<void>): Promise<Map<number, number> | Refusal> {
    const { store, topics, offsets, consumers } = this.#parts;
    const { topic: name, group, timestamp, isForced } = reset;
    const topic = topics.select(name);
    if (topic === undefined) {
      const remark = `[reset-offset] reset offset failed, no topic in this broker. topic=${name}`;
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, remark);
    }
    const targets = new Map<number, number>();
    for (let queueId = 0; queueId < topic.writeQueueNums; queueId++) {
      const consumed = offsets.query(group, name, queueId);
      if (consumed < 0) return new Refusal(ResponseCode.SYSTEM_ERROR, `The consumer group <${group}> not exist`);
      const wanted =
        timestamp < 0
          ? store.getMaxOffsetInQueue(name, queueId)
          : Math.max(0, await store.getOffsetInQueueByTime(name, queueId, timestamp));
      targets.set(queueId, isForced ? wanted : Math.min(wanted, consumed));
      await giveTurn();
    }
    return consumers.members(group).length > 0 ? targets : notOnline(reset);
  }

  /** Tells every member; `body` has the targets as clients read them. */
  async tell(reset: MemberReset, body: Buffer, giveTurn: () => Promise<void>): Promise<Refusal | undefined> {
    const { consumers, logger } = this.#parts;
    const { topic, group, timestamp } = reset;
    const members = consumers.members(group);
    if (members.length === 0) return notOnline(reset);
    const fields = { topic, group, timestamp: String(timestamp), isForce: 'false' };
    let toldCount = 0;
    for (const [index, { client }] of members.entries()) {
      if (index % TOLD_A_TURN === TOLD_A_TURN - 1) await giveTurn();
      if (client.tell(RequestCode.RESET_CONSUMER_CLIENT_OFFSET, fields, body)) toldCount++;
    }
    logger.info({ topic, group, timestamp, toldCount, memberCount: members.length }, 'members told to reset offsets');
    return undefined;
  }

  /**
   * What each member says, or the one with this id; those that do not answer in time, or with what it may not be, are left
   * out with a line.
   */
  async statuses(
    topic: string,
    group: string,
    clientId: string | undefined,
  ): Promise<Map<string, QueueOffsets> | Refusal> {
    const { consumers, clock } = this.#parts;
    const members = consumers.members(group);
    if (members.length === 0) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `No Any Consumer online in the consumer group: [${group}]`);
    }
    const asked = members.map(({ client }) => client).filter((client) => !clientId || client.clientId === clientId);
    const statuses = new Map<string, QueueOffsets>();
    let isOver = false;
    let bytesLeft = ANSWERS_BYTES_MAX;
    const ask = async (client: Client): Promise<void> => {
      if (isOver) return;
      const answer = await this.#ask(client, topic, group);
      if (isOver || answer === undefined || answer.length > bytesLeft) return;
      bytesLeft -= answer.length;
      const status = this.#read(answer, client, group);
      if (status !== undefined) statuses.set(client.clientId, status);
    };
    const allAsked = forEachLimited(asked, ASKED_AT_ONCE, ask);
    await new Promise<void>((resolve, reject) => {
      const timer = clock.setTimer(resolve, MEMBERS_ANSWER_MS);
      allAsked.finally(() => clock.clearTimer(timer)).then(resolve, reject);
    });
    isOver = true;
    return statuses;
  }

  async #ask(client: Client, topic: string, group: string): Promise<Buffer | undefined> {
    try {
      const answer = await client.ask(RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, { topic, group }, undefined);
      return answer.code === ResponseCode.SUCCESS ? answer.body : undefined;
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      this.#leftOut(client, group, error.message);
      return undefined;
    }
  }

  #read(body: Buffer, client: Client, group: string): QueueOffsets | undefined {
    try {
      const { messageQueueTable } = bodyObject(body, 'GetConsumerStatusBody', MEMBER_BYTES_MAX);
      return javaMapEntries(messageQueueTable).flatMap(([queue, offset]) =>
        Number.isSafeInteger(offset) ? [[messageQueueFromJson(queue), offset as number] as const] : [],
      );
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      this.#leftOut(client, group, error.message);
      return undefined;
    }
  }

  #leftOut({ clientId, remoteAddress }: Client, group: string, why: string): void {
    this.#parts.logger.warn({ group, clientId, remoteAddress }, `consumer status: a member is left out: ${why}`);
  }
}

const notOnline = ({ group, topic, timestamp }: MemberReset): Refusal =>
  new Refusal(
    ResponseCode.CONSUMER_NOT_ONLINE,
    `Consumer not online, so can not reset offset, Group: ${group} Topic: ${topic} Timestamp: ${timestamp}`,
  );
