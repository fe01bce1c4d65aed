import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import type { ReadyFile } from '../../src/server/ready-file.ts';
import { endAfter, Running, run, startBroker } from '../cli.ts';
import { assertFails, command, Output } from '../in-process.ts';

test('namesrv: alone, with a broker of another process that registers there', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'namesrv.json');
  const namesrv = new Running(['namesrv', '--namesrv-port', '0', '--ready-file', readyFile]);
  endAfter(t, namesrv);
  await namesrv.printed(/^ready after/m);
  const { namesrv: address, pid } = JSON.parse(readFileSync(readyFile, 'utf8')) as ReadyFile;
  assert.equal(pid, namesrv.child.pid);
  assert.ok(namesrv.stdout.includes(address!));

  const broker = await startBroker(t, join(folder, 'data'), ['--no-namesrv', '--set', `namesrvAddr=${address}`]);
  assert.equal(broker.ready.namesrv, undefined);
  assert.match(broker.stdout, new RegExp(`nameserver +${address} \\(outside this process\\)`));
  const env = { NAMESRV_ADDR: address! };
  assert.equal((await run(['produce', 'x', '--body', 'through it'], { env })).code, 0);
  assert.equal((await run(['consume', 'x'], { env })).stdout, 'through it\n');

  broker.signal('SIGTERM');
  assert.equal((await broker.finished).code, 0);
  // It said farewell: nobody is sent to a broker that is gone.
  assert.equal((await run(['topic', 'status', 'x'], { env })).code, 1);
  namesrv.signal('SIGTERM');
  assert.equal((await namesrv.finished).code, 0);
  assert.equal(existsSync(readyFile), false);
});

test('namesrv: a port in use is refused', async (t) => {
  const first = new Running(['namesrv', '--namesrv-port', '0']);
  endAfter(t, first);
  const [, port] = await first.printed(/nameserver +127\.0\.0\.1:(\d+)/);
  const second = await run(['namesrv', '--namesrv-port', port!]);
  assert.equal(second.code, 2);
  assert.match(
    second.stderr,
    /^vernier: the nameserver cannot listen on .*the port is in use \(EADDRINUSE\).*\[CLI_PORT_IN_USE\]\n$/,
  );
});

test('namesrv: a broker whose nameserver is not there says what it waits for, and still stops', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const broker = new Running([
    'start',
    join(folder, 'data'),
    '--broker-port',
    '0',
    '--no-proxy',
    '--no-namesrv',
    '--set',
    'namesrvAddr=127.0.0.1:1',
    '--set',
    'mappedFileSizeCommitLog=1048576',
  ]);
  endAfter(t, broker);
  await broker.printed(/no nameserver of 127\.0\.0\.1:1 has taken the registration yet; trying on/, 'stderr');
  assert.equal(broker.stdout, '');
  broker.signal('SIGTERM');
  assert.equal((await broker.finished).code, 0);
});

test('namesrv: a ready file that cannot be written, or holds something else, is refused, and the process ends', async (t) => {
  const folder = await temporaryFolder(t, 'namesrv');
  writeFileSync(join(folder, 'precious'), 'precious');
  mkdirSync(join(folder, 'directory'));
  for (const [name, pattern] of [
    ['precious', /holds something else; it is left as it is/],
    ['directory', /is no regular file/],
    ['no/ready.json', /cannot be written in .*: ENOENT/],
  ] as const) {
    const refused = await command(['namesrv', '--namesrv-port', '0', '--ready-file', join(folder, name)]);
    assertFails(refused, 2, 'CLI_READY_FILE_UNUSABLE', pattern);
  }
  assertFails(
    await command(['namesrv', '--namesrv-port', '0', '--ready-file', '']),
    2,
    'CLI_READY_FILE_UNUSABLE',
    /is empty/,
  );
  assert.deepEqual(readdirSync(folder).sort(), ['directory', 'precious']);
});

test('namesrv: addresses and log files that cannot be used are one line and 2, and no ready file appears', async (t) => {
  const folder = await temporaryFolder(t, 'namesrv');
  const readyFile = join(folder, 'ready.json');
  const args = ['namesrv', '--namesrv-port', '0', '--ready-file', readyFile];
  const elsewhere = await command([...args, '--listen', '192.0.2.1']);
  assertFails(
    elsewhere,
    2,
    'CLI_ADDRESS_UNUSABLE',
    /the nameserver cannot listen on 192\.0\.2\.1:0: it is no address of this/,
  );
  assertFails(
    await command([...args, '--log-file', folder]),
    2,
    'CLI_USAGE',
    /the log file .* cannot be opened: EISDIR/,
  );
  assert.deepEqual(readdirSync(folder), []);
});

test('namesrv: the ready file is there when it says it is ready, and gone with nothing beside it after a signal', async (t) => {
  const folder = await temporaryFolder(t, 'namesrv');
  const readyFile = join(folder, 'ready.json');
  const stdout = new Output();
  const listeners = process.listenerCount('SIGTERM');
  const running = command(['namesrv', '--namesrv-port', '0', '--ready-file', readyFile], { stdout });
  const [, address] = await stdout.printed(/nameserver {2}(\S+)\n\nready after \d+ ms/);
  const { namesrv, pid } = JSON.parse(readFileSync(readyFile, 'utf8')) as ReadyFile;
  assert.deepEqual([namesrv, pid], [address, process.pid]);
  process.emit('SIGHUP');
  const { code, stderr } = await running;
  assert.deepEqual([code, stderr], [0, 'vernier: stopping (SIGHUP)\n']);
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(process.listenerCount('SIGTERM'), listeners, 'nothing listens any more');
  assertFails(await command(['topic', 'list', '--namesrv', address!]), 1, 'CLI_UNREACHABLE', /does not answer/);
});

