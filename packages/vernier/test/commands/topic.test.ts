import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  encodeTopicList,
  encodeTopicStatsTable,
  RequestCode,
  ResponseCode,
  requestCodeName,
  type TopicStatsTable,
} from '@vernier/remoting';
import type { Finished } from '../cli.ts';
import {
  assertFails,
  clusterBody,
  command,
  deadAddress,
  type FakePeer,
  fakePeer,
  lines,
  localBroker,
  routeBody,
} from '../in-process.ts';

/** Brokers a and b that do what is asked, and the nameserver that knows them. */
async function twoBrokers(t: TestContext): Promise<{ a: FakePeer; b: FakePeer; namesrv: FakePeer }> {
  const a = await fakePeer(t, () => ({}));
  const b = await fakePeer(t, () => ({}));
  const brokers = { a: a.address, b: b.address };
  const namesrv = await fakePeer(t, ({ code }) => {
    if (code === RequestCode.GET_BROKER_CLUSTER_INFO) return { body: clusterBody(brokers) };
    if (code === RequestCode.GET_ROUTEINFO_BY_TOPIC) return { body: routeBody(brokers, { queues: 2 }) };
    return {};
  });
  return { a, b, namesrv };
}

const asked = ({ requests }: FakePeer): string[] => requests.map(({ code }) => requestCodeName(code));

test('topic create: the same topic on every broker, and the answer in words and as JSON names them all', async (t) => {
  const { a, b, namesrv } = await twoBrokers(t);
  const args = ['topic', 'create', 'orders', '--queues', '3', '--perm', 'r', '--namesrv', namesrv.address];
  const plain = await command(args);
  assert.deepEqual([plain.code, plain.stdout, plain.stderr], [0, 'orders: 3 queues on a, b\n', '']);
  const json = await command([...args, '--json']);
  assert.deepEqual(JSON.parse(json.stdout), { topic: 'orders', brokers: ['a', 'b'], queues: 3, perm: 'r' });
  for (const broker of [a, b]) {
    assert.deepEqual(asked(broker), ['UPDATE_AND_CREATE_TOPIC', 'UPDATE_AND_CREATE_TOPIC']);
    const { topic, readQueueNums, writeQueueNums, perm } = broker.requests[0]!.extFields!;
    assert.deepEqual([topic, readQueueNums, writeQueueNums, perm], ['orders', '3', '3', '4']);
  }
});

test('topic create: the type of its messages goes to the broker, and none without it', async (t) => {
  const { a, namesrv } = await twoBrokers(t);
  const args = ['topic', 'create', 'orders', '--namesrv', namesrv.address];
  assert.equal((await command([...args, '--type', 'FIFO'])).code, 0);
  assert.equal((await command(args)).code, 0);
  assert.deepEqual(
    a.requests.map(({ extFields }) => extFields?.attributes),
    ['+message.type=FIFO', undefined],
  );
  assert.equal((await command([...args, '--type', 'fifo'])).code, 2);
});

test('topic create, delete: a broker that refuses in the middle is named, and so are those that had done it', async (t) => {
  const { a, b, namesrv } = await twoBrokers(t);
  b.answer = () => ({ code: ResponseCode.SYSTEM_ERROR, remark: 'the disk is full' });
  const cases: [args: string[], request: string][] = [
    [['create', 'orders'], 'UPDATE_AND_CREATE_TOPIC'],
    [['delete', 'orders'], 'DELETE_TOPIC_IN_BROKER'],
  ];
  for (const [args, request] of cases) {
    for (const json of [[], ['--json']]) {
      const refused = await command(['topic', ...args, ...json, '--namesrv', namesrv.address]);
      const text = `${b.address} answered ${request} with SYSTEM_ERROR \\(1\\): the disk is full; done before that on a`;
      assertFails(refused, 1, 'CLI_REFUSED', new RegExp(text));
    }
  }
  assert.ok(!asked(namesrv).includes('DELETE_TOPIC_IN_NAMESRV'), 'the route stays while a broker has the topic');
  a.answer = b.answer;
  const nothing = await command(['topic', 'create', 'orders', '--namesrv', namesrv.address]);
  assert.doesNotMatch(nothing.stderr, /done before that/);
});

test('topic create: numbers and permissions that are none reach no broker', async (t) => {
  const { a, namesrv } = await twoBrokers(t);
  for (const [flag, value] of [
    ['--queues', '0'],
    ['--queues', '65536'],
    ['--queues', '1.5'],
    ['--queues', ''],
    ['--perm', 'wr'],
    ['--perm', '6'],
  ] as const) {
    const refused = await command(['topic', 'create', 'x', '--namesrv', namesrv.address, flag, value]);
    assert.deepEqual([refused.code, refused.stdout], [2, ''], `${flag} ${value}`);
  }
  assert.deepEqual([asked(a), asked(namesrv)], [[], []]);
});

