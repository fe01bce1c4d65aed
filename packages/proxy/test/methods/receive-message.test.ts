import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig, Perm } from '@vernier/remoting';
import { receiveMessage } from '../../src/methods/receive-message.ts';
import { ClientType, Code, FilterType } from '../../src/wire/messages.ts';
import { timeOf } from '../../src/wire/times.ts';
import { handleOf, MINUTE, ProxyMachine, SECOND } from '../proxy-machine.ts';

async function started(options: Parameters<typeof ProxyMachine.start>[0] = {}): Promise<ProxyMachine> {
  const machine = await ProxyMachine.start(options);
  machine.topic('T', undefined, 1);
  machine.consumer('g', 'T');
  return machine;
}

test('receive: a status, the messages with what their consumer needs, the time', async () => {
  const machine = await started();
  await machine.sent('T', 'hello', { tag: 'a', keys: ['k1', 'k2'], messageId: 'id' });
  const received = await machine.receive('g', 'T');
  assert.equal(received.code, Code.OK);
  const [message] = received.messages;
  const { systemProperties: system } = message!;
  assert.equal(message!.topic?.name, 'T');
  assert.deepEqual(received.bodies, ['hello']);
  assert.deepEqual([system!.tag, system!.keys, system!.messageId], ['a', ['k1', 'k2'], 'id']);
  assert.deepEqual(system!.bodyDigest, { type: 2, checksum: '5D41402ABC4B2A76B9719D911017C592' });
  assert.deepEqual([system!.bodyEncoding, system!.deliveryAttempt, system!.queueOffset], [1, 1, 0]);
  assert.match(handleOf(message!), /^0 \d+ 30000 \d 0 \S+ 0 0 \d+$/, 'the nine fields of RocketMQ');
  assert.deepEqual({ ...message!.userProperties }, {}, 'nothing of the broker’s own');
});

test('receive: a message that comes while the call waits ends it at once, none ends it after its time', async () => {
  const machine = await started();
  const waiting = machine.begin(machine.request('g', 'T', { longPollingTimeout: timeOf(20 * SECOND) }));
  await machine.advance(7 * SECOND);
  assert.deepEqual(waiting.answers, []);
  const from = machine.now;
  await machine.sent('T', 'late');
  assert.deepEqual((await machine.until(waiting.done)).bodies, ['late']);
  assert.ok(machine.now - from < SECOND);

  const began = machine.now;
  const empty = await machine.receive('g', 'T', { longPollingTimeout: timeOf(8 * SECOND) });
  assert.deepEqual([empty.code, empty.messages], [Code.MESSAGE_NOT_FOUND, []]);
  assert.ok(machine.now - began >= 8 * SECOND && machine.now - began < 10 * SECOND, `${machine.now - began} ms`);
});

test('receive: a call waits from 5 to 20 seconds, and not beyond its deadline', async () => {
  const machine = await started();
  for (const [askedMs, deadlineMs, leastMs, mostMs] of [
    [100, MINUTE, 5 * SECOND, 7 * SECOND],
    [MINUTE, 10 * MINUTE, 20 * SECOND, 22 * SECOND],
    [20 * SECOND, 9 * SECOND, 8 * SECOND, 11 * SECOND],
    [20 * SECOND, Number.POSITIVE_INFINITY, 20 * SECOND, 22 * SECOND],
  ] as const) {
    const began = machine.now;
    const { code } = await machine.receive(
      'g',
      'T',
      { longPollingTimeout: timeOf(askedMs) },
      machine.call({ deadlineMs }),
    );
    assert.equal(code, Code.MESSAGE_NOT_FOUND);
    const ms = machine.now - began;
    assert.ok(ms >= leastMs && ms <= mostMs, `${askedMs} asked, deadline ${deadlineMs}: ${ms} ms`);
  }
});

