/** What cases of the gRPC protocol have in common: requests as a client makes them, and answers as a table shows them. */
import { createHash } from 'node:crypto';
import type { Answer, Fields, GrpcMessage, RawGrpc, Received } from '../../peers/grpc-raw.ts';
import { timeOf } from '../../peers/grpc-raw.ts';
import { type Bench, encodeProperties } from '../bench.ts';
import type { Names } from '../case.ts';

export const SECOND = 1_000;
export const HOUR = 3_600 * SECOND;

let messages = 0;

/** A message; `system` are its system properties. */
export const message = (
  topic: string,
  body: string | Buffer = 'body',
  system: Fields = {},
  more: Fields = {},
): Fields => ({
  topic: { name: topic },
  body: Buffer.from(body as string),
  systemProperties: {
    ...{ messageId: `M${(messages++).toString().padStart(6, '0')}`, messageType: 'NORMAL', bodyEncoding: 'IDENTITY' },
    ...{ bornTimestamp: timeOf(Date.now()), bornHost: 'a-host', ...system },
  },
  ...more,
});

export const send = (client: RawGrpc, ...messages: Fields[]): Promise<Answer> =>
  client.call('SendMessage', { messages });

/** Sends, and fails when it was not stored. */
export async function put(client: RawGrpc, ...messages: Fields[]): Promise<Answer> {
  const answer = await send(client, ...messages);
  if (answer.status.code !== 'OK') throw new Error(`send: ${answer.status.code} ${answer.status.message}`);
  return answer;
}

/** The code of an answer, and of its entries when they have others. */
export function said({ status, entries }: Pick<Answer, 'status'> & Partial<Answer>): string {
  const codes = (entries ?? []).map((entry) => entry.status.code);
  return codes.every((code) => code === status.code) ? status.code : `${status.code} (${codes.join(' ')})`;
}

/** What each of several calls is answered, one after the other, as `what code, what code`. */
export async function each(calls: Readonly<Record<string, () => Promise<string>>>): Promise<string> {
  const lines: string[] = [];
  for (const [what, call] of Object.entries(calls)) lines.push(`${what}: ${await call()}`);
  return lines.join(', ');
}

export const typed = (type: string): { attributes: string } => ({ attributes: `+message.type=${type}` });

export const subscription = (group: string, topic: string): Fields => ({
  group: { name: group },
  subscriptions: [{ topic: { name: topic }, expression: { type: 'TAG', expression: '*' } }],
});

export interface ConsumerOptions {
  type?: string;
  queues?: number;
  group?: Record<string, unknown>;
  version?: string;
  clientType?: string;
}

/** A topic, a group that begins at its first message, and a client of it that has said what it is. */
export async function consumer(bench: Bench, { topic, group }: Names, options: ConsumerOptions = {}): Promise<RawGrpc> {
  const { type = 'NORMAL', queues = 1, clientType = 'SIMPLE_CONSUMER', version } = options;
  await bench.topic(topic, queues, typed(type));
  await bench.group(group, options.group);
  for (let queueId = 0; queueId < queues; queueId++) await bench.commit(group, topic, 0, queueId);
  const client = bench.grpc(`${group}@client`, version);
  const { stream, settings } = await client.settings({ clientType, subscription: subscription(group, topic) });
  if (settings === undefined) {
    const { code, message } = stream.ended ?? { code: 'no end', message: '' };
    throw new Error(`the settings were not answered: ${code} ${message}`);
  }
  return client;
}

export const receiveOf = ({ topic, group }: Pick<Names, 'topic' | 'group'>, more: Fields = {}): Fields => ({
  ...{ group: { name: group }, messageQueue: { topic: { name: topic }, id: -1, broker: { name: 'broker-a' } } },
  ...{ filterExpression: { type: 'TAG', expression: '*' }, batchSize: 32 },
  ...{ invisibleDuration: timeOf(30 * SECOND), longPollingTimeout: timeOf(5 * SECOND) },
  ...more,
});

/** Receives until there are so many, at most for a minute. */
export async function receive(client: RawGrpc, request: Fields, count = 1): Promise<GrpcMessage[]> {
  const all: GrpcMessage[] = [];
  const end = Date.now() + 60 * SECOND;
  while (all.length < count) {
    const { messages: some, status } = await client.receive(request);
    all.push(...some);
    if (status.code !== 'OK' && status.code !== 'MESSAGE_NOT_FOUND') throw new Error(`receive: ${shownStatus(status)}`);
    if (Date.now() > end) throw new Error(`${all.length} of ${count} messages within a minute`);
  }
  return all;
}

const shownStatus = ({ code, message }: Answer['status']): string => `${code} ${message}`;

export const bodies = (messages: readonly GrpcMessage[]): string =>
  messages.length === 0 ? 'none' : messages.map(({ body }) => body.toString()).join(' ');

/** What a receive gives: the bodies, or the code when there are none. */
export const given = ({ messages, status }: Received): string =>
  messages.length === 0 ? status.code : bodies(messages);

export const ackOf = ({ topic, group }: Pick<Names, 'topic' | 'group'>, ...messages: GrpcMessage[]): Fields => ({
  ...{ group: { name: group }, topic: { name: topic } },
  entries: messages.map(({ systemProperties: { messageId, receiptHandle } }) => ({ messageId, receiptHandle })),
});

export const ack = async (client: RawGrpc, names: Pick<Names, 'topic' | 'group'>, ...messages: GrpcMessage[]) =>
  said(await client.call('AckMessage', ackOf(names, ...messages)));

export const change = (
  client: RawGrpc,
  { topic, group }: Pick<Names, 'topic' | 'group'>,
  { systemProperties: { messageId, receiptHandle } }: GrpcMessage,
  ms: number,
): Promise<Answer> =>
  client.call('ChangeInvisibleDuration', {
    ...{ group: { name: group }, topic: { name: topic } },
    ...{ messageId, receiptHandle, invisibleDuration: timeOf(ms) },
  });

/** System properties whose value is another one each time. */
const changing: Record<string, string> = {
  ...{ messageId: '<id>', receiptHandle: '<handle>', bornTimestamp: '<time>', storeTimestamp: '<time>' },
  ...{ storeHost: '<host>', deliveryTimestamp: '<time>' },
};

/** All that a message has, its body and its digest looked at; fields that have no value are left out. */
export function shape({ body, systemProperties, userProperties }: GrpcMessage): string {
  const { bodyDigest, ...system } = systemProperties;
  const right = createHash('md5').update(body).digest('hex').toUpperCase() === bodyDigest.checksum;
  const parts = Object.keys(system)
    .filter((name) => !name.startsWith('_') && !isNothing(system[name]))
    .sort()
    .map((name) => `${name}=${changing[name] ?? text(system[name])}`);
  return `${body.length} bytes; ${bodyDigest.type} ${right ? 'right' : 'wrong'}; ${parts.join(' ')}; ${text(userProperties)}`;
}

const isNothing = (value: unknown): boolean =>
  value === null || value === '' || (Array.isArray(value) && value.length === 0);
const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** A message of the other protocol. */
export const remotingProperties = encodeProperties;
