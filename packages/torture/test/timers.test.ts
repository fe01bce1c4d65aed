import assert from 'node:assert/strict';
import { test } from 'node:test';
import { torture } from '@vernier/torture';
import { BrokerFront } from '@vernier/torture/broker-front';

/** Crashes of the short run; `npm run torture -- --timers` makes the long ones. */
const ROUNDS = Number(process.env.ROUNDS ?? 25);
const SEED = Number(process.env.SEED ?? 1);

test(`torture of timed messages: ${ROUNDS} crashes by seed, none comes early, none is lost`, async () => {
  const front = () => new BrokerFront({ timers: true });
  const { failure, counters } = await torture({ seed: SEED, rounds: ROUNDS, front });
  assert.equal(failure, undefined, failure && [`seed ${failure.seed}`, failure.message, ...failure.steps].join('\n'));
  for (const name of ['powerCuts', 'kills', 'cleanShutdowns', 'timers', 'timersRecalled', 'timersDelivered'] as const) {
    assert.ok(counters[name] > 0, name);
  }
});
