import { decodeKVTable, RequestCode } from '@vernier/remoting';
import { type BrokerEntry, Cluster } from '../client/cluster.ts';
import { type ConnectingOptions, connectingOf } from '../client/connecting.ts';
import { CliError } from '../errors.ts';
import { EXIT_FAILURE, EXIT_OK } from '../exit-codes.ts';
import { report } from '../main.ts';
import { printJson } from '../output/print.ts';
import { bytes, facts, grouped } from '../output/table.ts';

export interface StatusOptions extends ConnectingOptions {
  namesrv: string;
  broker?: string;
  json?: boolean;
  watch?: boolean;
  /** Between two looks, ms. */
  interval?: number;
  /** Looks, then the end. */
  count?: number;
}

export type RuntimeInfo = Record<string, string>;

/** What a broker said. */
export interface StatusAnswer {
  readonly cluster: string;
  readonly brokerName: string;
  readonly address: string;
  readonly info: RuntimeInfo;
}

/** `vernier status`: what each broker that the nameserver knows says of itself. */
export async function status(options: StatusOptions): Promise<number> {
  if (options.watch) return (await import('./status-watch.ts')).watchStatus(options);
  if (options.interval !== undefined || options.count !== undefined) {
    throw new CliError('CLI_USAGE', '--interval and --count go with --watch');
  }
  const cluster = new Cluster(options.namesrv, connectingOf(options));
  try {
    const { answers, failures } = await askBrokers(cluster, options);
    // One that is away must not hide the others; alone, it is all there is to say.
    if (answers.length === 0) {
      for (const failure of failures.slice(1)) report(failure);
      throw failures[0];
    }
    if (options.json) await printJson(answers);
    else
      process.stdout.write(
        `${answers.map((answer) => statusText(answer.address, answer.brokerName, answer.info)).join('\n\n')}\n`,
      );
    for (const failure of failures) report(failure);
    return failures.length === 0 ? EXIT_OK : EXIT_FAILURE;
  } finally {
    await cluster.close();
  }
}

/** What every broker says that the nameserver knows, or the one of `--broker`. Throws CLI_NO_ROUTE where there is none. */
export async function askBrokers(
  cluster: Cluster,
  options: Pick<StatusOptions, 'namesrv' | 'broker'>,
): Promise<{ answers: StatusAnswer[]; failures: unknown[] }> {
  const brokers =
    options.broker === undefined ? await cluster.brokers() : [{ cluster: '', brokerName: '', address: options.broker }];
  if (brokers.length === 0) throw new CliError('CLI_NO_ROUTE', `the nameserver ${options.namesrv} knows no broker`);
  const asked = await Promise.allSettled(brokers.map((broker) => ask(cluster, broker)));
  return {
    answers: asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
    failures: asked.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])),
  };
}

async function ask(cluster: Cluster, broker: BrokerEntry): Promise<StatusAnswer> {
  const { cluster: clusterName, brokerName, address } = broker;
  const response = await cluster.call(address, RequestCode.GET_BROKER_RUNTIME_INFO);
  const table: RuntimeInfo = Object.fromEntries(decodeKVTable(response.body));
  return { cluster: clusterName, brokerName: brokerName || (table.brokerName ?? ''), address, info: table };
}

/** What of a broker's runtime info is worth a look first. Keys that it does not have (a Java broker) are left out. */
export function statusText(address: string, brokerName: string, info: RuntimeInfo): string {
  const rows: [string, ...string[]][] = [['broker', `${address}  ${brokerName}`]];
  const add = (name: string, key: string, text: (value: string) => string): void => {
    const value = info[key];
    if (typeof value === 'string' && value.trim() !== '') rows.push([name, text(value)]);
  };
  // A Java broker writes sizes as text (`1.5 KiB`), and rates that it does not have yet as blanks.
  const size = (value: string): string => (isNumber(value) ? bytes(Number(value)) : value);
  const count = (value: string): string => (isNumber(value) ? grouped(Number(value)) : value);
  add('gRPC proxy', 'proxyAddress', (value) => `${value}  ${count(info.proxyClients ?? '0')} clients`);
  const calls = callsText(info);
  if (calls !== '') rows.push(['gRPC calls', calls]);
  add('speaks as', 'brokerVersionDesc', (value) => `RocketMQ ${value}`);
  add('running', 'runtime', runningFor);
  add('store failed', 'storeFailure', String);
  add('engine', 'storeEngine', String);
  add('flush mode', 'flushDiskType', String);
  add('log', 'commitLogMaxOffset', (max) => {
    // -1: a log without a file (Java).
    const { commitLogMinOffset = '0' } = info;
    if (!isNumber(max) || !isNumber(commitLogMinOffset)) return `from offset ${commitLogMinOffset} to ${max}`;
    const min = Math.max(0, Number(commitLogMinOffset));
    return `${bytes(Number(max) - min)} from offset ${grouped(min)} to ${grouped(Number(max))}`;
  });
  add('not on disk', 'remainHowManyDataToFlush', size);
  add('not written', 'remainHowManyDataToCommit', size);
  add('not in queues', 'dispatchBehindBytes', size);
  add('waiting', 'flushWaiters', (waiters) => {
    const oldest = Number(info.flushOldestWaiterMs ?? 0);
    return `${count(waiters)} messages for their flush${oldest > 0 ? `, the oldest for ${grouped(oldest)} ms` : ''}`;
  });
  add('flushes', 'flushCount', (flushes) =>
    Number(flushes) === 0
      ? 'none yet'
      : `${count(flushes)}, ${info.flushTimeAverageMs} ms on average, ${info.flushTimeMaxMs} ms at most, ` +
        `${info.flushGroupSizeAverage} messages each`,
  );
  add('put', 'putMessageTimesTotal', (total) => `${count(total)} messages`);
  add('put a second', 'putTps', rates);
  add('got a second', 'getTransferredTps', rates);
  return facts(rows, '');
}

/** `SendMessage 1,204, AckMessage 3 (1 failed)`: of each method that was called. */
function callsText(info: RuntimeInfo): string {
  const methods: string[] = [];
  for (const [key, total] of Object.entries(info)) {
    const [, method] = /^proxy(\w+)Total$/.exec(key) ?? [];
    if (method === undefined || method.endsWith('Failed') || !isNumber(total)) continue;
    const failed = Number(info[`proxy${method}FailedTotal`] ?? 0);
    methods.push(`${method} ${grouped(Number(total))}${failed > 0 ? ` (${grouped(failed)} failed)` : ''}`);
  }
  return methods.join(', ');
}

const isNumber = (value: string): boolean => /^-?\d+(\.\d+)?$/.test(value);

/** `[ 0 days, 0 hours, 3 minutes, 7 seconds ]` without what is nought in front. */
function runningFor(value: string): string {
  const parts = value.replaceAll(/[[\]]/g, '').trim().split(/,\s*/);
  const first = parts.findIndex((part) => !part.startsWith('0 '));
  return parts.slice(first < 0 ? -1 : first).join(', ');
}

/** RocketMQ's three rates, over 10 s, 1 min and 10 min. */
function rates(value: string): string {
  const numbers = value
    .trim()
    .split(/\s+/)
    .map((rate) => (isNumber(rate) ? grouped(Math.round(Number(rate) * 10) / 10) : rate));
  return `${numbers.join(', ')} (over 10 s, 1 min, 10 min)`;
}
