import { decodeIndexHeader, INDEX_HEADER_SIZE, type RecoveryStart, scanLog } from '@vernier/store/internal';
import { cacheStateOf, type StoreCacheState } from './cache-state.ts';
import { LogReader } from './log-reader.ts';
import { type ConfigFile, readConfigFiles } from './metadata-check.ts';
import { type QueueEntries, readQueueEntries } from './queue-entries.ts';
import { blockUnitsFor, OpenFileCache } from './queue-reader.ts';
import { recoveryStartOf } from './recovery-start.ts';
import { doctorFileSystem, type StoreLayout, shownPath } from './store-layout.ts';
import { summariseTimers, type TimerSummary } from './timer-check.ts';

export interface QueueSummary {
  topic: string;
  queueId: number;
  /** First entry whose record is still in the log, and the exclusive end. */
  minOffset: number;
  maxOffset: number;
  files: number;
  /** storeTimestamp of the first and of the last message, 0 without or when it cannot be read. */
  firstTime: number;
  lastTime: number;
}

export interface IndexSummary {
  file: string;
  size: number;
  entries: number;
  beginTime: number;
  endTime: number;
  beginOffset: number;
  endOffset: number;
}

/** What the next start of Vernier would do. */
export interface RecoveryForecast {
  start: RecoveryStart;
  /** Where the log would end. */
  end: number;
  /** Records that would be read. */
  records: number;
  /** In words: why it ends there. */
  stop: string;
  /** Damage below the durable point: the store would open read-only. */
  damage: { from: number; to: number } | undefined;
}

export interface Inspection {
  layout: StoreLayout;
  queues: QueueSummary[];
  index: IndexSummary[];
  config: ConfigFile[];
  /** Timed messages; undefined where none ever waited. */
  timers: TimerSummary | undefined;
  space: { totalBytes: number; freeBytes: number };
  /** As the page cache was before anything was read here; undefined where it does not say. */
  cache: StoreCacheState | undefined;
  /** Records at both ends of the log. */
  firstTime: number;
  minOffset: number;
  /** Offset in the log behind the newest record; undefined after a clean exit, where the forecast says it. */
  logEnd: number | undefined;
  /** undefined beside a live broker, which needs none. */
  forecast: RecoveryForecast | undefined;
}

/** Entries of a queue that are read at once: only the first and the last are looked at. */
const SUMMARY_UNITS = 16;

/** Looks at the ends of everything: what takes seconds, whatever the size. Changes nothing. */
export async function inspectStore(layout: StoreLayout): Promise<Inspection> {
  const cacheState = await cacheStateOf(layout);
  const log = new LogReader(layout.logFiles);
  const cache = new OpenFileCache();
  try {
    const { queues, logEnd, newest } = await readQueueEntries(
      layout,
      cache,
      Math.min(SUMMARY_UNITS, blockUnitsFor(layout.queueCount)),
    );
    const minOffset = layout.logFiles[0]?.from ?? 0;
    return {
      layout,
      queues: queues.map((queue) => summarise(queue, log)),
      index: await summariseIndex(layout),
      config: await readConfigFiles(layout.root),
      timers: await summariseTimers(layout),
      space: await doctorFileSystem.space(layout.root),
      cache: cacheState,
      firstTime: log.recordAt(minOffset)?.record.storeTimestamp ?? 0,
      minOffset,
      logEnd,
      forecast: layout.state === 'live' ? undefined : await forecast(layout, newest.end),
    };
  } finally {
    log.close();
    cache.close();
  }
}

function summarise(queue: QueueEntries, log: LogReader): QueueSummary {
  const { topic, queueId, start, end, files } = queue;
  const timeOf = (index: number): number => {
    const phyOffset = index >= start && index < end ? queue.phyOffset(index) : undefined;
    return phyOffset === undefined ? 0 : (log.recordAt(phyOffset, false)?.record.storeTimestamp ?? 0);
  };
  return {
    topic,
    queueId,
    minOffset: queue.numberOf(start),
    maxOffset: queue.numberOf(end),
    files,
    firstTime: timeOf(start),
    lastTime: timeOf(end - 1),
  };
}

async function summariseIndex(layout: StoreLayout): Promise<IndexSummary[]> {
  const summaries: IndexSummary[] = [];
  for (const { path, size } of layout.indexFiles) {
    const head = Buffer.alloc(INDEX_HEADER_SIZE);
    const file = await doctorFileSystem.open(path, 'read');
    try {
      await file.read(head, 0);
    } finally {
      await file.close();
    }
    const header = decodeIndexHeader(head);
    summaries.push({
      file: shownPath(layout.root, path),
      size,
      entries: header.indexCount - 1,
      beginTime: header.beginTimestamp,
      endTime: header.endTimestamp,
      beginOffset: header.beginPhyOffset,
      endOffset: header.endPhyOffset,
    });
  }
  return summaries;
}

/** Does what a recovery would do, up to the point where it would change something. */
async function forecast(layout: StoreLayout, maxPhysicOffset: number): Promise<RecoveryForecast | undefined> {
  const start = await recoveryStartOf(layout, maxPhysicOffset);
  if (start === undefined) return undefined;
  const { logFiles } = layout;
  const options = { fileSystem: doctorFileSystem, checkCrc: true, verifyPropCrc: false };
  const below = await scanLog(logFiles, start.scanFrom, start.durablePoint, options);
  if (below.end < start.durablePoint) {
    const damage = start.damage ?? { from: below.end, to: start.durablePoint };
    return { start, end: below.end, records: below.records, stop: stopText(below.stop), damage };
  }
  const last = logFiles[logFiles.length - 1]!;
  const above = await scanLog(logFiles, start.durablePoint, last.from + last.size, { ...options, checkTorn: true });
  const records = below.records + above.records;
  return { start, end: above.end, records, stop: stopText(above.stop), damage: undefined };
}

function stopText(stop: { kind: string; reason?: string; expected?: number; found?: number }): string {
  switch (stop.kind) {
    case 'end':
      return 'the last file is full';
    case 'zero':
      return 'nothing was written from there on';
    case 'bad':
      return `no whole record there (${stop.reason}: expected ${stop.expected}, found ${stop.found})`;
    default:
      return 'a record reaches over the durable point';
  }
}
