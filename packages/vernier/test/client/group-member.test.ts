import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodeHeartbeatData, encodeConsumerList, ResponseCode, requestCodeName } from '@vernier/remoting';
import fc from 'fast-check';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { Cluster } from '../../src/client/cluster.ts';
import { allocate, GroupMember } from '../../src/client/group-member.ts';
import { type Answering, type FakePeer, fakeNamesrv, fakePeer } from '../in-process.ts';

const queues = (count: number) =>
  Array.from({ length: count }, (_, queueId) => ({ topic: 't', brokerName: 'b', queueId }));
const ids = (taken: readonly { queueId: number }[]): number[] => taken.map(({ queueId }) => queueId);

test('allocate: runs of queues, the longer ones first, as the Java client computes them', () => {
  const members = ['c', 'a', 'b'];
  assert.deepEqual(
    members.map((self) => ids(allocate(queues(8), members, self))),
    [
      [6, 7],
      [0, 1, 2],
      [3, 4, 5],
    ],
  );
  assert.deepEqual(ids(allocate(queues(2), members, 'c')), []);
});

test('allocate: who is not in the list gets nothing', () => {
  assert.deepEqual(allocate(queues(8), ['a'], 'b'), []);
  assert.deepEqual(allocate(queues(8), [], 'b'), []);
});

test('allocate: every queue belongs to exactly one member, whatever the numbers', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 1, max: 20 }), (queueCount, memberCount) => {
      const members = Array.from({ length: memberCount }, (_, index) => `member-${index}`);
      const taken = members.flatMap((self) => ids(allocate(queues(queueCount), members, self)));
      assert.deepEqual(
        taken.sort((a, b) => a - b),
        ids(queues(queueCount)),
      );
      const sizes = members.map((self) => allocate(queues(queueCount), members, self).length);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
    }),
  );
});

async function memberAt(
  t: TestContext,
  answer: Answering,
): Promise<{ member: GroupMember; broker: FakePeer; namesrv: FakePeer }> {
  const broker = await fakePeer(t, answer);
  const namesrv = await fakeNamesrv(t, { b: broker.address }, { queues: 4 });
  const cluster = new Cluster(namesrv.address);
  cleanUp(t, () => cluster.close());
  const member = new GroupMember(cluster, 'g', 'T', 'a || b');
  // The heartbeat's timer goes with it.
  cleanUp(t, () => member.leave());
  return { member, broker, namesrv };
}

const codes = ({ requests }: FakePeer): string[] => requests.map(({ code }) => requestCodeName(code));

test('group member: joins by a heartbeat with group, topic and tags, and leaves with the same name', async (t) => {
  const { member, broker } = await memberAt(t, () => ({}));
  await member.join(() => {});
  const { clientID, consumers } = decodeHeartbeatData(broker.requests[0]!.body);
  assert.equal(clientID, member.clientId);
  const [data] = consumers;
  const [subscription] = data!.subscriptionDataSet;
  assert.deepEqual([data!.groupName, subscription!.topic, subscription!.subString], ['g', 'T', 'a || b']);
  await member.leave();
  assert.deepEqual(codes(broker), ['HEART_BEAT', 'UNREGISTER_CLIENT']);
  const { clientID: left, consumerGroup } = broker.requests[1]!.extFields!;
  assert.deepEqual([left, consumerGroup], [member.clientId, 'g']);
});

test('group member: a broker that refuses the heartbeat refuses the join, and is not said farewell to', async (t) => {
  const { member, broker } = await memberAt(t, () => ({ code: ResponseCode.NO_PERMISSION, remark: 'not this group' }));
  await assert.rejects(
    member.join(() => {}),
    { code: 'CLI_REFUSED', message: /HEART_BEAT with NO_PERMISSION.*not this group/ },
  );
  await member.leave();
  assert.deepEqual(codes(broker), ['HEART_BEAT']);
});

