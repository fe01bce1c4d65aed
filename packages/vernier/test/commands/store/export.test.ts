import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../../../test/support/clean-up.ts';
import { smallStore } from '../../../../doctor/test/small-store.ts';
import { run, smallFiles, treeHash } from '../../cli.ts';
import { assertFails, command, lines, Output, objects } from '../../in-process.ts';

const line = (body: string, more: object = {}): string =>
  JSON.stringify({ topic: 'T', queueId: 0, bornTimestamp: 1, body, ...more });

/** A store that these lines were imported into. */
async function storeOf(t: TestContext, ...input: string[]): Promise<string> {
  const root = join(await temporaryFolder(t, 'export'), 'data');
  const into = await command(['store', 'import', root, ...smallFiles], { input: input.join('\n') });
  assert.equal(into.code, 0, into.stderr);
  return root;
}

test('store export: bodies that break lines elsewhere, or are no text, come back byte for byte', async (t) => {
  const bodies = ['a\u2028b\u2029c', 'a\rb\nc\0d', '\ufeffmark', '"{\\', '😀', ' '].map((text) => Buffer.from(text));
  bodies.push(Buffer.from([0xff, 0x0a, 0x00]), Buffer.from([0xed, 0xa0, 0x80]));
  const source = await storeOf(
    t,
    ...bodies.map((body) => line('', { body: undefined, bodyBase64: body.toString('base64') })),
  );
  const exported = await command(['store', 'export', source, '--topic', 'T']);
  assert.deepEqual([exported.code, exported.stderr], [0, `${bodies.length} messages exported\n`]);
  const copy = await storeOf(t, exported.stdout);
  const again = await command(['store', 'export', copy, '--topic', 'T']);
  const bytes = objects(again).map(({ body, bodyBase64 }) =>
    body === undefined ? Buffer.from(bodyBase64, 'base64') : Buffer.from(body),
  );
  assert.deepEqual(bytes, bodies);
});

test('store export: into a file or to stdout it is the same, and the file is its user’s alone', async (t) => {
  const small = await smallStore(t);
  const output = join(await temporaryFolder(t, 'export'), 'out.jsonl');
  const before = treeHash(small.root);
  const toFile = await command(['store', 'export', small.root, '--topic', 'events', '--output', output]);
  assert.deepEqual([toFile.code, toFile.stdout], [0, '']);
  const toStdout = await command(['store', 'export', small.root, '--topic', 'events']);
  assert.equal(readFileSync(output, 'utf8'), toStdout.stdout);
  assert.equal(toFile.stderr, toStdout.stderr);
  assert.match(toFile.stderr, new RegExp(`^${lines(toStdout).length} messages exported\n$`));
  if (process.platform !== 'win32') assert.equal(statSync(output).mode & 0o777, 0o600);
  assert.equal(treeHash(small.root), before, 'the store is not touched');
});

test('store export: a file that is there, a directory, or a folder that is not is refused and nothing is changed', async (t) => {
  const root = await storeOf(t, line('x'));
  const folder = await temporaryFolder(t, 'export');
  writeFileSync(join(folder, 'precious'), 'precious');
  mkdirSync(join(folder, 'directory'));
  const before = treeHash(folder);
  for (const [path, reason] of [
    ['precious', 'EEXIST'],
    ['directory', 'EEXIST'],
    ['no/out', 'ENOENT'],
    ['precious/out', 'ENOTDIR'],
  ] as const) {
    const output = join(folder, path);
    const refused = await command(['store', 'export', root, '--topic', 'T', '--output', output]);
    assertFails(refused, 2, 'CLI_OUTPUT_UNWRITABLE', new RegExp(`${output} cannot be made: ${reason}`));
  }
  assertFails(
    await command(['store', 'export', root, '--topic', 'T', '--output', '']),
    2,
    'CLI_OUTPUT_UNWRITABLE',
    /ENOENT/,
  );
  assert.equal(treeHash(folder), before);
});

test('store export: a topic that is not there is named with those that are, and no file is made', async (t) => {
  const root = await storeOf(t, line('x'), line('x', { topic: 'U' }));
  const output = join(root, '..', 'out.jsonl');
  const refused = await command(['store', 'export', root, '--topic', 'nobody', '--output', output]);
  assertFails(refused, 2, 'CLI_USAGE', /the store has no topic nobody; it has T, U/);
  assert.equal(existsSync(output), false);
  assert.match((await command(['store', 'export', root])).stderr, /required option '--topic <topic>' not specified/);
});

test('store export: a file that cannot be written to its end is taken away again, and that is 1 with one line', {
  skip: process.platform === 'win32' ? 'needs ulimit' : false,
  timeout: 120_000,
}, async (t) => {
  const small = await smallStore(t);
  const folder = await temporaryFolder(t, 'export');
  const output = join(folder, 'out.jsonl');
  // As on a full disk: a file of 4 KiB is written, one byte more is not.
  const wrapper = ['sh', '-c', 'ulimit -f 8; exec "$@"', 'sh'];
  const failed = await run(['store', 'export', small.root, '--topic', 'events', '--output', output], { wrapper });
  assertFails(failed, 1, 'CLI_OUTPUT_UNWRITABLE', /out\.jsonl cannot be written: EFBIG; it is taken away again/);
  assert.deepEqual(readdirSync(folder), [], 'half an export would pass for a whole one');
  assert.equal((await run(['store', 'export', small.root, '--topic', 'events', '--output', output])).code, 0);
});

test('store export: to a stdout that takes nothing it fails, and does not say how many were exported', async (t) => {
  const root = await storeOf(t, line('x'));
  const failed = await command(['store', 'export', root, '--topic', 'T'], { stdout: new Output('ENOSPC') });
  assert.deepEqual([failed.code, failed.stdout], [1, '']);
  assert.doesNotMatch(failed.stderr, /exported/);
});

test('store export: a queue of the topic alone; one that it does not have is empty', async (t) => {
  const root = await storeOf(t, line('zero'), line('one', { queueId: 1 }), line('two', { queueId: 1 }));
  const one = await command(['store', 'export', root, '--topic', 'T', '--queue', '1']);
  assert.deepEqual(
    objects(one).map(({ body }) => body),
    ['one', 'two'],
  );
  const none = await command(['store', 'export', root, '--topic', 'T', '--queue', '7']);
  assert.deepEqual(none, { code: 0, stdout: '', stderr: '0 messages exported\n' });
});
