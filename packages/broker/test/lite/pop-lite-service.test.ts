import assert from 'node:assert/strict';
import test from 'node:test';
import { createTopicConfig, ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import { FakeClient } from '../fake-client.ts';
import { property } from '../harness.ts';
import { Asker } from '../pop/pop-machine.ts';
import { LiteMachine, lmq, SECOND, TOPIC } from './lite-machine.ts';

test('lite pop: a client gets messages of the lite topics that it subscribes to, and no others', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a', 'b']);
  machine.subscribe('c2', ['c']);
  await machine.send('a', 'a0');
  await machine.send('b', 'b0', 'b1');
  await machine.send('c', 'c0');
  await machine.send('d', 'd0');
  const popped = await machine.pop('c1');
  assert.deepEqual(
    popped.map(({ lite, body, queueOffset, count }) => [lite, body, queueOffset, count]),
    [
      ['a', 'a0', 0, 0],
      ['b', 'b0', 0, 0],
      ['b', 'b1', 1, 0],
    ],
  );
  assert.deepEqual(await machine.bodies('c2'), ['c0']);
  assert.deepEqual(await machine.bodies('c3'), [], 'who subscribes to nothing gets nothing');
  await machine.stop();
});

test('lite pop: of a lite topic nothing more comes before all that was given is acknowledged', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0', '1', '2');
  const [first, second] = await machine.pop('c1', { maxMessages: 2 });
  assert.deepEqual(await machine.bodies('c1'), [], 'two are out');
  await machine.send('a', '3');
  assert.deepEqual(await machine.bodies('c1'), [], 'nor does a message that comes let it by');
  await machine.ack(first!);
  assert.deepEqual(await machine.bodies('c1'), [], 'one is out');
  await machine.ack(second!);
  assert.deepEqual(await machine.bodies('c1'), ['2', '3']);
  assert.equal(machine.context.offsets.query('g', lmq('a'), 0), 2, 'what is out is not committed');
  await machine.stop();
});

test('lite pop: what is not acknowledged comes again within a second of its time, with its count, in order', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0', '1');
  const [first] = await machine.pop('c1');
  await machine.ack(first!);
  await machine.advance(28 * SECOND);
  assert.deepEqual(await machine.bodies('c1'), []);
  const asker = new Asker();
  const waiting = machine.begin('c1', { pollMs: 20 * SECOND }, new FakeClient(), asker);
  await machine.advance(3 * SECOND);
  const again = machine.popped(await machine.broker.machine.until(waiting, 'pop'));
  assert.deepEqual(
    again.map(({ body, count }) => [body, count]),
    [['1', 1]],
    'nobody sent anything: the end of its time has woken the client',
  );
  await machine.stop();
});

test('lite pop: one that waits is answered by a message, by an ack, and when its time is over', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  const asker = new Asker();
  const first = machine.begin('c1', { pollMs: 30 * SECOND }, new FakeClient(), asker);
  await machine.advance(100);
  assert.equal(asker.heldCount, 1);
  assert.equal(asker.reserved, 0, 'it holds no room while it waits');
  await machine.send('a', '0', '1');
  const [popped] = machine.popped(await machine.broker.machine.until(first, 'pop'));
  const second = machine.begin('c1', { pollMs: 30 * SECOND });
  await machine.advance(1_000);
  await machine.ack(popped!);
  assert.deepEqual(
    machine.popped(await machine.broker.machine.until(second, 'pop')).map(({ body }) => body),
    ['1'],
  );
  const third = machine.begin('c1', { pollMs: 2 * SECOND });
  await machine.advance(4 * SECOND);
  const result = await machine.broker.machine.until(third, 'pop');
  assert.ok(result !== undefined && !(result instanceof Refusal));
  assert.equal(result.code, ResponseCode.POLLING_TIMEOUT);
  await machine.stop();
});

test('lite pop: an ack while a pop looks at the queue does not lose what is behind it', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0', '1', '2');
  const [popped] = await machine.pop('c1', { maxMessages: 1 });
  // The event of a message that came takes the pop to a queue that is blocked.
  await machine.send('a', '3');
  const waiting = machine.begin('c1', { pollMs: 30 * SECOND });
  const acked = machine.lite.acks.ack(machine.delivered(popped!));
  await machine.broker.machine.until(acked, 'ack');
  assert.deepEqual(
    machine.popped(await machine.broker.machine.until(waiting, 'pop')).map(({ body }) => body),
    ['1', '2', '3'],
  );
  await machine.stop();
});

