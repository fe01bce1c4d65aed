import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { loadSettings } from '../../src/config/settings.ts';
import type { CliError } from '../../src/errors.ts';

async function configFile(t: TestContext, lines: string[]): Promise<string> {
  const folder = await temporaryFolder(t, 'settings');
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

test('settings: a byte-order mark at the start of a file hides no key', async (t) => {
  const file = await configFile(t, ['\ufeffflushDiskType=ASYNC_FLUSH', 'fileReservedTime=x']);
  await assert.rejects(loadSettings({ configFile: file }), /line 2: fileReservedTime=x/);
  const good = await configFile(t, ['\ufeffflushDiskType=ASYNC_FLUSH']);
  const { store, unknownKeys } = await loadSettings({ configFile: good });
  assert.equal(store.flushDiskType, 'ASYNC_FLUSH');
  assert.deepEqual(unknownKeys, []);
});

test('settings: what would be taken and not work is refused in a file and after --set alike', async (t) => {
  const cases = [
    ['deleteWhen = 25', /deleteWhen=25: allowed is hours from 00 to 23.*'25' is no hour/],
    ['deleteWhen = 04,16', /deleteWhen=04,16: allowed is hours/],
    ['brokerIP1 = 10.1.2.3 # host', /brokerIP1=10\.1\.2\.3 # host: allowed is .*a comment needs a line of its own/],
    ['brokerIP1 = http://10.1.2.3', /brokerIP1=http:/],
    ['brokerName = a # b', /brokerName=a # b: allowed is a topic/],
    ['namesrvAddr = http://a:9876', /namesrvAddr=http:/],
    ['namesrvAddr = one two', /namesrvAddr=one two: allowed is host:port/],
    ['storePathCommitLog = /log # there', /storePathCommitLog=\/log # there/],
    ['flushIntervalCommitLog = 0', /flushIntervalCommitLog=0/],
    ['cleanResourceInterval = 2147483648', /cleanResourceInterval=2147483648/],
    ['registerNameServerPeriod = 0', /registerNameServerPeriod=0/],
    ['defaultTopicQueueNums = 0', /defaultTopicQueueNums=0/],
    ['mappedFileSizeCommitLog = 65537', /mappedFileSizeCommitLog=65537: .*multiples of 4096/],
    ['fileReservedTime = NaN', /fileReservedTime=NaN/],
    ['fileReservedTime = 1.5', /fileReservedTime=1.5/],
  ] as const;
  for (const [line, problem] of cases) {
    const file = await configFile(t, [line]);
    await assert.rejects(loadSettings({ configFile: file }), problem, line);
    const typed = line.replace(' = ', '=');
    await assert.rejects(loadSettings({ set: [typed] }), (error: CliError) => {
      assert.equal(error.code, 'CLI_CONFIG_INVALID', line);
      assert.ok(error.message.startsWith(`--set ${typed}: allowed`), error.message);
      return true;
    });
  }
});

test('settings: --listen takes an address and nothing else', async () => {
  for (const listen of ['', '*', 'http://a', '127.0.0.1:80', '10.0.0.300']) {
    await assert.rejects(loadSettings({ listen }), (error: CliError) => error.code === 'CLI_USAGE', listen);
  }
});

test('settings: names of JavaScript objects are no keys', async (t) => {
  const file = await configFile(t, ['constructor=1', '__proto__=2', 'toString=3']);
  const { unknownKeys, store, broker } = await loadSettings({ configFile: file });
  assert.deepEqual(unknownKeys, ['constructor', '__proto__', 'toString']);
  assert.deepEqual([Object.keys(store), Object.keys(broker)], [['storePathRootDir'], []]);
  await assert.rejects(loadSettings({ set: ['constructor=1'] }), /there is no key constructor/);
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

test('settings: a file in another encoding is refused and not taken for one without settings', async (t) => {
  const file = await configFile(t, []);
  const text = 'brokerId=0\nbrokerName=ä\n';
  const refused: [string, Buffer, RegExp][] = [
    [
      'UTF-16 with a mark',
      Buffer.from(`\ufeff${text}`, 'utf16le'),
      /is no text in UTF-8: it is UTF-16, save it as UTF-8/,
    ],
    ['UTF-16 without one', Buffer.from(text, 'utf16le'), /is UTF-16/],
    ['UTF-16, big-endian', Buffer.from(text, 'utf16le').swap16(), /is UTF-16/],
    ['a zero byte', Buffer.from('brokerId=0\nbro\0kerName=a\n'), /holds a zero byte at 14/],
  ];
  for (const [name, bytes, message] of refused) {
    await writeFile(file, bytes);
    await assert.rejects(loadSettings({ configFile: file }), (error: CliError) => {
      assert.equal(error.code, 'CLI_CONFIG_UNREADABLE', name);
      assert.match(error.message, message);
      return true;
    });
  }
  await writeFile(file, Buffer.from('# für Zürich\nstorePathRootDir=/data/zürich\n', 'latin1'));
  await assert.rejects(loadSettings({ configFile: file }), /broker.conf line 2: storePathRootDir is not in UTF-8/);
  await writeFile(file, Buffer.from('# für Zürich\nnobodyReadsThis=ü\nbrokerId=0\n', 'latin1'));
  assert.equal((await loadSettings({ configFile: file })).broker.brokerId, 0, 'comments and unknown keys harm nobody');
});

test('settings: a key given twice counts as given last, in the file and after --set, and an earlier bad one is told', async (t) => {
  const file = await configFile(t, ['fileReservedTime=1', 'brokerName=a', 'fileReservedTime = 2']);
  assert.equal((await loadSettings({ configFile: file })).store.fileReservedTime, 2);
  const set = ['fileReservedTime=3', 'fileReservedTime=4'];
  assert.equal((await loadSettings({ configFile: file, set })).store.fileReservedTime, 4);
  await assert.rejects(loadSettings({ set: ['fileReservedTime=no', 'fileReservedTime=4'] }), {
    code: 'CLI_CONFIG_INVALID',
    message: /^--set fileReservedTime=no: allowed are/,
  });
});

test('settings: a directory, or a folder below a file, in the place of the config file is named with the reason', async (t) => {
  const file = await configFile(t, ['brokerName=a']);
  for (const [path, reason] of [
    [join(file, '..'), 'EISDIR'],
    [join(file, 'x'), 'ENOTDIR'],
    ['', 'ENOENT'],
  ] as const) {
    await assert.rejects(loadSettings({ configFile: path }), {
      code: 'CLI_CONFIG_UNREADABLE',
      message: `the config file ${path} cannot be read: ${reason}`,
    });
  }
});

test('settings: an empty data directory is refused and not taken for the working directory', async () => {
  for (const set of [[], ['storePathRootDir=/elsewhere']]) {
    await assert.rejects(loadSettings({ dataDir: '', set }), {
      code: 'CLI_USAGE',
      message: 'the data directory is empty; expected a path',
    });
  }
});

test('settings: an error shows a long or odd value shortened, on the line it is about', async (t) => {
  const file = await configFile(t, [
    'brokerName=ok',
    `flushDiskType=${'x'.repeat(100_000)}`,
    `${'k'.repeat(10_000)}=1`,
  ]);
  await assert.rejects(loadSettings({ configFile: file }), (error: CliError) => {
    assert.equal(error.code, 'CLI_CONFIG_INVALID');
    assert.ok(error.message.length < 1_000, `${error.message.length} characters`);
    assert.match(error.message, /^[^\n]*line 2: flushDiskType=x+[^\n]*: allowed are SYNC_FLUSH, ASYNC_FLUSH$/);
    return true;
  });
  const typed = 'y'.repeat(100_000);
  await assert.rejects(loadSettings({ set: [typed] }), (error: Error) => error.message.length < 1_000);
  await assert.rejects(loadSettings({ set: [`${typed}=1`] }), (error: Error) => error.message.length < 1_000);
});

test('settings: names of objects as values reach neither a number nor a switch', async () => {
  for (const value of ['__proto__', 'constructor', '[object Object]', 'Infinity', '0x10', '1_000', ' ', 'null']) {
    for (const key of ['fileReservedTime', 'writeWithoutMmap', 'flushDiskType']) {
      await assert.rejects(
        loadSettings({ set: [`${key}=${value}`] }),
        { code: 'CLI_CONFIG_INVALID' },
        `${key}=${value}`,
      );
    }
  }
});

test('settings: limits of the gRPC proxy are keys like any other', async (t) => {
  const file = await configFile(t, ['grpcCallsMax=500', 'grpcStopMs=20']);
  const settings = await loadSettings({ configFile: file, set: ['grpcAnswerBytesMax=1048576'] });
  assert.deepEqual(settings.proxy, { callsMax: 500, stopMs: 20, answerBytesMax: 1_048_576 });
  assert.deepEqual(settings.unknownKeys, []);
  const refused = await loadSettings({ set: ['grpcStreamsMax=0'] }).then(
    () => assert.fail('it was taken'),
    (error: CliError) => error,
  );
  assert.equal(refused.code, 'CLI_CONFIG_INVALID');
  assert.match(refused.message, /grpcStreamsMax=0: allowed are whole numbers from 1 to 100000 \(calls\)/);
});
