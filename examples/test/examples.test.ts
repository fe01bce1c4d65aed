import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('..', import.meta.url));

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'vernier-example-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Runs an example as a reader of it does; its output, line by line. */
async function run(name: string, args: string[], input = ''): Promise<string[]> {
  const child = spawn(process.execPath, [join(folder, `${name}.mjs`), ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  assert.equal(code, 0, stderr);
  return stdout.split('\n').filter((line) => line !== '');
}

test('example outbox: every accepted order is delivered once, also by the next run', async (t) => {
  const path = await directory(t);
  const first = await run('outbox', [path, '3']);
  assert.deepEqual(
    first.filter((line) => line.startsWith('delivered')),
    [1, 2, 3].map((id) => `delivered order ${id}`),
  );
  const second = await run('outbox', [path, '2']);
  assert.deepEqual(
    second.filter((line) => line.startsWith('delivered')),
    [4, 5].map((id) => `delivered order ${id}`),
  );
});

test('example event log: the balance is what the events say, now and as of a time', async (t) => {
  const path = await directory(t);
  assert.deepEqual(await run('event-log', [path, 'deposit', '100']), ['deposit 100 is on disk as event 0']);
  assert.deepEqual(await run('event-log', [path, 'withdraw', '30']), ['withdraw 30 is on disk as event 1']);
  assert.deepEqual(await run('event-log', [path, 'withdraw', '71']), ['refused: the balance is 70']);
  assert.deepEqual(await run('event-log', [path, 'balance']), ['balance 70 after 2 events']);
  assert.deepEqual(await run('event-log', [path, 'balance', '2000-01-01T00:00:00Z']), ['balance 0 after 0 events']);
  assert.deepEqual(await run('event-log', [path, 'find', 'deposit']), ['1 events with the key deposit']);
});

test('example tail -f: every line comes out, in order, and a second run goes on behind the first', async (t) => {
  const path = await directory(t);
  const lines = Array.from({ length: 3_000 }, (_, index) => `line ${index}`);
  const shown = await run('tail-f', [path], `${lines.join('\n')}\n`);
  assert.deepEqual(
    shown,
    lines.map((line, index) => `${index}\t${line}`),
  );
  assert.deepEqual(await run('tail-f', [path], 'one more\n'), ['3000\tone more']);
  assert.deepEqual(await run('tail-f', [path], ''), []);
});
