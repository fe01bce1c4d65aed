import { ResponseCode } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { isRetryTopic } from './names.ts';
import { getProperty, HAS_DELAY, HAS_TIMER, HAS_TRAN_MSG, removeProperties } from './properties.ts';

export interface PutRefusal {
  code: number;
  remark: string;
}

/**
 * A look at a message before the store gets it (RocketMQ PutMessageHook): the place of delayed and transactional
 * messages, which are rewritten there to other topics.
 */
export interface PutMessageHook {
  readonly name: string;
  /** Bits of inspectProperties(): the hook is asked only about messages that have one of them. */
  readonly properties: number;
  /** May change the message; returns why it cannot be stored, or undefined. */
  executeBeforePutMessage(message: MessageExtBrokerInner, found: number): PutRefusal | undefined;
}

/**
 * Transactions are not there yet. A half message stored as an ordinary one would reach consumers before its producer
 * decided, so it is refused as a broker with rejectTransactionMessage=true does.
 */
export const refuseTransactions: PutMessageHook = {
  name: 'refuseTransactions',
  properties: HAS_TRAN_MSG,
  executeBeforePutMessage(message) {
    if (getProperty(message.propertiesString, 'TRAN_MSG')?.toLowerCase() !== 'true') return undefined;
    return {
      code: ResponseCode.NO_PERMISSION,
      remark: 'sending transaction message is forbidden: this broker does not support transactions',
    };
  },
};

const delayNames: ReadonlySet<string> = new Set(['DELAY', 'TIMER_DELAY_SEC', 'TIMER_DELAY_MS', 'TIMER_DELIVER_MS']);

/**
 * Delayed delivery is not there yet. A message that asks for it is refused, never delivered early. Retries are the
 * exception: their delay is a back-off, and refusing them would keep the message from its group; they come back at once.
 */
export const refuseDelays: PutMessageHook = {
  name: 'refuseDelays',
  properties: HAS_DELAY | HAS_TIMER,
  executeBeforePutMessage(message, found) {
    const level = (found & HAS_DELAY) === 0 ? 0 : Number(getProperty(message.propertiesString, 'DELAY'));
    if ((found & HAS_TIMER) === 0 && !(level > 0)) return undefined;
    if (isRetryTopic(message.topic)) {
      message.propertiesString = removeProperties(message.propertiesString, delayNames);
      return undefined;
    }
    return {
      code: ResponseCode.MESSAGE_ILLEGAL,
      remark: 'the message is illegal: this broker does not support delayed messages (property DELAY or TIMER_*)',
    };
  },
};
