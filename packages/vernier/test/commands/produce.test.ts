import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { endAfter, Running } from '../cli.ts';
import {
  type Answering,
  assertFails,
  command,
  deadAddress,
  type FakePeer,
  fakeNamesrv,
  fakePeer,
  lines,
  localBroker,
  objects,
  type RouteOf,
} from '../in-process.ts';

/** A cluster of one broker that answers sends as told; what it was sent. */
async function brokerThat(
  t: TestContext,
  answer: Answering,
  route?: RouteOf,
): Promise<{ broker: FakePeer; namesrv: string; bodies: () => string[] }> {
  const broker = await fakePeer(t, answer);
  const { address } = await fakeNamesrv(t, { b: broker.address }, route);
  return { broker, namesrv: address, bodies: () => broker.requests.map(({ body }) => String(body ?? '')) };
}

test('produce: a line of stdin is stored byte for byte, also when it is no text', async (t) => {
  const { namesrv } = await localBroker(t);
  const bodies = [Buffer.from([0xff, 0xfe, 0x00, 0x80]), Buffer.from('grüß\u2028dich'), Buffer.from('a\rb')];
  const input = Buffer.concat(bodies.flatMap((body) => [body, Buffer.from('\r\n')]));
  const sent = await command(['produce', 'T', '--namesrv', namesrv], { input });
  assert.deepEqual([sent.code, sent.stderr], [0, '']);
  assert.match(sent.stdout, /^3 messages acknowledged in /);
  const received = objects(await command(['consume', 'T', '--json', '--namesrv', namesrv]));
  const stored = received.map(({ body, bodyBase64 }) => Buffer.from(body ?? bodyBase64, body ? 'utf8' : 'base64'));
  assert.deepEqual(
    stored.map((body) => body.toString('hex')).sort(),
    bodies.map((body) => body.toString('hex')).sort(),
  );
});

test('produce: an input without a line sends nothing, and says so', async (t) => {
  const { namesrv, bodies } = await brokerThat(t, () => ({}));
  for (const input of ['', '\n', '\r\n\n\r\n']) {
    const sent = await command(['produce', 'T', '--namesrv', namesrv], { input });
    assert.deepEqual([sent.code, sent.stderr], [0, '']);
    assert.match(sent.stdout, /^0 messages acknowledged in \d+\.\d\d s\n$/);
  }
  assert.deepEqual(bodies(), []);
});

test('produce: two bodies, a count without one, or a number that is none send nothing', async (t) => {
  const { namesrv, broker } = await brokerThat(t, () => ({}));
  const wrong: [args: string[], pattern: RegExp][] = [
    [['--body', 'a', '--file', '/f'], /only one of --body, --file and --size gives the body/],
    [['--body', '', '--size', '0'], /only one of --body, --file and --size/],
    [['--count', '2'], /--count needs --body, --file or --size; stdin is sent once/],
  ];
  for (const [args, pattern] of wrong) {
    assertFails(await command(['produce', 'T', '--namesrv', namesrv, ...args]), 2, 'CLI_USAGE', pattern);
  }
  for (const [flag, value, allowed] of [
    ['--size', '-1', 'from 0 to 67108864'],
    ['--size', '67108865', 'from 0 to 67108864'],
    ['--count', '0', 'from 1'],
    ['--count', '1e3', 'from 1'],
    ['--count', '9007199254740993', 'from 1'],
    ['--timeout', '0', 'from 1 to 2147483647'],
    ['--timeout', '2147483648', 'from 1 to 2147483647'],
  ] as const) {
    const refused = await command(['produce', 'T', '--namesrv', namesrv, '--body', 'x', flag, value]);
    assert.deepEqual([refused.code, refused.stdout], [2, ''], flag);
    assert.ok(refused.stderr.includes(`'${value}' is invalid. Allowed are whole numbers ${allowed}.`), refused.stderr);
  }
  assert.deepEqual(broker.requests, []);
});

test('produce: a file that cannot be read is named with the reason, before any broker is asked', async (t) => {
  const folder = await temporaryFolder(t, 'produce');
  mkdirSync(join(folder, 'directory'));
  writeFileSync(join(folder, 'file'), '');
  const { namesrv, broker } = await brokerThat(t, () => ({}));
  for (const [path, reason] of [
    ['directory', 'EISDIR'],
    ['nothing', 'ENOENT'],
    ['file/below', 'ENOTDIR'],
  ] as const) {
    const file = join(folder, path);
    const refused = await command(['produce', 'T', '--namesrv', namesrv, '--file', file]);
    assertFails(refused, 2, 'CLI_INPUT_UNREADABLE', new RegExp(`${file} cannot be read: ${reason}`));
  }
  assert.deepEqual(broker.requests, []);
});

