/**
 * A data directory that may not be written to: before the start and under a running broker, where the broker is another
 * user than the one who may (root writes everywhere); and a file system that the kernel itself turns read-only after an
 * error, as ext4 does by default on many systems.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PowerCutDisk, powerCutDiskMissing } from '../crash/support/power-cut-disk.ts';
import { NotStarted } from './support/broker.ts';
import { needs, Scene } from './support/scene.ts';

const USER = 65_534;

function setprivMissing(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root, to become another user';
  const tried = spawnSync('setpriv', [...asUser.slice(1), 'true'], { encoding: 'utf8' });
  if (tried.error) return 'needs setpriv';
  return tried.status === 0 ? undefined : `setpriv: ${tried.stderr.trim()}`;
}

/** Another user, who may read the checkout wherever it lies and write nowhere but where users may. */
const asUser = [
  ...['setpriv', '--reuid', String(USER), '--regid', String(USER), '--clear-groups'],
  ...['--inh-caps', '-all,+dac_read_search', '--ambient-caps', '-all,+dac_read_search'],
  ...['--bounding-set', '-all,+dac_read_search'],
];

function walk(path: string, act: (path: string, isDirectory: boolean) => void): void {
  const isDirectory = lstatSync(path).isDirectory();
  act(path, isDirectory);
  if (isDirectory) for (const name of readdirSync(path)) walk(join(path, name), act);
}

const own = (root: string, user: number): void => walk(root, (path) => chownSync(path, user, user));
const protect = (root: string): void => walk(root, (path, isDirectory) => chmodSync(path, isDirectory ? 0o555 : 0o444));
const unprotect = (root: string): void =>
  walk(root, (path, isDirectory) => chmodSync(path, isDirectory ? 0o755 : 0o644));

const missing = setprivMissing();

test('a data directory made read-only: nothing acknowledged is lost, a start is refused with a code and changes nothing', {
  ...needs(missing),
  timeout: 120_000,
}, async (t) => {
  assert.equal(missing, undefined, 'CI must be able to run this test');
  const scene = new Scene(t, { engine: 'channel, pool lane', store: { putMessageTimeout: 1_000 } });
  const root = scene.store.storePathRootDir;
  chmodSync(scene.home, 0o777);
  const broker = await scene.broker({ wrapper: asUser });
  const load = await scene.load(broker);
  own(root, 0);
  protect(root);
  // Open files stay writable; the next file of the log cannot be made any more.
  await load.until('a refusal', () => load.refused > 20);
  assert.ok(!broker.hasEnded, broker.output);
  assert.match(load.lastRefusal, /EACCES|EPERM/);
  const acknowledged = load.acknowledged;
  await load.until('what was acknowledged is pulled', () => load.pulled >= acknowledged);
  t.diagnostic(`${acknowledged} acknowledged, then ${load.lastRefusal}`);
  await broker.kill();
  load.stop();
  scene.crashed();

  const names: string[] = [];
  walk(root, (path) => names.push(`${path} ${lstatSync(path).size} ${lstatSync(path).mtimeMs}`));
  for (let start = 0; start < 2; start++) {
    await assert.rejects(scene.broker({ wrapper: asUser }), (error) => {
      assert.ok(error instanceof NotStarted, String(error));
      assert.ok(error.code === 1 || error.code === 2, error.output);
      assert.match(error.output, /\[STORE_[A-Z_]+\]/);
      assert.match(error.output, /EACCES|may not|not writable|permission/i);
      return true;
    });
  }
  const after: string[] = [];
  walk(root, (path) => after.push(`${path} ${lstatSync(path).size} ${lstatSync(path).mtimeMs}`));
  assert.deepEqual(after, names);
  unprotect(root);
  own(root, USER);
  await scene.startsAgain({ wrapper: asUser });
});

const diskMissing = powerCutDiskMissing();

const UNCONVERTED = 'failed to convert unwritten extents';
/** Machines on which the kernel itself gives up what it has confirmed, before one on which it does not. */
const ATTEMPTS = 12;

test('the kernel turns the file system read-only under the broker: refused from then on, nothing promised is lost', {
  ...needs(diskMissing),
  timeout: 240_000,
}, async (t) => {
  assert.equal(diskMissing, undefined, 'CI must be able to run this test');
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    if (await turnedReadOnly(t)) return;
    t.diagnostic('the kernel lost what it had confirmed (docs/durability.md); once more');
  }
  assert.fail(`the kernel lost what it had confirmed ${ATTEMPTS} times`);
});

/**
 * False when the kernel has said that it lost writes: between the end of ext4's journal and the read-only flag, some
 * milliseconds, it confirms syncs whose blocks it then cannot mark as written. No program can tell those from others.
 */
async function turnedReadOnly(t: TestContext): Promise<boolean> {
  const disk = new PowerCutDisk({ sizeMiB: 128 });
  const scene = new Scene(t, {
    ...{ engine: 'channel, pool lane', crash: 'power-cut' },
    storeDir: join(disk.mountPoint, 'store'),
    store: { putMessageTimeout: 1_000 },
  });
  scene.atEnd(() => disk.destroy());
  const remounted = spawnSync('mount', ['-o', 'remount,errors=remount-ro', disk.mountPoint], { encoding: 'utf8' });
  assert.equal(remounted.status, 0, remounted.stderr);
  const broker = await scene.broker();
  const load = await scene.load(broker);
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const device = basename(mounts.find((line) => line.split(' ')[1] === disk.mountPoint)!.split(' ')[0]!);
  const marker = `${disk.mountPoint}: a file system error is triggered`;
  writeFileSync('/dev/kmsg', `${marker}\n`);
  writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'a test of what happens then');
  await load.until('refusals', () => load.refused > 40);
  assert.ok(!broker.hasEnded, broker.output);
  assert.match(load.lastRefusal, /EROFS|EIO|ESHUTDOWN/);
  const acknowledged = load.acknowledgedAfterRefusal;
  await load.until('more refusals', () => load.refused > 80);
  assert.equal(load.acknowledgedAfterRefusal, acknowledged);
  t.diagnostic(`${load.acknowledged} acknowledged, then ${load.lastRefusal}`);
  await broker.kill();
  load.stop();
  const kernelLog = spawnSync('dmesg', { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }).stdout;
  const since = kernelLog.slice(kernelLog.lastIndexOf(marker));
  // The one or the other, by whether the flag was there already when the kernel's worker came to the blocks.
  if (since.includes(UNCONVERTED) || /comm kworker\S*: Detected aborted journal/.test(since)) {
    return false;
  }
  scene.crashed();
  // The disk as it is, mounted anew: the journal is replayed, as after a reboot.
  disk.copyNow();
  disk.powerOn();
  await scene.startsAgain();
  return true;
}
