import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusText } from '../../src/commands/status.ts';

const info = {
  brokerVersionDesc: 'V5_5_0',
  runtime: '[ 0 days, 0 hours, 3 minutes, 7 seconds ]',
  storeEngine: 'channel',
  flushDiskType: 'SYNC_FLUSH',
  commitLogMinOffset: '1048576',
  commitLogMaxOffset: '3145728',
  remainHowManyDataToFlush: '2048',
  remainHowManyDataToCommit: '0',
  dispatchBehindBytes: '0',
  flushWaiters: '12',
  flushOldestWaiterMs: '1500',
  flushCount: '469',
  flushTimeAverageMs: '1.760',
  flushTimeMaxMs: '14.635',
  flushGroupSizeAverage: '63.966',
  putMessageTimesTotal: '30000',
  putTps: '3990.42 12.0 0.0',
};

test('status text: the flush pipeline in words, with who waits and for how long', () => {
  assert.deepEqual(statusText('127.0.0.1:10911', 'broker-a', info).split('\n'), [
    'broker         127.0.0.1:10911  broker-a',
    'speaks as      RocketMQ V5_5_0',
    'running        3 minutes, 7 seconds',
    'engine         channel',
    'flush mode     SYNC_FLUSH',
    'log            2.0 MiB from offset 1,048,576 to 3,145,728',
    'not on disk    2.0 KiB',
    'not written    0 bytes',
    'not in queues  0 bytes',
    'waiting        12 messages for their flush, the oldest for 1,500 ms',
    'flushes        469, 1.760 ms on average, 14.635 ms at most, 63.966 messages each',
    'put            30,000 messages',
    'put a second   3,990.4, 12, 0 (over 10 s, 1 min, 10 min)',
  ]);
});

test('status text: a failed store is said first of all', () => {
  const failure = 'STORE_FLUSH_FAILED: fdatasync failed with EIO';
  assert.match(
    statusText('a:1', 'b', { ...info, storeFailure: failure }),
    /\nstore failed {3}STORE_FLUSH_FAILED: .*\nengine/,
  );
});

test('status text: what a Java broker does not say is left out', () => {
  const text = statusText('a:1', 'b', { brokerVersionDesc: 'V5_3_3', putTps: '1.0 1.0 1.0' });
  assert.doesNotMatch(text, /undefined|NaN|waiting|engine/);
});
