// What every command of the doctor does with its flags and its directory, before it looks into anything.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../../test/support/clean-up.ts';
import { smallStore } from '../../../../doctor/test/small-store.ts';
import { storeKeysOf, time } from '../../../src/commands/store/common.ts';
import { boundOf } from '../../../src/commands/store/dump.ts';
import { endAfter, Running, treeHash } from '../../cli.ts';
import { assertFails, command, Output } from '../../in-process.ts';

const commands = [['inspect'], ['verify'], ['dump'], ['repair'], ['repair', '--apply'], ['export', '--topic', 'T']];

test('doctor: no directory, a file in its place, an empty one, or none typed is bad input for each command', async (t) => {
  const folder = await temporaryFolder(t, 'doctor');
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'empty'));
  const before = treeHash(folder);
  for (const [name, ...flags] of commands) {
    const store = (directory: string) => command(['store', name!, directory, ...flags]);
    assertFails(await store(''), 2, 'CLI_USAGE', /DIR is empty; expected the directory of a store/);
    assertFails(await store(join(folder, 'file')), 2, 'STORE_DIRECTORY_UNUSABLE', /is not a directory/);
    for (const directory of ['nothing', 'empty']) {
      const refused = await store(join(folder, directory));
      assert.deepEqual([refused.code, refused.stdout], [2, ''], `${name} ${directory}`);
      assert.match(refused.stderr, /^vernier: [^\n]*\[STORE_[A-Z_]+\]\n$/);
    }
  }
  assert.equal(treeHash(folder), before, 'no lock file, no directory');
});

test('doctor: keys that say nothing of where a store lies are refused after --set and passed over in a file', async (t) => {
  const config = join(await temporaryFolder(t, 'doctor'), 'broker.conf');
  writeFileSync(config, '\ufeffmaxIndexNum=500\nbrokerName=b\nconstructor=1\nmaxIndexNum=600\nstorePathCommitLog=\n');
  assert.deepEqual(
    await storeKeysOf({ config }),
    { maxIndexNum: 600 },
    'the last one counts, and an empty path is none',
  );
  assert.deepEqual(await storeKeysOf({ config, set: ['maxIndexNum=700'] }), { maxIndexNum: 700 });
  for (const key of ['brokerName', 'constructor', '__proto__', 'MAXINDEXNUM', 'flushDiskType']) {
    await assert.rejects(storeKeysOf({ set: [`${key}=1`] }), {
      code: 'CLI_CONFIG_INVALID',
      message: /: a store is found with these keys: storePathCommitLog, mappedFileSizeCommitLog, .*maxIndexNum$/,
    });
  }
});

test('doctor: a value out of range is named with its line and what is allowed', async (t) => {
  const config = join(await temporaryFolder(t, 'doctor'), 'broker.conf');
  for (const [key, value] of [
    ['mappedFileSizeCommitLog', '4097'],
    ['mappedFileSizeCommitLog', 'large'],
    ['mappedFileSizeConsumeQueue', '0'],
    ['maxHashSlotNum', '-1'],
    ['maxIndexNum', '1.5'],
    ['maxIndexNum', ''],
  ] as const) {
    writeFileSync(config, `# sizes\n${key}=${value}\n`);
    const inFile = { code: 'CLI_CONFIG_INVALID', message: new RegExp(`^${config} line 2: ${key}=${value}: allowed`) };
    await assert.rejects(storeKeysOf({ config }), inFile);
    await assert.rejects(storeKeysOf({ set: [`${key}=${value}`] }), {
      code: 'CLI_CONFIG_INVALID',
      message: /: allowed/,
    });
  }
  await assert.rejects(storeKeysOf({ config: join(config, 'x') }), {
    code: 'CLI_CONFIG_UNREADABLE',
    message: /ENOTDIR/,
  });
  await assert.rejects(storeKeysOf({ set: ['maxIndexNum'] }), { code: 'CLI_USAGE', message: /expected key=value/ });
});

test('doctor: --raw and --at need each other, and two ways of repair exclude each other; nothing is read before', async () => {
  for (const [args, pattern] of [
    [['dump', '/nowhere', '--at', '0'], /--at needs --raw/],
    [['dump', '/nowhere', '--raw'], /--raw needs --at OFFSET/],
    [['repair', '/nowhere', '--apply', '--dry-run'], /only one of --dry-run and --apply/],
  ] as const) {
    assertFails(await command(['store', ...args]), 2, 'CLI_USAGE', pattern);
  }
});

test('dump bounds: a whole number is an offset, an ISO time a time, and nothing else passes for either', () => {
  assert.equal(boundOf('--from', undefined), undefined);
  assert.deepEqual(boundOf('--from', '0'), { offset: 0 });
  assert.deepEqual(boundOf('--to', '999999999999999'), { offset: 999_999_999_999_999 });
  assert.deepEqual(boundOf('--to', '2026-01-31T12:00:00Z'), { time: Date.UTC(2026, 0, 31, 12) });
  for (const typed of ['', '-1', '1.5', '1e3', '0x10', 'offset 5', '9'.repeat(20), '2026-02-30', 'yesterday']) {
    assert.throws(() => boundOf('--to', typed), {
      code: 'CLI_USAGE',
      message: `--to ${typed}: expected an offset, or a time such as 2026-01-31T12:00:00Z`,
    });
  }
});

test('doctor times: nought is none, and what no calendar has is shown as it is', () => {
  assert.deepEqual([0, 1, -1, 8.64e15, Number.NaN].map(time), [
    '-',
    '1970-01-01T00:00:00.001Z',
    '-1 (no time)',
    '8640000000000000 (no time)',
    'NaN (no time)',
  ]);
});

test('store dump: an offset in the log that has no file is refused with it', async (t) => {
  const { root } = await smallStore(t);
  const refused = await command(['store', 'dump', root, '--raw', '--at', '999999999']);
  assertFails(refused, 2, 'CLI_USAGE', /--at 999999999: the log has no file there/);
});

test('store dump --json: no message, one and all of them parse, and are what --jsonl has', async (t) => {
  const { root } = await smallStore(t);
  for (const flags of [
    ['--topic', 'nobody'],
    ['--count', '1'],
    ['--topic', 'events', '--body', 'hex'],
  ]) {
    const json = await command(['store', 'dump', root, '--json', ...flags]);
    const jsonl = await command(['store', 'dump', root, '--jsonl', ...flags]);
    assert.equal(json.code, 0);
    const messages = jsonl.stdout.split('\n').filter((text) => text !== '');
    assert.deepEqual(
      JSON.parse(json.stdout),
      messages.map((text) => JSON.parse(text)),
    );
  }
});

test('doctor: a stdout that takes nothing is a failure of each command, and no page passes for printed', async (t) => {
  const { root } = await smallStore(t);
  for (const args of [['inspect'], ['verify'], ['verify', '--json'], ['dump'], ['repair']]) {
    const { code } = await command(['store', args[0]!, root, ...args.slice(1)], { stdout: new Output('ENOSPC') });
    assert.equal(code, 1, args.join(' '));
  }
});

test('store repair --apply: whose reader is gone is carried out to its end, and the store is sound', async (t) => {
  const small = await smallStore(t);
  const { file, at } = small.record(150);
  small.flip(file, at + 88);
  const running = new Running(['store', 'repair', small.root, '--apply']);
  endAfter(t, running);
  running.child.stdout!.destroy();
  assert.equal((await running.finished).code, 0);
  const verified = await command(['store', 'verify', small.root]);
  assert.equal(verified.code, 0, verified.stdout);
  assert.ok(existsSync(join(small.root, 'quarantine')), 'something was repaired');
});
