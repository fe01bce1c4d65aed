import { writeInt32, writeInt64 } from '../base/int64.ts';
import { RECORD_BYTES_MIN, TOPIC_BYTES_MAX } from '../base/limits.ts';
import type { EncodedProperties, MessageExtBrokerInner, StoreHost } from '../base/types.ts';
import { crc32Masked, MESSAGE_MAGIC_CODE, MESSAGE_MAGIC_CODE_V2, PROPERTY_CRC_BYTES } from './message-decoder.ts';
import { PROPERTY_CRC32 } from './properties.ts';
import { PropertyBit } from './property-scan.ts';
import { BORNHOST_V6_FLAG, STOREHOSTADDRESS_V6_FLAG } from './sys-flag.ts';

/** Topics whose encoded form is kept; more than a broker has in use at a time, small enough to forget at once. */
const TOPIC_CACHE_MAX = 10_000;
/** What each IPv6 host adds to a record, in bytes. */
const IPV6_EXTRA = 12;
/** The bits that say how long the hosts are: the encoder's alone, or a decoder would look for the body elsewhere. */
const HOST_FLAGS = BORNHOST_V6_FLAG | STOREHOSTADDRESS_V6_FLAG;

/** The parts of a message that differ between the messages of a batch. */
export interface EncodedPart {
  flag: number;
  body: Uint8Array;
  propertiesString: string;
  /** Instead of `propertiesString`. They hold nothing for which the record gets a checksum. */
  propertyBytes?: EncodedProperties | undefined;
}

/**
 * Writes records into the log's memory, each byte once and in place (RocketMQ MessageExtEncoder). Nothing is allocated a
 * message; topics are encoded once and kept.
 */
export class MessageEncoder {
  readonly #appendPropCrc: boolean;
  readonly #topicBytes = new Map<string, Buffer>();

  constructor(options: { enabledAppendPropCRC: boolean }) {
    this.#appendPropCrc = options.enabledAppendPropCRC;
  }

  topicBytes(topic: string): Buffer {
    let bytes = this.#topicBytes.get(topic);
    if (!bytes) {
      if (this.#topicBytes.size >= TOPIC_CACHE_MAX) this.#topicBytes.clear();
      bytes = Buffer.from(topic, 'utf8');
      this.#topicBytes.set(topic, bytes);
    }
    return bytes;
  }

  /** An upper bound of the record's size in bytes, found without encoding the properties. */
  sizeMax(message: MessageExtBrokerInner, part: EncodedPart): number {
    const size = this.#sizeWithoutProperties(message, part);
    if (part.propertyBytes !== undefined) return size + part.propertyBytes.length;
    return size + part.propertiesString.length * 3 + PROPERTY_CRC_BYTES + 1;
  }

  /** The record's exact size in bytes. */
  size(message: MessageExtBrokerInner, part: EncodedPart): number {
    const size = this.#sizeWithoutProperties(message, part);
    return size + (part.propertyBytes?.length ?? this.propertiesSize(part.propertiesString));
  }

  /** Whether the record gets a checksum for a setting or for what its properties hold; bytes are made text then. */
  needsText({ scan }: EncodedProperties): boolean {
    return this.#appendPropCrc || (scan.found & PropertyBit.CHECKSUM) !== 0;
  }

  /** Bytes of the properties as they will be stored, the record's checksum included when it gets one. */
  propertiesSize(propertiesString: string): number {
    const bytes = Buffer.byteLength(propertiesString);
    if (!this.#getsPropCrc(propertiesString)) return bytes;
    return bytes + PROPERTY_CRC_BYTES + (needsSeparator(propertiesString) ? 1 : 0);
  }

  /**
   * Whether the record gets its `__CRC32#`. Beside the setting: recovery takes a zero byte in properties without it for a
   * sector that never reached the disk, and takes a client's property of that name for ours.
   */
  #getsPropCrc(propertiesString: string): boolean {
    return this.#appendPropCrc || propertiesString.includes('\0') || propertiesString.includes(PROPERTY_CRC32);
  }

  #sizeWithoutProperties(message: MessageExtBrokerInner, part: EncodedPart): number {
    const topicSize = this.topicBytes(message.topic).length;
    return (
      RECORD_BYTES_MIN +
      (topicSize > TOPIC_BYTES_MAX ? 1 : 0) +
      (message.bornHost.address.length === 16 ? IPV6_EXTRA : 0) +
      (message.storeHost.address.length === 16 ? IPV6_EXTRA : 0) +
      part.body.length +
      topicSize
    );
  }

