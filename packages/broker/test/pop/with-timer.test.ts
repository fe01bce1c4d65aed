// POP on the broker's own timed messages.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { PopMachine, SECOND } from './pop-machine.ts';

const start = (store: object = {}, config: object = {}): Promise<PopMachine> => PopMachine.start(store, config, false);
const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster';

test('POP with timed messages: within a second of the end, whatever the precision', async () => {
  for (const timerPrecisionMs of [100, 1_000]) {
    const pop = await start({}, { timerPrecisionMs });
    await pop.advance(137);
    await pop.send('T', 'a', 'b');
    const [a] = await pop.pop({ invisibleMs: 10 * SECOND });
    assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
    await pop.advance(9.9 * SECOND);
    assert.deepEqual(await pop.bodies(), [], 'not before');
    await pop.advance(1.1 * SECOND);
    assert.deepEqual(await pop.bodies(), ['b'], `${timerPrecisionMs}`);
    await pop.broker.stop();
  }
});

test('POP with timed messages: acks hold and the rest comes once, over every end of the process', async () => {
  for (const end of ['restart', 'kill', 'cutPower'] as const) {
    for (const at of [5, 29.2, 30.1]) {
      const pop = await start();
      await pop.send('T', 'a', 'b', 'c');
      const [a, , c] = await pop.pop();
      assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
      await pop.advance(at * SECOND);
      const early = await pop.bodies();
      await pop[end]();
      if (at < 29) assert.equal(await pop.ack(c!), ResponseCode.SUCCESS);
      await pop.advance(40 * SECOND);
      const again = new Set([...early, ...(await pop.bodies())]);
      assert.deepEqual([...again].sort(), at < 29 ? ['b'] : ['b', 'c'], `${end} at ${at} s`);
      await pop.broker.stop();
    }
  }
});

test('POP with timed messages: a start that is late by an hour', async () => {
  const pop = await start();
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop();
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  await pop.broker.stop();
  const { machine } = pop.broker;
  machine.scheduler.stepWallClock(3_600 * SECOND);
  await pop.startLate();
  await pop.advance(5 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  const tags = (await pop.broker.read(REVIVE_TOPIC)).map(({ properties }) => properties.get('TAGS'));
  assert.deepEqual(tags.slice(0, 2), ['ck', 'ack']);
  await pop.broker.stop();
});

test('POP with timed messages: a change of the time, and a time longer than a message may wait', async () => {
  const pop = await start({}, { timerMaxDelaySec: 60 });
  await pop.send('T', 'a');
  assert.equal((await pop.refusal({ invisibleMs: 62 * SECOND })).code, ResponseCode.MESSAGE_ILLEGAL);
  const [a] = await pop.pop();
  await pop.change(a!, 45 * SECOND);
  await pop.advance(44 * SECOND);
  assert.deepEqual(await pop.bodies(), []);
  await pop.advance(2.1 * SECOND);
  assert.deepEqual(await pop.bodies(), ['a']);
  await pop.broker.stop();
});

test('POP with timed messages: a start that is later than half of the wheel finds the acks all the same', async () => {
  const pop = await start({}, { timerFlushIntervalMs: 60 * SECOND });
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop({ invisibleMs: 5 * SECOND });
  // What is delivered together in one slot has no room for both.
  const timed = `TIMER_DELIVER_MS\u0001${pop.now + 6 * SECOND}\u0002`;
  for (let i = 0; i < 300; i++) await pop.broker.send('Timed', 'x', timed);
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  // The wheel of 1280 slots is not saved: what waits is taken from its topic again.
  const machine = pop.broker.kill();
  machine.scheduler.stepWallClock(1_000 * SECOND);
  await pop.startOn(machine);
  const { put } = pop.context;
  const putNow = put.put.bind(put);
  const slowPut: typeof put.put = async (message, ...rest) => {
    if (message.topic === 'Timed') await machine.scheduler.delay(SECOND);
    return putNow(message, ...rest);
  };
  put.put = slowPut;
  await pop.advance(20 * SECOND);
  assert.deepEqual(await pop.bodies(), ['b']);
  await pop.broker.stop();
});

test('POP with timed messages: a checkpoint that is put back does not move a group that was deleted since', async () => {
  const pop = await start({}, { timerRollWindowSlot: 5 });
  await pop.send('T', 'a');
  assert.deepEqual(await pop.bodies(), ['a']);
  assert.equal(await pop.broker.machine.until(pop.context.groupAdmin.delete('g', true), 'deletion'), undefined);
  await pop.advance(8 * SECOND);
  const waiting = await pop.broker.read('rmq_sys_wheel_timer');
  assert.ok(
    waiting.some(({ properties }) => properties.has('TIMER_ROLL_TIMES')),
    'it was put back',
  );
  await pop.kill();
  assert.deepEqual(await pop.bodies(), ['a'], 'the group begins anew');
  await pop.broker.stop();
});

test('POP with timed messages: redelivery after a start waits for acks that are put back', async () => {
  const pop = await start({}, { timerRollWindowSlot: 5 });
  const slowReads = (ms: number): void => {
    const { store, machine } = pop.broker;
    const getMessage = store.getMessage.bind(store);
    store.getMessage = async (group, topic, ...rest) => {
      if (topic === 'rmq_sys_wheel_timer') await machine.scheduler.delay(ms);
      return getMessage(group, topic, ...rest);
    };
  };
  await pop.send('T', 'a', 'b');
  const [a] = await pop.pop({ invisibleMs: 4 * SECOND });
  // The checkpoint has come.
  await pop.advance(3.3 * SECOND);
  slowReads(50);
  assert.equal(await pop.ack(a!), ResponseCode.SUCCESS);
  // When it is taken up, its time is farther away than the window.
  pop.broker.machine.scheduler.stepWallClock(-10 * SECOND);
  await pop.advance(2 * SECOND);
  const machine = pop.broker.kill();
  machine.scheduler.stepWallClock(60 * SECOND);
  await pop.startOn(machine);
  slowReads(SECOND);
  await pop.advance(20 * SECOND);
  // Over a kill it may come twice.
  assert.deepEqual([...new Set(await pop.bodies())], ['b']);
  await pop.broker.stop();
});
