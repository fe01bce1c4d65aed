import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { ClientHousekeeping } from '../../src/clients/client-housekeeping.ts';
import { ConsumerManager } from '../../src/clients/consumer-manager.ts';
import { ProducerManager } from '../../src/clients/producer-manager.ts';
import { roomy } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';

function open() {
  const clock = new ManualClock();
  const lines: object[] = [];
  const logger = { ...silentLogger, warn: (fields: object) => void lines.push(fields) };
  const budget = roomy();
  const consumers = new ConsumerManager({ logger: silentLogger, budget, notifyEnabled: () => false, clock });
  const producers = new ProducerManager(budget);
  const housekeeping = new ClientHousekeeping(consumers, producers, 30_000, clock, logger);
  const member = (client: FakeClient) => ({ client, lastUpdateTimestamp: clock.now(), lastSeen: clock.monotonic() });
  const consume = (group: string, client: FakeClient) =>
    consumers.register(group, member(client), {
      ...({ consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', consumeFromWhere: '' } as const),
      subscriptions: [],
    });
  const produce = (group: string, client: FakeClient) => producers.register(group, member(client));
  return { clock, lines, consumers, producers, housekeeping, consume, produce, budget };
}

test('housekeeping: a client of many groups is disconnected once, with one line, and is in none afterwards', async () => {
  const { clock, lines, consumers, producers, housekeeping, consume, produce, budget } = open();
  const client = new FakeClient('c');
  let disconnects = 0;
  client.disconnect = () => {
    disconnects++;
    client.end();
  };
  for (let i = 0; i < 5; i++) {
    consume(`g${i}`, client);
    produce(`p${i}`, client);
  }
  housekeeping.watch();
  await clock.advance(60_000);
  assert.deepEqual([disconnects, lines.length], [1, 1]);
  assert.deepEqual([consumers.groupCount, producers.groupCount, budget.usedBytes], [0, 0, 0]);
});

test('housekeeping: silence of exactly the limit is not too long, one scan later it is', async () => {
  const { clock, housekeeping, produce } = open();
  const client = new FakeClient('c');
  produce('p', client);
  housekeeping.watch();
  await clock.advance(30_000);
  assert.equal(client.disconnectedFor, undefined);
  await clock.advance(10_000);
  assert.equal(client.disconnectedFor, 'no heartbeat for 30000 ms');
});

test('housekeeping: a client whose disconnection ends nothing is forgotten all the same', async () => {
  const { clock, housekeeping, producers, produce, budget } = open();
  const client = new FakeClient('c');
  client.disconnect = () => {};
  produce('p', client);
  housekeeping.watch();
  await clock.advance(50_000);
  assert.equal(producers.groupCount, 0);
  assert.equal(budget.usedBytes, 0);
  assert.equal(clock.timerCount, 0);
});

test('housekeeping: after its stop nothing is watched, whoever comes', async () => {
  const { clock, housekeeping, produce } = open();
  const client = new FakeClient('c');
  produce('p', client);
  housekeeping.watch();
  housekeeping.stop();
  assert.equal(clock.timerCount, 0);
  housekeeping.watch();
  assert.equal(clock.timerCount, 0);
  await clock.advance(600_000);
  assert.equal(client.disconnectedFor, undefined);
});