test('topic create: a nameserver without a broker is CLI_NO_ROUTE and not a topic on none', async (t) => {
  const namesrv = await fakePeer(t, () => ({ body: clusterBody({}) }));
  for (const json of [[], ['--json']]) {
    const refused = await command(['topic', 'create', 'x', ...json, '--namesrv', namesrv.address]);
    assertFails(refused, 1, 'CLI_NO_ROUTE', /the nameserver knows no broker/);
  }
});

test('topic delete, status: a topic that is not there is refused by name and nobody is asked to delete', async (t) => {
  const { a, namesrv } = await twoBrokers(t);
  namesrv.answer = () => ({ code: ResponseCode.TOPIC_NOT_EXIST });
  for (const name of ['delete', 'status']) {
    const refused = await command(['topic', name, 'nobody', '--namesrv', namesrv.address]);
    assertFails(refused, 1, 'CLI_NO_ROUTE', /knows no topic nobody; vernier topic list shows what there is/);
  }
  assert.deepEqual([asked(a), new Set(asked(namesrv))], [[], new Set(['GET_ROUTEINFO_BY_TOPIC'])]);
});

test('topic delete: brokers first and the route last, so that no client is sent to what is gone', async (t) => {
  const { a, b, namesrv } = await twoBrokers(t);
  const order: string[] = [];
  for (const [name, peer] of Object.entries({ a, b, namesrv })) {
    const { answer } = peer;
    peer.answer = (request) => {
      order.push(`${name} ${requestCodeName(request.code)}`);
      return answer(request);
    };
  }
  const deleted = await command(['topic', 'delete', 'orders', '--json', '--namesrv', namesrv.address]);
  assert.deepEqual(JSON.parse(deleted.stdout), { topic: 'orders', deleted: true, brokers: ['a', 'b'] });
  assert.deepEqual(order, [
    'namesrv GET_ROUTEINFO_BY_TOPIC',
    'a DELETE_TOPIC_IN_BROKER',
    'b DELETE_TOPIC_IN_BROKER',
    'namesrv DELETE_TOPIC_IN_NAMESRV',
  ]);
});

test('topic list: sorted, without the system’s topics and the brokers’ own; --all has them; text and JSON agree', async (t) => {
  const topicList = [
    'b',
    'TBW102',
    'a',
    '%RETRY%g',
    '%DLQ%g',
    'RMQ_SYS_TRACE_TOPIC',
    'SCHEDULE_TOPIC_XXXX',
    'C',
    'broker',
  ];
  topicList.push('rmq_sys_x', 'g_REPLY_TOPIC', 'my%RETRY%', 'TBW1022');
  const namesrv = await fakePeer(t, ({ code }) =>
    code === RequestCode.GET_BROKER_CLUSTER_INFO
      ? { body: clusterBody({ broker: 'h:1' }) }
      : { body: encodeTopicList({ topicList, brokerAddr: '' }) },
  );
  const args = ['topic', 'list', '--namesrv', namesrv.address];
  const plain = await command(args);
  assert.deepEqual([plain.code, lines(plain), plain.stderr], [0, ['TBW1022', 'a', 'b', 'my%RETRY%'], '']);
  assert.deepEqual(JSON.parse((await command([...args, '--json'])).stdout), lines(plain));
  assert.deepEqual(lines(await command([...args, '--all'])), topicList.toSorted());
});

test('topic list: none is said on stderr, and is an empty list for whoever reads JSON', async (t) => {
  const namesrv = await fakePeer(t, ({ code }) =>
    code === RequestCode.GET_BROKER_CLUSTER_INFO
      ? { body: clusterBody({}) }
      : { body: encodeTopicList({ topicList: ['TBW102'], brokerAddr: '' }) },
  );
  const plain = await command(['topic', 'list', '--namesrv', namesrv.address]);
  assert.deepEqual([plain.code, plain.stdout], [0, '']);
  assert.match(plain.stderr, /^no topics yet; the first message to one creates it/);
  const json = await command(['topic', 'list', '--json', '--namesrv', namesrv.address]);
  assert.deepEqual([json.code, JSON.parse(json.stdout), json.stderr], [0, [], '']);
});

