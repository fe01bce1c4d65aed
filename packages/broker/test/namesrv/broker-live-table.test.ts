import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RemotingConnection } from '@vernier/remoting';
import { ManualClock } from '@vernier/torture';
import { type BrokerLive, BrokerLiveTable } from '../../src/namesrv/broker-live-table.ts';

const connection = (): RemotingConnection => ({}) as RemotingConnection;

function open(scanIntervalMs = 5_000) {
  const clock = new ManualClock();
  const expired: string[] = [];
  const interval = { ms: scanIntervalMs };
  const table: BrokerLiveTable = new BrokerLiveTable(
    clock,
    () => interval.ms,
    (live) => {
      expired.push(live.brokerAddr);
      table.delete(live.clusterName, live.brokerAddr);
    },
  );
  const put = (brokerAddr: string, from: RemotingConnection | undefined, more: Partial<BrokerLive> = {}) =>
    table.put({
      ...{ clusterName: 'C', brokerName: 'b', brokerId: 0, brokerAddr, haServerAddr: '', connection: from },
      ...{ dataVersion: { stateVersion: 0, timestamp: 0, counter: 0 }, fixedAddress: true, leftOut: undefined },
      ...{ heartbeatTimeoutMs: 10_000, onTopicLost: undefined },
      ...more,
    });
  return { clock, table, expired, put, interval };
}

test('live brokers: a broker of this process does not expire and needs no timer', async () => {
  const { clock, table, expired, put } = open();
  put('a:1', undefined);
  assert.equal(clock.timerCount, 0);
  await clock.advance(3_600_000);
  assert.deepEqual([expired, table.size], [[], 1]);
  put('b:1', connection());
  assert.equal(clock.timerCount, 1, 'one that can fall silent does');
  table.delete('C', 'b:1');
  assert.equal(clock.timerCount, 0);
});

test('live brokers: silence of exactly the limit is not too long, and a sign of life begins it anew', async () => {
  const { clock, table, expired, put } = open();
  put('a:1', connection());
  await clock.advance(10_000);
  assert.deepEqual(expired, [], 'at the limit');
  await clock.advance(5_000);
  assert.deepEqual(expired, ['a:1']);
  assert.equal(clock.timerCount, 0, 'nobody is left to look for');
  put('b:1', connection());
  for (let i = 0; i < 20; i++) {
    await clock.advance(9_000);
    table.touch('C', 'b:1');
  }
  assert.deepEqual(expired, ['a:1']);
});

test('live brokers: a sign of life of an unknown broker, or of another cluster’s, helps nobody', async () => {
  const { clock, table, expired, put } = open();
  put('a:1', connection());
  for (let i = 0; i < 4; i++) {
    await clock.advance(5_000);
    table.touch('D', 'a:1');
    table.touch('C', 'b:1');
    table.touch('C\na:1', '');
  }
  assert.deepEqual(expired, ['a:1']);
  assert.equal(table.size, 0);
});

test('live brokers: a clock that is set makes nobody silent', async () => {
  const { clock, expired, put } = open();
  put('a:1', connection());
  clock.stepWallClock(3_600_000);
  await clock.advance(6_000);
  clock.stepWallClock(-7_200_000);
  await clock.advance(3_000);
  assert.deepEqual(expired, []);
});

test('live brokers: a connection knows all that registered on it, and no longer who moved to another', () => {
  const { table, put } = open();
  const [first, second] = [connection(), connection()];
  put('a:1', first);
  put('b:1', first);
  const on = (of: RemotingConnection): string[] => table.onConnection(of).map(({ brokerAddr }) => brokerAddr);
  assert.deepEqual(on(first), ['a:1', 'b:1']);
  put('a:1', second);
  assert.deepEqual([on(first), on(second)], [['b:1'], ['a:1']]);
  put('a:1', undefined);
  assert.deepEqual(on(second), []);
  assert.equal(table.size, 2, 'the same address is there once');
});

test('live brokers: one address in two clusters is two brokers', () => {
  const { table, put } = open();
  const from = connection();
  put('a:1', from);
  put('a:1', from, { clusterName: 'D' });
  assert.equal(table.size, 2);
  assert.equal(table.delete('C', 'a:1')?.clusterName, 'C');
  assert.equal(table.delete('C', 'a:1'), undefined);
  assert.equal(table.get('D', 'a:1')?.brokerAddr, 'a:1');
});

test('live brokers: each has the silence that it asked for; the interval of the look is asked for each time', async () => {
  const { clock, expired, put, interval } = open(1_000);
  put('short:1', connection(), { heartbeatTimeoutMs: 1_000 });
  put('long:1', connection(), { heartbeatTimeoutMs: 100_000 });
  interval.ms = 60_000;
  await clock.advance(1_000);
  assert.deepEqual(expired, []);
  await clock.advance(59_999);
  assert.deepEqual(expired, [], 'the next look is a minute later');
  await clock.advance(1);
  assert.deepEqual(expired, ['short:1']);
});

test('live brokers: closing forgets everybody and leaves no timer', () => {
  const { clock, table, put } = open();
  const from = connection();
  put('a:1', from);
  table.close();
  assert.deepEqual([table.size, clock.timerCount, table.onConnection(from).length], [0, 0, 0]);
});

test('live brokers: one is heard of as long as the silence that it named lasts, or that of all if longer', async () => {
  const { clock, table, put } = open(3_600_000);
  const connected = { closed: false } as RemotingConnection;
  put('short:1', connected, { heartbeatTimeoutMs: 1_000 });
  put('long:1', connected, { heartbeatTimeoutMs: 300_000 });
  const heard = (): boolean[] => ['short:1', 'long:1'].map((address) => table.isHeard(table.get('C', address)!));
  await clock.advance(120_000);
  assert.deepEqual(heard(), [true, true]);
  await clock.advance(180_000);
  assert.deepEqual(heard(), [false, true]);
  await clock.advance(1);
  assert.deepEqual(heard(), [false, false]);
  put('closed:1', { closed: true } as RemotingConnection);
  assert.equal(table.isHeard(table.get('C', 'closed:1')!), false);
  table.close();
});