test('produce: a stdin that fails at once is bad input; one that fails later tells what was sent, and that is 1', async (t) => {
  const { namesrv, bodies } = await brokerThat(t, () => ({}));
  const failing = (...chunks: string[]): Readable =>
    Readable.from(
      (async function* () {
        yield* chunks.map((chunk) => Buffer.from(chunk));
        throw Object.assign(new Error('as told'), { code: 'EIO' });
      })(),
    );
  const args = ['produce', 'T', '--namesrv', namesrv];
  assertFails(await command(args, { input: failing() }), 2, 'CLI_INPUT_UNREADABLE', /stdin cannot be read: EIO/);
  assert.deepEqual(bodies(), []);
  const some = await command(args, { input: failing('one\n', 'two\nhalf') });
  assert.equal(some.code, 1, 'something was changed');
  assert.match(some.stdout, /^2 messages acknowledged in /);
  assert.equal(some.stderr, 'vernier: stdin cannot be read: EIO [CLI_INPUT_UNREADABLE]\n');
  assert.deepEqual(bodies().sort(), ['one', 'two'], 'half a line is no message');
});

test('produce: what is not acknowledged is counted by its answer with one reason each, and makes the exit code 1', async (t) => {
  const answers = [0, ResponseCode.FLUSH_DISK_TIMEOUT, ResponseCode.NO_PERMISSION, ResponseCode.NO_PERMISSION, 0];
  let next = 0;
  const { namesrv, broker } = await brokerThat(t, () => ({
    code: answers[next++ % answers.length]!,
    remark: 'as told',
  }));
  const args = ['produce', 'T', '--namesrv', namesrv, '--body', 'x', '--count', '5'];
  const plain = await command(args);
  assert.equal(plain.code, 1);
  assert.match(plain.stdout, /^2 messages acknowledged in /);
  assert.equal(
    plain.stderr,
    `vernier: 3 of 5 messages were not acknowledged: 1 FLUSH_DISK_TIMEOUT (as told); 2 FAILED (${broker.address} ` +
      'answered SEND_MESSAGE_V2 with NO_PERMISSION (16): as told) [CLI_NOT_ACKNOWLEDGED]\n',
  );
  const json = await command([...args, '--json']);
  assert.deepEqual([json.code, json.stderr], [1, plain.stderr]);
  const statuses = objects(json).map(({ status }) => status);
  assert.deepEqual(statuses.sort(), ['FAILED', 'FAILED', 'FLUSH_DISK_TIMEOUT', 'SEND_OK', 'SEND_OK']);
  assert.equal(new Set(objects(json).map(({ msgId }) => msgId)).size, 5);
});

test('produce: a broker that is away ends it after a hundred failures, whatever else was to be sent', async (t) => {
  const { address } = await fakeNamesrv(t, { b: await deadAddress() });
  const given = await command(['produce', 'T', '--namesrv', address, '--size', '10', '--count', '1000000']);
  assert.equal(given.code, 1);
  assert.match(given.stdout, /^0 messages acknowledged in \d+\.\d\d s\n$/, 'no rate of nothing');
  const [, failed, total] =
    /^vernier: (\d+) of (\d+) messages were not acknowledged: .*\[CLI_NOT_ACKNOWLEDGED\]\n$/.exec(given.stderr)!;
  assert.equal(failed, total);
  assert.ok(Number(total) >= 100 && Number(total) < 400, total);
});

test('produce: a broker that fails now and then is not given up', async (t) => {
  let sent = 0;
  const { namesrv } = await brokerThat(t, () => ({ code: sent++ % 3 === 0 ? ResponseCode.SYSTEM_ERROR : 0 }));
  const given = await command(['produce', 'T', '--namesrv', namesrv, '--body', 'x', '--count', '600']);
  assert.match(given.stderr, /^vernier: 200 of 600 messages were not acknowledged: 200 FAILED /);
});

