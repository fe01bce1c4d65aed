import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, type Message } from '../src/wire/messages.ts';
import { MINUTE, ProxyMachine, SECOND } from './proxy-machine.ts';

/** A consumer that has worked on a message for so long. */
async function atWork(ms: number, more: object = {}): Promise<{ machine: ProxyMachine; message: Message }> {
  const machine = await ProxyMachine.start({}, more);
  machine.topic('T', undefined, 1);
  machine.consumer('g', 'T');
  await machine.sent('T', 'long');
  const { messages } = await machine.receive('g', 'T', { autoRenew: true });
  await machine.alive(ms);
  return { machine, message: messages[0]! };
}

/** What others get of the group. */
async function othersGet(machine: ProxyMachine): Promise<string[]> {
  machine.consumer('g', 'T', { clientId: 'other' });
  const { bodies } = await machine.receive('g', 'T', {}, machine.call({ clientId: 'other' }));
  return bodies;
}

const ends = {
  'a restart': (machine: ProxyMachine) => machine.restart(),
  'a kill': (machine: ProxyMachine) => machine.kill(),
  'a power cut': (machine: ProxyMachine) => machine.cutPower(),
};

for (const [name, end] of Object.entries(ends)) {
  test(`state: a client goes on after ${name} without settings, and is asked for none`, async () => {
    const machine = await ProxyMachine.start();
    machine.topic('T', undefined, 1);
    machine.consumer('g', 'T');
    machine.producer(['T'], { clientId: 'sender' });
    await machine.advance(3 * SECOND);
    await end(machine);
    assert.equal(machine.proxy.clients.count, 0, 'nobody is there who has not called');
    assert.equal(machine.broker.consumers.group('g'), undefined);
    await machine.sent('T', 'x');
    assert.deepEqual((await machine.receive('g', 'T')).bodies, ['x']);
    machine.proxy.clients.heartbeat(machine.call({ clientId: 'sender' }));
    assert.equal(machine.proxy.clients.count, 2);
    assert.ok(machine.broker.consumers.group('g')?.subscriptionTable.has('T'), 'with what it subscribes to');
    const stranger = machine.call({ clientId: 'stranger' });
    const { code } = await machine.refusal(() => machine.proxy.clients.heartbeat(stranger));
    assert.equal(code, Code.UNRECOGNIZED_CLIENT_TYPE);
  });

  test(`state: after ${name} a client is the user that it was, and nobody else`, async () => {
    const machine = await ProxyMachine.start();
    machine.topic('T', undefined, 1);
    machine.consumer('g', 'T', { user: 'alice' });
    await machine.advance(3 * SECOND);
    await end(machine);
    const { clients } = machine.proxy;
    const mallory = machine.call({ user: 'mallory' });
    assert.equal((await machine.refusal(() => clients.heartbeat(mallory))).code, Code.UNAUTHORIZED);
    const settings = await machine.refusal(() => machine.consumer('other', 'T', { user: 'mallory' }));
    assert.equal(settings.code, Code.UNAUTHORIZED);
    assert.equal(clients.count, 0);
    clients.heartbeat(machine.call({ user: 'alice' }));
    assert.ok(clients.isMember('client', 'g'));
  });

  test(`state: a message in work stays hidden after ${name}, and its first receipt acknowledges it`, async () => {
    const { machine, message } = await atWork(3 * MINUTE);
    await end(machine);
    assert.equal(machine.proxy.renewals.count, 1);
    await machine.alive(20 * MINUTE);
    assert.deepEqual(await othersGet(machine), []);
    assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK]);
    await machine.advance(3 * 60 * MINUTE);
    assert.deepEqual(await othersGet(machine), [], 'it is done with');
  });
}

test('state: a message that is new to its consumer is kept by a restart that has the time', async () => {
  const { machine, message } = await atWork(0);
  await machine.restart();
  assert.equal(machine.proxy.renewals.count, 1);
  await machine.alive(5 * MINUTE);
  assert.deepEqual(await othersGet(machine), []);
  assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK]);
});

