// POP over the wire: what each request answers, and what it makes of fields that cannot be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  decodeRecords,
  type ExtFields,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  ResponseCode,
  requestCodeName,
} from '@vernier/remoting';
import { Machine } from '../../../torture/test/machine.ts';
import { allProcessors } from '../../src/processors/index.ts';
import { FakeClient } from '../fake-client.ts';
import { MachineBroker } from '../machine-broker.ts';

const { POP_MESSAGE, ACK_MESSAGE, BATCH_ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, PEEK_MESSAGE } = RequestCode;
const { NOTIFICATION, POLLING_INFO, QUERY_ASSIGNMENT, SET_MESSAGE_REQUEST_MODE } = RequestCode;
const { SUCCESS, INVALID_PARAMETER, NO_MESSAGE } = ResponseCode;

async function open() {
  const machine = new Machine({ flushDiskType: 'SYNC_FLUSH', mappedFileSizeCommitLog: 1024 * 1024 });
  const broker = await MachineBroker.start({ machine, hasTimer: true, random: () => 0.99 });
  for (const body of ['a', 'b', 'c']) await broker.send('T', body);
  const { context } = broker;
  context.groups.find('g');
  const handlers = new Map(allProcessors(context));
  const sent: RemotingCommand[] = [];
  let reserved = 0;
  const connection = {
    ...{ remoteAddress: '10.0.0.1:5000', remoteHost: '10.0.0.1', remotePort: 5_000, closed: false },
    ...{ destroy: () => {}, invokeOneway: () => true, send: (answer: RemotingCommand) => sent.push(answer) > 0 },
    reserve: (bytes: number) => {
      reserved += bytes;
      return undefined;
    },
    unreserve: (bytes: number) => {
      reserved -= bytes;
    },
  } as unknown as RemotingConnection;
  const begin = (code: number, fields: ExtFields, body?: string | Buffer): Promise<RemotingCommand | undefined> => {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    return Promise.resolve(handlers.get(code)!(createRequest(code, fields, bytes), connection));
  };
  const ask = async (code: number, fields: ExtFields, body?: string | Buffer): Promise<RemotingCommand> => {
    const answer = (await machine.until(begin(code, fields, body), requestCodeName(code)))!;
    reserved -= answer.reservedBytes ?? 0;
    return answer;
  };
  return { broker, context, begin, ask, sent, reserved: () => reserved };
}

const popFields: ExtFields = {
  ...{ consumerGroup: 'g', topic: 'T', queueId: '0', maxMsgNums: '32', invisibleTime: '30000', pollTime: '0' },
  ...{ bornTime: '0', initMode: '0', expType: 'TAG', exp: '*', order: 'false' },
};

/** The handle of a message, as clients make it. */
function handleOf({ extFields }: RemotingCommand, queueOffset: number): string {
  const [, , start] = extFields!.startOffsetInfo!.split(' ');
  return `${start} ${extFields!.popTime} ${extFields!.invisibleTime} ${extFields!.reviveQid} 0 broker-a 0 ${queueOffset}`;
}

const ackFields = (answer: RemotingCommand, queueOffset: number): ExtFields => ({
  ...{ consumerGroup: 'g', topic: 'T', queueId: '0', offset: String(queueOffset) },
  extraInfo: handleOf(answer, queueOffset),
});

test('wire: pop, ack, change, batch ack', async () => {
  const { broker, ask, reserved } = await open();
  const popped = await ask(POP_MESSAGE, popFields);
  assert.equal(popped.code, SUCCESS);
  assert.equal(popped.remark, 'FOUND');
  assert.deepEqual(
    decodeRecords(popped.body!).map(({ body }) => body.toString()),
    ['a', 'b', 'c'],
  );
  const { popTime, ...fields } = popped.extFields!;
  assert.deepEqual(fields, {
    ...{ invisibleTime: '30000', reviveQid: '0', restNum: '0', startOffsetInfo: '0 0 0', msgOffsetInfo: '0 0 0,1,2' },
  });
  assert.ok(Number(popTime) > 0);
  assert.equal((await ask(ACK_MESSAGE, ackFields(popped, 0))).code, SUCCESS);
  const changed = await ask(CHANGE_MESSAGE_INVISIBLETIME, { ...ackFields(popped, 1), invisibleTime: '5000' });
  assert.equal(changed.code, SUCCESS);
  assert.deepEqual(Object.keys(changed.extFields!).sort(), ['invisibleTime', 'popTime', 'reviveQid']);
  const entry = { c: 'g', t: 'T', r: '0', so: 0, q: 0, rq: 0, pt: Number(popTime), it: 30_000, b: 'BA==' };
  const batch = JSON.stringify({ brokerName: 'broker-a', acks: [entry, { ...entry, t: 'None' }, { r: '7' }] });
  assert.equal((await ask(BATCH_ACK_MESSAGE, {}, batch)).code, SUCCESS);
  await broker.machine.advance(40_000);
  const again = await ask(POP_MESSAGE, popFields);
  assert.deepEqual(
    decodeRecords(again.body!).map(({ body }) => body.toString()),
    ['b'],
  );
  const [retry] = decodeRecords(again.body!);
  assert.equal(retry!.topic, 'T');
  assert.match(retry!.properties.get('POP_CK')!, /^0 \d+ 30000 \d 1 broker-a 0 0$/);
  assert.equal(reserved(), 0);
  await broker.stop();
});

