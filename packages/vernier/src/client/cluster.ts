import {
  createRequest,
  decodeClusterInfo,
  decodeTopicRouteData,
  type ExtFields,
  RemotingClient,
  type RemotingCommand,
  RemotingError,
  RequestCode,
  ResponseCode,
  requestCodeName,
  responseCodeName,
  shortened,
} from '@vernier/remoting';
import { CliError } from '../errors.ts';
import type { Connecting } from './connecting.ts';
import { trustHint } from './tls-flags.ts';

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
/** Faults of what was typed, and none of the server. */
const MISTYPED: ReadonlySet<string> = new Set(['REMOTING_ADDRESS_INVALID', 'REMOTING_TLS_INVALID']);
const MASTER_ID = 0;
/** Queues of one topic over all brokers; each is an object here, and a route of more is none that a broker made. */
const QUEUES_MAX = 262_144;

/** A nameserver and the brokers behind it, as the command's own commands need them. */
export class Cluster {
  readonly remoting: RemotingClient;
  readonly #namesrvs: readonly string[];

  /** @param namesrv `host:port`, `;` between several; they are asked in this order until one answers. */
  constructor(namesrv: string, connecting: Connecting = {}) {
    this.remoting = new RemotingClient(connecting);
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
    const { brokerDatas, queueDatas } = decodeTopicRouteData(response.body);
    const masters = new Map(brokerDatas.map((broker) => [broker.brokerName, broker.brokerAddrs.get(MASTER_ID)]));
    const route = queueDatas.flatMap(({ brokerName, readQueueNums, writeQueueNums, perm }) => {
      const address = masters.get(brokerName);
      return address === undefined ? [] : [{ brokerName, address, readQueueNums, writeQueueNums, perm }];
    });
    const queues = route.reduce((sum, entry) => sum + Math.max(entry.readQueueNums, entry.writeQueueNums), 0);
    if (queues <= QUEUES_MAX) return route;
    const text = `the route of ${topic} has ${queues} queues, more than ${QUEUES_MAX}`;
    throw new RemotingError('REMOTING_BODY_INVALID', text, { topic, queues, queuesMax: QUEUES_MAX });
  }

  /** The masters of every cluster. */
  async brokers(): Promise<BrokerEntry[]> {
    const response = await this.callNamesrv(RequestCode.GET_BROKER_CLUSTER_INFO);
    const { brokerAddrTable, clusterAddrTable } = decodeClusterInfo(response.body);
    const clusterOf = new Map(
      [...clusterAddrTable].flatMap(([cluster, names]) => names.map((name) => [name, cluster] as const)),
    );
    return [...brokerAddrTable].flatMap(([brokerName, { cluster, brokerAddrs }]) => {
      const address = brokerAddrs.get(MASTER_ID);
      return address === undefined
        ? []
        : [{ cluster: cluster || (clusterOf.get(brokerName) ?? ''), brokerName, address }];
    });
  }

  async #invoke(address: string, request: RemotingCommand, timeoutMs: number): Promise<RemotingCommand> {
    try {
      return await this.remoting.invoke(address, request, timeoutMs);
    } catch (error) {
      if (!(error instanceof RemotingError) || MISTYPED.has(error.code)) throw error;
      const text = `${address} does not answer: ${error.message}${trustHint(error)}`;
      throw new CliError('CLI_UNREACHABLE', text, { address }, error);
    }
  }
}

/** A field of an answer that is a whole number. Throws REMOTING_BODY_INVALID when it is none or missing. */
export function numberField({ extFields }: RemotingCommand, name: string): number {
  const text = extFields?.[name];
  const value = text === undefined || !/^-?\d{1,16}$/.test(text) ? Number.NaN : Number(text);
  if (Number.isSafeInteger(value)) return value;
  const shown = text === undefined ? 'missing' : `'${shortened(text)}', not a whole number`;
  throw new RemotingError('REMOTING_BODY_INVALID', `the field ${name} of the answer is ${shown}`, { name });
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
