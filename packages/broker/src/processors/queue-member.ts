import { messageQueueJson } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';

/** A queue of this broker as JSON has it. */
export const queueJson = ({ config }: BrokerContext, topic: string, queueId: number): object =>
  messageQueueJson({ brokerName: config.brokerName, queueId, topic });

/** A member of a table whose keys are queues: Java writes such a key as a bare object (QueueTable in remoting). */
export const queueMember = (broker: BrokerContext, topic: string, queueId: number, value: object | number): string =>
  `${JSON.stringify(queueJson(broker, topic, queueId))}:${JSON.stringify(value)}`;
