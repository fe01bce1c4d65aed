import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest, type ExtFields, RequestCode } from '@vernier/remoting';
import type { Access } from '../../src/base/identity.ts';
import { accessesOf, accessRows, factsOf } from '../../src/gate/access-rows.ts';
import { heartbeat, startBroker } from '../harness.ts';

const asked = (code: number, fields: ExtFields = {}, body?: unknown, groups: readonly string[] = []): string[] => {
  const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const facts = factsOf(createRequest(code, fields, bytes), 'C', (name) => groups.includes(name));
  return accessesOf(facts).map(({ kind, name, actions }: Access) => `${kind}:${name} ${actions.join('|')}`);
};

test('access rows: every request of broker and nameserver has one, under its name, and no other does', async (t) => {
  const { broker, namesrv } = await startBroker(t);
  const served = [...broker.requestCodes, ...namesrv.server.requestCodes].sort((a, b) => a - b);
  assert.deepEqual(
    accessRows.map(({ code }) => code).sort((a, b) => a - b),
    served,
  );
  for (const { code, name } of accessRows) assert.equal(RequestCode[name], code);
});

test('access rows: a code without a row asks for the cluster', () => {
  assert.deepEqual(asked(99_999), ['Cluster:C Update']);
});

test('access rows: sends need the topic; to a retry topic, the group that sends and the group whose retries they are', () => {
  assert.deepEqual(asked(10, { topic: 'T', b: 'other', group: 'g' }), ['Topic:T Pub']);
  for (const code of [310, 320]) {
    assert.deepEqual(asked(code, { b: 'T', topic: 'other' }), ['Topic:T Pub']);
    assert.deepEqual(asked(code, {}), ['Topic: Pub'], 'without a topic it is no topic’s');
    assert.deepEqual(asked(code, { b: '%RETRY%g', a: 'g' }), ['Group:g Sub']);
    assert.deepEqual(asked(code, { b: '%RETRY%g' }), ['Group:g Sub']);
    assert.deepEqual(asked(code, { b: '%RETRY%others', a: 'mine' }), ['Group:mine Sub', 'Group:others Sub']);
    assert.deepEqual(asked(code, { b: '%DLQ%g', a: 'g' }), ['Topic:%DLQ%g Pub']);
  }
});

test('access rows: who reads needs topic and group; the retries of another group are that one’s', () => {
  for (const code of [11, 361, 200_050, 200_051, 200_052, 200_053, 200_054, 200_070, 200_072]) {
    const of = (topic: string, groups: string[] = []) => asked(code, { topic, consumerGroup: 'g' }, undefined, groups);
    assert.deepEqual(of('T'), ['Topic:T Sub', 'Group:g Sub'], String(code));
    assert.deepEqual(of('%RETRY%g'), ['Group:g Sub']);
    assert.deepEqual(of('%RETRY%g+T'), ['Group:g Sub']);
    assert.deepEqual(of('%RETRY%g_T'), ['Group:g Sub']);
    assert.deepEqual(of('%RETRY%g_T', ['g_T']), ['Group:g_T Sub', 'Group:g Sub'], 'a group named so');
    assert.deepEqual(of('%RETRY%gg'), ['Group:gg Sub', 'Group:g Sub']);
    assert.deepEqual(asked(code), ['Topic: Sub', 'Group: Sub']);
  }
  assert.deepEqual(asked(15, { topic: 'T', consumerGroup: 'g' }), ['Topic:T Sub|Update', 'Group:g Sub|Update']);
});

