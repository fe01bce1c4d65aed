/**
 * SIGKILL of the broker itself, the built command, while remoting clients send to it and pull from it. Rounds are few
 * because each starts a whole broker; kill.test.ts has the many, on the store.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BenchBroker, type Engine, startVernier } from '../../bench/brokers.ts';
import { BrokerLoad } from './support/broker-load.ts';
import { crashRounds, crashSeed, type EngineName, smallStore } from './support/engines.ts';
import { Expectations } from './support/expectations.ts';
import { type RunShape, randomFrom } from './support/messages.ts';

const ROUNDS = Math.min(6, crashRounds(2));
const SEQUENCES_A_ROUND = 10_000_000;
const engines: [Engine, EngineName][] = [
  ['channel', 'channel, pool lane'],
  ['mmap', 'mmap'],
  ['transient', 'transient pool'],
];

for (const [engine, name] of engines) {
  test(`kill: the broker under client load, ${engine}, ${ROUNDS} rounds`, {
    timeout: 60_000 + ROUNDS * 20_000,
  }, async (t) => {
    const seed = crashSeed();
    const random = randomFrom(seed);
    const home = mkdtempSync(join(tmpdir(), 'vernier-kill-broker-'));
    const shape: RunShape = { seed, topics: ['crash-a', 'crash-b'], queueCount: 3, bodySizeMax: 700 };
    const witnessLog = join(home, 'witness');
    // What the transient pool has committed is not told to clients, so only what they were promised on disk is held.
    const expectations = new Expectations(shape, 'kill', witnessLog, engine === 'transient');
    const { storePathRootDir, ...rest } = smallStore(name, join(home, 'store'));
    const settings = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, String(value)]));
    let broker: BenchBroker | undefined;
    let load: BrokerLoad | undefined;
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const flushDiskType = round % 2 === 0 ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
        broker = await startVernier({ flushDiskType, engine, settings, storeDir: storePathRootDir });
        load = new BrokerLoad({
          ...{ address: broker.address, shape, syncFlush: flushDiskType === 'SYNC_FLUSH', witnessLog },
          firstSequence: round * SEQUENCES_A_ROUND,
        });
        await load.start(24);
        await load.underLoad;
        // The moment of the kill is what varies here; nothing is waited for.
        await new Promise((resolve) => setTimeout(resolve, 50 + random() * 500));
        await broker.kill();
        load.stop();
        assert.equal(load.failure, undefined);
        const { acked, seen, faults } = expectations.crashed();
        assert.deepEqual(faults, [], `seed ${seed}, round ${round}`);
        t.diagnostic(`seed ${seed} round ${round} ${flushDiskType}: ${acked} acknowledged, ${seen} seen`);
      }
      const verification = await expectations.verify(smallStore(name, storePathRootDir));
      assert.deepEqual(verification.faults, [], `seed ${seed}`);
      t.diagnostic(`${verification.found} found, ${verification.checked} promises kept`);
    } finally {
      load?.stop();
      await broker?.kill();
      rmSync(home, { recursive: true, force: true });
    }
  });
}
