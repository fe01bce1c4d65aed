import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '../../src/clients/client.ts';
import { MemberNotices, NOTICES_A_TURN } from '../../src/clients/member-notices.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(sizes: Record<string, number>) {
  let told: string[] = [];
  const groups = new Map<string, Client[]>();
  for (const [group, size] of Object.entries(sizes)) {
    const clients = Array.from({ length: size }, (_, index) => ({
      isGone: false,
      notifyConsumerIdsChanged: (of: string) => void told.push(`${of}-${index}`),
    }));
    groups.set(group, clients as unknown as Client[]);
  }
  const notices = new MemberNotices((group) => groups.get(group) ?? []);
  const take = (): string[] => {
    const taken = told;
    told = [];
    return taken;
  };
  return { notices, groups, take };
}

test('notices: a change is told at once, those that follow in the turn once and afterwards', async () => {
  const { notices, take } = setUp({ a: 3, b: 1 });
  notices.changed('a');
  assert.deepEqual(take(), ['a-0', 'a-1', 'a-2']);
  for (let i = 0; i < 5; i++) notices.changed('a');
  notices.changed('b');
  assert.deepEqual(take(), ['b-0']);
  await turn();
  assert.deepEqual(take(), ['a-0', 'a-1', 'a-2']);
  await turn();
  await turn();
  assert.deepEqual(take(), []);
  notices.changed('a');
  assert.equal(take().length, 3);
});

test('notices: no turn has more of them than its share, and every member of every group is told', async () => {
  const sizes = { small: 10, large: 3 * NOTICES_A_TURN + 5, other: 10 };
  const { notices, take } = setUp(sizes);
  const all = new Map<string, number>();
  let turns = 0;
  for (const group of Object.keys(sizes)) notices.changed(group);
  for (; ; turns++) {
    const told = take();
    if (told.length === 0) break;
    assert.ok(told.length <= NOTICES_A_TURN, `${told.length} in one turn`);
    for (const one of told) all.set(one, (all.get(one) ?? 0) + 1);
    await turn();
  }
  assert.equal(turns, 4);
  assert.equal(all.size, sizes.small + sizes.large + sizes.other);
  assert.deepEqual(new Set(all.values()), new Set([1]));
});

test('notices: a large group that changes while it is told is told again, who has gone is not', async () => {
  const { notices, groups, take } = setUp({ large: 2 * NOTICES_A_TURN });
  notices.changed('large');
  assert.equal(take().length, NOTICES_A_TURN);
  for (let i = 0; i < 1_000; i++) notices.changed('large');
  const [first] = groups.get('large')!;
  (first as { isGone: boolean }).isGone = true;
  let count = 0;
  for (let i = 0; i < 10; i++) {
    await turn();
    const told = take();
    assert.ok(told.length <= NOTICES_A_TURN);
    count += told.length;
  }
  assert.equal(count, NOTICES_A_TURN + 2 * NOTICES_A_TURN - 1, 'the rest of the first round, and one more');
});
