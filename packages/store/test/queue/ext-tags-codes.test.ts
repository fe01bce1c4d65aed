// Queues of a Java broker with enableConsumeQueueExt: their entries have addresses in the place of the tags' hashes.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open as openFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { MessageStore } from '../../src/message-store.ts';
import { decodeMessage } from '../../src/record/message-decoder.ts';
import { tagsStringToTagsCode } from '../../src/record/tags-code.ts';

const MESSAGES = 60;
const TAGS = ['A', 'B', 'a tag whose hash is negative', undefined];
const tagOf = (index: number): string | undefined => TAGS[index % TAGS.length];
const EXT_FILE_BYTES = 512;
const LONG_MIN = -(2n ** 63n);

const opened = new WeakMap<TestContext, MessageStore[]>();

async function open(t: TestContext, root: string): Promise<MessageStore> {
  const store = await MessageStore.open({
    storePathRootDir: root,
    flushDiskType: 'ASYNC_FLUSH',
    mappedFileSizeCommitLog: 1024 * 1024,
    mappedFileSizeConsumeQueue: 20 * 100,
    maxHashSlotNum: 100,
    maxIndexNum: 1_000,
    diskFreeBytesMin: 0,
  });
  opened.get(t)!.push(store);
  return store;
}

interface ExtStore {
  root: string;
  /** Offset of each message's extension. */
  offsets: number[];
  extFile(offset: number): string;
}

/**
 * A store with MESSAGES messages in T/0, whose entries lead to extensions of several lengths in files of EXT_FILE_BYTES,
 * as RocketMQ's ConsumeQueueExt writes them. The first file begins at `from`: those before it have had their day.
 */
async function extStore(t: TestContext, from = 0): Promise<ExtStore> {
  const root = join(await mkdtemp(join(tmpdir(), 'vernier-ext-')), 'store');
  const stores: MessageStore[] = [];
  opened.set(t, stores);
  cleanUp(t, async () => {
    for (const store of stores) await store.shutdown();
    await rm(join(root, '..'), { recursive: true, force: true });
  });
  const store = await open(t, root);
  for (let i = 0; i < MESSAGES; i++) {
    const tags = tagOf(i);
    await store.putMessage({ topic: 'T', body: `m${i}`, ...(tags === undefined ? {} : { tags }) });
  }
  await store.shutdown();

  const directory = join(root, 'consumequeue_ext', 'T', '0');
  await mkdir(directory, { recursive: true });
  const files = new Map<number, Buffer>();
  const offsets: number[] = [];
  let end = from;
  const queue = await openFile(join(root, 'consumequeue', 'T', '0', '0'.repeat(20)), 'r+');
  for (let i = 0; i < MESSAGES; i++) {
    const size = 20 + (i % 3) * 8;
    if ((end % EXT_FILE_BYTES) + size > EXT_FILE_BYTES - 4) {
      // The mark of a file's end, and on in the next one.
      files.get(end - (end % EXT_FILE_BYTES))!.writeInt16BE(-1, end % EXT_FILE_BYTES);
      end += EXT_FILE_BYTES - (end % EXT_FILE_BYTES);
    }
    const start = end - (end % EXT_FILE_BYTES);
    const file = files.get(start) ?? Buffer.alloc(EXT_FILE_BYTES);
    files.set(start, file);
    file.writeInt16BE(size, end - start);
    file.writeBigInt64BE(BigInt(tagsStringToTagsCode(tagOf(i))), end - start + 2);
    file.writeInt16BE(size - 20, end - start + 18);
    offsets.push(end);
    const address = Buffer.alloc(8);
    address.writeBigInt64BE(BigInt(end) + LONG_MIN);
    await queue.write(address, 0, 8, i * 20 + 12);
    end += size;
  }
  await queue.close();
  const extFile = (offset: number): string =>
    join(directory, String(offset - (offset % EXT_FILE_BYTES)).padStart(20, '0'));
  for (const [start, bytes] of files) await writeFile(extFile(start), bytes);
  return { root, offsets, extFile };
}

