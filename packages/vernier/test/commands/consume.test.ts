import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { encodeConsumerList, RequestCode, ResponseCode, requestCodeName } from '@vernier/remoting';
import { encodeRecord, type TestRecord } from '../../../store/test/record/record-encoder.ts';
import type { Finished } from '../cli.ts';
import {
  type Answer,
  assertFails,
  command,
  type FakePeer,
  fakeNamesrv,
  fakePeer,
  lines,
  localBroker,
  Output,
  objects,
} from '../in-process.ts';

const record = (queueOffset: number, more: Partial<TestRecord> = {}): Buffer =>
  encodeRecord({ topic: 'T', queueOffset, body: Buffer.from(`body ${queueOffset}`), ...more });

interface FakeQueue {
  broker: FakePeer;
  namesrv: string;
  /** Consume offsets by group, as the broker keeps them. */
  committed: Map<string, number>;
  /** Answers that go before those of the queue. */
  before: Map<number, (fields: Record<string, string>) => Answer | undefined>;
}

/** A broker with one queue of these records. */
async function queueOf(t: TestContext, records: readonly Buffer[], max = records.length): Promise<FakeQueue> {
  const committed = new Map<string, number>();
  const members = new Set<string>();
  const before: FakeQueue['before'] = new Map();
  const broker = await fakePeer(t, ({ code, extFields, body }) => {
    const fields = (extFields ?? {}) as Record<string, string>;
    const told = before.get(code)?.(fields);
    if (told !== undefined) return told;
    switch (code) {
      case RequestCode.GET_MIN_OFFSET:
        return { fields: { offset: '0' } };
      case RequestCode.GET_MAX_OFFSET:
        return { fields: { offset: String(max) } };
      case RequestCode.PULL_MESSAGE: {
        const from = Number(fields.queueOffset);
        const found = records.slice(from, from + 2);
        const next = { nextBeginOffset: String(from + found.length) };
        if (found.length === 0) return { code: ResponseCode.PULL_NOT_FOUND, fields: next };
        return { fields: next, body: Buffer.concat(found) };
      }
      case RequestCode.HEART_BEAT:
        members.add((JSON.parse(String(body)) as { clientID: string }).clientID);
        return {};
      case RequestCode.UNREGISTER_CLIENT:
        members.delete(fields.clientID!);
        return {};
      case RequestCode.GET_CONSUMER_LIST_BY_GROUP:
        return { body: encodeConsumerList([...members]) };
      case RequestCode.QUERY_CONSUMER_OFFSET: {
        const offset = committed.get(fields.consumerGroup!);
        return offset === undefined ? { code: ResponseCode.QUERY_NOT_FOUND } : { fields: { offset: String(offset) } };
      }
      case RequestCode.UPDATE_CONSUMER_OFFSET:
        committed.set(fields.consumerGroup!, Number(fields.commitOffset));
        return {};
      default:
        return {};
    }
  });
  const { address } = await fakeNamesrv(t, { b: broker.address });
  return { broker, namesrv: address, committed, before };
}

const consume = (namesrv: string, ...args: string[]): Promise<Finished> =>
  command(['consume', 'T', '--namesrv', namesrv, ...args]);

const asked = ({ requests }: FakePeer): Set<string> => new Set(requests.map(({ code }) => requestCodeName(code)));

test('consume: without a group it leaves no trace: no heartbeat, no commit', async (t) => {
  const { broker, namesrv, committed } = await queueOf(t, [record(0), record(1), record(2)]);
  const read = await consume(namesrv);
  assert.deepEqual([read.code, lines(read), read.stderr], [0, ['body 0', 'body 1', 'body 2'], '']);
  assert.deepEqual([...asked(broker)].sort(), ['GET_MAX_OFFSET', 'GET_MIN_OFFSET', 'PULL_MESSAGE']);
  assert.equal(committed.size, 0);
});

test('consume: a group commits what was printed, at its end and not behind it, and leaves', async (t) => {
  const { broker, namesrv, committed } = await queueOf(
    t,
    [0, 1, 2, 3, 4].map((offset) => record(offset)),
  );
  const some = await consume(namesrv, '--group', 'g', '--count', '3');
  assert.deepEqual([some.code, lines(some)], [0, ['body 0', 'body 1', 'body 2']]);
  assert.equal(committed.get('g'), 3);
  assert.ok(asked(broker).has('UNREGISTER_CLIENT'));
  const rest = await consume(namesrv, '--group', 'g');
  assert.deepEqual([lines(rest), committed.get('g')], [['body 3', 'body 4'], 5]);
  assert.deepEqual(lines(await consume(namesrv, '--group', 'g')), []);
  assert.deepEqual(lines(await consume(namesrv, '--group', 'other')).length, 5, 'each group has its own');
});

