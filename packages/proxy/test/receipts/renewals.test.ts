import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, type Message } from '../../src/wire/messages.ts';
import { MINUTE, ProxyMachine, SECOND } from '../proxy-machine.ts';

async function renewed(limits = {}): Promise<{ machine: ProxyMachine; message: Message }> {
  const machine = await ProxyMachine.start({}, limits);
  machine.topic('T', undefined, 1);
  machine.consumer('g', 'T');
  await machine.sent('T', 'long');
  const { messages } = await machine.receive('g', 'T', { autoRenew: true });
  return { machine, message: messages[0]! };
}

const nothing = async (machine: ProxyMachine): Promise<void> => {
  machine.consumer('g', 'T', { clientId: 'other' });
  const { bodies } = await machine.receive('g', 'T', {}, machine.call({ clientId: 'other' }));
  assert.deepEqual(bodies, []);
};

test('renewal: a message comes to nobody else while its consumer works, and its first receipt acknowledges it', async () => {
  const { machine, message } = await renewed();
  assert.equal(message.systemProperties?.receiptHandle?.split(' ')[2], String(MINUTE), 'the first slice');
  await machine.alive(45 * MINUTE);
  await nothing(machine);
  assert.equal(machine.proxy.renewals.count, 1);
  assert.deepEqual(await machine.ack('g', 'T', message), [Code.OK, Code.OK]);
  assert.equal(machine.proxy.renewals.count, 0);
  await machine.advance(3 * 60 * MINUTE);
  machine.consumer('g', 'T');
  assert.deepEqual((await machine.receive('g', 'T')).bodies, [], 'it is done with');
});

test('renewal: the time grows, 1, 3, 5, 10, 30, 60 minutes', async () => {
  const { machine } = await renewed();
  const changes: number[] = [];
  const { changes: service } = machine.broker.pop;
  const real = service.change.bind(service);
  service.change = (delivered, invisibleMs) => {
    changes.push(invisibleMs / MINUTE);
    return real(delivered, invisibleMs);
  };
  await machine.alive(110 * MINUTE);
  assert.deepEqual(changes, [1, 3, 5, 10, 30, 60, 60]);
});

test('renewal: after three hours it ends, and the message comes again when its group’s back-off is over', async () => {
  const { machine } = await renewed();
  await machine.alive(4 * 60 * MINUTE);
  assert.equal(machine.proxy.renewals.count, 0);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['long']);
});

test('renewal: a client that goes gives its messages back within seconds', async () => {
  const { machine } = await renewed();
  machine.proxy.clients.terminate(machine.call());
  await machine.advance(10 * SECOND);
  machine.consumer('g', 'T');
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['long']);
});

test('renewal: a client that falls silent loses its messages to others', async () => {
  const { machine } = await renewed();
  await machine.advance(5 * MINUTE);
  machine.consumer('g', 'T');
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['long']);
});

test('renewal: a change of the time by the consumer ends it', async () => {
  const { machine, message } = await renewed();
  await machine.alive(2 * MINUTE);
  assert.equal((await machine.change('g', 'T', message, 20 * SECOND)).code, Code.OK);
  assert.equal(machine.proxy.renewals.count, 0);
  await machine.advance(25 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['long']);
});

test('renewal: a receipt of another delivery is not taken for the one that is renewed', async () => {
  const { machine, message } = await renewed();
  await machine.alive(2 * MINUTE);
  const fields = message.systemProperties!.receiptHandle!.split(' ');
  const older = fields.with(1, String(Number(fields[1]) - 1)).join(' ');
  assert.equal((await machine.ack('g', 'T', older))[1], Code.INVALID_RECEIPT_HANDLE);
  assert.equal(machine.proxy.renewals.count, 1, 'and nothing has ended');
  await nothing(machine);
});

test('renewal: an ack waits for a change that is under way', async () => {
  const { machine, message } = await renewed();
  const { changes: service } = machine.broker.pop;
  const real = service.change.bind(service);
  let go = (): void => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  let begun = false;
  service.change = async (delivered, invisibleMs) => {
    begun = true;
    await held;
    return real(delivered, invisibleMs);
  };
  await machine.alive(50 * SECOND);
  await machine.advance(4 * SECOND);
  assert.ok(begun);
  const acked = machine.ack('g', 'T', message);
  go();
  assert.deepEqual(await acked, [Code.OK, Code.OK]);
  service.change = real;
  await machine.advance(10 * MINUTE);
  machine.consumer('g', 'T');
  assert.deepEqual((await machine.receive('g', 'T')).bodies, []);
});

test('renewal: what has no room comes again after its first time; three failures end one', async () => {
  const { machine, message } = await renewed({ receiptBytesMax: 1 });
  assert.equal(machine.proxy.renewals.count, 0);
  await machine.alive(70 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['long']);
  assert.equal((await machine.ack('g', 'T', message))[1], Code.INVALID_RECEIPT_HANDLE);

  const failing = await renewed();
  const { changes } = failing.machine.broker.pop;
  let failures = 0;
  changes.change = async () => {
    failures++;
    throw new Error('no');
  };
  await failing.machine.alive(3 * MINUTE);
  assert.ok(failures >= 2 && failures <= 3, `${failures} tries`);
  assert.equal(failing.machine.proxy.renewals.count, 0);
});

test('renewal: an ack of a consumer that has gone is not answered as done when its message comes again', async () => {
  const { machine, message } = await renewed();
  await machine.advance(20 * SECOND);
  machine.proxy.clients.terminate(machine.call());
  await machine.advance(10 * SECOND);
  assert.deepEqual(await machine.ack('g', 'T', message), [Code.INVALID_RECEIPT_HANDLE, Code.INVALID_RECEIPT_HANDLE]);
  machine.consumer('g', 'T');
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['long']);
  await machine.alive(60 * SECOND);
  assert.equal(machine.proxy.renewals.count, 0);
});
