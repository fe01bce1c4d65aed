import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import { FakeClient } from '../fake-client.ts';
import { property } from '../harness.ts';
import { Asker, PopMachine, SECOND } from './pop-machine.ts';

const RETRY = '%RETRY%g_T';

test('pop: each message is given once while it is invisible, and again within a second of its end', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b', 'c');
  assert.deepEqual(await pop.bodies({ maxMessages: 2 }), ['a', 'b']);
  assert.deepEqual(await pop.bodies(), ['c']);
  await pop.advance(29 * SECOND);
  assert.deepEqual(await pop.bodies(), [], 'before the end nobody gets them');
  await pop.advance(2 * SECOND);
  const again = await pop.pop();
  assert.deepEqual(again.map(({ body }) => body).sort(), ['a', 'b', 'c']);
  for (const { message } of again) {
    assert.equal(message.topic, 'T');
    assert.equal(message.reconsumeTimes, 1);
    assert.ok(message.properties.has('1ST_POP_TIME'));
    assert.equal(message.properties.get('ORIGIN_GROUP'), 'g');
  }
  await pop.broker.stop();
});

test('pop: what is acknowledged does not come again, whatever happens to the process', async () => {
  for (const end of ['restart', 'kill', 'cutPower'] as const) {
    const pop = await PopMachine.start();
    await pop.send('T', 'a', 'b', 'c');
    const [a, b, c] = await pop.pop();
    assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
    await pop[end]();
    assert.equal(await pop.ack(c!), ResponseCode.SUCCESS, 'a handle from before the end');
    await pop.advance(40 * SECOND);
    const again = await pop.pop();
    assert.deepEqual([...new Set(again.map(({ body }) => body))], ['b'], end);
    assert.equal(again.length, 1, end);
    assert.equal(again[0]?.message.reconsumeTimes, 1);
    assert.equal(b?.body, 'b');
    await pop.broker.stop();
  }
});

test('pop: no message is lost by a power cut at any moment of a pop, under either flush', async () => {
  for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
    for (let steps = 0; steps < 60; steps += 3) {
      const pop = await PopMachine.start({ flushDiskType }, { flushConsumerOffsetInterval: 20 });
      await pop.send('T', 'a', 'b');
      await pop.broker.machine.until(pop.broker.store.flush(), 'flush');
      void pop.begin().catch(() => {});
      await pop.advance(steps);
      await pop.cutPower(steps);
      const seen = new Set<string>(await pop.bodies());
      await pop.advance(65 * SECOND);
      for (const body of await pop.bodies()) seen.add(body);
      assert.deepEqual([...seen].sort(), ['a', 'b'], `${flushDiskType} after ${steps} ms`);
      await pop.broker.stop();
    }
  }
});

test('pop: the offset that is saved is never ahead of the checkpoint on disk (ASYNC_FLUSH)', async () => {
  const pop = await PopMachine.start({ flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 5 * SECOND });
  await pop.send('T', 'a');
  await pop.broker.machine.until(pop.broker.store.flush(), 'flush');
  // The flush asked for the next one to be soon.
  await pop.advance(20);
  assert.deepEqual(await pop.bodies(), ['a']);
  assert.equal(pop.committed(), 0, 'the checkpoint is not on disk');
  assert.deepEqual(await pop.bodies(), [], 'and nobody else gets the message');
  await pop.broker.machine.until(pop.context.metadata.offsets.save(), 'save');
  assert.match(pop.broker.file('consumerOffset.json') ?? '', /"T@g":\{"0":0\}/);
  await pop.broker.machine.until(pop.broker.store.flush(), 'flush');
  await pop.advance(10);
  assert.equal(pop.committed(), 1);
  await pop.broker.stop();
});

