import { join } from 'node:path';
import {
  decodeTimerCheck,
  isBlank,
  isFileFull,
  isOffsetName,
  readSlot,
  readUnit,
  SLOT_BYTES,
  storePaths,
  type TimerCheckContent,
  type TimerSlot,
  UNIT_BYTES,
  WHEEL_SLOTS,
} from '@vernier/store/internal';
import type { Findings, NewFinding } from './finding.ts';
import { type DataFile, doctorFileSystem, type StoreLayout, shownPath } from './store-layout.ts';

/** What waits for its time, as wheel and checkpoint say it. */
export interface TimerSummary {
  /** Messages that wait, in so many slots. */
  waiting: number;
  slots: number;
  /** Unix milliseconds of the first and the last slot; 0 without one. */
  firstTime: number;
  lastTime: number;
  /** timerPrecisionMs; undefined when a RocketMQ broker ran last and nothing waits. */
  precisionMs: number | undefined;
  /** Entry of rmq_sys_wheel_timer from which on the next start reads. */
  queueOffset: number;
  logFiles: number;
}

interface TimerParts {
  check: TimerCheckContent | undefined;
  wheelBytes: number;
  files: DataFile[];
}

const SCAN_BYTES = 64 * 4096;
const REMEDY = 'the next start makes the timer files anew from the queue';

async function readParts(root: string): Promise<TimerParts | undefined> {
  const { timerWheel, timerLog, timerCheck } = storePaths(root);
  const page = await doctorFileSystem.readFile(timerCheck);
  const wheel = await doctorFileSystem.stat(timerWheel);
  const files: DataFile[] = [];
  for (const name of (await doctorFileSystem.list(timerLog)).filter(isOffsetName)) {
    const path = join(timerLog, name);
    files.push({ path, from: Number(name), size: (await doctorFileSystem.stat(path))?.size ?? 0 });
  }
  if (page === undefined && wheel === undefined && files.length === 0) return undefined;
  return { check: page && decodeTimerCheck(page), wheelBytes: wheel?.size ?? 0, files };
}

/** Tells of each slot in which something waits. What Java has done with stays in its wheel and does not count. */
async function eachWaiting(
  root: string,
  { fields, own }: TimerCheckContent,
  visit: (slot: TimerSlot, index: number, precisionMs: number) => void,
): Promise<void> {
  const file = await doctorFileSystem.open(storePaths(root).timerWheel, 'read');
  try {
    const bytes = Buffer.alloc(SCAN_BYTES);
    for (let at = 0; at < WHEEL_SLOTS * SLOT_BYTES; at += bytes.length) {
      const count = await file.read(bytes, at);
      for (let from = 0; from + SLOT_BYTES <= count; from += SLOT_BYTES) {
        const slot = readSlot(bytes, from);
        if (slot === undefined) continue;
        const precisionMs = own?.precisionMs ?? Math.round(fields.lastReadTimeMs / slot.number / 100) * 100;
        if (own === undefined && slot.number * precisionMs < fields.lastReadTimeMs) continue;
        visit(slot, (at + from) / SLOT_BYTES, precisionMs);
      }
    }
  } finally {
    await file.close();
  }
}

/** Undefined: there are no timer files. */
export async function summariseTimers(layout: StoreLayout): Promise<TimerSummary | undefined> {
  const parts = await readParts(layout.root);
  if (parts === undefined) return undefined;
  const { check, files, wheelBytes } = parts;
  const summary: TimerSummary = {
    ...{ waiting: 0, slots: 0, firstTime: 0, lastTime: 0, precisionMs: check?.own?.precisionMs },
    ...{ queueOffset: check?.fields.lastTimerQueueOffset ?? 0, logFiles: files.length },
  };
  if (check === undefined || wheelBytes !== WHEEL_SLOTS * SLOT_BYTES) return summary;
  await eachWaiting(layout.root, check, ({ number, num }, _index, precisionMs) => {
    const time = number * precisionMs;
    summary.slots++;
    summary.waiting += Math.max(0, num);
    summary.precisionMs ??= precisionMs;
    summary.firstTime = summary.firstTime === 0 ? time : Math.min(summary.firstTime, time);
    summary.lastTime = Math.max(summary.lastTime, time);
  });
  return summary;
}

/**
 * Looks at the files of timed messages: they are made anew from the log's queue when they are damaged, so a fault here loses
 * no message. What stands behind the checkpoint is the next start's business; a live broker and one of Java's write at any
 * time, and only lengths are looked at.
 */
