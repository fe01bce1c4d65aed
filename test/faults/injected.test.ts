/**
 * EIO and ENOSPC out of the system calls of the broker itself, once; the disk is well again afterwards. After a failed
 * write or flush nothing is acknowledged any more, also not once the disk works (a second flush may succeed without having
 * written what the first one lost); pulls go on; a restart keeps every promise. A failed allocation is no such failure:
 * nothing of the log was lost, so what is refused meanwhile is taken later.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EngineName } from '../crash/support/engines.ts';
import { askForTopic, needs, Scene } from './support/scene.ts';
import { inject, straceMissing } from './support/strace.ts';

const missing = straceMissing();
const options = { ...needs(missing), timeout: 120_000 };
const MiB = 1024 * 1024;
/** Refused sends after which the broker has shown that it stays refusing. */
const REFUSALS = 40;

interface Case {
  engine: EngineName;
  flush: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  calls: string[];
  error: 'EIO' | 'ENOSPC';
  /** msync names no file. */
  anyFile?: true;
}

const WRITES = ['pwrite64', 'pwritev'];
const cases: Case[] = [
  { engine: 'channel, pool lane', flush: 'SYNC_FLUSH', calls: WRITES, error: 'EIO' },
  { engine: 'channel, pool lane', flush: 'SYNC_FLUSH', calls: WRITES, error: 'ENOSPC' },
  { engine: 'channel, pool lane', flush: 'ASYNC_FLUSH', calls: WRITES, error: 'EIO' },
  { engine: 'channel, pool lane', flush: 'ASYNC_FLUSH', calls: WRITES, error: 'ENOSPC' },
  { engine: 'channel, pool lane', flush: 'ASYNC_FLUSH', calls: ['fdatasync'], error: 'EIO' },
  { engine: 'channel, worker lane', flush: 'SYNC_FLUSH', calls: WRITES, error: 'EIO' },
  { engine: 'channel, worker lane', flush: 'ASYNC_FLUSH', calls: ['fdatasync'], error: 'EIO' },
  { engine: 'mmap', flush: 'SYNC_FLUSH', calls: ['msync'], error: 'EIO', anyFile: true },
  { engine: 'mmap', flush: 'ASYNC_FLUSH', calls: ['msync'], error: 'ENOSPC', anyFile: true },
  { engine: 'transient pool', flush: 'SYNC_FLUSH', calls: WRITES, error: 'ENOSPC' },
  { engine: 'transient pool', flush: 'ASYNC_FLUSH', calls: ['fdatasync'], error: 'EIO' },
];

for (const { engine, flush, calls, error, anyFile } of cases) {
  test(
    `${error} once in ${calls.join('/')}, ${flush}, ${engine}: refused from then on, nothing promised is lost`,
    options,
    async (t) => {
      assert.equal(missing, undefined, 'CI must be able to run this test');
      const scene = new Scene(t, {
        ...{ engine, flushDiskType: flush, crash: 'power-cut' },
        store: { mappedFileSizeCommitLog: 16 * MiB, flushIntervalCommitLog: 20, transientStorePoolSize: 2 },
      });
      const broker = await scene.broker();
      const load = await scene.load(broker);
      const log = join(scene.store.storePathRootDir, 'commitlog');
      const paths = readdirSync(log)
        .filter((name) => /^\d{20}$/.test(name))
        .map((name) => join(log, name));
      const fault = await inject(broker.pid, { calls, what: `error=${error}:when=1`, ...(anyFile ? {} : { paths }) });
      await load.until('a refusal', () => load.refused > 0);
      await fault.detach();
      // The disk is well; the store must not be.
      const acknowledged = load.acknowledgedAfterRefusal;
      const pulledBefore = load.pulled;
      await load.until('more refusals', () => load.refused >= REFUSALS);
      assert.equal(load.acknowledgedAfterRefusal, acknowledged);
      assert.equal(acknowledged, 0, 'a message sent after the failure was acknowledged');
      assert.match(load.lastRefusal, new RegExp(error), 'the refusal does not name the cause');
      assert.ok(!broker.hasEnded, broker.output);
      assert.match(broker.output, /refuses every message from here on/);
      t.diagnostic(
        `${load.acknowledged} acknowledged, ${load.pulled} pulled (${pulledBefore} before), ${load.lastRefusal}`,
      );
      await broker.kill();
      load.stop();
      scene.crashed();
      await scene.startsAgain();
    },
  );
}

for (const [error, engine] of [
  ['ENOSPC', 'channel, pool lane'],
  ['EIO', 'mmap'],
  ['ENOSPC', 'channel, worker lane'],
] as const) {
  test(
    `${error} in fallocate for a while, ${engine}: refused while it lasts, taken afterwards, nothing lost`,
    options,
    async (t) => {
      assert.equal(missing, undefined, 'CI must be able to run this test');
      const scene = new Scene(t, { engine, store: { putMessageTimeout: 1_000 } });
      const broker = await scene.broker();
      const load = await scene.load(broker);
      const fault = await inject(broker.pid, { calls: ['fallocate'], what: `error=${error}` });
      await load.until('a refusal', () => load.refused > 0);
      assert.ok(fault.injected > 0);
      await fault.detach();
      const refused = load.acknowledgedAfterRefusal;
      await load.until('messages taken again', () => load.acknowledgedAfterRefusal > refused + 100);
      // A file of a wrong size in the log's directory would keep the store from opening.
      await broker.kill();
      load.stop();
      scene.crashed();
      await scene.startsAgain();
    },
  );
}

test(
  'EIO in the rename that puts a log file in its place: refused while it lasts, nothing lost',
  options,
  async (t) => {
    assert.equal(missing, undefined, 'CI must be able to run this test');
    const scene = new Scene(t, { engine: 'channel, pool lane', store: { putMessageTimeout: 1_000 } });
    const broker = await scene.broker();
    const load = await scene.load(broker);
    const fault = await inject(broker.pid, { calls: ['rename', 'renameat', 'renameat2'], what: 'error=EIO' });
    await load.until('a refusal', () => load.refused > 0);
    // With the same fault a topic cannot be made durable: it is not confirmed, and the file stays the one it was.
    const topics = join(scene.store.storePathRootDir, 'config', 'topics.json');
    const before = readFileSync(topics, 'utf8');
    const answer = await askForTopic(broker, 'made-under-fault');
    assert.notEqual(answer.code, 0, 'a topic was confirmed that is not on disk');
    assert.equal(readFileSync(topics, 'utf8'), before);
    await fault.detach();
    assert.equal((await askForTopic(broker, 'made-afterwards')).code, 0);
    assert.match(readFileSync(topics, 'utf8'), /made-afterwards/);
    await broker.kill();
    load.stop();
    scene.crashed();
    await scene.startsAgain();
  },
);