/** Bodies that a pull for this tag gets, over as many looks as it takes, and the codes that its filter was asked about. */
async function pull(store: MessageStore, tag: string): Promise<{ bodies: string[]; asked: Set<number> }> {
  const wanted = tagsStringToTagsCode(tag);
  const asked = new Set<number>();
  const filter = {
    isMatchedByConsumeQueue: (tagsCode: number): boolean => {
      asked.add(tagsCode);
      return tagsCode === wanted;
    },
  };
  const bodies: string[] = [];
  for (let offset = 0; offset < store.getMaxOffsetInQueue('T', 0); ) {
    const result = await store.getMessage('g', 'T', 0, offset, 7, { filter });
    for (const record of result.records) bodies.push(String(decodeMessage(record)!.body));
    assert.ok(result.nextBeginOffset > offset, `the pull goes on from ${offset}`);
    offset = result.nextBeginOffset;
  }
  return { bodies, asked };
}

const bodiesOf = (tag: string): string[] =>
  Array.from({ length: MESSAGES }, (_, i) => i)
    .filter((i) => tagOf(i) === tag)
    .map((i) => `m${i}`);

async function assertFiltered(store: MessageStore): Promise<void> {
  for (const tag of TAGS) {
    if (tag === undefined) continue;
    const { bodies, asked } = await pull(store, tag);
    assert.deepEqual(bodies, bodiesOf(tag), tag);
    assert.deepEqual(
      [...asked].filter((code) => code !== (code | 0)),
      [],
      'a filter hears of no address',
    );
  }
  assert.deepEqual((await pull(store, 'C')).bodies, []);
}

test('extensions: a tag filter gets the tags of the extensions, over several files', async (t) => {
  const { root, offsets } = await extStore(t);
  assert.ok(offsets.at(-1)! > 2 * EXT_FILE_BYTES);
  const store = await open(t, root);
  await assertFiltered(store);
  const { records } = await store.getMessage('g', 'T', 0, 0, 20);
  assert.equal(records.length, 20, 'without a filter nobody asks');
});

test('extensions: the first files have had their day, and offsets are large', async (t) => {
  const { root } = await extStore(t, EXT_FILE_BYTES * 2 ** 40);
  await assertFiltered(await open(t, root));
});

for (const [name, damage] of [
  ['without a directory', ({ root }) => rm(join(root, 'consumequeue_ext'), { recursive: true })],
  [
    'with a file in the place of the directory',
    async ({ root }) => {
      await rm(join(root, 'consumequeue_ext'), { recursive: true });
      await writeFile(join(root, 'consumequeue_ext'), 'x');
    },
  ],
  ['with a file that is gone', ({ offsets, extFile }) => rm(extFile(offsets[30]!))],
  [
    'with units that were never written',
    async ({ offsets, extFile }) => {
      const file = await openFile(extFile(offsets[30]!), 'r+');
      await file.write(
        Buffer.alloc(EXT_FILE_BYTES - (offsets[30]! % EXT_FILE_BYTES)),
        0,
        null,
        offsets[30]! % EXT_FILE_BYTES,
      );
      await file.close();
    },
  ],
  ['with a file that is shorter', ({ offsets, extFile }) => writeFile(extFile(offsets[30]!), '')],
] as [string, (store: ExtStore) => Promise<void>][]) {
  test(`extensions: ${name} the records say what tags they have`, async (t) => {
    const made = await extStore(t);
    await damage(made);
    await assertFiltered(await open(t, made.root));
  });
}

test('extensions: entries of ours follow those of Java in one queue', async (t) => {
  const { root } = await extStore(t);
  const store = await open(t, root);
  await store.putMessage({ topic: 'T', body: 'ours', tags: 'A' });
  await store.putMessage({ topic: 'T', body: 'not this one', tags: 'B' });
  assert.deepEqual((await pull(store, 'A')).bodies, [...bodiesOf('A'), 'ours']);
});

test('extensions: deleting the topic takes them along', async (t) => {
  const { root } = await extStore(t);
  await mkdir(join(root, 'consumequeue_ext', 'Other', '0'), { recursive: true });
  const store = await open(t, root);
  await store.deleteTopic('T');
  assert.equal(existsSync(join(root, 'consumequeue_ext', 'T')), false);
  assert.equal(existsSync(join(root, 'consumequeue_ext', 'Other', '0')), true);
});
