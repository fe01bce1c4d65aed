import { LanguageCode, messageQueueJson, type RemotingCommand } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { type AnswerText, addJoined } from '../long-answers/answer-text.ts';
import { queueMember } from './queue-member.ts';
import { granted, longAnswer, optionalFlag, optionalNumber, requiredText, success } from './requests.ts';

/** INVOKE_BROKER_TO_RESET_OFFSET */
export async function resetOffset(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  if (!broker.config.useServerSideResetOffset) return resetThroughMembers(broker, request, caller);
  const fields = request.extFields;
  const reset = {
    topic: requiredText(fields, 'topic'),
    group: requiredText(fields, 'group'),
    queueId: optionalNumber(fields, 'queueId', -1),
    timestamp: optionalNumber(fields, 'timestamp', -1),
    offset: optionalNumber(fields, 'offset', -1),
  };
  const queueIds = granted(broker.offsetReset.queuesOf(reset));
  return longAnswer(broker, request, caller, async (text) => {
    const offsets = granted(await broker.offsetReset.reset(reset, queueIds, () => text.turn()));
    await text.add('{"offsetTable":{');
    await addJoined(text, offsetMembers(broker, reset.topic, offsets));
    await text.add('}}');
  });
}

/** The same, told to the members of the group, who are online. */
async function resetThroughMembers(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const fields = request.extFields;
  const reset = {
    topic: requiredText(fields, 'topic'),
    group: requiredText(fields, 'group'),
    timestamp: optionalNumber(fields, 'timestamp', -1),
    isForced: optionalFlag(fields, 'isForce'),
  };
  // mqadmin says so for a group of C++ clients.
  const isForC = request.language === LanguageCode.CPP;
  return longAnswer(broker, request, caller, async (text) => {
    const offsets = granted(await broker.memberOffsets.targets(reset, () => text.turn()));
    const entries = await joined(text, offsetMembers(broker, reset.topic, offsets));
    const forMembers = isForC ? `[${await joined(text, cOffsets(broker, reset.topic, offsets))}]` : `{${entries}}`;
    const body = Buffer.from(`{"offsetTable":${forMembers}}`);
    granted(await broker.memberOffsets.tell(reset, body, () => text.turn()));
    await text.add(`{"offsetTable":{${entries}}}`);
  });
}

async function joined(text: AnswerText, pieces: Iterable<string>): Promise<string> {
  let all = '';
  for (const piece of pieces) {
    all += all === '' ? piece : `,${piece}`;
    await text.turn();
  }
  return all;
}

/** As C++ clients read them (RocketMQ ResetOffsetBodyForC). */
function* cOffsets(
  { config: { brokerName } }: BrokerContext,
  topic: string,
  offsets: ReadonlyMap<number, number>,
): Generator<string> {
  for (const [queueId, offset] of offsets) yield JSON.stringify({ topic, brokerName, queueId, offset });
}

/** INVOKE_BROKER_TO_GET_CONSUMER_STATUS */
export async function consumerStatus(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const topic = requiredText(fields, 'topic');
  const group = requiredText(fields, 'group');
  const clientId = fields?.clientAddr?.trim();
  const statuses = granted(await broker.memberOffsets.statuses(topic, group, clientId));
  const clients: string[] = [];
  for (const [id, queues] of statuses) {
    const members = queues.map(([queue, offset]) => `${JSON.stringify(messageQueueJson(queue))}:${offset}`);
    clients.push(`${JSON.stringify(id)}:{${members.join(',')}}`);
  }
  return success(request, undefined, Buffer.from(`{"consumerTable":{${clients.join(',')}},"messageQueueTable":{}}`));
}

function* offsetMembers(broker: BrokerContext, topic: string, offsets: ReadonlyMap<number, number>): Generator<string> {
  for (const [queueId, offset] of offsets) yield queueMember(broker, topic, queueId, offset);
}
