/**
 * The frame decoder by itself. Whole frames come out as they were put in, however the stream is cut; damaged ones end in
 * an error of our own, the same for every way of cutting; and no more is kept than was pushed.
 */
import { type ExtFields, encodeFrame, FrameDecoder, type RemotingCommand, SerializeType } from '@vernier/remoting';
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

/** What came out of a stream: every command in one line, then how it ended. */
function decodeAll(stream: Buffer, cut: (left: number) => number): string[] {
  const decoder = new FrameDecoder();
  const lines: string[] = [];
  let pushed = 0;
  try {
    while (pushed < stream.length) {
      const length = Math.min(stream.length - pushed, Math.max(1, cut(stream.length - pushed)));
      // A copy, because the decoder may keep views of what a socket gave it.
      decoder.push(Buffer.from(stream.subarray(pushed, pushed + length)));
      pushed += length;
      for (let command = decoder.next(); command; command = decoder.next()) lines.push(lineOf(command));
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

export const frames: Target = {
  name: 'frames',
  sessionRounds: 10_000,
  open: async () => ({
    async round(random) {
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
      const cuts = decodeAll(damaged, () =>
        step < 100 && damaged.length > 4_000 ? 1_000 : 1 + random.below(step),
      ).join('\n');
      if (cuts !== expected) throw new Find(`cut into pieces the stream means\n${cuts}\ninstead of\n${expected}`);
    },
    async close() {},
  }),
};
