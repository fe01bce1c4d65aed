import { RemotingError } from '../errors.ts';

/** A message inside a batch body. */
export interface BatchMessage {
  flag: number;
  body: Uint8Array;
  /** name 0x01 value 0x02, repeated. */
  propertiesString: string;
}

const FIXED_BYTES = 22;
const PROPERTIES_BYTES_MAX = 32_767;

/**
 * Encodes the body of SEND_BATCH_MESSAGE (RocketMQ MessageDecoder.encodeMessages); one message after another:
 *
 * | Bytes | Field                                      |
 * |-------|--------------------------------------------|
 * | 4     | i32 total size of this message             |
 * | 4     | i32 magic, 0                               |
 * | 4     | i32 body CRC, 0                            |
 * | 4     | i32 flag                                   |
 * | 4 + n | i32 length, body                           |
 * | 2 + n | i16 length, properties in UTF-8            |
 *
 * Throws REMOTING_MESSAGE_INVALID when properties exceed 32,767 bytes.
 */
export function encodeBatchBody(messages: readonly BatchMessage[]): Buffer {
  const properties = messages.map((message) => Buffer.from(message.propertiesString));
  let size = 0;
  messages.forEach((message, index) => {
    const bytes = (properties[index] as Buffer).length;
    if (bytes > PROPERTIES_BYTES_MAX) {
      const text = `properties of ${bytes} bytes exceed ${PROPERTIES_BYTES_MAX}`;
      throw new RemotingError('REMOTING_MESSAGE_INVALID', text, { index, propertiesBytes: bytes });
    }
    size += FIXED_BYTES + message.body.length + bytes;
  });
  const target = Buffer.alloc(size);
  let position = 0;
  messages.forEach((message, index) => {
    const property = properties[index] as Buffer;
    target.writeInt32BE(FIXED_BYTES + message.body.length + property.length, position);
    target.writeInt32BE(message.flag, position + 12);
    target.writeInt32BE(message.body.length, position + 16);
    target.set(message.body, position + 20);
    position += 20 + message.body.length;
    target.writeInt16BE(property.length, position);
    property.copy(target, position + 2);
    position += 2 + property.length;
  });
  return target;
}

/**
 * Takes a batch body apart. The bodies are views into `body`, valid as long as it is.
 * Throws REMOTING_MESSAGE_INVALID with the index and position of the message that does not add up.
 */
export function decodeBatchBody(body: Buffer): (BatchMessage & { body: Buffer })[] {
  const messages: (BatchMessage & { body: Buffer })[] = [];
  let position = 0;
  while (position < body.length) {
    const start = position;
    const fault = (reason: string): RemotingError =>
      new RemotingError('REMOTING_MESSAGE_INVALID', `message ${messages.length} of the batch: ${reason}`, {
        index: messages.length,
        position: start,
        batchBytes: body.length,
      });
    if (start + FIXED_BYTES > body.length) throw fault(`${body.length - start} bytes are left, ${FIXED_BYTES} needed`);
    const totalSize = body.readInt32BE(start);
    const bodyLength = body.readInt32BE(start + 16);
    const end = start + totalSize;
    if (totalSize < FIXED_BYTES || end > body.length) throw fault(`size ${totalSize} of ${body.length - start} bytes`);
    const bodyEnd = start + 20 + bodyLength;
    if (bodyLength < 0 || bodyEnd + 2 > end) throw fault(`body of ${bodyLength} bytes in a message of ${totalSize}`);
    const propertiesEnd = bodyEnd + 2 + body.readInt16BE(bodyEnd);
    if (propertiesEnd !== end) throw fault(`properties end at ${propertiesEnd - start}, the message at ${totalSize}`);
    messages.push({
      flag: body.readInt32BE(start + 12),
      body: body.subarray(start + 20, bodyEnd),
      propertiesString: body.toString('utf8', bodyEnd + 2, propertiesEnd),
    });
    position = end;
  }
  return messages;
}
