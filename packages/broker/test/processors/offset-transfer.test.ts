import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import { heartbeat, send, startBroker } from '../harness.ts';

test('CLONE_GROUP_OFFSET puts one group where another is, in one topic or in all', async (t) => {
  const node = await startBroker(t);
  const { invoke, broker } = node;
  const { offsets, groups } = broker.context;
  for (const topic of ['T', 'U']) await send(node, topic, 'x');
  groups.find('source');
  for (const [topic, queueId, offset] of [
    ['T', 0, 5],
    ['T', 1, 6],
    ['U', 0, 7],
    ['Gone', 0, 8],
  ] as const) {
    offsets.commit('source', topic, queueId, offset);
  }
  const clone = async (fields: Record<string, string>) =>
    (await invoke(RequestCode.CLONE_GROUP_OFFSET, { srcGroup: 'source', destGroup: 'target', ...fields })).code;

  groups.find('target');
  offsets.commit('target', 'T', 3, 9);
  offsets.assignResets('target', 'T', new Map([[0, 1]]));
  assert.equal(await clone({ topic: 'T', offline: 'true' }), ResponseCode.SUCCESS);
  assert.deepEqual(
    offsets.offsetsOf('target', 'T'),
    new Map([
      [0, 5],
      [1, 6],
    ]),
  );
  assert.equal(offsets.takeReset('target', 'T', 0), undefined, 'a reset from before does not undo it');
  assert.equal(offsets.query('target', 'U', 0), -1);
  offsets.commit('target', 'T', 0, 50);
  assert.equal(offsets.query('source', 'T', 0), 5, 'the two go their ways afterwards');

  assert.equal(await clone({ destGroup: 'other', offline: 'true' }), ResponseCode.SUCCESS);
  assert.equal(groups.has('other'), true);
  assert.deepEqual([offsets.query('other', 'T', 0), offsets.query('other', 'U', 0)], [5, 7]);
  assert.equal(offsets.query('other', 'Gone', 0), -1, 'a topic that is gone gets no offsets');

  await invoke(RequestCode.HEART_BEAT, undefined, heartbeat('c', { group: 'source', topic: 'U' }));
  assert.equal(await clone({ destGroup: 'third' }), ResponseCode.SUCCESS);
  assert.equal(offsets.query('third', 'U', 0), 7);
  assert.equal(offsets.query('third', 'T', 0), -1, 'it is online, and subscribes to U alone');
});

test('CLONE_GROUP_OFFSET that is refused, or has nothing to clone, changes nothing', async (t) => {
  const node = await startBroker(t);
  const { invoke, broker } = node;
  const { offsets, groups } = broker.context;
  await send(node, 'T', 'x');
  for (let queueId = 0; queueId < 1_000; queueId++) offsets.commit('source', 'T', queueId, 5);
  const clone = async (fields: Record<string, string | undefined>) =>
    (
      await invoke(RequestCode.CLONE_GROUP_OFFSET, {
        srcGroup: 'source',
        destGroup: 'target',
        offline: 'true',
        ...fields,
      })
    ).code;
  assert.equal(await clone({ srcGroup: 'nobody' }), ResponseCode.SUCCESS);
  assert.equal(await clone({ topic: 'Other' }), ResponseCode.SUCCESS);
  assert.equal(groups.has('target'), false);
  for (const hostile of [
    { destGroup: 'bad name' },
    { destGroup: '' },
    { destGroup: undefined },
    { srcGroup: '../x' },
    { offline: 'perhaps' },
  ]) {
    assert.equal(await clone(hostile), ResponseCode.INVALID_PARAMETER, JSON.stringify(hostile));
  }
  assert.equal(await clone({ destGroup: 'source' }), ResponseCode.SUCCESS, 'a group to itself');
  assert.equal(offsets.offsetsOf('source', 'T').size, 1_000);
  // No room for as many again.
  broker.context.config.consumerOffsetBytesMax = 64 * 1024;
  assert.equal(await clone({}), ResponseCode.SYSTEM_BUSY);
  broker.context.config.consumerOffsetBytesMax = 1024 * 1024;
  broker.context.config.autoCreateSubscriptionGroup = false;
  assert.equal(await clone({}), ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST);
  assert.equal(groups.has('target'), false);
  assert.equal(offsets.offsetsOf('target', 'T').size, 0);
});

test('QUERY_CORRECTION_OFFSET: where all groups have come to, and no offset is deleted by asking', async (t) => {
  const node = await startBroker(t);
  const { invoke, broker } = node;
  const { offsets } = broker.context;
  await send(node, 'T', 'x');
  for (const [group, queueId, offset] of [
    ['a', 0, 5],
    ['b', 0, 3],
    ['c', 0, 1],
    ['a', 1, 9],
    ['b', 1, 4],
    ['b', 2, 4],
  ] as const) {
    offsets.commit(group, 'T', queueId, offset);
  }
  const ask = async (fields: Record<string, string>) => {
    const answer = await invoke(RequestCode.QUERY_CORRECTION_OFFSET, { topic: 'T', compareGroup: 'a', ...fields });
    return answer.code === ResponseCode.SUCCESS ? String(answer.body) : answer.code;
  };
  assert.equal(await ask({}), '{"correctionOffsets":{"0":1,"1":4,"2":4}}');
  assert.equal(await ask({ filterGroups: 'c,b' }), '{"correctionOffsets":{"0":5,"1":9}}');
  assert.equal(offsets.query('c', 'T', 0), 1, 'RocketMQ deletes those of the groups that are left out');
  // b is the only one, and a is behind it in queue 0.
  offsets.commit('a', 'T', 0, 2);
  assert.equal(await ask({ filterGroups: 'a,c' }), '{"correctionOffsets":{"0":9223372036854775807,"1":4,"2":4}}');
  assert.equal(await ask({ topic: 'None' }), '{"correctionOffsets":{}}');
  assert.equal(await ask({ compareGroup: '__proto__' }), '{"correctionOffsets":{"0":1,"1":4,"2":4}}');
  const incomplete = await invoke(RequestCode.QUERY_CORRECTION_OFFSET, { topic: 'T' });
  assert.equal(incomplete.code, ResponseCode.INVALID_PARAMETER);
});
