import { RemotingError } from '../errors.ts';
import { shortened } from '../shortened.ts';
import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import { writeJavaJson } from './java-json.ts';
import {
  asArray,
  asObject,
  asStrings,
  bodyObject,
  booleanMember,
  countMember,
  integerMember,
  type JsonObject,
  objectMap,
  stringMember,
} from './json-members.ts';

/** Queues that a route may give a topic on one broker: whoever reads it makes an object for each. */
export const QUEUE_NUMS_MAX = 65_536;

/** Queues of a topic on one broker name (RocketMQ QueueData). */
export interface QueueData {
  brokerName: string;
  readQueueNums: number;
  writeQueueNums: number;
  perm: number;
  topicSysFlag: number;
}

/** A broker name with the addresses behind it (RocketMQ BrokerData). */
export interface BrokerData {
  cluster: string;
  brokerName: string;
  /** Broker id → `host:port`; 0 is the master. */
  brokerAddrs: Map<number, string>;
  enableActingMaster: boolean;
  zoneName?: string | undefined;
}

/** Answer to GET_ROUTEINFO_BY_TOPIC (RocketMQ TopicRouteData). */
export interface TopicRouteData {
  /** `brokerName:queueNum;…` of an ordered topic. */
  orderTopicConf?: string | undefined;
  queueDatas: QueueData[];
  brokerDatas: BrokerData[];
  /** Broker address → filter servers; no longer filled by anything current. */
  filterServerTable: Map<string, string[]>;
  /** Broker name → mapping of a static topic. */
  topicQueueMappingByBroker?: Map<string, unknown> | undefined;
}

/** Answer to GET_BROKER_CLUSTER_INFO (RocketMQ ClusterInfo). */
export interface ClusterInfo {
  brokerAddrTable: Map<string, BrokerData>;
  clusterAddrTable: Map<string, string[]>;
}

/** Answer to GET_BROKER_MEMBER_GROUP (RocketMQ BrokerMemberGroup). */
export interface BrokerMemberGroup {
  cluster: string;
  brokerName: string;
  brokerAddrs: Map<number, string>;
}

/** How broker ids are written as map keys: bare for peers before V4_9_4, quoted otherwise. */
export type IntegerKeys = 'bare' | 'quoted';

export function encodeTopicRouteData(route: TopicRouteData, integerKeys: IntegerKeys = 'quoted'): Buffer {
  return encode(
    {
      brokerDatas: route.brokerDatas.map(brokerDataJson),
      filterServerTable: route.filterServerTable,
      orderTopicConf: route.orderTopicConf,
      queueDatas: route.queueDatas.map((queue) => ({
        brokerName: queue.brokerName,
        perm: queue.perm,
        readQueueNums: queue.readQueueNums,
        topicSysFlag: queue.topicSysFlag,
        writeQueueNums: queue.writeQueueNums,
      })),
      topicQueueMappingByBroker: route.topicQueueMappingByBroker,
    },
    integerKeys,
  );
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeTopicRouteData(body: Uint8Array | undefined): TopicRouteData {
  const object = bodyObject(body, 'TopicRouteData', FRAME_BYTES_MAX);
  const mappings = object.topicQueueMappingByBroker;
  return {
    orderTopicConf: object.orderTopicConf === undefined ? undefined : stringMember(object, 'orderTopicConf'),
    queueDatas: asArray(object.queueDatas, 'queueDatas').map((item) => queueDataFromJson(asObject(item, 'QueueData'))),
    brokerDatas: asArray(object.brokerDatas, 'brokerDatas').map((item) =>
      brokerDataFromJson(asObject(item, 'BrokerData')),
    ),
    filterServerTable: stringLists(object.filterServerTable, 'filterServerTable'),
    topicQueueMappingByBroker: mappings === undefined ? undefined : objectMap(mappings, 'topicQueueMappingByBroker'),
  };
}

export function encodeClusterInfo(info: ClusterInfo, integerKeys: IntegerKeys = 'quoted'): Buffer {
  const brokers = new Map<string, object>();
  for (const [name, broker] of info.brokerAddrTable) brokers.set(name, brokerDataJson(broker));
  return encode({ brokerAddrTable: brokers, clusterAddrTable: info.clusterAddrTable }, integerKeys);
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeClusterInfo(body: Uint8Array | undefined): ClusterInfo {
  const object = bodyObject(body, 'ClusterInfo', FRAME_BYTES_MAX);
  const brokers = new Map<string, BrokerData>();
  for (const [name, broker] of Object.entries(asObject(object.brokerAddrTable, 'brokerAddrTable'))) {
    brokers.set(name, brokerDataFromJson(asObject(broker, 'BrokerData')));
  }
  return { brokerAddrTable: brokers, clusterAddrTable: stringLists(object.clusterAddrTable, 'clusterAddrTable') };
}

export function encodeBrokerMemberGroup(group: BrokerMemberGroup, integerKeys: IntegerKeys = 'quoted'): Buffer {
  const { brokerAddrs, brokerName, cluster } = group;
  return encode({ brokerMemberGroup: { brokerAddrs, brokerName, cluster } }, integerKeys);
}

/** Address of the master, or of any broker of that name when there is no master; undefined when there is none at all. */
export function selectBrokerAddr(broker: BrokerData): string | undefined {
  return broker.brokerAddrs.get(0) ?? broker.brokerAddrs.values().next().value;
}

function brokerDataJson(broker: BrokerData): object {
  return {
    brokerAddrs: broker.brokerAddrs,
    brokerName: broker.brokerName,
    cluster: broker.cluster,
    enableActingMaster: broker.enableActingMaster,
    zoneName: broker.zoneName,
  };
}

function brokerDataFromJson(object: JsonObject): BrokerData {
  const addresses = new Map<number, string>();
  const written = asObject(object.brokerAddrs, 'brokerAddrs');
  for (const id of Object.keys(written)) addresses.set(brokerId(id), stringMember(written, id));
  const zoneName = stringMember(object, 'zoneName');
  return {
    cluster: stringMember(object, 'cluster'),
    brokerName: stringMember(object, 'brokerName'),
    brokerAddrs: addresses,
    enableActingMaster: booleanMember(object, 'enableActingMaster'),
    zoneName: zoneName === '' ? undefined : zoneName,
  };
}

/** A broker id, which stands as a key. */
function brokerId(text: string): number {
  const id = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(id)) return id;
  const shown = shortened(text);
  throw new RemotingError('REMOTING_BODY_INVALID', `'${shown}' is not a broker id`, { brokerId: shown });
}

function queueDataFromJson(object: JsonObject): QueueData {
  return {
    brokerName: stringMember(object, 'brokerName'),
    readQueueNums: countMember(object, 'readQueueNums', QUEUE_NUMS_MAX),
    writeQueueNums: countMember(object, 'writeQueueNums', QUEUE_NUMS_MAX),
    perm: integerMember(object, 'perm'),
    topicSysFlag: integerMember(object, 'topicSysFlag'),
  };
}

function stringLists(value: unknown, what: string): Map<string, string[]> {
  const lists = new Map<string, string[]>();
  for (const [name, list] of Object.entries(asObject(value, what))) lists.set(name, asStrings(list, what));
  return lists;
}

function encode(value: unknown, integerKeys: IntegerKeys): Buffer {
  return Buffer.from(writeJavaJson(value, { integerKeys }));
}
