import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReputMessageService } from '../../src/dispatch/reput-message-service.ts';
import type { DispatchRequest } from '../../src/record/dispatch-request.ts';
import { keyHashesOf } from '../../src/record/property-scan.ts';

const request = (commitLogOffset: number, msgSize: number): DispatchRequest => ({
  topic: 'T',
  queueId: 0,
  commitLogOffset,
  msgSize,
  tagsCode: 0,
  storeTimestamp: commitLogOffset,
  consumeQueueOffset: 0,
  keyHashes: keyHashesOf(undefined, '', ''),
  sysFlag: 0,
  preparedTransactionOffset: 0,
});

test('reput: dispatches in order up to the confirm offset and never past it', () => {
  const dispatched: number[] = [];
  const reput = new ReputMessageService((one) => dispatched.push(one.commitLogOffset));
  for (let offset = 0; offset < 1_000; offset += 100) reput.append(request(offset, 100));
  reput.advance(99);
  assert.deepEqual(dispatched, []);
  reput.advance(250);
  assert.deepEqual(dispatched, [0, 100]);
  assert.equal(reput.reputFromOffset, 200);
  assert.equal(reput.pendingCount, 8);
  reput.advance(250);
  assert.equal(dispatched.length, 2, 'nothing is dispatched twice');
  reput.advance(1_000);
  assert.equal(dispatched.length, 10);
  assert.equal(reput.dispatchedTimestamp, 900);
});

test('reput: the BLANK at the end of a file counts as dispatched when nothing waits before it', () => {
  const reput = new ReputMessageService(() => {});
  reput.append(request(0, 100));
  reput.advance(4_096);
  assert.equal(reput.reputFromOffset, 4_096);
  reput.append(request(4_096, 100));
  reput.advance(4_096);
  assert.equal(reput.reputFromOffset, 4_096);
});

test('reput: ten thousand requests in small steps, each once', () => {
  const dispatched: number[] = [];
  const reput = new ReputMessageService((one) => dispatched.push(one.commitLogOffset));
  for (let i = 0; i < 10_000; i++) {
    reput.append(request(i * 10, 10));
    // The confirm offset trails by two thousand records, so that requests are dropped from the front in between.
    reput.advance((i - 2_000) * 10);
  }
  reput.advance(100_000);
  assert.equal(dispatched.length, 10_000);
  assert.ok(dispatched.every((offset, i) => offset === i * 10));
});

test('reput: a listener that asks sees how far dispatch has come', () => {
  const seen: number[] = [];
  const reput: ReputMessageService = new ReputMessageService(() => seen.push(reput.reputFromOffset));
  reput.append(request(0, 10));
  reput.append(request(10, 10));
  reput.advance(20);
  assert.deepEqual(seen, [10, 20]);
});
