import type { MessageStoreConfig } from '@vernier/store';
import { facts, milliseconds } from '../output/table.ts';
import type { FlushTime } from './disk-flush-time.ts';
import { describeLosses, type LossSettings, syncFlushTimeoutNote } from './power-cut.ts';

/** Everything the start-up says, so that the words can be tested without a broker. */
export interface StartUpFacts {
  version: string;
  dataDir: string;
  /** host:port; undefined when no nameserver of our own runs. */
  namesrv: string | undefined;
  /** Nameservers outside this process. */
  namesrvAddr: string;
  broker: string;
  /** Where Java clients 4.0 to 4.5.0 send to; undefined when it is not listened on. */
  brokerVip: string | undefined;
  /** Where clients of gRPC connect to; undefined when they are not served. */
  proxy: string | undefined;
  /** Where metrics or probes are answered; undefined where nothing listens for them. */
  metrics: string | undefined;
  brokerName: string;
  clusterName: string;
  engine: Engine;
  config: LossSettings & Pick<MessageStoreConfig, 'ioLane' | 'transientStorePoolSize' | 'syncFlushTimeout'>;
  flushTime: FlushTime | undefined;
  readyMs: number;
}

/** MessageStore.engine */
export type Engine = 'channel' | 'mmap' | 'transient-pool';

const LANES = { pool: 'on libuv’s threads', worker: 'on threads of the store’s own' } as const;

function describeEngine({ engine, config }: StartUpFacts): string {
  switch (engine) {
    case 'channel':
      return `channel (positional writes from append buffers, ${LANES[config.ioLane]})`;
    case 'mmap':
      return 'mmap (records go into a mapping of the file; msync of what is new)';
    case 'transient-pool':
      return `transient-pool (${config.transientStorePoolSize} buffers, committed to the file, then flushed)`;
  }
}

function describeFlushMode({ config, engine }: StartUpFacts): string {
  if (config.flushDiskType === 'SYNC_FLUSH') return 'SYNC_FLUSH (a message is answered once it is on disk)';
  const where = engine === 'transient-pool' ? 'in a buffer of this process' : 'written to the page cache';
  return `ASYNC_FLUSH (a message is answered once it is ${where}, flushed later)`;
}

/** The start-up output, without a line feed at its end. */
export function startUpText(start: StartUpFacts): string {
  const { flushTime } = start;
  const namesrv = [
    ...(start.namesrv === undefined ? [] : [start.namesrv]),
    ...(start.namesrvAddr === '' ? [] : [`${start.namesrvAddr} (outside this process)`]),
  ];
  return [
    `Vernier ${start.version}`,
    '',
    facts([
      ['nameserver', ...namesrv],
      [
        'broker',
        `${start.broker} (${start.brokerName} in ${start.clusterName})`,
        ...(start.brokerVip === undefined ? [] : [`${start.brokerVip} (for Java clients 4.0 to 4.5.0)`]),
      ],
      ...(start.proxy === undefined ? [] : [['gRPC proxy', start.proxy] satisfies [string, string]]),
      ...(start.metrics === undefined ? [] : [['metrics', start.metrics] satisfies [string, string]]),
      ['data', start.dataDir],
      ['engine', describeEngine(start)],
      ['flush mode', describeFlushMode(start)],
      [
        'disk',
        flushTime === undefined
          ? 'no flush came back within 20 ms, which is slow'
          : `${milliseconds(flushTime.medianMs)} a flush (median of ${flushTime.count})`,
      ],
      ['power cut', ...describeLosses(start.config, flushTime?.medianMs)],
      ['note', ...syncFlushTimeoutNote(start.config)],
    ]),
    '',
    `ready after ${Math.round(start.readyMs)} ms; Ctrl-C stops it`,
  ].join('\n');
}