  /** Encodes one record at `at`, which must offer sizeMax() bytes (or size(), exactly); returns its size. */
  encode(
    target: Buffer,
    at: number,
    message: MessageExtBrokerInner,
    part: EncodedPart,
    queueOffset: number,
    physicalOffset: number,
    storeTimestamp: number,
  ): number {
    const topic = this.topicBytes(message.topic);
    const v2 = topic.length > TOPIC_BYTES_MAX;
    const body = part.body;
    let sysFlag = message.sysFlag & ~HOST_FLAGS;
    if (message.bornHost.address.length === 16) sysFlag |= BORNHOST_V6_FLAG;
    if (message.storeHost.address.length === 16) sysFlag |= STOREHOSTADDRESS_V6_FLAG;

    writeInt32(target, v2 ? MESSAGE_MAGIC_CODE_V2 : MESSAGE_MAGIC_CODE, at + 4);
    writeInt32(target, crc32Masked(body), at + 8);
    writeInt32(target, message.queueId, at + 12);
    writeInt32(target, part.flag, at + 16);
    writeInt64(target, queueOffset, at + 20);
    writeInt64(target, physicalOffset, at + 28);
    writeInt32(target, sysFlag, at + 36);
    writeInt64(target, message.bornTimestamp, at + 40);
    let p = writeHost(target, message.bornHost, at + 48);
    writeInt64(target, storeTimestamp, p);
    p = writeHost(target, message.storeHost, p + 8);
    writeInt32(target, message.reconsumeTimes, p);
    writeInt64(target, message.preparedTransactionOffset, p + 4);
    writeInt32(target, body.length, p + 12);
    p += 16;
    target.set(body, p);
    p += body.length;
    if (v2) {
      target.writeInt16BE(topic.length, p);
      p += 2;
    } else {
      target[p++] = topic.length;
    }
    target.set(topic, p);
    p += topic.length;

    const propertiesAt = p + 2;
    if (part.propertyBytes !== undefined) {
      p = part.propertyBytes.writeTo(target, propertiesAt);
      target.writeInt16BE(p - propertiesAt, propertiesAt - 2);
      writeInt32(target, p - at, at);
      return p - at;
    }
    p = propertiesAt + target.write(part.propertiesString, propertiesAt, 'utf8');
    if (!this.#getsPropCrc(part.propertiesString)) {
      target.writeInt16BE(p - propertiesAt, propertiesAt - 2);
      writeInt32(target, p - at, at);
      return p - at;
    }
    // The checksum covers every byte before it, sizes included, so those are written first.
    if (needsSeparator(part.propertiesString)) target[p++] = 2;
    target.writeInt16BE(p + PROPERTY_CRC_BYTES - propertiesAt, propertiesAt - 2);
    writeInt32(target, p + PROPERTY_CRC_BYTES - at, at);
    writePropCrc(target, at, p);
    return p + PROPERTY_CRC_BYTES - at;
  }
}

function needsSeparator(propertiesString: string): boolean {
  return propertiesString.length > 0 && propertiesString.charCodeAt(propertiesString.length - 1) !== 2;
}

/** Ten decimal digits, the least significant first (RocketMQ MessageDecoder.createCrc32). */
function writePropCrc(target: Buffer, recordAt: number, at: number): void {
  let crc = crc32Masked(target.subarray(recordAt, at));
  let p = at + target.write(PROPERTY_CRC32, at, 'latin1');
  target[p++] = 1;
  for (let digit = 0; digit < 10; digit++) {
    target[p++] = 48 + (crc % 10);
    crc = Math.floor(crc / 10);
  }
  target[p] = 2;
}

function writeHost(target: Buffer, host: StoreHost, at: number): number {
  const { address } = host;
  for (let i = 0; i < address.length; i++) target[at + i] = address[i]!;
  const p = at + address.length;
  writeInt32(target, host.port, p);
  return p + 4;
}
