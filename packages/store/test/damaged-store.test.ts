import assert from 'node:assert/strict';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { silentLogger } from '../src/base/logger.ts';
import { MessageStore } from '../src/message-store.ts';
import { decodeMessage } from '../src/record/message-decoder.ts';

const host = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
const settings = { mappedFileSizeCommitLog: 64 * 1024, maxHashSlotNum: 100, maxIndexNum: 1_000, diskFreeBytesMin: 0 };

function message(index: number) {
  return {
    topic: 'T',
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1,
    bornHost: host,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.alloc(1_000, index),
    propertiesString: `KEYS\u0001key${index}\u0002`,
  };
}

/** A store of 100 messages, shut down cleanly, with one byte of one of them, the last one, made wrong afterwards. */
async function damagedStore(t: TestContext, damaged = 99): Promise<{ root: string; offset: number }> {
  const root = await temporaryFolder(t, 'damaged');
  const store = await MessageStore.open({ storePathRootDir: root, ...settings });
  let offset = 0;
  for (let index = 0; index < 100; index++) {
    const put = await store.asyncPutMessage(message(index));
    assert.equal(put.status, 'PUT_OK');
    if (index === damaged) offset = put.wroteOffset;
  }
  await store.shutdown();
  const from = offset - (offset % settings.mappedFileSizeCommitLog);
  const file = await open(join(root, 'commitlog', String(from).padStart(20, '0')), 'r+');
  await file.write(Buffer.from([0xff]), 0, 1, offset - from + 500);
  await file.close();
  return { root, offset };
}

async function snapshot(root: string): Promise<Map<string, string>> {
  const result = new Map<string, string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    result.set(path, (await readFile(path)).toString('base64'));
  }
  return result;
}

test('a damaged store opens read-only: what is sound is read, appends are refused with the range, nothing changes', async (t) => {
  const { root, offset } = await damagedStore(t);
  const before = await snapshot(root);
  const store = await MessageStore.open({ storePathRootDir: root, ...settings });
  assert.equal(store.failure!.code, 'STORE_DAMAGED');
  assert.equal(store.failure!.details.from, offset);
  assert.equal(store.isWriteable, false);
  const put = await store.asyncPutMessage(message(100));
  assert.equal(put.status, 'SERVICE_NOT_AVAILABLE');
  assert.ok(put.reason!.includes(`from ${offset} to`), put.reason);
  const found = await store.getMessage('G', 'T', 0, 0, 32);
  assert.equal(found.status, 'FOUND');
  assert.equal((await store.lookMessageByOffset(0))!.body[0], 0);
  assert.equal(await store.lookMessageByOffset(offset), undefined);
  assert.equal((await store.queryMessage('T', 'key3', 10, 0, Date.now() * 2)).records.length, 1);
  await store.shutdown();
  assert.deepEqual(await snapshot(root), before);
});

test('a damaged store that was opened and shut down is still damaged', async (t) => {
  const { root, offset } = await damagedStore(t);
  for (let round = 0; round < 2; round++) {
    const store = await MessageStore.open({ storePathRootDir: root, ...settings });
    assert.equal(store.failure!.details.from, offset);
    await store.shutdown();
  }
  await assert.rejects(MessageStore.open({ storePathRootDir: root, ...settings, damagedStorePolicy: 'refuse' }), {
    code: 'STORE_DAMAGED',
  });
});

test('a wrong byte in the middle of the log: no reader gets it, and no other message is lost', async (t) => {
  const { root, offset } = await damagedStore(t, 40);
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_: unknown, text?: string) => errors.push(String(text)) };
  const store = await MessageStore.open({ storePathRootDir: root, ...settings }, { logger });
  const received: number[] = [];
  for (let next = 0; next < 100; ) {
    const found = await store.getMessage('G', 'T', 0, next, 7);
    for (const record of found.records) {
      const { body, queueOffset } = decodeMessage(record)!;
      assert.deepEqual(body, message(queueOffset).body);
      received.push(queueOffset);
    }
    assert.ok(found.nextBeginOffset > next);
    next = found.nextBeginOffset;
  }
  assert.deepEqual(
    received,
    [...Array(100).keys()].filter((index) => index !== 40),
  );
  assert.equal(await store.lookMessageByOffset(offset), undefined);
  assert.equal((await store.queryMessage('T', 'key40', 10, 0, Number.MAX_SAFE_INTEGER)).records.length, 0);
  assert.ok(
    errors.some((text) => text.includes(`offset ${offset} to`)),
    errors.join('\n'),
  );
  await store.shutdown();
});
