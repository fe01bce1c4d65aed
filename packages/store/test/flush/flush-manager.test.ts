import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { defaultMessageStoreConfig, type MessageStoreConfig } from '../../src/base/config.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { Durability } from '../../src/base/types.ts';
import { FlushManager } from '../../src/flush/flush-manager.ts';
import { FlushRealTimeService } from '../../src/flush/flush-real-time-service.ts';
import { GroupCommitService } from '../../src/flush/group-commit-service.ts';
import { emptyResult, FakeLog } from './fake-log.ts';

function manager(settings: Partial<MessageStoreConfig>) {
  const config = {
    ...defaultMessageStoreConfig,
    storePathRootDir: '/x',
    storePathCommitLog: '/x/commitlog',
    ...settings,
  };
  const clock = new ManualClock();
  const log = new FakeLog();
  const flushManager = new FlushManager(log, log, config, { clock, logger: silentLogger });
  flushManager.start();
  const submit = (waits = true, durability?: Durability) => {
    const result = emptyResult();
    result.wroteOffset = log.maxOffset;
    result.wroteBytes = 100;
    log.maxOffset += 100;
    return flushManager.submitFlushRequest(result, waits, durability);
  };
  return { clock, log, flushManager, submit, config };
}

test('flush manager: the services that each pair of settings makes', () => {
  const sync = manager({ flushDiskType: 'SYNC_FLUSH' }).flushManager;
  assert.ok(sync.flushCommitLogService instanceof GroupCommitService);
  const syncPool = manager({ flushDiskType: 'SYNC_FLUSH', transientStorePoolEnable: true }).flushManager;
  assert.ok(syncPool.flushCommitLogService instanceof GroupCommitService);
  assert.equal(syncPool.commitRealTimeService, undefined, 'a group commit commits by itself');
  const async = manager({ flushDiskType: 'ASYNC_FLUSH' }).flushManager;
  assert.ok(async.flushCommitLogService instanceof FlushRealTimeService);
  assert.equal(async.commitRealTimeService, undefined);
  const pool = manager({ flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: true }).flushManager;
  assert.ok(pool.commitRealTimeService);
});

test('flush manager: what an append waits for, by settings, WAIT and durability', async () => {
  type Level = 'memory' | 'written' | 'disk';
  const cases: [Partial<MessageStoreConfig>, boolean, Durability | undefined, Level][] = [
    [{ flushDiskType: 'SYNC_FLUSH' }, true, undefined, 'disk'],
    [{ flushDiskType: 'SYNC_FLUSH' }, false, undefined, 'written'],
    [{ flushDiskType: 'SYNC_FLUSH' }, false, 'sync', 'disk'],
    [{ flushDiskType: 'SYNC_FLUSH' }, false, 'group', 'disk'],
    [{ flushDiskType: 'SYNC_FLUSH' }, true, 'async', 'written'],
    [{ flushDiskType: 'SYNC_FLUSH', transientStorePoolEnable: true }, true, undefined, 'disk'],
    [{ flushDiskType: 'ASYNC_FLUSH' }, true, undefined, 'written'],
    [{ flushDiskType: 'ASYNC_FLUSH' }, true, 'sync', 'disk'],
    [{ flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: true }, true, undefined, 'memory'],
    [{ flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: true }, true, 'sync', 'disk'],
  ];
  for (const [settings, waits, durability, level] of cases) {
    const { log, flushManager, submit } = manager(settings);
    // Every write and flush hangs: whoever is answered all the same waits for less.
    log.held = true;
    let committing: () => void = () => {};
    const commit = log.commit.bind(log);
    log.commit = async (pages) => {
      await new Promise<void>((resolve) => {
        committing = resolve;
      });
      return commit(pages);
    };
    let answered = false;
    const put = submit(waits, durability).then((result) => {
      answered = true;
      return result;
    });
    const name = `${JSON.stringify(settings)}, WAIT=${waits}, ${durability ?? 'default'}`;
    await settle();
    assert.equal(answered, level === 'memory', `${name}: in memory`);
    committing();
    await settle();
    assert.equal(answered, level !== 'disk', `${name}: written`);
    log.held = false;
    log.commit = commit;
    log.release();
    committing();
    assert.equal((await put).status, 'PUT_OK', name);
    if (level === 'disk') assert.equal(log.flushedWhere, 100, `${name}: on disk`);
    await flushManager.shutdown();
    assert.equal(log.flushedWhere, 100, `${name}: shutdown leaves nothing unflushed`);
  }
});

test('flush manager: waiters are counted over all services', async () => {
  const { log, flushManager, submit } = manager({ flushDiskType: 'SYNC_FLUSH' });
  log.held = true;
  const puts = [submit(), submit(), submit()];
  await settle();
  assert.equal(flushManager.waiterCount, 3);
  log.held = false;
  log.release();
  await Promise.all(puts);
  assert.equal(flushManager.waiterCount, 0);
  await flushManager.shutdown();
});

test('flush manager: a timeout that changes counts for the next append, in the order in which they came', async () => {
  const { clock, log, flushManager, submit, config } = manager({
    flushDiskType: 'SYNC_FLUSH',
    syncFlushTimeout: 1_000,
  });
  log.held = true;
  const statuses: string[] = [];
  const put = (name: string) =>
    submit().then(({ status }) => statuses.push(`${name} ${status} at ${clock.monotonic()}`));
  put('first');
  await settle();
  config.syncFlushTimeout = 300;
  await clock.advance(100);
  put('second');
  config.syncFlushTimeout = 5_000;
  put('third');
  await clock.advance(899);
  assert.deepEqual(statuses, []);
  await clock.advance(1);
  assert.deepEqual(statuses, ['first FLUSH_DISK_TIMEOUT at 1000', 'second FLUSH_DISK_TIMEOUT at 1000']);
  await clock.advance(4_100);
  assert.equal(statuses[2], 'third FLUSH_DISK_TIMEOUT at 5100');
  log.held = false;
  log.release();
  await flushManager.shutdown();
});

test('flush manager: a wait under the old interval ends when the interval changes', async () => {
  const { clock, log, flushManager, submit, config } = manager({
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLog: 3_600_000,
  });
  submit();
  await settle();
  config.flushIntervalCommitLog = 10;
  flushManager.configChanged();
  await clock.advance(10);
  assert.equal(log.flushedWhere, 100);
  await flushManager.shutdown();
});
