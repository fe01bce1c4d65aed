import { isIP, isIPv6 } from 'node:net';
import { isReadable, isWriteable } from '@vernier/broker/internal';
import { parseAddress } from '@vernier/remoting';
import type { Backend, RoutedTopic } from '../backend/backend.ts';
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
  const { attributes, brokers } = routeOf(proxy.broker, name);
  const endpoints = endpointsOf(proxy, request.endpoints, call);
  const acceptMessageTypes = acceptedTypes(topicTypeOf({ attributes }));
  const messageQueues = brokers.flatMap((broker) => {
    const common = { topic: request.topic ?? { name }, broker: brokerAt(broker.name, endpoints), acceptMessageTypes };
    return broker.queues.map(({ id, perm }): MessageQueue => ({ ...common, id, permission: permissionOf(perm) }));
  });
  return { status: OK, messageQueues };
}

/**
 * QueryAssignment: what a consumer receives from: of a group in order each queue, of others one of each broker that stands for
 * all of its queues.
 */
export function queryAssignment(
  proxy: ProxyContext,
  request: QueryAssignmentRequest,
  call: Call,
): QueryAssignmentResponse {
  const { broker } = proxy;
  const name = topicOf(broker, request.topic);
  const group = groupOf(request.group);
  const { brokers } = routeOf(broker, name);
  const isOrdered = broker.groups.find(group)?.consumeMessageOrderly === true;
  const readable = brokers.filter(({ perm, readIds }) => isReadable(perm) && readIds.length > 0);
  if (readable.length === 0) throw new StatusError(Code.FORBIDDEN, 'no readable queue');
  const endpoints = endpointsOf(proxy, request.endpoints, call);
  const assignments = readable.flatMap(({ name: brokerName, perm, readIds }) => {
    const topic = request.topic ?? { name };
    const common = { topic, broker: brokerAt(brokerName, endpoints), permission: permissionOf(perm) };
    return (isOrdered ? readIds : [-1]).map((id) => ({ messageQueue: { ...common, id } }));
  });
  return { status: OK, assignments };
}

/** Throws TOPIC_NOT_FOUND. */
function routeOf({ topics }: Pick<Backend, 'topics'>, name: string): RoutedTopic {
  const route = topics.route(name);
  if (route === undefined) throw new StatusError(Code.TOPIC_NOT_FOUND, `topic[${name}] not exist`);
  return route;
}

/** Whoever stores the messages, its clients come to the proxy. */
const brokerAt = (name: string, endpoints: Endpoints) => ({ name, id: 0, endpoints });

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
