import { BodyUnpacker, type Bound, hexDump, type RawPiece, rawPieces, selectMessages } from '@vernier/doctor';
import { hostText } from '@vernier/remoting';
import type { MessageExt } from '@vernier/store';
import { CliError } from '../../errors.ts';
import { EXIT_OK } from '../../exit-codes.ts';
import { timeOf } from '../../input/time.ts';
import { print } from '../../output/print.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions, time } from './common.ts';

export interface DumpOptions extends StoreOptions {
  topic?: string;
  queue?: number;
  from?: string;
  to?: string;
  key?: string;
  count?: number;
  body: 'text' | 'json' | 'hex' | 'none';
  jsonl?: boolean;
  raw?: boolean;
  at?: number;
}

const RAW_COUNT = 5;
const BATCH_CHARS = 64 * 1024;

/** `vernier store dump`: exit code 1 when messages could not be read. */
export async function dump(directory: string, options: DumpOptions): Promise<number> {
  if (options.at !== undefined && !options.raw) {
    throw new CliError('CLI_USAGE', '--at needs --raw: it is an offset in the log, not in a queue', { at: options.at });
  }
  if (options.raw && options.at === undefined) {
    throw new CliError('CLI_USAGE', '--raw needs --at OFFSET, an offset in the log as verify prints it', {});
  }
  const { layout } = await lookAt(directory, options);
  if (options.raw) return await dumpRaw(options, await rawPieces(layout, options.at!, options.count ?? RAW_COUNT));
  const selection = {
    topic: options.topic,
    queueId: options.queue,
    from: boundOf('--from', options.from),
    to: boundOf('--to', options.to),
    key: options.key,
  };
  let unreadable = 0;
  let count = 0;
  let text = options.json ? '[\n' : '';
  const unpacker = new BodyUnpacker();
  for await (const { message } of selectMessages(layout, selection, ({ topic, queueId, queueOffset, logOffset }) => {
    unreadable++;
    process.stderr.write(`${topic}/${queueId} at ${queueOffset}: the record at ${logOffset} of the log is damaged\n`);
  })) {
    if (options.count !== undefined && count >= options.count) break;
    const { body, problem } = await unpacker.unpack(message.body, message.sysFlag);
    if (options.json || options.jsonl) {
      const view = dumpView(message, body, problem, options.body);
      text += `${options.json && count > 0 ? ',\n' : ''}${JSON.stringify(view)}${options.json ? '' : '\n'}`;
    } else text += dumpText(message, body, problem, options.body);
    count++;
    if (text.length < BATCH_CHARS) continue;
    await print(text);
    text = '';
  }
  await print(options.json ? `${text}\n]\n` : text);
  return unreadable > 0 ? EXIT_FAULTS : EXIT_OK;
}

/** `1234` is an offset, everything else a time. */
export function boundOf(flag: string, typed: string | undefined): Bound | undefined {
  if (typed === undefined) return undefined;
  if (/^\d{1,15}$/.test(typed)) return { offset: Number(typed) };
  const ms = timeOf(typed);
  if (ms === undefined) {
    throw new CliError('CLI_USAGE', `${flag} ${typed}: expected an offset, or a time such as 2026-01-31T12:00:00Z`, {
      typed,
    });
  }
  return { time: ms };
}

const host = ({ address, port }: MessageExt['bornHost']): string => {
  const text = hostText(address);
  return `${text.includes(':') ? `[${text}]` : text}:${port}`;
};

function dumpView(message: MessageExt, body: Buffer, problem: string | undefined, form: DumpOptions['body']): unknown {
  const { topic, queueId, queueOffset, commitLogOffset, storeSize, flag, sysFlag, reconsumeTimes } = message;
  return {
    topic,
    queueId,
    queueOffset,
    commitLogOffset,
    storeSize,
    flag,
    sysFlag,
    bornTime: time(message.bornTimestamp),
    bornHost: host(message.bornHost),
    storeTime: time(message.storeTimestamp),
    storeHost: host(message.storeHost),
    reconsumeTimes,
    preparedTransactionOffset: message.preparedTransactionOffset,
    properties: Object.fromEntries(message.properties),
    ...bodyMembers(body, form),
    ...(problem === undefined ? {} : { bodyProblem: problem }),
  };
}

