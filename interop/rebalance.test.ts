/** What a consumer that joins and leaves costs in duplicates, beside what it costs with the Java broker. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinAndLeave } from './client-suite.ts';
import { startBroker } from './peers/brokers.ts';
import { startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { skipUnless } from './peers/suite.ts';

const rounds = 3;
/** One pull: what a client has in its hands when a queue is taken from it is chance within this. */
const pullBatchSize = 32;

describe('rebalance beside the Java broker', { skip: skipUnless(javaMissing()), timeout: 180_000 }, () => {
  it(`no more duplicates in ${rounds} rounds than with Apache RocketMQ`, async (t) => {
    const client = startJavaClient('5.5.0');
    t.after(() => client.stop());
    const duplicates: Record<string, number> = {};
    for (const kind of ['apache', 'vernier'] as const) {
      const broker = await startBroker('ASYNC_FLUSH', {}, kind);
      try {
        duplicates[kind] = 0;
        for (let round = 0; round < rounds; round += 1) duplicates[kind] += await joinAndLeave(client, broker, true);
      } finally {
        await broker.stop();
      }
    }
    t.diagnostic(`duplicates of ${rounds * 4_000} messages: ${JSON.stringify(duplicates)}`);
    assert.ok(duplicates.vernier! <= duplicates.apache! + pullBatchSize, JSON.stringify(duplicates));
  });
});
