import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultMessageStoreConfig } from '@vernier/store';
import {
  describeLosses,
  duration,
  type LossSettings,
  lossesOf,
  syncFlushTimeoutWarning,
} from '../../src/server/power-cut.ts';

const settings = (changes: Partial<LossSettings>): LossSettings => ({
  ...defaultMessageStoreConfig,
  ...changes,
});
/** RocketMQ's own rule for ASYNC_FLUSH. */
const rocketmqAsync = { flushDiskType: 'ASYNC_FLUSH', flushCommitLogLeastPages: 4 } as const;

test('losses: SYNC_FLUSH loses no acknowledged message, neither by power cut nor by kill', () => {
  const losses = lossesOf(settings({ flushDiskType: 'SYNC_FLUSH' }));
  assert.deepEqual(losses.powerCut, { windowMs: 0, flushes: 0 });
  assert.deepEqual(losses.processKill, { windowMs: 0, flushes: 0 });
});

test('losses: SYNC_FLUSH promises nothing for WAIT=false but the flush that follows', () => {
  const losses = lossesOf(settings({ flushDiskType: 'SYNC_FLUSH' }));
  assert.deepEqual(losses.powerCutWithoutWait, { windowMs: 10, flushes: 2 });
  assert.deepEqual(losses.processKillWithoutWait, { windowMs: 0, flushes: 0 });
});

test('losses: ASYNC_FLUSH loses the interval and two flushes, and a killed process nothing', () => {
  const losses = lossesOf(settings({ flushDiskType: 'ASYNC_FLUSH' }));
  assert.deepEqual(losses.powerCut, { windowMs: 500, flushes: 2 });
  assert.deepEqual(losses.processKill, { windowMs: 0, flushes: 0 });
  assert.deepEqual(losses.powerCutWithoutWait, losses.powerCut);
});

test('losses: least pages make it the thorough interval on top, however short the flush interval is', () => {
  assert.equal(lossesOf(settings(rocketmqAsync)).powerCut.windowMs, 10_500);
  assert.equal(lossesOf(settings({ ...rocketmqAsync, flushIntervalCommitLog: 1 })).powerCut.windowMs, 10_001);
});

test('losses: the transient pool puts the commit before the flush and loses it to a kill too', () => {
  const losses = lossesOf(settings({ ...rocketmqAsync, transientStorePoolEnable: true }));
  assert.equal(losses.powerCut.windowMs, 10_500 + 200 + 200);
  assert.deepEqual(losses.processKill, { windowMs: 400, flushes: 0 });
  const everyCommit = settings({
    flushDiskType: 'ASYNC_FLUSH',
    transientStorePoolEnable: true,
    commitCommitLogLeastPages: 0,
  });
  assert.equal(lossesOf(everyCommit).processKill.windowMs, 200);
});

test('losses: under SYNC_FLUSH the transient pool changes nothing, an answer comes after the flush or the write', () => {
  const losses = lossesOf(settings({ flushDiskType: 'SYNC_FLUSH', transientStorePoolEnable: true }));
  assert.deepEqual(losses, lossesOf(settings({ flushDiskType: 'SYNC_FLUSH' })));
});

test('losses: no setting promises more than the one it loosens', () => {
  for (const interval of [1, 500, 60_000]) {
    for (const pages of [0, 1, 4]) {
      for (const pool of [false, true]) {
        const sync = lossesOf(settings({ flushDiskType: 'SYNC_FLUSH', transientStorePoolEnable: pool }));
        const async_ = lossesOf(
          settings({
            flushDiskType: 'ASYNC_FLUSH',
            flushIntervalCommitLog: interval,
            flushCommitLogLeastPages: pages,
            transientStorePoolEnable: pool,
          }),
        );
        assert.ok(async_.powerCut.windowMs >= interval && async_.powerCut.windowMs > sync.powerCut.windowMs);
        assert.ok(async_.powerCut.windowMs >= async_.processKill.windowMs);
      }
    }
  }
});

test('describeLosses: says what is lost in words, with the numbers of the settings', () => {
  assert.deepEqual(describeLosses(settings({ flushDiskType: 'SYNC_FLUSH' }), 0.84), [
    'takes no message that was answered SEND_OK, as far as the drive keeps what it confirms',
    'of messages sent with WAIT=false, up to the last 10 ms and what came during two flushes (0.84 ms each, measured)',
  ]);
  assert.deepEqual(describeLosses(settings(rocketmqAsync)), [
    'takes up to the last 10.5 s of acknowledged messages, when less than 16 KiB is new, and what came during two flushes',
  ]);
  assert.deepEqual(describeLosses(settings({ flushDiskType: 'ASYNC_FLUSH' })), [
    'takes up to the last 500 ms of acknowledged messages, and what came during two flushes',
  ]);
  assert.match(
    describeLosses(settings({ flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: true }))[1]!,
    /^a killed process alone takes up to the last 400 ms of them/,
  );
});

test('duration: milliseconds below a second, seconds above', () => {
  assert.deepEqual([0, 999, 1_000, 10_500, 2_147_483].map(duration), ['0 ms', '999 ms', '1 s', '10.5 s', '2147.483 s']);
});

test('syncFlushTimeoutWarning: only where a client would give up before the answer', () => {
  assert.equal(syncFlushTimeoutWarning({ flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 3_000 }), undefined);
  assert.equal(syncFlushTimeoutWarning({ flushDiskType: 'ASYNC_FLUSH', syncFlushTimeout: 5_000 }), undefined);
  assert.match(syncFlushTimeoutWarning({ flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 5_000 })!, /5000 ms.*3000 ms/);
});
