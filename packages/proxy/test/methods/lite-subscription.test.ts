import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncLiteSubscription } from '../../src/methods/lite-subscription.ts';
import { ClientType, Code, LiteSubscriptionAction, MessageType } from '../../src/wire/messages.ts';
import { timeOf } from '../../src/wire/times.ts';
import { ProxyMachine, SECOND } from '../proxy-machine.ts';

const { PARTIAL_ADD, PARTIAL_REMOVE } = LiteSubscriptionAction;
const type = ClientType.LITE_SIMPLE_CONSUMER;

async function started(): Promise<ProxyMachine> {
  const machine = await ProxyMachine.start({}, {}, { enableLmq: true, enableMultiDispatch: true });
  machine.topic('L', 'LITE', 1);
  machine.group('g', { attributes: { 'lite.bind.topic': 'L', 'lite.sub.client.quota': '2' } });
  machine.consumer('g', 'L', { type });
  return machine;
}

const sync = (machine: ProxyMachine, liteTopics: string[], action = PARTIAL_ADD, more = {}, options = {}) =>
  syncLiteSubscription(
    machine.proxy,
    { topic: { name: 'L' }, group: { name: 'g' }, liteTopicSet: liteTopics, action, ...more },
    machine.call(options),
  ).status?.code;

const send = (machine: ProxyMachine, liteTopic: string, body: string) =>
  machine.sent('L', body, { liteTopic, messageType: MessageType.LITE });

test('lite: a client gets what is in its lite topics, in order, and goes on when it has acknowledged', async () => {
  const machine = await started();
  const settings = machine.consumer('g', 'L', { type }).commands[0]!.settings!;
  assert.deepEqual([settings.subscription?.liteSubscriptionQuota, settings.subscription?.maxLiteTopicSize], [2, 64]);
  assert.equal(sync(machine, ['a', 'b']), Code.OK);
  for (const [lite, body] of [
    ['a', 'a1'],
    ['a', 'a2'],
    ['b', 'b1'],
    ['c', 'c1'],
  ] as const) {
    await send(machine, lite, body);
  }
  const { code, messages, bodies } = await machine.receive('g', 'L');
  assert.equal(code, Code.OK);
  assert.deepEqual(bodies.sort(), ['a1', 'a2', 'b1'], 'nothing of c');
  const ofA = messages.filter(({ systemProperties }) => systemProperties?.liteTopic === 'a');
  assert.equal(ofA.length, 2);
  await send(machine, 'a', 'a3');
  assert.deepEqual((await machine.receive('g', 'L')).bodies, [], 'a waits for its acknowledgements');
  assert.deepEqual(await machine.ack('g', 'L', ...ofA), [Code.OK, Code.OK, Code.OK]);
  assert.deepEqual((await machine.receive('g', 'L')).bodies, ['a3']);
});

test('lite: what was not acknowledged comes again with its count, also when its time was changed', async () => {
  const machine = await started();
  sync(machine, ['a']);
  await send(machine, 'a', 'a1');
  const first = await machine.receive('g', 'L');
  assert.equal((await machine.change('g', 'L', first.messages[0]!, 12 * SECOND)).code, Code.OK);
  const changedAt = machine.now;
  const again = await machine.receive('g', 'L', { longPollingTimeout: timeOf(20 * SECOND) });
  const ms = machine.now - changedAt;
  assert.deepEqual([again.bodies, again.messages[0]?.systemProperties?.deliveryAttempt], [['a1'], 2]);
  assert.ok(ms >= 12 * SECOND && ms <= 14 * SECOND, `${ms} ms`);
});

test('lite: quotas, names and strangers are refused, and what is not wanted any more does not come', async () => {
  const machine = await started();
  assert.equal(sync(machine, ['a', 'b', 'c']), Code.LITE_SUBSCRIPTION_QUOTA_EXCEEDED);
  assert.notEqual(sync(machine, ['a$b']), Code.OK);
  assert.equal(sync(machine, ['a', 'b']), Code.OK);
  assert.equal(sync(machine, ['a'], PARTIAL_REMOVE), Code.OK);
  const stranger = () => sync(machine, ['a'], PARTIAL_ADD, {}, { clientId: 'stranger' });
  assert.equal((await machine.refusal(stranger)).code, Code.UNRECOGNIZED_CLIENT_TYPE);
  const unknown = () => sync(machine, ['a'], 9 as LiteSubscriptionAction);
  assert.equal((await machine.refusal(unknown)).code, Code.BAD_REQUEST);
  await send(machine, 'a', 'a1');
  await send(machine, 'b', 'b1');
  assert.deepEqual((await machine.receive('g', 'L')).bodies, ['b1']);
});

test('lite: without light queues it says so', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('L', 'LITE', 1);
  machine.group('g', { attributes: { 'lite.bind.topic': 'L' } });
  machine.consumer('g', 'L', { type });
  assert.equal(sync(machine, ['a']), Code.INTERNAL_SERVER_ERROR);
});

test('lite: a message that was suspended comes again without that counting as a try', async () => {
  const machine = await started();
  sync(machine, ['a']);
  await send(machine, 'a', 'a1');
  const [first] = (await machine.receive('g', 'L')).messages;
  assert.equal((await machine.change('g', 'L', first!, 5 * SECOND, { suspend: true })).code, Code.OK);
  const again = async () => (await machine.receive('g', 'L', { longPollingTimeout: timeOf(20 * SECOND) })).messages[0]!;
  const second = await again();
  assert.equal(second.systemProperties?.deliveryAttempt, 1);
  assert.equal((await machine.change('g', 'L', second, 5 * SECOND)).code, Code.OK);
  assert.equal((await again()).systemProperties?.deliveryAttempt, 2, 'another time it counts');
});
