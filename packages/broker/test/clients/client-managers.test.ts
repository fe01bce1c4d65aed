import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tagSubscription } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { ClientHousekeeping } from '../../src/clients/client-housekeeping.ts';
import { ConsumerManager, type ConsumerRegistration } from '../../src/clients/consumer-manager.ts';
import type { GroupMember } from '../../src/clients/group-clients.ts';
import { ProducerManager } from '../../src/clients/producer-manager.ts';
import { roomy, tight } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';

function fixture(notifyEnabled = true) {
  const clock = new ManualClock();
  /** Group, and how many of its members were told together. */
  const told: [string, number][] = [];
  let together: [string, number] | undefined;
  const tell = (group: string): void => {
    if (together?.[0] === group) {
      together[1]++;
      return;
    }
    together = [group, 1];
    told.push(together);
    queueMicrotask(() => {
      together = undefined;
    });
  };
  const consumers = new ConsumerManager({
    ...{ logger: silentLogger, clock },
    budget: roomy(),
    notifyEnabled: () => notifyEnabled,
  });
  const member = (client: FakeClient): GroupMember => {
    client.onTold = tell;
    return { client, lastUpdateTimestamp: clock.now(), lastSeen: clock.monotonic() };
  };
  const join = (group: string, on: FakeClient, more: Partial<ConsumerRegistration> = {}, clientId = 'c') => {
    on.identify(clientId, 0, 0);
    return consumers.register(group, member(on), {
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      subscriptions: [tagSubscription('T', '*', 1)],
      ...more,
    });
  };
  return { clock, consumers, told, join, member };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a member that joins is told of at once, others that join in the same turn together', async () => {
  const { consumers, told, join } = fixture();
  for (let index = 0; index < 100; index++) join('g', new FakeClient(), {}, `c${index}`);
  assert.equal(consumers.members('g').length, 100);
  assert.deepEqual(told, [['g', 1]], 'before the first one is answered');
  await turn();
  const both = [
    ['g', 1],
    ['g', 100],
  ];
  assert.deepEqual(told, both);
  await turn();
  assert.deepEqual(told, both);
});

test('what is told: a new member, a topic more or less; not a newer version of a known one', async () => {
  const { consumers, told, join } = fixture();
  const on = new FakeClient();
  const after = async (subscriptions: ReturnType<typeof tagSubscription>[] | undefined): Promise<number> => {
    const before = told.length;
    join('g', on, { subscriptions });
    await turn();
    return told.length - before;
  };
  assert.equal(await after([tagSubscription('T', 'A', 1)]), 1);
  assert.equal(await after([tagSubscription('T', 'A', 1)]), 0);
  assert.equal(await after([tagSubscription('T', 'B', 2)]), 0);
  assert.equal(consumers.group('g')?.subscriptionTable.get('T')?.subString, 'B');
  assert.equal(await after([tagSubscription('T', 'C', 1)]), 0);
  assert.equal(consumers.group('g')?.subscriptionTable.get('T')?.subString, 'B', 'an older one does not replace it');
  assert.equal(await after([tagSubscription('T', 'B', 2), tagSubscription('U', '*', 1)]), 1);
  assert.deepEqual(consumers.groupsOfTopic('U'), ['g']);
  assert.equal(await after(undefined), 0);
  assert.equal(consumers.group('g')?.subscriptionTable.size, 2, 'a heartbeat without subscriptions keeps them');
  assert.equal(await after([tagSubscription('U', '*', 1)]), 1);
  assert.deepEqual(consumers.groupsOfTopic('T'), []);
});

test('broadcasting groups and groups that do not want it are not told', async () => {
  const broadcasting = fixture();
  broadcasting.join('g', new FakeClient(), { messageModel: 'BROADCASTING' });
  const silent = fixture(false);
  silent.join('g', new FakeClient());
  await turn();
  assert.deepEqual([broadcasting.told, silent.told], [[], []]);
});

test('the last member takes the group and its subscriptions along', async () => {
  const { consumers, told, join } = fixture();
  const [one, two] = [new FakeClient(), new FakeClient()];
  join('g', one, {}, 'one');
  join('g', two, {}, 'two');
  join('h', one, {}, 'one');
  await turn();
  assert.equal(consumers.findClient('g', 'two'), two);
  one.end();
  await turn();
  assert.deepEqual(told.slice(3), [['g', 1]], 'h has nobody left to tell');
  assert.equal(consumers.group('h'), undefined);
  assert.deepEqual(consumers.groupsOfTopic('T'), ['g']);
  assert.equal(consumers.unregister('g', two), true);
  assert.equal(consumers.unregister('g', two), false);
  assert.deepEqual(consumers.groupsOfTopic('T'), []);
  assert.equal(consumers.groupCount, 0);
});

