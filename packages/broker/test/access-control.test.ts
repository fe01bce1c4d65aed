// As an attacker: each request is refused with RocketMQ's code, and nothing has changed.
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  createRequest,
  type ExtFields,
  encodeFrame,
  encodeLockBatchRequest,
  encodePropertiesString,
  FLAG_ONEWAY,
  parseOffsetMessageId,
  RemotingClient,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  SerializeType,
  sign,
} from '@vernier/remoting';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { Broker, type BrokerOptions } from '../src/index.ts';
import {
  freePort,
  heartbeat,
  pullFields,
  sendFields,
  smallStore,
  startBroker,
  type TestBrokerOptions,
} from './harness.ts';

const { SUCCESS, NO_PERMISSION } = ResponseCode;

const ON: BrokerOptions = {
  authenticationEnabled: true,
  authorizationEnabled: true,
  initAuthenticationUser: '{"username":"root","password":"root-secret"}',
};

type Invoke = (code: number, fields?: ExtFields, body?: Buffer | string) => Promise<RemotingCommand>;

/** A broker that knows root, and alice and mallory with a topic and a group each; mallory is the attacker. */
async function secured(t: TestContext, options: Pick<TestBrokerOptions, 'broker' | 'store' | 'directory'> = {}) {
  const started = await startBroker(t, { ...options, broker: { ...ON, ...options.broker } });
  const { broker, namesrv, address } = started;
  const as = (accessKey: string, secretKey = `${accessKey}-secret`, to = address): Invoke => {
    const client = new RemotingClient({ credentials: { accessKey, secretKey } });
    cleanUp(t, () => client.close());
    return (code, fields = {}, body) =>
      client.invoke(to, createRequest(code, fields, typeof body === 'string' ? Buffer.from(body) : body), 10_000);
  };
  const root = as('root');
  const createUser = (username: string) =>
    root(RequestCode.AUTH_CREATE_USER, { username }, JSON.stringify({ username, password: `${username}-secret` }));
  const allow = (username: string, resource: string, ...actions: string[]) => {
    const entries = [{ resource, actions, decision: 'Allow' }];
    const subject = `User:${username}`;
    return root(RequestCode.AUTH_CREATE_ACL, { subject }, JSON.stringify({ policies: [{ entries }] }));
  };
  for (const name of ['alice', 'mallory']) {
    expect(await createUser(name), SUCCESS);
    expect(await allow(name, `Topic:of-${name}`, 'All'), SUCCESS);
    expect(await allow(name, `Group:${name}-group`, 'All'), SUCCESS);
    const group = JSON.stringify({ groupName: `${name}-group` });
    expect(await root(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, group), SUCCESS);
  }
  return {
    ...{ ...started, as, root, allow, createUser, broker, namesrv },
    alice: as('alice'),
    mallory: as('mallory'),
  };
}

function expect(answer: RemotingCommand, code: number, what = ''): RemotingCommand {
  assert.equal(answer.code, code, `${what} ${answer.remark}`);
  return answer;
}

const send = (invoke: Invoke, topic: string, body = 'x', more: ExtFields = {}) =>
  invoke(RequestCode.SEND_MESSAGE_V2, sendFields(topic, 0, more), body);

const pull = (invoke: Invoke, topic: string, consumerGroup: string) =>
  invoke(RequestCode.PULL_MESSAGE, pullFields(topic, 0, { consumerGroup }));

test('access: an unsigned request is answered NO_PERMISSION, whichever it is, at broker and nameserver', async (t) => {
  const { broker, namesrv, client, address } = await secured(t);
  for (const [to, codes] of [
    [address, broker.requestCodes],
    [namesrv.address, namesrv.server.requestCodes],
  ] as const) {
    // The first ten of a minute are answered at once; the others in turn.
    for (const code of [...codes.slice(0, 12), 99_999]) {
      const answer = await client.invoke(to, createRequest(code, { topic: 'of-alice' }), 10_000);
      expect(answer, NO_PERMISSION, `code ${code}`);
      assert.match(answer.remark ?? '', /not signed/);
    }
  }
  assert.ok(broker.context.access.failures.total >= 26);
});

test('access: a oneway request that is not signed stores nothing', async (t) => {
  const { client, address, broker, root } = await secured(t);
  const request = createRequest(RequestCode.SEND_MESSAGE_V2, sendFields('of-alice'), Buffer.from('x'));
  request.flag |= FLAG_ONEWAY;
  await client.invokeOneway(address, request);
  // An answer on the same connection says that it was looked at.
  expect(await client.invoke(address, createRequest(RequestCode.GET_BROKER_CONFIG), 10_000), NO_PERMISSION);
  expect(await root(RequestCode.GET_BROKER_CONFIG), SUCCESS);
  assert.equal(broker.store.maxPhyOffset, 0);
});

