import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { type Finished, isRoot, type RunOptions, run, skipUnless, smallFiles, startBroker, treeHash } from '../cli.ts';

const ports = ['--namesrv-port', '0', '--broker-port', '0', '--no-proxy'];

/** One message: it begins with our name, ends in its code, and exit code 2 says that nothing was changed. */
function assertRefused(finished: Finished, code: string, pattern: RegExp): void {
  assert.equal(finished.code, 2, finished.stderr);
  assert.equal(finished.stdout, '');
  assert.match(finished.stderr, pattern);
  assert.match(finished.stderr, new RegExp(`^vernier: [^\\n]*\\[${code}\\]\\n$`), finished.stderr);
}

let template: string | undefined;
after(async () => {
  if (template !== undefined) await rm(dirname(template), { recursive: true, force: true });
});

/** A copy of a store that was used and stopped. */
async function usedStore(t: TestContext): Promise<string> {
  template ??= await makeTemplate(t);
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  cpSync(template, data, { recursive: true });
  return data;
}

async function makeTemplate(t: TestContext): Promise<string> {
  const data = join(await mkdtemp(join(tmpdir(), 'vernier-cli-')), 'data');
  const broker = await startBroker(t, data);
  await run(['produce', 'x', '--size', '100', '--count', '10', '--namesrv', broker.ready.namesrv!]);
  broker.signal('SIGTERM');
  assert.equal((await broker.finished).code, 0);
  return data;
}

async function startRefused(data: string, args: readonly string[], options?: RunOptions): Promise<Finished> {
  const before = existsSync(data) ? treeHash(data) : 'missing';
  const finished = await run(['start', data, ...ports, ...args], options);
  assert.equal(existsSync(data) ? treeHash(data) : 'missing', before, `the directory was changed: ${finished.stderr}`);
  return finished;
}

test('bad input: a wrong flag, a bad port and a mistyped command name what is allowed', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  assertUsage(await startRefused(data, ['--borker-port', '1']), /unknown option '--borker-port'/);
  assertUsage(
    await startRefused(data, ['--broker-port', '70000']),
    /'70000' is invalid.*whole numbers from 0 to 65535/,
  );
  assertUsage(await startRefused(data, ['--log-level', 'loud']), /Allowed choices are trace, debug, info, warn, error/);
  assertUsage(await startRefused(data, ['extra']), /too many arguments/);
  assertUsage(await run(['statsu']), /there is no command statsu; did you mean status\?.*typed as \.\/statsu/);
  assertUsage(await startRefused(data, ['--no-namesrv']), /--no-namesrv needs --set namesrvAddr=host:port/);
});

function assertUsage(finished: Finished, pattern: RegExp): void {
  assert.equal(finished.code, 2);
  assert.match(finished.stderr, pattern);
  assert.match(finished.stderr, /^vernier: .*\[CLI_USAGE\]$/m);
}

test('bad input: every bad config value is named with what is allowed', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const config = join(folder, 'broker.conf');
  writeFileSync(config, 'flushDiskType=SYNC\nfileReservedTime=-1\n');
  const finished = await startRefused(join(folder, 'data'), ['-c', config]);
  assert.equal(finished.code, 2);
  assert.equal(
    finished.stderr,
    `vernier: ${config} line 1: flushDiskType=SYNC: allowed are SYNC_FLUSH, ASYNC_FLUSH\n` +
      `         ${config} line 2: fileReservedTime=-1: allowed are whole numbers from 1 to 1000000 (hours) [CLI_CONFIG_INVALID]\n`,
  );
  assertRefused(
    await startRefused(join(folder, 'data'), ['-c', join(folder, 'none.conf')]),
    'CLI_CONFIG_UNREADABLE',
    /none\.conf cannot be read: ENOENT/,
  );
});

test('bad input: a size that no file of the log can have is refused before anything is made', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  assertRefused(
    await startRefused(data, ['--set', 'mappedFileSizeCommitLog=100001']),
    'CLI_CONFIG_INVALID',
    /mappedFileSizeCommitLog=100001: allowed are whole numbers from 4096 to 2147483647, multiples of 4096/,
  );
});

test('bad input: a port in use, of either server, leaves the directory as it was', async (t) => {
  const data = await usedStore(t);
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUp(t, () => server.close());
  const { port } = server.address() as { port: number };
  for (const [flag, what] of [
    ['--broker-port', 'broker'],
    ['--namesrv-port', 'nameserver'],
  ] as const) {
    assertRefused(
      await startRefused(data, [...smallFiles, flag, String(port)]),
      'CLI_PORT_IN_USE',
      new RegExp(
        `the ${what} cannot listen on 127.0.0.1:${port}: the port is in use \\(EADDRINUSE\\); take another with ${flag}`,
      ),
    );
  }
  const fresh = join(await temporaryFolder(t, 'cli'), 'never-made');
  await startRefused(fresh, ['--broker-port', String(port)]);
  assert.equal(existsSync(fresh), false);
});