test('pop: a checkpoint that cannot be stored gives nothing, and the messages stay', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const asker = new Asker();
  pop.context.putHooks.splice(1, 1, {
    ...{ name: 'refuses', properties: -1 },
    executeBeforePutMessage: () => ({ code: ResponseCode.SYSTEM_BUSY, remark: 'no room' }),
  });
  const refused = await pop.broker.machine.until(pop.begin({}, new FakeClient(), asker), 'pop');
  assert.ok(refused instanceof Refusal);
  assert.equal(refused.code, ResponseCode.SYSTEM_BUSY);
  assert.equal(asker.reserved, 0);
  pop.context.putHooks.splice(1, 1, pop.broker.timer.hook);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('pop: a consumer that is gone gets nothing, and the messages stay', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const client = new FakeClient();
  const popped = pop.begin({}, client);
  client.end();
  assert.equal(await pop.broker.machine.until(popped, 'pop'), undefined);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('pop: two at once get different messages', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const both = [pop.begin({ maxMessages: 1 }), pop.begin({ maxMessages: 1 })];
  const answers = await pop.broker.machine.until(Promise.all(both), 'pops');
  const bodies = answers.flatMap((answer) => pop.popped(answer as never, pop.request()).map(({ body }) => body));
  assert.deepEqual(bodies.sort(), ['a', 'b']);
  await pop.broker.stop();
});

test('pop: a filter passes over what it does not want, and redelivers what it wants alone', async () => {
  const pop = await PopMachine.start();
  for (const [body, tag] of [
    ['a', 'x'],
    ['b', 'y'],
    ['c', 'x'],
  ] as const) {
    await pop.broker.send('T', body, property('TAGS', tag));
  }
  const wanted = { expression: 'x', expressionType: 'TAG' };
  assert.deepEqual(await pop.bodies(wanted), ['a', 'c']);
  await pop.advance(31 * SECOND);
  assert.deepEqual((await pop.bodies(wanted)).sort(), ['a', 'c']);
  assert.deepEqual(await pop.bodies(), [], 'b is gone for the group');
  await pop.broker.stop();
});

test('pop: any queue of a topic, and what is left of them', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'first');
  for (const queueId of [0, 1, 2, 3]) await pop.broker.send('T', `q${queueId}`, '', { queueId });
  const answer = await pop.answer({ queueId: -1, maxMessages: 2 });
  assert.equal(answer.records.length, 2);
  assert.equal(answer.restCount, 3);
  const rest = await pop.answer({ queueId: -1 });
  assert.equal(rest.records.length, 3);
  assert.equal(rest.restCount, 0);
  await pop.broker.stop();
});

test('pop: numbers that cannot be are refused with their range', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  const { INVALID_PARAMETER, TOPIC_NOT_EXIST, MESSAGE_ILLEGAL } = ResponseCode;
  const refused: [Parameters<PopMachine['refusal']>[0], number][] = [
    [{ maxMessages: 33 }, INVALID_PARAMETER],
    [{ maxMessages: 0 }, INVALID_PARAMETER],
    [{ queueId: 8 }, INVALID_PARAMETER],
    [{ queueId: -2 }, INVALID_PARAMETER],
    [{ invisibleMs: -1 }, INVALID_PARAMETER],
    [{ invisibleMs: Number.MAX_SAFE_INTEGER }, INVALID_PARAMETER],
    [{ pollMs: -1 }, INVALID_PARAMETER],
    [{ attemptId: 'x'.repeat(257) }, INVALID_PARAMETER],
    [{ topic: 'None' }, TOPIC_NOT_EXIST],
    [{ expression: 'a >', expressionType: 'SQL92' }, ResponseCode.SUBSCRIPTION_PARSE_FAILED],
    [{ bornTime: 1, group: 'not legal!' }, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST],
  ];
  for (const [request, code] of refused) assert.equal((await pop.refusal(request)).code, code, JSON.stringify(request));
  assert.ok(MESSAGE_ILLEGAL > 0);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('pop: a new group begins at the oldest message, or near the end of an old queue', async () => {
  const pop = await PopMachine.start({}, { initPopOffsetByCheckMsgInMem: false });
  await pop.send('T', 'a', 'b', 'c');
  assert.deepEqual(await pop.bodies({ group: 'end', startsAtEnd: true }), ['c']);
  assert.deepEqual(await pop.bodies({ group: 'start' }), ['a', 'b', 'c']);
  await pop.broker.stop();
});

test('pop: a reset is where the next pop begins', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  assert.deepEqual(await pop.bodies(), ['a', 'b']);
  assert.ok(pop.context.offsets.assignResets('g', 'T', new Map([[0, 1]])));
  assert.deepEqual(await pop.bodies(), ['b']);
  await pop.broker.stop();
});

test('pop: retries keep coming, each with one more reconsumption, and stop when acknowledged', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies();
  for (let times = 1; times <= 3; times++) {
    await pop.advance(31 * SECOND);
    const [again, ...none] = await pop.pop();
    assert.equal(none.length, 0);
    assert.equal(again?.message.reconsumeTimes, times);
    assert.equal(again?.topic, RETRY);
    if (times === 3) assert.equal(await pop.ack(again!), ResponseCode.SUCCESS);
  }
  await pop.advance(60 * SECOND);
  assert.deepEqual(await pop.bodies(), []);
  assert.deepEqual((await pop.broker.read(RETRY)).length, 3);
  await pop.broker.stop();
});

test('pop: retry topics of version 2, and those of version 1 that are left', async () => {
  const pop = await PopMachine.start({}, { enableRetryTopicV2: false });
  await pop.send('T', 'a');
  await pop.bodies();
  await pop.advance(31 * SECOND);
  Object.assign(pop.context.config, { enableRetryTopicV2: true });
  await pop.send('T', 'b');
  assert.deepEqual(await pop.bodies({ maxMessages: 1 }), ['b']);
  await pop.advance(31 * SECOND);
  const seen: string[] = [];
  for (const draw of [0.98, 0.99]) {
    pop.random = () => draw;
    for (const { topic, body } of await pop.pop()) seen.push(`${topic} ${body}`);
  }
  assert.deepEqual(seen.sort(), ['%RETRY%g+T b', '%RETRY%g_T a']);
  await pop.broker.stop();
});
