import { asObject, integerMember, stringMember } from './json-members.ts';

/** One queue of a topic on one broker (RocketMQ MessageQueue). */
export interface MessageQueue {
  topic: string;
  brokerName: string;
  queueId: number;
}

/** The queue in the member order in which Java writes it as a map key. */
export function messageQueueJson(queue: MessageQueue): object {
  return { brokerName: queue.brokerName, queueId: queue.queueId, topic: queue.topic };
}

export function messageQueueFromJson(value: unknown): MessageQueue {
  const object = asObject(value, 'MessageQueue');
  return {
    topic: stringMember(object, 'topic'),
    brokerName: stringMember(object, 'brokerName'),
    queueId: integerMember(object, 'queueId'),
  };
}
