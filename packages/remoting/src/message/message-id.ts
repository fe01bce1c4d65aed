import { isIPv6 } from 'node:net';
import { RemotingError } from '../errors.ts';
import { formatAddress } from '../net/address.ts';
import { shortened } from '../shortened.ts';

/** What an offset message id says (RocketMQ MessageDecoder.decodeMessageId). */
export interface OffsetMessageId {
  host: string;
  port: number;
  /** Offset of the record in that broker's log. */
  commitLogOffset: number;
}

/** 4 or 16 address bytes of a textual address. Throws REMOTING_ADDRESS_INVALID. */
export function hostBytes(host: string): Buffer {
  if (isIPv6(host)) return ipv6Bytes(host);
  const parts = host.split('.').map(Number);
  if (parts.length !== 4 || !parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)) {
    throw new RemotingError('REMOTING_ADDRESS_INVALID', `'${shortened(host)}' is not an IP address`, {
      host: shortened(host),
    });
  }
  return Buffer.from(parts);
}

function ipv6Bytes(host: string): Buffer {
  const [address = ''] = host.split('%');
  const v4 = /(?:^|:)(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  const tail = v4 === undefined ? undefined : hostBytes(v4);
  const text =
    tail === undefined || v4 === undefined
      ? address
      : `${address.slice(0, -v4.length)}${tail.readUInt16BE(0).toString(16)}:${tail.readUInt16BE(2).toString(16)}`;
  const [head = '', rest] = text.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const left = groups(head);
  const right = groups(rest ?? '');
  const bytes = Buffer.alloc(16);
  left.forEach((word, index) => {
    bytes.writeUInt16BE(word, index * 2);
  });
  right.forEach((word, index) => {
    bytes.writeUInt16BE(word, 16 - right.length * 2 + index * 2);
  });
  return bytes;
}

/** Text of 4 or 16 address bytes; IPv6 in its compressed form. */
export function hostText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = Array.from({ length: 8 }, (_, index) => view.readUInt16BE(index * 2).toString(16));
  // The longest run of zero words, two at least, becomes "::".
  const zeros = [...words.join(':').matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length)[0];
  if (zeros === undefined) return words.join(':');
  const text = words.join(':');
  const after = text.slice(zeros.index + zeros[0].length);
  return `${text.slice(0, zeros.index)}::${after.startsWith(':') ? after.slice(1) : after}`;
}

/** Upper-case hex of address, port (i32) and offset (i64): 32 characters, 56 with IPv6. */
export function createOffsetMessageId(address: Uint8Array, port: number, commitLogOffset: number): string {
  return hostHex(address, port) + offsetHex(commitLogOffset);
}

/** The part of an offset message id that is the same for all messages of a broker. Concatenate with `offsetHex`. */
export function hostHex(address: Uint8Array, port: number): string {
  const bytes = Buffer.alloc(address.length + 4);
  bytes.set(address);
  bytes.writeInt32BE(port, address.length);
  return bytes.toString('hex').toUpperCase();
}

/** 16 upper-case hex digits of a log offset. */
export function offsetHex(commitLogOffset: number): string {
  return commitLogOffset.toString(16).toUpperCase().padStart(16, '0');
}

/** Throws REMOTING_MESSAGE_INVALID. */
export function parseOffsetMessageId(messageId: string): OffsetMessageId {
  if (!/^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/.test(messageId)) {
    throw new RemotingError('REMOTING_MESSAGE_INVALID', `'${shortened(messageId)}' is not an offset message id`, {
      messageId: shortened(messageId),
    });
  }
  const bytes = Buffer.from(messageId, 'hex');
  const addressBytes = bytes.length - 12;
  const commitLogOffset = Number(bytes.readBigInt64BE(addressBytes + 4));
  const port = bytes.readInt32BE(addressBytes);
  if (!Number.isSafeInteger(commitLogOffset) || commitLogOffset < 0 || port < 0 || port > 65_535) {
    throw new RemotingError('REMOTING_MESSAGE_INVALID', `'${shortened(messageId)}' is not an offset message id`, {
      messageId: shortened(messageId),
    });
  }
  return { host: hostText(bytes.subarray(0, addressBytes)), port, commitLogOffset };
}

/** `host:port` of the broker that an offset message id names. */
export function messageIdAddress(id: OffsetMessageId): string {
  return formatAddress(id.host, id.port);
}