test('bad input: an address of another machine is refused', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  assertRefused(
    await startRefused(data, ['--listen', '192.0.2.1']),
    'CLI_ADDRESS_UNUSABLE',
    /192\.0\.2\.1:0: it is no address of this machine/,
  );
});

test('bad input: a directory that another process has open is refused and that one goes on', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  const first = await startBroker(t, data);
  const finished = await run(['start', data, ...ports, ...smallFiles]);
  assertRefused(finished, 'STORE_LOCKED', new RegExp(`${data}`));
  assert.equal((await run(['produce', 'x', '--body', 'y', '--namesrv', first.ready.namesrv!])).code, 0);
});

test('bad input: other file sizes are refused with both numbers', async (t) => {
  const data = await usedStore(t);
  const refused = await startRefused(data, [
    '--set',
    'mappedFileSizeCommitLog=2097152',
    '--set',
    'mappedFileSizeConsumeQueue=20000',
  ]);
  assertRefused(refused, 'STORE_FILE_SIZE_MISMATCH', /1048576.*2097152|2097152.*1048576/);
  const [log] = readdirSync(join(data, 'commitlog'));
  truncateSync(join(data, 'commitlog', log!), 1_000_000);
  assertRefused(await startRefused(data, smallFiles), 'STORE_FILE_SIZE_MISMATCH', /1000000/);
});

test('bad input: a directory of something else is refused, untouched', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'package.json'), '{}');
  writeFileSync(join(folder, 'src', 'index.js'), 'precious');
  assertRefused(
    await startRefused(folder, smallFiles),
    'STORE_NOT_A_STORE',
    /is not a store and not empty: it holds 2 other entries/,
  );
});

test('bad input: a file where the directory should be is refused', async (t) => {
  const file = join(await temporaryFolder(t, 'cli'), 'data');
  writeFileSync(file, 'not a directory');
  assertRefused(await startRefused(file, smallFiles), 'STORE_DIRECTORY_UNUSABLE', /is not a directory/);
});

test('bad input: a damaged metadata file without a copy is refused, and is still there to be put right', async (t) => {
  const data = await usedStore(t);
  const file = join(data, 'config', 'topics.json');
  writeFileSync(file, '{"topicConfigTable":');
  rmSync(`${file}.bak`, { force: true });
  assertRefused(
    await run(['start', data, ...ports, ...smallFiles]),
    'STORE_METADATA_DAMAGED',
    /topics\.json is damaged/,
  );
  assert.equal(readFileSync(file, 'utf8'), '{"topicConfigTable":');
});

test('bad input: a ready file that cannot be written stops the start', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const data = join(folder, 'data');
  const refused = await startRefused(data, ['--ready-file', join(folder, 'no', 'ready.json')]);
  assertRefused(refused, 'CLI_READY_FILE_UNUSABLE', /cannot be written in .*: ENOENT/);
  assert.equal(existsSync(data), false);
});

const otherUser = skipUnless(isRoot, 'needs root, to run as another user');

test('bad input: a directory that this user may not read or write is refused', { skip: otherUser }, async (t) => {
  const data = await usedStore(t);
  const asNobody = { wrapper: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] };
  // The folder above must let nobody through, or it would be about another directory.
  chmodSync(join(data, '..'), 0o755);
  chmodSync(data, 0o700);
  assertRefused(await startRefused(data, smallFiles, asNobody), 'STORE_DIRECTORY_UNUSABLE', /EACCES/);
  chmodSync(data, 0o755);
  assertRefused(await startRefused(data, smallFiles, asNobody), 'STORE_DIRECTORY_UNUSABLE', /EACCES/);
  const below = join(data, '..', 'made-by-nobody');
  assertRefused(await startRefused(below, smallFiles, asNobody), 'STORE_DIRECTORY_UNUSABLE', /EACCES/);
  assert.equal(existsSync(below), false);
  chownSync(join(data, '..'), 65534, 65534);
});

test('bad input: a full disk is refused with the numbers before anything is left on it', {
  skip: otherUser,
}, async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'vernier-test', folder]);
  cleanUp(t, () => execFileSync('umount', [folder]));
  const data = join(folder, 'data');
  const refused = await startRefused(data, ['--set', 'mappedFileSizeCommitLog=4194304', '--set', 'diskFreeBytesMin=0']);
  assertRefused(refused, 'STORE_DISK_FULL', /4194304|4\.0 MiB/);
  assert.equal(existsSync(data), false);
});
