import { crc32 } from 'node:zlib';
import { RemotingError } from '../errors.ts';
import { hostText } from './message-id.ts';
import { decodePropertiesString } from './properties.ts';
import { MessageSysFlag } from './sys-flag.ts';

/** A message as a consumer gets it (RocketMQ MessageExt). */
export interface DecodedMessage {
  topic: string;
  queueId: number;
  queueOffset: number;
  commitLogOffset: number;
  /** Bytes of the whole record. */
  storeSize: number;
  bodyCRC: number;
  flag: number;
  sysFlag: number;
  /** Unix milliseconds, the producer's clock. */
  bornTimestamp: number;
  bornHost: string;
  bornPort: number;
  /** Unix milliseconds, the broker's clock. */
  storeTimestamp: number;
  storeHost: string;
  storePort: number;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  /** As stored: compressed when sysFlag says so. A view into the decoded buffer. */
  body: Buffer;
  properties: Map<string, string>;
}

const MAGIC_V1 = 0xdaa320a7 | 0;
const MAGIC_V2 = 0xdaa320ab | 0;

/**
 * Decodes one record at `start`; the layout is that of the commit log (RocketMQ MessageDecoder.decode):
 *
 * | At | Bytes   | Field            | At | Bytes   | Field                          |
 * |----|---------|------------------|----|---------|--------------------------------|
 * | 0  | 4       | total size       | 56 | 8       | store time                     |
 * | 4  | 4       | magic V1 or V2   | 64 | 8 or 20 | store host: address, i32 port  |
 * | 8  | 4       | body CRC         | 72 | 4       | reconsume times                |
 * | 12 | 4       | queue id         | 76 | 8       | prepared transaction offset    |
 * | 16 | 4       | flag             | 84 | 4 + n   | body                           |
 * | 20 | 8       | queue offset     |    | 1 + n   | topic (V2: 2 + n)              |
 * | 28 | 8       | log offset       |    | 2 + n   | properties                     |
 * | 36 | 4       | sysFlag          |    |         |                                |
 * | 40 | 8       | born time        |    |         |                                |
 * | 48 | 8 or 20 | born host        |    |         | (offsets are those with IPv4)  |
 *
 * Throws REMOTING_MESSAGE_INVALID when it does not add up; with `checkCrc`, also when the body is not what was sent.
 */
export function decodeRecord(buffer: Buffer, start = 0, checkCrc = true): DecodedMessage {
  const available = buffer.length - start;
  const totalSize = available >= 8 ? buffer.readInt32BE(start) : 0;
  const magic = available >= 8 ? buffer.readInt32BE(start + 4) : 0;
  if (totalSize < 91 || totalSize > available || (magic !== MAGIC_V1 && magic !== MAGIC_V2)) {
    throw invalid(start, `size ${totalSize}, magic 0x${(magic >>> 0).toString(16)}, ${available} bytes left`);
  }
  const end = start + totalSize;
  const sysFlag = buffer.readInt32BE(start + 36);
  const bornAddressBytes = (sysFlag & MessageSysFlag.BORN_HOST_V6) === 0 ? 4 : 16;
  const storeAddressBytes = (sysFlag & MessageSysFlag.STORE_HOST_V6) === 0 ? 4 : 16;
  const bornPortAt = start + 48 + bornAddressBytes;
  const storeHostAt = bornPortAt + 12;
  const storePortAt = storeHostAt + storeAddressBytes;
  const bodyAt = storePortAt + 20;
  if (bodyAt > end) throw invalid(start, `size ${totalSize} ends before the body`);
  const bodyEnd = bodyAt + buffer.readInt32BE(storePortAt + 16);
  const topicLengthBytes = magic === MAGIC_V1 ? 1 : 2;
  if (bodyEnd < bodyAt || bodyEnd + topicLengthBytes > end)
    throw invalid(start, `body ends at ${bodyEnd - start} of ${totalSize}`);
  const topicAt = bodyEnd + topicLengthBytes;
  const topicEnd = topicAt + (magic === MAGIC_V1 ? buffer.readUInt8(bodyEnd) : buffer.readUInt16BE(bodyEnd));
  if (topicEnd + 2 > end) throw invalid(start, `topic ends at ${topicEnd - start} of ${totalSize}`);
  const propertiesEnd = topicEnd + 2 + buffer.readUInt16BE(topicEnd);
  if (propertiesEnd > end) throw invalid(start, `properties end at ${propertiesEnd - start} of ${totalSize}`);
  const body = buffer.subarray(bodyAt, bodyEnd);
  const bodyCRC = buffer.readInt32BE(start + 8);
  if (checkCrc && body.length > 0 && (crc32(body) & 0x7fffffff) !== bodyCRC) {
    throw invalid(start, `body CRC ${crc32(body) & 0x7fffffff}, the record says ${bodyCRC}`);
  }
  return {
    topic: buffer.toString('utf8', topicAt, topicEnd),
    queueId: buffer.readInt32BE(start + 12),
    queueOffset: readInt64(buffer, start + 20),
    commitLogOffset: readInt64(buffer, start + 28),
    storeSize: totalSize,
    bodyCRC,
    flag: buffer.readInt32BE(start + 16),
    sysFlag,
    bornTimestamp: readInt64(buffer, start + 40),
    bornHost: hostText(buffer.subarray(start + 48, bornPortAt)),
    bornPort: buffer.readInt32BE(bornPortAt),
    storeTimestamp: readInt64(buffer, bornPortAt + 4),
    storeHost: hostText(buffer.subarray(storeHostAt, storePortAt)),
    storePort: buffer.readInt32BE(storePortAt),
    reconsumeTimes: buffer.readInt32BE(storePortAt + 4),
    preparedTransactionOffset: readInt64(buffer, storePortAt + 8),
    body,
    properties: decodePropertiesString(buffer.toString('utf8', topicEnd + 2, propertiesEnd)),
  };
}

/** Decodes the body of a pull response: whole records, one after another. Throws REMOTING_MESSAGE_INVALID. */
export function decodeRecords(body: Buffer, checkCrc = true): DecodedMessage[] {
  const messages: DecodedMessage[] = [];
  for (let position = 0; position < body.length; ) {
    const message = decodeRecord(body, position, checkCrc);
    messages.push(message);
    position += message.storeSize;
  }
  return messages;
}

/** A signed 64-bit number as two halves; exact to 2^53. */
function readInt64(buffer: Buffer, position: number): number {
  return buffer.readInt32BE(position) * 4_294_967_296 + buffer.readUInt32BE(position + 4);
}

function invalid(position: number, reason: string): RemotingError {
  return new RemotingError('REMOTING_MESSAGE_INVALID', `record at byte ${position}: ${reason}`, { position });
}
