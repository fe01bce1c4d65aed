import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { type GetMessageOptions, MessageStore } from '../../src/index.ts';
import { simpleUnits } from '../../src/queue/unit.ts';
import { MessageReader } from '../../src/read/message-reader.ts';

test('message reader: entries are read by what a call can give and not by what it asks for', async () => {
  const asked: number[] = [];
  const queue = {
    topic: 'T',
    queueId: 0,
    minOffsetInQueue: 0,
    maxOffsetInQueue: 50_000_000,
    endEntry: 50_000_000,
    units: simpleUnits,
    unitBytes: simpleUnits.bytes,
    entryOf: (offset: number) => offset,
    readHot: (_: number, count: number) => {
      asked.push(count);
      return undefined;
    },
    read: async (_: number, count: number) => {
      asked.push(count);
      return Buffer.alloc(0);
    },
  };
  const config = { maxTransferCountOnMessageInMemory: 32, maxTransferCountOnMessageInDisk: 8 };
  const reader = new MessageReader(
    ...([{ config }, {}, {}, { find: () => queue }, 0] as unknown as ConstructorParameters<typeof MessageReader>),
  );
  const filters: GetMessageOptions[] = [{}, { filter: { isMatchedByConsumeQueue: () => false } }];
  for (const options of filters) {
    for (const maxMsgNums of [2 ** 31 - 1, Number.MAX_SAFE_INTEGER, 33]) {
      await reader.getMessage('T', 0, 0, maxMsgNums, options);
    }
  }
  assert.ok(asked.length >= 6);
  assert.ok(Math.max(...asked) <= 800, `${Math.max(...asked)} entries of 20 bytes for one call`);
  config.maxTransferCountOnMessageInMemory = 5_000;
  asked.length = 0;
  await reader.getMessage('T', 0, 0, 2 ** 31 - 1, {});
  assert.equal(asked.at(-1), 5_000, 'an operator who lets a call give more has it read more');
});

async function storeWith(t: TestContext, bodies: readonly Buffer[]): Promise<MessageStore> {
  const storePathRootDir = await mkdtemp(join(tmpdir(), 'vernier-reader-'));
  const store = await MessageStore.open({
    storePathRootDir,
    flushDiskType: 'ASYNC_FLUSH',
    mappedFileSizeCommitLog: 4 * 1024 * 1024,
    maxHashSlotNum: 1_000,
    maxIndexNum: 4_000,
    diskFreeBytesMin: 0,
  });
  cleanUp(t, async () => {
    await store.shutdown();
    await rm(storePathRootDir, { recursive: true, force: true });
  });
  for (const body of bodies) await store.putMessage({ topic: 'T', queueId: 0, body });
  return store;
}

test('message reader: nothing is allocated or read for the records before there is room for them', async (t) => {
  const store = await storeWith(t, [Buffer.alloc(1_000), Buffer.alloc(2_000)]);
  const steps: string[] = [];
  let open: () => void = () => {};
  const options: GetMessageOptions = {
    allocate: (size) => {
      steps.push(`allocate ${size}`);
      return Buffer.alloc(size);
    },
    room: {
      reserve: (bytes) => {
        steps.push(`reserve ${bytes}`);
        return new Promise((resolve) => {
          open = resolve;
        });
      },
    },
  };
  const reading = store.getMessage('g', 'T', 0, 0, 32, options);
  await new Promise((resolve) => setImmediate(resolve));
  const [first, ...more] = steps;
  assert.deepEqual(more, []);
  const bytes = Number(/^reserve (\d+)$/.exec(first ?? '')?.[1]);
  assert.ok(bytes > 3_000 && bytes < 4_000, first);
  open();
  const result = await reading;
  assert.deepEqual([result.status, result.messageCount, result.bufferTotalSize], ['FOUND', 2, bytes]);
  assert.deepEqual(steps, [`reserve ${bytes}`, `allocate ${bytes}`]);
});

test('message reader: no room, for good, ends the call with the reason; a queue without news asks for none', async (t) => {
  const store = await storeWith(t, [Buffer.alloc(10)]);
  const gone = new Error('the asker is gone');
  let asked = 0;
  const room = {
    reserve: () => {
      asked++;
      return Promise.reject(gone);
    },
  };
  await assert.rejects(store.getMessage('g', 'T', 0, 0, 32, { room }), gone);
  assert.equal((await store.getMessage('g', 'T', 0, 1, 32, { room })).status, 'OFFSET_OVERFLOW_ONE');
  assert.equal(asked, 1);
  assert.equal((await store.getMessage('g', 'T', 0, 0, 32, { room: { reserve: () => undefined } })).messageCount, 1);
});
