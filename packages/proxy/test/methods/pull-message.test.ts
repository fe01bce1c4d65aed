import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Call } from '../../src/call.ts';
import { pullMessage } from '../../src/methods/pull-message.ts';
import { getOffset, queryOffset, updateOffset } from '../../src/methods/queue-offsets.ts';
import {
  ClientType,
  Code,
  FilterType,
  type Message,
  type PullMessageRequest,
  type PullMessageResponse,
  QueryOffsetPolicy,
} from '../../src/wire/messages.ts';
import { numberOf, timeOf } from '../../src/wire/times.ts';
import { ProxyMachine, SECOND } from '../proxy-machine.ts';

const queueIn = (topic: string, id = 0) => ({ topic: { name: topic }, id });

const wanted = (more: PullMessageRequest = {}): PullMessageRequest => ({
  ...{ group: { name: 'g' }, messageQueue: queueIn('T'), offset: 0, batchSize: 32 },
  ...more,
});

interface Pulled {
  readonly code: Code;
  readonly text: string;
  readonly bodies: string[];
  readonly messages: Message[];
  readonly next: number | undefined;
}

/** The status is first, and the offset to go on at is last. */
async function answersTo(machine: ProxyMachine, request: PullMessageRequest, call = machine.call()): Promise<Pulled> {
  const answers: PullMessageResponse[] = [];
  const write = async (answer: PullMessageResponse): Promise<void> => {
    // The bytes of a body are those of a buffer that is used again.
    const { message } = answer;
    answers.push(message ? { message: { ...message, body: Buffer.from(message.body!) } } : answer);
  };
  await pullMessage(machine.proxy, request, call, { write });
  const { status } = answers[0]!;
  assert.ok(status, 'the status comes first');
  const last = answers.at(-1)!.nextOffset;
  const messages = answers.flatMap(({ message }) => message ?? []);
  return {
    ...{ code: status.code as Code, text: status.message ?? '', messages },
    bodies: messages.map(({ body }) => Buffer.from(body!).toString()),
    next: last === undefined || last === null ? undefined : numberOf(last),
  };
}

const pull = (machine: ProxyMachine, more: PullMessageRequest = {}, call?: Call): Promise<Pulled> =>
  machine.until(answersTo(machine, wanted(more), call), 'pull');

async function withMessages(...bodies: string[]): Promise<ProxyMachine> {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  for (const body of bodies) await machine.sent('T', body);
  return machine;
}

test('pull: messages from an offset on, and where to go on; nothing is committed and nobody is invisible', async () => {
  const machine = await withMessages('a', 'b', 'c');
  assert.deepEqual((await pull(machine)).bodies, ['a', 'b', 'c']);
  const { code, bodies, next, messages } = await pull(machine, { offset: 1, batchSize: 1 });
  assert.deepEqual([code, bodies, next], [Code.OK, ['b'], 2]);
  assert.equal(messages[0]!.systemProperties?.receiptHandle ?? '', '', 'there is nothing to acknowledge');
  assert.equal(Number(messages[0]!.systemProperties?.queueOffset), 1);
  const offset = { group: { name: 'g' }, messageQueue: queueIn('T') };
  assert.equal((await machine.refusal(() => getOffset(machine.proxy, offset))).code, Code.OFFSET_NOT_FOUND);
  assert.equal(machine.proxy.room.usedBytes, 0, 'all room is given back');
});

test('pull: it waits for a message, as long as it asks for', async () => {
  const machine = await withMessages('a');
  const waiting = answersTo(machine, wanted({ offset: 1, longPollingTimeout: timeOf(10 * SECOND) }));
  await machine.advance(3 * SECOND);
  await machine.sent('T', 'late');
  assert.deepEqual((await machine.until(waiting)).bodies, ['late']);

  const began = machine.now;
  const none = await pull(machine, { offset: 2, longPollingTimeout: timeOf(10 * SECOND) });
  assert.deepEqual([none.code, none.next], [Code.MESSAGE_NOT_FOUND, 2]);
  assert.ok(machine.now - began >= 10 * SECOND, `${machine.now - began} ms`);

  const atOnce = machine.now;
  assert.equal((await pull(machine, { offset: 2 })).code, Code.MESSAGE_NOT_FOUND);
  assert.ok(machine.now - atOnce < SECOND, 'who does not ask to wait does not');
});

