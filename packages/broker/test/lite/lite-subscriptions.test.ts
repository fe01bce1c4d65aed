import assert from 'node:assert/strict';
import test from 'node:test';
import { createTopicConfig, RequestCode, ResponseCode } from '@vernier/remoting';
import { FakeClient } from '../fake-client.ts';
import { LiteMachine, lmq, SECOND, TOPIC } from './lite-machine.ts';

/** A client that keeps what the broker tells it. */
class Told extends FakeClient {
  readonly unsubscribed: string[] = [];
  override tell(code: number, fields: Record<string, string | undefined> | undefined): boolean {
    if (code === RequestCode.NOTIFY_UNSUBSCRIBE_LITE) this.unsubscribed.push(fields?.liteTopic ?? '');
    return true;
  }
}

test('lite subscriptions: of a group each message goes to one subscriber, of each group to one', async () => {
  const machine = await LiteMachine.start();
  machine.group('h');
  machine.subscribe('c1', ['a']);
  machine.subscribe('c2', ['a']);
  machine.subscribe('d1', ['a'], { group: 'h' });
  await machine.send('a', '0');
  const both = [...(await machine.bodies('c1')), ...(await machine.bodies('c2'))];
  assert.deepEqual(both, ['0']);
  assert.deepEqual(await machine.bodies('d1', { group: 'h' }), ['0']);
  await machine.stop();
});

test('lite subscriptions: who begins to subscribe gets what is there already, where its group is', async () => {
  const machine = await LiteMachine.start();
  await machine.send('a', '0', '1');
  machine.subscribe('c1', ['a']);
  assert.deepEqual(await machine.bodies('c1'), ['0', '1']);
  await machine.stop();
});

test('lite subscriptions: an offset option sets where the group goes on', async () => {
  const from = async (start: { kind: 'POLICY' | 'OFFSET' | 'TAIL_N' | 'TIMESTAMP'; value: number }) => {
    const machine = await LiteMachine.start();
    await machine.send('a', '0', '1', '2', '3');
    machine.context.offsets.commit('g', lmq('a'), 0, 3);
    machine.subscribe('c1', ['a'], { start });
    const bodies = await machine.bodies('c1');
    await machine.stop();
    return bodies;
  };
  assert.deepEqual(await from({ kind: 'POLICY', value: 0 }), ['3'], 'where it is');
  assert.deepEqual(await from({ kind: 'POLICY', value: 1 }), ['0', '1', '2', '3']);
  assert.deepEqual(await from({ kind: 'POLICY', value: 2 }), []);
  assert.deepEqual(await from({ kind: 'OFFSET', value: 1 }), ['1', '2', '3']);
  assert.deepEqual(await from({ kind: 'OFFSET', value: 99 }), [], 'behind the end is the end');
  assert.deepEqual(await from({ kind: 'TAIL_N', value: 2 }), ['1', '2', '3']);
  assert.deepEqual(await from({ kind: 'TAIL_N', value: 99 }), ['0', '1', '2', '3']);
  assert.deepEqual(await from({ kind: 'TIMESTAMP', value: 1 }), ['3'], 'not made in RocketMQ either');
});

test('lite subscriptions: an offset option behind the end hides no message that comes', async () => {
  const machine = await LiteMachine.start();
  await machine.send('a', '0');
  machine.subscribe('c1', ['a'], { start: { kind: 'OFFSET', value: 99 } });
  await machine.send('a', '1', '2');
  assert.deepEqual(await machine.bodies('c1'), ['1', '2']);
  await machine.stop();
});

test('lite subscriptions: an exclusive group has one subscriber of a lite topic: the last one, and the other is told', async () => {
  const machine = await LiteMachine.start({}, { 'lite.sub.model': 'Exclusive' });
  const [one, two] = [new Told(), new Told()];
  machine.subscribe('c1', ['a', 'b'], {}, one);
  machine.subscribe('c2', ['a'], {}, two);
  assert.deepEqual(one.unsubscribed, ['a']);
  await machine.send('a', 'a0');
  await machine.send('b', 'b0');
  assert.deepEqual(await machine.bodies('c1'), ['b0']);
  assert.deepEqual(await machine.bodies('c2'), ['a0']);
  machine.subscribe('c1', ['a', 'b'], { action: 'COMPLETE_ADD' }, one);
  assert.deepEqual(one.unsubscribed, ['a', 'a'], 'it had not heard of it');
  assert.deepEqual([...(machine.lite.subscriptions.get('c1')?.lmqs ?? [])], [lmq('b')]);
  await machine.stop();
});

test('lite subscriptions: lite.sub.reset.offset.exclusive gives a new holder everything again', async () => {
  const attributes = { 'lite.sub.model': 'Exclusive', 'lite.sub.reset.offset.exclusive': 'true' };
  const machine = await LiteMachine.start({}, attributes);
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0', '1');
  await machine.ack(...(await machine.pop('c1')));
  machine.subscribe('c2', ['a']);
  assert.deepEqual(await machine.bodies('c2'), ['0', '1']);
  await machine.stop();
});

