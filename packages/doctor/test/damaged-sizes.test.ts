// A damaged size, in a record or in an entry, is no reason to take memory for it: the bytes that are asked for are counted.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MessageStore } from '@vernier/store';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { planRepair, rawPieces, readLayout, selectMessages, verifyStore } from '../src/index.ts';

const MiB = 1024 * 1024;
const LOG_FILE_BYTES = 160 * MiB;
/** maxMessageSize and what goes around a body, or a piece of the log, whichever is more. */
const ASKED_MAX = 4 * MiB + 65_536;
const MESSAGES = 40;
const BODY_BYTES = 1_000;

const options = (root: string) => ({
  storePathRootDir: root,
  flushDiskType: 'ASYNC_FLUSH' as const,
  mappedFileSizeCommitLog: LOG_FILE_BYTES,
  mappedFileSizeConsumeQueue: 2_000,
  maxHashSlotNum: 100,
  maxIndexNum: 400,
  diskFreeBytesMin: 0,
});

/** The largest number of bytes that anybody asks for at once while `work` runs. */
async function largestAsked(t: TestContext, work: () => Promise<unknown>): Promise<number> {
  let largest = 0;
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    const real = Buffer[name] as (size: number, ...more: never[]) => Buffer;
    t.mock.method(Buffer, name, (size: number, ...more: never[]) => {
      largest = Math.max(largest, size);
      return real(size, ...more);
    });
  }
  try {
    await work();
  } finally {
    t.mock.restoreAll();
  }
  return largest;
}

class Damaged {
  readonly root: string;
  readonly places: readonly { offset: number; size: number }[];

  constructor(root: string, places: readonly { offset: number; size: number }[]) {
    this.root = root;
    this.places = places;
  }

  writeInt32(file: string, at: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    const fd = openSync(join(this.root, file), 'r+');
    writeSync(fd, bytes, 0, 4, at);
    closeSync(fd);
  }

  readInt32(file: string, at: number): number {
    const bytes = Buffer.alloc(4);
    const fd = openSync(join(this.root, file), 'r');
    readSync(fd, bytes, 0, 4, at);
    closeSync(fd);
    return bytes.readInt32BE();
  }
}

async function store(t: TestContext): Promise<Damaged> {
  const root = join(await temporaryFolder(t, 'sizes'), 'store');
  const opened = await MessageStore.open(options(root));
  for (let number = 0; number < MESSAGES; number++) {
    const { status } = await opened.putMessage({ topic: 'T', body: Buffer.alloc(BODY_BYTES, 1), keys: `k${number}` });
    assert.equal(status, 'PUT_OK');
  }
  const entries = await opened.queueEntries('T', 0, 0, MESSAGES);
  await opened.shutdown();
  return new Damaged(
    root,
    entries!.map(({ commitLogOffset, size }) => ({ offset: commitLogOffset, size })),
  );
}

const LOG = 'commitlog/00000000000000000000';
const BODY_LENGTH_AT = 84;
const HUGE = 150 * MiB;

const damages: Record<string, (store: Damaged) => void> = {
  'the size of a record': (damaged) => damaged.writeInt32(LOG, damaged.places[20]!.offset, HUGE),
  'the length of a body': (damaged) => damaged.writeInt32(LOG, damaged.places[20]!.offset + BODY_LENGTH_AT, HUGE),
  // A sector of another record: its lengths agree, and it lies at another place.
  'size, body length and offset of a record': (damaged) => {
    const { offset } = damaged.places[20]!;
    damaged.writeInt32(LOG, offset, HUGE);
    damaged.writeInt32(LOG, offset + BODY_LENGTH_AT, HUGE - 200);
    damaged.writeInt32(LOG, offset + 32, 77);
  },
  'the size in an entry': (damaged) => damaged.writeInt32('consumequeue/T/0/00000000000000000000', 20 * 20 + 8, HUGE),
};