test('wire: a pop that waits is answered when a message comes, and 210 when none does', async () => {
  const { broker, ask, begin, sent, reserved } = await open();
  await ask(POP_MESSAGE, popFields);
  const waits = { ...popFields, pollTime: '5000' };
  assert.equal(await broker.machine.until(begin(POP_MESSAGE, waits), 'pop'), undefined);
  assert.equal((await ask(POLLING_INFO, popFields)).extFields?.pollingNum, '1');
  await broker.send('T', 'd');
  await broker.machine.advance(100);
  assert.equal(sent.length, 1);
  assert.deepEqual(
    decodeRecords(sent[0]!.body!).map(({ body }) => body.toString()),
    ['d'],
  );
  assert.equal(reserved(), sent[0]!.reservedBytes);
  assert.equal(await broker.machine.until(begin(POP_MESSAGE, waits), 'pop'), undefined);
  await broker.machine.advance(7_000);
  assert.equal(sent[1]?.code, ResponseCode.POLLING_TIMEOUT);
  assert.equal(sent[1]?.extFields?.restNum, '0');
  assert.equal((await ask(POP_MESSAGE, popFields)).code, ResponseCode.POLLING_TIMEOUT);
  await broker.stop();
});

test('wire: peek takes nothing, notification says that there is something', async () => {
  const { broker, ask, begin, sent, reserved } = await open();
  for (let i = 0; i < 2; i++) {
    const peeked = await ask(PEEK_MESSAGE, popFields);
    assert.equal(peeked.code, SUCCESS);
    assert.equal(decodeRecords(peeked.body!).length, 3);
    assert.equal(peeked.extFields?.restNum, '3');
  }
  assert.deepEqual((await ask(NOTIFICATION, popFields)).extFields, { hasMsg: 'true', pollingFull: 'false' });
  await ask(POP_MESSAGE, popFields);
  assert.equal((await ask(PEEK_MESSAGE, popFields)).code, ResponseCode.PULL_NOT_FOUND);
  assert.deepEqual((await ask(NOTIFICATION, popFields)).extFields, { hasMsg: 'false', pollingFull: 'false' });
  const notified = begin(NOTIFICATION, { ...popFields, pollTime: '9000' });
  assert.equal(await broker.machine.until(notified, 'notification'), undefined);
  await broker.send('T', 'd');
  await broker.machine.advance(100);
  assert.deepEqual(sent[0]?.extFields, { hasMsg: 'true', pollingFull: 'false' });
  assert.equal(reserved(), 0);
  await broker.stop();
});

