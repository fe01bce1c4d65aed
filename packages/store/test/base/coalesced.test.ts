import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '@vernier/torture';
import { Coalesced } from '../../src/base/coalesced.ts';

function controlled() {
  const runs: { resolve(value: number): void; reject(error: Error): void }[] = [];
  const coalesced = new Coalesced<number>(
    () => new Promise<number>((resolve, reject) => void runs.push({ resolve, reject })),
  );
  return { runs, coalesced };
}

test('coalesced: who asks during a run shares the next one, which starts when this one ended', async () => {
  const { runs, coalesced } = controlled();
  const first = coalesced.run();
  const second = coalesced.run();
  const third = coalesced.run();
  await settle();
  assert.equal(runs.length, 1);
  runs[0]!.resolve(1);
  assert.equal(await first, 1);
  await settle();
  assert.equal(runs.length, 2);
  const fourth = coalesced.run();
  runs[1]!.resolve(2);
  assert.deepEqual(await Promise.all([second, third]), [2, 2]);
  await settle();
  assert.equal(runs.length, 3, 'who came during the second got a third');
  runs[2]!.resolve(3);
  assert.equal(await fourth, 3);
});

test('coalesced: a failed run does not answer for the next one', async () => {
  const { runs, coalesced } = controlled();
  const first = coalesced.run();
  const second = coalesced.run();
  runs[0]!.reject(new Error('first'));
  await assert.rejects(first, /first/);
  await settle();
  runs[1]!.resolve(2);
  assert.equal(await second, 2);
});

test('coalesced: whenIdle waits for the run after this one too', async () => {
  const { runs, coalesced } = controlled();
  await coalesced.whenIdle();
  const first = coalesced.run();
  const second = coalesced.run();
  let idle = false;
  const waiting = coalesced.whenIdle().then(() => {
    idle = true;
  });
  runs[0]!.resolve(1);
  await first;
  await settle();
  assert.equal(idle, false);
  runs[1]!.resolve(2);
  await second;
  await waiting;
});
