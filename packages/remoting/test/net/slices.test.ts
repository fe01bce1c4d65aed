import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slices } from '../../src/net/slices.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('slices: so many a turn and no more, in order, none left out', async () => {
  const done: number[] = [];
  const slices = new Slices<number>(10, (item) => void done.push(item));
  const count = 3_000;
  for (let i = 0; i < count; i++) slices.add(i);
  assert.equal(done.length, 10, 'the first ones are done at once');
  for (let turns = 1; done.length < count; turns++) {
    assert.equal(done.length, turns * 10);
    await turn();
  }
  assert.deepEqual(
    done,
    Array.from({ length: count }, (_, i) => i),
  );
  assert.equal(slices.size, 0);
});

test('slices: what is added while others wait does not overtake them', async () => {
  const done: string[] = [];
  const slices: Slices<string> = new Slices(2, (item) => {
    done.push(item);
    if (item === 'c') slices.add('late');
  });
  for (const item of ['a', 'b', 'c', 'd', 'e']) slices.add(item);
  assert.deepEqual(done, ['a', 'b']);
  await turn();
  assert.deepEqual(done, ['a', 'b', 'c', 'd']);
  await turn();
  assert.deepEqual(done, ['a', 'b', 'c', 'd', 'e', 'late']);
});

test('slices: finish does at once all that waits', () => {
  const done: number[] = [];
  const slices = new Slices<number>(1, (item) => void done.push(item));
  for (let i = 0; i < 2_000; i++) slices.add(i);
  slices.finish();
  assert.equal(done.length, 2_000);
  assert.equal(slices.size, 0);
});
