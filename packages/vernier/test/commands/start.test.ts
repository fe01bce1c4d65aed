import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { endAfter, Running, run, startBroker } from '../cli.ts';

test('start: says every address, engine, flush mode, disk and loss, and the ready file says the same', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const broker = await startBroker(t, join(folder, 'data'));
  const { ready, stdout } = broker;
  assert.equal(ready.pid, broker.child.pid);
  assert.deepEqual(
    { ...ready, namesrv: '', broker: '', readyMs: 0, pid: 0 },
    {
      pid: 0,
      version: '0.1.0',
      namesrv: '',
      broker: '',
      brokerName: 'broker-a',
      clusterName: 'DefaultCluster',
      dataDir: join(folder, 'data'),
      engine: 'channel',
      flushDiskType: 'SYNC_FLUSH',
      readyMs: 0,
    },
  );
  for (const text of [ready.namesrv!, ready.broker!, join(folder, 'data'), 'channel (', 'SYNC_FLUSH (', 'power cut']) {
    assert.ok(stdout.includes(text), `${text} in\n${stdout}`);
  }
  assert.match(stdout, /disk {8}(\d[\d.]* ms a flush|no flush came back)/);
  assert.match(stdout, /syncFlushTimeout is 5000 ms and clients give up after 3000 ms/);
});

test('start: the port of Java clients 4.0 to 4.5.0 stands in the start-up text and the ready file', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  // Two below a port that was free a moment ago; whoever takes it since takes that line away.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const broker = await startBroker(t, data, ['--broker-port', String(port)]);
  const vip = `127.0.0.1:${port - 2}`;
  if (broker.ready.brokerVip === undefined) assert.match(broker.stderr, new RegExp(`${vip} is in use`));
  else {
    assert.equal(broker.ready.brokerVip, vip);
    assert.ok(broker.stdout.includes(`${vip} (for Java clients 4.0 to 4.5.0)`), broker.stdout);
  }
});

test('start: SIGTERM stops cleanly, removes the ready file and the abort file, and exits with 0', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'ready.json');
  const broker = await startBroker(t, join(folder, 'data'), ['--ready-file', readyFile]);
  assert.ok(existsSync(readyFile));
  assert.ok(existsSync(join(folder, 'data', 'abort')));
  broker.signal('SIGTERM');
  const { code, stderr } = await broker.finished;
  assert.equal(code, 0, stderr);
  assert.match(broker.stdout, /stopped after \d+ ms\n$/);
  assert.equal(existsSync(readyFile), false);
  assert.equal(existsSync(join(folder, 'data', 'abort')), false);
});

test('start: what was stored is there after a stop and a start, and SIGINT stops too', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  const first = await startBroker(t, data);
  const sent = await run(['produce', 'kept', '--body', 'once', '--namesrv', first.ready.namesrv!]);
  assert.equal(sent.code, 0, sent.stderr);
  first.signal('SIGINT');
  assert.equal((await first.finished).code, 0);
  const second = await startBroker(t, data);
  assert.equal((await run(['consume', 'kept', '--namesrv', second.ready.namesrv!])).stdout, 'once\n');
});

test('start: a killed broker leaves its ready file; the next start replaces it', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'ready.json');
  const first = await startBroker(t, join(folder, 'data'), ['--ready-file', readyFile]);
  first.signal('SIGKILL');
  assert.equal((await first.finished).code, 137);
  assert.ok(existsSync(readyFile));
  const second = await startBroker(t, join(folder, 'data'), ['--ready-file', readyFile]);
  assert.equal(second.ready.pid, second.child.pid);
});

test('start: the data directory is made where it is missing, in the current directory without an argument', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const broker = new Running(
    ['--namesrv-port', '0', '--broker-port', '0', '--no-proxy', '--set', 'mappedFileSizeCommitLog=65536'],
    {
      cwd: folder,
    },
  );
  endAfter(t, broker);
  await broker.printed(/ready after/);
  assert.deepEqual(readdirSync(folder), ['vernier-data']);
  broker.signal('SIGTERM');
  assert.equal((await broker.finished).code, 0);
});

test('start: keys of a config file that nobody reads are named in one warning', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const config = join(folder, 'broker.conf');
  writeFileSync(
    config,
    'brokerName=from-file\nhaListenPort=10912\nsendMessageThreadPoolNums=4\nflushDiskType=ASYNC_FLUSH\n',
  );
  const broker = await startBroker(t, join(folder, 'data'), ['-c', config]);
  assert.deepEqual(
    broker.stderr.split('\n').filter((line) => line.includes('not used')),
    [`vernier: ${config} has keys that are not used here: haListenPort, sendMessageThreadPoolNums`],
  );
  assert.equal(broker.ready.brokerName, 'from-file');
  assert.equal(broker.ready.flushDiskType, 'ASYNC_FLUSH');
  assert.match(broker.stdout, /power cut {3}loses acknowledged messages, up to those of the last 500 ms/);
});

test('start: listens on loopback alone unless told otherwise', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'), ['--listen', '127.0.0.2']);
  const [host, port] = broker.ready.broker!.split(':');
  assert.equal(host, '127.0.0.2');
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    socket.on('connect', () => reject(new Error('127.0.0.1 answers although only 127.0.0.2 was asked for')));
    socket.on('error', () => resolve());
  });
});

test('start: logs go to the file, as JSON, and not to the terminal', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const logFile = join(folder, 'logs', 'vernier.log');
  const broker = await startBroker(t, join(folder, 'data'), ['--log-file', logFile, '--log-level', 'debug']);
  broker.signal('SIGTERM');
  const { stderr } = await broker.finished;
  assert.ok(existsSync(logFile));
  assert.doesNotMatch(stderr, /^\{/m);
});

test('start: one that is refused for the lock leaves the ready file of the broker that runs', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'ready.json');
  const first = await startBroker(t, join(folder, 'data'), ['--ready-file', readyFile]);
  const before = readFileSync(readyFile, 'utf8');
  const ports = ['--namesrv-port', '0', '--broker-port', '0', '--no-proxy'];
  const second = await run(['start', join(folder, 'data'), ...ports, '--ready-file', readyFile]);
  assert.equal(second.code, 2, second.stderr);
  assert.match(second.stderr, /\[STORE_LOCKED\]\n$/);
  assert.equal(readFileSync(readyFile, 'utf8'), before);
  first.signal('SIGTERM');
  assert.equal((await first.finished).code, 0);
  assert.deepEqual(readdirSync(folder), ['data'], 'and that one takes it away');
});

test('start: a signal that comes before it is ready stops it cleanly, and no ready file is left', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const readyFile = join(folder, 'ready.json');
  const args = [
    '--namesrv-port',
    '0',
    '--broker-port',
    '0',
    '--no-proxy',
    '--ready-file',
    readyFile,
    '--log-level',
    'info',
  ];
  const broker = new Running(['start', join(folder, 'data'), ...args, '--set', 'mappedFileSizeCommitLog=1048576']);
  endAfter(t, broker);
  // The first line of the log is written in the middle of the start.
  await broker.printed(/\n/, 'stderr');
  broker.signal('SIGTERM');
  const { code, stdout, stderr } = await broker.finished;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^vernier: stopping \(SIGTERM\)$/m);
  assert.match(stdout, /stopped after \d+ ms\n$/);
  assert.deepEqual([existsSync(readyFile), existsSync(join(folder, 'data', 'abort'))], [false, false]);
});