test('access: signed in either serialization, a request is served; sent again with another field or body it is not', async (t) => {
  const { address, client, broker } = await secured(t);
  for (const type of [SerializeType.JSON, SerializeType.ROCKETMQ]) {
    const signed = (): RemotingCommand => {
      const request = createRequest(RequestCode.SEND_MESSAGE_V2, sendFields('of-alice'), Buffer.from('mine'));
      request.serializeType = type;
      sign(request, { accessKey: 'alice', secretKey: 'alice-secret' });
      return request;
    };
    expect(await client.invoke(address, signed(), 10_000), SUCCESS);
    const stored = broker.store.maxPhyOffset;
    const changed: [string, (request: RemotingCommand) => unknown][] = [
      ['body', (request) => Object.assign(request, { body: Buffer.from('evil') })],
      ['topic', (request) => Object.assign(request.extFields!, { b: 'of-mallory' })],
      ['a field more', (request) => Object.assign(request.extFields!, { z: '1' })],
      [
        'truncated',
        (request) => Object.assign(request.extFields!, { Signature: request.extFields!.Signature!.slice(0, -4) }),
      ],
      ['empty', (request) => Object.assign(request.extFields!, { Signature: '' })],
      ['another user', (request) => Object.assign(request.extFields!, { AccessKey: 'root' })],
    ];
    for (const [what, change] of changed) {
      const request = signed();
      change(request);
      expect(await client.invoke(address, request, 10_000), NO_PERMISSION, what);
    }
    assert.equal(broker.store.maxPhyOffset, stored);
  }
});

test('access: a field that stands twice counts as it is signed: what is checked is what is done', async (t) => {
  const { address, broker } = await secured(t);
  const request = createRequest(RequestCode.SEND_MESSAGE_V2, sendFields('of-mallory'), Buffer.from('x'));
  sign(request, { accessKey: 'mallory', secretKey: 'mallory-secret' });
  const frame = encodeFrame(request);
  for (const [first, last] of [
    ['of-alice', 'of-mallory'],
    ['of-mallory', 'of-alice'],
  ]) {
    const headerBytes = frame.readInt32BE(4) & 0xffffff;
    const header = frame.toString('utf8', 8, 8 + headerBytes);
    const doubled = Buffer.from(header.replace('"b":"of-mallory"', `"b":"${first}","b":"${last}"`));
    const head = Buffer.alloc(8);
    const body = frame.subarray(8 + headerBytes);
    head.writeInt32BE(4 + doubled.length + body.length, 0);
    head.writeInt32BE(doubled.length, 4);
    const code = await answerCode(address, Buffer.concat([head, doubled, body]));
    assert.equal(code, last === 'of-mallory' ? SUCCESS : NO_PERMISSION);
  }
  assert.equal(broker.context.topics.select('of-alice'), undefined);
});

/** The code that the answer to a frame has. */
function answerCode(address: string, frame: Buffer): Promise<number> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: host!, port: Number(port) }, () => socket.write(frame));
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      const length = chunk.readInt32BE(4) & 0xffffff;
      resolve((JSON.parse(chunk.toString('utf8', 8, 8 + length)) as { code: number }).code);
      socket.destroy();
    });
  });
}

