import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CliError } from '../src/errors.ts';
import { createLog, readable } from '../src/log.ts';

test('log: into a file from info on, one JSON object a line, there at once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'vernier-log-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
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
