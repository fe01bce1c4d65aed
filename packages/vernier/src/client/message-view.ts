import { bodyCrc32, compressionType, type DecodedMessage } from '@vernier/remoting';

/** A message as `consume --json` prints it. */
export interface MessageView {
  topic: string;
  queueId: number;
  queueOffset: number;
  commitLogOffset: number;
  msgId: string | undefined;
  keys: string | undefined;
  tags: string | undefined;
  properties: Record<string, string>;
  bornTime: string;
  storeTime: string;
  reconsumeTimes: number;
  /** UTF-8. */
  body?: string;
  /** A body that is not UTF-8. */
  bodyBase64?: string;
  /** Why the body is not what its producer sent, or still packed. It stands as it was stored then. */
  bodyProblem?: string;
}

/** The body as it was sent; with a `problem`, as it was stored. Never rejects: a damaged one is among the others. */
export async function unpack(message: DecodedMessage): Promise<{ body: Buffer; problem?: string }> {
  const { body, sysFlag, bodyCRC } = message;
  if (body.length > 0 && bodyCrc32(body) !== bodyCRC) {
    return { body, problem: `it is damaged: its checksum is ${bodyCrc32(body)}, the record says ${bodyCRC}` };
  }
  if (compressionType(sysFlag) === 'none') return { body };
  const { BodyUnpacker } = await import('@vernier/doctor');
  return new BodyUnpacker().unpack(body, sysFlag);
}

export async function viewOf(message: DecodedMessage): Promise<MessageView> {
  const { KEYS: keys, TAGS: tags, UNIQ_KEY: msgId, ...properties } = Object.fromEntries(message.properties);
  const { body, problem } = await unpack(message);
  const text = body.toString('utf8');
  const isText = problem === undefined && Buffer.from(text, 'utf8').equals(body);
  return {
    topic: message.topic,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    commitLogOffset: message.commitLogOffset,
    msgId,
    keys,
    tags,
    properties,
    bornTime: timeText(message.bornTimestamp),
    storeTime: timeText(message.storeTimestamp),
    reconsumeTimes: message.reconsumeTimes,
    ...(isText ? { body: text } : { bodyBase64: body.toString('base64') }),
    ...(problem === undefined ? {} : { bodyProblem: problem }),
  };
}

/** A producer says whatever it likes of its time. */
export const timeText = (ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} (no time)`;