test('access: topics and groups of another user are neither written, read, changed nor deleted', async (t) => {
  const { alice, mallory, broker } = await secured(t);
  expect(await send(alice, 'of-alice', 'secret'), SUCCESS);
  expect(
    await alice(RequestCode.UPDATE_CONSUMER_OFFSET, {
      consumerGroup: 'alice-group',
      topic: 'of-alice',
      queueId: '0',
      commitOffset: '1',
    }),
    SUCCESS,
  );
  const stored = broker.store.maxPhyOffset;
  const topic = { topic: 'of-alice', queueId: '0' };
  const both = { ...topic, consumerGroup: 'alice-group', group: 'alice-group' };
  const mixed = { ...topic, consumerGroup: 'mallory-group', group: 'mallory-group' };
  const attacks: [number, ExtFields, (Buffer | string)?][] = [
    [
      RequestCode.SEND_MESSAGE,
      {
        ...topic,
        producerGroup: 'p',
        defaultTopic: 'TBW102',
        defaultTopicQueueNums: '4',
        sysFlag: '0',
        bornTimestamp: '0',
        flag: '0',
      },
      'x',
    ],
    [RequestCode.SEND_MESSAGE_V2, sendFields('of-alice'), 'x'],
    [RequestCode.SEND_BATCH_MESSAGE, sendFields('of-alice', 0, { m: 'true' }), 'x'],
    [RequestCode.PULL_MESSAGE, pullFields('of-alice', 0, { consumerGroup: 'mallory-group' })],
    [RequestCode.PULL_MESSAGE, pullFields('of-mallory', 0, { consumerGroup: 'alice-group' })],
    [RequestCode.LITE_PULL_MESSAGE, pullFields('of-alice', 0, { consumerGroup: 'mallory-group' })],
    [
      RequestCode.POP_MESSAGE,
      { ...mixed, maxMsgNums: '1', invisibleTime: '60000', pollTime: '0', bornTime: '0', initMode: '0' },
    ],
    [RequestCode.PEEK_MESSAGE, { ...mixed, maxMsgNums: '1' }],
    [RequestCode.NOTIFICATION, { ...mixed, pollTime: '0', bornTime: '0' }],
    [RequestCode.QUERY_MESSAGE, { topic: 'of-alice', key: 'k', maxNum: '1', beginTimestamp: '0', endTimestamp: '9' }],
    [RequestCode.QUERY_CONSUMER_OFFSET, both],
    [RequestCode.UPDATE_CONSUMER_OFFSET, { ...both, commitOffset: '0' }],
    [RequestCode.UPDATE_CONSUMER_OFFSET, { ...mixed, commitOffset: '0' }],
    [
      RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      { topic: 'of-alice', group: 'alice-group', timestamp: '0', isForce: 'true' },
    ],
    [
      RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      { topic: 'of-alice', group: 'mallory-group', timestamp: '0', isForce: 'true' },
    ],
    [
      RequestCode.CLONE_GROUP_OFFSET,
      { srcGroup: 'alice-group', destGroup: 'mallory-group', topic: 'of-mallory', offline: 'true' },
    ],
    [
      RequestCode.CLONE_GROUP_OFFSET,
      { srcGroup: 'mallory-group', destGroup: 'alice-group', topic: 'of-mallory', offline: 'true' },
    ],
    [RequestCode.GET_CONSUMER_LIST_BY_GROUP, both],
    [RequestCode.GET_CONSUMER_CONNECTION_LIST, both],
    [RequestCode.GET_CONSUME_STATS, both],
    [RequestCode.GET_CONSUME_STATS, { consumerGroup: 'mallory-group', topicList: 'of-mallory;of-alice' }],
    [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...topic, timestamp: '0' }],
    [RequestCode.GET_MAX_OFFSET, topic],
    [RequestCode.GET_MIN_OFFSET, topic],
    [RequestCode.GET_TOPIC_STATS_INFO, topic],
    [RequestCode.GET_TOPIC_CONFIG, topic],
    [RequestCode.QUERY_CONSUME_QUEUE, { ...topic, index: '0', count: '1' }],
    [RequestCode.DELETE_TOPIC_IN_BROKER, topic],
    [RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'alice-group' }],
    [RequestCode.UPDATE_AND_CREATE_TOPIC, { ...topic, readQueueNums: '1', writeQueueNums: '1', perm: '4' }],
    [
      RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
      {},
      JSON.stringify({ topicConfigList: [{ topicName: 'of-mallory' }, { topicName: 'of-alice' }] }),
    ],
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
      {},
      JSON.stringify({ groupName: 'alice-group', consumeEnable: false }),
    ],
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      {},
      JSON.stringify({ groupConfigList: [{ groupName: 'alice-group' }] }),
    ],
    [RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, { topic: 'of-alice', group: 'alice-group', readable: 'false' }],
    [RequestCode.UNREGISTER_CLIENT, { clientID: 'c', consumerGroup: 'alice-group' }],
    [
      RequestCode.QUERY_ASSIGNMENT,
      {},
      JSON.stringify({ topic: 'of-alice', consumerGroup: 'alice-group', clientId: 'c', strategyName: 'AVG' }),
    ],
    [
      RequestCode.SET_MESSAGE_REQUEST_MODE,
      {},
      JSON.stringify({ topic: 'of-alice', consumerGroup: 'alice-group', mode: 'POP' }),
    ],
    [RequestCode.HEART_BEAT, {}, heartbeat('c', { group: 'alice-group', topic: 'of-mallory' })],
    [RequestCode.HEART_BEAT, {}, heartbeat('c', { group: 'mallory-group', topic: 'of-alice' })],
    ...[RequestCode.LOCK_BATCH_MQ, RequestCode.UNLOCK_BATCH_MQ].map((code): [number, ExtFields, Buffer] => [
      code,
      {},
      encodeLockBatchRequest({
        ...{ consumerGroup: 'alice-group', clientId: 'c', onlyThisBroker: false },
        mqSet: [{ topic: 'of-alice', brokerName: 'broker-a', queueId: 0 }],
      }),
    ]),
  ];
  for (const [code, fields, body] of attacks) {
    expect(await mallory(code, fields, body), NO_PERMISSION, `request ${code} ${JSON.stringify(fields)}`);
  }
  assert.equal(broker.store.maxPhyOffset, stored);
  assert.equal(broker.context.topics.select('of-alice')?.perm, 6);
  assert.equal(broker.context.consumers.members('alice-group')?.length ?? 0, 0);
  const offset = await alice(RequestCode.QUERY_CONSUMER_OFFSET, both);
  assert.equal(offset.extFields?.offset, '1');
  expect(await pull(alice, 'of-alice', 'alice-group'), SUCCESS, 'what is allowed is done');
  expect(await send(mallory, 'of-mallory'), SUCCESS);
});

