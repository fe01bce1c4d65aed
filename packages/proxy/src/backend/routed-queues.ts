import { isReadable, isWriteable } from '@vernier/broker/internal';
import { Perm, type TopicConfig } from '@vernier/remoting';
import type { RoutedBroker, RoutedQueue } from './backend.ts';

type Numbers = Pick<TopicConfig, 'perm' | 'readQueueNums' | 'writeQueueNums'>;

/** The queues of a topic on a broker, numbered from 0. */
export const routedBroker = (name: string, numbers: Numbers): RoutedBroker => ({
  name,
  perm: numbers.perm,
  queues: queuesOf(numbers),
  readIds: isReadable(numbers.perm) ? Array.from({ length: numbers.readQueueNums }, (_, id) => id) : [],
});

/** Those behind the smaller number are for readers, or writers, alone. A topic that is for neither has them all the same. */
function queuesOf({ perm, readQueueNums, writeQueueNums }: Numbers): RoutedQueue[] {
  const [readable, writeable] = [isReadable(perm), isWriteable(perm)];
  const length = Math.max(readQueueNums, writeQueueNums);
  if (!readable && !writeable) return Array.from({ length: Math.max(1, length) }, (_, id) => ({ id, perm: 0 }));
  const queues = Array.from({ length }, (_, id) => ({
    id,
    perm: (readable && id < readQueueNums ? Perm.READ : 0) | (writeable && id < writeQueueNums ? Perm.WRITE : 0),
  }));
  return queues.filter((queue) => queue.perm !== 0);
}