test('receive: what cannot be is refused, and takes no message', async () => {
  const machine = await started();
  await machine.sent('T', 'x');
  const refused = async (code: Code, more: object, options = {}): Promise<void> => {
    const request = machine.request('g', 'T', more);
    const found = await machine.refusal(() => machine.begin(request, machine.call(options)).done);
    assert.equal(found.code, code, found.message);
  };
  await refused(Code.ILLEGAL_INVISIBLE_TIME, { invisibleDuration: timeOf(10 * SECOND - 1) });
  await refused(Code.ILLEGAL_INVISIBLE_TIME, { invisibleDuration: timeOf(12 * 60 * MINUTE + 1) });
  await refused(Code.ILLEGAL_INVISIBLE_TIME, { invisibleDuration: undefined });
  await refused(Code.ILLEGAL_POLLING_TIME, {}, { deadlineMs: 5 * SECOND - 1 });
  await refused(Code.BAD_REQUEST, {}, { deadlineMs: SECOND, clientVersion: '5.0.2' });
  await refused(Code.BAD_REQUEST, { batchSize: 0 });
  await refused(Code.ILLEGAL_TOPIC, { messageQueue: { topic: { name: 'a b' } } });
  await refused(Code.ILLEGAL_TOPIC, { messageQueue: undefined });
  await refused(Code.ILLEGAL_CONSUMER_GROUP, { group: { name: '' } });
  await refused(Code.ILLEGAL_CONSUMER_GROUP, { group: { name: 'CID_RMQ_SYS_x' } });
  await refused(Code.ILLEGAL_FILTER_EXPRESSION, { filterExpression: { type: FilterType.TAG, expression: '||' } });
  await refused(Code.UNRECOGNIZED_CLIENT_TYPE, {}, { clientId: 'nobody' });
  const writeOnly = { perm: Perm.WRITE, readQueueNums: 1, writeQueueNums: 1 };
  machine.broker.topics.update(createTopicConfig('W', writeOnly));
  await refused(Code.FORBIDDEN, { messageQueue: { topic: { name: 'W' } } });
  const sql = await machine.receive('g', 'T', { filterExpression: { type: FilterType.SQL, expression: 'a >' } });
  assert.deepEqual([sql.code, sql.messages], [Code.ILLEGAL_FILTER_EXPRESSION, []]);
  const missing = await machine.receive('g', 'Missing');
  assert.equal(missing.code, Code.TOPIC_NOT_FOUND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['x'], 'it is still there');
});

test('receive: nothing is given before the settings, so that a group in order never gets a batch out of order', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', 'FIFO', 1);
  machine.group('g', { consumeMessageOrderly: true });
  await machine.sent('T', 'a', { messageGroup: 'm' });
  const before = await machine.refusal(() => machine.begin(machine.request('g', 'T')).done);
  assert.equal(before.code, Code.UNRECOGNIZED_CLIENT_TYPE);
  const stream = machine.consumer('g', 'T');
  assert.equal(stream.commands[0]!.settings?.subscription?.fifo, true);
  await machine.sent('T', 'b', { messageGroup: 'm' });
  const first = await machine.receive('g', 'T', { batchSize: 1 });
  assert.deepEqual(first.bodies, ['a']);
  const blocked = await machine.receive('g', 'T', { batchSize: 1 });
  assert.deepEqual(blocked.bodies, [], 'the queue waits for the first');
  assert.deepEqual(await machine.ack('g', 'T', first.messages[0]!), [Code.OK, Code.OK]);
  assert.deepEqual((await machine.receive('g', 'T', { batchSize: 1 })).bodies, ['b']);
});

test('receive: in order, what was not acknowledged comes again with its count', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', 'FIFO', 1);
  machine.group('g', { consumeMessageOrderly: true });
  machine.consumer('g', 'T');
  for (const body of ['1', '2', '3']) await machine.sent('T', body, { messageGroup: 'm' });
  const first = await machine.receive('g', 'T');
  await machine.ack('g', 'T', first.messages[0]!);
  await machine.advance(31 * SECOND);
  const again = await machine.receive('g', 'T');
  assert.deepEqual(again.bodies, ['2', '3']);
  assert.deepEqual(
    again.messages.map(({ systemProperties }) => systemProperties?.deliveryAttempt),
    [2, 2],
  );
});

test('receive: tags of one hash are told apart, and what nobody of the group wants is gone for it', async () => {
  const machine = await started();
  for (const tag of ['Aa', 'BB', 'C']) await machine.sent('T', tag, { tag });
  await machine.sent('T', 'untagged');
  const filterExpression = { type: FilterType.TAG, expression: 'Aa' };
  assert.deepEqual((await machine.receive('g', 'T', { filterExpression })).bodies, ['Aa']);
  await machine.advance(MINUTE);
  const later = await machine.receive('g', 'T');
  assert.deepEqual(later.bodies, ['Aa'], 'it was not acknowledged; the others do not come');
});

