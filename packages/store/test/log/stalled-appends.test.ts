import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import type { PutMessageResult } from '../../src/base/types.ts';
import { STALLED_BYTES_MAX } from '../../src/log/stalled-appends.ts';
import { errno, Faults } from './faulty-file-system.ts';
import { message, openLog } from './harness.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** A log whose next file is held back: appends that do not fit the first one wait. */
async function logWithoutRoom(
  t: Parameters<typeof openLog>[0],
  settings: Parameters<typeof openLog>[1] = {},
  clock: Clock = systemClock,
) {
  const faults = new Faults();
  const opened = await openLog(t, settings, { wrap: (fileSystem) => faults.wrap(fileSystem), clock });
  faults.holdAllocate();
  return { faults, ...opened };
}

test('stalled append: handed to the flush in the turn of its append, before whatever is appended after it', async (t) => {
  const { faults, log, queue } = await logWithoutRoom(t);
  const submitted: number[] = [];
  const { flushManager } = log;
  const submit = flushManager.submitFlushRequest.bind(flushManager);
  flushManager.submitFlushRequest = (result, ...more) => {
    submitted.push(result.wroteOffset);
    return submit(result, ...more);
  };
  const first = log.asyncPutMessage(message({ body: Buffer.alloc(60 * KiB) }));
  const stalled = log.asyncPutMessage(message({ body: Buffer.alloc(10 * KiB) }));
  assert.equal(log.stalledCount, 1);
  // Whoever waits for the file too comes one microtask after the stalled append has got its room.
  const behind = queue.whenNextFileReady().then(() => log.asyncPutMessage(message()));
  faults.release();
  const results = await Promise.all([first, stalled, behind]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['PUT_OK', 'PUT_OK', 'PUT_OK'],
  );
  assert.ok(results[1]!.wroteOffset < results[2]!.wroteOffset);
  assert.deepEqual(
    submitted,
    results.map((result) => result.wroteOffset),
  );
});

test('stalled appends: together they take a bounded number of bytes, whatever their number', async (t) => {
  const { faults, log } = await logWithoutRoom(t, {
    mappedFileSizeCommitLog: 8 * MiB,
    maxMessageSize: 4 * MiB,
    putMessageTimeout: 60_000,
  });
  const body = Buffer.alloc(4 * MiB - KiB);
  const answers: Promise<PutMessageResult>[] = [log.asyncPutMessage(message({ body }))];
  const count = 3 * Math.ceil(STALLED_BYTES_MAX / body.length);
  for (let i = 0; i < count; i++) answers.push(log.asyncPutMessage(message({ body })));
  assert.ok(log.stalledBytes <= STALLED_BYTES_MAX, `${log.stalledBytes} bytes wait`);
  assert.ok(log.stalledCount >= 10, 'what fits waits');
  const refused = await answers.at(-1)!;
  assert.equal(refused.status, 'OS_PAGE_CACHE_BUSY');
  assert.match(refused.reason!, new RegExp(`${log.stalledBytes} bytes wait .* ${STALLED_BYTES_MAX}`));
  await settle();
  faults.release();
  const statuses = (await Promise.all(answers)).map((result) => result.status);
  assert.ok(statuses.filter((status) => status === 'PUT_OK').length >= 10);
  assert.equal(log.stalledBytes, 0, 'what has gone is not counted any more');
});

test('stalled appends: one larger than what may wait together waits when it is alone', async (t) => {
  const { faults, log } = await logWithoutRoom(t, {
    mappedFileSizeCommitLog: 128 * MiB,
    maxMessageSize: 100 * MiB,
    appendBufferSize: 128 * MiB,
  });
  const body = Buffer.alloc(STALLED_BYTES_MAX + MiB);
  const first = log.asyncPutMessage(message({ body }));
  const second = log.asyncPutMessage(message({ body }));
  assert.equal(log.stalledCount, 1);
  assert.equal((await log.asyncPutMessage(message())).status, 'OS_PAGE_CACHE_BUSY');
  faults.release();
  assert.equal((await first).status, 'PUT_OK');
  assert.equal((await second).status, 'PUT_OK');
});

