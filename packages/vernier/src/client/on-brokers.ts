import { CliError } from '../errors.ts';
import { EXIT_OK } from '../exit-codes.ts';
import { type BrokerEntry, Cluster } from './cluster.ts';
import { type ConnectingOptions, connectingOf } from './connecting.ts';

export interface ClusterOptions extends ConnectingOptions {
  namesrv: string;
  /** `host:port` of the one to ask instead of all that the nameserver knows. */
  broker?: string;
  json?: boolean;
}

/** Runs a command on a cluster, and closes it. */
export async function withCluster(options: ClusterOptions, work: (cluster: Cluster) => Promise<void>): Promise<number> {
  const cluster = new Cluster(options.namesrv, connectingOf(options));
  try {
    await work(cluster);
    return EXIT_OK;
  } finally {
    await cluster.close();
  }
}

/** One after the other. An error says which brokers have done it by then: the command may be given again. */
export async function onEach(
  brokers: readonly { brokerName: string; address: string }[],
  work: (address: string) => Promise<unknown>,
): Promise<void> {
  const done: string[] = [];
  for (const { brokerName, address } of brokers) {
    try {
      await work(address);
    } catch (error) {
      if (done.length === 0 || !(error instanceof CliError)) throw error;
      const { code, message, details, cause } = error;
      throw new CliError(code, `${message}; done before that on ${done.join(', ')}`, { ...details, done }, cause);
    }
    done.push(brokerName);
  }
}

/** Those that the nameserver knows, or the one that was named. Throws CLI_NO_ROUTE when there is none. */
export async function knownBrokers(cluster: Cluster, named?: string): Promise<[BrokerEntry, ...BrokerEntry[]]> {
  if (named !== undefined) return [{ cluster: '', brokerName: named, address: named }];
  const [first, ...others] = await cluster.brokers();
  if (first === undefined) throw new CliError('CLI_NO_ROUTE', 'the nameserver knows no broker');
  return [first, ...others];
}