for (const [what, damage] of Object.entries(damages)) {
  test(`damaged sizes: ${what}: no read, recovery or look asks for more than a message may have`, async (t) => {
    const damaged = await store(t);
    damage(damaged);
    const asked = new Map<string, number>();
    const count = async (name: string, work: () => Promise<unknown>): Promise<void> => {
      asked.set(name, await largestAsked(t, work));
    };
    await count('verify', async () => verifyStore(await readLayout(damaged.root), { depth: 'full' }));
    await count('repair', async () => planRepair(await readLayout(damaged.root), { indexShape: {} }));
    await count('dump', async () => rawPieces(await readLayout(damaged.root), damaged.places[20]!.offset, 3));
    await count('export', async () => {
      const selection = { topic: 'T', queueId: 0 };
      for await (const _ of selectMessages(await readLayout(damaged.root), selection, () => {}));
    });
    await count('a clean start and every read', async () => {
      const opened = await MessageStore.open({ ...options(damaged.root), damagedStorePolicy: 'read-only' });
      let messages = 0;
      for (let offset = 0; offset < MESSAGES; offset++) {
        messages += (await opened.getMessage('g', 'T', 0, offset, 1)).messageCount;
        await opened.getMessageStoreTimeStamp('T', 0, offset);
        await opened.lookMessageByOffset(damaged.places[offset]!.offset);
        await opened.queryMessage('T', `k${offset}`);
      }
      assert.ok(messages >= 20, `${messages} messages: those in front of the damage`);
      await opened.shutdown();
    });
    // Everything is read anew: nobody knows how far it is on disk.
    for (const name of ['checkpoint', 'abort']) {
      const fd = openSync(join(damaged.root, name), 'w');
      closeSync(fd);
    }
    await count('recovery', async () => {
      const opened = await MessageStore.open(options(damaged.root));
      await opened.shutdown();
    });
    t.diagnostic([...asked].map(([name, bytes]) => `${name} ${bytes}`).join(', '));
    for (const [name, bytes] of asked) assert.ok(bytes <= ASKED_MAX, `${name} asked for ${bytes} bytes at once`);
    assert.ok(readFileSync(join(damaged.root, 'checkpoint')).length > 0);
  });
}

test('damaged sizes: a long stretch of damage is not read into memory to explain it', async (t) => {
  const root = join(await temporaryFolder(t, 'sizes'), 'store');
  const opened = await MessageStore.open(options(root));
  for (let number = 0; number < 4; number++) {
    assert.equal((await opened.putMessage({ topic: 'T', body: Buffer.alloc(3 * MiB, 1) })).status, 'PUT_OK');
  }
  const entries = (await opened.queueEntries('T', 0, 0, 4))!;
  await opened.shutdown();
  // The second and the third are gone, the fourth is whole.
  const fd = openSync(join(root, LOG), 'r+');
  const zeros = Buffer.alloc(entries[1]!.size + entries[2]!.size);
  writeSync(fd, zeros, 0, zeros.length, entries[1]!.commitLogOffset);
  closeSync(fd);
  const asked = await largestAsked(t, async () => {
    const { findings } = await verifyStore(await readLayout(root), { depth: 'full' });
    const found = findings.list.find(({ kind }) => kind === 'log-record');
    assert.equal(found?.length, zeros.length);
    await rawPieces(await readLayout(root), entries[1]!.commitLogOffset, 2);
  });
  assert.ok(asked <= ASKED_MAX, `${asked}`);
});

test('damaged sizes: a body that looks like the head of a huge record is not read as one, whoever asks for its place', async (t) => {
  const root = join(await temporaryFolder(t, 'sizes'), 'store');
  const opened = await MessageStore.open(options(root));
  const first = await opened.putMessage({ topic: 'T', body: Buffer.alloc(BODY_BYTES, 1) });
  const real = (await opened.selectOneMessageByOffset(first.wroteOffset))!;
  // The body of the second message begins behind its head; there it has a head that names this place, and 150 MiB.
  const bodyAt = first.wroteOffset + real.length + BODY_LENGTH_AT + 4;
  const head = Buffer.alloc(BODY_BYTES);
  real.copy(head, 0, 0, BODY_LENGTH_AT + 4);
  head.writeInt32BE(HUGE, 0);
  head.writeBigInt64BE(BigInt(bodyAt), 28);
  head.writeInt32BE(HUGE - 200, BODY_LENGTH_AT);
  await opened.putMessage({ topic: 'T', body: head });
  let asked = await largestAsked(t, async () => {
    assert.equal(await opened.lookMessageByOffset(bodyAt), undefined);
  });
  await opened.shutdown();
  assert.ok(asked <= ASKED_MAX, `${asked}`);
  // The record in front of it is damaged, and what good ones are behind it is looked for byte by byte.
  const damaged = new Damaged(root, []);
  const second = first.wroteOffset + real.length;
  damaged.writeInt32(LOG, second, 5);
  assert.equal(damaged.readInt32(LOG, second + BODY_LENGTH_AT + 4), HUGE);
  asked = await largestAsked(t, async () => verifyStore(await readLayout(root), { depth: 'full' }));
  assert.ok(asked <= ASKED_MAX, `verify asked for ${asked}`);
});
