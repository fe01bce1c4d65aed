import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RemotingConnection, tagSubscription } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/store/testing';
import { ClientHousekeeping } from '../../src/broker/client-housekeeping.ts';
import { ConsumerManager, type ConsumerRegistration } from '../../src/broker/consumer-manager.ts';
import { ProducerManager } from '../../src/broker/producer-manager.ts';

interface FakeConnection extends RemotingConnection {
  destroyedFor: string | undefined;
}

const connection = (): FakeConnection => {
  const fake = { remoteAddress: '127.0.0.1:1', destroyedFor: undefined } as FakeConnection;
  fake.destroy = (reason: string) => {
    fake.destroyedFor = reason;
  };
  return fake;
};

function fixture(notifyEnabled = true) {
  const clock = new ManualClock();
  const told: [string, number][] = [];
  const consumers = new ConsumerManager({
    logger: silentLogger,
    notifyIdsChanged: (group, members) => told.push([group, members.length]),
    notifyEnabled: () => notifyEnabled,
  });
  const join = (group: string, on: RemotingConnection, more: Partial<ConsumerRegistration> = {}, clientId = 'c') =>
    consumers.register(
      group,
      { connection: on, clientId, language: 0, version: 0, lastUpdateTimestamp: clock.now() },
      {
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
        subscriptions: [tagSubscription('T', '*', 1)],
        ...more,
      },
    );
  return { clock, consumers, told, join };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a member that joins is told of at once, others that join in the same turn together', async () => {
  const { consumers, told, join } = fixture();
  for (let index = 0; index < 100; index++) join('g', connection(), {}, `c${index}`);
  assert.equal(consumers.clients('g').length, 100);
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
  const on = connection();
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
  broadcasting.join('g', connection(), { messageModel: 'BROADCASTING' });
  const silent = fixture(false);
  silent.join('g', connection());
  await turn();
  assert.deepEqual([broadcasting.told, silent.told], [[], []]);
});

test('the last member takes the group and its subscriptions along', async () => {
  const { consumers, told, join } = fixture();
  const [one, two] = [connection(), connection()];
  join('g', one, {}, 'one');
  join('g', two, {}, 'two');
  join('h', one, {}, 'one');
  await turn();
  assert.equal(consumers.findClient('g', 'two')?.connection, two);
  consumers.connectionClosed(one);
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
  const { clock, consumers, join } = fixture();
  const producers = new ProducerManager();
  const housekeeping = new ClientHousekeeping(consumers, producers, 120_000, clock, silentLogger);
  housekeeping.watch();
  assert.equal(clock.timerCount, 0, 'nobody to watch');
  const [silent, lively] = [connection(), connection()];
  join('g', silent);
  producers.register('p', {
    connection: lively,
    clientId: 'p',
    language: 0,
    version: 0,
    lastUpdateTimestamp: clock.now(),
  });
  housekeeping.watch();
  housekeeping.watch();
  assert.equal(clock.timerCount, 1);
  await clock.advance(115_000);
  assert.equal(silent.destroyedFor, undefined);
  producers.register('p', {
    connection: lively,
    clientId: 'p',
    language: 0,
    version: 0,
    lastUpdateTimestamp: clock.now(),
  });
  await clock.advance(20_000);
  assert.match(silent.destroyedFor ?? '', /no heartbeat for 120000 ms/);
  assert.equal(consumers.group('g'), undefined);
  assert.equal(lively.destroyedFor, undefined);
  housekeeping.connectionClosed(lively);
  await clock.advance(20_000);
  assert.equal(clock.timerCount, 0);
  assert.equal(producers.groupCount, 0);
});
