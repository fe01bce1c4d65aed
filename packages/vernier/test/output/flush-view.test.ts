import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classesOf, flushView, lookOf, sparkline } from '../../src/output/flush-view.ts';

const before = {
  flushDiskType: 'SYNC_FLUSH',
  putMessageTimesTotal: '1000',
  flushCount: '100',
  flushTimeDistribute: '0.5:90 1:10 2:0 +:0',
  flushGroupSizeDistribute: '1:100 8:0 64:0 +:0',
};
const after = {
  ...before,
  putMessageTimesTotal: '4000',
  flushCount: '200',
  flushWaiters: '32',
  flushOldestWaiterMs: '3',
  remainHowManyDataToFlush: '4096',
  flushTimeDistribute: '0.5:90 1:90 2:20 +:0',
  flushGroupSizeDistribute: '1:101 8:0 64:99 +:0',
};
const look = (now: object, then: object = before, ms = 2_000) =>
  lookOf(
    ...(['127.0.0.1:10911', 'broker-a', { atMs: ms, info: now as Record<string, string> }] as const),
    { atMs: 0, info: then as Record<string, string> },
    '2026-11-30T12:00:00.000Z',
  );

test('flush view: what happened between two looks, as bars', () => {
  assert.deepEqual(flushView(look(after), [0, 500, 1_500]), [
    'broker-a  127.0.0.1:10911  SYNC_FLUSH',
    '  puts         1,500 a second  ▁▃█',
    '  flushes      50 a second, 30 messages each',
    '  waiting      32 messages for their flush, the oldest for 3 ms',
    '  not on disk  4.0 KiB',
    '  power cut    takes nothing that clients were told is stored',
    '',
    '  time of a flush',
    '  ≤ 1.0 ms  ████████████████████████████████████████  80',
    '  ≤ 2.0 ms  ██████████                                20',
    '',
    '  messages that share one',
    '   ≤ 1  ▍                                         1',
    '   ≤ 8                                            0',
    '  ≤ 64  ████████████████████████████████████████  99',
  ]);
});

test('flush view: under ASYNC_FLUSH it says what clients would lose', () => {
  const view = flushView(look({ ...after, flushDiskType: 'ASYNC_FLUSH' }), [1]);
  assert.ok(view.includes('  power cut    takes 4.0 KiB that clients were told are stored'));
});

test('flush view: a store that failed, and a broker of Java, of which less is known', () => {
  const failed = flushView(look({ ...after, storeFailure: 'STORE_FLUSH_FAILED: EIO' }), [1]);
  assert.equal(failed[1], '  store failed  STORE_FLUSH_FAILED: EIO');
  const java = look({ putMessageTimesTotal: '10', remainHowManyDataToFlush: '1.0 KiB' }, { putMessageTimesTotal: '8' });
  assert.deepEqual([java.putsPerSecond, java.flushTimeMs, java.notOnDiskBytes], [1, undefined, 0]);
  assert.equal(flushView(java, [1]).length, 5);
});

test('flush view: a broker that was started anew counts from nought, and an idle one has no flushes', () => {
  const anew = look({
    ...before,
    putMessageTimesTotal: '10',
    flushCount: '5',
    flushTimeDistribute: '0.5:5 1:0 2:0 +:0',
  });
  assert.equal(anew.putsPerSecond, 5);
  assert.deepEqual(anew.flushTimeMs?.counts, [5, 0, 0, 0]);
  const idle = flushView(look(before), [0, 0]);
  assert.ok(idle.includes('  none since the look before'));
  assert.equal(idle[1], '  puts         0.0 a second  ▁▁');
});

test('flush view: what is no distribution is none', () => {
  assert.deepEqual(classesOf('1:2 +:3'), { bounds: [1], counts: [2, 3] });
  for (const text of [undefined, '', '1:2', '1:x +:3', '+:3 1:2']) assert.equal(classesOf(text), undefined, text);
  assert.equal(sparkline([1, 2, 4, 8]), '▂▃▅█');
});