test('topic status: queues by broker and number, sums that add up, and the same facts as JSON', async (t) => {
  const { a, b, namesrv } = await twoBrokers(t);
  const stats = (brokerName: string, ...offsets: [number, number, number, number][]): TopicStatsTable => ({
    topicPutTps: 0,
    offsetTable: offsets.map(([queueId, minOffset, maxOffset, lastUpdateTimestamp]) => [
      { topic: 'T', brokerName, queueId },
      { minOffset, maxOffset, lastUpdateTimestamp },
    ]),
  });
  a.answer = () => ({ body: encodeTopicStatsTable(stats('a', [10, 0, 0, 0], [2, 5, 1_005, 1_700_000_000_000])) });
  b.answer = () => ({ body: encodeTopicStatsTable(stats('b', [0, 7, 7, 9e15])) });
  const args = ['topic', 'status', 'T', '--namesrv', namesrv.address];
  const json = JSON.parse((await command([...args, '--json'])).stdout);
  assert.deepEqual(json, [
    {
      topic: 'T',
      brokerName: 'a',
      queueId: 2,
      minOffset: 5,
      maxOffset: 1_005,
      lastMessage: '2023-11-14T22:13:20.000Z',
    },
    { topic: 'T', brokerName: 'a', queueId: 10, minOffset: 0, maxOffset: 0 },
    { topic: 'T', brokerName: 'b', queueId: 0, minOffset: 7, maxOffset: 7, lastMessage: '9000000000000000 (no time)' },
  ]);
  const rows = lines(await command(args)).map((line) => line.trim().split(/ {2,}/));
  assert.deepEqual(rows, [
    ['BROKER', 'QUEUE', 'MIN', 'MAX', 'MESSAGES', 'LAST MESSAGE'],
    ['a', '2', '5', '1,005', '1,000', '2023-11-14T22:13:20.000Z'],
    ['a', '10', '0', '0', '0', '-'],
    ['b', '0', '7', '7', '0', '9000000000000000 (no time)'],
    ['1,000'],
  ]);
});

test('topic: answers that cannot be read are one line with a code, and nothing is printed as if it were known', async (t) => {
  const { a, b, namesrv } = await twoBrokers(t);
  const run = (...args: string[]): Promise<Finished> => command(['topic', ...args, '--namesrv', namesrv.address]);
  const garbage = ['', '{', '[]', 'null', '{"offsetTable":[1]}', '{"offsetTable":{"x":{}}}', '{"topicList":7}'];
  const { answer } = namesrv;
  for (const body of garbage) {
    a.answer = () => ({ body });
    b.answer = a.answer;
    for (const json of [[], ['--json']]) {
      const { code, stdout, stderr } = await run('status', 'T', ...json);
      // A table that is empty, or not there, is a topic without queues; it says no number that is not so.
      if (code === 0) assert.match(stdout, json.length > 0 ? /^\[\]\n$/ : /^BROKER.*\n *0\n$/, body);
      else assert.match(stderr, /^vernier: [^\n]*\[REMOTING_[A-Z_]+\]\n$/, body);
    }
    namesrv.answer = () => ({ body });
    for (const args of [['list'], ['create', 'T']]) {
      const { code, stdout, stderr } = await run(...args);
      if (code !== 0) assert.match(stderr, /^vernier: [^\n]*\[(REMOTING_[A-Z_]+|CLI_NO_ROUTE)\]\n$/, body);
      assert.equal(stdout, '', `${args[0]} ${body}`);
    }
    namesrv.answer = answer;
  }
});

test('topic: a nameserver that is away is one line for each of them, with exit code 1', async () => {
  const namesrv = await deadAddress();
  for (const args of [['list'], ['create', 'T'], ['delete', 'T'], ['status', 'T']]) {
    const failed = await command(['topic', ...args, '--json', '--namesrv', namesrv]);
    assertFails(failed, 1, 'CLI_UNREACHABLE', new RegExp(`^vernier: ${namesrv} does not answer: `));
  }
});

test('topic: what a broker refuses to make, a name that is none, stays unmade', async (t) => {
  const { namesrv } = await localBroker(t);
  for (const name of ['../x', 'a b', 'x'.repeat(200), 'TBW102']) {
    const refused = await command(['topic', 'create', name, '--namesrv', namesrv]);
    assertFails(refused, 1, 'CLI_REFUSED', /answered UPDATE_AND_CREATE_TOPIC with [A-Z_]+ \(\d+\)/);
  }
  assert.equal((await command(['topic', 'list', '--namesrv', namesrv])).stdout, '');
});

test('topic create: fewer queues, or another permission, is a change of the one that is there', async (t) => {
  const { namesrv } = await localBroker(t);
  for (const [queues, perm] of [
    ['4', 'rw'],
    ['2', 'r'],
  ] as const) {
    const made = await command(['topic', 'create', 'T', '--queues', queues, '--perm', perm, '--namesrv', namesrv]);
    assert.equal(made.code, 0, made.stderr);
  }
  assert.equal(JSON.parse((await command(['topic', 'status', 'T', '--json', '--namesrv', namesrv])).stdout).length, 2);
  const refused = await command(['produce', 'T', '--body', 'x', '--namesrv', namesrv]);
  assertFails(refused, 1, 'CLI_NO_ROUTE', /no broker takes messages for the topic T/);
});