test('access: retries and dead letters of another group are not read, by any way', async (t) => {
  const { mallory, broker } = await secured(t);
  for (const topic of [
    '%RETRY%alice-group',
    '%RETRY%alice-group+of-alice',
    '%RETRY%alice-group_of-alice',
    '%DLQ%alice-group',
  ]) {
    const fields = { topic, consumerGroup: 'mallory-group', queueId: '0' };
    for (const [code, more, body] of [
      [RequestCode.PULL_MESSAGE, pullFields(topic, 0, { consumerGroup: 'mallory-group' })],
      [
        RequestCode.POP_MESSAGE,
        { ...fields, maxMsgNums: '1', invisibleTime: '60000', pollTime: '0', bornTime: '0', initMode: '0' },
      ],
      [RequestCode.PEEK_MESSAGE, { ...fields, maxMsgNums: '1' }],
      [RequestCode.QUERY_CONSUMER_OFFSET, fields],
      [RequestCode.QUERY_MESSAGE, { topic, key: 'k', maxNum: '1', beginTimestamp: '0', endTimestamp: '9' }],
      [RequestCode.GET_MAX_OFFSET, fields],
      [RequestCode.SEND_MESSAGE_V2, sendFields(topic, 0, { a: 'mallory-group' }), 'x'],
      [RequestCode.HEART_BEAT, {}, heartbeat('c', { group: 'mallory-group', topic })],
    ] as [number, ExtFields, (Buffer | string)?][]) {
      expect(await mallory(code, more, body), NO_PERMISSION, `request ${code} of ${topic}`);
    }
  }
  assert.equal(broker.store.maxPhyOffset, 0);
});

test('access: a group whose name begins with mine and _ is not mine', async (t) => {
  const { mallory, root } = await secured(t);
  expect(await root(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, '{"groupName":"mallory-group_eu"}'), SUCCESS);
  expect(await pull(mallory, '%RETRY%mallory-group_eu', 'mallory-group'), NO_PERMISSION);
  const own = await pull(mallory, '%RETRY%mallory-group_of-mallory', 'mallory-group');
  assert.notEqual(own.code, NO_PERMISSION, 'what POP names so for this group is');
});

test('access: a message of another topic is neither viewed nor sent back into my retries by its place in the log', async (t) => {
  const { alice, mallory, broker } = await secured(t);
  const { msgId } = expect(await send(alice, 'of-alice', 'secret'), SUCCESS).extFields!;
  const offset = String(parseOffsetMessageId(msgId!).commitLogOffset);
  const stored = broker.store.maxPhyOffset;
  for (const more of [{}, { topic: 'of-mallory' }, { topic: 'of-alice' }]) {
    expect(await mallory(RequestCode.VIEW_MESSAGE_BY_ID, { offset, ...more }), NO_PERMISSION);
  }
  for (const originTopic of ['of-mallory', 'of-alice']) {
    const fields = { group: 'mallory-group', offset, delayLevel: '0', originTopic, originMsgId: msgId };
    expect(await mallory(RequestCode.CONSUMER_SEND_MSG_BACK, fields), NO_PERMISSION);
  }
  assert.equal(broker.store.maxPhyOffset, stored);
  expect(await alice(RequestCode.VIEW_MESSAGE_BY_ID, { offset, topic: 'of-alice' }), SUCCESS);
  const { msgId: own } = (await send(mallory, 'of-mallory')).extFields!;
  const ownOffset = String(parseOffsetMessageId(own!).commitLogOffset);
  expect(
    await mallory(RequestCode.CONSUMER_SEND_MSG_BACK, { group: 'mallory-group', offset: ownOffset, delayLevel: '0' }),
    SUCCESS,
  );
});

test('access: a transaction is ended by nobody who may not write its topic, whatever topic he says', async (t) => {
  const { alice, mallory, broker } = await secured(t);
  const properties = encodePropertiesString([
    ['TRAN_MSG', 'true'],
    ['PGROUP', 'producers'],
    ['UNIQ_KEY', 'U1'],
  ]);
  const half = expect(await send(alice, 'of-alice', 'half', { f: '4', i: properties }), SUCCESS).extFields!;
  const logOffset = parseOffsetMessageId(half.msgId!).commitLogOffset;
  const end = {
    producerGroup: 'producers',
    tranStateTableOffset: half.queueOffset,
    commitLogOffset: String(logOffset),
    msgId: 'U1',
  };
  const stored = broker.store.maxPhyOffset;
  for (const commitOrRollback of ['8', '12']) {
    for (const topic of ['of-alice', 'of-mallory', undefined]) {
      const fields = { ...end, commitOrRollback, topic };
      expect(await mallory(RequestCode.END_TRANSACTION, fields), NO_PERMISSION, `${commitOrRollback} ${topic}`);
    }
  }
  assert.equal(broker.store.maxPhyOffset, stored);
  expect(await alice(RequestCode.END_TRANSACTION, { ...end, commitOrRollback: '8', topic: 'of-alice' }), SUCCESS);
  assert.equal(broker.store.getMaxOffsetInQueue('of-alice', 0), 1);
});

