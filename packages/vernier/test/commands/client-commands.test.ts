import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { createRequest, RemotingClient, RemotingServer, RequestCode } from '@vernier/remoting';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { endAfter, type Finished, Running, run, startBroker } from '../cli.ts';

const lines = ({ stdout }: Finished): string[] => stdout.split('\n').filter((line) => line !== '');
const objects = (finished: Finished): Record<string, unknown>[] =>
  lines(finished).map((line) => JSON.parse(line) as Record<string, unknown>);

test('produce and consume: bodies from flag, file, stdin and made up; keys, tags, times and groups', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const broker = await startBroker(t, join(folder, 'data'));
  const env = { NAMESRV_ADDR: broker.ready.namesrv! };
  const vernier = (args: string[], input?: string): Promise<Finished> =>
    run(args, input === undefined ? { env } : { env, input });

  await t.test('a body from the flag, with keys and a tag, comes back with all of them', async () => {
    const sent = await vernier(['produce', 'a', '--body', 'grüß dich', '--keys', 'k1 k2', '--tags', 'paid', '--json']);
    assert.equal(sent.code, 0, sent.stderr);
    const [result] = objects(sent);
    assert.equal(result!.status, 'SEND_OK');
    const [message] = objects(await vernier(['consume', 'a', '--json']));
    assert.deepEqual([message!.body, message!.keys, message!.tags], ['grüß dich', 'k1 k2', 'paid']);
    assert.equal(message!.msgId, result!.msgId);
    assert.equal(message!.queueOffset, result!.queueOffset);
  });

  await t.test('a body from a file is sent byte for byte', async () => {
    const file = join(folder, 'body.bin');
    const body = Buffer.from([0, 255, 10, 13, 0]);
    writeFileSync(file, body);
    assert.equal((await vernier(['produce', 'b', '--file', file])).code, 0);
    const [message] = objects(await vernier(['consume', 'b', '--json']));
    assert.deepEqual(Buffer.from(message!.bodyBase64 as string, 'base64'), body);
  });

  await t.test('each line of stdin is a message, empty ones are none, and they come out in order', async () => {
    const sent = await vernier(['produce', 'c'], 'one\n\ntwo\r\nthree');
    assert.match(sent.stdout, /^3 messages acknowledged in /);
    assert.deepEqual(lines(await vernier(['consume', 'c'])), ['one', 'two', 'three']);
  });

  await t.test('made-up bodies have the size and number asked for', async () => {
    assert.match((await vernier(['produce', 'd', '--size', '100', '--count', '250'])).stdout, /^250 messages/);
    const received = lines(await vernier(['consume', 'd']));
    assert.equal(received.length, 250);
    assert.ok(received.every((body) => body.length === 100));
    assert.equal(lines(await vernier(['consume', 'd', '--count', '7'])).length, 7);
  });

  await t.test('only messages of the tags asked for', async () => {
    for (const tag of ['x', 'y', 'z']) await vernier(['produce', 'e', '--body', tag, '--tags', tag]);
    assert.deepEqual(lines(await vernier(['consume', 'e', '--tags', 'x || z'])), ['x', 'z']);
  });

  await t.test('from the end, and from a time, there is only what came later', async () => {
    assert.deepEqual(lines(await vernier(['consume', 'e', '--from', 'last'])), []);
    assert.deepEqual(lines(await vernier(['consume', 'e', '--from', '2000-01-01T00:00:00Z'])), ['x', 'y', 'z']);
    assert.deepEqual(lines(await vernier(['consume', 'e', '--from', '2100-01-01T00:00:00Z'])), []);
  });

  await t.test('a group goes on where it was, a reader without one disturbs nobody', async () => {
    await vernier(['produce', 'g'], '1\n2\n3\n');
    assert.deepEqual(lines(await vernier(['consume', 'g', '--group', 'billing'])).sort(), ['1', '2', '3']);
    assert.deepEqual(lines(await vernier(['consume', 'g', '--group', 'billing'])), []);
    await vernier(['produce', 'g'], '4\n');
    assert.deepEqual(lines(await vernier(['consume', 'g'])).sort(), ['1', '2', '3', '4']);
    assert.deepEqual(lines(await vernier(['consume', 'g', '--group', 'billing'])), ['4']);
    assert.deepEqual(lines(await vernier(['consume', 'g', '--group', 'other', '--from', 'last'])), []);
  });

  await t.test('a group that stops after a count goes on behind it', async () => {
    await vernier(['produce', 'h', '--size', '5', '--count', '10']);
    assert.equal(lines(await vernier(['consume', 'h', '--group', 'slow', '--count', '4'])).length, 4);
    assert.equal(lines(await vernier(['consume', 'h', '--group', 'slow'])).length, 6);
  });

  await t.test('--follow prints what comes later, and SIGINT ends it with 0', async () => {
    const follower = new Running(['consume', 'f', '--follow'], { env });
    endAfter(t, follower);
    // The topic must be there first: a follower of nothing is a mistake.
    assert.equal((await follower.finished).code, 1);
    await vernier(['produce', 'f', '--body', 'early']);
    const second = new Running(['consume', 'f', '--follow'], { env });
    endAfter(t, second);
    await second.printed(/^early$/m);
    await vernier(['produce', 'f', '--body', 'late']);
    await second.printed(/^late$/m);
    second.signal('SIGINT');
    assert.equal((await second.finished).code, 0);
  });

  await t.test('two members of a group share its queues', async () => {
    await vernier(['topic', 'create', 's', '--queues', '4']);
    const members = [1, 2].map(() => new Running(['consume', 's', '--group', 'pair', '--follow'], { env }));
    for (const member of members) endAfter(t, member);
    let total = 0;
    while (!members.every(({ stdout }) => stdout !== '') && total < 400) {
      await vernier(['produce', 's', '--size', '3', '--count', '8']);
      total += 8;
    }
    for (const member of members) assert.notEqual(member.stdout, '');
    for (const member of members) member.signal('SIGTERM');
    for (const member of members) assert.equal((await member.finished).code, 0);
  });

  await t.test('a reader that goes away early is no failure', async () => {
    const consume = new Running(['consume', 'd'], { env });
    consume.child.stdout!.destroy();
    assert.equal((await consume.finished).code, 0);
  });
});

