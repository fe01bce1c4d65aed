import { ask } from '../../interop/peers/remoting-ask.ts';

export interface BrokerAddress {
  host: string;
  port: number;
}

/** A request header as a Java client writes it. 513 is the MQVersion ordinal of 5.5.0 (413 + 20 × 5). */
export function requestHeader(code: number, opaque: number, extFields: Record<string, string>): object {
  return { code, extFields, flag: 0, language: 'JAVA', opaque, serializeTypeCurrentRPC: 'JSON', version: 513 };
}

/** Fields of SEND_MESSAGE_V2 (310) as the Java client writes them. `properties`: name \u0001 value \u0002. */
export const sendFields = (topic: string, queueId: number, properties = '', sysFlag = 0): Record<string, string> => ({
  ...{ a: 'bench_producer', b: topic, c: 'TBW102', d: '4', e: String(queueId), f: String(sysFlag) },
  ...{ g: String(Date.now()), h: '0', i: properties, j: '0', k: 'false', m: 'false' },
});

/** Fields of PULL_MESSAGE (11) that brings its subscription: all tags, not held, unless `more` says otherwise. */
export const pullFields = (
  topic: string,
  queueId: number,
  queueOffset: number,
  more: Record<string, string> = {},
): Record<string, string> => ({
  ...{ consumerGroup: 'bench_consumer', topic, queueId: String(queueId), queueOffset: String(queueOffset) },
  // Bit 2: the subscription travels in the request; no offset commit.
  ...{ maxMsgNums: '32', sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0' },
  ...{ subscription: '*', subVersion: '0', expressionType: 'TAG', ...more },
});

async function askOrThrow(broker: BrokerAddress, code: number, extFields: Record<string, string>) {
  const answer = await ask(`${broker.host}:${broker.port}`, code, extFields, undefined, 10_000);
  if (answer.code !== 0) {
    throw new Error(
      `request ${code} ${JSON.stringify(extFields)} answered with code ${answer.code} ${answer.remark ?? ''}`,
    );
  }
  return answer;
}

/** RequestCode 17, UPDATE_AND_CREATE_TOPIC. Throws when the broker refuses. */
export async function createTopic(broker: BrokerAddress, topic: string, queueCount: number): Promise<void> {
  await askOrThrow(broker, 17, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: String(queueCount),
    writeQueueNums: String(queueCount),
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: '0',
    order: 'false',
  });
}

/** RequestCodes 31 and 30, GET_MIN_OFFSET and GET_MAX_OFFSET: the first offset of a queue and its exclusive end. */
export async function queueRange(
  broker: BrokerAddress,
  topic: string,
  queueId: number,
): Promise<{ min: number; max: number }> {
  const queue = { topic, queueId: String(queueId) };
  const min = Number((await askOrThrow(broker, 31, queue)).extFields.offset);
  const max = Number((await askOrThrow(broker, 30, { ...queue, committed: 'true' })).extFields.offset);
  return { min, max };
}
