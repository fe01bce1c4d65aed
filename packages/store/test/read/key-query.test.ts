import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { MessageStore } from '../../src/message-store.ts';
import type { Message } from '../../src/record/message.ts';
import { decodeMessage } from '../../src/record/message-decoder.ts';

/** A store with these messages; `bodies` of what a query finds. */
async function stored(t: TestContext, messages: readonly Partial<Message>[], slots = 1_000) {
  const root = await mkdtemp(join(tmpdir(), 'vernier-query-'));
  const store = await MessageStore.open({
    storePathRootDir: join(root, 'store'),
    mappedFileSizeCommitLog: 1024 * 1024,
    maxHashSlotNum: slots,
    maxIndexNum: 10_000,
    diskFreeBytesMin: 0,
    flushDiskType: 'ASYNC_FLUSH',
  });
  cleanUp(t, async () => {
    await store.shutdown();
    await rm(root, { recursive: true, force: true });
  });
  for (const [at, message] of messages.entries()) {
    const { status } = await store.putMessage({ topic: 'T', body: String(at), ...message });
    assert.equal(status, 'PUT_OK');
  }
  const bodies = async (topic: string, key: string, indexType: 'key' | 'tag' = 'key', maxNum = 64): Promise<string> => {
    const { records } = await store.queryMessage(topic, key, maxNum, 0, Number.MAX_SAFE_INTEGER, indexType);
    return records.map((record) => String(decodeMessage(record)!.body)).join(' ');
  };
  return { store, bodies };
}

test('query: a tag is found as a tag and never for a key, whatever the key', async (t) => {
  const { bodies } = await stored(t, [{ tags: 'A' }, { keys: 'A' }, { keys: 'T#A' }, { tags: 'A', keys: 'A' }]);
  assert.equal(await bodies('T', 'A', 'tag'), '3 0');
  assert.equal(await bodies('T', 'A'), '3 1');
  // Tags are filed as `T#T#A`, which the key `T#A` would be too.
  assert.equal(await bodies('T', 'T#A'), '2');
});

test('query: nothing of another key or topic with the same hash is given', async (t) => {
  // Java's hashes of Aa and BB are equal, and so are those of `X#` + `T#k` and `X#T` + `#k`.
  const { bodies } = await stored(t, [
    { topic: 'X', keys: 'Aa' },
    { topic: 'X', keys: 'BB' },
    { topic: 'X', tags: 'k' },
    { topic: 'X#T', keys: 'k' },
    { topic: 'X', uniqKey: 'Aa' },
  ]);
  assert.equal(await bodies('X', 'Aa'), '4 0');
  assert.equal(await bodies('X', 'BB'), '1');
  assert.equal(await bodies('X', 'k', 'tag'), '2');
  assert.equal(await bodies('X#T', 'k'), '3');
  assert.equal(await bodies('X', 'T#k'), '');
});

test('query: a message that has the key twice is given once', async (t) => {
  const { bodies } = await stored(t, [{ keys: ['k', 'k'], uniqKey: 'k' }, { keys: 'k' }]);
  assert.equal(await bodies('T', 'k'), '1 0');
  assert.equal(await bodies('T', 'k', 'key', 1), '1', 'the number counts messages');
});

test('query: newer messages of the same hash do not hide the one that is looked for', async (t) => {
  const others = Array.from({ length: 100 }, () => ({ keys: 'BB' }));
  const { bodies } = await stored(t, [{ keys: 'Aa' }, ...others]);
  assert.equal(await bodies('T', 'Aa', 'key', 1), '0');
});

test('query: with a limit below one nothing is given', async (t) => {
  const { store } = await stored(t, [{ keys: 'k' }]);
  const found = await store.queryMessage('T', 'k', 0);
  assert.deepEqual(found.records, []);
  assert.ok(found.indexLastUpdateTimestamp > 0);
});
