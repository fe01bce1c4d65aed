import assert from 'node:assert/strict';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MessageStore } from '@vernier/store';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { LifeWatch } from '../src/life-watch.ts';
import { selectMessages } from '../src/messages.ts';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair } from '../src/repair-plan.ts';
import { readLayout } from '../src/store-layout.ts';
import { verifyStore } from '../src/verify.ts';
import { openOptions, sizes } from './small-store.ts';

const OLD = ['old0', 'old1', 'old2', 'old3', 'old4'];
const NEW = ['new0', 'new1', 'new2'];

test('life watch: a 0 is believed when 1 follows, or nothing', () => {
  const steps = (numbers: readonly number[], next = 0): string => {
    const watch = new LifeWatch(next);
    return `${numbers.map((number) => watch.take(number))}${watch.isHeld ? ' and holds' : ''}`;
  };
  assert.equal(steps([0, 1, 2]), 'goes-on,goes-on,goes-on');
  assert.equal(steps([3, 4, 0, 1, 2]), 'goes-on,goes-on,held,restart,goes-on');
  assert.equal(steps([0, 1, 0]), 'goes-on,goes-on,held and holds');
  assert.equal(steps([0, 1, 0, 2]), 'goes-on,goes-on,held,goes-on');
  assert.equal(steps([0, 1, 0, 0, 1]), 'goes-on,goes-on,held,held,restart');
  assert.equal(steps([0, 0, 1], 5), 'held,held,restart', 'behind entries that are in files');
  assert.equal(steps([3, 2, 5], 4), 'repeated,repeated,goes-on');
});

async function temporary(t: TestContext): Promise<string> {
  const root = await temporaryFolder(t, 'lives');
  return root;
}

async function put(store: MessageStore, bodies: readonly string[], topic = 'T'): Promise<void> {
  for (const body of bodies) {
    const { status, reason } = await store.putMessage({ topic, body, keys: body }, { durability: 'sync' });
    assert.equal(status, 'PUT_OK', reason);
  }
}

interface Made {
  /** The directory after a shutdown, after a kill, and the queues as they were before the deletion. */
  clean: string;
  killed: string;
  oldQueues: string;
}

/** Five messages, the topic deleted, `again` of the next life; another topic beside. */
async function made(t: TestContext, again: readonly string[]): Promise<Made> {
  const [clean, killed, oldQueues] = [await temporary(t), await temporary(t), await temporary(t)];
  const store = await MessageStore.open(openOptions(clean, { flushConsumeQueueThoroughInterval: 20 }));
  await put(store, ['x'], 'Other');
  await put(store, OLD);
  await store.flush();
  await store.shutdown();
  await cp(join(clean, 'consumequeue'), oldQueues, { recursive: true });
  const next = await MessageStore.open(openOptions(clean, { flushConsumeQueueThoroughInterval: 3_600_000 }));
  await next.deleteTopic('T');
  await put(next, again);
  await cp(clean, killed, { recursive: true, filter: (path) => !path.endsWith('.tmp') });
  await next.shutdown();
  return { clean, killed, oldQueues };
}

async function bodies(root: string, topic = 'T'): Promise<string[]> {
  const list: string[] = [];
  for await (const { message } of selectMessages(await readLayout(root), { topic })) list.push(message.body.toString());
  return list;
}

async function faults(root: string): Promise<string[]> {
  const { findings } = await verifyStore(await readLayout(root), { depth: 'full', indexShape: shape });
  return findings.list.filter(({ severity }) => severity === 'fault').map(({ kind, message }) => `${kind}: ${message}`);
}

const shape = { slots: sizes.maxHashSlotNum, units: sizes.maxIndexNum };

async function repair(root: string): Promise<void> {
  const layout = await readLayout(root, { lockIsOurs: true });
  await applyRepair(await planRepair(layout, { indexShape: shape }), { logPath: undefined });
}

async function opened(root: string): Promise<string[]> {
  const store = await MessageStore.open(openOptions(root));
  const list: string[] = [];
  for await (const { body } of store.readQueue('T')) list.push(body.toString());
  await store.shutdown();
  return list;
}

for (const again of [NEW, ['new0'], []]) {
  const count = `${again.length} messages of the next life`;

  test(`lives: a topic deleted and remade, ${count}: nothing is wrong, and the dump has no deleted message`, async (t) => {
    const { clean, killed } = await made(t, again);
    for (const root of [clean, killed]) {
      assert.deepEqual(await faults(root), []);
      assert.deepEqual(await bodies(root), again);
      assert.deepEqual(await bodies(root, 'Other'), ['x']);
    }
  });

  test(`lives: a crash before the queues of the deleted topic went, ${count}: nothing is wrong`, async (t) => {
    const { killed, oldQueues } = await made(t, again);
    await cp(oldQueues, join(killed, 'consumequeue'), { recursive: true });
    assert.deepEqual(await faults(killed), []);
    assert.deepEqual(await bodies(killed), again);
  });
}

for (const again of [NEW, ['new0']]) {
  test(`lives: another broker’s directory, no deletion on record, ${again.length} new: the later life counts`, async (t) => {
    const { killed } = await made(t, again);
    for (const name of ['deletions.json', 'checkpoint', 'consumequeue']) {
      await rm(join(killed, name), { recursive: true, force: true });
    }
    assert.deepEqual(await bodies(killed), again);
    assert.deepEqual(
      (await faults(killed)).filter((fault) => !fault.startsWith('checkpoint')),
      [],
    );
    await repair(killed);
    assert.deepEqual(await opened(killed), again);
  });

  test(`lives: queues of an earlier life beside ${again.length} records of a later one: a fault, and the repair makes them anew`, async (t) => {
    const { clean, oldQueues } = await made(t, again);
    await rm(join(clean, 'deletions.json'));
    await rm(join(clean, 'consumequeue', 'T'), { recursive: true });
    await cp(join(oldQueues, 'T'), join(clean, 'consumequeue', 'T'), { recursive: true });
    const found = await faults(clean);
    assert.ok(
      found.some((fault) => fault.includes('which has messages of an earlier life of the topic')),
      found.join('\n'),
    );
    await repair(clean);
    assert.deepEqual(await faults(clean), []);
    assert.deepEqual(await bodies(clean), again);
    assert.deepEqual(await opened(clean), again);
  });
}

test('lives: a record of deletions that is damaged is a fault; the copy before it is used', async (t) => {
  const { clean } = await made(t, NEW);
  const path = join(clean, 'deletions.json');
  const content = await readFile(path);
  await writeFile(`${path}.bak`, content);
  content[content.indexOf('"T",') + 4]! ^= 1;
  await writeFile(path, content);
  const found = await faults(clean);
  assert.equal(found.length, 1);
  assert.match(found[0]!, /^config: the record of deleted topics is not believed: checksum/);
  assert.deepEqual(await bodies(clean), NEW);
});

test('lives: a repair of the queues makes none of deleted messages', async (t) => {
  const { clean } = await made(t, NEW);
  const path = join(clean, 'consumequeue', 'T', '0', '0'.padStart(20, '0'));
  const entries = await readFile(path);
  entries.fill(0, 20, 40);
  await writeFile(path, entries);
  assert.notDeepEqual(await faults(clean), []);
  await repair(clean);
  assert.deepEqual(await faults(clean), []);
  assert.deepEqual(await bodies(clean), NEW);
  assert.deepEqual(await opened(clean), NEW);
});