test('receive: a batch of tags of the same hash alone is no message, and is acknowledged', async () => {
  const machine = await started();
  await machine.sent('T', 'BB', { tag: 'BB' });
  const filterExpression = { type: FilterType.TAG, expression: 'Aa' };
  const received = await machine.receive('g', 'T', { filterExpression });
  assert.deepEqual([received.code, received.bodies], [Code.MESSAGE_NOT_FOUND, []]);
  await machine.advance(MINUTE);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, []);
});

test('receive: after its last attempt a message goes to the dead letters, at the next receive', async () => {
  const machine = await started();
  machine.group('g', { retryMaxTimes: 1 });
  await machine.sent('T', 'hopeless');
  const attempts: (number | null | undefined)[] = [];
  for (let i = 0; i < 2; i++) {
    const { messages } = await machine.receive('g', 'T');
    attempts.push(...messages.map(({ systemProperties }) => systemProperties?.deliveryAttempt));
    await machine.advance(35 * SECOND);
  }
  assert.deepEqual(attempts, [1, 2]);
  assert.deepEqual(await machine.pop.broker.bodies('%DLQ%g'), []);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, []);
  assert.deepEqual(await machine.pop.broker.bodies('%DLQ%g'), ['hopeless']);
  await machine.advance(MINUTE);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, [], 'and not a third time');
});

test('receive: a group whose retries have no end never loses a message to the dead letters', async () => {
  const machine = await started();
  machine.group('g', { retryMaxTimes: -1 });
  await machine.sent('T', 'endless');
  for (let i = 0; i < 5; i++) {
    assert.deepEqual((await machine.receive('g', 'T')).bodies, ['endless'], `attempt ${i}`);
    await machine.alive(35 * SECOND);
  }
});

test('receive: a client that goes while it waits gets nothing, and the message is another’s', async () => {
  const machine = await started();
  const waiting = machine.begin(machine.request('g', 'T'));
  await machine.advance(SECOND);
  waiting.call.caller.end();
  await machine.sent('T', 'for somebody else');
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['for somebody else']);
});

test('receive: what a client does not take comes again after a second, and its room is given back', async () => {
  const machine = await started();
  for (const body of ['a', 'b', 'c']) await machine.sent('T', body);
  let writes = 0;
  const failing = machine.begin(machine.request('g', 'T'), machine.call(), () => {
    // The status and the first message.
    if (++writes > 2) throw new Error('the client is gone');
  });
  await assert.rejects(machine.until(failing.done), /the client is gone/);
  assert.equal(machine.proxy.room.usedBytes, 0);
  await machine.advance(4 * SECOND);
  assert.deepEqual((await machine.receive('g', 'T')).bodies, ['b', 'c'], 'the first was taken');
});

test('receive: answers under way have a budget, and a call waits for its turn', async () => {
  const machine = await ProxyMachine.start({}, { answerBytesMax: 1 });
  machine.topic('T', undefined, 1);
  machine.consumer('g', 'T');
  await machine.sent('T', 'a');
  await machine.sent('T', 'b');
  let release = (): void => {};
  const taken = new Promise<void>((resolve) => {
    release = resolve;
  });
  const answers: unknown[] = [];
  const first = receiveMessage(machine.proxy, machine.request('g', 'T', { batchSize: 1 }), machine.call(), {
    write: async (answer) => {
      answers.push(answer);
      await taken;
    },
  });
  await machine.advance(SECOND);
  assert.equal(answers.length, 1);
  const second = machine.begin(machine.request('g', 'T', { batchSize: 1 }));
  await machine.advance(SECOND);
  assert.equal(machine.proxy.room.waitingCount, 1);
  assert.deepEqual(second.answers, []);
  release();
  await machine.until(first);
  assert.deepEqual((await machine.until(second.done)).bodies, ['b']);
  assert.equal(machine.proxy.room.usedBytes, 0);
});

test('receive: a simple consumer begins at the end of a topic that it is new to, as RocketMQ’s', async () => {
  const machine = await started();
  machine.consumer('late', 'T', { type: ClientType.SIMPLE_CONSUMER });
  for (const body of ['a', 'b']) await machine.sent('T', body);
  // The topic is young: all of it is in memory, and such a group begins at its first message.
  assert.deepEqual((await machine.receive('late', 'T')).bodies, ['a', 'b']);
});
