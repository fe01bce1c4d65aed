import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import type { StoreLogger } from '../../src/base/logger.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import { MessageStore } from '../../src/message-store.ts';

const COUNT = 100;
const settings = { mappedFileSizeCommitLog: 1024 * 1024, mappedFileSizeConsumeQueue: 2_000, maxHashSlotNum: 1_000 };

/** A store whose log was read from the disk, `corrupt` changing what the first so many reads of its blocks give. */
async function reopened(t: TestContext, corrupt: (target: Buffer, position: number) => void, times: number) {
  const parent = await mkdtemp(join(tmpdir(), 'vernier-log-reader-'));
  let opened: MessageStore | undefined;
  cleanUp(t, async () => {
    await opened?.shutdown();
    await rm(parent, { recursive: true, force: true });
  });
  const storePathRootDir = join(parent, 'store');
  const options = { ...settings, maxIndexNum: 4_000, diskFreeBytesMin: 0, storePathRootDir };
  const store = await MessageStore.open(options);
  for (let i = 0; i < COUNT; i++)
    await store.putMessage({ topic: 'T', body: `${i} `.repeat(1_000) }, { durability: 'async' });
  await store.shutdown();
  const state = { left: 0, errors: [] as string[] };
  class Reading extends NodeFileSystem {
    override async open(...args: Parameters<NodeFileSystem['open']>) {
      const file = await super.open(...args);
      if (!args[0].includes('/commitlog/')) return file;
      const read = file.read.bind(file);
      file.read = async (target, position) => {
        const bytes = await read(target, position);
        if (state.left > 0) {
          state.left--;
          corrupt(target as Buffer, position);
        }
        return bytes;
      };
      return file;
    }
  }
  const nothing = (): void => {};
  const error = (_: object, text: string): void => void state.errors.push(text);
  const logger: StoreLogger = { debug: nothing, info: nothing, warn: nothing, error };
  const again = await MessageStore.open(options, { fileSystem: new Reading(), logger });
  opened = again;
  state.left = times;
  return { again, state };
}

async function readAll(store: MessageStore): Promise<number[]> {
  const numbers: number[] = [];
  for await (const message of store.readQueue('T')) numbers.push(message.queueOffset);
  return numbers;
}

const all = Array.from({ length: COUNT }, (_, i) => i);

test('log reader: a block that was read wrong once hides no message, and is not kept', async (t) => {
  const { again, state } = await reopened(t, (target) => target.fill(0xee, 10_000, 30_000), 1);
  assert.deepEqual(await readAll(again), all);
  assert.deepEqual(state.errors, []);
  assert.equal(again.metrics.damagedRecordCount, 0);
  assert.deepEqual(await readAll(again), all);
});

test('log reader: one whose topics were read wrong, which no checksum covers, hides none either', async (t) => {
  // Topic T, one byte of length in front of it, no properties behind it.
  const corrupt = (target: Buffer): void => {
    for (let at = target.indexOf('\u0001T'); at >= 0; at = target.indexOf('\u0001T', at + 1)) target[at + 1] = 0x55;
  };
  const { again, state } = await reopened(t, corrupt, 1);
  assert.deepEqual(await readAll(again), all);
  assert.deepEqual(state.errors, []);
});

test('log reader: what the disk has wrong is left out, said once a read, and the others are there', async (t) => {
  // A byte of the body of the second message, whichever read gives it.
  const wrong = 3_000;
  const corrupt = (target: Buffer, position: number): void => {
    if (position <= wrong && wrong < position + target.length) target[wrong - position]! ^= 1;
  };
  const { again, state } = await reopened(t, corrupt, Number.POSITIVE_INFINITY);
  assert.deepEqual(
    await readAll(again),
    all.filter((n) => n !== 1),
  );
  assert.equal(state.errors.length, 1);
  assert.match(state.errors[0] ?? '', /damaged record in the log/);
  assert.equal(again.metrics.damagedRecordCount, 1);
});
