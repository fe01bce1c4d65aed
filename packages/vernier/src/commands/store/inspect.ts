import { type Inspection, inspectStore, shownPath } from '@vernier/doctor';
import { EXIT_OK } from '../../exit-codes.ts';
import { print, printJson } from '../../output/print.ts';
import { bytes, counted, facts, grouped, table } from '../../output/table.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions, time } from './common.ts';

/** Queues that a page has room for. */
const QUEUES_SHOWN = 40;
const TOPIC_CHARS = 50;

/** `vernier store inspect`: exit code 1 when something on the page is wrong. */
export async function inspect(directory: string, options: StoreOptions): Promise<number> {
  const { layout } = await lookAt(directory, options);
  const inspection = await inspectStore(layout);
  if (options.json) await printJson(inspectJson(inspection));
  else await print(inspectText(inspection));
  const damaged =
    inspection.forecast?.damage !== undefined ||
    inspection.config.some(({ problem }) => problem) ||
    layout.strangers.length > 0;
  return damaged ? EXIT_FAULTS : EXIT_OK;
}

export function inspectJson(inspection: Inspection): unknown {
  const { layout, config, ...rest } = inspection;
  const { root, state, lock, abort, own, checkpoint, unread, quarantine, emptyFiles, strangers } = layout;
  return {
    root,
    state,
    lock,
    abort,
    lastBroker: own ? 'vernier' : 'java',
    checkpoint,
    log: {
      directories: layout.logDirectories,
      fileSize: layout.logFileSize,
      files: layout.logFiles.map(({ path, from, size }) => ({ file: shownPath(root, path), from, size })),
      emptyFiles,
      strangers,
    },
    queueFileSize: layout.queueFileSize,
    batchTopics: [...layout.batchTopics],
    unread,
    quarantine,
    config: config.map(({ name, bytes: size, problem, backup }) => ({ name, bytes: size, problem, backup })),
    ...rest,
  };
}

export function inspectText(inspection: Inspection): string {
  const { layout, queues, index, config, space } = inspection;
  const { logFiles, logFileSize, checkpoint } = layout;
  const last = logFiles.at(-1);
  const rows: [string, ...string[]][] = [
    ['store', layout.root],
    ['state', stateText(inspection)],
    ['last broker', layout.own ? 'Vernier' : 'RocketMQ (or none that kept a durable point)'],
    [
      'log',
      last === undefined
        ? 'no file'
        : `${counted(logFiles.length, 'file')} of ${bytes(logFileSize)}, room for offsets ${grouped(inspection.minOffset)} to ${grouped(last.from + last.size)}`,
      ...logEndText(inspection),
      ...(inspection.firstTime > 0 ? [`first message ${time(inspection.firstTime)}`] : []),
      ...layout.emptyFiles.map((path) => `empty, no part of it: ${shownPath(layout.root, path)}`),
      ...layout.strangers.map(
        (path) => `its name is no offset, a broker does not start with it: ${shownPath(layout.root, path)}`,
      ),
    ],
    [
      'queues',
      `${grouped(queues.length)} of ${counted(new Set(queues.map(({ topic }) => topic)).size, 'topic')}${layout.queueCount === 0 ? '' : `, files of ${bytes(layout.queueFileSize)}`}`,
    ],
    [
      'index',
      index.length === 0
        ? 'no file'
        : `${counted(index.length, 'file')}, ${counted(
            index.reduce((sum, { entries }) => sum + entries, 0),
            'entry',
            'entries',
          )}, up to ${time(index.at(-1)!.endTime)}`,
    ],
    ['checkpoint', ...checkpointText(inspection)],
    ['config', ...configText(config)],
    ...timerRows(inspection),
    ['disk', `${bytes(space.freeBytes)} free of ${bytes(space.totalBytes)}`],
    ['page cache', ...cacheText(inspection)],
  ];
  if (checkpoint === undefined) rows.push(['', 'no checkpoint']);
  if (layout.batchTopics.size > 0) rows.push(['batch queues', [...layout.batchTopics].join(', ')]);
  if (layout.unread.length > 0) rows.push(['not looked into', layout.unread.join(', ')]);
  if (layout.quarantine.length > 0) rows.push(['quarantine', counted(layout.quarantine.length, 'file')]);
  rows.push(['a start would', ...forecastText(inspection)]);
  return `${facts(rows, '')}\n\n${queueTable(queues)}\n`;
}

