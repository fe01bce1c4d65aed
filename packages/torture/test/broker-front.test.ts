import assert from 'node:assert/strict';
import { test } from 'node:test';
import { torture } from '@vernier/torture';
import { BrokerFront } from '@vernier/torture/broker-front';

/** Crashes of the short run; `npm run torture -- --broker` makes the long ones. */
const ROUNDS = Number(process.env.ROUNDS ?? 40);

test(`torture through a broker: ${ROUNDS} crashes by seed, no promise broken`, async () => {
  const { failure, counters } = await torture({ seed: 1, rounds: ROUNDS, front: () => new BrokerFront() });
  assert.equal(failure, undefined, failure && [failure.message, ...failure.steps].join('\n'));
  assert.equal(counters.crashes, ROUNDS);
  for (const name of ['powerCuts', 'kills', 'cleanShutdowns', 'acknowledged', 'read'] as const) {
    assert.ok(counters[name] > 0, name);
  }
});

test('torture through a broker: the same seed is the same history', async () => {
  const run = () => torture({ seed: 77, rounds: 5, front: () => new BrokerFront() });
  const first = await run();
  assert.equal(first.failure, undefined, first.failure?.message);
  assert.deepEqual((await run()).counters, first.counters);
});