test('produce: no more than 64 are under way at once, and all of them are answered before it ends', async (t) => {
  let underWay = 0;
  let most = 0;
  const { namesrv } = await brokerThat(t, async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay -= 1;
    return {};
  });
  const sent = await command(['produce', 'T', '--namesrv', namesrv, '--body', 'x', '--count', '500']);
  assert.deepEqual([sent.code, underWay], [0, 0]);
  assert.match(sent.stdout, /^500 messages acknowledged in .* s, [\d,]+ a second\n$/);
  assert.ok(most > 1 && most <= 64, `${most} at once`);
});

test('produce: a topic that nobody takes messages for is CLI_NO_ROUTE, and nothing is sent', async (t) => {
  for (const route of [{ perm: 4 }, { queues: 0 }]) {
    const { namesrv, broker } = await brokerThat(t, () => ({}), route);
    const refused = await command(['produce', 'T', '--namesrv', namesrv, '--body', 'x']);
    assertFails(refused, 1, 'CLI_NO_ROUTE', /no broker takes messages for the topic T; vernier topic create makes it/);
    assert.deepEqual(broker.requests, []);
  }
});

test('produce: --body "" is a message without bytes, --size 0 too, and neither is taken for no body', async (t) => {
  const { namesrv, bodies } = await brokerThat(t, () => ({}));
  for (const body of [
    ['--body', ''],
    ['--size', '0'],
  ]) {
    assert.equal((await command(['produce', 'T', '--namesrv', namesrv, ...body])).code, 0);
  }
  assert.deepEqual(bodies(), ['', '']);
});

test('produce: made-up bodies have the size asked for, odd ones too, and do not all look the same', async (t) => {
  const { namesrv, bodies } = await brokerThat(t, () => ({}));
  for (const size of ['1', '7', '64']) await command(['produce', 'T', '--namesrv', namesrv, '--size', size]);
  await command(['produce', 'T', '--namesrv', namesrv, '--size', '64']);
  assert.deepEqual(
    bodies().map(({ length }) => length),
    [1, 7, 64, 64],
  );
  assert.notEqual(bodies()[2], bodies()[3]);
});

test('produce: whose reader is gone sends everything all the same', async (t) => {
  const { namesrv, broker } = await brokerThat(t, () => ({}));
  const running = new Running(['produce', 'T', '--namesrv', namesrv, '--size', '10', '--count', '3000', '--json']);
  endAfter(t, running);
  await once(running.child.stdout!, 'data');
  running.child.stdout!.destroy();
  const { code, stderr } = await running.finished;
  assert.deepEqual([code, stderr, broker.requests.length], [0, '', 3_000]);
});

test('produce: on a full disk what was sent is not told, everything is sent, and that is 1 with one line', {
  skip: existsSync('/dev/full') ? false : 'no /dev/full',
}, async (t) => {
  const { namesrv, broker } = await brokerThat(t, () => ({}));
  const wrapper = ['sh', '-c', 'exec "$@" > /dev/full', 'sh'];
  const running = new Running(['produce', 'T', '--namesrv', namesrv, '--body', 'x', '--count', '300', '--json'], {
    wrapper,
  });
  endAfter(t, running);
  const { code, stderr } = await running.finished;
  assert.match(stderr, /^vernier: stdout cannot be written: ENOSPC[^\n]*\n$/);
  assert.deepEqual([code, broker.requests.length], [1, 300]);
});

test('produce: the text and the JSON say the same numbers', async (t) => {
  const { namesrv } = await localBroker(t);
  const plain = await command(['produce', 'T', '--namesrv', namesrv, '--body', 'x', '--count', '7']);
  assert.match(plain.stdout, /^7 messages acknowledged/);
  const json = await command(['produce', 'T', '--namesrv', namesrv, '--body', 'x', '--count', '7', '--json']);
  assert.equal(lines(json).length, 7);
  const places = objects(json).map(({ brokerName, queueId, queueOffset }) => `${brokerName}/${queueId} ${queueOffset}`);
  assert.equal(new Set(places).size, 7, 'each has a place of its own');
  const status = objects(
    await command(['topic', 'status', 'T', '--json', '--namesrv', namesrv]).then((finished) => ({
      ...finished,
      stdout: JSON.stringify(JSON.parse(finished.stdout)),
    })),
  )[0] as { maxOffset: number }[];
  assert.equal(
    status.reduce((sum, { maxOffset }) => sum + maxOffset, 0),
    14,
  );
});
