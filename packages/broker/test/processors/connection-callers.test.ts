import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RemotingCommand, type RemotingConnection, RequestCode } from '@vernier/remoting';
import { ConnectionCallers } from '../../src/processors/connection-callers.ts';

function fakeConnection() {
  const sent: RemotingCommand[] = [];
  const state = { closed: false, destroyedFor: undefined as string | undefined };
  const connection = {
    ...{ remoteAddress: '10.0.0.1:5000', remoteHost: '10.0.0.1', remotePort: 5_000 },
    get closed() {
      return state.closed;
    },
    destroy: (reason: string) => {
      state.destroyedFor = reason;
    },
    invokeOneway: (request: RemotingCommand) => {
      sent.push(request);
      return true;
    },
    invoke: async (request: RemotingCommand, timeoutMs: number) => {
      sent.push(request);
      return { ...request, code: 0, remark: String(timeoutMs), extFields: { a: '1' }, body: shared };
    },
  };
  return { connection: connection as unknown as RemotingConnection, state, sent };
}

/** What the socket reads into. */
const shared = Buffer.from('answer');

const check = {
  ...{ queueOffset: 7, logOffset: 2 ** 40, offsetMessageId: 'O', uniqKey: undefined, topic: 'H', brokerName: 'b' },
  record: Buffer.from('half'),
};

test('callers: one for each connection, the same for each of its requests', () => {
  const callers = new ConnectionCallers(1_000);
  const [first, second] = [fakeConnection(), fakeConnection()];
  assert.equal(callers.of(first.connection), callers.of(first.connection));
  assert.notEqual(callers.of(first.connection), callers.of(second.connection));
  const { remoteAddress, host } = callers.of(first.connection);
  assert.deepEqual([remoteAddress, [...host.address], host.port], ['10.0.0.1:5000', [10, 0, 0, 1], 5_000]);
});

test('callers: the end of a connection is that of its caller alone; one that never asked has none to end', () => {
  const callers = new ConnectionCallers(1_000);
  const [first, second, silent] = [fakeConnection(), fakeConnection(), fakeConnection()];
  const [one, other] = [callers.of(first.connection), callers.of(second.connection)];
  callers.closed(silent.connection);
  callers.closed(first.connection);
  callers.closed(first.connection);
  assert.deepEqual([one.isGone, other.isGone], [true, false]);
});

test('callers: a request that is handled after its connection’s end comes from somebody who is gone', () => {
  const callers = new ConnectionCallers(1_000);
  const { connection, state } = fakeConnection();
  state.closed = true;
  assert.equal(callers.of(connection).isGone, true);
});

test('callers: a producer that is gone is not asked for a half, and who is there gets it with its numbers', () => {
  const callers = new ConnectionCallers(1_000);
  const { connection, state, sent } = fakeConnection();
  const caller = callers.of(connection);
  assert.equal(caller.checkTransactionState(check), true);
  const { code, extFields, body } = sent[0]!;
  assert.equal(code, RequestCode.CHECK_TRANSACTION_STATE);
  assert.equal(extFields?.commitLogOffset, '1099511627776');
  assert.equal(extFields?.tranStateTableOffset, '7');
  assert.equal(extFields?.msgId, undefined, 'a key that there is not is not the text undefined');
  assert.equal(String(body), 'half');
  state.closed = true;
  assert.equal(caller.checkTransactionState(check), false);
  assert.equal(sent.length, 1);
});

test('callers: an answer is the asker’s own, whatever the connection reads next', async () => {
  const { connection, sent } = fakeConnection();
  const caller = new ConnectionCallers(777).of(connection);
  const answer = await caller.ask(RequestCode.GET_CONSUMER_RUNNING_INFO, { b: '2' }, undefined);
  shared.fill('x');
  assert.equal(String(answer.body), 'answer');
  assert.deepEqual([answer.code, answer.remark, answer.fields], [0, '777', { a: '1' }]);
  assert.deepEqual(sent[0]?.extFields, { b: '2' });
});

test('callers: what the broker tells goes to the connection, and so does the reason of its end', () => {
  const { connection, state, sent } = fakeConnection();
  const caller = new ConnectionCallers(1_000).of(connection);
  caller.notifyConsumerIdsChanged('g');
  assert.deepEqual(
    [sent[0]?.code, sent[0]?.extFields],
    [RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, { consumerGroup: 'g' }],
  );
  caller.disconnect('silent');
  assert.equal(state.destroyedFor, 'silent');
});
