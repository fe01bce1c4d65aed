import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ReadyFile } from '../../src/server/ready-file.ts';
import { endAfter, Running, run, startBroker, temporaryFolder } from '../cli.ts';

test('namesrv: alone, with a broker of another process that registers there', async (t) => {
  const folder = await temporaryFolder(t);
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
  const folder = await temporaryFolder(t);
  const broker = new Running([
    'start',
    join(folder, 'data'),
    '--broker-port',
    '0',
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
