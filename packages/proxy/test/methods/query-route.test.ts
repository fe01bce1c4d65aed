import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queryAssignment, queryRoute } from '../../src/methods/query-route.ts';
import { AddressScheme, Code, MessageType, Permission } from '../../src/wire/messages.ts';
import { ProxyMachine } from '../proxy-machine.ts';

const endpoints = { scheme: AddressScheme.DOMAIN_NAME, addresses: [{ host: 'mq.example', port: 1234 }] };
const route = (machine: ProxyMachine, name: string, more = {}, options = {}) =>
  queryRoute(machine.proxy, { topic: { name }, ...more }, machine.call(options));

test('route: the queues, each at the address that the client dialled', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 2);
  const { status, messageQueues } = route(machine, 'T', { endpoints });
  assert.equal(status?.code, Code.OK);
  assert.deepEqual(
    messageQueues!.map(({ id, permission, acceptMessageTypes }) => [id, permission, acceptMessageTypes]),
    [
      [0, Permission.READ_WRITE, [MessageType.NORMAL]],
      [1, Permission.READ_WRITE, [MessageType.NORMAL]],
    ],
  );
  for (const { broker } of messageQueues!) assert.deepEqual(broker?.endpoints, endpoints);
});

test('route: without endpoints they are the :authority of the call, without that the proxy’s own', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  for (const [authority, scheme, host, port] of [
    ['10.1.2.3:99', AddressScheme.IPv4, '10.1.2.3', 99],
    ['[::1]:99', AddressScheme.IPv6, '::1', 99],
    ['mq.example:443', AddressScheme.DOMAIN_NAME, 'mq.example', 443],
    ['', AddressScheme.IPv4, '127.0.0.1', 8081],
    ['no port', AddressScheme.IPv4, '127.0.0.1', 8081],
  ] as const) {
    const { messageQueues } = route(machine, 'T', {}, { authority });
    assert.deepEqual(messageQueues![0]!.broker?.endpoints, { scheme, addresses: [{ host, port }] }, authority);
  }
});

test('route: types and permissions are those of the topic, never a type that says nothing', async () => {
  const machine = await ProxyMachine.start();
  const types = (name: string): MessageType[] => route(machine, name).messageQueues![0]!.acceptMessageTypes!;
  machine.topic('F', 'FIFO');
  machine.topic('U', 'UNSPECIFIED');
  machine.topic('X', 'MIXED');
  assert.deepEqual(types('F'), [MessageType.FIFO]);
  assert.deepEqual(types('U'), [MessageType.NORMAL]);
  assert.equal(types('X').length, 4);
  machine.topic('T', undefined, 1);
  const topic = machine.broker.topics.select('T')!;
  const permissions = (perm: number, readQueueNums: number, writeQueueNums: number): (Permission | undefined)[] => {
    machine.broker.topics.update({ ...topic, perm, readQueueNums, writeQueueNums });
    return route(machine, 'T').messageQueues!.map(({ permission }) => permission);
  };
  const { READ, WRITE, READ_WRITE, NONE } = Permission;
  assert.deepEqual(permissions(6, 3, 1), [READ_WRITE, READ, READ]);
  assert.deepEqual(permissions(6, 1, 2), [READ_WRITE, WRITE]);
  assert.deepEqual(permissions(4, 2, 5), [READ, READ]);
  assert.deepEqual(permissions(2, 5, 1), [WRITE]);
  assert.deepEqual(permissions(0, 2, 2), [NONE, NONE]);
});

test('route: a topic that is not there is what it would become, where sending makes topics, and else not found', async () => {
  const machine = await ProxyMachine.start();
  assert.equal(route(machine, 'New').messageQueues?.length, 4);
  assert.equal(machine.broker.topics.select('New'), undefined, 'asking makes none');
  const strict = await ProxyMachine.start({ autoCreateTopicEnable: false });
  assert.equal((await strict.refusal(() => route(strict, 'New'))).code, Code.TOPIC_NOT_FOUND);
  assert.equal((await strict.refusal(() => route(strict, 'rmq_sys_x'))).code, Code.ILLEGAL_TOPIC);
});

test('assignment: one queue that stands for all, each queue of a group in order, none that cannot be read', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 3);
  const request = { topic: { name: 'T' }, group: { name: 'g' }, endpoints };
  const ids = () =>
    queryAssignment(machine.proxy, request, machine.call()).assignments!.map(({ messageQueue }) => messageQueue?.id);
  assert.deepEqual(ids(), [-1]);
  machine.group('g', { consumeMessageOrderly: true });
  assert.deepEqual(ids(), [0, 1, 2]);
  machine.broker.topics.update({ ...machine.broker.topics.select('T')!, perm: 2 });
  assert.equal((await machine.refusal(ids)).code, Code.FORBIDDEN);
});

test('route: of a static topic the queues are its logical ones', async () => {
  const machine = await ProxyMachine.start();
  machine.staticTopic('S', { 7: 100, 5: 0 });
  assert.deepEqual(
    route(machine, 'S').messageQueues!.map(({ id, permission }) => [id, permission]),
    [
      [5, Permission.READ_WRITE],
      [7, Permission.READ_WRITE],
    ],
  );
  const assigned = () => {
    const request = { topic: { name: 'S' }, group: { name: 'g' } };
    return queryAssignment(machine.proxy, request, machine.call()).assignments!.map(
      ({ messageQueue }) => messageQueue?.id,
    );
  };
  assert.deepEqual(assigned(), [-1]);
  machine.group('g', { consumeMessageOrderly: true });
  assert.deepEqual(assigned(), [5, 7]);
});