test('consume: a group whose commit is refused fails, and does not pass for one that got on', async (t) => {
  const { namesrv, before, committed } = await queueOf(t, [record(0)]);
  before.set(RequestCode.QUERY_CONSUMER_OFFSET, () => ({ code: ResponseCode.SYSTEM_ERROR, remark: 'no table' }));
  const failed = await consume(namesrv, '--group', 'g');
  assertFails(failed, 1, 'CLI_REFUSED', /QUERY_CONSUMER_OFFSET with SYSTEM_ERROR \(1\): no table/);
  assert.equal(committed.size, 0);
});

test('consume: a group that may not read fails before it prints, and prints nothing', async (t) => {
  const { namesrv, before } = await queueOf(t, [record(0)]);
  for (const code of [RequestCode.HEART_BEAT, RequestCode.GET_CONSUMER_LIST_BY_GROUP, RequestCode.PULL_MESSAGE]) {
    before.clear();
    before.set(code, () => ({ code: ResponseCode.NO_PERMISSION, remark: 'not for g' }));
    const failed = await consume(namesrv, '--group', 'g');
    assertFails(
      failed,
      1,
      'CLI_REFUSED',
      new RegExp(`${requestCodeName(code)} with NO_PERMISSION \\(16\\): not for g`),
    );
  }
});

test('consume: messages behind the end that was seen first are another run’s, and the count is kept', async (t) => {
  const { namesrv } = await queueOf(
    t,
    [0, 1, 2, 3].map((offset) => record(offset)),
    3,
  );
  assert.deepEqual(lines(await consume(namesrv)), ['body 0', 'body 1', 'body 2']);
  for (const count of ['1', '2', '3', '9']) {
    assert.equal(lines(await consume(namesrv, '--count', count)).length, Math.min(3, Number(count)));
  }
});

test('consume: a damaged body hides no other, is named by its place, and makes the exit code 1; JSON has its bytes', async (t) => {
  const damaged = record(1);
  damaged[damaged.indexOf('body 1')] = 'B'.charCodeAt(0);
  const packed = record(2, { body: deflateSync(Buffer.from('packed')), sysFlag: 1 });
  const { namesrv } = await queueOf(t, [record(0), damaged, packed]);
  const plain = await consume(namesrv);
  assert.deepEqual([plain.code, lines(plain)], [1, ['body 0', 'packed']]);
  assert.match(
    plain.stderr,
    /^T queue 0 offset 1: the body is not shown, it is damaged: [^\n]*; --json shows its bytes\n$/,
  );
  const json = await consume(namesrv, '--json');
  assert.equal(json.code, 0);
  const [first, second, third] = objects(json);
  assert.deepEqual([first.body, third.body, second.body], ['body 0', 'packed', undefined]);
  assert.equal(Buffer.from(second.bodyBase64, 'base64').toString(), 'Body 1');
  assert.match(second.bodyProblem, /checksum/);
});

test('consume: a broker that sends no records, or half of one, ends it with a code behind what was whole', async (t) => {
  const { namesrv, before } = await queueOf(t, [record(0), record(1), record(2), record(3)]);
  for (const body of [Buffer.from('no records at all'), record(2).subarray(0, 50), Buffer.alloc(200)]) {
    before.set(RequestCode.PULL_MESSAGE, ({ queueOffset }) =>
      queueOffset === '2' ? { fields: { nextBeginOffset: '4' }, body } : undefined,
    );
    const failed = await consume(namesrv);
    assert.deepEqual([failed.code, lines(failed)], [1, ['body 0', 'body 1']]);
    assert.match(failed.stderr, /^vernier: [^\n]*\[REMOTING_MESSAGE_INVALID\]\n$/);
  }
});

test('consume: an offset that is no number ends it, before a message is printed', async (t) => {
  const { namesrv, before } = await queueOf(t, [record(0)]);
  for (const code of [RequestCode.GET_MIN_OFFSET, RequestCode.GET_MAX_OFFSET]) {
    for (const fields of [{ other: '1' }, { offset: 'NaN' }, { offset: '1e9' }] as Record<string, string>[]) {
      before.clear();
      before.set(code, () => ({ fields }));
      assertFails(await consume(namesrv), 1, 'REMOTING_BODY_INVALID', /the field offset of the answer is/);
    }
  }
});

test('consume: a topic that nobody has, or nobody may read, is CLI_NO_ROUTE and no empty topic', async (t) => {
  const namesrv = await fakePeer(t, () => ({ code: ResponseCode.TOPIC_NOT_EXIST }));
  for (const args of [[], ['--group', 'g'], ['--follow'], ['--json']]) {
    assertFails(await consume(namesrv.address, ...args), 1, 'CLI_NO_ROUTE', /no broker has the topic T to read/);
  }
  const writeOnly = await fakeNamesrv(t, { b: 'h:1' }, { perm: 2 });
  assertFails(await consume(writeOnly.address), 1, 'CLI_NO_ROUTE', /no broker has the topic T to read/);
});

