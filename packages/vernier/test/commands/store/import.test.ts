import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createResponse, encodeTopicRouteData, RemotingServer, RequestCode, ResponseCode } from '@vernier/remoting';
import { cleanUp, temporaryFolder } from '../../../../../test/support/clean-up.ts';
import { endAfter, type Finished, Running, run, smallFiles, startBroker } from '../../cli.ts';
import { assertFails, command, localBroker, objects } from '../../in-process.ts';

const json = ({ stdout }: Finished) => JSON.parse(stdout);
const jsonLines = ({ stdout }: Finished) =>
  stdout
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => JSON.parse(text));

const line = (body: string, more: object = {}): string =>
  JSON.stringify({ topic: 'T', queueId: 0, bornTimestamp: 1, body, ...more });

test('store import: a wrong first line makes nothing; one behind others is 1, and what came before it is stored', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const data = join(folder, 'data');
  const wrong = await run(['store', 'import', data, ...smallFiles], { input: line('a', { properties: { k: {} } }) });
  assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
  assert.match(wrong.stderr, /^vernier: stdin line 1: the property k is no text \[DOCTOR_LINE_INVALID\]\n$/);
  assert.equal(existsSync(data), false);

  const input = [line('one'), line('two'), line('three', { properties: { k: 1 } }), line('four')].join('\n');
  const some = await run(['store', 'import', data, ...smallFiles], { input });
  assert.equal(some.code, 1, 'something was changed');
  assert.equal(some.stdout, '2 messages stored; it ended before the input did\n');
  assert.match(some.stderr, /stdin line 3: the property k is no text \[DOCTOR_LINE_INVALID\]\n$/);
  const dumped = await run(['store', 'dump', data, '--topic', 'T', '--jsonl']);
  assert.deepEqual(
    jsonLines(dumped).map(({ body }) => body),
    ['one', 'two'],
  );
  const told = json(await run(['store', 'import', data, '--json', ...smallFiles], { input }));
  assert.deepEqual(told, { stored: 2, unconfirmed: 0, refused: 0, reasons: [] });
});

test('store import: what the store refuses is named by its line, the others are stored, and that is 1', async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  const input = [line('x'), line('x', { topic: '../x' }), line('x')].join('\n');
  const into = await run(['store', 'import', data, ...smallFiles], { input });
  assert.equal(into.code, 1);
  assert.equal(into.stdout, '2 messages stored, 1 refused\n');
  assert.match(into.stderr, /^stdin line 2: MESSAGE_ILLEGAL: /);
});

test('store import: into a cluster it spreads over the brokers; a queue’s messages keep their order', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const first = await startBroker(t, join(folder, 'a'));
  const namesrv = first.ready.namesrv!;
  const brokerB = ['--no-namesrv', '--set', `namesrvAddr=${namesrv}`, '--set', 'brokerName=broker-b'];
  await startBroker(t, join(folder, 'b'), brokerB);
  const env = { NAMESRV_ADDR: namesrv };
  assert.equal((await run(['topic', 'create', 'T', '--queues', '2'], { env })).code, 0);
  const lines = Array.from({ length: 80 }, (_, index) => line(String(index), { queueId: index % 4 }));
  const into = await run(['store', 'import', '--namesrv', namesrv, '--json'], { input: lines.join('\n') });
  assert.equal(json(into).stored, 80, into.stdout + into.stderr);
  const status = json(await run(['topic', 'status', 'T', '--json'], { env })) as unknown as Record<string, unknown>[];
  assert.deepEqual(
    status.map(({ brokerName, queueId, maxOffset }) => [brokerName, queueId, maxOffset]),
    [
      ['broker-a', 0, 20],
      ['broker-a', 1, 20],
      ['broker-b', 0, 20],
      ['broker-b', 1, 20],
    ],
  );
  const received = jsonLines(await run(['consume', 'T', '--json'], { env }));
  for (let queue = 0; queue < 4; queue++) {
    const bodies = received.map(({ body }) => Number(body)).filter((body) => body % 4 === queue);
    assert.deepEqual(
      bodies,
      bodies.toSorted((a, b) => a - b),
    );
  }
});

