import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SubscriptionData, tagSubscription } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { ConsumerManager, type ConsumerRegistration } from '../../src/clients/consumer-manager.ts';
import { GROUP_LINE_INTERVAL_MS } from '../../src/clients/group-agreement.ts';
import { roomy } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';

function fixture() {
  const clock = new ManualClock();
  const lines: { fields: Record<string, unknown>; message: string }[] = [];
  const warn = (fields: object, message: string) =>
    void lines.push({ fields: fields as Record<string, unknown>, message });
  const logger = { ...silentLogger, warn };
  const consumers = new ConsumerManager({ logger, clock, budget: roomy(), notifyEnabled: () => true });
  const beat = (client: FakeClient, more: Partial<ConsumerRegistration> = {}, group = 'g') => {
    const member = { client, lastUpdateTimestamp: clock.now(), lastSeen: clock.monotonic() };
    return consumers.register(group, member, {
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      subscriptions: [tagSubscription('T', '*', 1)],
      ...more,
    });
  };
  /** The lines since the last call. */
  const said = (): string[] => lines.splice(0).map(({ message }) => message);
  return { clock, consumers, lines, beat, said };
}

const a = () => new FakeClient('a', 1);
const b = () => new FakeClient('b', 2);

for (const [what, more, found] of [
  ['message model', { messageModel: 'BROADCASTING' }, 'messageModel CLUSTERING and BROADCASTING'],
  ['consume type', { consumeType: 'CONSUME_ACTIVELY' }, 'consumeType CONSUME_PASSIVELY and CONSUME_ACTIVELY'],
  [
    'where they begin',
    { consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' },
    'consumeFromWhere CONSUME_FROM_LAST_OFFSET and CONSUME_FROM_FIRST_OFFSET',
  ],
  ['tags', { subscriptions: [tagSubscription('T', 'x', 2)] }, 'topic T by * and by x'],
  [
    'topics',
    { subscriptions: [tagSubscription('U', '*', 2)] },
    'topic U of the latter alone; topic T of the former alone',
  ],
  [
    'kind of filter',
    { subscriptions: [{ ...tagSubscription('T', '*', 2), subString: 'p > 1', expressionType: 'SQL92' }] },
    'topic T by * and by SQL92 p > 1',
  ],
] satisfies [string, Partial<ConsumerRegistration>, string][]) {
  test(`members that differ in ${what}: one line that names both and what differs`, () => {
    const { clock, beat, lines, said } = fixture();
    const [one, two] = [a(), b()];
    beat(one);
    beat(two, more);
    assert.deepEqual(lines[0]?.fields, {
      ...{ group: 'g', clientId: 'a', remoteAddress: '127.0.0.1:1' },
      ...{ otherClientId: 'b', otherRemoteAddress: '127.0.0.1:2' },
    });
    assert.deepEqual(said(), [
      `members of group g differ: a (127.0.0.1:1) and b (127.0.0.1:2): ${found}. The last heartbeat decides for all of them.`,
    ]);
    // They say so with every heartbeat; the log has it once in a while.
    for (let round = 0; round < 10; round++) {
      beat(one);
      beat(two, more);
    }
    assert.deepEqual(said(), []);
    clock.pass(GROUP_LINE_INTERVAL_MS);
    beat(one);
    beat(two, more);
    assert.equal(said().length, 1);
  });
}

test('no line: members agree, one changes its mind, one has gone, or it is a group that every broker has', () => {
  const { clock, beat, said } = fixture();
  const clients = Array.from({ length: 20 }, (_, index) => new FakeClient(`c${index}`, index));
  const topics = (version: number): SubscriptionData[] => [
    tagSubscription('T', 'x', version),
    tagSubscription('U', '*', 1),
  ];
  for (const [index, client] of clients.entries()) {
    beat(client, { subscriptions: index % 2 === 0 ? topics(index) : topics(index).reverse() });
    beat(client, { subscriptions: undefined });
  }
  assert.deepEqual(said(), [], 'the order of topics and the version are no difference');
  const alone = a();
  beat(alone, {}, 'alone');
  beat(alone, { subscriptions: [tagSubscription('T', 'x', 2)], messageModel: 'BROADCASTING' }, 'alone');
  assert.deepEqual(said(), []);
  alone.end();
  beat(b(), {}, 'alone');
  assert.deepEqual(said(), []);
  beat(a(), {}, 'TOOLS_CONSUMER');
  beat(b(), { messageModel: 'BROADCASTING', subscriptions: [] }, 'TOOLS_CONSUMER');
  assert.deepEqual(said(), []);
  clock.pass(1_000);
});

test('three members, of which two agree: these two are never named as those that differ', () => {
  const { clock, beat, said } = fixture();
  const [one, two, three] = [a(), b(), new FakeClient('c', 3)];
  const x = { subscriptions: [tagSubscription('T', 'x', 1)] };
  const y = { subscriptions: [tagSubscription('T', 'y', 9)] };
  for (let round = 0; round < 20; round++) {
    for (const [client, more] of [
      [one, x],
      [three, x],
      [two, y],
      [one, x],
      [three, x],
    ] as const) {
      clock.pass(GROUP_LINE_INTERVAL_MS);
      beat(client, more);
    }
  }
  const lines = said();
  assert.ok(lines.length >= 20);
  for (const line of lines) assert.match(line, /\bb \(/);
});

test('many groups that differ at once, and hostile names: one line a second, and no control characters in it', () => {
  const { clock, beat, said } = fixture();
  for (let index = 0; index < 100; index++) {
    beat(a(), {}, `g${index}`);
    beat(b(), { messageModel: 'BROADCASTING' }, `g${index}`);
  }
  assert.equal(said().length, 1);
  clock.pass(1_000);
  const topics = Array.from({ length: 1_000 }, (_, index) =>
    tagSubscription(`T${index}\n\u001b[31m`, 'x'.repeat(9_999), 1),
  );
  beat(a(), {}, 'h');
  beat(new FakeClient('evil\r\n', 3), { subscriptions: topics }, 'h');
  const [line = ''] = said();
  assert.match(line, /evil\\u000d\\u000a.* more\. The last/);
  assert.ok(line.length < 2_000, `${line.length} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  assert.doesNotMatch(line, /[\u0000-\u001f]/);
});

test('one id on two connections is told with both addresses, a heartbeat or a reconnection is not', () => {
  const { clock, beat, lines, said } = fixture();
  const [first, second] = [new FakeClient('c', 1), new FakeClient('c', 2)];
  beat(first);
  beat(first);
  beat(b());
  assert.deepEqual(said(), []);
  beat(second);
  assert.deepEqual(lines[0]?.fields, {
    ...{ group: 'g', clientId: 'c', remoteAddress: '127.0.0.1:1', otherRemoteAddress: '127.0.0.1:2' },
  });
  assert.match(said()[0] ?? '', /^group g has the client c twice, from 127\.0\.0\.1:1 and now from 127\.0\.0\.1:2/);
  clock.pass(1_000);
  beat(second);
  first.end();
  second.end();
  beat(new FakeClient('c', 3));
  assert.deepEqual(said(), []);
});
