import { isUtf8 } from 'node:buffer';
import { hostBytes, hostText } from '@vernier/remoting';
import type { MessageExt, StoreHost } from '@vernier/store';
import { encodeProperties, parseProperties } from '@vernier/store/internal';
import { DoctorError } from './errors.ts';

/**
 * A message as a line of an export. Everything that a record holds is here, so that importing it again makes an equal
 * message; only its places in log and queue are given anew.
 */
export interface ExportedMessage {
  topic: string;
  queueId: number;
  /** Where it was; not taken over. */
  queueOffset: number;
  commitLogOffset: number;
  storeTimestamp: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: string;
  storeHost: string;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  /** In the order of the record; names once each. */
  properties?: Record<string, string>;
  /** The properties as they are stored, where a table of names would not give the same again. */
  propertiesString?: string;
  propertiesBase64?: string;
  /** As stored: packed when sysFlag says so. */
  body?: string;
  bodyBase64?: string;
}

/** A message that was read from an export. */
export interface ImportedMessage {
  topic: string;
  queueId: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  bornHost: StoreHost;
  storeHost: StoreHost;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  propertiesString: string;
  body: Buffer;
}

/** `propertyBytes`: the properties as they are stored. */
export function toExported(message: MessageExt, propertyBytes: Buffer): ExportedMessage {
  return {
    topic: message.topic,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    commitLogOffset: message.commitLogOffset,
    storeTimestamp: message.storeTimestamp,
    flag: message.flag,
    sysFlag: message.sysFlag,
    bornTimestamp: message.bornTimestamp,
    bornHost: hostToText(message.bornHost),
    storeHost: hostToText(message.storeHost),
    reconsumeTimes: message.reconsumeTimes,
    preparedTransactionOffset: message.preparedTransactionOffset,
    ...propertyMembers(propertyBytes),
    ...bodyMembers(message.body),
  };
}

function bodyMembers(body: Buffer): Pick<ExportedMessage, 'body' | 'bodyBase64'> {
  const text = body.toString('utf8');
  return Buffer.from(text, 'utf8').equals(body) ? { body: text } : { bodyBase64: body.toString('base64') };
}

function propertyMembers(bytes: Buffer): Partial<ExportedMessage> {
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) return { propertiesBase64: bytes.toString('base64') };
  const table: Record<string, string> = Object.create(null);
  for (const [name, value] of parseProperties(text)) table[name] = value;
  return encodeProperties(Object.entries(table)) === text ? { properties: table } : { propertiesString: text };
}

/** `10.0.0.1:1234`, `[2001:db8::1]:1234`; 4 or 16 bytes are told apart by the brackets. */
function hostToText({ address, port }: StoreHost): string {
  const text = hostText(address);
  return address.length === 16 ? `[${text}]:${port}` : `${text}:${port}`;
}

function hostFromText(text: string): StoreHost {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(-?\d+)$/.exec(text);
  if (found === null) throw new Error(`'${text}' is no address and port`);
  const bytes = hostBytes(found[1] ?? found[2]!);
  const wanted = found[1] === undefined ? 4 : 16;
  if (bytes.length !== wanted) throw new Error(`'${text}' is no address of ${wanted} bytes`);
  return { address: new Uint8Array(bytes), port: Number(found[3]) };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const SEPARATOR = /[\u0001\u0002]/;
/** Half of a pair: UTF-8 has no bytes for it, and another character would be stored in its place. */
const HALF_PAIR = /\p{Surrogate}/u;

/** Reads a line. `place` names it in a complaint. @throws DoctorError DOCTOR_LINE_INVALID */
export function fromExported(line: string, place: string): ImportedMessage {
  try {
    const message = objectFrom(line);
    const text = (name: keyof ExportedMessage): string => {
      const value = message[name];
      if (typeof value !== 'string') throw new Error(`${name} is no text`);
      if (HALF_PAIR.test(value)) throw new Error(`${name} has half of a surrogate pair`);
      return value;
    };
    const number = (name: keyof ExportedMessage, fallback?: number): number => {
      const value = message[name] ?? fallback;
      if (!Number.isSafeInteger(value)) throw new Error(`${name} is no whole number`);
      return value as number;
    };
    const queueId = number('queueId');
    if (queueId < 0) throw new Error(`queueId is ${queueId}`);
    return {
      topic: text('topic'),
      queueId,
      flag: number('flag', 0),
      sysFlag: number('sysFlag', 0),
      bornTimestamp: number('bornTimestamp'),
      bornHost: hostFromText(message.bornHost ?? '127.0.0.1:0'),
      storeHost: hostFromText(message.storeHost ?? '127.0.0.1:0'),
      reconsumeTimes: number('reconsumeTimes', 0),
      preparedTransactionOffset: number('preparedTransactionOffset', 0),
      propertiesString: propertiesOf(message),
      body: message.bodyBase64 === undefined ? Buffer.from(text('body')) : base64('bodyBase64', message.bodyBase64),
    };
  } catch (error) {
    throw new DoctorError('DOCTOR_LINE_INVALID', `${place}: ${(error as Error).message}`, { place }, error);
  }
}

function objectFrom(line: string): ExportedMessage {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is no object');
  const message = value as ExportedMessage;
  // Two that say different things: nobody could tell which of them was imported.
  for (const names of [
    ['body', 'bodyBase64'],
    ['properties', 'propertiesString', 'propertiesBase64'],
  ] as const) {
    const given = names.filter((name) => message[name] !== undefined);
    if (given.length > 1) throw new Error(`it has ${given.join(' and ')}`);
  }
  return message;
}

/** Node leaves out what is no base64, and a message would lose bytes that nobody misses. */
function base64(name: string, text: unknown): Buffer {
  if (typeof text !== 'string') throw new Error(`${name} is no text`);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new Error(`${name} is no base64`);
  return bytes;
}

function propertiesOf({ properties, propertiesString, propertiesBase64 }: ExportedMessage): string {
  if (propertiesString !== undefined) {
    if (typeof propertiesString !== 'string') throw new Error('propertiesString is no text');
    return propertiesString;
  }
  if (propertiesBase64 !== undefined) {
    const bytes = base64('propertiesBase64', propertiesBase64);
    // A store takes text only; another text in its place would be a loss that nobody sees.
    if (!isUtf8(bytes)) throw new Error('propertiesBase64 is no UTF-8, which no store takes');
    return bytes.toString('utf8');
  }
  if (properties === undefined) return '';
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    throw new Error('properties is no table of names and values');
  }
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value !== 'string') throw new Error(`the property ${name} is no text`);
    if (name === '' || value === '') throw new Error(`the property '${name}' is empty, which no record holds`);
    if (SEPARATOR.test(name) || SEPARATOR.test(value)) {
      throw new Error(`the property ${name} holds a separator of properties; propertiesString takes it`);
    }
  }
  return encodeProperties(Object.entries(properties));
}