test('silent clients are forgotten and disconnected; the timer runs only while there are clients', async () => {
  const { clock, consumers, join, member } = fixture();
  const producers = new ProducerManager(roomy());
  const housekeeping = new ClientHousekeeping(consumers, producers, 120_000, clock, silentLogger);
  housekeeping.watch();
  assert.equal(clock.timerCount, 0, 'nobody to watch');
  const [silent, lively] = [new FakeClient(), new FakeClient()];
  join('g', silent);
  producers.register('p', member(lively));
  housekeeping.watch();
  housekeeping.watch();
  assert.equal(clock.timerCount, 1);
  await clock.advance(115_000);
  assert.equal(silent.disconnectedFor, undefined);
  producers.register('p', member(lively));
  await clock.advance(20_000);
  assert.match(silent.disconnectedFor ?? '', /no heartbeat for 120000 ms/);
  assert.equal(consumers.group('g'), undefined);
  assert.equal(lively.disconnectedFor, undefined);
  lively.end();
  await clock.advance(20_000);
  assert.equal(clock.timerCount, 0);
  assert.equal(producers.groupCount, 0);
});

test('a clock that is set makes nobody silent, and nobody lively', async () => {
  const { clock, consumers, join } = fixture();
  const housekeeping = new ClientHousekeeping(consumers, new ProducerManager(roomy()), 120_000, clock, silentLogger);
  const on = new FakeClient();
  join('g', on);
  housekeeping.watch();
  clock.stepWallClock(180_000);
  await clock.advance(60_000);
  assert.equal(on.disconnectedFor, undefined, 'three minutes forward: the client was heard a minute ago');
  clock.stepWallClock(-400_000);
  await clock.advance(70_000);
  assert.match(on.disconnectedFor ?? '', /no heartbeat/, 'seven minutes back: it was heard more than two minutes ago');
});

test('a client that joins and leaves a thousand times is listened to once', () => {
  const { consumers, join } = fixture();
  const on = new FakeClient();
  let listeners = 0;
  const { signal } = on;
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  }) as typeof add;
  for (let i = 0; i < 1_000; i++) {
    join('g', on);
    consumers.unregister('g', on);
  }
  assert.equal(listeners, 1);
  join('g', on);
  on.end();
  assert.equal(consumers.groupCount, 0);
});

test('members and subscriptions beyond the room for them are refused, and room comes back with those that go', () => {
  const budget = tight(20_000);
  const consumers = new ConsumerManager({
    ...{ logger: silentLogger, clock: new ManualClock(), budget },
    notifyEnabled: () => false,
  });
  const producers = new ProducerManager(budget);
  const client = new FakeClient();
  const member = (): GroupMember => ({ client, lastUpdateTimestamp: 0, lastSeen: 0 });
  const beat = (group: string, subscriptions: ConsumerRegistration['subscriptions']) =>
    consumers.register(group, member(), {
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: '',
      subscriptions,
    });
  let joined = 0;
  while (producers.register(`p${joined}`, member())) joined++;
  assert.ok(joined > 5 && joined < 40, `${joined} groups`);
  assert.equal(producers.register('p0', member()), false, 'who is there is refreshed');
  assert.equal(beat('c', undefined), undefined);
  assert.equal(consumers.group('c'), undefined, 'a group without a member is none');
  producers.remove(client);
  assert.equal(budget.usedBytes, 0);

  const small = tagSubscription('T', 'a', 1);
  const huge = tagSubscription('T', `a${' || b'.repeat(10_000)}`, 2);
  assert.equal(beat('c', [small]), true);
  const used = budget.usedBytes;
  assert.equal(beat('c', [huge]), undefined);
  assert.equal(consumers.group('c')?.subscriptionTable.get('T')?.subString, 'a', 'the old one stays');
  assert.equal(budget.usedBytes, used);
  assert.equal(beat('c', [small, tagSubscription('U', '*', 1)]), true);
  assert.ok(budget.usedBytes > used);
  assert.equal(beat('c', [small]), true);
  assert.equal(budget.usedBytes, used);
  client.end();
  assert.equal(budget.usedBytes, 0);
});
