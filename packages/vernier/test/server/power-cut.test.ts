import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultMessageStoreConfig } from '@vernier/store';
import {
  describeLosses,
  duration,
  type LossSettings,
  lossesOf,
  syncFlushTimeoutNote,
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
    'loses no message answered SEND_OK, if the drive keeps what it confirms;',
    'of those sent with WAIT=false, up to the last 10 ms and two flushes (0.84 ms each)',
  ]);
  assert.deepEqual(describeLosses(settings(rocketmqAsync)), [
    'loses acknowledged messages, up to those of the last 10.5 s (while less than 16 KiB is new) and two flushes',
  ]);
  assert.deepEqual(describeLosses(settings({ flushDiskType: 'ASYNC_FLUSH' })), [
    'loses acknowledged messages, up to those of the last 500 ms and two flushes',
  ]);
  assert.equal(
    describeLosses(settings({ flushDiskType: 'ASYNC_FLUSH', transientStorePoolEnable: true }))[1],
    'a killed process alone loses up to the last 400 ms of them',
  );
});

test('duration: milliseconds below a second, seconds above', () => {
  assert.deepEqual([0, 999, 1_000, 10_500, 2_147_483].map(duration), ['0 ms', '999 ms', '1 s', '10.5 s', '2147.483 s']);
});

test('syncFlushTimeoutNote: only where a client would give up before the answer', () => {
  assert.deepEqual(syncFlushTimeoutNote({ flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 3_000 }), []);
  assert.deepEqual(syncFlushTimeoutNote({ flushDiskType: 'ASYNC_FLUSH', syncFlushTimeout: 5_000 }), []);
  assert.match(syncFlushTimeoutNote({ flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 5_000 })[0]!, /5000 ms.*3000 ms/);
});