test('lite pop: a queue that was found blocked and is freed before the pop ends is looked at again', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a', 'b']);
  await machine.send('a', 'a0');
  const [out] = await machine.pop('c1');
  await machine.send('a', 'a1');
  await machine.send('b', 'b0');
  const { store } = machine.broker;
  const getMessage = store.getMessage.bind(store);
  let acked: Promise<unknown> | undefined;
  // The pop has found a blocked, and reads b: now the ack comes.
  store.getMessage = async (...args) => {
    if (args[1] === lmq('b')) {
      acked ??= machine.lite.acks.ack(machine.delivered(out!));
      await acked;
    }
    return getMessage(...args);
  };
  assert.deepEqual(await machine.bodies('c1'), ['b0']);
  assert.notEqual(acked, undefined);
  assert.deepEqual(await machine.bodies('c1'), ['a1']);
  await machine.stop();
});

test('lite pop: a changed time counts from now; a message that comes earlier is given earlier', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0');
  const [popped] = await machine.pop('c1');
  const change = machine.lite.acks.change(machine.delivered(popped!), 2 * SECOND);
  const changed = await machine.broker.machine.until(change, 'change');
  assert.ok(!(changed instanceof Refusal));
  assert.equal(changed.reviveQueueId, 999);
  assert.deepEqual(await machine.bodies('c1'), []);
  await machine.advance(3.5 * SECOND);
  assert.deepEqual(await machine.bodies('c1'), ['0']);
  await machine.stop();
});

test('lite pop: after a kill what was acknowledged does not come again, and all else does', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a', 'b']);
  await machine.send('a', 'a0', 'a1');
  await machine.send('b', 'b0');
  const [first] = await machine.pop('c1');
  await machine.ack(first!);
  await machine.kill();
  assert.deepEqual(await machine.bodies('c1'), [], 'a client has to say again what it subscribes to');
  machine.subscribe('c1', ['a', 'b'], { action: 'COMPLETE_ADD' });
  assert.deepEqual((await machine.bodies('c1')).sort(), ['a1', 'b0']);
  await machine.stop();
});

test('lite pop: more lite topics with messages than are remembered: none is left out', async () => {
  const machine = await LiteMachine.start({}, { 'lite.sub.client.max.event.cnt': '10' });
  const names = Array.from({ length: 35 }, (_, i) => `l${i}`);
  machine.subscribe('c1', names);
  for (const name of names) await machine.send(name, name);
  const seen: string[] = [];
  for (let pops = 0; pops < 10; pops++) {
    const popped = await machine.pop('c1', { maxMessages: 7 });
    seen.push(...popped.map(({ body }) => body));
    await machine.ack(...popped);
  }
  assert.deepEqual(seen.sort(), [...names].sort());
  await machine.stop();
});

test('lite pop: messages of lite topics are read as others of their topic too, and batches are in none', async () => {
  const machine = await LiteMachine.start();
  await machine.send('a', 'x');
  assert.deepEqual(
    (await Promise.all(Array.from({ length: 16 }, (_, id) => machine.broker.bodies(TOPIC, id)))).flat(),
    ['x'],
  );
  for (const lite of ['a$b', 'a,b', ' ', 'x'.repeat(200), '../x']) {
    const refused = await machine.broker.send(TOPIC, 'x', property('__LITE_TOPIC', lite));
    assert.equal(refused.code, ResponseCode.MESSAGE_ILLEGAL, lite);
  }
  assert.deepEqual(
    [...machine.broker.store.queuesByTopic().keys()].filter((name) => name.startsWith('%LMQ%')),
    [lmq('a')],
  );
  await machine.stop();
});

