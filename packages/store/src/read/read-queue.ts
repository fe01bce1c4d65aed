import { decodeMessage } from '../commit-log/message-decoder.ts';
import type { GetMessageResult, MessageExt } from '../types.ts';
import type { Arrivals } from './arrivals.ts';

/** Messages asked for at a time; the store's transfer limits bound the bytes. */
const BATCH = 32;

export interface ReadQueueOptions {
  /** Entry number to start at; by default the oldest message there is. 'end' starts behind the newest. */
  from?: number | 'start' | 'end';
  /** true: wait for messages to come; false (default): end after the newest. */
  follow?: boolean;
  /** Ends the iteration, quietly. */
  signal?: AbortSignal;
}

export interface QueueSource {
  readonly isClosed: boolean;
  getMessage(topic: string, queueId: number, offset: number, maxMsgNums: number): Promise<GetMessageResult>;
  getMinOffsetInQueue(topic: string, queueId: number): number;
  getMaxOffsetInQueue(topic: string, queueId: number): number;
}

/** Iterates over one queue in order. Messages deleted meanwhile are stepped over; the iteration ends with the store. */
export async function* readQueue(
  source: QueueSource,
  arrivals: Arrivals,
  topic: string,
  queueId: number,
  options: ReadQueueOptions = {},
): AsyncGenerator<MessageExt, void, undefined> {
  const { from = 'start', follow = false, signal } = options;
  let offset = from;
  if (offset === 'start') offset = source.getMinOffsetInQueue(topic, queueId);
  if (offset === 'end') offset = source.getMaxOffsetInQueue(topic, queueId);
  while (!source.isClosed && !signal?.aborted) {
    const result = await source.getMessage(topic, queueId, offset, BATCH);
    for (const record of result.records) {
      if (signal?.aborted) return;
      const message = decodeMessage(record);
      if (message) yield message;
    }
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
