import { parseAddress, type QueueData, type TopicConfig } from '@vernier/remoting';
import type { BrokerRegistration } from './route-info-manager.ts';

/** Names of clusters, brokers, zones and topics, in bytes: what a store's directory can be named. */
const NAME_BYTES_MAX = 255;
/** `host:port` with the longest host name that there is. */
const ADDRESS_BYTES_MAX = 261;
/** RocketMQ allows a topic as many queues; mqadmin and brokers refuse more. */
const QUEUES_MAX = 65_536;
/** Read, write, inherit and priority (RocketMQ PermName). */
const PERM_MAX = 15;
const FILTER_SERVERS_MAX = 16;

/** What of a registration is not taken: how many topics, and the first reason. A registration has up to 200,000 of them. */
export class LeftOut {
  count = 0;
  first = '';

  add(reason: string): void {
    if (this.count++ === 0) this.first = reason;
  }

  /** For the log; undefined when nothing was left out. */
  get text(): string | undefined {
    return this.count === 0 ? undefined : `${this.count} topics left out; the first: ${this.first}`;
  }
}

/** A registration as the tables take it, or why it is refused. */
export type CheckedRegistration =
  | { fault: string; registration?: undefined }
  | {
      fault?: undefined;
      registration: BrokerRegistration;
      leftOut: LeftOut;
    };

/**
 * What of a registration can be taken: everything is of bounded size, so that the tables' bounds in entries are bounds in
 * bytes, and all of it can be written into a route. A registration whose broker has no usable name or address is refused
 * as a whole; of its topics only those that cannot be are left out.
 */
export function checkRegistration(registration: BrokerRegistration): CheckedRegistration {
  const { clusterName, brokerName, brokerId, brokerAddr, haServerAddr, zoneName, heartbeatTimeoutMs } = registration;
  const fault =
    nameFault('the cluster', clusterName) ??
    nameFault('the broker', brokerName) ??
    (zoneName === undefined ? undefined : nameFault('the zone', zoneName)) ??
    addressFault('brokerAddr', brokerAddr) ??
    (haServerAddr === '' ? undefined : addressFault('haServerAddr', haServerAddr)) ??
    (brokerId < 0 ? `brokerId is ${brokerId}; 0 is the master, slaves are above` : undefined) ??
    ((heartbeatTimeoutMs ?? 0) < 0 ? `heartbeatTimeoutMillis is ${heartbeatTimeoutMs}, which is below 0` : undefined);
  if (fault !== undefined) return { fault };
  const leftOut = new LeftOut();
  const topics = new Map<string, TopicConfig>();
  for (const [name, topic] of registration.topicConfig.topicConfigTable) {
    const reason = topicFault(name, topic);
    if (reason === undefined) topics.set(name, topic);
    else leftOut.add(reason);
  }
  const filterServerList = (registration.filterServerList ?? [])
    .filter((address) => addressFault('filter server', address) === undefined)
    .slice(0, FILTER_SERVERS_MAX);
  const topicConfig = { dataVersion: registration.topicConfig.dataVersion, topicConfigTable: topics };
  return { registration: { ...registration, topicConfig, filterServerList }, leftOut };
}

/** What is wrong with a topic that a broker or an operator puts into the routes; undefined when nothing is. */
export function topicFault(name: string, topic: Omit<QueueData, 'brokerName'>): string | undefined {
  const fault = nameFault('the topic', name);
  if (fault !== undefined) return fault;
  for (const key of ['readQueueNums', 'writeQueueNums'] as const) {
    const count = topic[key];
    if (!Number.isInteger(count) || count < 0 || count > QUEUES_MAX) {
      return `${key} of the topic ${name} is ${count}; allowed are 0 to ${QUEUES_MAX}`;
    }
  }
  if (!Number.isInteger(topic.perm) || topic.perm < 0 || topic.perm > PERM_MAX) {
    return `perm of the topic ${name} is ${topic.perm}; allowed are 0 to ${PERM_MAX}`;
  }
  return undefined;
}

function nameFault(what: string, name: string): string | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0) return `the name of ${what} is empty`;
  if (bytes > NAME_BYTES_MAX) {
    return `the name of ${what} has ${bytes} bytes, at most ${NAME_BYTES_MAX} are allowed: ${name.slice(0, 40)}…`;
  }
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return `the name of ${what} has a control character at ${at}`;
  }
  return undefined;
}

function addressFault(what: string, address: string): string | undefined {
  if (Buffer.byteLength(address) > ADDRESS_BYTES_MAX) {
    return `${what} has ${Buffer.byteLength(address)} bytes, at most ${ADDRESS_BYTES_MAX} are allowed`;
  }
  try {
    parseAddress(address);
    return undefined;
  } catch {
    return `${what} is '${address}', which is no host:port`;
  }
}
