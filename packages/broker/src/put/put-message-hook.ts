import type { MessageExtBrokerInner } from '@vernier/store';

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

/** Names by which a message asks for a time; of several, the first one that is there counts. */
export const timerNames: readonly string[] = ['TIMER_DELAY_SEC', 'TIMER_DELAY_MS', 'TIMER_DELIVER_MS'];