function timerRows({ timers }: Inspection): [string, ...string[]][] {
  if (timers === undefined) return [];
  const { waiting, firstTime, lastTime, precisionMs, queueOffset } = timers;
  const times = waiting === 0 ? '' : `, from ${time(firstTime)} to ${time(lastTime)}`;
  const precision = precisionMs === undefined ? '' : `, timerPrecisionMs=${precisionMs}`;
  return [
    ['timed messages', `${counted(waiting, 'message')} wait${times}${precision}, taken up to ${grouped(queueOffset)}`],
  ];
}

function logEndText({ forecast, logEnd }: Inspection): string[] {
  if (forecast !== undefined) return [`ends at ${grouped(forecast.end)}`];
  return logEnd === undefined ? [] : [`ended at ${grouped(logEnd)} when it was looked at`];
}

function stateText({ layout }: Inspection): string {
  const { state, lock, abort } = layout;
  if (state === 'live') {
    if (lock.kind !== 'held')
      return `open, or left open by process ${abort.pid} (whether the lock is held cannot be seen)`;
    return `open, locked by ${lock.pid === undefined ? 'a process of another container' : `process ${lock.pid}`}`;
  }
  return state === 'clean' ? 'shut down cleanly' : `not shut down cleanly (abort file of process ${abort.pid})`;
}

function checkpointText({ layout }: Inspection): string[] {
  const { checkpoint } = layout;
  if (checkpoint === undefined) return ['none'];
  const times = `log ${time(checkpoint.physicMsgTimestamp)}, queues ${time(checkpoint.logicsMsgTimestamp)}, index ${time(checkpoint.indexMsgTimestamp)}`;
  const own =
    checkpoint.durablePointState === 'valid'
      ? `on disk up to ${grouped(checkpoint.durablePoint)}, with queues up to ${grouped(checkpoint.logicsPoint)}`
      : checkpoint.durablePointState === 'java-ran-since'
        ? 'a durable point that is void: a RocketMQ broker stored since'
        : 'no durable point of Vernier';
  return [times, own];
}

function cacheText({ cache }: Inspection): string[] {
  if (cache === undefined) return ['not known here'];
  const parts = Object.entries(cache).filter(([, { totalBytes }]) => totalBytes > 0);
  return parts.map(([name, { totalBytes, cachedBytes, dirtyBytes }]) => {
    const dirty = dirtyBytes === undefined || dirtyBytes === 0 ? '' : `, ${bytes(dirtyBytes)} of it not written back`;
    return `${name}: ${bytes(cachedBytes)} of ${bytes(totalBytes)}${dirty}`;
  });
}

function configText(config: Inspection['config']): string[] {
  if (config.length === 0) return ['no files'];
  const good = config.filter(({ problem }) => problem === undefined).map(({ name }) => name);
  const bad = config.filter(({ problem }) => problem !== undefined);
  return [
    ...(good.length > 0 ? [good.join(', ')] : []),
    ...bad.map(({ name, problem, backup }) => `${name}: ${problem}; .bak ${backup === 'usable' ? 'is whole' : backup}`),
  ];
}

function forecastText({ forecast, layout }: Inspection): string[] {
  if (layout.state === 'live') return ['not be possible: the store is open'];
  if (forecast === undefined) return ['make the first file'];
  const { start, end, records, stop, damage } = forecast;
  const rule = {
    'durable-point': 'the durable point',
    'java-clean-exit': 'RocketMQ’s rule for a clean exit',
    'java-unclean-exit': 'RocketMQ’s rule for an unclean exit',
  }[start.rule];
  const lines = [`read ${counted(records, 'record')} from ${grouped(start.scanFrom)} on (by ${rule})`];
  if (damage !== undefined) {
    lines.push(`find damage from ${grouped(damage.from)} to ${grouped(damage.to)} and open read-only: ${stop}`);
  } else lines.push(`end the log at ${grouped(end)}: ${stop}`);
  return lines;
}

function queueTable(queues: Inspection['queues']): string {
  const shown = queues.slice(0, QUEUES_SHOWN);
  const rows = shown.map(({ topic, queueId, minOffset, maxOffset, firstTime, lastTime }) => [
    topic.length > TOPIC_CHARS ? `${topic.slice(0, TOPIC_CHARS - 1)}…` : topic,
    String(queueId),
    grouped(minOffset),
    grouped(maxOffset),
    grouped(maxOffset - minOffset),
    time(firstTime),
    time(lastTime),
  ]);
  const header = ['TOPIC', 'QUEUE', 'MIN', 'MAX', 'MESSAGES', 'FIRST', 'LAST'];
  const text = table(header, rows, [1, 2, 3, 4]);
  const hidden = queues.length - shown.length;
  return hidden > 0 ? `${text}\n… and ${grouped(hidden)} more queues (--json has them all)` : text;
}
