import * as zlib from 'node:zlib';
import { inflateSync } from 'node:zlib';
import { type DecodedMessage, MessageSysFlag } from '@vernier/remoting';

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
  /** The body is still packed with this, because this Node cannot unpack it. */
  compressed?: string;
}

const COMPRESSION_NAMES: Record<number, string> = { 0: 'zlib', 1: 'lz4', 2: 'zstd', 3: 'zlib' };

/** The body as it was sent; `compressed` names what could not be unpacked. */
export function unpack({ body, sysFlag }: DecodedMessage): { body: Buffer; compressed?: string } {
  if ((sysFlag & MessageSysFlag.COMPRESSED) === 0) return { body };
  const name = COMPRESSION_NAMES[(sysFlag >> 8) & 7] ?? 'unknown';
  if (name === 'zlib') return { body: inflateSync(body) };
  // Since Node 22.15.
  const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (packed: Buffer) => Buffer };
  if (name === 'zstd' && zstdDecompressSync !== undefined) return { body: zstdDecompressSync(body) };
  return { body, compressed: name };
}

export function viewOf(message: DecodedMessage): MessageView {
  const { KEYS: keys, TAGS: tags, UNIQ_KEY: msgId, ...properties } = Object.fromEntries(message.properties);
  const { body, compressed } = unpack(message);
  const text = body.toString('utf8');
  const isText = compressed === undefined && Buffer.from(text, 'utf8').equals(body);
  return {
    topic: message.topic,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    commitLogOffset: message.commitLogOffset,
    msgId,
    keys,
    tags,
    properties,
    bornTime: new Date(message.bornTimestamp).toISOString(),
    storeTime: new Date(message.storeTimestamp).toISOString(),
    reconsumeTimes: message.reconsumeTimes,
    ...(isText ? { body: text } : { bodyBase64: body.toString('base64') }),
    ...(compressed === undefined ? {} : { compressed }),
  };
}