function bodyMembers(body: Buffer, form: DumpOptions['body']): Record<string, unknown> {
  if (form === 'none') return { bodyBytes: body.length };
  if (form === 'hex') return { bodyHex: body.toString('hex') };
  const text = body.toString('utf8');
  if (form === 'json') {
    try {
      return { body: JSON.parse(text) };
    } catch {
      // Not every body of a topic needs to be JSON; those that are not come as they are.
    }
  }
  return Buffer.from(text, 'utf8').equals(body) ? { body: text } : { bodyBase64: body.toString('base64') };
}

function dumpText(message: MessageExt, body: Buffer, problem: string | undefined, form: DumpOptions['body']): string {
  const { topic, queueId, queueOffset, commitLogOffset, storeSize, properties } = message;
  const lines = [
    `${topic}/${queueId} ${queueOffset}  log ${commitLogOffset}, ${storeSize} bytes  ${time(message.storeTimestamp)}  from ${host(message.bornHost)}`,
  ];
  for (const [name, value] of properties) lines.push(`  ${name}=${value}`);
  if (problem !== undefined) lines.push(`  (${problem})`);
  if (form === 'none') lines.push(`  body of ${body.length} bytes`);
  else if (form === 'hex') lines.push(hexDump(body, 0));
  else {
    const { body: shown, bodyBase64 } = bodyMembers(body, form);
    if (bodyBase64 !== undefined) lines.push(hexDump(body.subarray(0, 256), 0));
    else
      lines.push(
        `  ${typeof shown === 'string' ? shown : JSON.stringify(shown, undefined, 2).replaceAll('\n', '\n  ')}`,
      );
  }
  return `${lines.join('\n')}\n`;
}

async function dumpRaw(options: DumpOptions, pieces: readonly RawPiece[]): Promise<number> {
  if (pieces.length === 0) {
    throw new CliError('CLI_USAGE', `--at ${options.at}: the log has no file there`, { at: options.at });
  }
  if (options.json || options.jsonl) {
    const views = pieces.map((piece) => ({ ...piece, bytes: piece.bytes.toString('hex') }));
    await print(
      options.json
        ? `${JSON.stringify(views, undefined, 2)}\n`
        : views.map((view) => `${JSON.stringify(view)}\n`).join(''),
    );
  } else {
    await print(
      pieces
        .map(
          (piece) => `${pieceText(piece)}\n${options.body === 'none' ? '' : `${hexDump(piece.bytes, piece.offset)}\n`}`,
        )
        .join(''),
    );
  }
  return pieces.some(({ kind }) => kind === 'damage') ? EXIT_FAULTS : EXIT_OK;
}

function pieceText(piece: RawPiece): string {
  const range = `${piece.offset} to ${piece.offset + piece.size}`;
  switch (piece.kind) {
    case 'record':
      return `record  ${range}: ${piece.topic}/${piece.queueId} ${piece.queueOffset}, ${time(piece.storeTimestamp)}, body ${piece.bodyLength} bytes`;
    case 'damage': {
      const { wrongByte } = piece;
      const wrong =
        wrongByte === undefined
          ? ''
          : `; its ${wrongByte.field} is wrong in one byte: at ${piece.offset + wrongByte.at} ${wrongByte.found} in place of ${wrongByte.expected}`;
      return `DAMAGE  ${range}: ${piece.reason}, expected ${piece.expected}, found ${piece.found}${wrong}`;
    }
    case 'end':
      return `end     ${piece.offset}: ${piece.reason}`;
  }
}
