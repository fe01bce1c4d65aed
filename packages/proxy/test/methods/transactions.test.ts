import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endTransaction } from '../../src/methods/transactions.ts';
import {
  Code,
  type EndTransactionRequest,
  type Message,
  MessageType,
  TransactionResolution,
  TransactionSource,
} from '../../src/wire/messages.ts';
import { timeOf } from '../../src/wire/times.ts';
import { MINUTE, ProxyMachine, SECOND } from '../proxy-machine.ts';

const { COMMIT, ROLLBACK, TRANSACTION_RESOLUTION_UNSPECIFIED: UNKNOWN } = TransactionResolution;
const half = { messageType: MessageType.TRANSACTION };

async function started(limits = {}): Promise<ProxyMachine> {
  const machine = await ProxyMachine.start({}, limits);
  machine.topic('T', 'TRANSACTION', 1);
  machine.broker.transactions.start();
  return machine;
}

async function end(machine: ProxyMachine, id: string, resolution: number, more: EndTransactionRequest = {}) {
  const request = { topic: { name: 'T' }, messageId: id, transactionId: id, resolution, ...more };
  const response = await machine.until(endTransaction(machine.proxy, request, machine.call()), 'end');
  return response.status?.code;
}

/** The transaction that a half began. */
async function begun(machine: ProxyMachine, body: string): Promise<string> {
  const { entries } = await machine.sent('T', body, half);
  return entries![0]!.transactionId!;
}

const bodies = async (machine: ProxyMachine): Promise<string[]> =>
  (await machine.stored('T')).map(({ body }) => body.toString());

test('transaction: a commit is delivered once, a rollback never, and each is answered with what became of it', async () => {
  const machine = await started();
  const [a, b] = [await begun(machine, 'a'), await begun(machine, 'b')];
  assert.equal(a, 'M0000', 'RocketMQ’s id of a transaction is that of its message');
  assert.deepEqual(await bodies(machine), []);
  assert.equal(await end(machine, a, COMMIT), Code.OK);
  assert.equal(await end(machine, b, ROLLBACK), Code.OK);
  assert.deepEqual(await bodies(machine), ['a']);
  assert.equal(await end(machine, a, COMMIT), Code.OK, 'the answer may have been lost');
  assert.notEqual(await end(machine, a, ROLLBACK), Code.OK, 'it was committed');
  assert.notEqual(await end(machine, b, COMMIT), Code.OK, 'it was rolled back');
  assert.deepEqual(await bodies(machine), ['a']);
});

test('transaction: ids that are none, of another topic or of no half are refused', async () => {
  const machine = await started();
  machine.topic('Other', 'TRANSACTION', 1);
  const id = await begun(machine, 'a');
  const refused = async (code: Code, transactionId: string, topic = 'T'): Promise<void> => {
    const found = await machine.refusal(() => end(machine, transactionId, COMMIT, { topic: { name: topic } }));
    assert.equal(found.code, code, transactionId);
  };
  await refused(Code.INVALID_TRANSACTION_ID, ' ');
  await refused(Code.INTERNAL_SERVER_ERROR, 'nobody’s');
  await refused(Code.INTERNAL_SERVER_ERROR, id, 'Other');
  await refused(Code.ILLEGAL_TOPIC, id, 'RMQ_SYS_TRANS_HALF_TOPIC');
  assert.deepEqual(await bodies(machine), []);
  assert.equal(await end(machine, id, COMMIT), Code.OK);
});

test('transaction: a producer that does not know is answered, and nothing ends', async () => {
  const machine = await started();
  const id = await begun(machine, 'a');
  assert.equal(await end(machine, id, UNKNOWN), Code.OK);
  assert.deepEqual(await bodies(machine), []);
  assert.equal(await end(machine, id, COMMIT), Code.OK);
  assert.deepEqual(await bodies(machine), ['a']);
});

