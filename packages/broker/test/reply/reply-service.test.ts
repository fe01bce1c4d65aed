import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  createRequest,
  type ExtFields,
  RemotingClient,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '@vernier/remoting';
import { propertyOf } from '@vernier/store/internal';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { heartbeat, pullFields, sendFields, startBroker, type TestBroker, type TestBrokerOptions } from '../harness.ts';

const REPLY_TOPIC = 'DefaultCluster_REPLY_TOPIC';
const SUCCESS = ResponseCode.SUCCESS;

interface Requester {
  client: RemotingClient;
  pushed: { fields: ExtFields | undefined; body: string }[];
  beat(clientId: string, ...producers: string[]): Promise<void>;
}

/** A producer that asked and waits; `answer` is its code for what is pushed to it. */
function requester(t: TestContext, { address }: TestBroker, answer: number = SUCCESS): Requester {
  const client = new RemotingClient();
  cleanUp(t, () => client.close());
  const pushed: Requester['pushed'] = [];
  client.registerProcessor(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, (request) => {
    pushed.push({ fields: request.extFields, body: String(request.body) });
    return { ...request, code: answer, flag: 1, extFields: undefined, body: undefined };
  });
  return {
    client,
    pushed,
    async beat(clientId, ...producers) {
      const body = heartbeat(clientId, { producers });
      const beaten = await client.invoke(address, createRequest(RequestCode.HEART_BEAT, undefined, body), 10_000);
      assert.equal(beaten.code, SUCCESS);
    },
  };
}

const properties = (to: string | undefined): string =>
  `CORRELATION_ID\u0001c-1\u0002MSG_TYPE\u0001reply\u0002${to === undefined ? '' : `REPLY_TO_CLIENT\u0001${to}\u0002`}`;

const reply = ({ invoke }: TestBroker, to: string | undefined, body = 'answer'): Promise<RemotingCommand> =>
  invoke(RequestCode.SEND_REPLY_MESSAGE_V2, sendFields(REPLY_TOPIC, 0, { i: properties(to) }), body);

const stored = async ({ broker }: TestBroker): Promise<number> =>
  broker.context.store.getMaxOffsetInQueue(REPLY_TOPIC, 0);

const started = async (t: TestContext, options: TestBrokerOptions = {}): Promise<TestBroker> => startBroker(t, options);

test('reply: the requester gets it with its properties and whose it is, and it is stored with what it came with', async (t) => {
  const broker = await started(t);
  const asked = requester(t, broker);
  await asked.beat('asker@1', 'askers');
  const answer = await reply(broker, 'asker@1');
  assert.equal(answer.code, SUCCESS);
  assert.match(answer.extFields?.msgId ?? '', /^[0-9A-F]{32}$/);
  assert.equal(asked.pushed.length, 1, 'once');
  const { fields, body } = asked.pushed[0]!;
  assert.equal(body, 'answer');
  assert.equal(fields?.topic, REPLY_TOPIC);
  assert.equal(fields?.producerGroup, 'producers');
  assert.equal(fields?.storeHost, broker.address);
  assert.match(fields?.bornHost ?? '', /^127\.0\.0\.1:\d+$/);
  const sent = (name: string) => propertyOf(fields?.properties ?? '', name);
  assert.deepEqual([sent('CORRELATION_ID'), sent('REPLY_TO_CLIENT')], ['c-1', 'asker@1']);
  assert.ok(Number(sent('PUSH_REPLY_TIME')) > 0);
  const pulled = await broker.invoke(RequestCode.PULL_MESSAGE, pullFields(REPLY_TOPIC, 0));
  assert.equal(pulled.code, SUCCESS);
  assert.ok(String(pulled.body).includes('CORRELATION_ID\u0001c-1'));
  assert.doesNotMatch(String(pulled.body), /PUSH_REPLY_TIME/, 'that is the push’s own');
});

test('reply: the long names of SEND_REPLY_MESSAGE are read too', async (t) => {
  const broker = await started(t);
  const asked = requester(t, broker);
  await asked.beat('asker@1', 'askers');
  const fields = {
    producerGroup: 'answerers',
    topic: REPLY_TOPIC,
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: '4',
    queueId: '-1',
    sysFlag: '0',
    bornTimestamp: '1700000000000',
    flag: '7',
    properties: properties('asker@1'),
    reconsumeTimes: '0',
    unitMode: 'false',
  };
  assert.equal((await broker.invoke(RequestCode.SEND_REPLY_MESSAGE, fields, 'long')).code, SUCCESS);
  assert.deepEqual(
    asked.pushed.map(({ fields: had, body }) => [had?.producerGroup, had?.flag, body]),
    [['answerers', '7', 'long']],
  );
});