test('consume: a packed body that does not unpack hides no other message, and makes the exit code 1', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const env = { NAMESRV_ADDR: broker.ready.namesrv! };
  await run(['topic', 'create', 'p', '--queues', '1'], { env });
  const client = new RemotingClient();
  cleanUp(t, () => client.close());
  const packed = deflateSync(Buffer.from('packed'));
  for (const [body, f] of [
    [Buffer.from('before'), '0'],
    [packed, '1'],
    [packed.subarray(0, 6), '1'],
    [Buffer.from('after'), '0'],
  ] as const) {
    const fields = { a: 'p', b: 'p', c: 'TBW102', d: '4', e: '0', f, g: '8640000000000001', h: '0', i: '', j: '0' };
    const request = createRequest(RequestCode.SEND_MESSAGE_V2, { ...fields, k: 'false', m: 'false' }, body);
    assert.equal((await client.invoke(broker.ready.broker!, request, 5_000)).code, 0);
  }
  const plain = await run(['consume', 'p'], { env });
  assert.deepEqual([plain.code, lines(plain)], [1, ['before', 'packed', 'after']]);
  assert.match(plain.stderr, /^p queue 0 offset 2: the body is not shown, it does not unpack as zlib: .*--json/);
  const grouped = await run(['consume', 'p', '--group', 'g'], { env });
  assert.deepEqual([grouped.code, lines(grouped)], [1, ['before', 'packed', 'after']]);
  const shown = await run(['consume', 'p', '--json'], { env });
  assert.equal(shown.code, 0, 'all of it is there');
  assert.deepEqual(
    objects(shown).map(({ body, bodyProblem }) => [body, typeof bodyProblem]),
    [
      ['before', 'undefined'],
      ['packed', 'undefined'],
      [undefined, 'string'],
      ['after', 'undefined'],
    ],
  );
});

test('topic: create, list, status, delete, in words and as JSON', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const env = { NAMESRV_ADDR: broker.ready.namesrv! };
  const vernier = (...args: string[]): Promise<Finished> => run(args, { env });
  assert.match((await vernier('topic', 'list')).stderr, /no topics yet/);
  assert.equal((await vernier('topic', 'create', 'orders', '--queues', '3')).stdout, 'orders: 3 queues on broker-a\n');
  assert.deepEqual(JSON.parse((await vernier('topic', 'list', '--json')).stdout), ['orders']);
  assert.ok(lines(await vernier('topic', 'list', '--all')).includes('TBW102'));
  await vernier('produce', 'orders', '--size', '10', '--count', '6');
  const status = JSON.parse((await vernier('topic', 'status', 'orders', '--json')).stdout) as Record<string, unknown>[];
  assert.deepEqual(
    status.map(({ queueId, minOffset, maxOffset }) => [queueId, minOffset, maxOffset]),
    [
      [0, 0, 2],
      [1, 0, 2],
      [2, 0, 2],
    ],
  );
  assert.match(
    (await vernier('topic', 'status', 'orders')).stdout,
    /^BROKER +QUEUE +MIN +MAX +MESSAGES +LAST MESSAGE\n/,
  );
  assert.match((await vernier('topic', 'delete', 'orders')).stdout, /^orders: deleted on broker-a/);
  const gone = await vernier('topic', 'status', 'orders');
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /^vernier: the nameserver knows no topic orders.* \[CLI_NO_ROUTE\]\n$/);
  const refused = await vernier('topic', 'delete', 'TBW102');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /answered DELETE_TOPIC_IN_BROKER with [A-Z_]+ \(\d+\).*\[CLI_REFUSED\]/);
});

