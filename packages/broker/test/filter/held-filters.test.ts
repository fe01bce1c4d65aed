import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { HeldFilters } from '../../src/filter/held-filters.ts';
import type { SizedFilter } from '../../src/filter/sized-filter.ts';
import { tight } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';
import { pullFields, send, startBroker } from '../harness.ts';
import { Asker, PopMachine } from '../pop/pop-machine.ts';

const filter = (bytes: number): SizedFilter => ({ bytes, isMatchedByConsumeQueue: () => true });

test('held filters: one that many wait with counts once, and until the last has gone', () => {
  const budget = tight(1_000);
  const held = new HeldFilters(budget);
  const shared = filter(900);
  for (let i = 0; i < 3; i++) {
    assert.equal(held.hasRoomFor(shared), true);
    held.add(shared);
  }
  assert.equal(budget.usedBytes, 900);
  assert.equal(held.hasRoomFor(undefined), true);
  assert.equal(held.hasRoomFor(filter(200)), false);
  assert.match(held.noRoom, /900 bytes are taken/);
  for (let i = 0; i < 3; i++) {
    assert.equal(budget.usedBytes, 900);
    held.remove(shared);
  }
  assert.equal(budget.usedBytes, 0);
  held.remove(shared);
  assert.equal(budget.usedBytes, 0);
});

test('held filters: pulls with large ones do not fill the memory, whatever their kind; others still wait', async (t) => {
  const broker = await startBroker(t, { broker: { heldFilterBytesMax: 1024 * 1024 } });
  const { holds } = broker.broker.context;
  await send(broker, 'T', 'x');
  const pull = (subscription: string, expressionType: string, more: object = {}) =>
    broker.invoke(
      RequestCode.PULL_MESSAGE,
      pullFields('T', 1, { sysFlag: '6', suspendTimeoutMillis: '1', subscription, expressionType, ...more }),
    );
  const tags = (i: number): string => Array.from({ length: 8_000 }, (_, k) => `${i}t${k}`).join('||');
  const terms = (i: number): string => `a = ${i}${' OR a = 1'.repeat(500)}`;
  for (const [type, text] of [
    ['TAG', tags],
    ['SQL92', terms],
  ] as const) {
    const answers = await Promise.all([...Array(8).keys()].map((i) => pull(text(i), type)));
    const refused = answers.filter(({ code }) => code === ResponseCode.SYSTEM_BUSY);
    const waited = answers.filter(({ code }) => code === ResponseCode.PULL_NOT_FOUND);
    assert.equal(refused.length + waited.length, 8);
    assert.ok(refused.length > 0 && waited.length > 0, `${type}: ${refused.length} were refused`);
    assert.match(refused[0]!.remark ?? '', /the filter of a pull that waits: .*heldFilterBytesMax is 1048576/);
    const same = await Promise.all([...Array(40).keys()].map((i) => pull('TagA', 'TAG', { consumerGroup: `g${i}` })));
    assert.deepEqual(new Set(same.map(({ code }) => code)), new Set([ResponseCode.PULL_NOT_FOUND]));
  }
  assert.equal(holds.count, 0);
  const status = await broker.invoke(RequestCode.GET_BROKER_RUNTIME_INFO);
  assert.match(String(status.body), /"heldFilterBytes":"0"/);
});

test('held filters: a pop that has no room to wait with its own is answered that too many wait', async () => {
  const pop = await PopMachine.start({}, { heldFilterBytesMax: 64 * 1024 });
  await pop.send('T', 'x');
  await pop.bodies();
  const expression = Array.from({ length: 8_000 }, (_, k) => `t${k}`).join('||');
  const asked = pop.begin({ pollMs: 10_000, expression }, new FakeClient(), new Asker());
  const outcome = await pop.broker.machine.until(asked, 'pop');
  assert.equal((outcome as { code: number }).code, ResponseCode.POLLING_FULL);
  await pop.broker.stop();
});
