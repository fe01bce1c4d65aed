import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest, decodeRecord, type RemotingCommand, RequestCode, ResponseCode } from '@vernier/remoting';
import { heartbeat, property, pullFields, sendFields, startBroker, type TestBroker } from '../harness.ts';
import { COMMIT } from './transaction-machine.ts';

const quick = { transactionTimeOut: 1, transactionCheckInterval: 20 };

async function sendHalf({ invoke }: TestBroker, body: string): Promise<RemotingCommand> {
  const properties = property('TRAN_MSG', 'true') + property('PGROUP', 'producers') + property('UNIQ_KEY', `K${body}`);
  const fields = sendFields('Orders', 0, { f: '4', i: properties });
  return invoke(RequestCode.SEND_MESSAGE_V2, fields, body);
}

test('over a socket: a half, the question about it, a oneway commit, and the message at a consumer', async (t) => {
  const broker = await startBroker(t, { broker: quick });
  const { client, address, invoke } = broker;
  const asked = new Promise<RemotingCommand>((resolve) => {
    client.registerProcessor(RequestCode.CHECK_TRANSACTION_STATE, (request) => {
      resolve({ ...request, body: Buffer.from(request.body ?? '') } as RemotingCommand);
      return undefined;
    });
  });
  await invoke(RequestCode.HEART_BEAT, {}, heartbeat('p@1', { producers: ['producers'] }));
  const sent = await sendHalf(broker, 'a');
  assert.equal(sent.code, ResponseCode.SUCCESS);
  assert.equal(sent.extFields?.transactionId, 'Ka');

  const { extFields, body } = await asked;
  assert.equal(extFields?.transactionId, 'Ka');
  assert.equal(extFields?.bname, 'broker-a');
  const half = decodeRecord(body!);
  assert.deepEqual([half.topic, half.body.toString()], ['Orders', 'a']);
  assert.equal(String(half.queueOffset), extFields?.tranStateTableOffset);
  const arrived = new Promise((resolve) => {
    broker.broker.store.on('arrived', ({ topic }) => topic === 'Orders' && resolve(undefined));
  });
  const end = createRequest(RequestCode.END_TRANSACTION, {
    producerGroup: 'producers',
    tranStateTableOffset: extFields?.tranStateTableOffset,
    commitLogOffset: extFields?.commitLogOffset,
    commitOrRollback: String(COMMIT),
    fromTransactionCheck: 'true',
    msgId: 'Ka',
  });
  await client.invokeOneway(address, end);
  await arrived;
  await invoke(RequestCode.HEART_BEAT, {}, heartbeat('c@1', { group: 'consumers', topic: 'Orders' }));
  const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields('Orders', 0));
  assert.equal(decodeRecord(pulled.body!).body.toString(), 'a');
});

test('a producer whose connection is gone is not asked; the member that is left is', async (t) => {
  const broker = await startBroker(t, { broker: quick });
  const { RemotingClient } = await import('@vernier/remoting');
  const gone = new RemotingClient();
  t.after(() => gone.close());
  const joined = heartbeat('p@2', { producers: ['producers'] });
  await gone.invoke(broker.address, createRequest(RequestCode.HEART_BEAT, {}, joined), 10_000);
  await gone.close();
  const asked = new Promise<void>((resolve) => {
    broker.client.registerProcessor(RequestCode.CHECK_TRANSACTION_STATE, () => {
      resolve();
      return undefined;
    });
  });
  await broker.invoke(RequestCode.HEART_BEAT, {}, heartbeat('p@1', { producers: ['producers'] }));
  await sendHalf(broker, 'a');
  await asked;
});

test('settings of transactions change by request, and the reference shows them', async (t) => {
  const broker = await startBroker(t);
  const body = 'transactionCheckMax=3\nrejectTransactionMessage=true\n';
  assert.equal((await broker.invoke(RequestCode.UPDATE_BROKER_CONFIG, {}, body)).code, ResponseCode.SUCCESS);
  assert.equal(broker.broker.config.transactionCheckMax, 3);
  assert.equal((await sendHalf(broker, 'a')).code, ResponseCode.NO_PERMISSION);
});
