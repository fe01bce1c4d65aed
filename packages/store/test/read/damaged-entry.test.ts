import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ManualClock, SimulatedFileSystem } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { MessageStore } from '../../src/message-store.ts';

const MiB = 1024 * 1024;
/** Position of the size in a queue's entry, and the bit that makes it two MiB larger. */
const SIZE_BITS_16_TO_23 = 9;
const TWO_MIB = 0x20;

async function reopened(t: TestContext, maxMessageSizeAtLast: number) {
  const fileSystem = new SimulatedFileSystem();
  const clock = new ManualClock();
  const open = (maxMessageSize: number) =>
    MessageStore.open(
      { storePathRootDir: '/store', mappedFileSizeCommitLog: 8 * MiB, maxMessageSize },
      { fileSystem, clock, logger: silentLogger },
    );
  const store = await open(MiB);
  const puts = Array.from({ length: 800 }, (_, number) => {
    const body = number === 700 ? Buffer.alloc(MiB, 1) : Buffer.alloc(4_000, number & 0xff);
    return store.putMessage({ topic: 'T', body });
  });
  await clock.advance(2_000);
  assert.ok((await Promise.all(puts)).every(({ status }) => status === 'PUT_OK'));
  await store.shutdown();
  const again = await open(maxMessageSizeAtLast);
  cleanUp(t, () => again.shutdown());
  return { fileSystem, store: again };
}

test('get message: a damaged entry makes nobody read megabytes; it is left out, and what is behind it is given', async (t) => {
  const { fileSystem, store } = await reopened(t, 4_096);
  const queueFile = '/store/consumequeue/T/0/00000000000000000000';
  fileSystem.flipOnRead(queueFile, 3 * 20 + SIZE_BITS_16_TO_23, TWO_MIB);
  const taken: number[] = [];
  const allocate = (size: number): Buffer => {
    taken.push(size);
    return Buffer.alloc(size);
  };
  const result = await store.getMessage('g', 'T', 0, 3, 1, { allocate });
  assert.equal(result.status, 'NO_MATCHED_MESSAGE');
  assert.equal(result.nextBeginOffset, 4);
  assert.deepEqual(taken, []);
  const behind = await store.getMessage('g', 'T', 0, 3, 4, { allocate });
  assert.equal(behind.messageCount, 3);
  assert.ok(
    taken.every((size) => size < 20_000),
    `${taken}`,
  );
  assert.equal(await store.getMessageStoreTimeStamp('T', 0, 3), -1);
  assert.ok((await store.getMessageStoreTimeStamp('T', 0, 4)) > 0);
});

test('get message: a message larger than maxMessageSize allows today is given all the same: the log confirms its size', async (t) => {
  const { store } = await reopened(t, 4_096);
  const result = await store.getMessage('g', 'T', 0, 700, 1);
  assert.equal(result.status, 'FOUND');
  assert.ok(result.bufferTotalSize > MiB);
  assert.ok((await store.getMessageStoreTimeStamp('T', 0, 700)) > 0);
});
