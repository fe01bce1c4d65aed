import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Deadlines } from '../../src/net/deadlines.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('Deadlines', () => {
  it('never early, at most the granularity late, whatever the order and whatever is removed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.nat(50), delay: fc.integer({ min: 1, max: 300 }), remove: fc.boolean() })),
        (calls) => {
          const clock = new ManualClock();
          const deadlines = new Deadlines(clock, 10);
          const due: { at: number; fired: number }[] = [];
          let removed = 0;
          for (const { wait, delay, remove } of calls) {
            clock.advance(wait);
            const entry = { at: clock.monotonic() + delay, fired: -1 };
            const deadline = deadlines.add(delay, () => {
              assert.equal(entry.fired, -1, 'once');
              entry.fired = clock.monotonic();
            });
            if (remove) {
              deadlines.remove(deadline);
              deadlines.remove(deadline);
              removed++;
            } else due.push(entry);
          }
          clock.advance(1000);
          assert.equal(due.length + removed, calls.length);
          for (const { at, fired } of due) assert.ok(fired >= at && fired <= at + 11, `due ${at}, fired ${fired}`);
          assert.equal(deadlines.count, 0);
          assert.equal(clock.timers, 0, 'no timer without a waiting call');
        },
      ),
    );
  });

  it('has one timer for a hundred thousand calls', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const all = Array.from({ length: 100_000 }, () => deadlines.add(3000, () => assert.fail('removed')));
    assert.equal(clock.timers, 1);
    for (const deadline of all) deadlines.remove(deadline);
    assert.equal(deadlines.count, 0);
    clock.advance(3100);
    assert.equal(clock.timers, 0);
  });

  it('close forgets all and stops the timer', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    deadlines.add(10, () => assert.fail('closed'));
    deadlines.close();
    assert.equal(clock.timers, 0);
    assert.equal(deadlines.count, 0);
    clock.advance(100);
  });

  it('a call added while others time out is not lost', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    let second = 0;
    deadlines.add(100, () => deadlines.add(50, () => second++));
    clock.advance(111);
    clock.advance(61);
    assert.equal(second, 1);
  });
});
