import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from '../src/errors.ts';
import { report } from '../src/main.ts';
import type { Finished } from './cli.ts';
import { command, Output } from './in-process.ts';

/** What is printed of an error, and its exit code. */
function reported(error: unknown, phase?: Parameters<typeof report>[1]): { code: number; text: string } {
  const stderr = new Output();
  const before = Object.getOwnPropertyDescriptor(process, 'stderr')!;
  Object.defineProperty(process, 'stderr', { value: stderr, configurable: true });
  try {
    return { code: report(error, phase), text: stderr.text };
  } finally {
    Object.defineProperty(process, 'stderr', before);
  }
}

test('report: an error of ours is its message and its code, further lines set in, and never a stack', () => {
  const error = new CliError('CLI_CONFIG_INVALID', 'first\nsecond', { problems: 2 }, new Error('the cause'));
  assert.deepEqual(reported(error), {
    code: 2,
    text: 'vernier: first\n         second [CLI_CONFIG_INVALID]\n',
  });
  assert.equal(reported(error, 'running').code, 1, 'the same at work is a failure');
});

test('report: a fault of the program is its stack, is 1, and wears no code', () => {
  const fault = new TypeError('of undefined');
  const { code, text } = reported(fault);
  assert.equal(code, 1);
  assert.match(text, /^vernier: TypeError: of undefined\n {13}at /);
  assert.doesNotMatch(text, /\[[A-Z_]+\]\n$/);
  const system = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  assert.match(
    reported(system).text,
    /^vernier: Error: EIO: i\/o error\n {13}at /,
    'the code of a system is none of ours',
  );
});

test('report: what is no error is shown and ends nothing', () => {
  for (const [thrown, text] of [
    ['text', 'vernier: text\n'],
    [undefined, 'vernier: undefined\n'],
    [null, 'vernier: null\n'],
    [7, 'vernier: 7\n'],
    [{ code: 'CLI_USAGE' }, 'vernier: [object Object] [CLI_USAGE]\n'],
    [{ code: 'lower_case', message: 'x' }, 'vernier: [object Object]\n'],
  ] as const) {
    const { text: printed } = reported(thrown);
    assert.equal(printed, text);
  }
});

test('command line: help and version are data on stdout with 0, and a wrong line is 2 on stderr', async () => {
  const topics = ['--help', 'help', 'help start', 'topic --help', 'store help verify', '-V', 'start --help'];
  for (const words of topics) {
    const { code, stdout, stderr } = await command(words.split(' '));
    assert.deepEqual([code, stderr], [0, ''], words);
    assert.notEqual(stdout, '');
  }
  for (const words of [
    'topic lst',
    'store',
    'topic',
    'store verfy x',
    'produce',
    'consume',
    'status x',
    '--nonsense',
    'start a b',
  ]) {
    const { code, stdout, stderr } = await command(words.split(' '));
    assert.deepEqual([code, stdout], [2, ''], words);
    assert.notEqual(stderr, '');
  }
});

test('command line: a mistyped command starts no broker in a directory of that name', async () => {
  const meant: Record<string, string> = {
    statsu: 'status',
    prodcue: 'produce',
    consumer: 'consume',
    top: 'topic',
    stroe: 'store',
  };
  for (const [typed, name] of Object.entries(meant)) {
    const { code, stdout, stderr }: Finished = await command([typed]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(
      stderr,
      new RegExp(`there is no command ${typed}; did you mean ${name}\\?.*typed as \\./${typed} \\[CLI_USAGE\\]`),
    );
  }
  const { code, stderr } = await command(['']);
  assert.equal(code, 2);
  assert.match(stderr, /^vernier: the data directory is empty; expected a path \[CLI_USAGE\]\n$/);
});

test('command line: ports and numbers out of range name what is allowed, and are no defaults', async () => {
  for (const [words, allowed] of [
    ['start --broker-port -1', '0 to 65535'],
    ['start --broker-port 65536', '0 to 65535'],
    ['start --namesrv-port 1.5', '0 to 65535'],
    ['namesrv --namesrv-port 0x10', '0 to 65535'],
    ['torture --seed 4294967296', '0 to 4294967295'],
    ['store dump d --queue 2147483648', '0 to 2147483647'],
  ] as const) {
    const { code, stderr } = await command(words.split(' '));
    assert.equal(code, 2, words);
    assert.match(
      stderr,
      new RegExp(`^vernier: .* is invalid\\. Allowed are whole numbers from ${allowed}\\. \\[CLI_USAGE\\]`),
    );
  }
});