test('reply: nobody of that id, none named, one that refuses: code 1 with the reason, and the record is there all the same', async (t) => {
  const broker = await started(t);
  const asked = requester(t, broker, ResponseCode.SYSTEM_ERROR);
  await asked.beat('asker@1', 'askers');
  const nobody = await reply(broker, 'other@1');
  assert.deepEqual([nobody.code, nobody.remark], [1, 'push reply message fail, channel of <other@1> not found.']);
  const unnamed = await reply(broker, undefined);
  assert.deepEqual([unnamed.code, unnamed.remark], [1, 'reply message properties[REPLY_TO_CLIENT] is null']);
  const refused = await reply(broker, 'asker@1');
  assert.equal(refused.code, 1);
  assert.match(refused.remark ?? '', /push reply message to asker@1 fail/);
  assert.equal(asked.pushed.length, 1);
  assert.equal(await stored(broker), 3);
});

test('reply: the requester goes while it is asked: code 1, nothing hangs', async (t) => {
  const broker = await started(t);
  const client = new RemotingClient();
  const asked = new Promise<void>((resolve) => {
    client.registerProcessor(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, () => {
      resolve();
      void client.close();
      return undefined;
    });
  });
  const beat = createRequest(RequestCode.HEART_BEAT, undefined, heartbeat('asker@1', { producers: ['askers'] }));
  await client.invoke(broker.address, beat, 10_000);
  const answer = reply(broker, 'asker@1');
  await asked;
  assert.equal((await answer).code, 1);
  assert.equal(await stored(broker), 1);
});

test('reply: what a producer might not send is neither pushed nor stored', async (t) => {
  const broker = await started(t);
  const asked = requester(t, broker);
  await asked.beat('asker@1', 'askers');
  const { invoke } = broker;
  const to = (topic: string, queueId = 0) =>
    invoke(RequestCode.SEND_REPLY_MESSAGE_V2, sendFields(topic, queueId, { i: properties('asker@1') }), 'x');
  assert.equal((await to('SCHEDULE_TOPIC_XXXX')).code, ResponseCode.NO_PERMISSION);
  assert.equal((await to(REPLY_TOPIC, 99)).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await to('a b')).code, ResponseCode.INVALID_PARAMETER);
  const { a: _, ...anonymous } = sendFields(REPLY_TOPIC);
  assert.equal((await invoke(RequestCode.SEND_REPLY_MESSAGE_V2, anonymous, 'x')).code, ResponseCode.INVALID_PARAMETER);
  assert.deepEqual([asked.pushed, await stored(broker)], [[], 0]);
});

test('reply: storeReplyMessageEnable=false hands it over and stores nothing', async (t) => {
  const broker = await started(t, { broker: { storeReplyMessageEnable: false } });
  const asked = requester(t, broker);
  await asked.beat('asker@1', 'askers');
  const answer = await reply(broker, 'asker@1');
  assert.deepEqual([answer.code, answer.extFields?.msgId, answer.extFields?.queueOffset], [SUCCESS, '0', '0']);
  assert.deepEqual([asked.pushed.length, await stored(broker)], [1, 0]);
});

test('reply: a client with two producer groups that leaves one is found by its id, and not when it left both', async (t) => {
  const broker = await started(t);
  const asked = requester(t, broker);
  await asked.beat('asker@1', 'askers', 'others');
  const leave = (producerGroup: string) =>
    asked.client.invoke(
      broker.address,
      createRequest(RequestCode.UNREGISTER_CLIENT, { clientID: 'asker@1', producerGroup }),
      10_000,
    );
  await leave('askers');
  assert.equal((await reply(broker, 'asker@1')).code, SUCCESS);
  await leave('others');
  assert.equal((await reply(broker, 'asker@1')).code, 1);
  assert.equal(asked.pushed.length, 1);
});

test('reply: of two connections of one client id the newer gets it, and the older when the newer is gone', async (t) => {
  const broker = await started(t);
  const older = requester(t, broker);
  await older.beat('asker@1', 'askers');
  const newer = requester(t, broker);
  await newer.beat('asker@1', 'askers');
  await older.beat('asker@1', 'askers');
  assert.equal((await reply(broker, 'asker@1')).code, SUCCESS);
  assert.deepEqual([older.pushed.length, newer.pushed.length], [0, 1]);
  const gone = new Promise<void>((resolve) => {
    const [, member] = broker.broker.context.producers.members('askers')!;
    member!.client.signal.addEventListener('abort', () => resolve());
  });
  await newer.client.close();
  await gone;
  assert.equal((await reply(broker, 'asker@1')).code, SUCCESS);
  assert.deepEqual([older.pushed.length, newer.pushed.length], [1, 1]);
});
