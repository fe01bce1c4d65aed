import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import type { ReadyFile } from '../../src/server/ready-file.ts';
import { run } from '../cli.ts';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

test('npm start: passes the flags on, and SIGTERM to npm itself stops the broker cleanly', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const data = join(folder, 'data');
  const readyFile = join(folder, 'ready.json');
  const args = ['--namesrv-port', '0', '--broker-port', '0', '--no-proxy', '--set', 'mappedFileSizeCommitLog=1048576'];
  const npm = spawn('npm', ['start', '--', data, ...args, '--ready-file', readyFile], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanUp(t, () => npm.kill('SIGKILL'));
  let stdout = '';
  const ready = new Promise<void>((resolve, reject) => {
    npm.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (/^ready after/m.test(stdout)) resolve();
    });
    npm.on('exit', (code) => reject(new Error(`npm start ended with ${code}: ${stdout}`)));
  });
  npm.stderr.resume();
  const exited = new Promise<number | null>((resolve) => npm.on('close', resolve));
  await ready;
  const { pid, namesrv } = JSON.parse(readFileSync(readyFile, 'utf8')) as ReadyFile;
  assert.equal((await run(['produce', 'x', '--body', 'y', '--namesrv', namesrv!])).code, 0);
  npm.kill('SIGTERM');
  await exited;
  assert.match(stdout, /stopped after \d+ ms/);
  assert.equal(existsSync(readyFile), false);
  assert.equal(existsSync(join(data, 'abort')), false);
  // No orphan: signal 0 only asks whether the process is there.
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});
