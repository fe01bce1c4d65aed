import { ResponseCode } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { PropertyBit, propertyOf, removeProperties } from '@vernier/store/internal';
import { isRetryTopic } from '../base/names.ts';

export interface PutRefusal {
  code: number;
  remark: string;
}

/** A look at a message before the store gets it (RocketMQ PutMessageHook), where delayed messages are rewritten to other topics. */
export interface PutMessageHook {
  readonly name: string;
  /** Bits of PropertyBit: the hook is asked only about messages that have one of them. */
  readonly properties: number;
  /** May change the message; returns why it cannot be stored, or undefined. */
  executeBeforePutMessage(message: MessageExtBrokerInner, found: number): PutRefusal | undefined;
}

/** What asks for delivery at a time. */
export const timerNames: readonly string[] = ['TIMER_DELAY_SEC', 'TIMER_DELAY_MS', 'TIMER_DELIVER_MS'];
const timerNameSet: ReadonlySet<string> = new Set(timerNames);

/**
 * Delivery at a time is not there yet; delay levels are. A message that asks for it is refused, never delivered early.
 * Retries are the exception: the time was of the first delivery, and refusing them would keep the message from its group.
 */
export const refuseTimers: PutMessageHook = {
  name: 'refuseTimers',
  properties: PropertyBit.TIMER,
  executeBeforePutMessage(message) {
    // A level that was asked for too went before the time, and took it away.
    if (!timerNames.some((name) => propertyOf(message.propertiesString, name) !== undefined)) return undefined;
    if (isRetryTopic(message.topic)) {
      message.propertiesString = removeProperties(message.propertiesString, timerNameSet);
      return undefined;
    }
    return {
      code: ResponseCode.MESSAGE_ILLEGAL,
      remark:
        'the message is illegal: this broker does not support timed messages (property TIMER_*), only delay levels',
    };
  },
};
