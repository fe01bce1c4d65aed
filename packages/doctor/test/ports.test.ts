// Ports of the hosts in a record: 16 bits in a field of 32, which no checksum covers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair } from '../src/repair-plan.ts';
import { readLayout } from '../src/store-layout.ts';
import { brief, smallStore } from './small-store.ts';

test('ports: one that cannot be is found at its byte, and a repair gives the message back as it was', async (t) => {
  const store = await smallStore(t);
  const v4 = store.record(20);
  const v6 = store.records.find(({ message }) => (message.sysFlag & 0x3f) === 0x10)!;
  const places: [typeof v4, at: number][] = [
    [v4, 52],
    [v4, 53],
    [v4, 68],
    [v4, 69],
    [v6, 64],
    [v6, 80],
  ];
  for (const [{ file, at: recordAt }, at] of places) {
    const before = readFileSync(join(store.root, file));
    store.flip(file, recordAt + at, 0x81);
    const { list } = await store.findings();
    assert.deepEqual(list.map(brief), [`fault log-field ${file} ${recordAt + at - (at % 2)}`]);
    const plan = await planRepair(await readLayout(store.root), { indexShape: {} });
    assert.deepEqual(plan.left, []);
    await applyRepair(plan, { logPath: undefined });
    assert.ok(readFileSync(join(store.root, file)).equals(before), `byte ${at}`);
    assert.deepEqual((await store.findings()).list.map(brief), []);
  }
});

test('ports: the low bytes can be anything, and are no fault', async (t) => {
  const store = await smallStore(t);
  const { file, at } = store.record(20);
  for (const byte of [54, 55, 70, 71]) store.flip(file, at + byte, 0xff);
  assert.deepEqual((await store.findings()).list.map(brief), []);
});
