// The built command over the directory of a broker that runs, and over its port.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../../test/support/clean-up.ts';
import { smallStore } from '../../../../doctor/test/small-store.ts';
import { run, startBroker, treeHash } from '../../cli.ts';
import { json, jsonLines, store } from './store-command.ts';

test('beside a live broker under load: verify has no false alarm, repair and import keep away', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  const broker = await startBroker(t, data);
  const env = { NAMESRV_ADDR: broker.ready.namesrv! };
  const load = run(['produce', 'load', '--size', '300', '--count', '8000'], { env });
  let loading = true;
  void load.then(() => {
    loading = false;
  });
  let rounds = 0;
  let records = 0;
  while (loading || rounds === 0) {
    const verified = await store('verify', data, '--json');
    const { faults, findings, state, records: seen } = json(verified);
    assert.deepEqual([verified.code, faults, findings], [0, 0, []], `round ${rounds}`);
    assert.equal(state, 'live');
    assert.ok(seen >= records);
    records = seen;
    rounds++;
  }
  assert.equal((await load).code, 0);
  const page = await store('inspect', data);
  assert.equal(page.code, 0);
  assert.match(page.stdout, new RegExp(`locked by process ${broker.child.pid}`));
  // Most of the entries are still in the broker's memory.
  const dumped = await store('dump', data, '--topic', 'load', '--body', 'none', '--jsonl');
  assert.equal(dumped.code, 0, dumped.stderr);
  assert.equal(jsonLines(dumped).length, 8000);
  const before = treeHash(join(data, 'commitlog'));
  const refused = await store('repair', data, '--apply');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /lock/i);
  assert.equal((await run(['store', 'import', data], { input: '' })).code, 2);
  assert.equal((await store('repair', data)).code, 0, 'a plan may be asked for');
  assert.equal(treeHash(join(data, 'commitlog')), before);
});

test('export into a running broker: import --namesrv sends what was exported', async (t) => {
  const small = await smallStore(t);
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const out = await store('export', small.root, '--topic', 'orders');
  const into = await run(['store', 'import', '--namesrv', broker.ready.namesrv!, '--json'], { input: out.stdout });
  assert.equal(into.code, 0, into.stdout + into.stderr);
  assert.equal(json(into).stored, jsonLines(out).length);
  const received = await run(['consume', 'orders', '--json'], { env: { NAMESRV_ADDR: broker.ready.namesrv! } });
  const keys = (lines: { properties?: Record<string, string>; keys?: string }[]): string[] =>
    lines.map((line) => line.keys ?? line.properties?.KEYS ?? '').sort();
  assert.deepEqual(keys(jsonLines(received)), keys(jsonLines(out)));
});
