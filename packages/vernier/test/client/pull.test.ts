import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type DecodedMessage, RequestCode, ResponseCode } from '@vernier/remoting';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { encodeRecord, type TestRecord } from '../../../store/test/record/record-encoder.ts';
import { Cluster } from '../../src/client/cluster.ts';
import { mergeByTime, Puller, parseFrom, type QueueSource, tagFilter } from '../../src/client/pull.ts';
import type { CliError } from '../../src/errors.ts';
import { type Answering, type FakePeer, fakePeer } from '../in-process.ts';

const message = (queueId: number, storeTimestamp: number, tags = ''): DecodedMessage =>
  ({ queueId, storeTimestamp, properties: new Map([['TAGS', tags]]) }) as DecodedMessage;

async function* stream(...messages: DecodedMessage[]): AsyncGenerator<DecodedMessage, void, undefined> {
  yield* messages;
}

test('parseFrom: first, last, an ISO time, Unix milliseconds; anything else is refused', () => {
  assert.equal(parseFrom('first'), 'first');
  assert.equal(parseFrom('last'), 'last');
  assert.deepEqual(parseFrom('2026-01-31T12:00:00Z'), { timestamp: Date.UTC(2026, 0, 31, 12) });
  assert.deepEqual(parseFrom('1769860800000'), { timestamp: 1_769_860_800_000 });
  assert.throws(
    () => parseFrom('beginning'),
    (error: CliError) => error.code === 'CLI_USAGE',
  );
});

test('tagFilter: a star takes all, names take exactly themselves', () => {
  assert.equal(tagFilter('*')(message(0, 0, 'x')), true);
  const some = tagFilter('paid || shipped');
  assert.deepEqual(
    ['paid', 'shipped', 'pai', ''].map((tag) => some(message(0, 0, tag))),
    [true, true, false, false],
  );
});

test('mergeByTime: one stream by store time, the order within a queue untouched', async () => {
  const merged: string[] = [];
  const streams = [
    stream(message(0, 1), message(0, 9), message(0, 4)),
    stream(),
    stream(message(2, 2), message(2, 10)),
  ];
  for await (const { queueId, storeTimestamp } of mergeByTime(streams)) merged.push(`${queueId}:${storeTimestamp}`);
  // Queue 0 has a clock that went back: its 4 stays behind its 9.
  assert.deepEqual(merged, ['0:1', '2:2', '0:9', '0:4', '2:10']);
});

test('parseFrom: a mistyped word with a number in it is no time, and the 31st of February neither', () => {
  const refused = ['', 'frist 1', 'last 5', '5', '123', '2026-02-31', '2026-02-31T00:00:00Z', '2026-13-01', '2026-1-5'];
  for (const typed of [...refused, 'Mon', '12:00', '2026-01-31T25:00:00Z', '1769860800000ms', '9'.repeat(400)]) {
    assert.throws(() => parseFrom(typed), {
      code: 'CLI_USAGE',
      message: `--from ${typed}: allowed are first, last and a time such as 2026-01-31T12:00:00Z`,
    });
  }
  assert.deepEqual(parseFrom('2024-02-29'), { timestamp: Date.UTC(2024, 1, 29) });
  assert.deepEqual(parseFrom('2026-01-31T12:00:00.250+02:00'), { timestamp: Date.UTC(2026, 0, 31, 10, 0, 0, 250) });
});

test('tagFilter: blanks around tags do not matter, a part of a tag does, and a message without a tag has none', () => {
  const withoutTags = { properties: new Map() } as unknown as DecodedMessage;
  for (const all of ['*', ' * ', '', '  ', 'a || *']) assert.equal(tagFilter(all)(withoutTags), true, all);
  for (const some of ['a', 'a||b', '||a']) {
    assert.equal(tagFilter(some)(message(0, 0, 'a')), true, some);
    assert.equal(tagFilter(some)(message(0, 0, 'A')), false, some);
    assert.equal(tagFilter(some)(message(0, 0, 'a||b')), false, some);
  }
  assert.equal(tagFilter('a')(withoutTags), false);
});

/** A queue at a broker that answers as told. */
async function queueAt(
  t: TestContext,
  answer: Answering,
  tags = '*',
): Promise<{ puller: Puller; queue: QueueSource; broker: FakePeer }> {
  const broker = await fakePeer(t, answer);
  const cluster = new Cluster(broker.address);
  cleanUp(t, () => cluster.close());
  const queue = { topic: 'T', brokerName: 'b', queueId: 3, address: broker.address };
  return { puller: new Puller(cluster, 'g', tags), queue, broker };
}

const record = (queueOffset: number, more: Partial<TestRecord> = {}): Buffer =>
  encodeRecord({ topic: 'T', queueId: 3, queueOffset, ...more });

const bodyOf = (from: number, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => record(from + index)));

test('pull: asks for its queue from its offset on, says what it filters by, and holds only when told to', async (t) => {
  const { puller, queue, broker } = await queueAt(t, () => ({ fields: { nextBeginOffset: '7' } }), 'a || b');
  assert.deepEqual(await puller.pull(queue, 7, false), { messages: [], next: 7 });
  await puller.pull(queue, 7, true);
  const [first, second] = broker.requests.map(({ extFields }) => extFields!);
  const { consumerGroup, topic, queueId, queueOffset, subscription, maxMsgNums } = first!;
  assert.deepEqual([consumerGroup, topic, queueId, queueOffset, subscription], ['g', 'T', '3', '7', 'a || b']);
  assert.ok(Number(maxMsgNums) <= 32);
  assert.deepEqual([Number(first!.sysFlag) & 2, Number(second!.sysFlag) & 2], [0, 2], 'the suspend flag');
  assert.equal(Number(first!.sysFlag) & 1, 0, 'a pull commits nothing');
});

