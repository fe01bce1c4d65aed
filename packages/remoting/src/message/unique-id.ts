import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { RemotingError } from '../errors.ts';
import { shortened } from '../shortened.ts';
import { hostBytes, hostText } from './message-id.ts';

/** What a client-made unique id says (RocketMQ MessageClientIDSetter). */
export interface UniqueId {
  host: string;
  /** Low 16 bits of the producer's process id. */
  pid: number;
  /** Milliseconds since the first of the month 00:00 local time, of the month in which the producer last turned over. */
  monthMs: number;
  counter: number;
}

/**
 * Makes the ids that stand in UNIQ_KEY, one generator a process and address:
 *
 * | Bytes  | Field                                              |
 * |--------|----------------------------------------------------|
 * | 4 (16) | address                                            |
 * | 2      | low 16 bits of the process id                      |
 * | 4      | in Java a class loader's hash; here random         |
 * | 4      | milliseconds since the first of this month, local  |
 * | 2      | counter                                            |
 */
export class UniqueIdGenerator {
  readonly #prefix: string;
  readonly #now: () => number;
  #counter: number;
  #monthStart = 0;
  #nextMonth = 0;

  constructor(host: string = firstAddress(), now: () => number = Date.now) {
    const pid = Buffer.alloc(2);
    pid.writeUInt16BE(process.pid & 0xffff);
    this.#prefix = Buffer.concat([hostBytes(host), pid, randomBytes(4)])
      .toString('hex')
      .toUpperCase();
    this.#now = now;
    this.#counter = 0;
  }

  next(): string {
    const now = this.#now();
    if (now < this.#monthStart || now >= this.#nextMonth) this.#turnMonth(now);
    const counter = this.#counter;
    this.#counter = (counter + 1) & 0xffff;
    return this.#prefix + hex(now - this.#monthStart, 8) + hex(counter, 4);
  }

  #turnMonth(now: number): void {
    const date = new Date(now);
    this.#monthStart = new Date(date.getFullYear(), date.getMonth(), 1).getTime();
    this.#nextMonth = new Date(date.getFullYear(), date.getMonth() + 1, 1).getTime();
  }
}

/** Throws REMOTING_MESSAGE_INVALID. */
export function parseUniqueId(uniqueId: string): UniqueId {
  if (!/^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/.test(uniqueId)) {
    throw new RemotingError('REMOTING_MESSAGE_INVALID', `'${shortened(uniqueId)}' is not a unique message id`, {
      uniqueId: shortened(uniqueId),
    });
  }
  const bytes = Buffer.from(uniqueId, 'hex');
  const addressBytes = bytes.length - 12;
  return {
    host: hostText(bytes.subarray(0, addressBytes)),
    pid: bytes.readUInt16BE(addressBytes),
    monthMs: bytes.readUInt32BE(addressBytes + 6),
    counter: bytes.readUInt16BE(addressBytes + 10),
  };
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

/** This machine's first IPv4 address that is not loopback; loopback when there is none. */
export function firstAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal) return address.address;
    }
  }
  return '127.0.0.1';
}
