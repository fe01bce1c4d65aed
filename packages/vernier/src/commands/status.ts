import { parseJavaJsonBody, RequestCode } from '@vernier/remoting';
import { Cluster } from '../client/cluster.ts';
import { CliError } from '../errors.ts';
import { EXIT_OK } from '../exit-codes.ts';
import { bytes, facts, grouped } from '../output/table.ts';

export interface StatusOptions {
  namesrv: string;
  broker?: string;
  json?: boolean;
}

type RuntimeInfo = Record<string, string>;

/** `vernier status`: what each broker that the nameserver knows says of itself. */
export async function status(options: StatusOptions): Promise<number> {
  const cluster = new Cluster(options.namesrv);
  try {
    const brokers =
      options.broker === undefined
        ? await cluster.brokers()
        : [{ cluster: '', brokerName: '', address: options.broker }];
    if (brokers.length === 0) throw new CliError('CLI_NO_ROUTE', `the nameserver ${options.namesrv} knows no broker`);
    const answers = await Promise.all(
      brokers.map(async ({ cluster: clusterName, brokerName, address }) => {
        const response = await cluster.call(address, RequestCode.GET_BROKER_RUNTIME_INFO);
        const { table = {} } = parseJavaJsonBody(response.body) as { table?: RuntimeInfo };
        return { cluster: clusterName, brokerName: brokerName || (table.brokerName ?? ''), address, info: table };
      }),
    );
    if (options.json) process.stdout.write(`${JSON.stringify(answers, undefined, 2)}\n`);
    else
      process.stdout.write(
        `${answers.map((answer) => statusText(answer.address, answer.brokerName, answer.info)).join('\n\n')}\n`,
      );
    return EXIT_OK;
  } finally {
    await cluster.close();
  }
}

/** What of a broker's runtime info is worth a look first. Keys that it does not have (a Java broker) are left out. */
export function statusText(address: string, brokerName: string, info: RuntimeInfo): string {
  const rows: [string, ...string[]][] = [['broker', `${address}  ${brokerName}`]];
  const add = (name: string, key: string, text: (value: string) => string): void => {
    const value = info[key];
    if (value !== undefined && value !== '') rows.push([name, text(value)]);
  };
  const size = (value: string): string => bytes(Number(value));
  const count = (value: string): string => grouped(Number(value));
  add('speaks as', 'brokerVersionDesc', (value) => `RocketMQ ${value}`);
  add('running', 'runtime', runningFor);
  add('store failed', 'storeFailure', String);
  add('engine', 'storeEngine', String);
  add('flush mode', 'flushDiskType', String);
  add('log', 'commitLogMaxOffset', (max) => {
    const min = Number(info.commitLogMinOffset ?? 0);
    return `${bytes(Number(max) - min)} from offset ${grouped(min)} to ${grouped(Number(max))}`;
  });
  add('not on disk', 'remainHowManyDataToFlush', size);
  add('not written', 'remainHowManyDataToCommit', size);
  add('not in queues', 'dispatchBehindBytes', size);
  add('waiting', 'flushWaiters', (waiters) => {
    const oldest = Number(info.flushOldestWaiterMs ?? 0);
    return `${grouped(Number(waiters))} messages for their flush${oldest > 0 ? `, the oldest for ${grouped(oldest)} ms` : ''}`;
  });
  add('flushes', 'flushCount', (flushes) =>
    Number(flushes) === 0
      ? 'none yet'
      : `${grouped(Number(flushes))}, ${info.flushTimeAverageMs} ms on average, ${info.flushTimeMaxMs} ms at most, ` +
        `${info.flushGroupSizeAverage} messages each`,
  );
  add('put', 'putMessageTimesTotal', (total) => `${count(total)} messages`);
  add('put a second', 'putTps', rates);
  add('got a second', 'getTransferredTps', rates);
  return facts(rows, '');
}

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
    .map((rate) => grouped(Math.round(Number(rate) * 10) / 10));
  return `${numbers.join(', ')} (over 10 s, 1 min, 10 min)`;
}
