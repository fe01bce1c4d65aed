import { BATCH_CQ, QUEUE_TYPE } from '@vernier/store/internal';
import {
  type AttributeChange,
  type AttributeKind,
  changeAttributes,
  oneOf,
  parseSignedAttributes,
  wholeNumber,
} from '../base/attributes.ts';

const MONTH_MINUTES = 43_200n;

/** What RocketMQ has besides, and what is not there yet; an attribute that is kept and ignored would promise it. */
const notYet =
  (unsupported: string, fault: AttributeKind['fault']): AttributeKind['fault'] =>
  (value) =>
    value === unsupported ? 'is not supported by this broker yet' : fault(value);

/** Attributes of topics with RocketMQ's rules for their values (TopicAttributes of 5.5.0, measured). */
const topicAttributes: ReadonlyMap<string, AttributeKind> = new Map<string, AttributeKind>([
  ['queue.type', { changeable: false, fault: oneOf('BatchCQ', 'SimpleCQ') }],
  ['cleanup.policy', { changeable: false, fault: notYet('COMPACTION', oneOf('DELETE', 'COMPACTION')) }],
  [
    'message.type',
    {
      changeable: true,
      fault: oneOf('UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'LITE', 'MIXED'),
    },
  ],
  ['reserve.time', { changeable: true, fault: wholeNumber(-1n) }],
  /** Minutes; -1 is never. */
  ['lite.topic.expiration', { changeable: true, fault: wholeNumber(-1n, MONTH_MINUTES) }],
]);

/** The topic has batch queues. */
export const isBatchTopic = ({ attributes }: { attributes: ReadonlyMap<string, string> }): boolean =>
  attributes.get(QUEUE_TYPE) === BATCH_CQ;

/**
 * A topic's attributes after `modification` (`+key=value,-key`; empty or undefined changes nothing), or what is wrong with
 * it. `current` is undefined for a topic that does not exist yet.
 */
export function alterAttributes(
  current: ReadonlyMap<string, string> | undefined,
  modification: string | undefined,
): AttributeChange {
  const changes = parseSignedAttributes(modification);
  return typeof changes === 'string' ? { fault: changes } : changeAttributes(topicAttributes, current, changes);
}
