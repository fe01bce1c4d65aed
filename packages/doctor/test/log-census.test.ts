import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MessageStore } from '@vernier/store';
import { cleanUp } from '../../../test/support/clean-up.ts';
import type { Finding } from '../src/finding.ts';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair, type RepairPlan } from '../src/repair-plan.ts';
import { readLayout } from '../src/store-layout.ts';
import { verifyStore } from '../src/verify.ts';

const LOG = 'commitlog/00000000000000000000';

/** A store of one topic, and what was put into it. */
class LogStore {
  readonly root: string;
  /** Offset in the log and size, by `queueId/queueOffset`. */
  readonly places = new Map<string, { offset: number; size: number }>();

  constructor(t: TestContext) {
    this.root = mkdtempSync(join(tmpdir(), 'vernier-census-'));
    cleanUp(t, () => rmSync(this.root, { recursive: true, force: true }));
  }

  async open(): Promise<MessageStore> {
    return await MessageStore.open({
      storePathRootDir: this.root,
      mappedFileSizeCommitLog: 64 * 1024,
      mappedFileSizeConsumeQueue: 20 * 20,
      maxHashSlotNum: 100,
      maxIndexNum: 200,
      diskFreeBytesMin: 0,
    });
  }

  /** Puts messages into these queues, in this order. */
  async put(queueIds: readonly number[]): Promise<this> {
    const store = await this.open();
    const puts = queueIds.map(async (queueId, index) => ({
      queueId,
      ...(await store.putMessage(
        { topic: 't', queueId, body: `${queueId} ${this.places.size + index} `.repeat(20) },
        { durability: 'async' },
      )),
    }));
    for (const { queueId, wroteOffset, wroteBytes, queueOffset } of await Promise.all(puts)) {
      this.places.set(`${queueId}/${queueOffset}`, { offset: wroteOffset, size: wroteBytes });
    }
    await store.shutdown();
    return this;
  }

  queueFile(queueId: number): string {
    return join(this.root, `consumequeue/t/${queueId}/00000000000000000000`);
  }

  /** Changes a file in place. */
  edit(path: string, change: (bytes: Buffer) => void): void {
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
  }

  /** Writes over the head of a record. */
  damage(place: string): void {
    const { offset } = this.places.get(place)!;
    this.edit(join(this.root, LOG), (bytes) => bytes.fill(0x55, offset, offset + 60));
  }

  async faults(): Promise<Finding[]> {
    const { findings } = await verifyStore(await readLayout(this.root), { depth: 'full' });
    return findings.list.filter(({ severity }) => severity === 'fault');
  }

  async repair(): Promise<RepairPlan> {
    const plan = await planRepair(await readLayout(this.root), { indexShape: {} });
    await applyRepair(plan, { logPath: undefined });
    return plan;
  }

