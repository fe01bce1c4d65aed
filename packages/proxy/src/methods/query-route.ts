import { isIP, isIPv6 } from 'node:net';
import { AUTO_CREATE_TOPIC_KEY_TOPIC, type BrokerContext, isReadable, isWriteable } from '@vernier/broker/internal';
import { Perm, parseAddress, type TopicConfig } from '@vernier/remoting';
import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { acceptedTypes, topicTypeOf } from '../messages/message-types.ts';
import { OK, StatusError } from '../status.ts';
import { groupOf, topicOf } from '../validate.ts';
import {
  AddressScheme,
  Code,
  type Endpoints,
  type MessageQueue,
  Permission,
  type QueryAssignmentRequest,
  type QueryAssignmentResponse,
  type QueryRouteRequest,
  type QueryRouteResponse,
} from '../wire/messages.ts';

/** QueryRoute: the queues of a topic, and where they are: at the address that the client dialled. */
export function queryRoute(proxy: ProxyContext, request: QueryRouteRequest, call: Call): QueryRouteResponse {
  const name = topicOf(proxy.broker, request.topic);
  const topic = routedTopic(proxy.broker, name);
  const common = {
    topic: request.topic ?? { name },
    broker: brokerAt(proxy, endpointsOf(proxy, request.endpoints, call)),
    acceptMessageTypes: acceptedTypes(topicTypeOf(topic)),
  };
  const hosted = proxy.broker.staticTopics.hosted(name);
  const messageQueues =
    hosted === undefined
      ? permissionsOf(topic).map((permission, id): MessageQueue => ({ ...common, id, permission }))
      : hosted.map(({ globalId }) => ({ ...common, id: globalId, permission: permissionOf(topic.perm) }));
  return { status: OK, messageQueues };
}

/** QueryAssignment: what a consumer receives from: of a group in order each queue, of others one that stands for all. */
export function queryAssignment(
  proxy: ProxyContext,
  request: QueryAssignmentRequest,
  call: Call,
): QueryAssignmentResponse {
  const { broker } = proxy;
  const name = topicOf(broker, request.topic);
  const group = groupOf(request.group);
  const topic = routedTopic(broker, name);
  const isOrdered = broker.groups.find(group)?.consumeMessageOrderly === true;
  if (!isReadable(topic.perm) || topic.readQueueNums === 0) {
    throw new StatusError(Code.FORBIDDEN, 'no readable queue');
  }
  const common = {
    topic: request.topic ?? { name },
    broker: brokerAt(proxy, endpointsOf(proxy, request.endpoints, call)),
    permission: permissionOf(topic.perm),
  };
  const hosted = broker.staticTopics.hosted(name)?.map(({ globalId }) => globalId);
  const ids = isOrdered ? (hosted ?? Array.from({ length: topic.readQueueNums }, (_, id) => id)) : [-1];
  return { status: OK, assignments: ids.map((id) => ({ messageQueue: { ...common, id } })) };
}

/** How many queues a topic gets that its first message makes (RocketMQ: what clients of gRPC ask for). */
const NEW_TOPIC_QUEUES = 4;

/**
 * The topic; what it will be when the first message may make it. RocketMQ's proxy knows no topic that is not there, whatever
 * autoCreateTopicEnable says. Throws TOPIC_NOT_FOUND.
 */
export function routedTopic({ topics, config }: BrokerContext, name: string): TopicConfig {
  const limited = (topic: TopicConfig): TopicConfig => ({
    ...topic,
    perm: topic.perm & (config.brokerPermission | ~(Perm.READ | Perm.WRITE)),
  });
  const known = topics.select(name);
  if (known !== undefined) return limited(known);
  const template = config.autoCreateTopicEnable ? topics.select(AUTO_CREATE_TOPIC_KEY_TOPIC) : undefined;
  if (template === undefined) throw new StatusError(Code.TOPIC_NOT_FOUND, `topic[${name}] not exist`);
  const count = Math.min(NEW_TOPIC_QUEUES, template.writeQueueNums);
  const queues = { readQueueNums: count, writeQueueNums: count };
  return limited({
    ...template,
    ...queues,
    topicName: name,
    perm: template.perm & ~Perm.INHERIT,
    attributes: new Map(),
  });
}

const brokerAt = ({ broker }: ProxyContext, endpoints: Endpoints) => ({
  name: broker.config.brokerName,
  id: 0,
  endpoints,
});

function endpointsOf({ address }: ProxyContext, endpoints: Endpoints | null | undefined, call: Call): Endpoints {
  const addresses = endpoints?.addresses ?? [];
  if (addresses.length > 0) return { scheme: endpoints?.scheme ?? AddressScheme.IPv4, addresses };
  const { host, port } = addressOf(call.authority) ?? (addressOf(address) as { host: string; port: number });
  const scheme = isIPv6(host) ? AddressScheme.IPv6 : isIP(host) ? AddressScheme.IPv4 : AddressScheme.DOMAIN_NAME;
  return { scheme, addresses: [{ host, port }] };
}

/** Undefined for what is none. */
function addressOf(text: string): { host: string; port: number } | undefined {
  try {
    return parseAddress(text);
  } catch {
    return undefined;
  }
}

function permissionOf(perm: number): Permission {
  if (isReadable(perm)) return isWriteable(perm) ? Permission.READ_WRITE : Permission.READ;
  return isWriteable(perm) ? Permission.WRITE : Permission.NONE;
}

/** Of each queue: those behind the smaller number are for readers, or writers, alone. */
function permissionsOf({ perm, readQueueNums, writeQueueNums }: TopicConfig): Permission[] {
  const [readable, writeable] = [isReadable(perm), isWriteable(perm)];
  const length = Math.max(readQueueNums, writeQueueNums);
  if (!readable && !writeable) return Array.from({ length: Math.max(1, length) }, () => Permission.NONE);
  const queues = Array.from({ length }, (_, id) =>
    permissionOf(
      (readable && id < readQueueNums ? Perm.READ : 0) | (writeable && id < writeQueueNums ? Perm.WRITE : 0),
    ),
  );
  return queues.filter((permission) => permission !== Permission.NONE);
}
