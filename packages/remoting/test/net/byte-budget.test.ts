import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ByteBudget } from '../../src/net/byte-budget.ts';

describe('ByteBudget', () => {
  it('lets claims through in the order in which they came, as room allows', () => {
    const budget = new ByteBudget(10);
    const granted: string[] = [];
    budget.take(8);
    budget.wait(5, () => granted.push('five'));
    budget.wait(1, () => granted.push('one'));
    assert.deepEqual(granted, [], 'a small claim does not overtake a large one, or that would wait for ever');
    budget.give(3);
    assert.deepEqual([granted, budget.used], [['five'], 10]);
    budget.give(1);
    assert.deepEqual([granted, budget.used, budget.waiting], [['five', 'one'], 10, 0]);
  });

  it('a claim above the whole budget goes through when nobody else has anything', () => {
    const budget = new ByteBudget(10);
    let granted = 0;
    budget.take(1);
    budget.wait(100, () => granted++);
    assert.equal(granted, 0);
    budget.give(1);
    assert.deepEqual([granted, budget.used], [1, 100]);
  });

  it('a claim that is taken back makes way for those behind it', () => {
    const budget = new ByteBudget(10);
    let granted = 0;
    budget.take(8);
    const leave = budget.wait(5, () => assert.fail('taken back'));
    budget.wait(2, () => granted++);
    leave();
    assert.equal(granted, 1);
    leave();
    budget.give(10);
    assert.equal(budget.used, 0);
  });

  it('is never exceeded by claims that wait, none of them is forgotten, and all comes back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }),
        fc.infiniteStream(fc.nat(9)),
        (sizes, chance) => {
          const budget = new ByteBudget(25);
          const held: number[] = [];
          let open = sizes.length;
          for (const size of sizes) {
            budget.take(0);
            budget.wait(size, () => {
              held.push(size);
              open--;
            });
            if (chance.next().value < 5) {
              // Somebody has to move for a grant.
              budget.take(1);
              budget.give(1);
            }
            assert.ok(budget.used <= 25 || held.length === 1, `${budget.used}`);
            if (chance.next().value < 5 && held.length > 0) budget.give(held.pop() as number);
          }
          for (let rounds = 0; open > 0 || held.length > 0; rounds++) {
            assert.ok(rounds < 1000, `${open} claims are forgotten`);
            budget.take(1);
            budget.give(1);
            if (held.length > 0) budget.give(held.pop() as number);
          }
          assert.deepEqual([budget.used, budget.waiting], [0, 0]);
        },
      ),
    );
  });
});
