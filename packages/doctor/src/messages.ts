import type { MessageExt } from '@vernier/store';
import { decodeMessage, isTombstone } from '@vernier/store/internal';
import { innerMessages, isInnerBatch } from './inner-messages.ts';
import { LogReader } from './log-reader.ts';
import { type QueueEntries, readQueueEntries } from './queue-entries.ts';
import { OpenFileCache } from './queue-reader.ts';
import type { StoreLayout } from './store-layout.ts';

/** A bound of a range in a queue: the number of a message, or a time. */
export type Bound = { readonly offset: number } | { readonly time: number };

export interface MessageSelection {
  topic?: string | undefined;
  queueId?: number | undefined;
  from?: Bound | undefined;
  /** Exclusive. */
  to?: Bound | undefined;
  key?: string | undefined;
}

export interface SelectedMessage {
  message: MessageExt;
  /** Its properties as they are stored. */
  propertyBytes: Buffer;
}

/** An entry whose record cannot be given out. */
export interface UnreadableMessage {
  topic: string;
  queueId: number;
  queueOffset: number;
  logOffset: number;
}

const BLOCK_UNITS = 1_000;

/**
 * Messages by topic and queue, in the order of their queues, straight from the files; also those whose entries are not
 * written yet. Messages of an inner batch come one by one. What is damaged is handed to `onUnreadable` and left out.
 */
export async function* selectMessages(
  layout: StoreLayout,
  selection: MessageSelection,
  onUnreadable: (unreadable: UnreadableMessage) => void = () => {},
): AsyncGenerator<SelectedMessage, void, undefined> {
  const log = new LogReader(layout.logFiles);
  const cache = new OpenFileCache();
  try {
    const isWanted = (topic: string, queueId: number): boolean =>
      (selection.topic === undefined || topic === selection.topic) &&
      (selection.queueId === undefined || queueId === selection.queueId);
    const { queues } = await readQueueEntries(layout, cache, BLOCK_UNITS, isWanted);
    for (const queue of queues) {
      if (isWanted(queue.topic, queue.queueId)) yield* messagesOf(queue, log, selection, onUnreadable);
    }
  } finally {
    log.close();
    cache.close();
  }
}

function* messagesOf(
  queue: QueueEntries,
  log: LogReader,
  selection: MessageSelection,
  onUnreadable: (unreadable: UnreadableMessage) => void,
): Generator<SelectedMessage, void, undefined> {
  const { topic, queueId, start, end } = queue;
  const from = Math.max(start, indexOf(queue, log, selection.from, (number) => queue.entryOf(number)) ?? start);
  const to = Math.min(end, indexOf(queue, log, selection.to, (number) => queue.entryFrom(number)) ?? end);
  for (let index = from; index < to; index++) {
    const logOffset = queue.phyOffset(index);
    if (logOffset === undefined) continue;
    const messages = messagesAt(log, logOffset);
    if (messages === undefined) onUnreadable({ topic, queueId, queueOffset: queue.numberOf(index), logOffset });
    for (const one of messages ?? []) {
      if (isOutside(one.message.queueOffset, selection)) continue;
      if (selection.key !== undefined && !hasKey(one.message, selection.key)) continue;
      yield one;
    }
  }
}

/** One, or those of an inner batch. None: a record that keeps numbers in use. Undefined: it cannot be read. */
function messagesAt(log: LogReader, logOffset: number): readonly SelectedMessage[] | undefined {
  const found = log.recordAt(logOffset);
  const message = found === undefined ? undefined : decodeMessage(found.view);
  if (found === undefined || message === undefined) return undefined;
  const { size, propertiesAt, propertiesLength } = found.record;
  if (isTombstone(found.view, 0, size)) return [];
  if (isInnerBatch(message)) return innerMessages(message);
  return [{ message, propertyBytes: found.view.subarray(propertiesAt, propertiesAt + propertiesLength) }];
}

/** Of an inner batch the record may begin in front of the range, or end behind it. */
function isOutside(queueOffset: number, { from, to }: MessageSelection): boolean {
  const isBefore = from !== undefined && 'offset' in from && queueOffset < from.offset;
  return isBefore || (to !== undefined && 'offset' in to && queueOffset >= to.offset);
}

function hasKey({ properties }: MessageExt, key: string): boolean {
  return properties.get('UNIQ_KEY') === key || (properties.get('KEYS')?.split(' ').includes(key) ?? false);
}

/** The entry at which a bound lies: by halving over the times of the records. */
function indexOf(
  queue: QueueEntries,
  log: LogReader,
  bound: Bound | undefined,
  entryOf: (number: number) => number,
): number | undefined {
  if (bound === undefined) return undefined;
  if ('offset' in bound) return entryOf(bound.offset);
  let low = queue.start;
  let high = queue.end;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const logOffset = queue.phyOffset(middle);
    const found = logOffset === undefined ? undefined : log.recordAt(logOffset, false);
    if (found === undefined || found.record.storeTimestamp < bound.time) low = middle + 1;
    else high = middle;
  }
  return low;
}
