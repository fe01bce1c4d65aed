import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  createRequest,
  createResponse,
  javaMapEntries,
  LanguageCode,
  messageQueueJson,
  parseJavaJsonBody,
  RemotingClient,
  RequestCode,
  type RequestHandler,
  ResponseCode,
} from '@vernier/remoting';
import { ManualClock } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { MEMBERS_ANSWER_MS } from '../../src/admin/member-offsets.ts';
import { heartbeat, send, startBroker, type TestBroker } from '../harness.ts';

/** A member of a group on a connection of its own. */
async function join(t: TestContext, { address }: TestBroker, clientId: string, code: number, handler: RequestHandler) {
  const client = new RemotingClient();
  cleanUp(t, () => client.close());
  client.registerProcessor(code, handler);
  const beat = heartbeat(clientId, { group: 'consumers', topic: 'T' });
  await client.invoke(address, createRequest(RequestCode.HEART_BEAT, undefined, beat), 10_000);
  return client;
}

const tableOf = (body: Buffer | undefined, member = 'offsetTable'): [unknown, unknown][] =>
  javaMapEntries((parseJavaJsonBody(body) as Record<string, unknown>)[member]);

const queue = (queueId: number) => ({ brokerName: 'broker-a', queueId, topic: 'T' });

test('useServerSideResetOffset=false: the members of the group are told, and nothing is committed', async (t) => {
  const node = await startBroker(t, { broker: { useServerSideResetOffset: false } });
  const { invoke, broker, client, address } = node;
  const { offsets } = broker.context;
  for (let count = 0; count < 3; count++) await send(node, 'T', 'x');
  const fields = { topic: 'T', group: 'consumers', timestamp: '-1', isForce: 'true' };
  const reset = (more: Record<string, string> = {}) =>
    invoke(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, { ...fields, ...more });
  assert.equal((await reset({ topic: 'None' })).code, ResponseCode.TOPIC_NOT_EXIST);
  const unknown = await reset();
  assert.deepEqual([unknown.code, unknown.remark], [1, 'The consumer group <consumers> not exist']);
  for (let queueId = 0; queueId < 4; queueId++) offsets.commit('consumers', 'T', queueId, 1);
  const offline = await reset();
  assert.equal(offline.code, ResponseCode.CONSUMER_NOT_ONLINE, offline.remark);
  assert.equal((await reset({ isForce: 'perhaps' })).code, ResponseCode.INVALID_PARAMETER);

  const told: { clientId: string; fields: unknown; body: Buffer }[] = [];
  const members = await Promise.all(
    ['c1', 'c2'].map((clientId) =>
      join(t, node, clientId, RequestCode.RESET_CONSUMER_CLIENT_OFFSET, (request) => {
        told.push({ clientId, fields: request.extFields, body: Buffer.from(request.body ?? '') });
        return undefined;
      }),
    ),
  );
  const answer = await reset();
  assert.equal(answer.code, ResponseCode.SUCCESS, answer.remark);
  const targets = [0, 1, 2, 3].map((queueId) => [queue(queueId), queueId === 0 ? 3 : 0]);
  assert.deepEqual(tableOf(answer.body), targets);
  // What they were told came before the answers to these.
  const settle = () => Promise.all(members.map((each) => each.invoke(address, createRequest(0), 10_000)));
  await settle();
  assert.deepEqual(told.map(({ clientId }) => clientId).sort(), ['c1', 'c2']);
  for (const { fields: given, body } of told.splice(0)) {
    assert.deepEqual(given, { topic: 'T', group: 'consumers', timestamp: '-1', isForce: 'false' });
    assert.deepEqual(tableOf(body), targets);
  }
  assert.equal(offsets.query('consumers', 'T', 0), 1, 'the members commit where they are');

  assert.deepEqual(
    tableOf((await reset({ isForce: 'false' })).body).map(([, offset]) => offset),
    [1, 0, 0, 0],
    'without force no queue goes forward',
  );
  await settle();
  told.length = 0;
  const forC = createRequest(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, fields);
  forC.language = LanguageCode.CPP;
  assert.deepEqual(tableOf((await client.invoke(address, forC, 10_000)).body), targets);
  await settle();
  const list = (parseJavaJsonBody(told[0]?.body) as { offsetTable: unknown[] }).offsetTable;
  assert.deepEqual(list[0], { ...queue(0), offset: 3 });
});