test('access: a handle of another group’s delivery acknowledges and hides nothing of it', async (t) => {
  const { alice, mallory, broker } = await secured(t);
  expect(await send(alice, 'of-alice', 'secret'), SUCCESS);
  const popFields = {
    topic: 'of-alice',
    consumerGroup: 'alice-group',
    queueId: '0',
    maxMsgNums: '1',
    invisibleTime: '60000',
    pollTime: '0',
    bornTime: String(Date.now()),
    initMode: '0',
    expType: 'TAG',
    exp: '*',
  };
  expect(await alice(RequestCode.POP_MESSAGE, popFields), SUCCESS);
  const extraInfo = `0 ${Date.now()} 60000 0 0 broker-a 0 0`;
  const ack = { topic: 'of-alice', consumerGroup: 'alice-group', queueId: '0', offset: '0', extraInfo };
  const stored = broker.store.maxPhyOffset;
  for (const whose of [ack, { ...ack, consumerGroup: 'mallory-group' }]) {
    expect(await mallory(RequestCode.ACK_MESSAGE, whose), NO_PERMISSION);
    expect(await mallory(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, { ...whose, invisibleTime: '1000' }), NO_PERMISSION);
  }
  for (const [c, topic] of [
    ['alice-group', 'of-alice'],
    ['mallory-group', 'of-alice'],
    ['alice-group', 'of-mallory'],
  ]) {
    for (const entry of [
      { c, t: topic },
      { consumerGroup: c, topic },
    ]) {
      const acks = [{ ...entry, so: 0, q: 0, rq: 0, pt: 1, it: 60_000, b: 'AQ==' }];
      expect(
        await mallory(RequestCode.BATCH_ACK_MESSAGE, {}, JSON.stringify({ brokerName: 'broker-a', acks })),
        NO_PERMISSION,
      );
    }
  }
  assert.equal(broker.store.maxPhyOffset, stored);
});

test('access: nobody but who may change the cluster does what operators do', async (t) => {
  const { mallory, broker, root } = await secured(t);
  const config = await root(RequestCode.GET_BROKER_CONFIG);
  const user = JSON.stringify({ username: 'm2', password: 'm2-secret', userType: 'Super' });
  const acl = JSON.stringify({ policies: [{ entries: [{ resource: '*', actions: ['All'], decision: 'Allow' }] }] });
  const attacks: [number, ExtFields, string?][] = [
    [RequestCode.UPDATE_BROKER_CONFIG, {}, 'brokerPermission=0'],
    ...[26, 28, 21, 43, 45, 60, 61, 201, 204, 305, 306, 315, 316, 317, 328, 329, 907, 908, 1007, 200_074].map(
      (code): [number, ExtFields] => [code, {}],
    ),
    [RequestCode.AUTH_CREATE_USER, { username: 'm2' }, user],
    [RequestCode.AUTH_UPDATE_USER, { username: 'mallory' }, user],
    [RequestCode.AUTH_UPDATE_USER, { username: 'root' }, JSON.stringify({ password: 'mine' })],
    [RequestCode.AUTH_DELETE_USER, { username: 'alice' }],
    [RequestCode.AUTH_GET_USER, { username: 'alice' }],
    [RequestCode.AUTH_LIST_USER, {}],
    [RequestCode.AUTH_CREATE_ACL, { subject: 'User:mallory' }, acl],
    [RequestCode.AUTH_UPDATE_ACL, { subject: 'User:mallory' }, acl],
    [RequestCode.AUTH_DELETE_ACL, { subject: 'User:alice' }],
    [RequestCode.AUTH_GET_ACL, { subject: 'User:alice' }],
    [RequestCode.AUTH_LIST_ACL, {}],
  ];
  for (const [code, fields, body] of attacks) {
    expect(await mallory(code, fields, body), NO_PERMISSION, `request ${code}`);
  }
  const after = await root(RequestCode.GET_BROKER_CONFIG);
  assert.deepEqual(after.body, config.body);
  const users = JSON.parse(String((await root(RequestCode.AUTH_LIST_USER)).body)) as {
    username: string;
    userType: string;
  }[];
  assert.deepEqual(
    users.map(({ username, userType }) => `${username} ${userType}`),
    ['root Super', 'alice Normal', 'mallory Normal'],
  );
  assert.equal(broker.context.access.deniedCount, attacks.length);
});

test('access: an operator who is no Super makes no Super, changes none, and sees no secret', async (t) => {
  const { mallory, allow, root } = await secured(t);
  expect(await allow('mallory', 'Cluster:DefaultCluster', 'All'), SUCCESS);
  const asSuper = JSON.stringify({ password: 'x-secret', userType: 'Super' });
  expect(await mallory(RequestCode.AUTH_CREATE_USER, { username: 'm2' }, asSuper), ResponseCode.SYSTEM_ERROR);
  expect(await mallory(RequestCode.AUTH_UPDATE_USER, { username: 'mallory' }, asSuper), ResponseCode.SYSTEM_ERROR);
  expect(await mallory(RequestCode.AUTH_UPDATE_USER, { username: 'root' }, '{"password":"mine-now"}'), NO_PERMISSION);
  expect(await mallory(RequestCode.AUTH_DELETE_USER, { username: 'root' }), NO_PERMISSION);
  for (const code of [RequestCode.AUTH_GET_USER, RequestCode.AUTH_LIST_USER, RequestCode.GET_BROKER_CONFIG]) {
    const text = String(expect(await mallory(code, { username: 'alice' }), SUCCESS).body);
    assert.doesNotMatch(text, /-secret/, String(code));
  }
  const config = String((await root(RequestCode.GET_BROKER_CONFIG)).body);
  assert.doesNotMatch(config, /-secret|initAuthenticationUser/, 'nor does a Super in the configuration');
  const shown = JSON.parse(String((await root(RequestCode.AUTH_GET_USER, { username: 'alice' })).body)) as object;
  assert.deepEqual(shown, { username: 'alice', password: 'alice-secret', userType: 'Normal', userStatus: 'enable' });
});

