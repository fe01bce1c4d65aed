import {
  bodyCrc32,
  bodyObject,
  createResponse,
  dataVersionFromJson,
  dataVersionJson,
  decodeRegisterBrokerBody,
  encodeBrokerMemberGroup,
  encodeKVTable,
  type RegisterBrokerBody,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  sameDataVersion,
} from '@vernier/remoting';
import { ORDER_TOPIC_CONFIG } from '../kv-config-manager.ts';
import { type NamesrvContext, optionalInteger, type Processors, required, success } from './context.ts';

/** What brokers send: 103, 104, 322, 901, 904. */
export function brokerRegistrationProcessors(context: NamesrvContext): Processors {
  return new Map<number, RequestHandler>([
    [RequestCode.REGISTER_BROKER, inOrder((request, connection) => registerBroker(context, request, connection))],
    [RequestCode.UNREGISTER_BROKER, inOrder((request) => unregisterBroker(context, request))],
    [RequestCode.QUERY_DATA_VERSION, (request) => queryDataVersion(context, request)],
    [RequestCode.BROKER_HEARTBEAT, (request) => brokerHeartbeat(context, request)],
    [RequestCode.GET_BROKER_MEMBER_GROUP, (request, connection) => memberGroup(context, request, connection)],
  ]);
}

/** Registrations whose body is being unpacked, by connection. What a broker says after one must not overtake it. */
const unpacking = new WeakMap<RemotingConnection, Promise<unknown>>();

function inOrder(handle: RequestHandler): RequestHandler {
  return (request, connection) => {
    const before = unpacking.get(connection);
    const result =
      before === undefined ? handle(request, connection) : handleAfter(before, handle, request, connection);
    if (result instanceof Promise) {
      const done = result.then(nothing, nothing).then(() => {
        if (unpacking.get(connection) === done) unpacking.delete(connection);
      });
      unpacking.set(connection, done);
    }
    return result;
  };
}

/** What is handled later keeps its body: the one it came with is gone when this turn is over. */
function handleAfter(
  before: Promise<unknown>,
  handle: RequestHandler,
  request: RemotingCommand,
  connection: RemotingConnection,
): Promise<RemotingCommand | undefined> {
  const body = request.body === undefined ? undefined : Buffer.from(request.body);
  const kept = { ...request, body };
  return before.then(() => handle(kept, connection));
}

const nothing = (): void => {};

function registerBroker(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: RemotingConnection,
): RemotingCommand | Promise<RemotingCommand> {
  const crc = optionalInteger(request, 'bodyCrc32') ?? 0;
  if (crc !== 0 && bodyCrc32(request.body ?? Buffer.alloc(0)) !== crc) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, 'crc32 not match');
  }
  const body = registrationBody(request);
  return body instanceof Promise
    ? body.then((unpacked) => takeRegistration(context, request, connection, unpacked))
    : takeRegistration(context, request, connection, body);
}

function takeRegistration(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: RemotingConnection,
  body: RegisterBrokerBody,
): RemotingCommand {
  // A registration of a connection that closed meanwhile would stay for ever: its end has been told.
  if (connection.closed) return createResponse(request, ResponseCode.SYSTEM_ERROR, 'the connection is closed');
  const enableActingMaster = request.extFields?.enableActingMaster;
  const result = context.routes.registerBroker(
    {
      clusterName: required(request, 'clusterName'),
      brokerName: required(request, 'brokerName'),
      brokerId: optionalInteger(request, 'brokerId') ?? 0,
      brokerAddr: required(request, 'brokerAddr'),
      haServerAddr: request.extFields?.haServerAddr ?? '',
      zoneName: request.extFields?.__ZONE_NAME,
      heartbeatTimeoutMs: optionalInteger(request, 'heartbeatTimeoutMillis'),
      enableActingMaster: enableActingMaster === undefined ? undefined : enableActingMaster === 'true',
      topicConfig: body.topicConfig,
      topicQueueMappingInfo: body.topicQueueMappingInfo,
      filterServerList: body.filterServerList,
    },
    connection,
  );
  if (result.refused !== undefined) return createResponse(request, ResponseCode.SYSTEM_ERROR, result.refused);
  const order = context.config.returnOrderTopicConfigToBroker ? context.kv.list(ORDER_TOPIC_CONFIG) : undefined;
  return success(
    request,
    { haServerAddr: result.haServerAddr, masterAddr: result.masterAddr },
    order === undefined ? undefined : encodeKVTable(order),
  );
}

/** A registration without a body has no topics and the oldest version there is. */
function registrationBody(request: RemotingCommand): RegisterBrokerBody | Promise<RegisterBrokerBody> {
  if (request.body !== undefined) {
    return decodeRegisterBrokerBody(request.body, request.extFields?.compressed === 'true');
  }
  return {
    topicConfig: { dataVersion: { stateVersion: 0, timestamp: 0, counter: 0 }, topicConfigTable: new Map() },
    filterServerList: [],
    topicQueueMappingInfo: new Map(),
  };
}

function unregisterBroker(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const brokerName = required(request, 'brokerName');
  const brokerAddr = required(request, 'brokerAddr');
  if (context.routes.unregisterBroker(required(request, 'clusterName'), brokerName, brokerAddr))
    return success(request);
  const remark = `the broker ${brokerName} at ${brokerAddr} is in the process of this nameserver and unregisters by itself`;
  return createResponse(request, ResponseCode.SYSTEM_ERROR, remark);
}

/** Tells a broker whether it has to register again; asking counts as a sign of life. */
function queryDataVersion(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  const clusterName = required(request, 'clusterName');
  const brokerAddr = required(request, 'brokerAddr');
  const asked = dataVersionFromJson(bodyObject(request.body, 'DataVersion'));
  context.routes.touch(clusterName, brokerAddr);
  const known = context.routes.dataVersion(clusterName, brokerAddr);
  const changed = known === undefined || !sameDataVersion(known, asked);
  const body = known === undefined ? undefined : Buffer.from(JSON.stringify(dataVersionJson(known)));
  return success(request, { changed: String(changed) }, body);
}

function brokerHeartbeat(context: NamesrvContext, request: RemotingCommand): RemotingCommand {
  context.routes.touch(required(request, 'clusterName'), required(request, 'brokerAddr'));
  return success(request);
}

function memberGroup(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: RemotingConnection,
): RemotingCommand {
  const group = context.routes.brokerMemberGroup(
    required(request, 'clusterName'),
    required(request, 'brokerName'),
    connection,
  );
  return success(request, undefined, encodeBrokerMemberGroup(group));
}