test('consume: wrong flags ask nobody', async (t) => {
  const namesrv = await fakePeer(t, () => ({}));
  for (const from of ['beginning', 'frist 1', '5', '2026-02-30']) {
    assertFails(
      await consume(namesrv.address, '--from', from),
      2,
      'CLI_USAGE',
      new RegExp(`--from ${from}: allowed are`),
    );
  }
  for (const count of ['0', '-1', '1.5', 'all']) {
    const refused = await consume(namesrv.address, '--count', count);
    assert.deepEqual([refused.code, refused.stdout], [2, '']);
    assert.match(refused.stderr, /'.+' is invalid\. Allowed are whole numbers from 1\./);
  }
  assert.deepEqual(namesrv.requests, []);
});

test('consume: a group takes the offset again that was set back while its queue was another member’s', async (t) => {
  const { broker, namesrv, before, committed } = await queueOf(t, [record(0), record(1)]);
  let members: string[] | undefined;
  before.set(RequestCode.GET_CONSUMER_LIST_BY_GROUP, () =>
    members === undefined ? undefined : { body: encodeConsumerList(members) },
  );
  const { answer } = broker;
  // A pull that finds nothing is held.
  broker.answer = (request) =>
    request.code === RequestCode.PULL_MESSAGE && request.extFields!.queueOffset === '2'
      ? new Promise(() => {})
      : answer(request);
  const stdout = new Output();
  const running = command(['consume', 'T', '--group', 'g', '--follow', '--namesrv', namesrv], { stdout });
  await stdout.printed(/body 1\n/);
  const membersChange = () => broker.notify(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, { consumerGroup: 'g' });
  // Another member takes the queue: what was done is committed.
  members = ['somebody else'];
  membersChange();
  await broker.until(() => committed.get('g') === 2);
  // An operator sets it back, and the queue is ours again.
  committed.set('g', 0);
  members = undefined;
  membersChange();
  const heldPulls = (): number =>
    broker.requests.filter(({ code, extFields }) => code === RequestCode.PULL_MESSAGE && extFields!.queueOffset === '2')
      .length;
  await broker.until(() => heldPulls() === 2);
  assert.equal(stdout.text, 'body 0\nbody 1\nbody 0\nbody 1\n');
  process.emit('SIGTERM');
  const { code } = await running;
  assert.deepEqual([code, committed.get('g')], [0, 2]);
});

test('consume: a signal ends a follower with 0, with what was printed committed', async (t) => {
  const { namesrv } = await localBroker(t);
  const listeners = process.listenerCount('SIGTERM');
  await command(['produce', 'T', '--namesrv', namesrv], { input: '1\n2\n3\n' });
  const stdout = new Output();
  const running = command(['consume', 'T', '--group', 'g', '--follow', '--namesrv', namesrv], { stdout });
  await stdout.printed(/(\d\n){3}/);
  process.emit('SIGTERM');
  const { code, stderr } = await running;
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(process.listenerCount('SIGTERM'), listeners, 'nothing listens any more');
  assert.deepEqual(lines(await command(['consume', 'T', '--group', 'g', '--namesrv', namesrv])), []);
});

test('consume: a signal while it reads what is there ends it with 0, and with no message in half', async (t) => {
  const { namesrv, before } = await queueOf(
    t,
    Array.from({ length: 100 }, (_, offset) => record(offset)),
  );
  before.set(RequestCode.PULL_MESSAGE, ({ queueOffset }) => {
    if (queueOffset === '10') process.emit('SIGINT');
    return undefined;
  });
  const { code, stdout } = await consume(namesrv);
  assert.equal(code, 0);
  assert.match(stdout, /^(body \d+\n)*$/);
  assert.ok(lines({ code, stdout, stderr: '' }).length < 100);
});

test('consume: a stdout that takes nothing is no message printed, and none is committed', async (t) => {
  const { namesrv, committed } = await queueOf(t, [record(0), record(1)]);
  const failed = await command(['consume', 'T', '--group', 'g', '--namesrv', namesrv], {
    stdout: new Output('ENOSPC'),
  });
  assert.deepEqual([failed.code, failed.stdout], [1, '']);
  assert.ok((committed.get('g') ?? 0) === 0, `${committed.get('g')} committed`);
});

test('consume: the text and the JSON have the same messages in the same order, and each line parses', async (t) => {
  const { namesrv } = await localBroker(t);
  const input = Array.from({ length: 40 }, (_, index) => `message ${index}`).join('\n');
  await command(['produce', 'T', '--namesrv', namesrv, '--keys', 'k', '--tags', 'x'], { input });
  const plain = lines(await consume(namesrv));
  const json = objects(await consume(namesrv, '--json'));
  assert.deepEqual(
    json.map(({ body }) => body),
    plain,
  );
  for (const { topic, keys, tags, properties } of json) {
    assert.deepEqual([topic, keys, tags], ['T', 'k', 'x']);
    for (const name of ['KEYS', 'TAGS', 'UNIQ_KEY']) assert.ok(!(name in properties), `${name} stands in one place`);
  }
});
