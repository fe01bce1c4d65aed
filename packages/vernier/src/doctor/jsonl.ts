import { isUtf8 } from 'node:buffer';
import { hostBytes, hostText } from '@vernier/remoting';
import type { MessageExt, StoreHost } from '@vernier/store';
import { propertiesStringOf, type RecordLayout } from '@vernier/store/internal';
import { CliError } from '../errors.ts';

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

const NAME_END = '\u0001';
const SEPARATOR = '\u0002';

export function toExported(message: MessageExt, view: Buffer, record: RecordLayout): ExportedMessage {
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
    ...propertyMembers(view, record),
    ...bodyMembers(message.body),
  };
}

function bodyMembers(body: Buffer): Pick<ExportedMessage, 'body' | 'bodyBase64'> {
  const text = body.toString('utf8');
  return Buffer.from(text, 'utf8').equals(body) ? { body: text } : { bodyBase64: body.toString('base64') };
}

function propertyMembers(view: Buffer, record: RecordLayout): Partial<ExportedMessage> {
  const bytes = view.subarray(record.propertiesAt, record.propertiesAt + record.propertiesLength);
  const text = propertiesStringOf(view, record);
  if (!Buffer.from(text, 'utf8').equals(bytes)) return { propertiesBase64: bytes.toString('base64') };
  const table: Record<string, string> = Object.create(null);
  for (const entry of text.split(SEPARATOR)) {
    const at = entry.indexOf(NAME_END);
    if (at > 0) table[entry.slice(0, at)] = entry.slice(at + 1);
  }
  return stringOf(table) === text ? { properties: table } : { propertiesString: text };
}

function stringOf(table: Record<string, string>): string {
  return Object.entries(table)
    .map(([name, value]) => `${name}${NAME_END}${value}${SEPARATOR}`)
    .join('');
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

/** Reads a line. `place` names it in a complaint. @throws CliError CLI_INPUT_INVALID */
export function fromExported(line: string, place: string): ImportedMessage {
  try {
    const message = JSON.parse(line) as ExportedMessage;
    const text = (name: keyof ExportedMessage): string => {
      const value = message[name];
      if (typeof value !== 'string') throw new Error(`${name} is no text`);
      return value;
    };
    const number = (name: keyof ExportedMessage, fallback?: number): number => {
      const value = message[name] ?? fallback;
      if (!Number.isSafeInteger(value)) throw new Error(`${name} is no whole number`);
      return value as number;
    };
    return {
      topic: text('topic'),
      queueId: number('queueId'),
      flag: number('flag', 0),
      sysFlag: number('sysFlag', 0),
      bornTimestamp: number('bornTimestamp'),
      bornHost: hostFromText(message.bornHost ?? '127.0.0.1:0'),
      storeHost: hostFromText(message.storeHost ?? '127.0.0.1:0'),
      reconsumeTimes: number('reconsumeTimes', 0),
      preparedTransactionOffset: number('preparedTransactionOffset', 0),
      propertiesString: propertiesOf(message),
      body: message.bodyBase64 === undefined ? Buffer.from(text('body')) : Buffer.from(text('bodyBase64'), 'base64'),
    };
  } catch (error) {
    throw new CliError('CLI_INPUT_UNREADABLE', `${place}: ${(error as Error).message}`, { place }, error);
  }
}

function propertiesOf({ properties, propertiesString, propertiesBase64 }: ExportedMessage): string {
  if (propertiesString !== undefined) return propertiesString;
  if (propertiesBase64 !== undefined) {
    const bytes = Buffer.from(propertiesBase64, 'base64');
    // A store takes text only; another text in its place would be a loss that nobody sees.
    if (!isUtf8(bytes)) throw new Error('propertiesBase64 is no UTF-8, which no store takes');
    return bytes.toString('utf8');
  }
  return stringOf(properties ?? {});
}
