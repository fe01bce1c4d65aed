// Which modes files have, whatever the umask: docs/reference/files.md and SECURITY.md say the same.
import assert from 'node:assert/strict';
import { chmodSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRequest, type ExtFields, RemotingClient, RequestCode } from '@vernier/remoting';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { sendFields } from '../../../broker/test/harness.ts';
import { type Finished, run, startBroker } from '../cli.ts';

/** Path below the folder to mode. */
function modesBelow(folder: string): Map<string, number> {
  const modes = new Map<string, number>();
  const walk = (path: string, name: string): void => {
    const stat = lstatSync(path);
    modes.set(stat.isDirectory() ? `${name}/` : name, stat.mode & 0o777);
    if (stat.isDirectory()) for (const child of readdirSync(path)) walk(join(path, child), `${name}/${child}`);
  };
  walk(folder, '');
  return modes;
}

function assertModes(folder: string, umask: number): void {
  const modes = modesBelow(folder);
  for (const [name, mode] of modes) {
    const expected = name.endsWith('/') ? 0o755 & ~umask : 0o600;
    assert.equal(mode, expected, `${name} has ${mode.toString(8)}, umask ${umask.toString(8)}`);
  }
  for (const part of ['/checkpoint', '/lock', '/commitlog/', '/consumequeue/', '/index/', '/config/topics.json.bak']) {
    assert.ok(
      [...modes.keys()].some((name) => name.startsWith(part)),
      `${part} is there`,
    );
  }
}

for (const umask of [0o000, 0o022, 0o077]) {
  test(`modes: under umask ${umask.toString(8).padStart(3, '0')} nobody else reads a file, nor writes in a directory`, {
    skip: process.platform === 'win32',
    timeout: 120_000,
  }, async (t) => {
    const folder = await temporaryFolder(t, 'cli');
    const data = join(folder, 'data');
    const wrapper = ['sh', '-c', `umask ${umask.toString(8)}; exec "$@"`, 'sh'];
    const logFile = join(folder, 'broker.log');
    const readyFile = join(folder, 'ready.json');
    const broker = await startBroker(t, data, ['--log-file', logFile, '--ready-file', readyFile], { wrapper });
    const client = new RemotingClient();
    cleanUp(t, () => client.close());
    const invoke = (code: number, fields: ExtFields, body?: Buffer) =>
      client.invoke(broker.ready.broker!, createRequest(code, fields, body), 20_000);
    for (const topic of ['a', 'b', 'gone']) {
      const fields = sendFields(topic, 0, { i: 'KEYS\u0001k\u0002' });
      assert.equal((await invoke(RequestCode.SEND_MESSAGE_V2, fields, Buffer.from('secret'))).code, 0);
    }
    assert.equal((await invoke(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'gone' })).code, 0);
    const settings = Buffer.from('fileReservedTime=48\n');
    assert.equal((await invoke(RequestCode.UPDATE_BROKER_CONFIG, {}, settings)).code, 0);
    assert.equal(lstatSync(readyFile).mode & 0o777, 0o644 & ~umask);
    // Queues and index appear with the first flush, at the latest at the stop.
    broker.signal('SIGTERM');
    assert.equal((await broker.finished).code, 0, broker.stderr);
    assertModes(data, umask);
    assert.equal(lstatSync(logFile).mode & 0o777, 0o640 & ~umask);

    const store = (...args: string[]): Promise<Finished> => run(['store', ...args], { wrapper });
    const output = join(folder, 'export.jsonl');
    const exported = await store('export', data, '--topic', 'a', '--output', output);
    assert.equal(exported.code, 0, exported.stderr);
    assert.equal(lstatSync(output).mode & 0o777, 0o600);

    // What a repair makes anew, and what it sets aside.
    rmSync(join(data, 'consumequeue', 'a'), { recursive: true });
    const repaired = await store('repair', data, '--apply');
    assert.equal(repaired.code, 0, `${repaired.stdout}${repaired.stderr}`);
    assertModes(data, umask);

    // A mode that somebody gave is left.
    chmodSync(join(data, 'checkpoint'), 0o640);
    const again = await startBroker(t, data, [], { wrapper });
    again.signal('SIGTERM');
    assert.equal((await again.finished).code, 0);
    assert.equal(lstatSync(join(data, 'checkpoint')).mode & 0o777, 0o640);
  });
}
