import { CliError } from '../errors.ts';

/** A line that is longer is no message of any broker, and a file without an end (/dev/zero) must not fill the memory. */
const LINE_BYTES_MAX = 256 * 1024 * 1024;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export interface InputLine {
  /** Counted from 1, empty lines too. */
  number: number;
  bytes: Buffer;
}

/**
 * The lines of `input` as bytes, without LF or CR LF at their end. Nothing else ends a line, and nothing is decoded: what
 * is not UTF-8 comes as it is.
 * @throws CliError CLI_INPUT_UNREADABLE, when `input` (called `name` then) fails or has a line without an end
 */
export async function* linesOf(
  input: AsyncIterable<Buffer | string>,
  name: string,
  lineBytesMax = LINE_BYTES_MAX,
): AsyncGenerator<InputLine, void, undefined> {
  let number = 1;
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  try {
    for await (const chunk of input) {
      // A copy: whoever gave the chunk may use its memory again.
      const bytes = Buffer.from(chunk as Buffer);
      let from = 0;
      for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, from)) {
        yield { number, bytes: lineOf([...pieces, bytes.subarray(from, end)]) };
        number += 1;
        from = end + 1;
        pieces = [];
        pieceBytes = 0;
      }
      if (from === bytes.length) continue;
      pieces.push(bytes.subarray(from));
      pieceBytes += bytes.length - from;
      if (pieceBytes > lineBytesMax) throw tooLong(name, number, lineBytesMax);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_INPUT_UNREADABLE', `${name} cannot be read: ${code ?? message}`, { name, code }, error);
  }
  if (pieces.length > 0) yield { number, bytes: lineOf(pieces) };
}

function lineOf(pieces: readonly Buffer[]): Buffer {
  const line = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}

function tooLong(name: string, line: number, lineBytesMax: number): CliError {
  const message = `${name} line ${line} is longer than ${lineBytesMax} bytes`;
  return new CliError('CLI_INPUT_UNREADABLE', message, { name, line, lineBytesMax });
}