test('pull: it waits no longer than its call, and for nobody who is gone', async () => {
  const machine = await withMessages('a');
  const began = machine.now;
  const call = machine.call({ deadlineMs: 4 * SECOND });
  await pull(machine, { offset: 1, longPollingTimeout: timeOf(20 * SECOND) }, call);
  assert.ok(machine.now - began <= 5 * SECOND, `${machine.now - began} ms`);

  const gone = machine.call();
  const waiting = answersTo(machine, wanted({ offset: 1, longPollingTimeout: timeOf(20 * SECOND) }), gone);
  await machine.advance(SECOND);
  gone.caller.end();
  assert.deepEqual([(await machine.until(waiting)).next], [1]);
  await machine.advance(30 * SECOND);
  assert.equal(machine.broker.holds.count, 0);
  assert.equal(machine.proxy.room.usedBytes, 0);
});

test('pull: an offset that the queue does not have is refused with one that it has', async () => {
  const machine = await withMessages('a', 'b');
  const { code, text, next, bodies } = await pull(machine, { offset: 9 });
  assert.deepEqual([code, next, bodies], [Code.ILLEGAL_OFFSET, 2, []]);
  assert.match(text, /offset 9: the queue goes from 0 to 2/);
  const refused = (more: PullMessageRequest) => machine.refusal(() => answersTo(machine, wanted(more)));
  assert.equal((await refused({ offset: -1 })).code, Code.ILLEGAL_OFFSET);
  assert.equal((await refused({ batchSize: 0 })).code, Code.BAD_REQUEST);
  assert.equal((await refused({ messageQueue: queueIn('T', 1) })).code, Code.BAD_REQUEST);
  assert.equal((await refused({ messageQueue: queueIn('T', -1) })).code, Code.BAD_REQUEST);
  assert.equal((await refused({ messageQueue: queueIn('none') })).code, Code.TOPIC_NOT_FOUND);
  assert.equal((await refused({ messageQueue: queueIn('rmq_sys_wheel_timer') })).code, Code.ILLEGAL_TOPIC);
  assert.equal((await refused({ group: { name: 'a b' } })).code, Code.ILLEGAL_CONSUMER_GROUP);
  const elsewhere = { ...queueIn('T'), broker: { name: 'broker-z' } };
  assert.match((await refused({ messageQueue: elsewhere })).message, /broker-z/);
});

test('pull: a filter passes over what it does not want, and the offset goes past it', async () => {
  const machine = await withMessages();
  // Java's hash of these two is the same.
  await machine.sent('T', 'mine', { tag: 'Aa' });
  await machine.sent('T', 'of the same hash', { tag: 'BB' });
  await machine.sent('T', 'other', { tag: 'c' });
  const filterExpression = { type: FilterType.TAG, expression: 'Aa' };
  const { bodies, next } = await pull(machine, { filterExpression });
  assert.deepEqual(bodies, ['mine']);
  assert.ok(next! >= 2);
  const bad = { type: FilterType.TAG, expression: '||' };
  const refused = await machine.refusal(() => answersTo(machine, wanted({ filterExpression: bad })));
  assert.equal(refused.code, Code.ILLEGAL_FILTER_EXPRESSION);
});

test('pull: a group that may not consume is refused', async () => {
  const machine = await withMessages('a');
  machine.group('g', { consumeEnable: false });
  const { code, bodies, next } = await pull(machine);
  assert.deepEqual([code, bodies, next], [Code.FORBIDDEN, [], undefined]);
});

test('pull: a client of the type PULL_CONSUMER is a member of its group', async () => {
  const machine = await withMessages('a');
  const stream = machine.consumer('g', 'T', { type: ClientType.PULL_CONSUMER });
  assert.equal(stream.commands.length, 1);
  assert.equal(machine.broker.consumers.group('g')?.consumeType, 'CONSUME_ACTIVELY');
});

