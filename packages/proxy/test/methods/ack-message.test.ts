import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, type Message, MessageType } from '../../src/wire/messages.ts';
import { handleOf, MINUTE, ProxyMachine, SECOND } from '../proxy-machine.ts';

async function withMessages(...bodies: string[]): Promise<{ machine: ProxyMachine; messages: Message[] }> {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  machine.consumer('g', 'T');
  for (const body of bodies) await machine.sent('T', body);
  const { messages } = await machine.receive('g', 'T');
  assert.equal(messages.length, bodies.length);
  return { machine, messages };
}

test('ack: what is acknowledged does not come again, the rest does, over a kill too', async () => {
  const { machine, messages } = await withMessages('a', 'b', 'c');
  assert.deepEqual(await machine.ack('g', 'T', messages[0]!, messages[2]!), [Code.OK, Code.OK, Code.OK]);
  await machine.kill();
  machine.consumer('g', 'T');
  await machine.advance(35 * SECOND);
  const again = await machine.receive('g', 'T');
  assert.deepEqual(again.bodies, ['b']);
  assert.equal(again.messages[0]!.systemProperties?.deliveryAttempt, 2);
  assert.deepEqual(await machine.ack('g', 'T', again.messages[0]!), [Code.OK, Code.OK], 'from the retry topic');
  await machine.advance(MINUTE);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, []);
});

test('ack: twice within its time is fine, after it the receipt is expired', async () => {
  const { machine, messages } = await withMessages('a');
  assert.deepEqual(await machine.ack('g', 'T', messages[0]!), [Code.OK, Code.OK]);
  assert.deepEqual(await machine.ack('g', 'T', messages[0]!), [Code.OK, Code.OK]);
  await machine.advance(30 * SECOND);
  const expired = Code.INVALID_RECEIPT_HANDLE;
  assert.deepEqual(await machine.ack('g', 'T', messages[0]!), [expired, expired]);
});

test('ack: a receipt of before a kill is good until its time is over', async () => {
  const { machine, messages } = await withMessages('a', 'b');
  await machine.kill();
  assert.deepEqual(await machine.ack('g', 'T', messages[0]!), [Code.OK, Code.OK]);
  machine.consumer('g', 'T');
  await machine.advance(35 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['b']);
});

test('ack: receipts that are none have a code of their own, and the others of the request count', async () => {
  const { machine, messages } = await withMessages('a');
  const good = handleOf(messages[0]!);
  const fields = good.split(' ');
  const changed = (index: number, value: string): string => fields.with(index, value).join(' ');
  const bad = [
    ...['', 'nonsense', fields.slice(0, 7).join(' '), changed(0, '-1'), changed(1, 'x'), changed(3, '99999999999')],
    ...[changed(4, '7'), changed(5, 'broker-z'), changed(6, '-1'), changed(7, '1e3'), changed(8, 'x')],
    'x'.repeat(2_000),
  ];
  const codes = await machine.ack('g', 'T', ...bad, good);
  assert.equal(codes[0], Code.MULTIPLE_RESULTS);
  for (const [index, text] of bad.entries()) {
    assert.equal(codes[index + 1], Code.INVALID_RECEIPT_HANDLE, JSON.stringify(text.slice(0, 60)));
  }
  assert.equal(codes.at(-1), Code.OK);
  await machine.advance(MINUTE);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, []);
  assert.deepEqual(await machine.ack('g', 'T'), [Code.INTERNAL_SERVER_ERROR], 'an empty request');
});

test('ack: places that the broker does not have are refused, and acknowledge nothing', async () => {
  const { machine, messages } = await withMessages('a');
  const fields = handleOf(messages[0]!).split(' ');
  const changed = (index: number, value: string): string => fields.with(index, value).join(' ');
  for (const text of [changed(6, '5'), changed(7, '999999'), changed(3, '500')]) {
    assert.equal((await machine.ack('g', 'T', text))[1], Code.INTERNAL_SERVER_ERROR, text);
  }
  assert.equal((await machine.ack('g', 'T', changed(4, '1')))[1], Code.TOPIC_NOT_FOUND, 'no retries yet');
  await machine.advance(35 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['a']);
});

test('change: the message comes again after the new time, and the new receipt acknowledges it', async () => {
  const { machine, messages } = await withMessages('a', 'b');
  const changed = await machine.change('g', 'T', messages[0]!, 2 * MINUTE);
  assert.equal(changed.code, Code.OK);
  assert.match(changed.handle, / \d+$/);
  assert.equal(changed.handle.split(' ').length, 9, 'with its place in the log');
  await machine.alive(35 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['b']);
  assert.equal((await machine.ack('g', 'T', changed.handle))[1], Code.OK);
  await machine.alive(3 * MINUTE);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['b'], 'a does not come again');
});

test('change: to nothing is at once, beyond its limits is refused, after its time is over is too late', async () => {
  const { machine, messages } = await withMessages('a', 'b');
  assert.equal((await machine.change('g', 'T', messages[0]!, 0)).code, Code.OK);
  await machine.advance(3 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['a']);
  const late = (ms: number) => machine.refusal(() => machine.change('g', 'T', messages[1]!, ms));
  assert.equal((await late(12 * 60 * MINUTE + 1)).code, Code.ILLEGAL_INVISIBLE_TIME);
  assert.equal((await late(-1)).code, Code.ILLEGAL_INVISIBLE_TIME);
  await machine.advance(31 * SECOND);
  assert.equal((await late(MINUTE)).code, Code.INVALID_RECEIPT_HANDLE);
});

test('change: what is suspended comes again without that counting as a try, in order or not', async () => {
  const { machine, messages } = await withMessages('a', 'b');
  assert.equal((await machine.change('g', 'T', messages[0]!, 5 * SECOND, { suspend: true })).code, Code.OK);
  assert.equal((await machine.change('g', 'T', messages[1]!, 5 * SECOND)).code, Code.OK);
  await machine.alive(10 * SECOND);
  const again = await machine.receive('g', 'T');
  const attempts = again.messages.map(({ body, systemProperties }) => {
    return [Buffer.from(body!).toString(), systemProperties!.deliveryAttempt];
  });
  assert.deepEqual(attempts.sort(), [
    ['a', 1],
    ['b', 2],
  ]);
  machine.topic('F', 'FIFO', 1);
  machine.group('f', { consumeMessageOrderly: true });
  machine.consumer('f', 'F', { clientId: 'orderly' });
  const call = () => machine.call({ clientId: 'orderly' });
  await machine.sent('F', 'x', { messageGroup: 'm', messageType: MessageType.FIFO });
  const [first] = (await machine.receive('f', 'F', {}, call())).messages;
  assert.equal((await machine.change('f', 'F', first!, 5 * SECOND, { suspend: true })).code, Code.OK);
  await machine.advance(6 * SECOND);
  const [second] = (await machine.receive('f', 'F', {}, call())).messages;
  assert.equal(second!.systemProperties?.deliveryAttempt, 1);
  await machine.advance(31 * SECOND);
  const [third] = (await machine.receive('f', 'F', {}, call())).messages;
  assert.equal(third!.systemProperties?.deliveryAttempt, 2);
});
