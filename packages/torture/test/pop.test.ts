import assert from 'node:assert/strict';
import { test } from 'node:test';
import { torture } from '@vernier/torture';
import { BrokerFront } from '@vernier/torture/broker-front';

/** Crashes of the short run; `npm run torture -- --pop` makes the long ones. */
const ROUNDS = Number(process.env.ROUNDS ?? 40);
const SEED = Number(process.env.SEED ?? 1);

test(`torture of POP: ${ROUNDS} crashes by seed, acks hold, and what is not acknowledged comes again`, async () => {
  const front = (seed: number) => new BrokerFront({ pop: true, seed });
  const { failure, counters } = await torture({ seed: SEED, rounds: ROUNDS, front });
  assert.equal(failure, undefined, failure && [`seed ${failure.seed}`, failure.message, ...failure.steps].join('\n'));
  for (const name of ['powerCuts', 'kills', 'pops', 'popDelivered', 'popDeliveredAgain', 'popAcks'] as const) {
    assert.ok(counters[name] > 0, name);
  }
});