test('access rows: bodies say what is asked', () => {
  assert.deepEqual(asked(34, {}, heartbeat('c', { group: 'g', topic: 'T', producers: ['p'] })), [
    'Group:g Sub',
    'Topic:T Sub',
  ]);
  assert.deepEqual(asked(34, {}, heartbeat('c', { group: 'g', topic: '%RETRY%h' })), ['Group:g Sub', 'Group:h Sub']);
  assert.deepEqual(
    asked(41, {}, { consumerGroup: 'g', clientId: 'c', mqSet: [queue('T', 0), queue('T', 1), queue('%RETRY%g', 0)] }),
    ['Group:g Sub', 'Topic:T Sub'],
  );
  assert.deepEqual(asked(18, {}, { topicConfigList: [{ topicName: 'A' }, { topicName: '%RETRY%g' }] }), [
    'Topic:A Create',
    'Group:g Create',
  ]);
  assert.deepEqual(asked(200, {}, { groupName: 'g' }), ['Group:g Create']);
  assert.deepEqual(asked(225, {}, { groupConfigList: [{ groupName: 'g' }, { groupName: 'h' }] }), [
    'Group:g Create',
    'Group:h Create',
  ]);
  assert.deepEqual(asked(400, {}, { topic: 'T', consumerGroup: 'g' }), ['Group:g Sub', 'Topic:T Sub']);
  assert.deepEqual(asked(401, {}, { topic: 'T', consumerGroup: 'g' }), ['Group:g Update', 'Topic:T Update']);
  assert.deepEqual(
    asked(
      200_071,
      {},
      {
        subscriptionSet: [
          { topic: 'T', group: 'g' },
          { topic: 'U', group: 'h' },
        ],
      },
    ),
    [...['Group:g Sub', 'Topic:T Sub', 'Group:h Sub', 'Topic:U Sub']],
  );
  const acks = [
    { c: 'g', t: 'T' },
    { consumerGroup: 'h', topic: 'U' },
    { c: 'g', consumerGroup: 'h', t: 'T', topic: 'U' },
  ];
  assert.deepEqual(asked(200_151, {}, { acks }), [
    ...['Group:g Sub', 'Topic:T Sub', 'Group:h Sub', 'Topic:U Sub', 'Group:g Sub', 'Topic:T Sub'],
  ]);
  for (const code of [18, 34, 41, 42, 200, 225, 400, 401, 200_071]) {
    assert.throws(() => asked(code, {}, Buffer.from('{"')), `${code} with a body that is none`);
  }
});

test('access rows: lists in fields, and fields that may be missing', () => {
  assert.deepEqual(asked(208, { consumerGroup: 'g', topicList: 'A;B;' }), [
    'Group:g Get',
    'Topic:A Get',
    'Topic:B Get',
  ]);
  assert.deepEqual(asked(308, { topic: 'T', compareGroup: 'g', filterGroups: 'a,b' }), [
    ...['Topic:T Get', 'Group:g Get', 'Group:a Get', 'Group:b Get'],
  ]);
  assert.deepEqual(asked(35, { producerGroup: 'p', clientID: 'c' }), []);
  assert.deepEqual(asked(37, {}), []);
  assert.deepEqual(asked(37, { topic: 'T' }), ['Topic:T Pub']);
});

test('access rows: routes', () => {
  assert.deepEqual(asked(105, { topic: 'T' }), ['Topic:T Pub|Sub|Get']);
  assert.deepEqual(asked(105, { topic: '%RETRY%g' }), ['Group:g Sub|Get']);
  assert.deepEqual(asked(105, { topic: 'TBW102' }), []);
});

test('access rows: what changes the cluster, its users or its configuration asks for the cluster', () => {
  for (const code of [
    25, 306, 316, 329, 908, 3001, 3002, 3003, 3006, 3007, 3008, 100, 102, 103, 104, 205, 216, 217, 318, 327, 904,
  ]) {
    assert.deepEqual(asked(code, { topic: 'T', username: 'x' }, {}), ['Cluster:C Update'], String(code));
  }
  for (const code of [26, 28, 43, 45, 3004, 3005, 3009, 3010, 101, 319]) {
    assert.deepEqual(asked(code, {}, {}), ['Cluster:C Get'], String(code));
  }
});

const queue = (topic: string, queueId: number) => ({ topic, brokerName: 'b', queueId });