test('pull: messages that only share the hash of a tag are left out, and the position still moves on', async (t) => {
  const mixed = Buffer.concat([
    record(0, { properties: 'TAGS\u0001a\u0002' }),
    record(1, { properties: 'TAGS\u0001aa\u0002' }),
    record(2, { properties: '' }),
  ]);
  const { puller, queue } = await queueAt(t, () => ({ fields: { nextBeginOffset: '3' }, body: mixed }), 'a');
  const { messages, next } = await puller.pull(queue, 0, false);
  assert.deepEqual([messages.map(({ queueOffset }) => queueOffset), next], [[0], 3]);
});

test('pull: nothing found, offset moved and no place to go on are no errors; every other code is', async (t) => {
  const { puller, queue, broker } = await queueAt(t, () => ({}));
  for (const code of [
    ResponseCode.PULL_NOT_FOUND,
    ResponseCode.PULL_RETRY_IMMEDIATELY,
    ResponseCode.PULL_OFFSET_MOVED,
  ]) {
    broker.answer = () => ({ code, fields: { nextBeginOffset: '42' }, body: bodyOf(0, 1) });
    const { messages, next } = await puller.pull(queue, 5, false);
    assert.deepEqual([messages, next], [[], 42], 'a body that comes with no success holds no messages');
    broker.answer = () => ({ code });
    assert.equal((await puller.pull(queue, 5, false)).next, 5, 'without a place it stays');
  }
  for (const code of [
    ResponseCode.SYSTEM_ERROR,
    ResponseCode.SUBSCRIPTION_NOT_EXIST,
    ResponseCode.NO_PERMISSION,
    777,
  ]) {
    broker.answer = () => ({ code, body: bodyOf(0, 1) });
    await assert.rejects(puller.pull(queue, 5, false), { code: 'CLI_REFUSED' }, String(code));
  }
});

test('pull: half a record at the end of a body is an error and no shorter answer', async (t) => {
  const whole = bodyOf(0, 2);
  for (const cut of [1, 40, record(1).length - 1]) {
    const body = whole.subarray(0, whole.length - cut);
    const { puller, queue } = await queueAt(t, () => ({ fields: { nextBeginOffset: '2' }, body }));
    await assert.rejects(puller.pull(queue, 0, false), { code: 'REMOTING_MESSAGE_INVALID' }, `cut by ${cut}`);
  }
});

test('read: goes on where the broker says, up to the end and not beyond it', async (t) => {
  const { puller, queue, broker } = await queueAt(t, ({ extFields }) => {
    const from = Number(extFields!.queueOffset);
    return { fields: { nextBeginOffset: String(from + 4) }, body: bodyOf(from, 4) };
  });
  const offsets: number[] = [];
  for await (const { queueOffset } of puller.read(queue, 10, 17)) offsets.push(queueOffset);
  assert.deepEqual(offsets, [10, 11, 12, 13, 14, 15, 16]);
  assert.equal(broker.requests.length, 2);
  for await (const _ of puller.read(queue, 17, 17)) assert.fail('an empty range');
  for await (const _ of puller.read(queue, 18, 17)) assert.fail('a range that ends before it begins');
  assert.equal(broker.requests.length, 2, 'and nobody was asked for them');
});

test('read: a broker that does not move on, or back, is not asked for ever', async (t) => {
  for (const next of ['5', '4', '0', '-1']) {
    const { puller, queue, broker } = await queueAt(t, () => ({
      fields: { nextBeginOffset: next },
      body: bodyOf(5, 1),
    }));
    const offsets: number[] = [];
    for await (const { queueOffset } of puller.read(queue, 5, 100)) offsets.push(queueOffset);
    assert.deepEqual([offsets, broker.requests.length], [[5], 1], next);
  }
});

test('beginning: first, last and a time are three different questions to the queue’s own broker', async (t) => {
  const { puller, queue, broker } = await queueAt(t, ({ code }) => ({ fields: { offset: String(code) } }));
  assert.equal(await puller.beginning(queue, 'first'), RequestCode.GET_MIN_OFFSET);
  assert.equal(await puller.beginning(queue, 'last'), RequestCode.GET_MAX_OFFSET);
  assert.equal(await puller.beginning(queue, { timestamp: 1_234 }), RequestCode.SEARCH_OFFSET_BY_TIMESTAMP);
  for (const { extFields } of broker.requests) assert.deepEqual([extFields!.topic, extFields!.queueId], ['T', '3']);
  assert.deepEqual(
    broker.requests.map(({ extFields }) => extFields!.timestamp),
    [undefined, undefined, '1234'],
  );
});

test('mergeByTime: a stream that fails fails the whole, and what was in front of it has come out', async () => {
  async function* failing(): AsyncGenerator<DecodedMessage, void, undefined> {
    yield message(1, 5);
    throw new Error('the broker went away');
  }
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const { storeTimestamp } of mergeByTime([stream(message(0, 1), message(0, 9)), failing()])) {
      seen.push(storeTimestamp);
    }
  }, /the broker went away/);
  assert.deepEqual(seen, [1, 5]);
});

test('mergeByTime: none, and none but empty ones, are an empty stream; equal times keep the order of the queues', async () => {
  for (const streams of [[], [stream(), stream()]]) {
    for await (const _ of mergeByTime(streams)) assert.fail('nothing is there');
  }
  const queueIds: number[] = [];
  for await (const { queueId } of mergeByTime([stream(message(0, 1), message(0, 1)), stream(message(1, 1))])) {
    queueIds.push(queueId);
  }
  assert.deepEqual(queueIds, [0, 0, 1]);
});
