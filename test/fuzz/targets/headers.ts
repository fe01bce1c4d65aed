/**
 * The byte reader of send and pull headers beside the general decoders: whatever it takes must mean to a processor what
 * they make of it, and what they refuse it must not take.
 */
import {
  decodeFrame,
  type ExtFields,
  encodeFrame,
  HeaderReader,
  pullFieldsOf,
  type RemotingCommand,
  RequestCode,
  SerializeType,
  sendFieldsOf,
} from '@vernier/remoting';
import { mutate, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Find, type Target } from '../target.ts';

const CODES = [
  RequestCode.SEND_MESSAGE,
  RequestCode.SEND_MESSAGE_V2,
  RequestCode.SEND_MESSAGE_V2,
  RequestCode.SEND_BATCH_MESSAGE,
  RequestCode.PULL_MESSAGE,
  RequestCode.LITE_PULL_MESSAGE,
];
const V1 = 'producerGroup topic defaultTopic defaultTopicQueueNums queueId sysFlag bornTimestamp flag properties'
  .split(' ')
  .concat('reconsumeTimes unitMode maxReconsumeTimes batch bname'.split(' '));
const V2 = 'a b c d e f g h i j k l m n'.split(' ');
const PULL = 'consumerGroup topic queueId queueOffset maxMsgNums sysFlag commitOffset suspendTimeoutMillis subVersion'
  .split(' ')
  .concat('subscription expressionType maxMsgBytes bname'.split(' '));
const PROPERTIES = [
  'UNIQ_KEY\u00017F00000101\u0002WAIT\u0001true\u0002TAGS\u0001A\u0002',
  'KEYS\u0001a b\u0002KEYS\u0001c\u0002',
  'TAGS\u0001"quoted" \\ /\u0002',
  'N\u0001\n\r\t\b\f\u007f\u0002',
  'N\u0001\u00e4\ud83d\ude00\u0002',
  '\u0001\u0002\u0002\u0001',
  '',
];
const NUMBERS = [
  '0',
  '1',
  '-1',
  '-0',
  '007',
  '+5',
  '1e3',
  '0x10',
  ' 5',
  '',
  '4294967296',
  '123456789012345',
  '1234567890123456',
  'NaN',
  '1.5',
];
const MEMBERS = [
  ',"x":1',
  ',"remark":""',
  ',"remark":null',
  ',"code":10',
  ',"flag":0',
  ' ',
  ',"version":00',
  ',"opaque":-0',
  ',"language":"GO"',
];

const TEXTS = 'a b c n producerGroup topic defaultTopic bname consumerGroup subscription expressionType'.split(' ');
const FLAGS = ['k', 'm', 'unitMode', 'batch'];

function usualValue(random: Random, name: string): string {
  if (name === 'i' || name === 'properties') return random.pick(PROPERTIES.slice(0, 4));
  if (TEXTS.includes(name))
    return random.pick(['Topic_A', '%RETRY%g', 'TAG', '*', 'a || b', `t-${random.below(1_000)}`]);
  if (FLAGS.includes(name)) return random.pick(['true', 'false']);
  return random.pick(['0', '-1', '16', '1700000000000', String(random.below(2 ** 31))]);
}

function someFields(random: Random, code: number): ExtFields {
  const names = code === RequestCode.SEND_MESSAGE ? V1 : code === 11 || code === 361 ? PULL : V2;
  const fields: ExtFields = {};
  // Half of them as a client writes them, which the reader has to take; one odd value leaves it to the general decoders.
  const isUsual = random.chance(0.5);
  for (const name of random.chance(0.5) ? names : [...names].sort(() => random.next() - 0.5)) {
    if (random.chance(0.15)) continue;
    if (isUsual) {
      fields[name] = usualValue(random, name);
      continue;
    }
    if (name === 'i' || name === 'properties') fields[name] = random.pick(PROPERTIES);
    else if (random.chance(0.1)) fields[name] = someText(random);
    else if (random.chance(0.5)) fields[name] = random.pick(NUMBERS);
    else
      fields[name] = random.pick([
        'true',
        'false',
        'Topic_A',
        '%RETRY%g',
        'TAG',
        '*',
        'a || b',
        String(random.below(2 ** 40)),
      ]);
  }
  if (random.chance(0.03)) fields[someText(random).slice(0, 50)] = 'x';
  return fields;
}

