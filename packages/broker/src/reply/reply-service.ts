import { type ExtFields, RemotingError, RequestCode, ResponseCode } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import { propertyOf } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { ProducerManager } from '../clients/producer-manager.ts';
import type { BrokerConfig } from '../config.ts';
import type { Admission } from '../put/admission.ts';
import { type MessageToPut, propertiesTextOf } from '../put/message-to-put.ts';
import { propertyEntry, terminated } from '../put/properties.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';

/** A consumer's answer to a producer's request, with the group it sends it for. */
export interface Reply extends MessageToPut {
  readonly producerGroup: string;
}

/** What became of a reply that may be sent. */
export interface ReplyOutcome {
  /** Why the requester does not have it; undefined when it took it. */
  readonly refusal: Refusal | undefined;
  /** Where it is stored; a Refusal when it is not, undefined when replies are not stored (storeReplyMessageEnable). */
  readonly stored: PutOutcome | undefined;
}

export interface ReplyServiceParts {
  readonly config: BrokerConfig;
  readonly producers: ProducerManager;
  readonly admission: Admission;
  readonly put: PutService;
  /** `host:port` of the broker. */
  readonly address: string;
  readonly clock: Clock;
}

/**
 * Hands replies to the clients that asked (RocketMQ ReplyMessageProcessor). The requester is the producer whose clientId
 * the property REPLY_TO_CLIENT names; its clientId has to be known by a heartbeat here.
 */
export class ReplyService {
  readonly #parts: ReplyServiceParts;

  constructor(parts: ReplyServiceParts) {
    this.#parts = parts;
  }

  /**
   * Pushes the reply to the requester and stores it, side by side: a requester that is gone changes nothing about the
   * record, nor a full disk anything about the push. Resolves when both have ended. A reply that a producer might not send
   * is refused before either. The body is the caller's until this returns.
   */
  async reply(reply: Reply, caller: Caller): Promise<ReplyOutcome | Refusal> {
    const { config, admission, put } = this.#parts;
    const admitted = admission.admit(reply, caller);
    if (admitted instanceof Refusal) return admitted;
    const properties = propertiesTextOf(reply);
    // The push and a put that waits for room outlive the request's bytes.
    const own = { ...reply, properties, propertyBytes: undefined, body: Buffer.from(reply.body) };
    const pushed = this.#push(own, caller);
    const stored = config.storeReplyMessageEnable
      ? await put.put(own, caller, 'reply', (outcome) => outcome)
      : undefined;
    return { refusal: await pushed, stored };
  }

  async #push(reply: Reply & { body: Buffer }, caller: Caller): Promise<Refusal | undefined> {
    const requester = propertyOf(reply.properties, 'REPLY_TO_CLIENT');
    if (requester === undefined) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, 'reply message properties[REPLY_TO_CLIENT] is null');
    }
    const client = this.#parts.producers.findClient(requester);
    if (client === undefined) {
      const remark = `push reply message fail, channel of <${requester}> not found.`;
      return new Refusal(ResponseCode.SYSTEM_ERROR, remark);
    }
    try {
      const { PUSH_REPLY_MESSAGE_TO_CLIENT } = RequestCode;
      const answer = await client.ask(PUSH_REPLY_MESSAGE_TO_CLIENT, this.#fieldsOf(reply, caller), reply.body);
      if (answer.code === ResponseCode.SUCCESS) return undefined;
      return new Refusal(ResponseCode.SYSTEM_ERROR, `push reply message to ${requester} fail: ${answer.remark ?? ''}`);
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      return new Refusal(ResponseCode.SYSTEM_ERROR, `push reply message to ${requester} fail: ${error.message}`);
    }
  }

  /** ReplyMessageRequestHeader. */
  #fieldsOf(reply: Reply, caller: Caller): ExtFields {
    const { clock, address } = this.#parts;
    const now = String(clock.now());
    return {
      producerGroup: reply.producerGroup,
      topic: reply.topic,
      defaultTopic: reply.defaultTopic ?? '',
      defaultTopicQueueNums: String(reply.defaultTopicQueueNums ?? 0),
      queueId: String(reply.queueId),
      sysFlag: String(reply.sysFlag),
      bornTimestamp: String(reply.bornTimestamp),
      flag: String(reply.flag),
      // The last of two properties of one name counts, for Java too.
      properties: terminated(reply.properties) + propertyEntry('PUSH_REPLY_TIME', now),
      reconsumeTimes: String(reply.reconsumeTimes),
      unitMode: String(reply.unitMode ?? false),
      bornHost: caller.remoteAddress,
      storeHost: address,
      storeTimestamp: now,
    };
  }
}
