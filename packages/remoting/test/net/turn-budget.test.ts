import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TurnBudget } from '../../src/net/turn-budget.ts';
import { ManualClock } from '../support/manual-clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('turn budget: so many a turn, those that wait in their order, and nobody twice before the others', async () => {
  const budget = new TurnBudget(new ManualClock(), 4);
  const log: string[] = [];
  /** Each wants three. */
  const run = (name: string, wanted: number): void => {
    let left = wanted;
    const go = (): void => {
      for (; left > 0; left--) {
        if (!budget.take()) {
          budget.wait(go);
          return;
        }
        log.push(name);
      }
    };
    go();
  };
  for (const name of ['a', 'b', 'c', 'd']) run(name, 3);
  assert.deepEqual(log, ['a', 'a', 'a', 'b']);
  await turn();
  assert.deepEqual(log.slice(4), ['b', 'b', 'c', 'c']);
  await turn();
  // d has not had its turn, c has.
  assert.deepEqual(log.slice(8), ['d', 'd', 'd', 'c']);
  assert.equal(budget.waiting, 0);
  await turn();
  run('e', 1);
  assert.equal(log.at(-1), 'e');
});

test('turn budget: requests that take long end the turn before their number does', async () => {
  const clock = new ManualClock();
  const budget = new TurnBudget(clock);
  let taken = 0;
  const go = (): void => {
    while (budget.take()) {
      taken++;
      clock.advance(1);
    }
    if (taken < 100) budget.wait(go);
  };
  go();
  assert.ok(taken > 0 && taken <= 32, `${taken} of a millisecond each`);
  const before = taken;
  await turn();
  assert.ok(taken > before, 'the next turn has its own time');
});
