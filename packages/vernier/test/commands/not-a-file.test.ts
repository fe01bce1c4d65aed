// The command over a directory in which a named pipe has the place of a file: each ends by itself and says which it is.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { putInPlace } from '../../../../test/support/not-a-file.ts';
import { smallStore } from '../../../doctor/test/small-store.ts';
import { endAfter, Running } from '../cli.ts';

const ports = ['--namesrv-port', '0', '--broker-port', '0', '--no-proxy'];

test('a named pipe in the place of a file: start and the doctor end with its path, and hang on nothing', {
  skip: process.platform === 'win32',
  timeout: 120_000,
}, async (t) => {
  const { root } = await smallStore(t);
  const places = [
    'checkpoint',
    'abort',
    'lock',
    'config/topics.json',
    'config/consumerOffset.json',
    'config/kvConfig.json',
  ];
  for (const place of places) {
    const copy = join(await temporaryFolder(t, 'kinds'), 'store');
    cpSync(root, copy, { recursive: true });
    const path = join(copy, place);
    putInPlace(path, 'a named pipe');
    const isTable = place.startsWith('config/') && place !== 'config/topics.json';
    const commands = [['start', copy, ...ports], ...(isTable ? [] : [['store', 'verify', copy]])];
    for (const args of commands) {
      const running = new Running(args);
      endAfter(t, running);
      const { code, stderr } = await running.finished;
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, new RegExp(`${path} is a named pipe.*\\[STORE_NOT_A_FILE\\]`));
    }
  }
});

test('a named pipe in the place of a file: every command of the doctor ends', {
  skip: process.platform === 'win32',
  timeout: 120_000,
}, async (t) => {
  const { root } = await smallStore(t);
  const path = join(root, 'consumequeue', 'events', '0', '00000000000000000000');
  putInPlace(path, 'a named pipe');
  const commands = [
    ['inspect', root],
    ['verify', root],
    ['dump', root],
    ['repair', root],
    ['export', root, '--topic', 'events'],
  ];
  for (const args of commands) {
    const running = new Running(['store', ...args]);
    endAfter(t, running);
    const { code, stderr } = await running.finished;
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, new RegExp(`${path} is a named pipe.*\\[STORE_NOT_A_FILE\\]`));
  }
});
