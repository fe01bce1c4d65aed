// A running broker whose output nobody takes: it goes on, and a stop is clean.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { run, type Started, startBroker } from '../cli.ts';

/** Strangers, each of whom costs a line in the log. */
async function garbage(address: string, count: number): Promise<void> {
  const port = Number(address.split(':').at(-1));
  for (let index = 0; index < count; index++) {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', () => {});
    socket.end('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
  }
}

async function goesOn(broker: Started): Promise<void> {
  const namesrv = broker.ready.namesrv ?? '';
  await garbage(broker.ready.broker ?? '', 50);
  await garbage(namesrv, 50);
  const sent = await run(['produce', 'T', '--namesrv', namesrv, '--body', 'x']);
  assert.equal(sent.code, 0, sent.stderr);
  broker.signal('SIGTERM');
  const { code } = await broker.finished;
  assert.equal(code, 0, broker.stderr);
}

test('output: the readers of stdout and stderr are gone', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'), ['--log-level', 'info']);
  broker.child.stdout?.destroy();
  broker.child.stderr?.destroy();
  await goesOn(broker);
});

test('output: the reader of stderr has stopped reading', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'), ['--log-level', 'trace']);
  broker.child.stderr?.pause();
  // More than a pipe holds, whatever the lines are limited to.
  await garbage(broker.ready.broker ?? '', 600);
  const namesrv = broker.ready.namesrv ?? '';
  const sent = await run(['produce', 'T', '--namesrv', namesrv, '--body', 'x']);
  assert.equal(sent.code, 0, sent.stderr);
  broker.signal('SIGTERM');
  broker.child.stderr?.resume();
  assert.equal((await broker.finished).code, 0);
});

test('output: the log file is on a full disk', {
  skip: existsSync('/dev/full') ? false : 'no /dev/full',
}, async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'), ['--log-file', '/dev/full']);
  await goesOn(broker);
});