const status = (request: Parameters<RequestHandler>[0], offset: number) =>
  createResponse(
    request,
    ResponseCode.SUCCESS,
    undefined,
    undefined,
    Buffer.from(`{"consumerTable":{},"messageQueueTable":{${JSON.stringify(messageQueueJson(queue(0)))}:${offset}}}`),
  );

test('INVOKE_BROKER_TO_GET_CONSUMER_STATUS: what each member says, or the one that is named', async (t) => {
  const node = await startBroker(t);
  const { invoke } = node;
  const ask = (fields: Record<string, string> = {}) =>
    invoke(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: 'T', group: 'consumers', ...fields });
  const nobody = await ask();
  assert.deepEqual([nobody.code, nobody.remark], [1, 'No Any Consumer online in the consumer group: [consumers]']);
  for (const [index, clientId] of ['c1', '__proto__'].entries()) {
    await join(t, node, clientId, RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, (request) => {
      assert.deepEqual(request.extFields, { topic: 'T', group: 'consumers' });
      return status(request, 10 + index);
    });
  }
  const said = async (fields?: Record<string, string>) =>
    tableOf((await ask(fields)).body, 'consumerTable').map(([id, queues]) => [id, javaMapEntries(queues)]);
  assert.deepEqual((await said()).sort(), [
    ['__proto__', [[queue(0), 11]]],
    ['c1', [[queue(0), 10]]],
  ]);
  assert.deepEqual(await said({ clientAddr: 'c1' }), [['c1', [[queue(0), 10]]]]);
  assert.deepEqual(await said({ clientAddr: 'c3' }), []);
  assert.equal((await invoke(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: 'T' })).code, 29);
});

test('a member that says nonsense, too much or nothing is left out, and the others are answered in time', async (t) => {
  const clock = new ManualClock();
  const node = await startBroker(t, { deps: { clock } });
  let asked = 0;
  const members: RemotingClient[] = [];
  const add = async (clientId: string, handler: RequestHandler) => {
    members.push(await join(t, node, clientId, RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, handler));
  };
  const says =
    (text: string): RequestHandler =>
    (request) => {
      asked++;
      return createResponse(request, ResponseCode.SUCCESS, undefined, undefined, Buffer.from(text));
    };
  await add('nonsense', says('{"messageQueueTable":['));
  await add('deep', says('['.repeat(100_000)));
  await add('large', says(`{"messageQueueTable":{}}${' '.repeat(300_000)}`));
  await add('no-offset', says('{"messageQueueTable":{"{\\"queueId\\":0}":"x","{\\"queueId\\":1}":1e300}}'));
  await add('refuses', (request) => {
    asked++;
    return createResponse(request, ResponseCode.SYSTEM_ERROR, 'no');
  });
  await add('hangs', () => {
    asked++;
    return new Promise(() => {});
  });
  await add('c1', (request) => {
    asked++;
    return status(request, 10);
  });
  const answer = node.invoke(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: 'T', group: 'consumers' });
  while (asked < 7) await new Promise((resolve) => setImmediate(resolve));
  // What they answered came before the answers to these.
  await Promise.all(members.map((member) => member.invoke(node.address, createRequest(0), 10_000)));
  await clock.advance(MEMBERS_ANSWER_MS);
  const said = tableOf((await answer).body, 'consumerTable');
  assert.deepEqual(
    said.map(([id, queues]) => [id, javaMapEntries(queues)]),
    [
      ['no-offset', []],
      ['c1', [[queue(0), 10]]],
    ],
  );
});
