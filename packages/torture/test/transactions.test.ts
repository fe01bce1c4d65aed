import assert from 'node:assert/strict';
import { test } from 'node:test';
import { torture } from '@vernier/torture';
import { BrokerFront } from '@vernier/torture/broker-front';

/** Crashes of the short run; `npm run torture -- --transactions` makes the long ones. */
const ROUNDS = Number(process.env.ROUNDS ?? 40);
const SEED = Number(process.env.SEED ?? 1);

test(`torture of transactions: ${ROUNDS} crashes by seed, committed once, rolled back never, the open ones asked about`, async () => {
  const front = () => new BrokerFront({ transactions: true });
  const { failure, counters } = await torture({ seed: SEED, rounds: ROUNDS, front });
  assert.equal(failure, undefined, failure && [`seed ${failure.seed}`, failure.message, ...failure.steps].join('\n'));
  for (const name of ['powerCuts', 'kills', 'cleanShutdowns', 'transactions', 'transactionChecks'] as const) {
    assert.ok(counters[name] > 0, name);
  }
});