export async function checkTimers(layout: StoreLayout, findings: Findings): Promise<void> {
  const parts = await readParts(layout.root);
  if (parts === undefined) return;
  const { check, wheelBytes, files } = parts;
  const { root, state } = layout;
  const fault = (path: string, offset: number, message: string, more: Partial<NewFinding> = {}): void => {
    const file = shownPath(root, path);
    findings.fault({
      kind: 'timer',
      file,
      offset,
      length: 0,
      expected: '',
      found: '',
      message: `${message}; ${REMEDY}`,
      ...more,
    });
  };
  const { timerWheel, timerCheck } = storePaths(root);
  const wheelExpected = WHEEL_SLOTS * SLOT_BYTES;
  if (wheelBytes !== 0 && wheelBytes !== wheelExpected) {
    const numbers = { expected: `${wheelExpected} bytes`, found: String(wheelBytes) };
    fault(timerWheel, 0, 'the timer wheel has another length', numbers);
  }
  const [first] = files;
  // The last one may be one whose making was cut off.
  for (const [i, { path, from, size }] of files.entries()) {
    const isLast = i === files.length - 1 && files.length > 1;
    if (from !== first!.from + i * first!.size || (size !== first!.size && !isLast)) {
      fault(path, 0, 'the files of the timer log do not follow one another, or have different lengths');
      return;
    }
  }
  if (check?.own === undefined || state === 'live' || wheelBytes !== wheelExpected) return;
  const flushPos = check.fields.lastTimerLogFlushPos;
  const log = new TimerLogReader(files);
  try {
    const end = await log.badUnitBelow(flushPos);
    if (end !== undefined) {
      const path = log.pathAt(end) ?? timerCheck;
      return fault(path, log.placeOf(end), `there is no unit at ${end}, below the checkpoint's ${flushPos}`, {
        length: UNIT_BYTES,
      });
    }
    await checkSlots(layout, check, log, fault);
  } finally {
    await log.close();
  }
}

async function checkSlots(
  layout: StoreLayout,
  check: TimerCheckContent,
  log: TimerLogReader,
  fault: (path: string, offset: number, message: string, more?: Partial<NewFinding>) => void,
): Promise<void> {
  const { timerWheel } = storePaths(layout.root);
  const waiting: { slot: TimerSlot; index: number; precisionMs: number }[] = [];
  await eachWaiting(layout.root, check, (slot, index, precisionMs) => waiting.push({ slot, index, precisionMs }));
  for (const { slot, index, precisionMs } of waiting) {
    const { number, firstPos, lastPos } = slot;
    const isPlaced = number > 0 && number % WHEEL_SLOTS === index && firstPos >= 0 && firstPos <= lastPos;
    // Behind the checkpoint it is the next start's business.
    const isBehind = lastPos >= check.fields.lastTimerLogFlushPos;
    const unit = isPlaced && !isBehind ? await log.unitAt(lastPos) : undefined;
    const isOfSlot = unit !== undefined && Math.floor(unit.slotTimeMs / precisionMs) === number;
    if (isPlaced && (isOfSlot || (isBehind && layout.state !== 'clean'))) continue;
    const found = `slot ${number}, units ${firstPos} to ${lastPos}`;
    fault(timerWheel, index * SLOT_BYTES, 'the slot leads to no unit of its time', { length: SLOT_BYTES, found });
  }
}

/** Units of the timer log by their position. */
class TimerLogReader {
  readonly #files: readonly DataFile[];
  readonly #fileSize: number;
  readonly #open = new Map<string, Awaited<ReturnType<typeof doctorFileSystem.open>>>();

  constructor(files: readonly DataFile[]) {
    this.#files = files;
    this.#fileSize = files[0]?.size ?? 0;
  }

  pathAt(position: number): string | undefined {
    return this.#files.find(({ from }) => position >= from && position < from + this.#fileSize)?.path;
  }

  placeOf(position: number): number {
    return this.#fileSize === 0 ? 0 : position % this.#fileSize;
  }

  /** The first place below `end` at which there should be a unit and is none; undefined: all are whole. */
  async badUnitBelow(end: number): Promise<number | undefined> {
    const size = this.#fileSize;
    for (const { from } of this.#files) {
      const to = Math.min(end, from + size);
      for (let position = from; position < to && !isFileFull(position - from, size); ) {
        const bytes = await this.#read(position, Math.min(UNIT_BYTES * 4096, from + size - position));
        let at = 0;
        for (; at + UNIT_BYTES <= bytes.length && position + at < to && !isFileFull(position + at - from, size); ) {
          if (readUnit(bytes, at, position + at) === undefined) {
            if (isBlank(bytes, at)) break;
            return position + at;
          }
          at += UNIT_BYTES;
        }
        if (at < bytes.length - UNIT_BYTES && isBlank(bytes, at)) break;
        if (at === 0) break;
        position += at;
      }
    }
    const last = this.#files.at(-1);
    return end > 0 && (last === undefined || end > last.from + size) ? end : undefined;
  }

  async unitAt(position: number): Promise<ReturnType<typeof readUnit>> {
    if (this.pathAt(position) === undefined) return undefined;
    return readUnit(await this.#read(position, UNIT_BYTES), 0, position);
  }

  async close(): Promise<void> {
    for (const file of this.#open.values()) await file.close();
  }

  async #read(position: number, length: number): Promise<Buffer> {
    const path = this.pathAt(position)!;
    let file = this.#open.get(path);
    if (file === undefined) {
      file = await doctorFileSystem.open(path, 'read');
      this.#open.set(path, file);
    }
    const bytes = Buffer.alloc(length);
    const count = await file.read(bytes, this.placeOf(position));
    return bytes.subarray(0, count);
  }
}
