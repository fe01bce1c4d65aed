// Numbers and names that a queue cannot have, in every request that takes some: answered, and nothing is left of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  type ExtFields,
  type RemotingCommand,
  type RemotingConnection,
  RequestCode,
  ResponseCode,
  requestCodeName,
} from '@vernier/remoting';
import { allProcessors } from '../../src/processors/index.ts';
import { MachineBroker } from '../machine-broker.ts';
import { textOf } from '../table-fixtures.ts';

async function open() {
  const broker = await MachineBroker.start();
  await broker.send('T', 'a');
  await broker.send('T', 'b');
  const { context, machine } = broker;
  context.groups.find('g');
  const handlers = new Map(allProcessors(context));
  const connection = {
    ...{ remoteAddress: '10.0.0.1:5000', remoteHost: '10.0.0.1', remotePort: 5_000, closed: false },
    ...{ destroy: () => {}, invokeOneway: () => {}, reserve: () => undefined, unreserve: () => {} },
  } as unknown as RemotingConnection;
  const ask = async (code: number, fields: ExtFields): Promise<RemotingCommand> => {
    const answer = Promise.resolve(handlers.get(code)!(createRequest(code, fields), connection));
    return (await machine.until(answer, requestCodeName(code)))!;
  };
  const shown = () => [
    textOf(context.topics),
    textOf(context.groups),
    textOf(context.offsets),
    broker.store.maxPhyOffset,
  ];
  return { broker, context, ask, shown };
}

const queue = { topic: 'T', queueId: '0' };
const place = { ...queue, consumerGroup: 'g' };
const requests: [code: number, fields: ExtFields][] = [
  [RequestCode.GET_MAX_OFFSET, queue],
  [RequestCode.GET_MIN_OFFSET, queue],
  [RequestCode.GET_EARLIEST_MSG_STORETIME, queue],
  [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...queue, timestamp: '5' }],
  [RequestCode.QUERY_CONSUMER_OFFSET, place],
  [RequestCode.QUERY_CONSUME_QUEUE, { ...queue, index: '0', count: '5' }],
  [RequestCode.VIEW_MESSAGE_BY_ID, { offset: '0' }],
  [RequestCode.QUERY_MESSAGE, { topic: 'T', key: 'k', maxNum: '5', beginTimestamp: '0', endTimestamp: '9' }],
  [RequestCode.GET_TOPIC_STATS_INFO, { topic: 'T' }],
  [RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: 'T', group: 'g' }],
  [RequestCode.GET_CONSUME_STATS, { consumerGroup: 'g', topic: 'T' }],
];
const numbers = ['-1', '65535', '65536', '2147483648', '-9223372036854775808', '9223372036854775807'];
const noNumbers = ['', ' 1', '1.5', '1e3', 'x', '١', '[]'];
const names = ['', ' ', '../../etc', 'a\u0000b', '__proto__', 'constructor', '%RETRY%', '\ud800', 'x'.repeat(70_000)];
const isNumber = (field: string): boolean => !['topic', 'key', 'group', 'consumerGroup'].includes(field);

test('hostile numbers: every question with a number or name that cannot be is answered and leaves nothing behind', async () => {
  const { broker, ask, shown } = await open();
  const before = shown();
  for (const [code, fields] of requests) {
    for (const field of Object.keys(fields)) {
      for (const value of isNumber(field) ? numbers : names) {
        const answer = await ask(code, { ...fields, [field]: value });
        const at = `${requestCodeName(code)} ${field}=${value.slice(0, 30)}`;
        assert.ok(answer.code >= 0, at);
        assert.ok(Buffer.byteLength(answer.remark ?? '') < 80_000, at);
      }
      for (const value of isNumber(field) ? noNumbers : []) {
        const optional = code === RequestCode.QUERY_MESSAGE && field.endsWith('Timestamp') && value === '';
        const answer = await ask(code, { ...fields, [field]: value });
        const expected = optional ? ResponseCode.QUERY_NOT_FOUND : ResponseCode.INVALID_PARAMETER;
        assert.equal(answer.code, expected, `${requestCodeName(code)} ${field}=${value}: ${answer.remark}`);
      }
      const { [field]: _, ...without } = fields;
      assert.ok((await ask(code, without)).code >= 0);
    }
  }
  assert.deepEqual(shown(), before);
  await broker.stop();
});

