/**
 * SIGKILL under load. A killed process leaves the page cache, so this says nothing about flushing (power-cut.test.ts
 * does); it says that what was acknowledged as written is found again, that recovery works from any moment on, its own
 * included, and that log, queues and index agree afterwards.
 *
 * `VERNIER_CRASH_ROUNDS=30` runs so many kills an engine, `VERNIER_CRASH_SEED` repeats a run's decisions.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crashRounds, crashSeed, type EngineName, engineNames, smallStore } from './support/engines.ts';
import { Expectations } from './support/expectations.ts';
import { type RunShape, randomFrom } from './support/messages.ts';
import { WriterProcess } from './support/writer-process.ts';

const ROUNDS = crashRounds(2);
/** A store is left after so many kills, because every verification reads all of it. */
const ROUNDS_A_STORE = 6;
const SEQUENCES_A_ROUND = 10_000_000;

for (const engine of engineNames) {
  test(`kill: ${engine}, ${ROUNDS} rounds of SIGKILL under load`, { timeout: 60_000 + ROUNDS * 20_000 }, async (t) => {
    const seed = crashSeed();
    t.diagnostic(`seed ${seed}`);
    const random = randomFrom(seed);
    for (let done = 0; done < ROUNDS; done += ROUNDS_A_STORE) {
      await killRepeatedly(t, engine, Math.floor(random() * 2 ** 31), Math.min(ROUNDS_A_STORE, ROUNDS - done));
    }
  });
}

async function killRepeatedly(t: TestContext, engine: EngineName, seed: number, rounds: number): Promise<void> {
  const random = randomFrom(seed);
  const home = mkdtempSync(join(tmpdir(), 'vernier-kill-'));
  let writer: WriterProcess | undefined;
  try {
    const shape: RunShape = { seed, topics: ['crash-a', 'crash-b'], queueCount: 3, bodySizeMax: 700 };
    const witnessLog = join(home, 'witness');
    const expectations = new Expectations(shape, 'kill', witnessLog, engine === 'transient pool');
    const store = smallStore(engine, join(home, 'store'));
    for (let round = 0; round < rounds; round++) {
      const isLast = round === rounds - 1;
      const flushDiskType = random() < 0.5 ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
      writer = new WriterProcess({
        store: { ...store, flushDiskType },
        shape,
        witnessLog,
        firstSequence: round * SEQUENCES_A_ROUND,
        concurrency: 24,
      });
      // Now and then the kill comes while the writer still opens the store: then recovery is what is interrupted.
      const early = round > 0 && !isLast && random() < 0.25;
      if (!early) await writer.underLoad;
      // The moment of the kill is what varies here; nothing is waited for.
      await new Promise((resolve) => setTimeout(resolve, early ? 200 + random() * 400 : 30 + random() * 400));
      await writer.kill();
      const { acked, seen, faults } = expectations.crashed();
      assert.deepEqual(faults, [], `seed ${seed}, round ${round}`);
      if (!early) assert.ok(acked > 0, `seed ${seed}, round ${round}: killed before anything was acknowledged`);
      let line = `seed ${seed} round ${round} ${flushDiskType}: ${acked} acknowledged, ${seen} seen`;
      // Sometimes the next writer opens what this kill left, without a clean shutdown in between.
      if (isLast || random() < 0.6) {
        const verification = await expectations.verify({ ...store, flushDiskType });
        assert.deepEqual(verification.faults, [], `seed ${seed}, round ${round}`);
        line += `, then ${verification.found} found, ${verification.checked} promises kept`;
      }
      t.diagnostic(line);
    }
  } finally {
    await writer?.destroy();
    rmSync(home, { recursive: true, force: true });
  }
}
