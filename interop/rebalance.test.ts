/** What a consumer that joins and leaves costs in duplicates, beside what it costs with the Java broker. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinAndLeave } from './client-suite.ts';
import { startBroker } from './peers/brokers.ts';
import { startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { note, skipUnless } from './peers/suite.ts';

const rounds = 3;
/**
 * A new owner begins where the last one committed. Whether the last one was told in time to do so is a race, lost by
 * either broker now and then, and then what was consumed since the commit before comes twice. So a comparison that falls
 * against us is made again; a broker that tells too late loses every one.
 */
const comparisons = 3;
/** One pull: what a client has in its hands when a queue is taken from it is chance within this. */
const pullBatchSize = 32;

describe('rebalance beside the Java broker', { skip: skipUnless(javaMissing()), timeout: 600_000 }, () => {
  it(`no more duplicates in ${rounds} rounds than with Apache RocketMQ`, async (t) => {
    const client = startJavaClient('5.5.0');
    t.after(() => client.stop());
    const seen: { apache: number[]; vernier: number[] }[] = [];
    const sum = (counts: number[]): number => counts.reduce((total, count) => total + count, 0);
    for (let comparison = 0; comparison < comparisons; comparison += 1) {
      const duplicates: { apache: number[]; vernier: number[] } = { apache: [], vernier: [] };
      for (const kind of ['apache', 'vernier'] as const) {
        const broker = await startBroker('ASYNC_FLUSH', {}, kind);
        try {
          for (let round = 0; round < rounds; round += 1)
            duplicates[kind].push(await joinAndLeave(client, broker, true));
        } finally {
          await broker.stop();
        }
      }
      note(t, `duplicates of 4000 messages in each of ${rounds} rounds: ${JSON.stringify(duplicates)}`);
      seen.push(duplicates);
      if (sum(duplicates.vernier) <= sum(duplicates.apache) + pullBatchSize) return;
    }
    assert.fail(`more duplicates than with the Java broker, again and again: ${JSON.stringify(seen)}`);
  });
});
