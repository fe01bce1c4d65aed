import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  createResponse,
  createTopicConfig,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  topicConfigJson,
} from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '../../../remoting/test/support/manual-clock.ts';
import { RemoteMembers } from '../../src/backend/remote/members.ts';
import { ClusterNames } from '../../src/backend/remote/topics.ts';
import { routeOf } from './remote-harness.ts';

const turn = (): Promise<void> => new Promise(setImmediate);

function started() {
  const clock = new ManualClock();
  const told: { address: string; resolve: (response: object) => void; reject: (error: Error) => void }[] = [];
  const forgotten: string[] = [];
  const calls = {
    remoting: { registerProcessor() {} },
    ask: () => assert.fail('whoever is not told must not be a reason to ask for routes anew'),
    askAside: (address: string) =>
      new Promise((resolve, reject) => {
        told.push({ address, resolve, reject });
      }),
  };
  const names = {
    addresses: () => new Map([...['x', 'y'].map((name) => [name, 'one:1'] as const), ['z', 'two:2'] as const]),
    forgetUnrouted: (address: string) => void forgotten.push(address),
  };
  const members = new RemoteMembers({
    ...({ calls, names, clock } as never as { calls: never; names: never; clock: never }),
    ...{ logger: silentLogger, random: () => 0, clientId: 'proxy' },
  });
  const beat = (group: string) =>
    members.beat({ producerGroups: [group], consumers: [] } as never, { isGone: false } as never);
  return { clock, told, forgotten, members, beat };
}

test('members: a broker is told one heartbeat at a time, and once more when there was news meanwhile', async () => {
  const { clock, told, beat } = started();
  beat('g');
  clock.advance(20);
  assert.deepEqual(
    told.map(({ address }) => address),
    ['one:1', 'two:2'],
    'each address once',
  );
  told[1]!.resolve({ code: ResponseCode.SUCCESS });
  await turn();
  for (let i = 0; i < 10; i++) {
    beat(`g${i}`);
    clock.advance(20_000);
    await turn();
  }
  assert.equal(told.filter(({ address }) => address === 'one:1').length, 1);
  told[0]!.resolve({ code: ResponseCode.SUCCESS });
  await turn();
  const again = told.filter(({ address }) => address === 'one:1');
  assert.equal(again.length, 2);
  again[1]!.resolve({ code: ResponseCode.SUCCESS });
  await turn();
  assert.equal(told.filter(({ address }) => address === 'one:1').length, 2, 'and there was no more news');
});

test('members: a broker that cannot be told is said to be away, and stops nothing', async () => {
  const { clock, told, forgotten, members, beat } = started();
  beat('g');
  clock.advance(20);
  told[0]!.reject(new Error('nobody listens'));
  await turn();
  assert.deepEqual(forgotten, ['one:1']);
  const client = { isGone: false } as never;
  members.beat({ producerGroups: ['h'], consumers: [] } as never, client);
  members.remove(client);
  for (const { reject } of told) reject(new Error('nobody listens'));
  await turn();
});

test('members: the address of a broker that no route names any more is forgotten', async () => {
  const clock = new ManualClock();
  const addresses: Record<string, string> = { a: 'one:1', b: 'two:2' };
  const body = Buffer.from(JSON.stringify(topicConfigJson(createTopicConfig('T', {}))));
  const answer = (request: RemotingCommand) =>
    createResponse(request, ResponseCode.SUCCESS, undefined, undefined, body);
  const calls = {
    askNamesrv: async (code: number) => routeOf(createRequest(code, {}), addresses),
    askAside: async () => answer(createRequest(RequestCode.GET_TOPIC_CONFIG, {})),
  };
  const names = new ClusterNames({ calls: calls as never, clock: clock as never, logger: silentLogger });
  await names.learnTopic('T');
  names.forgetUnrouted('one:1');
  assert.deepEqual([...names.addresses().keys()], ['a', 'b'], 'a route names both');
  delete addresses.a;
  clock.advance(20_000);
  names.learnTopic('T');
  await turn();
  names.forgetUnrouted('two:2');
  names.forgetUnrouted('one:1');
  assert.deepEqual([...names.addresses().keys()], ['b']);
});
