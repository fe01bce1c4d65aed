import { RemotingError } from '../errors.ts';
import { type ExtFields, type RemotingCommand, SerializeType } from './remoting-command.ts';

/**
 * The binary header, serialize type 1 (RocketMQ RocketMQSerializable):
 *
 * | Bytes   | Field                                                                     |
 * |---------|---------------------------------------------------------------------------|
 * | 2       | i16 code                                                                  |
 * | 1       | u8 language                                                               |
 * | 2       | i16 version                                                               |
 * | 4       | i32 opaque                                                                |
 * | 4       | i32 flag                                                                  |
 * | 4 + n   | i32 length, remark in UTF-8; length 0 = none                              |
 * | 4 + n   | i32 length, fields; length 0 = none; each i16 length, name, i32 length, value |
 *
 * The code has 16 bits: the request codes from 200,050 on do not fit and are sent by clients in JSON.
 */
const FIXED_BYTES = 21;

/** Decodes the header at [start, end). Throws REMOTING_FRAME_INVALID. */
export function decodeBinaryHeader(
  buffer: Buffer,
  start: number,
  end: number,
  body: Buffer | undefined,
): RemotingCommand {
  if (end - start < FIXED_BYTES) throw invalid(`binary header of ${end - start} bytes is below ${FIXED_BYTES}`);
  const remarkStart = start + 17;
  const remarkEnd = remarkStart + lengthAt(buffer, start + 13, end, 'remark');
  const fieldsStart = remarkEnd + 4;
  if (fieldsStart > end) throw invalid(`remark of ${remarkEnd - remarkStart} bytes leaves no room for the fields`);
  const fieldsEnd = fieldsStart + lengthAt(buffer, remarkEnd, end, 'extFields');
  return {
    code: buffer.readInt16BE(start),
    flag: buffer.readInt32BE(start + 9),
    opaque: buffer.readInt32BE(start + 5),
    language: buffer[start + 2] as number,
    version: buffer.readInt16BE(start + 3),
    remark: remarkEnd > remarkStart ? buffer.toString('utf8', remarkStart, remarkEnd) : undefined,
    extFields: fieldsEnd > fieldsStart ? decodeFields(buffer, fieldsStart, fieldsEnd) : undefined,
    body,
    bodyParts: undefined,
    serializeType: SerializeType.ROCKETMQ,
  };
}

/**
 * One call decodes the whole block, and names and values are cut out of its text. That is right when every byte became
 * one character, which the lengths tell: a character beyond ASCII takes several bytes and makes the text shorter. Then,
 * which is rare, each name and value is decoded by itself.
 */
function decodeFields(buffer: Buffer, start: number, end: number): ExtFields {
  const fields: ExtFields = {};
  const block = buffer.toString('utf8', start, end);
  const aligned = block.length === end - start;
  let position = start;
  while (position < end) {
    if (position + 2 > end) throw invalid('extFields end inside a name length');
    const nameStart = position + 2;
    const nameEnd = nameStart + buffer.readUInt16BE(position);
    if (nameEnd + 4 > end) throw invalid(`extFields name of ${nameEnd - nameStart} bytes crosses the end`);
    const valueStart = nameEnd + 4;
    const valueEnd = valueStart + lengthAt(buffer, nameEnd, end, 'extFields value');
    if (aligned) {
      setField(
        fields,
        block.slice(nameStart - start, nameEnd - start),
        block.slice(valueStart - start, valueEnd - start),
      );
    } else {
      setField(fields, buffer.toString('utf8', nameStart, nameEnd), buffer.toString('utf8', valueStart, valueEnd));
    }
    position = valueEnd;
  }
  return fields;
}

/** `__proto__` is a name like any other on the wire; a plain assignment would change the object's prototype instead. */
function setField(fields: ExtFields, name: string, value: string): void {
  if (name === '__proto__') {
    Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    fields[name] = value;
  }
}

/** The i32 length at `position`, checked against the end of the header. */
function lengthAt(buffer: Buffer, position: number, end: number, what: string): number {
  const length = buffer.readInt32BE(position);
  if (length < 0 || position + 4 + length > end) {
    throw invalid(`${what} length ${length} does not fit the ${end - position - 4} bytes left`);
  }
  return length;
}

function invalid(reason: string): RemotingError {
  return new RemotingError('REMOTING_FRAME_INVALID', `binary header cannot be read: ${reason}`);
}

/** Bytes the header can take at most, for a buffer to write it into. */
export function binaryHeaderBytesMax(command: RemotingCommand): number {
  let chars = command.remark === undefined ? 0 : command.remark.length;
  let count = 0;
  const fields = command.extFields;
  if (fields !== undefined) {
    for (const name in fields) {
      const value = fields[name];
      if (value === undefined) continue;
      chars += name.length + value.length;
      count++;
    }
  }
  return FIXED_BYTES + count * 6 + chars * 3;
}

/** Writes the header at `start`; returns where it ends. Throws REMOTING_HEADER_TOO_LARGE when a number does not fit. */
export function writeBinaryHeader(command: RemotingCommand, target: Buffer, start: number): number {
  if (command.code < -32768 || command.code > 32767) {
    throw new RemotingError('REMOTING_HEADER_TOO_LARGE', `code ${command.code} does not fit the binary header`, {
      code: command.code,
    });
  }
  target.writeInt16BE(command.code, start);
  target[start + 2] = command.language;
  target.writeInt16BE(command.version, start + 3);
  target.writeInt32BE(command.opaque, start + 5);
  target.writeInt32BE(command.flag, start + 9);
  const remarkBytes = command.remark === undefined ? 0 : target.write(command.remark, start + 17, 'utf8');
  target.writeInt32BE(remarkBytes, start + 13);
  const fieldsStart = start + 17 + remarkBytes + 4;
  let position = fieldsStart;
  const fields = command.extFields;
  if (fields !== undefined) {
    for (const name in fields) {
      const value = fields[name];
      if (value === undefined) continue;
      const nameBytes = target.write(name, position + 2, 'utf8');
      if (nameBytes > 0x7fff) {
        throw new RemotingError('REMOTING_HEADER_TOO_LARGE', `field name of ${nameBytes} bytes exceeds 32767`);
      }
      target.writeUInt16BE(nameBytes, position);
      position += 2 + nameBytes;
      const valueBytes = target.write(value, position + 4, 'utf8');
      target.writeInt32BE(valueBytes, position);
      position += 4 + valueBytes;
    }
  }
  target.writeInt32BE(position - fieldsStart, fieldsStart - 4);
  return position;
}
