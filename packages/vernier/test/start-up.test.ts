import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { Running, startBroker } from './cli.ts';

const PRIVATE_MEMORY_MAX = 60 * 1024 * 1024;

test('start-up: before ready nothing loads but koffi, the argument parser and the logger', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const list = join(folder, 'modules.json');
  const broker = await startBroker(t, join(folder, 'data'), [], {
    env: { VERNIER_MODULES: list },
    isUnbundled: true,
    nodeArgs: ['--import', fileURLToPath(new URL('loaded-modules.mjs', import.meta.url))],
  });
  broker.signal('SIGUSR2');
  await broker.printed(/modules written/);
  const modules = JSON.parse(readFileSync(list, 'utf8')) as string[];
  const foreign = modules
    .map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1])
    .filter((name) => name !== undefined);
  // What the logger brings along.
  const ofPino = [
    '@pinojs/redact',
    'atomic-sleep',
    'on-exit-leak-free',
    'pino-std-serializers',
    'process-warning',
    'quick-format-unescaped',
    'real-require',
    'safe-stable-stringify',
    'sonic-boom',
    'thread-stream',
  ];
  const allowed = new Set([
    'koffi',
    '@koromix/koffi-linux-x64',
    '@koromix/koffi-linux-arm64',
    'commander',
    'pino',
    ...ofPino,
  ]);
  assert.ok(foreign.includes('commander') && foreign.includes('pino'), 'the hook sees what is loaded');
  assert.deepEqual(
    [...new Set(foreign)].filter((name) => !allowed.has(name)),
    [],
  );
  const own = modules.filter((url) => url.includes('/packages/vernier/dist/'));
  const unwanted = /\/(client|commands\/(produce|consume|topic|status|namesrv|torture))[./]/;
  assert.ok(own.length > 10);
  assert.deepEqual(
    own.filter((url) => unwanted.test(url)),
    [],
  );
  assert.deepEqual(
    modules.filter((url) => /\/packages\/(torture|doctor)\//.test(url)),
    [],
    'the simulated disk is loaded by vernier torture alone',
  );
});

// How long it takes to be ready is npm run bench's to say: a test that is timed says more of the machine than of us.
test('start-up: little private memory', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const status = readFileSync(`/proc/${broker.child.pid}/status`, 'utf8');
  const privateBytes = Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  t.diagnostic(`${privateBytes} bytes of private memory, ready after ${broker.ready.readyMs} ms`);
  assert.ok(privateBytes < PRIVATE_MEMORY_MAX, `${privateBytes} bytes of private memory at start`);
});

test('start-up: the ready file says the time since the process began, not since our first line', async (t) => {
  const began = performance.now();
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const seenMs = performance.now() - began;
  assert.ok(broker.ready.readyMs > 20 && broker.ready.readyMs <= seenMs, `${broker.ready.readyMs} of ${seenMs}`);
});

test('start-up: --version and --help start nothing', async () => {
  const version = await new Running(['--version']).finished;
  assert.deepEqual([version.code, version.stdout, version.stderr], [0, '0.1.0\n', '']);
  const help = await new Running(['--help']).finished;
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^Usage: vernier /);
  const startHelp = await new Running(['help', 'start']).finished;
  assert.match(startHelp.stdout, /--ready-file <file>/);
});
