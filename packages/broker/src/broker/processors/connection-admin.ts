import {
  type ClientConnection,
  createResponse,
  encodeConsumerConnection,
  encodeProducerConnection,
  languageName,
  parseOffsetMessageId,
  type RemotingCommand,
  RemotingError,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import type { ClientChannelInfo } from '../client-channel.ts';
import { guarded, requiredText, success } from '../requests.ts';

/** Who is connected, and questions passed on to one of them (RocketMQ AdminBrokerProcessor). */
export function connectionAdmin(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [RequestCode.GET_CONSUMER_CONNECTION_LIST, guarded((request) => consumerConnections(broker, request))],
    [RequestCode.GET_PRODUCER_CONNECTION_LIST, guarded((request) => producerConnections(broker, request))],
    [RequestCode.GET_ALL_PRODUCER_INFO, guarded((request) => allProducers(broker, request))],
    [RequestCode.GET_CONSUMER_RUNNING_INFO, guarded((request) => relay(broker, request))],
    [RequestCode.CONSUME_MESSAGE_DIRECTLY, guarded((request) => relayMessage(broker, request))],
  ];
}

const connectionOf = (client: ClientChannelInfo): ClientConnection => ({
  clientAddr: client.connection.remoteAddress,
  clientId: client.clientId,
  language: client.language,
  version: client.version,
});

function consumerConnections(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const group = requiredText(request.extFields, 'consumerGroup');
  const info = broker.consumers.group(group);
  if (info === undefined) {
    return createResponse(request, ResponseCode.CONSUMER_NOT_ONLINE, `the consumer group[${group}] not online`);
  }
  const connectionSet = broker.consumers.clients(group).map(connectionOf);
  return success(request, undefined, encodeConsumerConnection({ ...info, connectionSet }));
}

function producerConnections(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const group = requiredText(request.extFields, 'producerGroup');
  const clients = broker.producers.clients(group);
  if (clients === undefined) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, `the producer group[${group}] not exist`);
  }
  return success(request, undefined, encodeProducerConnection(clients.map(connectionOf)));
}

function allProducers(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const data: Record<string, unknown> = {};
  for (const group of broker.producers.groups()) {
    data[group] = (broker.producers.clients(group) ?? []).map((client) => ({
      clientId: client.clientId,
      language: languageName(client.language),
      lastUpdateTimestamp: client.lastUpdateTimestamp,
      remoteIP: client.connection.remoteAddress,
      version: client.version,
    }));
  }
  return success(request, undefined, Buffer.from(JSON.stringify({ data })));
}

/** Passes the request on to the client it names and the client's answer back. */
async function relay(
  broker: BrokerContext,
  request: RemotingCommand,
  fields = request.extFields,
  body: Buffer | undefined = request.body === undefined ? undefined : Buffer.from(request.body),
): Promise<RemotingCommand> {
  const group = requiredText(request.extFields, 'consumerGroup');
  const clientId = requiredText(request.extFields, 'clientId');
  const client = broker.consumers.findClient(group, clientId);
  if (client === undefined) {
    const remark = `The Consumer <${group}> <${clientId}> not online`;
    return createResponse(request, ResponseCode.SYSTEM_ERROR, remark);
  }
  try {
    const answer = await broker.clients.callClient(client.connection, request.code, fields, body);
    const copy = answer.body === undefined ? undefined : Buffer.from(answer.body);
    return createResponse(request, answer.code, answer.remark, answer.extFields, copy);
  } catch (error) {
    if (!(error instanceof RemotingError)) throw error;
    const timedOut = error.code === 'REMOTING_TIMEOUT';
    const code = timedOut ? ResponseCode.CONSUME_MSG_TIMEOUT : ResponseCode.SYSTEM_ERROR;
    return createResponse(request, code, `consumer <${group}> <${clientId}>: ${error.message}`);
  }
}

/** A message's record goes along: the operator names it by its id, whose last 16 digits are its offset in the log. */
async function relayMessage(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = { ...request.extFields, brokerName: broker.config.brokerName };
  const msgId = request.extFields?.msgId;
  if (msgId === undefined || !/^([0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/.test(msgId)) return relay(broker, request, fields);
  const offset = parseOffsetMessageId(msgId).commitLogOffset;
  const record = await broker.store.selectOneMessageByOffset(offset);
  if (record === undefined) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${offset}`);
  }
  return relay(broker, request, fields, record);
}
