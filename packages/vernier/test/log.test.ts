import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { putInPlace } from '../../../test/support/not-a-file.ts';
import type { CliError } from '../src/errors.ts';
import { createLog, readable } from '../src/log.ts';

test('log: into a file from info on, one JSON object a line, there at once', async (t) => {
  const folder = await temporaryFolder(t, 'log');
  const file = join(folder, 'deep', 'vernier.log');
  const { logger } = createLog({ file });
  logger.debug('not at this level');
  logger.info({ port: 1 }, 'listening');
  const [line, rest] = readFileSync(file, 'utf8').split('\n');
  const { level, msg, port } = JSON.parse(line!) as Record<string, unknown>;
  assert.deepEqual([level, msg, port, rest], [30, 'listening', 1, '']);
});

test('log: a file that cannot be opened is bad input', () => {
  assert.throws(
    () => createLog({ file: '/proc/nowhere/x.log' }),
    (error: CliError) => error.code === 'CLI_USAGE',
  );
});

test('log: what a terminal shows is the level and the sentence', () => {
  assert.equal(
    readable('{"level":40,"msg":"the port is in use","port":1}\n'),
    'vernier: warning: the port is in use\n',
  );
});

test('log: a directory, a folder below a file and an empty name are refused with the reason', async (t) => {
  const folder = await temporaryFolder(t, 'log');
  mkdirSync(join(folder, 'directory'));
  writeFileSync(join(folder, 'file'), 'precious');
  for (const [file, reason] of [
    [join(folder, 'directory'), 'EISDIR'],
    [join(folder, 'file', 'x.log'), 'E[A-Z]+'],
    ['', 'ENOENT'],
  ] as const) {
    const message = new RegExp(`^the log file ${file} cannot be opened: ${reason}$`);
    assert.throws(() => createLog({ file }), { code: 'CLI_USAGE', message });
  }
  assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'precious');
});

test('log: a named pipe that nobody reads is refused at once and not waited for', {
  skip: process.platform === 'win32',
  timeout: 10_000,
}, async (t) => {
  const file = join(await temporaryFolder(t, 'log'), 'pipe');
  putInPlace(file, 'a named pipe');
  assert.throws(() => createLog({ file }), { code: 'CLI_USAGE', message: /pipe cannot be opened: ENXIO/ });
});

test('log: what stood in the file stays in front of what comes', async (t) => {
  const file = join(await temporaryFolder(t, 'log'), 'vernier.log');
  writeFileSync(file, 'of an earlier run\n');
  createLog({ file }).logger.warn('of this run');
  createLog({ file, level: 'error' }).logger.warn('not at this level');
  const [first, second, ...rest] = readFileSync(file, 'utf8').split('\n');
  assert.deepEqual([first, JSON.parse(second!).msg, rest], ['of an earlier run', 'of this run', ['']]);
});

test('log: silent writes nothing, not even what is fatal', async (t) => {
  const file = join(await temporaryFolder(t, 'log'), 'vernier.log');
  createLog({ file, level: 'silent' }).logger.fatal('the end');
  assert.equal(readFileSync(file, 'utf8'), '');
});

test('log: levels that have no name, and lines without a message, are shown as they are', () => {
  assert.equal(readable('{"level":35,"msg":"between"}\n'), 'vernier: 35: between\n');
  assert.equal(readable('{"level":50,"port":1}\n'), 'vernier: error: {"level":50,"port":1}\n');
});