test('lite subscriptions: a whole list replaces the one before; removing one leaves the others', async () => {
  const machine = await LiteMachine.start({}, { 'lite.sub.reset.offset.unsubscribe': 'true' });
  machine.subscribe('c1', ['a', 'b', 'c']);
  machine.subscribe('c1', ['b', 'd'], { action: 'COMPLETE_ADD' });
  const lmqs = () => [...(machine.lite.subscriptions.get('c1')?.lmqs ?? [])].sort();
  assert.deepEqual(lmqs(), [lmq('b'), lmq('d')]);
  await machine.send('b', '0');
  await machine.ack(...(await machine.pop('c1')));
  machine.subscribe('c1', ['b'], { action: 'PARTIAL_REMOVE' });
  assert.deepEqual(lmqs(), [lmq('d')]);
  await machine.send('b', '1');
  assert.deepEqual(await machine.bodies('c1'), [], 'not subscribed to any more');
  machine.subscribe('c1', ['b']);
  assert.deepEqual(await machine.bodies('c1'), ['0', '1'], 'and begins anew');
  machine.subscribe('c1', [], { action: 'COMPLETE_REMOVE' });
  assert.equal(machine.lite.subscriptions.get('c1'), undefined);
  assert.equal(machine.lite.subscriptions.count, 0);
  await machine.stop();
});

test('lite subscriptions: a group with a wildcard has all lite topics of its topic, and cannot choose some', async () => {
  const machine = await LiteMachine.start({}, { 'lite.sub.wildcard': '*' });
  await machine.send('early', '0');
  machine.subscribe('c1', [], { action: 'COMPLETE_ADD' });
  await machine.send('a', '1');
  await machine.send('b', '2');
  assert.deepEqual((await machine.bodies('c1')).sort(), ['0', '1', '2']);
  assert.equal(machine.change('c1', ['a'])?.code, ResponseCode.ILLEGAL_OPERATION);
  await machine.stop();
});

test('lite subscriptions: quotas of a client, of the broker and of memory are refused with 2018, and nothing is added', async () => {
  const own = await LiteMachine.start({}, { 'lite.sub.client.quota': '2' });
  own.subscribe('c1', ['a', 'b']);
  const full = own.change('c1', ['a', 'c']);
  assert.equal(full?.code, ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED);
  assert.match(full?.remark ?? '', /quota exceeded 2/);
  assert.equal(own.lite.subscriptions.count, 2);
  own.subscribe('c1', ['b', 'a'], {});
  await own.stop();
  const all = await LiteMachine.start({ maxLiteSubscriptionCount: 3 });
  all.subscribe('c1', ['a', 'b']);
  assert.equal(all.change('c2', ['a', 'b'])?.code, ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED);
  all.subscribe('c2', ['a']);
  await all.stop();
  const small = await LiteMachine.start({ liteSubscriptionBytesMax: 64 * 1024 });
  let count = 0;
  while (small.change(`c${count}`, ['a']) === undefined) count++;
  assert.ok(count > 20 && count < 200, `${count} clients in 64 KiB`);
  for (let i = 0; i <= count; i++) small.subscribe(`c${i}`, [], { action: 'COMPLETE_REMOVE' });
  small.subscribe('again', ['a']);
  await small.stop();
});

test('lite subscriptions: a client that says nothing for too long is forgotten, and others get its messages', async () => {
  const machine = await LiteMachine.start({ liteSubscriptionCheckInterval: SECOND });
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0');
  await machine.advance(100 * SECOND);
  machine.subscribe('c2', ['a']);
  await machine.advance(90 * SECOND);
  assert.equal(machine.lite.subscriptions.get('c1'), undefined);
  assert.notEqual(machine.lite.subscriptions.get('c2'), undefined);
  assert.deepEqual(await machine.bodies('c2'), ['0']);
  await machine.stop();
});

test('lite subscriptions: a client that does not ask leaves its lite topics to others of its group', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('idle', ['a']);
  machine.subscribe('busy', ['a']);
  // It has asked lately, so it is told of the message; then it asks no more.
  assert.deepEqual(await machine.bodies('idle'), []);
  await machine.send('a', '0');
  assert.deepEqual(await machine.bodies('busy'), [], 'it is for the other one');
  const asked: string[] = [];
  for (let i = 0; i < 25; i++) {
    asked.push(...(await machine.bodies('busy')));
    await machine.advance(SECOND);
  }
  assert.deepEqual(asked, ['0']);
  await machine.stop();
});