test('transaction: a half whose place memory does not have is found, after a kill and when there is no room', async () => {
  const machine = await started();
  const id = await begun(machine, 'a');
  await machine.advance(SECOND);
  await machine.kill();
  machine.broker.transactions.start();
  assert.equal(machine.proxy.halves.count, 0);
  assert.equal(await end(machine, id, COMMIT), Code.OK);
  assert.deepEqual(await bodies(machine), ['a']);

  const small = await started({ receiptBytesMax: 600 });
  const ids: string[] = [];
  for (const body of ['x', 'y', 'z']) ids.push(await begun(small, body));
  assert.equal(small.proxy.halves.count, 1, 'the newest is kept');
  await small.advance(SECOND);
  for (const each of ids) assert.equal(await end(small, each, COMMIT), Code.OK);
  assert.deepEqual(await bodies(small), ['x', 'y', 'z']);
});

test('transaction: a producer is asked over its stream about what nobody ended, with the message', async () => {
  const machine = await started();
  const stream = machine.producer(['T']);
  const id = await begun(machine, 'orphan');
  stream.commands.length = 0;
  await machine.alive(MINUTE + 30 * SECOND);
  const commands = stream.commands.flatMap(({ recoverOrphanedTransactionCommand: command }) => command ?? []);
  assert.ok(commands.length >= 1, 'it was asked');
  const [{ transactionId, message }] = commands as [{ transactionId?: string; message: Message }];
  assert.equal(transactionId, id);
  assert.deepEqual(
    [message.topic?.name, Buffer.from(message.body!).toString(), message.systemProperties?.messageType],
    ['T', 'orphan', MessageType.TRANSACTION],
  );
  const source = TransactionSource.SOURCE_SERVER_CHECK;
  assert.equal(await end(machine, id, COMMIT, { source }), Code.OK);
  const asked = commands.length;
  await machine.alive(3 * MINUTE);
  assert.equal(stream.commands.filter((command) => command.recoverOrphanedTransactionCommand).length, asked);
  assert.deepEqual(await bodies(machine), ['orphan']);
});

test('transaction: of two producers one whose stream is gone is passed over in the same round', async () => {
  const machine = await started();
  const gone = machine.producer(['T'], { clientId: 'a' });
  const there = machine.producer(['T'], { clientId: 'b' });
  machine.proxy.clients.streamEnded(gone, 'a');
  await begun(machine, 'orphan');
  for (let i = 0; i < 9; i++) {
    await machine.advance(10 * SECOND);
    for (const clientId of ['a', 'b']) machine.proxy.clients.heartbeat(machine.call({ clientId }));
  }
  assert.ok(there.commands.some((command) => command.recoverOrphanedTransactionCommand));
  assert.ok(!gone.commands.some((command) => command.recoverOrphanedTransactionCommand));
});

test('transaction: the first check waits as long as its producer asked, up to an hour', async () => {
  const machine = await started();
  const stream = machine.producer(['T']);
  const wait = (seconds: number) => ({ ...half, orphanedTransactionRecoveryDuration: { seconds, nanos: 0 } });
  const tooLong = await machine.refusedSend(machine.message('T', 'x', wait(3_601)));
  assert.equal(tooLong.code, Code.BAD_REQUEST);
  await machine.sent('T', 'patient', wait(300));
  await machine.alive(4 * MINUTE);
  const asked = () => stream.commands.filter((command) => command.recoverOrphanedTransactionCommand).length;
  assert.equal(asked(), 0);
  await machine.alive(2 * MINUTE);
  assert.ok(asked() > 0);
});

test('transaction: one that is to be delivered later is refused', async () => {
  const machine = await started();
  const later = { ...half, deliveryTimestamp: timeOf(machine.now + MINUTE) };
  const { code } = await machine.refusedSend(machine.message('T', 'x', later));
  assert.equal(code, Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE);
  assert.equal(machine.broker.transactions.openCount, 0);
});