function someFrame(random: Random): Buffer {
  const code = random.pick(CODES);
  const serializeType = random.chance(0.6) ? SerializeType.JSON : SerializeType.ROCKETMQ;
  const command: RemotingCommand = {
    code,
    flag: random.pick([0, 0, 2]),
    opaque: random.below(2 ** 31),
    language: random.below(14),
    version: random.pick([0, 401, 513]),
    remark: random.chance(0.1) ? someText(random) : undefined,
    extFields: random.chance(0.02) ? undefined : someFields(random, code),
    body: random.chance(0.5) ? random.bytes(random.skewed(200)) : undefined,
    serializeType,
  };
  const frame = encodeFrame(command);
  if (serializeType === SerializeType.JSON && random.chance(0.3)) return reordered(random, frame, command.body);
  return random.chance(0.4) ? mutate(random, frame) : frame;
}

/** The members of the header in another order, sometimes with one more, or one twice. */
function reordered(random: Random, frame: Buffer, body: Buffer | undefined): Buffer {
  const headerBytes = frame.readInt32BE(4) & 0xffffff;
  const header = JSON.parse(frame.toString('utf8', 8, 8 + headerBytes)) as Record<string, unknown>;
  const members = Object.entries(header)
    .sort(() => random.next() - 0.5)
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  let text = `{${members.join(',')}}`;
  if (random.chance(0.3)) text = text.replace(/(?=}$)/, random.pick(MEMBERS));
  if (random.chance(0.1)) text = text.replace(/("[a-n]":"[^"]*")/, '$1,$1');
  const bytes = Buffer.from(text, 'utf8');
  const whole = Buffer.concat([Buffer.alloc(8), bytes, body ?? Buffer.alloc(0)]);
  whole.writeInt32BE(whole.length - 4, 0);
  whole.writeInt32BE(bytes.length, 4);
  return whole;
}

function decoded(frame: Buffer, reader?: HeaderReader): RemotingCommand | undefined {
  try {
    return decodeFrame(frame, 4, frame.length, reader);
  } catch {
    return undefined;
  }
}

/** What a processor sees of a command, in one line. */
function meaning(command: RemotingCommand | undefined): string {
  if (command === undefined) return 'refused';
  const { code, flag, opaque, language, version, remark, body, serializeType } = command;
  const head = [code, flag, opaque, language, version, remark, body?.toString('latin1'), serializeType];
  const fields = CODES.slice(0, 4).includes(code as never) ? sendFieldsOf(command) : pullFieldsOf(command);
  const plain: Record<string, unknown> = { ...fields };
  if ('propertyBytes' in fields) {
    const { propertyBytes: range } = fields;
    if (range !== undefined) plain.properties = range.bytes.toString('utf8', range.from, range.to);
    delete plain.propertyBytes;
  }
  return [
    ...head,
    ...Object.entries(plain).map(([name, value]) => `${name}=${Object.is(value, -0) ? '0' : String(value)}`),
  ].join('\n');
}

export const headers: Target = {
  name: 'headers',
  sessionRounds: 100_000,
  open: async () => {
    const reader = new HeaderReader();
    let read = 0;
    return {
      async round(random) {
        const frame = someFrame(random);
        const command = decoded(frame, reader);
        const general = decoded(frame);
        if (command?.send !== undefined || command?.pull !== undefined) read++;
        // Frames of other requests are not for the reader.
        if (general !== undefined && !CODES.includes(general.code as never)) {
          if (command?.send ?? command?.pull) throw new Find(`request ${general.code} was read as a send or a pull`);
          return;
        }
        if (meaning(command) !== meaning(general)) {
          throw new Find(
            `${frame.toString('latin1')}\nread from its bytes means\n${meaning(command)}\nand is\n${meaning(general)}`,
          );
        }
      },
      async close() {
        if (read === 0) throw new Find('the byte reader read nothing');
      },
    };
  },
};
