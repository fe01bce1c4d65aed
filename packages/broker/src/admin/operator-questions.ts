import { type ExtFields, parseOffsetMessageId, RemotingError, ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';
import type { ClientAnswer } from '../clients/client.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';

/** A question that an operator has for one member of a group: what its running state is, how it consumes a message. */
export interface Question {
  /** RequestCode: the client is asked as the broker was. */
  readonly code: number;
  readonly group: string;
  readonly clientId: string;
  readonly fields: ExtFields | undefined;
  readonly body: Buffer | undefined;
}

/** Passes questions on to the client they name, and its answer back (RocketMQ AdminBrokerProcessor.callConsumer). */
export class OperatorQuestions {
  readonly #consumers: ConsumerManager;
  readonly #store: MessageStore;

  constructor(consumers: ConsumerManager, store: MessageStore) {
    this.#consumers = consumers;
    this.#store = store;
  }

  async ask(question: Question): Promise<ClientAnswer | Refusal> {
    const { group, clientId } = question;
    const client = this.#consumers.findClient(group, clientId);
    if (client === undefined) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `The Consumer <${group}> <${clientId}> not online`);
    }
    try {
      return await client.ask(question.code, question.fields, question.body);
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error;
      const code = error.code === 'REMOTING_TIMEOUT' ? ResponseCode.CONSUME_MSG_TIMEOUT : ResponseCode.SYSTEM_ERROR;
      return new Refusal(code, `consumer <${group}> <${clientId}>: ${error.message}`);
    }
  }

  /** The message's record goes along: `messageId` is its id, whose last 16 digits are its offset in the log. */
  async askWithMessage(question: Question, messageId: string | undefined): Promise<ClientAnswer | Refusal> {
    if (messageId === undefined || !/^([0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/.test(messageId)) return this.ask(question);
    const offset = logOffsetOf(messageId);
    if (offset instanceof Refusal) return offset;
    const body = await this.#store.selectOneMessageByOffset(offset);
    if (body === undefined) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${offset}`);
    }
    return this.ask({ ...question, body });
  }
}

function logOffsetOf(messageId: string): number | Refusal {
  try {
    return parseOffsetMessageId(messageId).commitLogOffset;
  } catch (error) {
    if (!(error instanceof RemotingError)) throw error;
    return new Refusal(ResponseCode.INVALID_PARAMETER, error.message);
  }
}