test('stalled append: one whose encoding throws rejects its own caller and nobody else', async (t) => {
  const { faults, log, running } = await logWithoutRoom(t);
  const first = log.asyncPutMessage(message({ body: Buffer.alloc(60 * KiB) }));
  const hostile = { address: Uint8Array.of(1, 2, 3, 4), port: 1 };
  const throwing = log.asyncPutMessage(message({ body: Buffer.alloc(10 * KiB), bornHost: hostile }));
  const behind = log.asyncPutMessage(message());
  assert.equal(log.stalledCount, 2);
  Object.defineProperty(hostile, 'address', {
    get() {
      throw new TypeError('of the caller');
    },
  });
  faults.release();
  await assert.rejects(throwing, /of the caller/);
  assert.equal((await first).status, 'PUT_OK');
  assert.equal((await behind).status, 'PUT_OK');
  assert.equal(running.failure, undefined);
});

test('stalled appends: refused together when there is no next file, and not counted any more', async (t) => {
  const faults = new Faults();
  const { log } = await openLog(t, {}, { wrap: (fileSystem) => faults.wrap(fileSystem) });
  faults.failAllocate = errno('ENOSPC');
  const first = log.asyncPutMessage(message({ body: Buffer.alloc(60 * KiB) }));
  const answers = [1, 2, 3].map(() => log.asyncPutMessage(message({ body: Buffer.alloc(10 * KiB) })));
  assert.equal((await first).status, 'PUT_OK');
  for (const answer of answers) assert.equal((await answer).status, 'CREATE_MAPPED_FILE_FAILED');
  assert.equal(log.stalledBytes, 0);
});

test('page cache busy: once the first has waited for osPageCacheBusyTimeOutMills, more are refused until there is room', async (t) => {
  const clock = new ManualClock();
  const settings = { osPageCacheBusyTimeOutMills: 300, putMessageTimeout: 8_000 };
  const { faults, log } = await logWithoutRoom(t, settings, clock);
  const first = log.asyncPutMessage(message({ body: Buffer.alloc(60 * KiB) }));
  const waiting = [log.asyncPutMessage(message({ body: Buffer.alloc(10 * KiB) }))];
  clock.pass(300);
  waiting.push(log.asyncPutMessage(message()));
  assert.equal(log.stalledCount, 2, 'at the limit one may wait');
  clock.pass(1);
  const refused = await log.asyncPutMessage(message());
  assert.equal(refused.status, 'OS_PAGE_CACHE_BUSY');
  assert.match(
    refused.reason ?? '',
    /^2 appends of \d+ bytes wait for the disk, the oldest for 301 ms; osPageCacheBusyTimeOutMills is 300: the next file is not ready$/,
  );
  assert.equal(log.oldestStalledMs, 301);
  faults.release();
  for (const result of await Promise.all([first, ...waiting]))
    assert.equal(result.status, 'PUT_OK', 'who waits goes on');
  assert.equal(log.oldestStalledMs, 0);
  assert.equal((await log.asyncPutMessage(message())).status, 'PUT_OK', 'and so does who comes');
});

test('queue full: no more than maxAsyncPutMessageRequests wait; those that wait are not answered for it', async (t) => {
  const { faults, log } = await logWithoutRoom(t, { maxAsyncPutMessageRequests: 3 });
  const first = log.asyncPutMessage(message({ body: Buffer.alloc(60 * KiB) }));
  const waiting = [1, 2, 3].map(() => log.asyncPutMessage(message({ body: Buffer.alloc(10 * KiB) })));
  const refused = await log.asyncPutMessage(message());
  assert.equal(refused.status, 'OS_PAGE_CACHE_BUSY');
  assert.match(refused.reason ?? '', /^3 appends of \d+ bytes wait .* maxAsyncPutMessageRequests is 3: /);
  assert.equal(log.stalledCount, 3);
  faults.release();
  for (const result of await Promise.all([first, ...waiting])) assert.equal(result.status, 'PUT_OK');
});