test('state: what a kill loses comes again at the end of its time, and its old receipt is refused then', async () => {
  const { machine, message } = await atWork(0);
  await machine.kill();
  assert.equal(machine.proxy.renewals.count, 0);
  machine.consumer('g', 'T');
  await machine.alive(70 * SECOND);
  assert.deepEqual(await othersGet(machine), ['long']);
  assert.equal((await machine.ack('g', 'T', message))[1], Code.INVALID_RECEIPT_HANDLE);
});

test('state: a message that was acknowledged before a kill is not renewed after it, and does not come again', async () => {
  const { machine, message } = await atWork(3 * MINUTE);
  // The file still names it.
  assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK]);
  await machine.kill();
  assert.equal(machine.proxy.renewals.count, 1, 'the file does not know of the ack');
  await machine.alive(30 * MINUTE);
  assert.equal(machine.proxy.renewals.count, 0);
  assert.deepEqual(await othersGet(machine), []);
});

test('state: a client that does not come back gives its messages to others, acknowledged ones not', async () => {
  const { machine, message } = await atWork(3 * MINUTE);
  await machine.sent('T', 'second');
  const { messages } = await machine.receive('g', 'T', { autoRenew: true });
  await machine.alive(2 * MINUTE);
  assert.equal(messages.length, 1);
  assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK]);
  await machine.kill();
  await machine.advance(machine.broker.config.channelExpiredTimeout + 15 * SECOND);
  assert.deepEqual(await othersGet(machine), ['second']);
  assert.equal(machine.proxy.renewals.count, 0);
});

test('state: a receipt that was renewed after the last save is refused, rather than answered for nothing', async () => {
  const { machine, message } = await atWork(MINUTE);
  const content = (): string => machine.pop.broker.file('grpcReceipts.json')!;
  const before = content();
  for (;;) {
    await machine.alive(SECOND);
    if (content() !== before) break;
  }
  await machine.replaceFile('grpcReceipts.json', before);
  await machine.kill();
  assert.equal(machine.proxy.renewals.count, 1, 'its time is not over');
  assert.equal((await machine.ack('g', 'T', message))[1], Code.INVALID_RECEIPT_HANDLE);
  await machine.alive(15 * MINUTE);
  assert.deepEqual(await othersGet(machine), ['long'], 'it comes again');
});

test('state: files that are damaged, of another broker or full of nonsense are left out', async () => {
  const nonsense = [
    ...['{', '[]', '{"clients":{}}', '{"clients":[7]}', '{"clients":[{"clientId":"c","settings":"/////w=="}]}'],
    '{"brokerName":"broker-a","deliveries":[{"first":[1,2]}]}',
    '{"brokerName":"another","deliveries":[{"clientId":"client"}]}',
    '{"brokerName":"broker-a","deliveries":[{"newest":[1e300,"x"]}]}',
  ];
  for (const text of nonsense) {
    const { machine, message } = await atWork(20 * SECOND);
    for (const name of ['grpcClients.json', 'grpcReceipts.json']) await machine.replaceFile(name, text);
    await machine.kill();
    assert.deepEqual([machine.proxy.clients.count, machine.proxy.renewals.count], [0, 0], text);
    machine.consumer('g', 'T');
    assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK], text);
  }
});

test('state: the files have a budget, and what has no place is as after a kill', async () => {
  const { machine } = await atWork(20 * SECOND, { stateBytesMax: 30 });
  await machine.advance(2 * SECOND);
  for (const name of ['grpcClients.json', 'grpcReceipts.json']) {
    assert.ok(machine.pop.broker.file(name)!.length < 200, name);
  }
  await machine.kill();
  assert.equal(machine.proxy.renewals.count, 0);
  const { code } = await machine.refusal(() => machine.proxy.clients.heartbeat(machine.call()));
  assert.equal(code, Code.UNRECOGNIZED_CLIENT_TYPE);
});

test('state: a disk that takes no writes stops nothing', async () => {
  const { machine, message } = await atWork(20 * SECOND);
  const { fileSystem } = machine.pop.broker.machine;
  fileSystem.inject({ operation: 'write', path: /grpc/, code: 'ENOSPC', times: Number.POSITIVE_INFINITY });
  machine.consumer('g', 'T', { clientId: 'late' });
  await machine.alive(5 * MINUTE);
  assert.equal(machine.proxy.renewals.count, 1);
  assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK]);
});
