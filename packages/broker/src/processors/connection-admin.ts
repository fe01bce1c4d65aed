import {
  type ClientConnection,
  createResponse,
  encodeConsumerConnection,
  encodeProducerConnection,
  languageName,
  type RemotingCommand,
} from '@vernier/remoting';
import type { Question } from '../admin/operator-questions.ts';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { ClientAnswer } from '../clients/client.ts';
import type { GroupMember } from '../clients/group-clients.ts';
import type { BrokerContext } from '../context.ts';
import { addJoined } from '../long-answers/answer-text.ts';
import { granted, longAnswer, refused, requiredText, success } from './requests.ts';

const connectionOf = ({ client }: GroupMember): ClientConnection => ({
  clientAddr: client.remoteAddress,
  clientId: client.clientId,
  language: client.language,
  version: client.version,
});

/** GET_CONSUMER_CONNECTION_LIST */
export function consumerConnections({ consumers }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { info, members } = granted(consumers.online(requiredText(request.extFields, 'consumerGroup')));
  return success(request, undefined, encodeConsumerConnection({ ...info, connectionSet: members.map(connectionOf) }));
}

/** GET_PRODUCER_CONNECTION_LIST */
export function producerConnections({ producers }: BrokerContext, request: RemotingCommand): RemotingCommand {
  const members = granted(producers.online(requiredText(request.extFields, 'producerGroup')));
  return success(request, undefined, encodeProducerConnection(members.map(connectionOf)));
}

/** GET_ALL_PRODUCER_INFO */
export function allProducers(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  return longAnswer(broker, request, caller, async (text) => {
    await text.add('{"data":{');
    await addJoined(text, producerMembers(broker));
    await text.add('}}');
  });
}

function* producerMembers({ producers }: BrokerContext): Generator<string> {
  for (const group of producers.groups()) {
    const clients = (producers.members(group) ?? []).map(({ client, lastUpdateTimestamp }) => ({
      clientId: client.clientId,
      language: languageName(client.language),
      lastUpdateTimestamp,
      // As Java writes a socket's address.
      remoteIP: `/${client.remoteAddress}`,
      version: client.version,
    }));
    yield `${JSON.stringify(group)}:${JSON.stringify(clients)}`;
  }
}

/** GET_CONSUMER_RUNNING_INFO */
export async function consumerRunningInfo(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  return answered(request, await broker.questions.ask(questionOf(request)));
}

/** CONSUME_MESSAGE_DIRECTLY */
export async function consumeMessageDirectly(
  broker: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const { topic, consumerGroup } = request.extFields ?? {};
  const flags: Record<string, string> = {};
  const topicConfig = topic === undefined ? undefined : broker.topics.select(topic);
  if (topicConfig !== undefined) flags.topicSysFlag = String(topicConfig.topicSysFlag);
  const groupConfig = consumerGroup === undefined ? undefined : broker.groups.table.get(consumerGroup);
  if (groupConfig !== undefined) flags.groupSysFlag = String(groupConfig.groupSysFlag);
  const question = questionOf(request, { brokerName: broker.config.brokerName, ...flags });
  return answered(request, await broker.questions.askWithMessage(question, request.extFields?.msgId));
}

/** The request as it goes on to the client; its body is the socket's and has to be copied. */
const questionOf = (request: RemotingCommand, more?: Record<string, string>): Question => ({
  code: request.code,
  group: requiredText(request.extFields, 'consumerGroup'),
  clientId: requiredText(request.extFields, 'clientId'),
  fields: more === undefined ? request.extFields : { ...request.extFields, ...more },
  body: request.body === undefined ? undefined : Buffer.from(request.body),
});

const answered = (request: RemotingCommand, answer: ClientAnswer | Refusal): RemotingCommand =>
  answer instanceof Refusal
    ? refused(request, answer)
    : createResponse(request, answer.code, answer.remark, answer.fields, answer.body);