  /** Numbers of the queue that are delivered, after a start. */
  async readable(queueId: number): Promise<number[]> {
    const store = await this.open();
    const numbers: number[] = [];
    for await (const { queueOffset, commitLogOffset } of store.readQueue('t', queueId)) {
      assert.equal(commitLogOffset, this.places.get(`${queueId}/${queueOffset}`)?.offset ?? commitLogOffset);
      numbers.push(queueOffset);
    }
    await store.shutdown();
    return numbers;
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);
const lostOf = ({ steps }: RepairPlan): string[] =>
  steps.flatMap((step) =>
    step.kind === 'quarantine'
      ? step.plan.tombstones.map(({ queueId, queueOffset }) => `${queueId}/${queueOffset}`)
      : [],
  );

for (const [from, count, shift] of [
  [5, 5, 3],
  [5, 5, 1],
  [5, 5, -3],
  [0, 9, 1],
  [4, 1, 2],
] as const) {
  test(`entries ${from} to ${from + count - 1} written ${shift} further: the queue is wrong and not the log`, async (t) => {
    const store = await new LogStore(t).put(Array(10).fill(0));
    const log = readFileSync(join(store.root, LOG));
    store.edit(store.queueFile(0), (bytes) => bytes.copyWithin((from + shift) * 20, from * 20, (from + count) * 20));
    const faults = await store.faults();
    assert.ok(faults.length > 0);
    assert.deepEqual(
      faults.filter(({ file }) => !file.startsWith('consumequeue/t/0/')).map(({ message }) => message),
      [],
    );
    await store.repair();
    assert.ok(readFileSync(join(store.root, LOG)).equals(log), 'the log is as it was');
    assert.deepEqual(await store.faults(), []);
    assert.deepEqual(await store.readable(0), range(0, 10));
  });
}

test('a wrong number is set right at the end of a queue, at its begin and beside another one', async (t) => {
  for (const wrong of [[0], [9], [4, 5]]) {
    const store = await new LogStore(t).put(Array(10).fill(0));
    const log = readFileSync(join(store.root, LOG));
    store.edit(join(store.root, LOG), (bytes) => {
      for (const number of wrong) bytes[store.places.get(`0/${number}`)!.offset + 27]! ^= 0x40;
    });
    const faults = await store.faults();
    assert.deepEqual(
      faults.map(({ kind, field }) => `${kind} ${field}`),
      wrong.map(() => 'log-field queueOffset'),
    );
    await store.repair();
    assert.ok(readFileSync(join(store.root, LOG)).equals(log), `numbers ${wrong}`);
    assert.deepEqual(await store.faults(), []);
  }
});

for (const [name, order] of [
  ['later', [...Array(10).fill(0), ...Array(10).fill(1)]],
  ['earlier', [...Array(10).fill(1), ...Array(10).fill(0)]],
  ['longer', [...Array(6).fill(0), ...Array(10).fill(1), ...Array(2).fill(0)]],
] as const) {
  test(`the file of another queue, ${name}, leads into a damaged stretch: no message of this queue is called lost`, async (t) => {
    const store = await new LogStore(t).put(order);
    copyFileSync(store.queueFile(1), store.queueFile(0));
    store.damage('1/8');
    const plan = await store.repair();
    assert.deepEqual(lostOf(plan), ['1/8']);
    assert.deepEqual(await store.faults(), []);
    const own = order.filter((queueId) => queueId === 0).length;
    assert.deepEqual(await store.readable(0), range(0, own));
    assert.deepEqual(await store.readable(1), [...range(0, 8), 9]);
    assert.deepEqual((await planRepair(await readLayout(store.root), { indexShape: {} })).steps, []);
  });
}

test('a foreign queue file and a queue without files: the records are believed about where they belong', async (t) => {
  const store = await new LogStore(t).put([0, 0, 0, 1, 1, 1, 1, 1, 1]);
  const log = readFileSync(join(store.root, LOG));
  cpSync(store.queueFile(1), store.queueFile(0));
  rmSync(join(store.root, 'consumequeue/t/1'), { recursive: true });
  await store.repair();
  assert.ok(readFileSync(join(store.root, LOG)).equals(log));
  assert.deepEqual(await store.faults(), []);
  assert.deepEqual(await store.readable(0), range(0, 3));
  assert.deepEqual(await store.readable(1), range(0, 6));
});

test('lost messages whose entries lead elsewhere are counted and named', async (t) => {
  const store = await new LogStore(t).put(Array.from({ length: 20 }, (_, index) => index % 2));
  store.damage('0/4');
  store.damage('1/4');
  // The one entry leads to another message, the other nowhere.
  store.edit(store.queueFile(0), (bytes) => bytes.copyWithin(4 * 20, 7 * 20, 8 * 20));
  store.edit(store.queueFile(1), (bytes) => bytes.fill(0x7a, 4 * 20, 5 * 20));
  const named = (await store.faults()).filter(({ kind }) => kind === 'log-record').map(({ message }) => message);
  assert.match(named.join(), /message 4 of t\/0/);
  assert.match(named.join(), /message 4 of t\/1/);
  const plan = await store.repair();
  assert.deepEqual(lostOf(plan).sort(), ['0/4', '1/4']);
  assert.deepEqual(await store.faults(), []);
  assert.deepEqual(await store.readable(0), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
});

test('a damaged record whose entry is gone too names its message itself', async (t) => {
  const store = await new LogStore(t).put(Array(10).fill(0));
  const { offset } = store.places.get('0/9')!;
  store.edit(join(store.root, LOG), (bytes) => {
    bytes[offset + 90]! ^= 1;
  });
  store.edit(store.queueFile(0), (bytes) => bytes.fill(0, 9 * 20));
  const plan = await store.repair();
  assert.deepEqual(lostOf(plan), ['0/9']);
  assert.deepEqual(await store.faults(), []);
});

test('the last record is damaged and something is written behind it: one repair is enough', async (t) => {
  const store = await new LogStore(t).put(Array(10).fill(0));
  const { offset, size } = store.places.get('0/9')!;
  store.edit(join(store.root, LOG), (bytes) => {
    bytes.fill(0x55, offset + 20, offset + size + 300);
  });
  const kinds = (await store.faults()).map(({ kind }) => kind).filter((kind) => kind !== 'checkpoint');
  assert.deepEqual(kinds.sort(), ['log-record', 'log-tail']);
  assert.deepEqual(lostOf(await store.repair()), ['0/9']);
  assert.deepEqual(await store.faults(), []);
  await store.put([0]);
  assert.deepEqual(await store.readable(0), [...range(0, 9), 10]);
});

for (const [name, damage] of [
  ['is missing', (path: string) => rmSync(path)],
  ['was cut short', (path: string) => truncateSync(path, 100)],
] as const) {
  test(`the last file of the log ${name}, and the one before was cut short: all that is lost is in the plan`, async (t) => {
    // About 300 messages a file.
    const store = await new LogStore(t).put(Array.from({ length: 700 }, (_, index) => index % 2));
    const last = [...store.places.values()].at(-1)!;
    assert.ok(last.offset > 2 * 65_536, `${last.offset}`);
    truncateSync(join(store.root, 'commitlog/00000000000000065536'), 50_000);
    damage(join(store.root, 'commitlog/00000000000000131072'));
    const lost = [...store.places].filter(([, { offset, size }]) => offset + size > 65_536 + 50_000);
    assert.deepEqual(lostOf(await store.repair()).sort(), lost.map(([place]) => place).sort());
    assert.deepEqual(await store.faults(), []);
    await store.put([0]);
    const expected = range(0, 350).filter((number) => !lost.some(([place]) => place === `0/${number}`));
    assert.deepEqual(await store.readable(0), [...expected, 350]);
    assert.deepEqual(await store.faults(), []);
  });
}

test('a lost message of the smallest record is not delivered as an empty one, nor found at its offset', async (t) => {
  for (const body of ['', 'x', 'x'.repeat(30), 'x'.repeat(200)]) {
    const store = new LogStore(t);
    const opened = await store.open();
    for (let index = 0; index < 5; index++) {
      const { wroteOffset, wroteBytes } = await opened.putMessage({ topic: 't', body }, { durability: 'async' });
      store.places.set(`0/${index}`, { offset: wroteOffset, size: wroteBytes });
    }
    await opened.shutdown();
    const { offset } = store.places.get('0/2')!;
    store.edit(join(store.root, LOG), (bytes) => {
      bytes[offset + 11]! ^= 1;
    });
    await store.repair();
    assert.deepEqual(await store.faults(), []);
    assert.deepEqual(await store.readable(0), [0, 1, 3, 4], `body of ${body.length}`);
    const again = await store.open();
    assert.equal(await again.lookMessageByOffset(offset), undefined);
    assert.equal((await again.lookMessageByOffset(store.places.get('0/3')!.offset))?.queueOffset, 3);
    await again.shutdown();
  }
});
