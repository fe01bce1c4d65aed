import type { MessageExt } from '@vernier/store';
import { decodeMessage, isTombstone, type RecordLayout } from '@vernier/store/internal';
import { LogReader } from './log-reader.ts';
import { OpenFileCache, QueueReader } from './queue-reader.ts';
import type { StoreLayout } from './store-layout.ts';

/** A bound of a range in a queue: a number of an entry, or a time. */
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
  /** The record's bytes, and where its parts are in them. */
  raw: Buffer;
  record: RecordLayout;
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
 * Messages by topic and queue, in the order of their queues, straight from the files. What is damaged is handed to
 * `onUnreadable` and left out.
 */
export function* selectMessages(
  layout: StoreLayout,
  selection: MessageSelection,
  onUnreadable: (unreadable: UnreadableMessage) => void = () => {},
): Generator<SelectedMessage, void, undefined> {
  const log = new LogReader(layout.logFiles);
  const cache = new OpenFileCache();
  try {
    const minPhy = layout.logFiles[0]?.from ?? 0;
    for (const [topic, byId] of layout.queues) {
      if (selection.topic !== undefined && topic !== selection.topic) continue;
      for (const [queueId, queue] of [...byId].sort(([a], [b]) => a - b)) {
        if (selection.queueId !== undefined && queueId !== selection.queueId) continue;
        const reader = new QueueReader(queue, layout.queueFileSize, cache, BLOCK_UNITS);
        const end = reader.end();
        const start = reader.firstAtOrAbove(minPhy, reader.first, end);
        const from = Math.max(start, indexOf(reader, log, selection.from, start, end) ?? start);
        const to = Math.min(end, indexOf(reader, log, selection.to, start, end) ?? end);
        for (let index = from; index < to; index++) {
          const entry = reader.entry(index);
          if (entry === undefined || entry.filler) continue;
          const found = log.recordAt(entry.phyOffset);
          const message = found === undefined ? undefined : decodeMessage(found.view);
          if (found === undefined || message === undefined) {
            onUnreadable({ topic, queueId, queueOffset: index, logOffset: entry.phyOffset });
            continue;
          }
          // It keeps a number in use and is no message.
          if (isTombstone(found.view, 0, found.record.size)) continue;
          if (selection.key !== undefined && !hasKey(message, selection.key)) continue;
          yield { message, raw: found.view.subarray(0, found.record.size), record: found.record };
        }
      }
    }
  } finally {
    log.close();
    cache.close();
  }
}

function hasKey({ properties }: MessageExt, key: string): boolean {
  return properties.get('UNIQ_KEY') === key || (properties.get('KEYS')?.split(' ').includes(key) ?? false);
}

/** The entry at which a bound lies: by halving over the times of the records. */
function indexOf(
  reader: QueueReader,
  log: LogReader,
  bound: Bound | undefined,
  start: number,
  end: number,
): number | undefined {
  if (bound === undefined) return undefined;
  if ('offset' in bound) return bound.offset;
  let low = start;
  let high = end;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const entry = reader.entry(middle);
    const found = entry === undefined ? undefined : log.recordAt(entry.phyOffset, false);
    if (found === undefined || found.record.storeTimestamp < bound.time) low = middle + 1;
    else high = middle;
  }
  return low;
}
