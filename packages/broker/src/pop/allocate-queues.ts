import type { MessageQueue } from '@vernier/remoting';

/** Which of all queues a member gets; both lists are sorted, and every member comes to the same. */
export type Allocate = (
  clientId: string,
  queues: readonly MessageQueue[],
  clientIds: readonly string[],
) => MessageQueue[];

/** Blocks of queues one behind the other (RocketMQ AllocateMessageQueueAveragely). */
export const averagely: Allocate = (clientId, queues, clientIds) => {
  const index = clientIds.indexOf(clientId);
  if (index < 0) return [];
  const more = queues.length % clientIds.length;
  const hasOneMore = more > 0 && index < more;
  const share = Math.floor(queues.length / clientIds.length) + (hasOneMore ? 1 : 0);
  const size = queues.length <= clientIds.length ? 1 : share;
  const from = hasOneMore ? index * size : index * size + more;
  return queues.slice(from, from + size);
};

/** One after the other (RocketMQ AllocateMessageQueueAveragelyByCircle). */
export const byCircle: Allocate = (clientId, queues, clientIds) => {
  const index = clientIds.indexOf(clientId);
  return index < 0 ? [] : queues.filter((_, at) => at % clientIds.length === index);
};

/** By the names that clients send. */
export const strategies: Readonly<Record<string, Allocate>> = { AVG: averagely, AVG_BY_CIRCLE: byCircle };

/**
 * Who pops what (RocketMQ QueryAssignmentProcessor.allocate4Pop). All members pop all queues, which is queue -1 of each
 * broker; or each one pops its own and those of the `shared` members behind it.
 */
export function allocateForPop(
  allocate: Allocate,
  clientId: string,
  queues: readonly MessageQueue[],
  clientIds: readonly string[],
  shared: number,
): MessageQueue[] {
  if (shared <= 0 || shared >= clientIds.length - 1) return queues.map((queue) => ({ ...queue, queueId: -1 }));
  const index = clientIds.indexOf(clientId);
  if (index < 0) return [];
  if (clientIds.length > queues.length) {
    const own = queues[index % queues.length];
    return own === undefined ? [] : [own];
  }
  const allocated = allocate(clientId, queues, clientIds);
  for (let i = 1; i <= shared; i++) {
    allocated.push(...allocate(clientIds[(index + i) % clientIds.length] as string, queues, clientIds));
  }
  return allocated;
}

/** As Java sorts queues. */
export function compareQueues(a: MessageQueue, b: MessageQueue): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  if (a.brokerName !== b.brokerName) return a.brokerName < b.brokerName ? -1 : 1;
  return a.queueId - b.queueId;
}
