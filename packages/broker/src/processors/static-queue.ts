import type { ExtFields, RemotingCommand } from '@vernier/remoting';
import type { BrokerContext } from '../context.ts';
import type { StaticQueue } from '../topics/static-topics.ts';
import { granted, requiredNumber, requiredText } from './requests.ts';

/** A queue as a request names it, and as it lies here. */
export interface NamedQueue {
  readonly topic: string;
  readonly queueId: number;
  /** Numbers in the request and in its answer are greater by this than those of `queueId`; 0 but for static topics. */
  readonly delta: number;
}

/**
 * The queue that the fields `topic` and `queueId` name: of a static topic the one that the logical queue lies in, unless the
 * field `lo` says that the number is the broker's own. Throws a RequestFault.
 */
export function queueOf({ staticTopics }: BrokerContext, { extFields }: RemotingCommand): NamedQueue {
  const topic = requiredText(extFields, 'topic');
  const queueId = requiredNumber(extFields, 'queueId');
  if (isPhysical(extFields)) return { topic, queueId, delta: 0 };
  const queue: StaticQueue | undefined = granted(staticTopics.queue(topic, queueId));
  return { topic, queueId: queue?.queueId ?? queueId, delta: queue?.delta ?? 0 };
}

const isPhysical = (fields: ExtFields | undefined): boolean => fields?.lo === 'false';