test('access: a flood of names and values, groups and topics is refused before anything keeps it', async (t) => {
  const { as, namesrv, mallory, broker } = await secured(t);
  const atNamesrv = as('mallory', undefined, namesrv.address);
  const floods = Array.from({ length: 200 }, (_, i) => [
    atNamesrv(RequestCode.PUT_KV_CONFIG, { namespace: `n${i}`, key: 'k', value: 'v'.repeat(1_000) }),
    atNamesrv(RequestCode.REGISTER_TOPIC_IN_NAMESRV, { topic: `t${i}` }, '{"queueDatas":[]}'),
    mallory(RequestCode.HEART_BEAT, {}, heartbeat('c', { group: `g${i}`, topic: 'of-mallory' })),
    send(mallory, `t${i}`),
  ]);
  for (const answer of await Promise.all(floods.flat())) expect(answer, NO_PERMISSION);
  assert.equal(namesrv.kv.list('n0'), undefined);
  assert.equal(broker.context.topics.select('t0'), undefined);
  assert.equal(broker.context.groups.table.has('g0'), false);
  const registration = {
    brokerName: 'broker-a',
    brokerAddr: '10.0.0.9:1',
    clusterName: 'DefaultCluster',
    brokerId: '0',
    haServerAddr: '',
  };
  expect(await atNamesrv(RequestCode.REGISTER_BROKER, registration), NO_PERMISSION);
  expect(await atNamesrv(RequestCode.UNREGISTER_BROKER, registration), NO_PERMISSION);
});

test('access: routes are given to who may do something with the topic', async (t) => {
  const { as, namesrv, alice } = await secured(t);
  expect(await send(alice, 'of-alice'), SUCCESS);
  const route = (who: string, topic: string) =>
    as(who, undefined, namesrv.address)(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic, acceptStandardJsonOnly: 'true' });
  expect(await route('alice', 'of-alice'), SUCCESS);
  expect(await route('mallory', 'of-alice'), NO_PERMISSION);
  expect(await route('mallory', '%RETRY%alice-group'), NO_PERMISSION);
  expect(await route('mallory', 'TBW102'), SUCCESS, 'or no topic would be made by sending to it');
});

test('access: a message goes into no light queue of another user', async (t) => {
  const { mallory, allow, broker } = await secured(t, { store: { enableLmq: true, enableMultiDispatch: true } });
  const into = (queues: string) => encodePropertiesString([['INNER_MULTI_DISPATCH', queues]]);
  for (const queues of ['%LMQ%alices', '%LMQ%mine,%LMQ%alices', 'alices']) {
    expect(await send(mallory, 'of-mallory', 'x', { i: into(queues) }), NO_PERMISSION, queues);
  }
  assert.equal(broker.store.maxPhyOffset, 0);
  expect(await allow('mallory', 'Topic:%LMQ%mine*', 'Pub'), SUCCESS);
  expect(await send(mallory, 'of-mallory', 'x', { i: into('%LMQ%mine,%LMQ%mine-2') }), SUCCESS);
  assert.equal(broker.store.getMaxOffsetInQueue('%LMQ%mine', 0), 1);
  assert.equal(broker.store.getMaxOffsetInQueue('%LMQ%alices', 0), 0);
});

test('access: a broker of elsewhere registers with what it signs with, and not without', async (t) => {
  const { namesrv } = await secured(t, {
    broker: { innerClientAuthenticationCredentials: '{"accessKey":"inner","secretKey":"inner-secret"}' },
  });
  const elsewhere = async (brokerName: string, secretKey: string) => {
    const innerClientAuthenticationCredentials = JSON.stringify({ accessKey: 'inner', secretKey });
    const store = smallStore(await temporaryFolder(t, 'broker'));
    const options = { listenPort: 0, brokerName, namesrvAddr: namesrv.address, innerClientAuthenticationCredentials };
    const broker = new Broker(options, { store });
    cleanUp(t, () => broker.shutdown());
    await broker.start();
  };
  await elsewhere('broker-b', 'inner-secret');
  await elsewhere('broker-c', 'another-secret');
  const known = namesrv.routeOf('TBW102')?.brokerDatas.map(({ brokerName }) => brokerName);
  assert.deepEqual(known?.toSorted(), ['broker-a', 'broker-b']);
});