test('hostile numbers: an offset that cannot be is not committed, whichever way it comes', async () => {
  const { broker, context, ask } = await open();
  const update = (more: ExtFields) => ask(RequestCode.UPDATE_CONSUMER_OFFSET, { ...place, commitOffset: '1', ...more });
  const reset = (more: ExtFields) => ask(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, { ...queue, group: 'g', ...more });
  for (const queueId of ['-1', '65536', '9223372036854775807']) {
    assert.equal((await update({ queueId })).code, ResponseCode.INVALID_PARAMETER, queueId);
  }
  for (const commitOffset of ['-1', '-9223372036854775808', '', '1.5']) {
    assert.equal((await update({ commitOffset })).code, ResponseCode.INVALID_PARAMETER, commitOffset);
  }
  assert.equal((await reset({ queueId: '65536', timestamp: '0' })).code, ResponseCode.INVALID_PARAMETER);
  assert.equal((await reset({ offset: '-2' })).code, ResponseCode.SYSTEM_ERROR);
  assert.equal((await reset({ offset: '9223372036854775807' })).code, ResponseCode.SYSTEM_ERROR);
  assert.deepEqual([...context.offsets.topicsByGroup()], []);
  assert.equal((await update({ queueId: '65535' })).code, ResponseCode.SUCCESS);
  assert.equal(context.offsets.query('g', 'T', 65_535), 1);
  await broker.stop();
});

test('hostile numbers: requests about a topic or a group that is not there make neither', async () => {
  const { broker, context, ask, shown } = await open();
  const before = shown();
  const absent: [number, ExtFields, number][] = [
    [RequestCode.GET_TOPIC_CONFIG, { topic: 'None' }, ResponseCode.TOPIC_NOT_EXIST],
    [RequestCode.GET_TOPIC_STATS_INFO, { topic: 'None' }, ResponseCode.TOPIC_NOT_EXIST],
    [RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: 'None', group: 'none' }, ResponseCode.TOPIC_NOT_EXIST],
    [RequestCode.GET_CONSUME_STATS, { consumerGroup: 'none' }, ResponseCode.SUCCESS],
    [RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'none' }, ResponseCode.SYSTEM_ERROR],
    [RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'none' }, ResponseCode.CONSUMER_NOT_ONLINE],
    [RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: 'none' }, ResponseCode.SYSTEM_ERROR],
    [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'None' }, ResponseCode.SUCCESS],
    [RequestCode.QUERY_TOPICS_BY_CONSUMER, { group: 'none' }, ResponseCode.SUCCESS],
    [RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, { group: 'none', topic: 'None' }, ResponseCode.SUCCESS],
    [RequestCode.GET_CONSUMER_RUNNING_INFO, { consumerGroup: 'none', clientId: 'c' }, ResponseCode.SYSTEM_ERROR],
    [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'none' }, ResponseCode.SUCCESS],
    [RequestCode.UPDATE_CONSUMER_OFFSET, { ...place, consumerGroup: 'none', commitOffset: '1' }, 26],
    [RequestCode.UPDATE_CONSUMER_OFFSET, { ...place, topic: 'None', commitOffset: '1' }, ResponseCode.TOPIC_NOT_EXIST],
    [RequestCode.UNREGISTER_CLIENT, { clientID: 'c', producerGroup: 'none', consumerGroup: 'none' }, 0],
    [RequestCode.VIEW_BROKER_STATS_DATA, { statsName: 'TOPIC_PUT_NUMS', statsKey: 'None' }, ResponseCode.SYSTEM_ERROR],
    [RequestCode.QUERY_CONSUME_QUEUE, { topic: 'None', queueId: '0', index: '0', count: '1' }, 1],
  ];
  for (const [code, fields, expected] of absent) {
    const answer = await ask(code, fields);
    assert.equal(answer.code, expected, `${requestCodeName(code)}: ${answer.remark}`);
  }
  assert.deepEqual(shown(), before);
  assert.equal(context.groups.has('none'), false);
  assert.deepEqual([context.consumers.groupCount, context.producers.groupCount], [0, 0]);
  assert.equal(broker.store.queuesByTopic().has('None'), false);
  await broker.stop();
});