test('lite subscriptions: what cannot be subscribed to is refused', async () => {
  const machine = await LiteMachine.start();
  machine.context.topics.update(createTopicConfig('Plain'));
  const code = (lites: string[], more = {}, clientId = 'c1') => machine.change(clientId, lites, more)?.code;
  assert.equal(code(['a'], { topic: 'Plain' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(code(['a'], { group: 'unbound' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(code(['a'], {}, ''), ResponseCode.INVALID_PARAMETER);
  assert.equal(code(['a'], {}, 'x'.repeat(1_025)), ResponseCode.INVALID_PARAMETER);
  assert.equal(code(['a$b']), ResponseCode.INVALID_PARAMETER);
  assert.equal(code(['x'.repeat(200)]), ResponseCode.INVALID_PARAMETER);
  assert.equal(code(['a'], { start: { kind: 'OFFSET', value: -1 } }), ResponseCode.INVALID_PARAMETER);
  const { groups } = machine.context;
  groups.update({ ...groups.table.get('g')!, consumeEnable: false });
  assert.equal(code(['a']), ResponseCode.ILLEGAL_OPERATION);
  assert.equal(machine.lite.subscriptions.count, 0);
  assert.equal(machine.lite.subscriptions.get('c1'), undefined);
  await machine.stop();
});

test('lite admin: what operators see', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a', 'b']);
  await machine.send('a', '0', '1', '2');
  const [first] = await machine.pop('c1', { maxMessages: 1 });
  await machine.ack(first!);
  const { admin } = machine.lite;
  const until = <T>(promise: Promise<T>): Promise<T> => machine.broker.machine.until(promise, 'admin');
  const broker = admin.broker();
  assert.equal(broker.currentLmqNum, 1);
  assert.equal(broker.liteSubscriptionCount, 2);
  assert.deepEqual(broker.topicMeta, { [TOPIC]: 30 });
  assert.deepEqual(broker.groupMeta, { [TOPIC]: ['g'] });
  assert.deepEqual(admin.parent(TOPIC), { topic: TOPIC, ttl: 30, groups: ['g'], lmqNum: 1, liteTopicCount: 1 });
  const topic = (await until(admin.liteTopic(TOPIC, 'a'))) as {
    topicOffset: { maxOffset: number };
    subscriber: unknown;
  };
  assert.equal(topic.topicOffset.maxOffset, 3);
  assert.deepEqual(topic.subscriber, [{ clientId: 'c1', group: 'g' }]);
  const client = admin.client(TOPIC, 'g', 'c1', 1) as { liteTopicCount: number; liteTopicSet: string[] };
  assert.equal(client.liteTopicCount, 2);
  assert.deepEqual(client.liteTopicSet, [lmq('a')]);
  const one = (await until(admin.group('g', 'a', 0))) as { totalLagCount: number };
  assert.equal(one.totalLagCount, 2);
  const all = (await until(admin.group('g', '', 5))) as {
    totalLagCount: number;
    lagCountTopK: { liteTopic: string }[];
  };
  assert.equal(all.totalLagCount, 2);
  assert.deepEqual(
    all.lagCountTopK.map(({ liteTopic }) => liteTopic),
    ['a'],
  );
  assert.equal(admin.trigger('g', ''), undefined);
  assert.equal(admin.trigger('unbound', '')?.code, ResponseCode.INVALID_PARAMETER);
  await machine.stop();
});

test('lite subscriptions: what did not fit the events of a client that is gone comes to others', async () => {
  for (const isSilent of [false, true]) {
    const machine = await LiteMachine.start({}, { 'lite.sub.client.max.event.cnt': '1' });
    machine.subscribe('c1', ['a', 'b', 'c']);
    machine.subscribe('c2', ['a', 'b', 'c']);
    await machine.bodies('c1');
    await machine.bodies('c2');
    for (const lite of ['a', 'b', 'c']) await machine.send(lite, lite);
    const got = await machine.bodies('c1', { maxMessages: 1 });
    if (!isSilent) machine.subscribe('c2', [], { action: 'COMPLETE_REMOVE' });
    for (let second = 0; second < 30; second++) {
      await machine.advance(SECOND);
      for (const popped of await machine.pop('c1', { maxMessages: 1 })) {
        got.push(popped.body);
        await machine.ack(popped);
      }
    }
    assert.deepEqual([...new Set(got)].sort(), ['a', 'b', 'c'], isSilent ? 'c2 is silent' : 'c2 is gone');
    await machine.stop();
  }
});

test('lite subscriptions: lite topics that always have messages keep nobody from the others', async () => {
  const machine = await LiteMachine.start({}, { 'lite.sub.client.max.event.cnt': '1' });
  machine.subscribe('c1', ['a', 'b', 'c']);
  for (const lite of ['a', 'b', 'c']) await machine.send(lite, ...Array.from({ length: 8 }, (_, i) => `${lite}${i}`));
  const got: string[] = [];
  for (let i = 0; i < 6; i++) {
    const popped = await machine.pop('c1', { maxMessages: 1 });
    got.push(...popped.map(({ lite }) => lite));
    await machine.ack(...popped);
  }
  assert.deepEqual([...new Set(got)].sort(), ['a', 'b', 'c']);
  await machine.stop();
});