test('access: what is taken away is gone with the answer, on open connections too, and stays so over a restart', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  const { alice, root, broker } = await secured(t, { directory });
  expect(await send(alice, 'of-alice'), SUCCESS);
  expect(await root(RequestCode.AUTH_UPDATE_USER, { username: 'alice' }, '{"userStatus":"disable"}'), SUCCESS);
  expect(await send(alice, 'of-alice'), NO_PERMISSION);
  expect(await root(RequestCode.AUTH_UPDATE_USER, { username: 'alice' }, '{"userStatus":"enable"}'), SUCCESS);
  expect(await send(alice, 'of-alice'), SUCCESS);
  expect(await root(RequestCode.AUTH_DELETE_ACL, { subject: 'User:alice', resource: 'Topic:of-alice' }), SUCCESS);
  expect(await send(alice, 'of-alice'), NO_PERMISSION);
  expect(await root(RequestCode.AUTH_DELETE_USER, { username: 'mallory' }), SUCCESS);
  await broker.shutdown();
  const file = join(directory, 'config', 'access.json');
  if (process.platform !== 'win32') assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.match(await readFile(file, 'utf8'), /alice-secret/);
  const again = await startBroker(t, { directory, broker: { ...ON, initAuthenticationUser: '' } });
  const client = new RemotingClient({ credentials: { accessKey: 'alice', secretKey: 'alice-secret' } });
  cleanUp(t, () => client.close());
  const sent = createRequest(RequestCode.SEND_MESSAGE_V2, sendFields('of-alice'), Buffer.from('x'));
  expect(await client.invoke(again.address, sent, 10_000), NO_PERMISSION);
  assert.equal(again.broker.context.accessAdmin.user('mallory', undefined), undefined);
  assert.equal(again.broker.context.accessAdmin.user('root', undefined)?.userType, 'Super');
});

const changes: [string, number, ExtFields, string?][] = [
  ['is disabled', RequestCode.AUTH_UPDATE_USER, { username: 'alice' }, '{"userStatus":"disable"}'],
  ['has another secret', RequestCode.AUTH_UPDATE_USER, { username: 'alice' }, '{"password":"another"}'],
  ['is deleted', RequestCode.AUTH_DELETE_USER, { username: 'alice' }],
  ['may not read the topic', RequestCode.AUTH_DELETE_ACL, { subject: 'User:alice', resource: 'Topic:of-alice' }],
];

for (const [what, code, fields, body] of changes) {
  test(`access: a request that waits gets no message when its user ${what} meanwhile`, async (t) => {
    const { alice, root, broker } = await secured(t);
    expect(await send(root, 'of-alice', 'first'), SUCCESS);
    const { holds, pop } = broker.context;
    const queue = { consumerGroup: 'alice-group', topic: 'of-alice', queueId: '0' };
    expect(await alice(RequestCode.UPDATE_CONSUMER_OFFSET, { ...queue, commitOffset: '1' }), SUCCESS);
    const born = { pollTime: '30000', bornTime: String(Date.now()) };
    const held = pullFields('of-alice', 1, { ...queue, sysFlag: '6', suspendTimeoutMillis: '3600000' });
    const popped = { ...queue, ...born, maxMsgNums: '1', invisibleTime: '60000', initMode: '1' };
    const waiting = [
      alice(RequestCode.PULL_MESSAGE, held),
      alice(RequestCode.POP_MESSAGE, popped),
      alice(RequestCode.NOTIFICATION, { ...queue, ...born }),
    ];
    while (holds.count + pop.polling.count + pop.notificationPolling.count < 3) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await root(code, fields, body), SUCCESS);
    expect(await send(root, 'of-alice', 'second'), SUCCESS);
    for (const answer of await Promise.all(waiting)) {
      expect(answer, NO_PERMISSION);
      assert.equal(answer.body?.length ?? 0, 0);
    }
    const others = await pull(root, 'of-alice', 'alice-group');
    assert.match(others.body!.toString(), /second/, 'it is there for those who may');
  });
}

test('access: a notification that is denied while it waits passes its message on to the next one of the group', async (t) => {
  const { alice, root, broker } = await secured(t);
  expect(await send(root, 'of-alice', 'first'), SUCCESS);
  const { notificationPolling } = broker.context.pop;
  const queue = { consumerGroup: 'alice-group', topic: 'of-alice', queueId: '0' };
  expect(await root(RequestCode.UPDATE_CONSUMER_OFFSET, { ...queue, commitOffset: '1' }), SUCCESS);
  const began = Date.now();
  const waits = { ...queue, pollTime: '30000', bornTime: String(began) };
  const waiting: ReturnType<typeof alice>[] = [];
  for (const who of [alice, root]) {
    waiting.push(who(RequestCode.NOTIFICATION, waits));
    while (notificationPolling.count < waiting.length) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await root(RequestCode.AUTH_DELETE_USER, { username: 'alice' }), SUCCESS);
  expect(await send(root, 'of-alice', 'second'), SUCCESS);
  const [denied, told] = await Promise.all(waiting);
  expect(denied!, NO_PERMISSION);
  assert.equal(expect(told!, SUCCESS).extFields?.hasMsg, 'true');
  assert.ok(Date.now() - began < 15_000, 'it did not wait for the end of its time');
});

test('access: a request that waits is served as before when somebody else changes', async (t) => {
  const { alice, root, broker } = await secured(t);
  expect(await send(root, 'of-alice', 'first'), SUCCESS);
  const more = { consumerGroup: 'alice-group', sysFlag: '6', suspendTimeoutMillis: '30000' };
  const [held, ofRoot] = [alice, root].map((who) => who(RequestCode.PULL_MESSAGE, pullFields('of-alice', 1, more)));
  while (broker.context.holds.count < 2) await new Promise((resolve) => setImmediate(resolve));
  const writer = broker.context.accessAdmin;
  assert.equal(await writer.deleteUser('mallory', undefined), undefined);
  assert.equal(
    await writer.createUser(
      { username: 'carol', password: 'c', userType: undefined, userStatus: undefined },
      undefined,
    ),
    undefined,
  );
  expect(await send(alice, 'of-alice', 'second'), SUCCESS);
  for (const answer of await Promise.all([held!, ofRoot!]))
    assert.match(expect(answer, SUCCESS).body!.toString(), /second/);
});

