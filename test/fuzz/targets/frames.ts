/**
 * The frame decoder by itself. Whole frames come out as they were put in, however the stream is cut; damaged ones end in
 * an error of our own, the same for every way of cutting and from a buffer that each chunk overwrites; and no more is kept
 * than was pushed.
 */
import { type ExtFields, encodeFrame, FrameDecoder, type RemotingCommand, SerializeType } from '@vernier/remoting';
import { frameOf, withHostileMembers } from '../hostile.ts';
import { mutate, someText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { expectOwnError, Find, type Target } from '../target.ts';

const FIELDS = ['topic', 'queueId', 'queueOffset', 'a', 'b', 'c', 'e', 'i', 'm', 'group', 'clientId', 'subscription'];

/** A command with any content that a frame can hold. */
export function someCommand(random: Random, code: number, body?: Buffer): RemotingCommand {
  const extFields: ExtFields | undefined = random.chance(0.1) ? undefined : {};
  for (let count = random.below(8); extFields && count > 0; count--) {
    extFields[random.chance(0.9) ? random.pick(FIELDS) : someText(random).slice(0, 1000)] = someText(random);
  }
  return {
    code,
    flag: random.pick([0, 0, 0, 0, 2]),
    opaque: random.below(2 ** 31),
    language: random.below(15),
    version: random.pick([0, 401, 513, 600, 32_767]),
    remark: random.chance(0.1) ? someText(random) : undefined,
    extFields,
    body,
    serializeType: random.pick([SerializeType.JSON, SerializeType.ROCKETMQ]),
  };
}

/** As the sockets of a server read: every chunk in the same place, and over the one before. */
const readBuffer = Buffer.alloc(64 * 1024);

/**
 * What came out of a stream: every command in one line, then how it ended. With `paused` all chunks are read into one
 * buffer, and where it says so their frames are not taken before the next one, as on a connection that is not read from.
 */
function decodeAll(stream: Buffer, cut: (left: number) => number, paused?: () => boolean): string[] {
  const decoder = new FrameDecoder();
  const lines: string[] = [];
  let pushed = 0;
  try {
    while (pushed < stream.length) {
      const chunkMax = paused === undefined ? stream.length : readBuffer.length;
      const length = Math.min(stream.length - pushed, chunkMax, Math.max(1, cut(stream.length - pushed)));
      const bytes = stream.subarray(pushed, pushed + length);
      pushed += length;
      if (paused === undefined) {
        // A copy, because the decoder may keep views of what a socket gave it.
        decoder.push(Buffer.from(bytes));
      } else {
        readBuffer.set(bytes);
        decoder.push(readBuffer.subarray(0, length));
      }
      const isPaused = paused?.() === true && pushed < stream.length;
      for (let command = isPaused ? undefined : decoder.next(); command; command = decoder.next()) {
        lines.push(lineOf(command));
      }
      if (paused !== undefined) {
        decoder.keepPushed();
        readBuffer.fill(0xdd, 0, length);
      }
      if (decoder.bufferedBytes > pushed) {
        throw new Find(`the decoder holds ${decoder.bufferedBytes} bytes of ${pushed} pushed`);
      }
    }
  } catch (error) {
    if (error instanceof Find) throw error;
    expectOwnError(error, 'decoding', /^REMOTING_FRAME_/);
    lines.push(`ends: ${(error as { code: string }).code}`);
  }
  return lines;
}

const lineOf = (command: RemotingCommand): string =>
  JSON.stringify([
    ...[command.code, command.flag, command.opaque, command.version, command.remark ?? null],
    ...[Object.entries(command.extFields ?? {}), command.body?.toString('latin1') ?? ''],
  ]);

/** Extension fields without a value are written by neither serialization, and unpaired surrogates by no UTF-8. */
const writable = (text: string): string => Buffer.from(text, 'utf8').toString('utf8');

/** A header of any members either makes a command whose members are of their types, or is refused with a code. */
function hostileHeader(random: Random): void {
  const header = {
    ...{ code: 310, extFields: { a: 'group-a', b: 'fuzz-a', i: 'TAGS\u0001a\u0002' }, flag: 0, language: 'JAVA' },
    ...{ opaque: 7, remark: 'r', serializeTypeCurrentRPC: 'JSON', version: 513 },
  };
  const frame = frameOf(withHostileMembers(random, header).text);
  const decoder = new FrameDecoder();
  decoder.push(frame);
  let command: RemotingCommand | undefined;
  try {
    command = decoder.next();
  } catch (error) {
    expectOwnError(error, 'decoding a hostile header', /^REMOTING_FRAME_/);
    if ((error as Error).message.length > 500)
      throw new Find('a peer makes the message of an error as long as it likes');
    return;
  }
  if (command === undefined) throw new Find('a whole frame is not given out');
  const { code, flag, opaque, language, version, remark, extFields } = command;
  for (const [name, value] of Object.entries({ code, flag, opaque, language, version })) {
    if (!Number.isInteger(value)) throw new Find(`${name} of a header became ${typeof value} ${JSON.stringify(value)}`);
  }
  if (remark !== undefined && typeof remark !== 'string') throw new Find(`the remark became ${typeof remark}`);
  for (const [name, value] of Object.entries(extFields ?? {})) {
    if (typeof value !== 'string') throw new Find(`field ${name} became ${typeof value}`);
  }
  if (extFields !== undefined && Object.getPrototypeOf(extFields) !== Object.prototype) {
    throw new Find('a header changed the prototype of its fields');
  }
  // Answers are written in the same serialization and with the same opaque.
  encodeFrame(command);
}

export const frames: Target = {
  name: 'frames',
  sessionRounds: 10_000,
  open: async () => ({
    async round(random) {
      if (random.chance(0.3)) return hostileHeader(random);
      const commands = Array.from({ length: 1 + random.below(4) }, () =>
        someCommand(
          random,
          random.below(40_000) - 4_000,
          random.chance(0.6) ? random.bytes(random.skewed(5_000)) : undefined,
        ),
      );
      for (const command of commands) {
        if (command.serializeType === SerializeType.ROCKETMQ) command.code = ((command.code << 16) >> 16) as never;
      }
      const stream = Buffer.concat(commands.map((command) => encodeFrame(command)));
      const whole = decodeAll(stream, (left) => left);
      if (whole.length !== commands.length) {
        throw new Find(`${commands.length} frames went in and ${whole.length} came out: ${whole.at(-1)}`);
      }
      commands.forEach((command, index) => {
        const back = JSON.parse(whole[index]!) as unknown[];
        const fields = new Map(back[5] as [string, string][]);
        for (const [name, value] of Object.entries(command.extFields ?? {})) {
          if (value !== undefined && fields.get(writable(name)) !== writable(String(value))) {
            throw new Find(
              `field ${JSON.stringify(name)} went in as ${JSON.stringify(value)}, came out as ${fields.get(writable(name))}`,
            );
          }
        }
        if (
          back[0] !== command.code ||
          back[2] !== command.opaque ||
          back[6] !== (command.body?.toString('latin1') ?? '')
        ) {
          throw new Find(`${lineOf(command)} came out as ${whole[index]}`);
        }
      });
      const damaged = random.chance(0.7) ? mutate(random, stream) : stream;
      const expected = decodeAll(damaged, (left) => left).join('\n');
      const step = random.pick([1, 2, 3, 7, 100, 5_000]);
      const cut = (): number => (step < 100 && damaged.length > 4_000 ? 1_000 : 1 + random.below(step));
      const cuts = decodeAll(damaged, cut).join('\n');
      if (cuts !== expected) throw new Find(`cut into pieces the stream means\n${cuts}\ninstead of\n${expected}`);
      const shared = decodeAll(damaged, cut, () => random.chance(0.3)).join('\n');
      if (shared !== expected) throw new Find(`from one buffer the stream means\n${shared}\ninstead of\n${expected}`);
    },
    async close() {},
  }),
};