const USERS = [
  ...['--set', 'authenticationEnabled=true', '--set', 'authorizationEnabled=true'],
  ...['--set', 'initAuthenticationUser={"username":"root","password":"root-secret"}'],
];
const ROOT = ['--access-key', 'root', '--secret-key', 'root-secret'];

/** A nameserver alone that knows users, in this process. */
async function guarded(dataDir: string) {
  const stdout = new Output();
  const running = command(['namesrv', '--namesrv-port', '0', '--data-dir', dataDir, ...USERS], { stdout });
  const [, address] = await stdout.printed(/nameserver {2}(\S+)\n\nready after \d+ ms/);
  const stop = async (): Promise<void> => {
    process.emit('SIGTERM');
    assert.equal((await running).code, 0);
  };
  return { address: address!, stop };
}

test('namesrv: with users of its own it answers who signs and may, and keeps them over a restart', async (t) => {
  const folder = await temporaryFolder(t, 'namesrv');
  const first = await guarded(folder);
  const at = ['--namesrv', first.address];
  const users = (...args: string[]) => command(['user', ...args, ...at, '--broker', first.address]);
  assertFails(await command(['topic', 'list', ...at]), 1, 'CLI_REFUSED', /NO_PERMISSION \(16\).*not signed/);
  assertFails(
    await command(['topic', 'list', ...at, '--access-key', 'root', '--secret-key', 'x']),
    1,
    'CLI_REFUSED',
    /16/,
  );
  assert.equal((await command(['topic', 'list', ...at, ...ROOT])).code, 0);
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'alice-secret\n');
  assertFails(await users('create', 'alice', '--password-file', secret), 1, 'CLI_REFUSED', /16/);
  assert.equal((await users('create', 'alice', '--password-file', secret, ...ROOT)).code, 0);
  const alice = ['--access-key', 'alice', '--secret-key', 'alice-secret'];
  assertFails(await command(['topic', 'list', ...at, ...alice]), 1, 'CLI_REFUSED', /User:alice has no permission/);
  assertFails(
    await users('create', 'eve', '--type', 'Super', ...alice),
    1,
    'CLI_REFUSED',
    /User:alice has no permission/,
  );
  const may = ['acl', 'create', 'alice', '--resource', 'Cluster:DefaultCluster', '--actions', 'List,Get', ...at];
  assert.equal((await command([...may, '--broker', first.address, ...ROOT])).code, 0);
  assert.equal((await command(['topic', 'list', ...at, ...alice])).code, 0);
  assert.equal(
    (statSync(join(folder, 'namesrv', 'access.json')).mode & 0o077) === 0 || process.platform === 'win32',
    true,
  );
  await first.stop();

  const second = await guarded(folder);
  assert.equal((await command(['topic', 'list', '--namesrv', second.address, ...alice])).code, 0);
  assertFails(await command(['topic', 'list', '--namesrv', second.address]), 1, 'CLI_REFUSED', /16/);
  await second.stop();
});

test('namesrv: a broker of another process registers with a nameserver that knows users when it signs, and not else', async (t) => {
  const folder = await temporaryFolder(t, 'namesrv');
  const namesrv = await guarded(join(folder, 'namesrv'));
  const start = (name: string, ...more: string[]): Running => {
    const broker = new Running([
      ...['start', join(folder, name), '--broker-port', '0', '--no-proxy', '--no-namesrv'],
      ...['--set', `namesrvAddr=${namesrv.address}`, '--set', 'mappedFileSizeCommitLog=1048576', ...more],
    ]);
    endAfter(t, broker);
    return broker;
  };
  const unsigned = start('unsigned');
  await unsigned.printed(/nameserver refused the registration: .*not signed/, 'stderr');
  const signed = start(
    'signed',
    '--set',
    'innerClientAuthenticationCredentials={"accessKey":"root","secretKey":"root-secret"}',
  );
  await signed.printed(/^ready after/m);
  assert.equal((await command(['topic', 'list', '--namesrv', namesrv.address, ...ROOT])).code, 0);
  for (const broker of [unsigned, signed]) {
    broker.signal('SIGTERM');
    assert.equal((await broker.finished).code, 0);
  }
  await namesrv.stop();
});

test('namesrv: users need a directory, and a policy without a user is refused', async () => {
  const args = ['namesrv', '--namesrv-port', '0'];
  assertFails(await command([...args, ...USERS]), 2, 'CLI_USAGE', /needs --data-dir/);
  assertFails(await command([...args, '--data-dir', '']), 2, 'CLI_USAGE', /the data directory is empty/);
  assertFails(
    await command([...args, '--set', 'flushDiskType=SYNC_FLUSH']),
    2,
    'CLI_CONFIG_INVALID',
    /no key flushDiskType/,
  );
});