test('access: a request on the white list needs no signature; a bad signature there is nobody’s', async (t) => {
  const { client, address } = await secured(t, {
    broker: { authenticationWhitelist: '28,310', authorizationWhitelist: '28' },
  });
  const ask = (code: number, fields: ExtFields = {}) => client.invoke(address, createRequest(code, fields), 10_000);
  expect(await ask(28), SUCCESS);
  expect(await ask(28, { AccessKey: 'root', Signature: 'x' }), SUCCESS);
  expect(await ask(310, { ...sendFields('of-alice'), AccessKey: 'root', Signature: 'x' }), NO_PERMISSION);
  expect(await ask(310, sendFields('of-alice')), NO_PERMISSION, 'policies are asked about somebody');
});

test('access: with signatures and without policies every user may do everything but change users above him', async (t) => {
  const { mallory } = await secured(t, { broker: { authorizationEnabled: false } });
  expect(await send(mallory, 'of-alice'), SUCCESS);
  expect(await mallory(RequestCode.GET_BROKER_CONFIG), SUCCESS);
  expect(await mallory(RequestCode.AUTH_DELETE_USER, { username: 'root' }), NO_PERMISSION);
});

test('access: policies without signatures are refused at the start', () => {
  const make = () => new Broker({ authorizationEnabled: true }, { store: { storePathRootDir: '/nowhere' } });
  assert.throws(make, { code: 'BROKER_CONFIG_INVALID', message: /needs authenticationEnabled/ });
});

test('access: a first user that could not be read again is refused at the start, and nothing stays of it', async (t) => {
  const directory = await temporaryFolder(t, 'broker');
  for (const [username, password] of [
    ['root', 'x'.repeat(257)],
    ['x'.repeat(129), 'secret'],
    [' root', 'secret'],
    ['root', ' '],
  ]) {
    const initAuthenticationUser = JSON.stringify({ username, password });
    const broker = new Broker({ listenPort: 0, initAuthenticationUser }, { store: smallStore(directory) });
    await assert.rejects(broker.start(), { code: 'BROKER_CONFIG_INVALID', message: /^initAuthenticationUser: / });
    await assert.rejects(stat(join(directory, 'config', 'access.json')), { code: 'ENOENT' });
  }
  const { broker } = await startBroker(t, { directory, broker: ON });
  assert.equal(broker.context.accessAdmin.user('root', undefined)?.userType, 'Super');
});

test('access: without access control nothing is asked, and users can be prepared', async (t) => {
  const { invoke, broker } = await startBroker(t);
  expect(await send(invoke, 'anybodys'), SUCCESS);
  expect(
    await invoke(RequestCode.AUTH_CREATE_USER, { username: 'a' }, '{"password":"a-secret","userType":"Super"}'),
    SUCCESS,
  );
  expect(await invoke(RequestCode.AUTH_CREATE_USER, { username: 'a' }, '{"password":"a-secret"}'), NO_PERMISSION);
  const shown = await invoke(RequestCode.AUTH_GET_USER, { username: 'a' });
  assert.doesNotMatch(String(shown.body), /a-secret/, 'a secret is told to nobody who did not prove to be a Super');
  assert.equal(broker.context.accessAdmin.user('a', undefined)?.userType, 'Super');
});

test('access: two ports below, where old clients send to, the same users are asked for', async (t) => {
  const port = await freePort();
  const { broker, as, root } = await secured(t, { broker: { listenPort: port } });
  const { port: vipPort } = broker.vipAddress!;
  assert.equal(vipPort, port - 2);
  const vip = `127.0.0.1:${vipPort}`;
  const unsigned = new RemotingClient();
  cleanUp(t, () => unsigned.close());
  for (const code of broker.requestCodes) {
    const request = createRequest(code, {});
    // After ten failures in a minute answers come slowly; a few of each kind will do.
    if (code % 7 !== 3 && code !== RequestCode.SEND_MESSAGE) continue;
    expect(await unsigned.invoke(vip, request, 10_000), NO_PERMISSION, `code ${code}`);
  }
  const oldAlice = as('alice', 'alice-secret', vip);
  const oldMallory = as('mallory', 'mallory-secret', vip);
  expect(await send(oldAlice, 'of-alice'), SUCCESS);
  const stored = broker.store.maxPhyOffset;
  expect(await send(oldMallory, 'of-alice'), NO_PERMISSION);
  expect(await send(as('alice', 'another', vip), 'of-alice'), NO_PERMISSION);
  expect(await pull(oldMallory, 'of-alice', 'mallory-group'), NO_PERMISSION);
  assert.equal(broker.store.maxPhyOffset, stored);
  // What is taken away counts there at once.
  expect(await root(RequestCode.AUTH_DELETE_ACL, { subject: 'User:alice' }), SUCCESS);
  expect(await send(oldAlice, 'of-alice'), NO_PERMISSION);
});