test('lite pop: refusals say why', async () => {
  const machine = await LiteMachine.start();
  const { context } = machine;
  context.topics.update(createTopicConfig('Plain'));
  machine.group('elsewhere', { 'lite.bind.topic': 'Plain' });
  const codes = async (more: object) => (await machine.refusal('c1', more)).code;
  assert.equal(await codes({ topic: 'Plain' }), ResponseCode.INVALID_PARAMETER, 'not of the type LITE');
  assert.equal(await codes({ topic: 'None' }), ResponseCode.TOPIC_NOT_EXIST);
  assert.equal(await codes({ group: 'elsewhere' }), ResponseCode.INVALID_PARAMETER, 'bound to another topic');
  assert.equal(await codes({ group: 'unbound' }), ResponseCode.INVALID_PARAMETER, 'bound to none');
  for (const fault of [{ maxMessages: 0 }, { maxMessages: 33 }, { invisibleMs: -1 }, { pollMs: -1 }]) {
    assert.equal(await codes(fault), ResponseCode.INVALID_PARAMETER, JSON.stringify(fault));
  }
  assert.equal((await machine.refusal('', {})).code, ResponseCode.INVALID_PARAMETER);
  const late = await machine.refusal('c1', { bornTime: machine.broker.machine.scheduler.now() - 900, pollMs: 100 });
  assert.equal(late.code, ResponseCode.POLLING_TIMEOUT);
  const off = await LiteMachine.start({}, {}, { enableLmq: false });
  assert.match((await off.refusal('c1')).remark, /enableLmq/);
  assert.match(off.change('c1', ['a'])?.remark ?? '', /enableLmq/);
  await off.stop();
  await machine.stop();
});

test('lite acks: an ack of what there is not is refused, and one of an earlier delivery says nothing', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0', '1');
  const [first] = await machine.pop('c1', { maxMessages: 1 });
  const ack = async (more: object) => {
    const delivered = { ...machine.delivered(first!), ...more };
    return (await machine.broker.machine.until(machine.lite.acks.ack(delivered), 'ack'))?.code ?? 0;
  };
  assert.equal(await ack({ queueOffset: 5 }), ResponseCode.NO_MESSAGE);
  assert.equal(await ack({ queueOffset: -1 }), ResponseCode.NO_MESSAGE);
  assert.equal(await ack({ queueOffset: 1 }), ResponseCode.MESSAGE_ILLEGAL, 'not of the batch');
  assert.equal(await ack({ queueId: 1 }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await ack({ liteTopic: 'a$b' }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await ack({ group: 'other' }), ResponseCode.INVALID_PARAMETER);
  const { handle } = machine.delivered(first!);
  assert.equal(await ack({ handle: { ...handle, reviveQueueId: 1 } }), ResponseCode.INVALID_PARAMETER);
  assert.equal(await ack({ handle: { ...handle, popTime: handle.popTime - 1 } }), 0);
  assert.deepEqual(await machine.bodies('c1'), [], 'it is still out');
  assert.equal(await ack({}), 0);
  assert.equal(await ack({}), 0, 'twice');
  assert.deepEqual(await machine.bodies('c1'), ['1']);
  await machine.stop();
});

test('lite pop: a clock that is set back keeps nobody waiting for what is out', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0');
  await machine.pop('c1');
  const waiting = machine.begin('c1', { pollMs: 20 * SECOND });
  await machine.advance(100);
  machine.broker.machine.scheduler.stepWallClock(-3_600 * SECOND);
  assert.deepEqual(
    machine.popped(await machine.broker.machine.until(waiting, 'pop')).map(({ body }) => body),
    ['0'],
  );
  await machine.stop();
});

test('lite pop: lite topics that stay free are looked at once a pop (invisible for no time, no room for batches)', async () => {
  const events = { 'lite.sub.client.max.event.cnt': '1' };
  const machine = await LiteMachine.start({}, events);
  machine.subscribe('c1', ['a', 'b', 'c']);
  for (const lite of ['a', 'b', 'c']) await machine.send(lite, lite);
  const got = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const bodies = await machine.bodies('c1', { invisibleMs: 0 });
    assert.equal(new Set(bodies).size, bodies.length, 'none twice in one pop');
    for (const body of bodies) got.add(body);
  }
  assert.deepEqual([...got].sort(), ['a', 'b', 'c']);
  await machine.stop();
  const full = await LiteMachine.start({ popOrderBytesMax: 0 }, events);
  full.subscribe('c1', ['a', 'b']);
  for (const lite of ['a', 'b']) await full.send(lite, lite);
  assert.equal((await full.refusal('c1')).code, ResponseCode.SYSTEM_BUSY);
  await full.stop();
});
