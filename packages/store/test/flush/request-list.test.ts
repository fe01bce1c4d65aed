import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@vernier/torture';
import { GroupCommitRequest } from '../../src/flush/group-commit-request.ts';
import { RequestList } from '../../src/flush/request-list.ts';
import { emptyResult } from './fake-log.ts';

const request = (nextOffset: number, deadline = 1_000) => new GroupCommitRequest(nextOffset, deadline, emptyResult());

test('request lists: what is put after a swap waits for the next one', () => {
  const list = new RequestList(new ManualClock(), () => {});
  const [first, second] = [request(10), request(20)];
  list.putRequest(first);
  list.swapRequests();
  list.putRequest(second);
  assert.equal(list.groupEnd, 10);
  assert.equal(list.answerUpTo(100), 1, 'the second is in the write list, no flush has begun for it');
  assert.deepEqual([first.isAnswered, second.isAnswered], [true, false]);
  list.swapRequests();
  assert.equal(list.groupEnd, 20);
  assert.equal(list.answerUpTo(20), 1);
  assert.equal(list.size, 0);
  list.close();
});

test('request lists: a group that is not answered yet is never swapped away', () => {
  const list = new RequestList(new ManualClock(), () => {});
  const [first, second, third] = [request(10), request(20), request(30)];
  list.putRequest(first);
  list.putRequest(second);
  list.swapRequests();
  assert.equal(list.answerUpTo(10), 1);
  list.putRequest(third);
  list.swapRequests();
  assert.equal(list.groupEnd, 20, 'the second waits still');
  assert.equal(list.answerUpTo(20), 1);
  list.swapRequests();
  assert.equal(list.groupEnd, 30);
  list.answerAll('UNKNOWN_ERROR', { reason: 'test' });
  assert.ok(third.isAnswered);
  list.close();
});

test('request lists: one timer for all, none when nothing waits', async () => {
  const clock = new ManualClock();
  const timedOut: number[] = [];
  const list = new RequestList(clock, (late) => {
    timedOut.push(late.nextOffset);
    late.wakeupCustomer('FLUSH_DISK_TIMEOUT');
  });
  for (const [offset, deadline] of [
    [1, 100],
    [2, 100],
    [3, 250],
  ] as const) {
    list.putRequest(request(offset, deadline));
  }
  assert.equal(clock.timerCount, 1);
  await clock.advance(100);
  assert.deepEqual(timedOut, [1, 2]);
  assert.equal(clock.timerCount, 1);
  await clock.advance(150);
  assert.deepEqual(timedOut, [1, 2, 3]);
  assert.equal(clock.timerCount, 0);
});

test('request lists: a request that comes late, for what was appended earlier, holds up nobody', () => {
  const list = new RequestList(new ManualClock(), () => {});
  const [late, early] = [request(100), request(200)];
  list.putRequest(early);
  list.putRequest(late);
  list.swapRequests();
  assert.equal(list.groupEnd, 200);
  // The flush of one file ends between the two.
  assert.equal(list.answerUpTo(100), 1);
  assert.ok(late.isAnswered);
  assert.ok(!early.isAnswered);
  assert.equal(list.answerUpTo(200), 1);
  assert.equal(list.size, 0);
  list.close();
});