test('wire: modes and assignments', async () => {
  const { broker, context, ask } = await open();
  const client = new FakeClient('member');
  context.consumers.register(
    'g',
    { client, lastUpdateTimestamp: 0, lastSeen: 0 },
    { consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', consumeFromWhere: 'x', subscriptions: [] },
  );
  const wanted = {
    topic: 'T',
    consumerGroup: 'g',
    clientId: 'member',
    strategyName: 'AVG',
    messageModel: 'CLUSTERING',
  };
  const query = async (more: object = {}) => {
    const answer = await ask(QUERY_ASSIGNMENT, {}, JSON.stringify({ ...wanted, ...more }));
    assert.equal(answer.code, SUCCESS);
    return JSON.parse(answer.body!.toString()).messageQueueAssignments;
  };
  const pulled = await query();
  assert.equal(pulled.length, 4);
  assert.deepEqual(pulled[0], { messageQueue: { brokerName: 'broker-a', queueId: 0, topic: 'T' }, mode: 'PULL' });
  const mode = { topic: 'T', consumerGroup: 'g', mode: 'POP', popShareQueueNum: 0 };
  const set = (more: object) => ask(SET_MESSAGE_REQUEST_MODE, {}, JSON.stringify({ ...mode, ...more }));
  assert.equal((await set({ topic: '%RETRY%g' })).code, ResponseCode.NO_PERMISSION);
  assert.equal((await set({ topic: 'None' })).code, ResponseCode.TOPIC_NOT_EXIST);
  assert.equal((await set({ consumerGroup: 'not legal!' })).code, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  assert.equal((await set({ mode: 'PUSH' })).code, INVALID_PARAMETER);
  assert.equal((await set({})).code, SUCCESS);
  assert.deepEqual(await query(), [{ messageQueue: { brokerName: 'broker-a', queueId: -1, topic: 'T' }, mode: 'POP' }]);
  const file = broker.file('messageRequestMode.json')!;
  assert.deepEqual(JSON.parse(file), { messageRequestModeMap: { T: { g: { ...mode } } } });
  assert.equal(await query({ topic: 'None' }), undefined);
  assert.equal(await query({ strategyName: 'constructor' }), undefined);
  assert.equal(await query({ consumerGroup: 'nobody' }), undefined);
  assert.equal((await query({ messageModel: 'BROADCASTING' })).length, 4);
  for (const body of ['', 'x', '[]', '{"messageModel":"x"}']) {
    assert.equal((await ask(QUERY_ASSIGNMENT, {}, body)).code, INVALID_PARAMETER, body);
    assert.equal((await ask(SET_MESSAGE_REQUEST_MODE, {}, body)).code, INVALID_PARAMETER, body);
  }
  await broker.stop();
});

test('wire: fields that cannot be are answered, and nothing is left of them', async () => {
  const { broker, context, ask, reserved } = await open();
  const popped = await ask(POP_MESSAGE, popFields);
  const numbers = ['-1', '-2', '65536', '2147483648', '-9223372036854775808', '9223372036854775807'];
  const none = ['', ' 1', '1.5', 'x', '١'];
  const handles = ['', 'x', '1 2 3', '0 0 0 0 0  0 0', `0 1 1 999999 0 b 0 0`, '-1 1 1 0 0 b 0 0', 'a '.repeat(5_000)];
  const requests: [number, ExtFields, string[]][] = [
    [POP_MESSAGE, popFields, ['queueId', 'maxMsgNums', 'invisibleTime']],
    [PEEK_MESSAGE, popFields, ['queueId', 'maxMsgNums']],
    [NOTIFICATION, popFields, ['queueId']],
    [POLLING_INFO, popFields, ['queueId']],
    [ACK_MESSAGE, { ...ackFields(popped, 99), offset: '99' }, ['queueId', 'offset']],
    [
      CHANGE_MESSAGE_INVISIBLETIME,
      { ...ackFields(popped, 99), offset: '99', invisibleTime: '1' },
      ['queueId', 'offset'],
    ],
  ];
  for (const [code, fields, needed] of requests) {
    for (const field of Object.keys(fields)) {
      for (const value of [...numbers, ...none, ...handles, 'x'.repeat(70_000), '__proto__']) {
        // It would wait.
        if (field === 'pollTime' && Number(value) > 0) continue;
        const answer = await ask(code, { ...fields, [field]: value });
        assert.ok(answer.code >= 0 && Buffer.byteLength(answer.remark ?? '') < 80_000, `${code} ${field}=${value}`);
      }
    }
    for (const field of needed) {
      for (const value of none) {
        const { code: answered } = await ask(code, { ...fields, [field]: value });
        assert.equal(answered, INVALID_PARAMETER, `${requestCodeName(code)} ${field}=${value}`);
      }
    }
  }
  for (const extraInfo of handles) {
    assert.equal((await ask(ACK_MESSAGE, { ...ackFields(popped, 0), extraInfo })).code, INVALID_PARAMETER, extraInfo);
  }
  const bodies = ['', '{}', '{"acks":[]}', '{"acks":null}'];
  for (const body of bodies) assert.equal((await ask(BATCH_ACK_MESSAGE, {}, body)).code, NO_MESSAGE, body);
  const garbage = [
    'x',
    '[]',
    '{"acks":1}',
    '{"acks":[1]}',
    '{"acks":[{"so":"x"}]}',
    `{"acks":[${'{},'.repeat(2_000)}{}]}`,
    // It would stand in a record of each entry.
    JSON.stringify({ brokerName: 'b'.repeat(256), acks: [{}] }),
  ];
  for (const body of garbage)
    assert.equal((await ask(BATCH_ACK_MESSAGE, {}, body)).code, INVALID_PARAMETER, body.slice(0, 30));
  const entry = { c: 'g', t: 'T', r: '0', so: 0, q: 0, rq: 0, pt: 1, it: 1, b: '' };
  const odd = [{ b: '////' }, { so: -1 }, { q: 99 }, { rq: 99 }, { pt: -5 }, { r: '9' }, { b: 'not base64!' }];
  for (const more of odd) {
    const body = JSON.stringify({ brokerName: 'b', acks: [{ ...entry, ...more }] });
    assert.ok((await ask(BATCH_ACK_MESSAGE, {}, body)).code >= 0, body);
  }
  assert.equal(reserved(), 0);
  const topics = new Set([...context.offsets.topicsByGroup().values()].flat());
  assert.deepEqual([...topics].sort(), ['T', 'rmq_sys_REVIVE_LOG_DefaultCluster']);
  await broker.stop();
});
