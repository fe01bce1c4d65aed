// Requests as clients make them, for tests that look at the answers.
import {
  createRequest,
  decodeTopicRouteData,
  encodeBatchBody,
  encodePropertiesString,
  type RemotingClient,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type TopicRouteData,
} from '@vernier/remoting';
import { sendFields } from './harness.ts';

interface Queue {
  topic: string;
  queueId: number;
}

export interface OutgoingMessage {
  body: Buffer;
  properties?: Iterable<readonly [string, string]>;
}

export function createSendRequest({ topic, queueId }: Queue, message: OutgoingMessage): RemotingCommand {
  const fields = sendFields(topic, queueId, { i: encodePropertiesString(message.properties ?? []) });
  return createRequest(RequestCode.SEND_MESSAGE_V2, fields, message.body);
}

export function createBatchSendRequest({ topic, queueId }: Queue, messages: OutgoingMessage[]): RemotingCommand {
  const batch = messages.map(({ body, properties }) => ({
    ...{ flag: 0, body },
    propertiesString: encodePropertiesString(properties ?? []),
  }));
  return createRequest(
    RequestCode.SEND_BATCH_MESSAGE,
    sendFields(topic, queueId, { m: 'true' }),
    encodeBatchBody(batch),
  );
}

/** What a nameserver says of a topic; undefined when it knows none. */
export async function fetchTopicRoute(
  client: RemotingClient,
  namesrv: string,
  topic: string,
): Promise<TopicRouteData | undefined> {
  const request = createRequest(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic, acceptStandardJsonOnly: 'true' });
  const answer = await client.invoke(namesrv, request, 3_000);
  if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
  if (answer.code !== ResponseCode.SUCCESS) throw new Error(`route of ${topic}: ${answer.code} ${answer.remark}`);
  return decodeTopicRouteData(answer.body);
}
