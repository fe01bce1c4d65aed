import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { linesOf } from '../../src/input/lines.ts';

async function read(chunks: readonly (Buffer | string)[], lineBytesMax?: number): Promise<[number, string][]> {
  const seen: [number, string][] = [];
  for await (const { number, bytes } of linesOf(Readable.from(chunks), 'stdin', lineBytesMax)) {
    seen.push([number, bytes.toString('latin1')]);
  }
  return seen;
}

test('lines: LF and CR LF end one, the last needs neither, empty ones are counted', async () => {
  assert.deepEqual(await read(['one\n\ntwo\r\n\r\nthree']), [
    [1, 'one'],
    [2, ''],
    [3, 'two'],
    [4, ''],
    [5, 'three'],
  ]);
  assert.deepEqual(await read(['one\n']), [[1, 'one']], 'no line behind the last line feed');
  assert.deepEqual(await read([]), []);
  assert.deepEqual(await read(['']), []);
});

test('lines: nothing else ends a line: no lone CR, no line separator of Unicode, no zero byte', async () => {
  for (const inside of ['\r', '\u2028', '\u2029', '\u0085', '\0', '\v', '\f']) {
    const line = Buffer.from(`a${inside}b`);
    assert.deepEqual(await read([line, Buffer.from('\nc')]), [
      [1, line.toString('latin1')],
      [2, 'c'],
    ]);
  }
});

test('lines: bytes that are no text come as they are', async () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 10));
  const seen: Buffer[] = [];
  for await (const { bytes } of linesOf(Readable.from([every]), 'stdin')) seen.push(Buffer.from(bytes));
  assert.deepEqual(seen, [every]);
});

test('lines: where the chunks are cut makes no difference', async () => {
  const pieces = fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', '\r', 'ü', ''), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 7 }), async (words, size) => {
      const whole = Buffer.from(words.join(''));
      const chunks: Buffer[] = [];
      for (let at = 0; at < whole.length; at += size) chunks.push(whole.subarray(at, at + size));
      assert.deepEqual(await read(chunks), await read([whole]));
    }),
  );
});

test('lines: a chunk that its owner uses again does not change what was read', async () => {
  const shared = Buffer.from('first');
  async function* input(): AsyncGenerator<Buffer> {
    yield shared;
    shared.fill('x');
    yield Buffer.from(' line\n');
  }
  const seen: string[] = [];
  for await (const { bytes } of linesOf(input(), 'stdin')) seen.push(bytes.toString());
  assert.deepEqual(seen, ['first line']);
});

test('lines: one without an end is refused by its number, with the limit, before it fills the memory', async () => {
  let given = 0;
  async function* endless(): AsyncGenerator<Buffer> {
    yield Buffer.from('short\n');
    for (;;) {
      given += 100;
      yield Buffer.alloc(100, 'x');
    }
  }
  const numbers: number[] = [];
  const reading = async (): Promise<void> => {
    for await (const { number } of linesOf(endless(), 'in.jsonl', 1_000)) numbers.push(number);
  };
  await assert.rejects(reading(), {
    code: 'CLI_INPUT_UNREADABLE',
    message: 'in.jsonl line 2 is longer than 1000 bytes',
    details: { name: 'in.jsonl', line: 2, lineBytesMax: 1_000 },
  });
  assert.deepEqual(numbers, [1], 'what came before it was given out');
  assert.ok(given <= 1_200, `${given} bytes were taken`);
  assert.equal((await read(['x'.repeat(1_000)], 1_000)).length, 1, 'the limit itself is allowed');
});

test('lines: an input that fails is named with the reason, behind the lines that were whole', async () => {
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from('whole\nhalf');
    throw Object.assign(new Error('as told'), { code: 'EIO' });
  }
  const seen: string[] = [];
  const reading = async (): Promise<void> => {
    for await (const { bytes } of linesOf(failing(), 'stdin')) seen.push(bytes.toString());
  };
  await assert.rejects(reading(), { code: 'CLI_INPUT_UNREADABLE', message: 'stdin cannot be read: EIO' });
  assert.deepEqual(seen, ['whole'], 'half a line is no line');
});

test('lines: who stops reading leaves no open input behind', async () => {
  const input = Readable.from(['a\n', 'b\n', 'c\n']);
  for await (const { number } of linesOf(input, 'stdin')) if (number === 1) break;
  assert.equal(input.destroyed, true);
});