test('status: addresses, flush pipeline, bytes behind and waiters of a running broker', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const env = { NAMESRV_ADDR: broker.ready.namesrv! };
  await run(['produce', 'x', '--size', '100', '--count', '20'], { env });
  const { stdout, code } = await run(['status'], { env });
  assert.equal(code, 0);
  for (const text of [broker.ready.broker!, 'SYNC_FLUSH', 'channel', 'not on disk', 'waiting', 'flushes']) {
    assert.ok(stdout.includes(text), `${text} in\n${stdout}`);
  }
  const [answer] = JSON.parse((await run(['status', '--json', '--broker', broker.ready.broker!])).stdout) as {
    brokerName: string;
    info: Record<string, string>;
  }[];
  assert.equal(answer!.brokerName, 'broker-a');
  assert.equal(answer!.info.putMessageTimesTotal, '20');
  assert.equal(answer!.info.remainHowManyDataToFlush, '0');
});

test('status: a broker that is away is told, and does not hide the others', async (t) => {
  const broker = await startBroker(t, join(await temporaryFolder(t, 'cli'), 'data'));
  const closed = new RemotingServer();
  const { port } = await closed.listen({ port: 0 });
  await closed.shutdown(0);
  const client = new RemotingClient();
  cleanUp(t, () => client.close());
  const away = { clusterName: 'C', brokerName: 'away', brokerId: '0', brokerAddr: `127.0.0.1:${port}` };
  const request = createRequest(RequestCode.REGISTER_BROKER, { ...away, haServerAddr: '' });
  assert.equal((await client.invoke(broker.ready.namesrv!, request, 5_000)).code, 0);
  const { code, stdout, stderr } = await run(['status', '--namesrv', broker.ready.namesrv!]);
  assert.equal(code, 1);
  assert.match(stdout, new RegExp(`^broker +${broker.ready.broker!}`));
  assert.match(stderr, new RegExp(`^vernier: 127\\.0\\.0\\.1:${port} does not answer: .*\\[CLI_UNREACHABLE\\]\n$`));
});

test('client commands: nobody there, wrong addresses and wrong flags are one clear line each', async () => {
  const cases: [args: string[], code: number, pattern: RegExp][] = [
    [['status', '--namesrv', '127.0.0.1:1'], 1, /^vernier: 127\.0\.0\.1:1 does not answer: .*\[CLI_UNREACHABLE\]\n$/],
    [['status', '--namesrv', 'nonsense'], 2, /^vernier: 'nonsense' is not HOST:PORT \[REMOTING_ADDRESS_INVALID\]\n$/],
    [['produce', 'x', '--body', 'a', '--size', '3'], 2, /only one of --body, --file and --size.*\[CLI_USAGE\]/],
    [['produce', 'x', '--count', '3'], 2, /--count needs --body, --file or --size.*\[CLI_USAGE\]/],
    [['produce', 'x', '--file', '/nowhere'], 2, /\/nowhere cannot be read: ENOENT \[CLI_INPUT_UNREADABLE\]/],
    [['produce', 'x', '--count', 'many'], 2, /--count.*'many' is invalid.*whole numbers from 1.*\[CLI_USAGE\]/],
    [['produce'], 2, /missing required argument 'TOPIC' \[CLI_USAGE\]/],
    [['consume', 'x', '--from', 'start'], 2, /--from start: allowed are first, last and a time.*\[CLI_USAGE\]/],
    [['topic', 'create', 'x', '--perm', 'x'], 2, /--perm.*Allowed choices are rw, r, w.*\[CLI_USAGE\]/],
    [['topic', 'lst'], 2, /unknown command 'lst'.*\n.*list.*\n/],
  ];
  for (const [args, code, pattern] of cases) {
    const finished = await run(args);
    assert.match(finished.stderr, pattern, args.join(' '));
    assert.equal(finished.code, code, args.join(' '));
    assert.equal(finished.stdout, '', args.join(' '));
  }
});