test('store import: a broker that does not answer ends it after a hundred messages, none of which is called refused', async (t) => {
  // A port at which nobody listens any more, in the route of a nameserver.
  const closed = new RemotingServer();
  const { port } = await closed.listen({ port: 0 });
  await closed.shutdown(0);
  const route = encodeTopicRouteData({
    brokerDatas: [
      { brokerName: 'b', cluster: 'C', brokerAddrs: new Map([[0, `127.0.0.1:${port}`]]), enableActingMaster: false },
    ],
    queueDatas: [{ brokerName: 'b', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
    filterServerTable: new Map(),
  });
  const namesrv = new RemotingServer();
  namesrv.registerProcessor(RequestCode.GET_ROUTEINFO_BY_TOPIC, (request) =>
    createResponse(request, ResponseCode.SUCCESS, undefined, undefined, route),
  );
  const address = `127.0.0.1:${(await namesrv.listen({ port: 0 })).port}`;
  cleanUp(t, () => namesrv.shutdown(0));
  const input = Array.from({ length: 2_000 }, (_, index) => line(String(index))).join('\n');
  const into = await run(['store', 'import', '--namesrv', address, '--json'], { input });
  const { stored, unconfirmed, refused, reasons } = json(into);
  assert.deepEqual([into.code, stored, refused, reasons.length], [1, 0, 0, 10]);
  assert.ok(unconfirmed >= 100 && unconfirmed < 1_000, `${unconfirmed} tried`);
  assert.match(into.stderr, /given up at stdin line \d+: 100 messages in a row failed \[CLI_NOT_ACKNOWLEDGED\]/);
});

test('store import: a message that is stored and not on disk in time is not called refused', async (t) => {
  const broker = new RemotingServer();
  const codes = [
    ResponseCode.SUCCESS,
    ResponseCode.FLUSH_DISK_TIMEOUT,
    ResponseCode.SYSTEM_ERROR,
    ResponseCode.NO_PERMISSION,
  ];
  broker.registerProcessor(RequestCode.SEND_MESSAGE_V2, (request) =>
    createResponse(request, codes[Number(request.body)] ?? 0, 'the reason'),
  );
  const { port } = await broker.listen({ port: 0 });
  const route = encodeTopicRouteData({
    brokerDatas: [
      { brokerName: 'b', cluster: 'C', brokerAddrs: new Map([[0, `127.0.0.1:${port}`]]), enableActingMaster: false },
    ],
    queueDatas: [{ brokerName: 'b', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
    filterServerTable: new Map(),
  });
  broker.registerProcessor(RequestCode.GET_ROUTEINFO_BY_TOPIC, (request) =>
    createResponse(request, ResponseCode.SUCCESS, undefined, undefined, route),
  );
  cleanUp(t, () => broker.shutdown(0));
  const input = codes.map((_, index) => line(String(index))).join('\n');
  const into = await run(['store', 'import', '--namesrv', `127.0.0.1:${port}`], { input });
  assert.equal(into.code, 1);
  assert.equal(into.stdout, '1 message stored, 2 not confirmed, which may be stored, 1 refused\n');
  assert.match(into.stderr, /^stdin line 2: stored, and not confirmed: FLUSH_DISK_TIMEOUT\n/);
});

test('store import: each broken line is refused by its number, and what it is', async (t) => {
  const data = join(await temporaryFolder(t, 'import'), 'data');
  const broken: [line: string, problem: RegExp][] = [
    ['{"topic":"T"', /JSON/],
    ['"text"', /it is no object/],
    ['[]', /it is no object/],
    [line('x', { topic: undefined }), /topic is no text/],
    [line('x', { topic: 7 }), /topic is no text/],
    [line('x', { queueId: -1 }), /queueId is -1/],
    [line('x', { queueId: 1.5 }), /queueId is no whole number/],
    [line('x', { bornTimestamp: '1' }), /bornTimestamp is no whole number/],
    [line('x', { flag: 2 ** 53 }), /flag is no whole number/],
    [line('x', { body: undefined }), /body is no text/],
    [line('x', { bodyBase64: 'eA==' }), /it has body and bodyBase64/],
    [line('x', { body: undefined, bodyBase64: 'e' }), /bodyBase64 is no base64/],
    [line('\ud800'), /body has half of a surrogate pair/],
    [line('x', { properties: [] }), /properties is no table/],
    [line('x', { properties: { '': 'v' } }), /is empty, which no record holds/],
    [line('x', { properties: { k: 'a\u0001b' } }), /holds a separator/],
    [line('x', { properties: {}, propertiesString: '' }), /it has properties and propertiesString/],
    [line('x', { storeHost: '300.0.0.1:1' }), /300\.0\.0\.1/],
  ];
  for (const [text, problem] of broken) {
    const refused = await command(['store', 'import', data, ...smallFiles], {
      input: `\n\r\n${text}\n${line('after')}`,
    });
    assertFails(refused, 2, 'DOCTOR_LINE_INVALID', /^vernier: stdin line 3: /);
    assert.match(refused.stderr, problem, text);
  }
  assert.equal(existsSync(data), false, 'nothing was made');
});

test('store import: numbers that no record holds are refused by the store with their line, and the others are stored', async (t) => {
  const data = join(await temporaryFolder(t, 'import'), 'data');
  const wrong = [{ queueId: 65_536 }, { flag: 2 ** 40 }, { topic: '' }, { topic: 'a/b' }, { topic: 'x'.repeat(300) }];
  const input = [line('first'), ...wrong.map((more) => line('wrong', more)), line('last')].join('\n');
  const into = await command(['store', 'import', data, ...smallFiles], { input });
  assert.deepEqual([into.code, into.stdout], [1, `2 messages stored, ${wrong.length} refused\n`]);
  const named = into.stderr
    .trimEnd()
    .split('\n')
    .map((text) => /^stdin line (\d+): [A-Z_]+: \S/.exec(text)?.[1]);
  assert.deepEqual(named, ['2', '3', '4', '5', '6']);
  const dumped = objects(await command(['store', 'dump', data, '--jsonl']));
  assert.deepEqual(
    dumped.map(({ body }) => body),
    ['first', 'last'],
  );
  const asJson = JSON.parse((await command(['store', 'import', data, '--json', ...smallFiles], { input })).stdout);
  assert.deepEqual([asJson.stored, asJson.refused, asJson.unconfirmed], [2, wrong.length, 0], 'the same facts');
  assert.equal(asJson.reasons.length, wrong.length);
});

test('store import: bytes that are no UTF-8 are refused by their line and not stored as other characters', async (t) => {
  const data = join(await temporaryFolder(t, 'import'), 'data');
  const latin = Buffer.concat([Buffer.from(`${line('one')}\n`), Buffer.from(line('grüß'), 'latin1')]);
  const first = await command(['store', 'import', data, ...smallFiles], { input: Buffer.from(line('grüß'), 'latin1') });
  assertFails(first, 2, 'CLI_INPUT_UNREADABLE', /stdin line 1 is not UTF-8/);
  assert.equal(existsSync(data), false);
  const second = await command(['store', 'import', data, ...smallFiles], { input: latin });
  assert.deepEqual([second.code, second.stdout], [1, '1 message stored; it ended before the input did\n']);
  assert.match(second.stderr, /^vernier: stdin line 2 is not UTF-8 \[CLI_INPUT_UNREADABLE\]\n$/);
});

test('store import: a byte-order mark in front of the first line is no part of it; in front of another it is', async (t) => {
  const data = join(await temporaryFolder(t, 'import'), 'data');
  const args = ['store', 'import', data, ...smallFiles];
  assert.equal((await command(args, { input: `\ufeff${line('x')}\r\n` })).stdout, '1 message stored\n');
  const second = await command(args, { input: `${line('x')}\n\ufeff${line('x')}` });
  assert.equal(second.code, 1);
  assert.match(second.stderr, /stdin line 2: .*\[DOCTOR_LINE_INVALID\]/);
});

test('store import: an input that cannot be read is named, and no store is made for it', async (t) => {
  const folder = await temporaryFolder(t, 'import');
  const data = join(folder, 'data');
  for (const [input, reason] of [
    [folder, 'EISDIR'],
    [join(folder, 'nothing'), 'ENOENT'],
    ['', 'ENOENT'],
  ] as const) {
    const refused = await command(['store', 'import', data, '--input', input, ...smallFiles]);
    assertFails(refused, 2, 'CLI_INPUT_UNREADABLE', new RegExp(`^vernier: ${input} cannot be read: ${reason}`));
  }
  assert.equal(existsSync(data), false);
});

test('store import: both a directory and a nameserver, or neither, or an empty name is refused before the input is read', async () => {
  for (const target of [[], ['data', '--namesrv', '127.0.0.1:1']]) {
    const refused = await command(['store', 'import', ...target], { input: 'no json' });
    assertFails(refused, 2, 'CLI_USAGE', /import needs either DIR or --namesrv/);
  }
  const nowhere = await command(['store', 'import', ''], { input: line('x') });
  assertFails(nowhere, 2, 'CLI_USAGE', /the data directory is empty/);
  assertFails(await command(['store', 'import', '--namesrv', ' ']), 2, 'CLI_USAGE', /--namesrv is empty/);
});

test('store import: a store that a broker has open is refused by its lock and keeps what it has', async (t) => {
  const { dataDir, namesrv } = await localBroker(t);
  const refused = await command(['store', 'import', dataDir, ...smallFiles], { input: line('x') });
  assertFails(refused, 2, 'STORE_LOCKED', new RegExp(dataDir));
  assert.equal((await command(['topic', 'list', '--namesrv', namesrv])).stdout, '');
});

test('store import: under another name all of it goes there and nothing under its own', async (t) => {
  const data = join(await temporaryFolder(t, 'import'), 'data');
  const input = [line('a'), line('b', { topic: 'U' })].join('\n');
  await command(['store', 'import', data, '--topic', 'copy', ...smallFiles], { input });
  const topics = objects(await command(['store', 'dump', data, '--jsonl'])).map(({ topic }) => topic);
  assert.deepEqual(topics, ['copy', 'copy']);
});

test('store import: a reader that is gone does not turn a refused message into exit code 0', async (t) => {
  const data = join(await temporaryFolder(t, 'import'), 'data');
  const running = new Running(['store', 'import', data, ...smallFiles], {
    input: [line('x'), line('x', { topic: '../x' })].join('\n'),
  });
  endAfter(t, running);
  running.child.stdout!.destroy();
  const { code, stderr } = await running.finished;
  assert.equal(code, 1);
  assert.match(stderr, /^stdin line 2: MESSAGE_ILLEGAL: /);
  const dumped = objects(await command(['store', 'dump', data, '--jsonl']));
  assert.equal(dumped.length, 1);
});
