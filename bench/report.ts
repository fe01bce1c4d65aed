import { grpcJavaWorkloads, grpcWorkloads } from './grpc.ts';
import { type BenchResults, find, median, type Run, type Series } from './results.ts';
import { byGo, javaWorkloads, kindWorkloads, PULL_WORKLOAD, sendWorkloads } from './side-by-side.ts';

const APACHE = 'Apache RocketMQ 5.5.0';
const VERNIER = 'Vernier';

type Cell = string | number;

function table(head: Cell[], rows: Cell[][]): string {
  const line = (cells: Cell[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function count(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–';
}

function decimal(value: number, digits = 1): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

/** Median, and the extremes where there is more than one value. */
function spread(values: number[], format: (value: number) => string): string {
  if (values.length === 0) return '–';
  if (values.length === 1) return format(values[0]!);
  return `${format(median(values))} (${format(Math.min(...values))}–${format(Math.max(...values))})`;
}

const pick = (series: Series, value: (run: Run) => number) => series.runs.map(value);
const milliseconds = (micros: number) => (micros / 1000).toFixed(micros < 10_000 ? 2 : 1);

function seriesRow(series: Series): Cell[] {
  return [
    series.broker,
    spread(
      pick(series, (run) => run.perSecond),
      count,
    ),
    decimal(median(pick(series, (run) => run.brokerCpuUsPerMessage))),
    decimal(median(pick(series, (run) => run.loadCpuUsPerMessage))),
    milliseconds(median(pick(series, (run) => run.latency.p50Us))),
    milliseconds(median(pick(series, (run) => run.latency.p99Us))),
    milliseconds(median(pick(series, (run) => run.latency.p999Us))),
    milliseconds(Math.max(...pick(series, (run) => run.latency.maxUs))),
    count(pick(series, (run) => run.refused).reduce((sum, one) => sum + one, 0)),
    decimal(median(pick(series, (run) => run.rssAnonMiB ?? Number.NaN)), 0),
    decimal(median(pick(series, (run) => run.rssMiB ?? Number.NaN)), 0),
  ];
}

const seriesHead = (first: string) => [
  first,
  'messages/s, median (min–max)',
  'broker CPU, µs a message',
  'load CPU, µs a message',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'max ms',
  'refused',
  'RssAnon MiB',
  'RSS MiB',
];

type RateKey = readonly [list: readonly Series[], mode: Series['flushDiskType'], workload: string];

function rates([list, mode, workload]: RateKey, broker: string): number[] {
  return (find(list, mode, workload, broker)?.runs ?? []).map((run) => run.perSecond);
}

/** Vernier's median rate over Apache's; NaN when one of them was not measured. */
function ratio(...key: RateKey): number {
  return median(rates(key, VERNIER)) / median(rates(key, APACHE));
}

/** The ratio in words, with the extremes of the rounds, in which both brokers ran within the same minutes. */
function ratioLine(...key: RateKey): string[] {
  if (Number.isNaN(ratio(...key))) return [];
  const apache = rates(key, APACHE);
  const byRound = rates(key, VERNIER).map((rate, round) => rate / apache[round]!);
  const extremes =
    byRound.length > 1 ? `, by round ${decimal(Math.min(...byRound), 2)} to ${decimal(Math.max(...byRound), 2)}` : '';
  return [`Ratio of the medians: **${decimal(ratio(...key), 2)}**${extremes}.`];
}

export interface Budget {
  name: string;
  /** What was measured, with its unit. */
  measured: string;
  /** Undefined when this run did not measure it. */
  met: boolean | undefined;
}

/** The budgets and what this run says to each of them. */
export function budgets(results: BenchResults): Budget[] {
  const pullMode = results.load.find((series) => series.workload === PULL_WORKLOAD)?.flushDiskType ?? 'ASYNC_FLUSH';
  const atLeast = (name: string, value: number, limit: number): Budget => ({
    name,
    measured: Number.isNaN(value) ? 'not measured' : `${decimal(value, 2)} ×`,
    met: Number.isNaN(value) ? undefined : value >= limit,
  });
  const below = (name: string, value: number | undefined, limit: number, unit: string, digits = 0): Budget => ({
    name,
    measured: value === undefined || Number.isNaN(value) ? 'not measured' : `${decimal(value, digits)} ${unit}`,
    met: value === undefined || Number.isNaN(value) ? undefined : value <= limit,
  });
  const cpu = (mode: Series['flushDiskType'], workload: string, broker = VERNIER) =>
    median((find(results.load, mode, workload, broker)?.runs ?? []).map((run) => run.brokerCpuUsPerMessage));
  const { load, javaClient } = results;
  const at16 = '16 × 16';
  const { startup, idle, waiting, delivery, memory, restart } = results;
  const delivered = (mode: Series['flushDiskType']) => delivery?.find((one) => one.flushDiskType === mode);
  const sync = delivered('SYNC_FLUSH');
  const enough = memory && memory.messages >= 10_000_000 ? memory : undefined;
  return [
    atLeast('SYNC_FLUSH, 16 × 16: at least 3 × Apache RocketMQ', ratio(load, 'SYNC_FLUSH', at16), 3),
    below('SYNC_FLUSH, 16 × 16: at most 9 µs CPU a message', cpu('SYNC_FLUSH', at16), 9, 'µs', 1),
    atLeast('SYNC_FLUSH, 16 × 16, Go generator: at least 2.5 ×', ratio(load, 'SYNC_FLUSH', byGo(at16)), 2.5),
    below('SYNC_FLUSH, 16 × 16, Go generator: at most 10 µs', cpu('SYNC_FLUSH', byGo(at16)), 10, 'µs', 1),
    atLeast('SYNC_FLUSH, 64 × 1: at least 1.9 ×', ratio(load, 'SYNC_FLUSH', '64 × 1'), 1.9),
    atLeast('SYNC_FLUSH, 1 × 1: at least 2.1 ×', ratio(load, 'SYNC_FLUSH', '1 × 1'), 2.1),
    atLeast('ASYNC_FLUSH, 1 × 1: at least 1.5 ×', ratio(load, 'ASYNC_FLUSH', '1 × 1'), 1.5),
    atLeast('ASYNC_FLUSH, 16 × 16: at least 2 ×', ratio(load, 'ASYNC_FLUSH', at16), 2),
    below('pull: at most 2.7 µs CPU a message', cpu(pullMode, PULL_WORKLOAD), 2.7, 'µs', 2),
    below(
      'pull: at most 0.75 × Apache RocketMQ’s CPU a message',
      cpu(pullMode, PULL_WORKLOAD) / cpu(pullMode, PULL_WORKLOAD, APACHE),
      0.75,
      '×',
      2,
    ),
    atLeast(
      'RocketMQ’s client, 64 threads, SYNC_FLUSH: at least 1.6 ×',
      ratio(javaClient, 'SYNC_FLUSH', '64 threads'),
      1.6,
    ),
    atLeast(
      'RocketMQ’s client, 64 threads, ASYNC_FLUSH: at least 1.3 ×',
      ratio(javaClient, 'ASYNC_FLUSH', '64 threads'),
      1.3,
    ),
    atLeast(
      'gRPC send, 8 × 16, SYNC_FLUSH: at least 1.5 × Apache’s proxy',
      ratio(results.grpc ?? [], 'SYNC_FLUSH', 'gRPC send, 8 × 16'),
      1.5,
    ),
    atLeast(
      'gRPC receive and ack, SYNC_FLUSH: at least 1.5 × Apache’s proxy',
      ratio(results.grpc ?? [], 'SYNC_FLUSH', 'gRPC receive and ack, 4 × 2'),
      1.5,
    ),
    below('process start to ready: under 250 ms', startup && median(startup.readyMs), 250, 'ms'),
    below('idle: below 0.3 % of a core', idle && Math.max(idle.cpuPercent, idle.fresh), 0.3, '%', 2),
    below(
      '50,000 queues and 10,000 waiting pulls: under 400 MB RssAnon',
      waiting && (waiting.rssAnonMiB * 1024 ** 2) / 1e6,
      400,
      'MB',
    ),
    below('the same: at most 2 % of a core', waiting?.cpuPercent, 2, '%', 2),
    below('ASYNC_FLUSH: to a waiting consumer within 1 ms', delivered('ASYNC_FLUSH')?.p50Us, 1_000, 'µs'),
    below(
      'SYNC_FLUSH: to a waiting consumer within 1 ms of the producer’s answer',
      sync && sync.p50Us - sync.acknowledgedP50Us,
      1_000,
      'µs',
    ),
    below(
      'RssAnon after ten million messages: under 110 MB',
      enough && (enough.rssAnonMiB * 1024 ** 2) / 1e6,
      110,
      'MB',
    ),
    below(
      'restart after SIGKILL with 2 GB in the log: under 1.5 s',
      restart && Math.max(...restart.readyMs),
      1500,
      'ms',
    ),
  ];
}

/** The whole of docs/benchmarks.md. */
export function renderReport(results: BenchResults): string {
  const { hardware, disk } = results;
  const parts: string[] = [
    '# Benchmarks',
    'Written by `npm run bench`; every number is from that one run, and the raw results are in `benchmarks.json`.',
    `Command: \`${results.command}\` · ${results.date} · ${results.rounds} round${results.rounds === 1 ? '' : 's'}, ` +
      `${results.seconds} s a measured window.`,
    '## Where',
    table(
      ['', ''],
      [
        ['processor', `${hardware.cpu}, ${hardware.cores} cores, shared by the broker and the load`],
        ['memory', `${hardware.memoryGiB} GiB`],
        ['kernel, file system', `${hardware.kernel}, ${hardware.fileSystem}`],
        ...(disk.length === 0
          ? []
          : [
              [
                'the disk alone',
                `4 KiB appended and fdatasync: p50 ${spread(
                  disk.map((one) => one.p50Us),
                  count,
                )} µs, ` +
                  `p99 ${spread(
                    disk.map((one) => one.p99Us),
                    count,
                  )} µs, measured before each broker's turn`,
              ],
            ]),
        [
          'other programs',
          `${spread(
            results.busy.map((share) => share * 100),
            (value) => decimal(value),
          )} % of all cores, sampled while neither broker ran`,
        ],
        ...Object.entries(results.versions),
      ],
    ),
    '## Budgets',
    table(
      ['Budget', 'Measured', ''],
      budgets(results).map(({ name, measured, met }) => [
        name,
        measured,
        met === undefined ? 'not measured' : met ? 'met' : '**missed**',
      ]),
    ),
    '## Side by side',
    'Messages of 1 KiB with a unique key and a tag, one topic with 8 queues, indexes on. The load generators speak the remoting ' +
      'protocol over raw sockets. The one in Node.js is the project’s own and writes as the Java client does; the one in Go ' +
      'is written apart from it, with other header fields in another order and no unique key. Their CPU a message is in the ' +
      'table, because they share two cores with the broker: C × F means C connections with F requests in flight on each, the next one sent when one ' +
      'is answered. Both brokers have the same flush settings (500 ms, 4 pages, thorough 10 s) and otherwise their own ' +
      'defaults (Apache RocketMQ with a heap of 2 GiB). They take turns, each round starts both anew on an empty store, ' +
      'and warms each up before it measures. Every answer is matched to its request; refused are those with ' +
      'a code other than SUCCESS, which count in no rate and no latency (Apache RocketMQ answers SYSTEM_BUSY to what has ' +
      'waited for 200 ms). Broker CPU is user ' +
      'and system time of the whole process; RssAnon is private memory, RSS includes mapped files.',
  ];
  for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
    for (const workload of [...Object.keys(sendWorkloads), PULL_WORKLOAD].flatMap((name) => [name, byGo(name)])) {
      const both = results.load.filter((one) => one.flushDiskType === flushDiskType && one.workload === workload);
      if (both.length === 0) continue;
      parts.push(
        `### ${workload.startsWith(PULL_WORKLOAD) ? 'Reading: ' : `${flushDiskType}, `}${workload}`,
        table(seriesHead('Broker'), both.map(seriesRow)),
        ...ratioLine(results.load, flushDiskType, workload),
        ...(workload.startsWith(PULL_WORKLOAD)
          ? ['Batches of 32; rate and CPU are by message, latencies by pull request with its batch.']
          : []),
      );
    }
  }
  if (results.javaClient.length > 0) {
    parts.push(
      "## RocketMQ's own client",
      'rocketmq-client 5.5.0: two producers with a thread each, sixteen with a thread each, 64 threads of one producer; every ' +
        'thread sends synchronously. By TLS: with the certificate that each broker makes by itself. The client itself takes a good part of the two cores, so the rates are its limit as ' +
        'much as the broker’s.',
    );
    parts.push(...comparisons(results.javaClient, Object.keys(javaWorkloads)));
  }
  if (results.kinds.length > 0) {
    parts.push(
      '## Delayed, transactional, popped and filtered',
      'One generator in Node.js for both brokers, 8 connections with 16 at once, 1 KiB; it takes more of the two cores than the ' +
        'broker does, so that the processor time of the broker says more than the rate. Delay levels and timed messages: ' +
        'from the first send until the last of 60,000 stands in its topic, the delay of 1 and 2 seconds included. ' +
        'Transactions: 20,000 times a half and its commit, each answered. Pop and ack: pops of 32, each message acknowledged by ' +
        'itself. SQL92: messages looked at, of which half match. A request that the broker was too busy for is made again, 5 ms ' +
        'later. Latencies are of single requests.',
    );
    parts.push(...comparisons(results.kinds, Object.keys(kindWorkloads)));
  }
  if (results.grpc !== undefined) parts.push(...grpcParts(results.grpc, results.grpcStart ?? []));
  if (results.engines.length > 0) {
    parts.push(
      '## Write engines',
      'The three ways to write the log (`writeWithoutMmap=true`, `writeWithoutMmap=false`, `transientStorePoolEnable=true`) ' +
        'at 16 × 16, interleaved.',
      table(
        ['Flush', ...seriesHead('Engine')],
        results.engines.map((series) => [series.flushDiskType, ...seriesRow(series)]),
      ),
    );
  }
  parts.push(...aloneParts(results));
  return `${parts.join('\n\n')}\n`;
}

function grpcParts(series: readonly Series[], starts: readonly { broker: string; startMs: number }[]): string[] {
  const startsOf = (broker: string) => starts.filter((one) => one.broker === broker).map(({ startMs }) => startMs);
  return [
    '## The gRPC protocol',
    'Beside Apache’s proxy 5.5.0 in local mode, which is a broker in the same process, as Vernier is. 1 KiB, one topic with ' +
      '8 queues, without TLS. The lean generator writes ready frames to `node:http2`: C × F means C connections with F calls in ' +
      'flight on each; a receive takes up to 32 messages, and each is acknowledged by itself. `rocketmq-client-java` 5.0.8 is ' +
      'the official client, one of it with threads that send synchronously.',
    ...comparisons(series, [...Object.keys(grpcWorkloads), ...Object.keys(grpcJavaWorkloads)]),
    ...(starts.length === 0
      ? []
      : [
          `Started again on the store of the run, until both protocols are served: ${[APACHE, VERNIER]
            .map((broker) => `${broker} ${spread(startsOf(broker), count)} ms`)
            .join(', ')}.`,
        ]),
  ];
}

/** A heading, a table and a ratio for each workload that was measured. */
function comparisons(series: readonly Series[], workloads: readonly string[]): string[] {
  return (['SYNC_FLUSH', 'ASYNC_FLUSH'] as const).flatMap((flushDiskType) =>
    workloads.flatMap((workload) => {
      const both = series.filter((one) => one.flushDiskType === flushDiskType && one.workload === workload);
      if (both.length === 0) return [];
      const head = `### ${flushDiskType}, ${workload}`;
      return [head, table(seriesHead('Broker'), both.map(seriesRow)), ...ratioLine(series, flushDiskType, workload)];
    }),
  );
}

function aloneParts({ startup, idle, waiting, delivery, memory, restart }: BenchResults): string[] {
  const rows: Cell[][] = [];
  if (startup) {
    rows.push([
      'process start to ready, empty directory',
      `${spread(startup.readyMs, count)} ms, ${startup.readyMs.length} starts`,
    ]);
  }
  if (idle) {
    const { seconds, fresh, cpuPercent } = idle;
    rows.push([
      `CPU without requests, over ${seconds} s`,
      `${decimal(fresh, 2)} % of a core fresh, ${decimal(cpuPercent, 2)} % after load`,
    ]);
  }
  if (waiting) {
    rows.push([
      `${count(waiting.queues)} queues with a message each, ${count(waiting.pulls)} pulls that wait`,
      `RssAnon ${decimal(waiting.rssAnonMiB, 0)} MiB, ${decimal(waiting.cpuPercent, 2)} % of a core`,
    ]);
  }
  for (const { flushDiskType, p50Us, p99Us, acknowledgedP50Us } of delivery ?? []) {
    rows.push([
      `${flushDiskType}: a message on its way to a consumer whose pull waits`,
      `p50 ${count(p50Us)} µs, p99 ${count(p99Us)} µs; its producer’s answer p50 ${count(acknowledgedP50Us)} µs`,
    ]);
  }
  if (memory) {
    rows.push([
      `after ${count(memory.messages)} messages of ${memory.bodySize} bytes under ASYNC_FLUSH (${count(memory.seconds)} s)`,
      `RssAnon ${decimal(memory.rssAnonMiB, 0)} MiB, RSS ${decimal(memory.rssMiB, 0)} MiB`,
    ]);
  }
  if (restart) {
    rows.push([
      `restart after SIGKILL with ${decimal(restart.logBytes / 1e9)} GB in the log, process start to ready`,
      `${spread(restart.readyMs, count)} ms, ${restart.readyMs.length} kills`,
    ]);
  }
  return rows.length === 0 ? [] : ['## Vernier alone', table(['', ''], rows)];
}
