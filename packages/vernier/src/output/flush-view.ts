import { bytes, grouped, milliseconds } from './table.ts';

/**
 * The flush pipeline between two looks at a broker’s runtime info, for people (`flushView`) and for programs (`FlushLook`).
 * What a broker does not say (one of Java has no flush times) is left out.
 */

/** Classes and how many fell into each since the look before; the last class has no bound. */
export interface Classes {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/** What happened since the look before. */
export interface FlushLook {
  /** When, as ISO 8601. */
  readonly time: string;
  readonly address: string;
  readonly brokerName: string;
  readonly flushDiskType: string | undefined;
  /** Messages and flushes a second. */
  readonly putsPerSecond: number;
  readonly flushesPerSecond: number;
  /** Messages a flush; 0 without a flush. */
  readonly messagesPerFlush: number;
  readonly waiters: number;
  readonly oldestWaiterMs: number;
  /** Bytes that are not on disk, and those of them that clients were told are stored. */
  readonly notOnDiskBytes: number;
  readonly acknowledgedAtRiskBytes: number;
  readonly flushTimeMs: Classes | undefined;
  readonly groupSize: Classes | undefined;
  /** Why the store takes no messages. */
  readonly storeFailure: string | undefined;
}

type Info = Readonly<Record<string, string>>;

export interface Sample {
  readonly atMs: number;
  readonly info: Info;
}

const numberOf = (info: Info, key: string): number => {
  const value = Number(info[key]);
  return Number.isFinite(value) ? value : 0;
};

/** `0.1:5 0.25:3 +:0`; undefined for anything else. */
export function classesOf(text: string | undefined): Classes | undefined {
  if (text === undefined) return undefined;
  const pairs = text.split(' ').map((pair) => /^([\d.]+|\+):(\d+)$/.exec(pair));
  if (pairs.some((pair) => pair === null) || pairs.at(-1)?.[1] !== '+') return undefined;
  return {
    bounds: pairs.slice(0, -1).map((pair) => Number(pair![1])),
    counts: pairs.map((pair) => Number(pair![2])),
  };
}

/** What came since `before`; all of it when the broker has started anew in between. */
function since(now: Classes | undefined, before: Classes | undefined): Classes | undefined {
  if (now === undefined || before === undefined || now.counts.length !== before.counts.length) return now;
  const counts = now.counts.map((count, index) => count - before.counts[index]!);
  return counts.some((count) => count < 0) ? now : { bounds: now.bounds, counts };
}

const total = ({ counts }: Classes): number => counts.reduce((sum, count) => sum + count, 0);

export function lookOf(address: string, brokerName: string, now: Sample, before: Sample, time: string): FlushLook {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000);
  const grown = (key: string): number => {
    const difference = numberOf(now.info, key) - numberOf(before.info, key);
    return difference < 0 ? numberOf(now.info, key) : difference;
  };
  const flushTimeMs = since(classesOf(now.info.flushTimeDistribute), classesOf(before.info.flushTimeDistribute));
  const groupSize = since(
    classesOf(now.info.flushGroupSizeDistribute),
    classesOf(before.info.flushGroupSizeDistribute),
  );
  const puts = grown('putMessageTimesTotal');
  const flushes = grown('flushCount');
  const notOnDiskBytes = numberOf(now.info, 'remainHowManyDataToFlush');
  const { flushDiskType, storeFailure } = now.info;
  return {
    time,
    address,
    brokerName,
    flushDiskType,
    putsPerSecond: puts / seconds,
    flushesPerSecond: flushes / seconds,
    messagesPerFlush: flushes === 0 ? 0 : puts / flushes,
    waiters: numberOf(now.info, 'flushWaiters'),
    oldestWaiterMs: numberOf(now.info, 'flushOldestWaiterMs'),
    notOnDiskBytes,
    acknowledgedAtRiskBytes: flushDiskType === 'ASYNC_FLUSH' ? notOnDiskBytes : 0,
    flushTimeMs,
    groupSize,
    storeFailure: storeFailure === undefined || storeFailure === '' ? undefined : storeFailure,
  };
}

const BAR_WIDTH = 40;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const HEIGHTS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** As long as its share of the longest; something that is there is never shown as nothing. */
function bar(count: number, most: number): string {
  if (count === 0) return '';
  const eighths = Math.max(1, Math.round((count / most) * BAR_WIDTH * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}

/** Bars of the classes that something fell into, and of those between them. */
function bars(title: string, classes: Classes | undefined, bound: (value: number) => string): string[] {
  if (classes === undefined) return [];
  const { bounds, counts } = classes;
  const all = total(classes);
  if (all === 0) return ['', title, '  none since the look before'];
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  const most = Math.max(...counts);
  const names = counts.map((_, index) =>
    index < bounds.length ? `≤ ${bound(bounds[index]!)}` : `> ${bound(bounds.at(-1)!)}`,
  );
  const width = Math.max(...names.slice(first, last + 1).map((name) => name.length));
  const lines = counts.slice(first, last + 1).map((count, index) => {
    const name = names[first + index]!.padStart(width);
    return `  ${name}  ${bar(count, most).padEnd(BAR_WIDTH)}  ${grouped(count)}`.trimEnd();
  });
  return ['', title, ...lines];
}

/** The last figures as heights, the newest to the right. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  if (most === 0) return HEIGHTS[0]!.repeat(values.length);
  return values.map((value) => HEIGHTS[Math.round((value / most) * (HEIGHTS.length - 1))]).join('');
}

const rate = (value: number): string => (value < 10 ? value.toFixed(1) : grouped(Math.round(value)));

/** One broker’s part of the screen. `history`: its last rates of puts, the newest last. */
export function flushView(look: FlushLook, history: readonly number[]): string[] {
  const { flushDiskType, waiters, oldestWaiterMs, notOnDiskBytes, acknowledgedAtRiskBytes, storeFailure } = look;
  const oldest = oldestWaiterMs > 0 ? `, the oldest for ${grouped(oldestWaiterMs)} ms` : '';
  const each = look.messagesPerFlush > 0 ? `, ${rate(look.messagesPerFlush)} messages each` : '';
  const risk =
    acknowledgedAtRiskBytes > 0
      ? `${bytes(acknowledgedAtRiskBytes)} that clients were told are stored`
      : 'nothing that clients were told is stored';
  return [
    `${look.brokerName || 'broker'}  ${look.address}${flushDiskType === undefined ? '' : `  ${flushDiskType}`}`,
    ...(storeFailure === undefined ? [] : [`  store failed  ${storeFailure}`]),
    `  puts         ${rate(look.putsPerSecond)} a second  ${sparkline(history)}`,
    `  flushes      ${rate(look.flushesPerSecond)} a second${each}`,
    `  waiting      ${grouped(waiters)} messages for their flush${oldest}`,
    `  not on disk  ${bytes(notOnDiskBytes)}`,
    ...(flushDiskType === undefined ? [] : [`  power cut    takes ${risk}`]),
    ...bars('  time of a flush', look.flushTimeMs, milliseconds),
    ...bars('  messages that share one', look.groupSize, grouped),
  ];
}
