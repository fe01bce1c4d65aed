import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tagSubscription } from '@vernier/remoting';
import { FakeClient } from '../../broker/test/fake-client.ts';
import { MachineBroker } from '../../broker/test/machine-broker.ts';
import { PopMachine } from '../../broker/test/pop/pop-machine.ts';
import { Observation } from '../src/observation.ts';
import { lagSource } from '../src/sources/lag.ts';

type Context = MachineBroker['context'];

function join(context: Context, group: string, topics: readonly string[], consumeType = 'CONSUME_PASSIVELY'): void {
  context.groups.find(group);
  context.consumers.register(
    group,
    { client: new FakeClient(`${group}-client`), lastUpdateTimestamp: 0, lastSeen: 0 },
    {
      ...{ consumeType: consumeType as 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING' },
      ...{ consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET' },
      subscriptions: topics.map((topic) => tagSubscription(topic, '*', 1)),
    },
  );
}

/** What an export says of lags: `group topic retry metric` → value. Between its slices the event loop goes on. */
async function observe(source: ReturnType<typeof lagSource>, machine: MachineBroker['machine']) {
  const into = new Observation(10_000);
  let isDone = false;
  const observed = Promise.resolve(source.observe(into)).finally(() => {
    isDone = true;
  });
  while (!isDone) {
    await machine.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await observed;
  const values: Record<string, number> = {};
  for (const { name, points } of into.metrics()) {
    for (const { labels, value } of points) {
      const of = name.replace('rocketmq_consumer_', '');
      const who = labels.consumer_group === undefined ? '' : `${labels.consumer_group} ${labels.topic} `;
      values[`${who}${labels.is_retry === 'true' ? 'retry ' : ''}${of}`] = value as number;
    }
  }
  return values;
}

test('lag: what a group has not consumed, has in flight, and has not got; and since when', async () => {
  const broker = await MachineBroker.start();
  const { context, machine } = broker;
  const source = lagSource(context);
  const look = () => observe(source, machine);
  for (let i = 0; i < 5; i++) {
    await broker.send('T', `m${i}`);
    await machine.advance(1_000);
  }
  join(context, 'g', ['T', '%RETRY%g', 'nowhere']);
  context.offsets.commit('g', 'T', 0, 1);
  context.offsets.commitPull('g', 'T', 0, 3);
  const values = await look();
  assert.deepEqual(
    [values['g T lag_messages'], values['g T inflight_messages'], values['g T ready_messages']],
    [4, 2, 2],
  );
  assert.ok(values['g T lag_latency']! >= 4_000, `m1 came 4 s ago: ${values['g T lag_latency']}`);
  assert.ok(values['g T lag_latency']! < 5_000);
  assert.ok(values['g T queueing_latency']! >= 2_000 && values['g T queueing_latency']! < 3_000);
  assert.ok(!Object.keys(values).some((key) => key.includes('nowhere') || key.includes('%RETRY%')));
  context.offsets.commit('g', 'T', 0, 5);
  context.offsets.commitPull('g', 'T', 0, 5);
  const after = await look();
  assert.deepEqual([after['g T lag_messages'], after['g T lag_latency'], after['g T queueing_latency']], [0, 0, 0]);
  await broker.stop();
});

test('lag: a group without an offset begins at the end, and one that is not online has none', async () => {
  const broker = await MachineBroker.start();
  await broker.send('T', 'a');
  join(broker.context, 'g', ['T']);
  const values = await observe(lagSource(broker.context), broker.machine);
  assert.deepEqual([values['g T lag_messages'], values['g T ready_messages']], [0, 0]);
  assert.ok(!Object.keys(values).some((key) => key.startsWith('other ')));
  await broker.stop();
});

test('lag: messages that were popped are in flight until they are acknowledged', async () => {
  const pop = await PopMachine.start();
  const look = () => observe(lagSource(pop.context), pop.broker.machine);
  await pop.send('T', 'a', 'b', 'c');
  join(pop.context, 'g', ['T'], 'CONSUME_POP');
  const [first, second] = await pop.pop({ maxMessages: 2 });
  await pop.advance(1_000);
  const values = await look();
  assert.deepEqual(
    [values['g T lag_messages'], values['g T inflight_messages'], values['g T ready_messages']],
    [3, 2, 1],
  );
  assert.equal(values['g T retry lag_messages'], 0);
  await pop.ack(first!);
  assert.equal((await look())['g T inflight_messages'], 1);
  await pop.ack(second!);
  const after = await look();
  assert.deepEqual([after['g T lag_messages'], after['g T inflight_messages']], [1, 0]);
});

test('lag: ages are looked up for so many groups an export, and every group has its turn', async () => {
  const broker = await MachineBroker.start();
  const { context, machine } = broker;
  await broker.send('T', 'a');
  await broker.send('T', 'b');
  const groups = Array.from({ length: 300 }, (_, index) => `g${index}`);
  for (const group of groups) {
    join(context, group, ['T']);
    // Both ages are asked for, and no two groups at one place would need a second look: the topic has one queue alone.
    context.offsets.commit(group, 'T', 0, 0);
    context.offsets.commitPull(group, 'T', 0, 1);
  }
  const { store } = context;
  let looks = 0;
  const { getMessageStoreTimeStamp } = store;
  store.getMessageStoreTimeStamp = (...args) => {
    looks++;
    return getMessageStoreTimeStamp.apply(store, args);
  };
  const source = lagSource(context);
  const values = await observe(source, machine);
  assert.equal(looks, 2, 'a message that many groups wait for is looked up once');
  assert.equal(Object.keys(values).filter((key) => key.endsWith(' lag_latency')).length, 300);
  assert.equal(values.vernier_lag_times_left_out, 0);
  await broker.stop();
});

test('lag: a bound of looks holds, and who was left out is the first the next time', async () => {
  const broker = await MachineBroker.start({ config: { defaultTopicQueueNums: 1 } });
  const { context, machine } = broker;
  const topics = Array.from({ length: 400 }, (_, index) => `T${index}`);
  for (const topic of topics) await broker.send(topic, 'a');
  join(context, 'g', topics);
  for (const topic of topics) context.offsets.commit('g', topic, 0, 0);
  let looks = 0;
  const { store } = context;
  const { getMessageStoreTimeStamp } = store;
  store.getMessageStoreTimeStamp = (...args) => {
    looks++;
    return getMessageStoreTimeStamp.apply(store, args);
  };
  const source = lagSource(context);
  const look = () => observe(source, machine);
  const withAge = (values: Record<string, number>) =>
    Object.keys(values).filter((key) => key.endsWith(' lag_latency')).length;
  const first = await look();
  assert.equal(looks, 256);
  assert.deepEqual([withAge(first), first.vernier_lag_times_left_out], [256, 144]);
  assert.equal(Object.keys(first).filter((key) => key.endsWith(' lag_messages')).length, 400, 'numbers are all there');
  const second = await look();
  assert.equal(looks, 400, 'what is known is not looked up again');
  assert.equal(withAge(second), 400);
  await broker.stop();
});
