// One process opens and closes a store a thousand times: nothing is left behind each time.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { cleanUp } from '../../../test/support/clean-up.ts';
import type { MessageStoreOptions } from '../src/base/config.ts';
import { MessageStore } from '../src/message-store.ts';

/** More than the rest grows by itself: code that is compiled, pools that fill. */
const WARM_UP = 100;
const HEAP_GROWTH_MAX = 4 * 1024 * 1024;
const RESIDENT_GROWTH_MAX = 64 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** In memory where there is such a place: a thousand starts and stops are some twenty thousand syncs. */
function folder(t: TestContext): string {
  const path = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vernier-rounds-'));
  cleanUp(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

const count = (directory: string): number => (process.platform === 'linux' ? readdirSync(directory).length : 0);

interface Held {
  descriptors: number;
  threads: number;
  handles: number;
  exitListeners: number;
  heap: number;
  resident: number;
}

async function held(): Promise<Held> {
  // What closes with the next turn of the loop, a worker's port for one.
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  collect();
  const { heapUsed, rss } = process.memoryUsage();
  return {
    descriptors: count('/proc/self/fd'),
    threads: count('/proc/self/task'),
    handles: process.getActiveResourcesInfo().length,
    exitListeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    heap: heapUsed,
    resident: rss,
  };
}

const kinds: Record<string, { rounds: number; settings: Partial<MessageStoreOptions> }> = {
  'pool lane': { rounds: 1_000, settings: {} },
  'worker lane': { rounds: 30, settings: { ioLane: 'worker' } },
  mmap: { rounds: 60, settings: { writeWithoutMmap: false } },
};

for (const [kind, { rounds, settings }] of Object.entries(kinds)) {
  test(`a store that is opened and closed ${rounds} times, ${kind}: no descriptor, thread, handle or memory stays`, {
    timeout: 120_000,
  }, async (t) => {
    const storePathRootDir = join(folder(t), 'store');
    const options: MessageStoreOptions = {
      storePathRootDir,
      flushDiskType: 'ASYNC_FLUSH',
      mappedFileSizeCommitLog: 64 * 1024,
      mappedFileSizeConsumeQueue: 2_000,
      maxHashSlotNum: 100,
      maxIndexNum: 400,
      diskFreeBytesMin: 0,
      ...settings,
    };
    const round = async (number: number): Promise<void> => {
      const store = await MessageStore.open(options);
      if (number % 10 === 0) {
        store.on('arrived', () => {});
        assert.equal((await store.putMessage({ topic: 'T', body: 'x', keys: 'k' })).status, 'PUT_OK');
        await store.queryMessage('T', 'k');
        for await (const _ of store.readQueue('T')) break;
      }
      await store.shutdown();
      if (number % 50 !== 0) return;
      // An open that is refused gives back what it took.
      await assert.rejects(MessageStore.open({ ...options, mappedFileSizeCommitLog: 128 * 1024 }));
    };
    const warmUp = Math.min(WARM_UP, rounds / 3);
    for (let number = 0; number < warmUp; number++) await round(number);
    const before = await held();
    const beganAt = performance.now();
    for (let number = warmUp; number < rounds; number++) await round(number);
    const after = await held();
    t.diagnostic(
      `${((performance.now() - beganAt) / (rounds - warmUp)).toFixed(1)} ms a round, heap +${after.heap - before.heap}, ` +
        `resident +${after.resident - before.resident}, ${after.descriptors} descriptors, ${after.threads} threads`,
    );
    for (const what of ['descriptors', 'threads', 'handles', 'exitListeners'] as const) {
      assert.ok(after[what] <= before[what], `${what}: ${before[what]} became ${after[what]}`);
    }
    assert.ok(after.heap - before.heap < HEAP_GROWTH_MAX, `heap +${after.heap - before.heap}`);
    assert.ok(after.resident - before.resident < RESIDENT_GROWTH_MAX, `resident +${after.resident - before.resident}`);
  });
}