test('group member: a broker that went away does not keep it from leaving', async (t) => {
  const { member, broker } = await memberAt(t, () => ({}));
  await member.join(() => {});
  broker.answer = () => ({ code: ResponseCode.SYSTEM_ERROR });
  await member.leave();
  assert.deepEqual(codes(broker), ['HEART_BEAT', 'UNREGISTER_CLIENT']);
});

test('group member: its share is what the list of members leaves it, none when it is not in the list', async (t) => {
  const { member, broker } = await memberAt(t, () => ({}));
  const shareAmong = async (members: string[]): Promise<number[]> => {
    broker.answer = () => ({ body: encodeConsumerList(members) });
    return (await member.assignment()).map(({ queueId }) => queueId);
  };
  assert.deepEqual(await shareAmong([member.clientId]), [0, 1, 2, 3]);
  assert.deepEqual(await shareAmong(['~last', member.clientId]), [0, 1]);
  assert.deepEqual(await shareAmong([' first', member.clientId]), [2, 3]);
  assert.deepEqual(await shareAmong(['somebody', 'else']), []);
  assert.deepEqual(await shareAmong([]), []);
  const [queue] = await shareQueues(member, broker);
  assert.equal(queue!.address, broker.address);
});

function shareQueues(member: GroupMember, broker: FakePeer) {
  broker.answer = () => ({ body: encodeConsumerList([member.clientId]) });
  return member.assignment();
}

test('group member: a topic that is gone from the route is an empty share, and no broker is asked', async (t) => {
  const { member, broker, namesrv } = await memberAt(t, () => ({}));
  namesrv.answer = () => ({ code: ResponseCode.TOPIC_NOT_EXIST });
  assert.deepEqual(await member.assignment(), []);
  assert.deepEqual(broker.requests, []);
});

test('group member: a list of members that cannot be read is an error and no empty share', async (t) => {
  const { member, broker } = await memberAt(t, () => ({}));
  for (const body of ['', '[', '[]', '{"consumerIdList":"all"}']) {
    broker.answer = () => ({ body });
    await assert.rejects(member.assignment(), (error: { code?: string }) => /^REMOTING_/.test(error.code ?? ''), body);
  }
});

test('group member: an offset that nobody committed is undefined and not nought', async (t) => {
  const { member, broker } = await memberAt(t, () => ({}));
  const queue = { topic: 'T', brokerName: 'b', queueId: 2, address: broker.address };
  broker.answer = () => ({ code: ResponseCode.QUERY_NOT_FOUND, fields: { offset: '0' } });
  assert.equal(await member.committedOffset(queue), undefined);
  broker.answer = () => ({ fields: { offset: '0' } });
  assert.equal(await member.committedOffset(queue), 0);
  const asked = broker.requests[0]!.extFields!;
  assert.deepEqual(
    [asked.consumerGroup, asked.topic, asked.queueId, asked.setZeroIfNotFound],
    ['g', 'T', '2', 'false'],
  );
  broker.answer = () => ({ fields: { offset: 'far' } });
  await assert.rejects(member.committedOffset(queue), { code: 'REMOTING_BODY_INVALID' });
  broker.answer = () => ({ code: ResponseCode.SYSTEM_ERROR });
  await assert.rejects(member.committedOffset(queue), { code: 'CLI_REFUSED' });
});

test('group member: a commit that the broker does not take is an error', async (t) => {
  const { member, broker } = await memberAt(t, () => ({}));
  const queue = { topic: 'T', brokerName: 'b', queueId: 2, address: broker.address };
  await member.commit(queue, 17);
  const { consumerGroup, topic, queueId, commitOffset } = broker.requests[0]!.extFields!;
  assert.deepEqual([consumerGroup, topic, queueId, commitOffset], ['g', 'T', '2', '17']);
  broker.answer = () => ({ code: ResponseCode.SYSTEM_ERROR, remark: 'no' });
  await assert.rejects(member.commit(queue, 18), { code: 'CLI_REFUSED' });
});