test('offsets: what a group says of a queue is where it goes on, over a kill too', async () => {
  const machine = await withMessages('a', 'b', 'c');
  const named = { group: { name: 'g' }, messageQueue: queueIn('T') };
  const unknown = await machine.refusal(() => updateOffset(machine.proxy, { ...named, offset: 2 }));
  assert.equal(unknown.code, Code.CONSUMER_GROUP_NOT_FOUND);
  await pull(machine);
  assert.equal(updateOffset(machine.proxy, { ...named, offset: 2 }).status?.code, Code.OK);
  assert.equal(Number((await getOffset(machine.proxy, named)).offset), 2);
  const negative = await machine.refusal(() => updateOffset(machine.proxy, { ...named, offset: -1 }));
  assert.equal(negative.code, Code.ILLEGAL_OFFSET);
  await machine.advance(machine.broker.config.flushConsumerOffsetInterval + SECOND);
  await machine.kill();
  assert.equal(Number((await getOffset(machine.proxy, named)).offset), 2);
});

test('offsets: where a queue begins and ends, and what was stored since a time', async () => {
  const machine = await withMessages('a', 'b');
  await machine.advance(10 * SECOND);
  const since = machine.now;
  await machine.sent('T', 'c');
  const ask = async (queryOffsetPolicy: QueryOffsetPolicy, timestamp?: object): Promise<number> => {
    const request = { messageQueue: queueIn('T'), queryOffsetPolicy, ...(timestamp ? { timestamp } : {}) };
    return Number((await machine.until(queryOffset(machine.proxy, request))).offset);
  };
  assert.equal(await ask(QueryOffsetPolicy.BEGINNING), 0);
  assert.equal(await ask(QueryOffsetPolicy.END), 3);
  assert.equal(await ask(QueryOffsetPolicy.TIMESTAMP, timeOf(since)), 2);
  assert.equal(await ask(QueryOffsetPolicy.TIMESTAMP, timeOf(-SECOND)), 0);
  const refused = (request: object) =>
    machine.refusal(() => queryOffset(machine.proxy, { messageQueue: queueIn('T'), ...request }));
  assert.equal((await refused({ queryOffsetPolicy: QueryOffsetPolicy.TIMESTAMP })).code, Code.BAD_REQUEST);
  assert.equal((await refused({ queryOffsetPolicy: 7 })).code, Code.BAD_REQUEST);
});

test('offsets and pulls of a static topic are those of the logical queue', async () => {
  const machine = await ProxyMachine.start();
  machine.staticTopic('S', { 7: 100 });
  const message = { topic: 'S', queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: machine.now, reconsumeTimes: 0 };
  const put = { ...message, body: Buffer.from('x'), properties: '' };
  for (let i = 0; i < 2; i++) {
    await machine.until(
      Promise.resolve(machine.broker.put.put(put, machine.call().caller, 'client', (value) => value)),
    );
  }
  const messageQueue = queueIn('S', 7);
  const { code, next, messages } = await pull(machine, { messageQueue, offset: 101 });
  assert.deepEqual([code, next, messages.length], [Code.OK, 102, 1]);
  const { queueId, queueOffset } = messages[0]!.systemProperties!;
  assert.deepEqual([queueId, Number(queueOffset)], [7, 101]);
  const named = { group: { name: 'g' }, messageQueue };
  assert.equal(updateOffset(machine.proxy, { ...named, offset: 102 }).status?.code, Code.OK);
  assert.equal(Number((await getOffset(machine.proxy, named)).offset), 102);
  assert.equal(machine.broker.offsets.query('g', 'S', 0), 2, 'the broker counts by its own queue');
  const below = await machine.refusal(() => updateOffset(machine.proxy, { ...named, offset: 99 }));
  assert.equal(below.code, Code.ILLEGAL_OFFSET);
  const end = await queryOffset(machine.proxy, { messageQueue, queryOffsetPolicy: QueryOffsetPolicy.END });
  assert.equal(Number(end.offset), 102);
  const other = await machine.refusal(() => getOffset(machine.proxy, { ...named, messageQueue: queueIn('S', 0) }));
  assert.match(other.message, /S-0/);
});
