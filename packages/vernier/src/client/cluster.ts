import {
  createRequest,
  type ExtFields,
  javaMapEntries,
  parseJavaJsonBody,
  RemotingClient,
  type RemotingCommand,
  RemotingError,
  RequestCode,
  ResponseCode,
  requestCodeName,
  responseCodeName,
} from '@vernier/remoting';
import { CliError } from '../errors.ts';

/** A queue as clients name it. */
export interface MessageQueue {
  topic: string;
  brokerName: string;
  queueId: number;
}

/** What a topic's route says of one broker that has a master. */
export interface RouteEntry {
  brokerName: string;
  /** host:port of the master. */
  address: string;
  readQueueNums: number;
  writeQueueNums: number;
  /** 4 read, 2 write. */
  perm: number;
}

export interface BrokerEntry {
  cluster: string;
  brokerName: string;
  address: string;
}

const TIMEOUT_MS = 5_000;

/** A nameserver and the brokers behind it, as the command's own commands need them. */
export class Cluster {
  readonly remoting: RemotingClient;
  readonly #namesrvs: readonly string[];

  /** @param namesrv `host:port`, `;` between several; they are asked in this order until one answers. */
  constructor(namesrv: string) {
    this.remoting = new RemotingClient();
    this.#namesrvs = namesrv
      .split(';')
      .map((address) => address.trim())
      .filter((address) => address !== '');
    if (this.#namesrvs.length === 0)
      throw new CliError('CLI_USAGE', '--namesrv is empty; expected host:port', { namesrv });
  }

  close(): Promise<void> {
    return this.remoting.close();
  }

  /**
   * Asks `address` and resolves with its answer when that is SUCCESS or one of `accept`.
   * @throws CliError CLI_UNREACHABLE, CLI_REFUSED
   */
  async call(
    address: string,
    code: number,
    fields: ExtFields = {},
    options: { body?: Buffer; accept?: readonly number[]; timeoutMs?: number } = {},
  ): Promise<RemotingCommand> {
    const request = createRequest(code, fields, options.body);
    const response = await this.#invoke(address, request, options.timeoutMs ?? TIMEOUT_MS);
    if (response.code === ResponseCode.SUCCESS || options.accept?.includes(response.code)) return response;
    const remark = response.remark ? `: ${response.remark}` : '';
    throw new CliError(
      'CLI_REFUSED',
      `${address} answered ${requestCodeName(code)} with ${responseCodeName(response.code)} (${response.code})${remark}`,
      { address, request: code, response: response.code, remark: response.remark },
    );
  }

  /** Asks the nameservers in order; the first that answers counts. */
  async callNamesrv(
    code: number,
    fields: ExtFields = {},
    options: { accept?: readonly number[] } = {},
  ): Promise<RemotingCommand> {
    let last: unknown;
    for (const address of this.#namesrvs) {
      try {
        return await this.call(address, code, fields, options);
      } catch (error) {
        if (!(error instanceof CliError) || error.code !== 'CLI_UNREACHABLE') throw error;
        last = error;
      }
    }
    throw last;
  }

  /** Where a topic is. Empty when no nameserver knows it. Brokers without a master are left out. */
  async route(topic: string): Promise<RouteEntry[]> {
    const response = await this.callNamesrv(
      RequestCode.GET_ROUTEINFO_BY_TOPIC,
      { topic, acceptStandardJsonOnly: 'true' },
      { accept: [ResponseCode.TOPIC_NOT_EXIST] },
    );
    if (response.code === ResponseCode.TOPIC_NOT_EXIST) return [];
    const { brokerDatas = [], queueDatas = [] } = parseJavaJsonBody(response.body) as {
      brokerDatas?: { brokerName: string; brokerAddrs: unknown }[];
      queueDatas?: { brokerName: string; readQueueNums: number; writeQueueNums: number; perm: number }[];
    };
    const masters = new Map(brokerDatas.map((broker) => [broker.brokerName, masterOf(broker.brokerAddrs)]));
    return queueDatas.flatMap(({ brokerName, readQueueNums, writeQueueNums, perm }) => {
      const address = masters.get(brokerName);
      return address === undefined ? [] : [{ brokerName, address, readQueueNums, writeQueueNums, perm }];
    });
  }

  /** The masters of every cluster. */
  async brokers(): Promise<BrokerEntry[]> {
    const response = await this.callNamesrv(RequestCode.GET_BROKER_CLUSTER_INFO);
    const { brokerAddrTable = {}, clusterAddrTable = {} } = parseJavaJsonBody(response.body) as {
      brokerAddrTable?: Record<string, { cluster?: string; brokerAddrs: unknown }>;
      clusterAddrTable?: Record<string, string[]>;
    };
    const clusterOf = new Map(
      Object.entries(clusterAddrTable).flatMap(([cluster, names]) => names.map((name) => [name, cluster] as const)),
    );
    return Object.entries(brokerAddrTable).flatMap(([brokerName, { cluster, brokerAddrs }]) => {
      const address = masterOf(brokerAddrs);
      return address === undefined
        ? []
        : [{ cluster: cluster ?? clusterOf.get(brokerName) ?? '', brokerName, address }];
    });
  }

  async #invoke(address: string, request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand> {
    try {
      return await this.remoting.invoke(address, request, timeoutMs);
    } catch (error) {
      if (!(error instanceof RemotingError) || error.code === 'REMOTING_ADDRESS_INVALID') throw error;
      throw new CliError('CLI_UNREACHABLE', `${address} does not answer: ${error.message}`, { address }, error);
    }
  }
}

/** Number 0 is the master. */
function masterOf(brokerAddrs: unknown): string | undefined {
  const entry = javaMapEntries(brokerAddrs).find(([id]) => Number(id) === 0);
  return entry?.[1] as string | undefined;
}

/** The queues of a route that may be read, or written, in an order that every member of a group sees alike. */
export function queuesOf(topic: string, route: readonly RouteEntry[], access: 'read' | 'write'): MessageQueue[] {
  const bit = access === 'read' ? 4 : 2;
  return route
    .filter(({ perm }) => (perm & bit) !== 0)
    .toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
    .flatMap(({ brokerName, readQueueNums, writeQueueNums }) => {
      const count = access === 'read' ? readQueueNums : writeQueueNums;
      return Array.from({ length: count }, (_, queueId) => ({ topic, brokerName, queueId }));
    });
}
