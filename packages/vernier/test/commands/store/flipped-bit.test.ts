import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../../test/support/clean-up.ts';
import { run, startBroker } from '../../cli.ts';

test('a bit turned over in the middle of the log: no consumer gets a wrong byte, and after a repair every other message', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  const bodies = Array.from({ length: 300 }, (_, index) => `message ${String(index).padStart(3, '0')}`);
  const others = bodies.filter((body) => body !== 'message 150').sort();
  const first = await startBroker(t, data);
  const sent = await run(['produce', 'bits'], {
    env: { NAMESRV_ADDR: first.ready.namesrv! },
    input: bodies.join('\n'),
  });
  assert.equal(sent.code, 0, sent.stderr);
  first.signal('SIGTERM');
  await first.finished;

  const log = join(data, 'commitlog', '00000000000000000000');
  const at = readFileSync(log).indexOf('message 150');
  const fd = openSync(log, 'r+');
  writeSync(fd, Buffer.of('m'.charCodeAt(0) ^ 0x04), 0, 1, at);
  closeSync(fd);

  const consumed = async (): Promise<string[]> => {
    const broker = await startBroker(t, data);
    const received = await run(['consume', 'bits'], { env: { NAMESRV_ADDR: broker.ready.namesrv! } });
    assert.equal(received.code, 0, received.stderr);
    broker.signal('SIGTERM');
    await broker.finished;
    return received.stdout.trimEnd().split('\n').sort();
  };
  // A start that meets the damage serves what lies in front of it, read-only.
  const before = await consumed();
  assert.ok(before.length > 0);
  assert.deepEqual(
    before.filter((body) => !others.includes(body)),
    [],
  );
  assert.equal((await run(['store', 'verify', data])).code, 1);
  assert.equal((await run(['store', 'repair', data, '--apply'])).code, 0);
  assert.deepEqual(await consumed(), others);
  assert.equal((await run(['store', 'verify', data])).code, 0);
});
