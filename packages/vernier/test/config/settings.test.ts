import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadSettings } from '../../src/config/settings.ts';
import type { CliError } from '../../src/errors.ts';

async function configFile(t: TestContext, lines: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'vernier-settings-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'broker.conf');
  await writeFile(file, lines.join('\n'));
  return file;
}

test('settings: the broker.conf that RocketMQ ships is understood without a warning', async (t) => {
  const file = await configFile(t, [
    '# the licence stands here',
    'brokerClusterName = DefaultCluster',
    'brokerName = broker-a',
    'brokerId = 0',
    'deleteWhen = 04',
    'fileReservedTime = 48',
    'brokerRole = ASYNC_MASTER',
    'flushDiskType = ASYNC_FLUSH',
  ]);
  const settings = await loadSettings({ configFile: file });
  assert.deepEqual(settings.unknownKeys, []);
  assert.equal(settings.store.fileReservedTime, 48);
  assert.equal(settings.store.flushDiskType, 'ASYNC_FLUSH');
  assert.deepEqual(settings.broker, { brokerClusterName: 'DefaultCluster', brokerName: 'broker-a', brokerId: 0 });
});

test('settings: --set goes before the file, a flag before both, the argument before storePathRootDir', async (t) => {
  const file = await configFile(t, ['listenPort=1', 'flushDiskType=ASYNC_FLUSH', 'storePathRootDir=/from/file']);
  const settings = await loadSettings({
    configFile: file,
    set: ['flushDiskType=SYNC_FLUSH', 'listenPort=2'],
    brokerPort: 3,
    listen: '127.0.0.2',
    dataDir: 'typed',
  });
  assert.equal(settings.store.flushDiskType, 'SYNC_FLUSH');
  assert.equal(settings.store.storePathRootDir, resolve('typed'));
  assert.deepEqual(settings.broker, { listenPort: 3, bindAddress: '127.0.0.2' });
});

test('settings: the data directory is ./vernier-data unless file or argument say otherwise', async (t) => {
  assert.equal((await loadSettings({})).store.storePathRootDir, resolve('vernier-data'));
  const file = await configFile(t, ['storePathRootDir=/from/file', 'storePathCommitLog=']);
  const { store } = await loadSettings({ configFile: file });
  assert.equal(store.storePathRootDir, resolve('/from/file'));
  assert.equal(store.storePathCommitLog, undefined);
});

test('settings: keys of a file that nothing reads are returned, in order, and no error', async (t) => {
  const file = await configFile(t, ['haListenPort=10912', 'brokerName=b', 'mapedFileSizeCommitLog=1']);
  assert.deepEqual((await loadSettings({ configFile: file })).unknownKeys, ['haListenPort', 'mapedFileSizeCommitLog']);
});

test('settings: every bad value is named at once with its line and what is allowed', async (t) => {
  const file = await configFile(t, ['# x', 'flushDiskType=SYNC', 'brokerName=b', 'fileReservedTime=never']);
  await assert.rejects(loadSettings({ configFile: file, set: ['writeWithoutMmap=maybe'] }), (error: CliError) => {
    assert.equal(error.code, 'CLI_CONFIG_INVALID');
    assert.deepEqual(error.message.split('\n'), [
      `${file} line 2: flushDiskType=SYNC: allowed are SYNC_FLUSH, ASYNC_FLUSH`,
      `${file} line 4: fileReservedTime=never: allowed are whole numbers from 1 to 1000000 (hours)`,
      '--set writeWithoutMmap=maybe: allowed are true and false',
    ]);
    return true;
  });
});

test('settings: a kind of broker that is not there is refused and not ignored', async () => {
  await assert.rejects(
    loadSettings({ set: ['brokerRole=SLAVE'] }),
    /--set brokerRole=SLAVE: allowed is only ASYNC_MASTER/,
  );
  await assert.rejects(
    loadSettings({ set: ['brokerId=1'] }),
    /--set brokerId=1: allowed are whole numbers from 0 to 0/,
  );
});

test('settings: a mistyped key after --set is refused with the key that was meant', async () => {
  await assert.rejects(
    loadSettings({ set: ['flushdiskType=SYNC_FLUSH'] }),
    /there is no key flushdiskType; did you mean flushDiskType\?/,
  );
  await assert.rejects(loadSettings({ set: ['fileReservdTime=1'] }), /did you mean fileReservedTime\?/);
  await assert.rejects(
    loadSettings({ set: ['colour=blue'] }),
    /there is no key colour; docs\/reference\/config.md lists them/,
  );
});

test('settings: --set without an equals sign is a usage error', async () => {
  await assert.rejects(loadSettings({ set: ['flushDiskType'] }), (error: CliError) => error.code === 'CLI_USAGE');
  await assert.rejects(loadSettings({ set: ['=x'] }), (error: CliError) => error.code === 'CLI_USAGE');
});

test('settings: a config file that is not there is named with the reason', async () => {
  await assert.rejects(loadSettings({ configFile: '/nowhere/broker.conf' }), (error: CliError) => {
    assert.equal(error.code, 'CLI_CONFIG_UNREADABLE');
    assert.equal(error.message, 'the config file /nowhere/broker.conf cannot be read: ENOENT');
    return true;
  });
});
