import { argumentError, checkOptions } from '../base/arguments.ts';
import { StoreError } from '../base/errors.ts';
import type { GetMessageResult, StoredMessage } from '../base/types.ts';
import { decodeStoredMessage } from '../record/stored-message.ts';
import type { Arrivals } from './arrivals.ts';

/** Messages asked for at a time; the store's transfer limits bound the bytes. */
const BATCH = 32;

export interface ReadQueueOptions {
  /**
   * Entry number to start at, from 0 to the queue's end; by default the oldest message there is. 'end' starts behind the
   * newest. At a number that was deleted since, the oldest there is comes first.
   */
  from?: number | 'start' | 'end';
  /**
   * true: wait for messages to come; false (default): end after the newest. When the topic is deleted meanwhile, an
   * iteration that follows goes on with the first message of the topic's next life, whatever `from` was; another one ends.
   */
  follow?: boolean;
  /** Ends the iteration, quietly. */
  signal?: AbortSignal;
}

/** Throws STORE_ARGUMENT_INVALID. */
export function checkReadQueueOptions(options: ReadQueueOptions): void {
  checkOptions('readQueue', options, ['from', 'follow', 'signal']);
  const { from, follow, signal } = options;
  const isPlace = from === undefined || from === 'start' || from === 'end' || (Number.isSafeInteger(from) && from >= 0);
  if (!isPlace) throw argumentError('readQueue', 'from', "must be an integer from 0 on, 'start' or 'end'", from);
  if (follow !== undefined && typeof follow !== 'boolean') {
    throw argumentError('readQueue', 'follow', 'must be true or false', follow);
  }
  // By its shape: there are others than Node's own.
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw argumentError('readQueue', 'signal', 'must be an AbortSignal', signal);
  }
}

export interface QueueSource {
  readonly isClosed: boolean;
  getMessage(topic: string, queueId: number, offset: number, maxMsgNums: number): Promise<GetMessageResult>;
  getMinOffsetInQueue(topic: string, queueId: number): number;
  getMaxOffsetInQueue(topic: string, queueId: number): number;
  /** What the queue is in this life of its topic: another thing once the topic was deleted. Undefined without a queue. */
  queueOf(topic: string, queueId: number): unknown;
}

/**
 * Iterates over one queue in order. Messages that expire meanwhile are stepped over, none of a deleted topic is given once
 * the deletion is in force. The iteration ends with the store.
 */
export async function* readQueue(
  source: QueueSource,
  arrivals: Arrivals,
  topic: string,
  queueId: number,
  options: ReadQueueOptions = {},
): AsyncGenerator<StoredMessage, void, undefined> {
  const { from = 'start', follow = false, signal } = options;
  let offset = from;
  if (offset === 'start') offset = source.getMinOffsetInQueue(topic, queueId);
  if (offset === 'end') offset = source.getMaxOffsetInQueue(topic, queueId);
  const end = source.getMaxOffsetInQueue(topic, queueId);
  if (offset > end && !source.isClosed) {
    // Waiting for it would step over whatever comes until then, and not a word about it.
    const text = `queue ${queueId} of topic ${topic} ends at ${end}, it cannot be read from ${offset} on`;
    throw new StoreError('STORE_OFFSET_OUT_OF_RANGE', text, { topic, queueId, from: offset, end });
  }
  let queue = source.queueOf(topic, queueId);
  const isDeleted = (): boolean => queue !== undefined && source.queueOf(topic, queueId) !== queue;
  while (!source.isClosed && !signal?.aborted) {
    if (isDeleted()) {
      if (!follow) return;
      offset = 0;
    }
    queue = source.queueOf(topic, queueId);
    const result = await source.getMessage(topic, queueId, offset, BATCH);
    for (const record of result.records) {
      if (signal?.aborted) return;
      if (isDeleted()) break;
      const message = decodeStoredMessage(record);
      if (message) yield message;
    }
    if (isDeleted()) continue;
    const moved = result.nextBeginOffset > offset;
    if (result.messageCount > 0 || moved) {
      offset = Math.max(offset, result.nextBeginOffset);
      continue;
    }
    if (!follow) return;
    await nextArrival(source, arrivals, topic, queueId, offset, signal);
  }
}

function nextArrival(
  source: QueueSource,
  arrivals: Arrivals,
  topic: string,
  queueId: number,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Between the empty read and this call a message may have come; its arrival has been announced already.
  if (source.isClosed || signal?.aborted || source.getMaxOffsetInQueue(topic, queueId) > offset) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = arrivals.once(topic, queueId, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
