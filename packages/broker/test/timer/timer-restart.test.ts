import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UNIT_BYTES } from '@vernier/store/internal';
import { Machine } from '../../../torture/test/machine.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const TIMER = 'rmq_sys_wheel_timer';
const inSeconds = (seconds: number): string => property('TIMER_DELAY_SEC', String(seconds));

const counts = (bodies: readonly string[]): Record<string, number> => {
  const found: Record<string, number> = {};
  for (const body of bodies) found[body] = (found[body] ?? 0) + 1;
  return found;
};

test('a clean stop and start: what waits comes once at its time, what came does not come again', async () => {
  const broker = await MachineBroker.start();
  for (let i = 1; i <= 10; i++) await broker.send('Work', `m${i}`, inSeconds(i));
  await broker.machine.advance(5_500);
  const before = await broker.bodies('Work');
  assert.ok(before.length >= 4 && before.length <= 6);
  await broker.stop();
  const next = await MachineBroker.start({ machine: broker.kill() });
  await next.machine.advance(20_000);
  assert.deepEqual(
    await next.bodies('Work'),
    Array.from({ length: 10 }, (_, i) => `m${i + 1}`),
  );
  await next.stop();
});

test('a stop in the middle of a slot: what was delivered of it does not come again', async () => {
  const broker = await MachineBroker.start();
  const bodies = Array.from({ length: 300 }, (_, i) => `m${i}`);
  const time = Math.ceil((broker.machine.scheduler.now() + 30_000) / 1_000) * 1_000;
  for (const body of bodies) await broker.send('Work', body, property('TIMER_DELIVER_MS', String(time)));
  await broker.machine.advance(time - broker.machine.scheduler.now() - 1);
  const { store } = broker;
  const real = store.asyncPutMessage.bind(store);
  let left = 130;
  let stopping: Promise<void> | undefined;
  store.asyncPutMessage = (message, durability) => {
    if (message.topic === 'Work' && --left === 0) stopping = broker.context.timer.stop();
    return real(message, durability);
  };
  await broker.machine.advance(500);
  assert.ok(stopping !== undefined);
  const delivered = (await broker.bodies('Work')).length;
  assert.ok(delivered >= 130 && delivered < 300, String(delivered));
  await broker.stop();
  const next = await MachineBroker.start({ machine: broker.kill() });
  await next.machine.advance(2_000);
  assert.deepEqual(await next.bodies('Work'), bodies);
  await next.stop();
});

for (const end of ['kill', 'power cut'] as const) {
  test(`a ${end} at any moment: every acknowledged message comes, none before its time`, async () => {
    for (let seed = 1; seed <= 6; seed++) {
      let broker = await MachineBroker.start({ config: { timerPrecisionMs: 100, timerFlushIntervalMs: 200 } });
      const config = { timerPrecisionMs: 100, timerFlushIntervalMs: 200 };
      const due = new Map<string, number>();
      for (let life = 0; life < 3; life++) {
        for (let i = 0; i < 12; i++) {
          const body = `${life}-${i}`;
          const time = broker.machine.scheduler.now() + ((seed * 7 + i * 131) % 1_900) + 1;
          await broker.send('Work', body, property('TIMER_DELIVER_MS', String(time)));
          due.set(body, time);
        }
        await broker.machine.advance(((seed * 97 + life * 311) % 1_500) + 1);
        const machine = end === 'kill' ? broker.kill() : broker.cutPower(seed * 10 + life);
        broker = await MachineBroker.start({ machine, config });
      }
      await broker.machine.advance(6_000);
      const messages = await broker.read('Work');
      const found = counts(messages.map(({ body }) => body.toString()));
      for (const [body, time] of due) {
        assert.ok((found[body] ?? 0) >= 1, `seed ${seed}: ${body} is lost`);
        for (const { body: b, storeTimestamp } of messages) {
          if (b.toString() === body) assert.ok(storeTimestamp >= time, `seed ${seed}: ${body} came early`);
        }
      }
      assert.equal(broker.context.timer.waitingCount, 0);
      await broker.stop();
    }
  });
}

test('what was delivered and saved is not delivered again by a power cut', async () => {
  const broker = await MachineBroker.start();
  for (let i = 0; i < 5; i++) await broker.send('Work', `m${i}`, inSeconds(2));
  await broker.machine.advance(6_000);
  const next = await broker.cutPowerAndStart(3);
  await next.machine.advance(5_000);
  assert.deepEqual(counts(await next.bodies('Work')), { m0: 1, m1: 1, m2: 1, m3: 1, m4: 1 });
  await next.stop();
});

test('the place is saved only behind what is durable: deliveries that no flush covers come again', async () => {
  const broker = await MachineBroker.start({
    machine: new Machine({ flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 3_600_000 }),
  });
  await broker.send('Work', 'x', inSeconds(2));
  await broker.machine.until(broker.store.flush(), 'flush');
  const held = broker.machine.fileSystem.hold('sync', /commitlog\/\d+$/);
  await broker.machine.advance(6_000);
  const next = await broker.cutPowerAndStart(1);
  held.release();
  await next.machine.advance(3_000);
  assert.deepEqual(await next.bodies('Work'), ['x']);
  await next.stop();
});

test('a rolled message over kills comes at its time', async () => {
  let broker = await MachineBroker.start({ config: { timerRollWindowSlot: 5 } });
  const time = Math.ceil((broker.machine.scheduler.now() + 40_000) / 1_000) * 1_000;
  await broker.send('Work', 'far', property('TIMER_DELIVER_MS', String(time)));
  for (let i = 0; i < 10; i++) {
    await broker.machine.advance(3_700);
    assert.deepEqual(await broker.bodies('Work'), []);
    broker = await MachineBroker.start({ machine: broker.kill(), config: { timerRollWindowSlot: 5 } });
  }
  await broker.machine.advance(time - broker.machine.scheduler.now() + 200);
  assert.ok((await broker.bodies('Work')).length >= 1);
  await broker.stop();
});

test('a chain that is broken: the log is searched, and one wrong unit takes no other message away', async () => {
  const broker = await MachineBroker.start();
  const time = Math.ceil((broker.machine.scheduler.now() + 20_000) / 1_000) * 1_000;
  for (let i = 0; i < 6; i++) await broker.send('Work', `m${i}`, property('TIMER_DELIVER_MS', String(time)));
  await broker.machine.advance(3_000);
  await broker.stop();
  const machine = broker.kill();
  const file = await machine.until(machine.fileSystem.open(`/data/store/timerlog/${'0'.repeat(20)}`, 'write'), 'open');
  await machine.until(file.write(Buffer.from([0, 0, 0, 1]), UNIT_BYTES * 2), 'write');
  const next = await MachineBroker.start({ machine });
  await next.machine.advance(30_000);
  assert.deepEqual((await next.bodies('Work')).sort(), ['m0', 'm1', 'm3', 'm4', 'm5']);
  assert.ok(next.lines.some((line) => line.includes('are not whole')));
  assert.equal(next.context.timer.waitingCount, 0);
  await next.stop();
});

test('timercheck of another day: an offset beyond the queue is the nearest one, and new messages come', async () => {
  const broker = await MachineBroker.start();
  for (let i = 0; i < 3; i++) await broker.send('Work', `m${i}`, inSeconds(1));
  await broker.machine.advance(5_000);
  await broker.stop();
  const machine = broker.kill();
  await machine.until(machine.fileSystem.removeDirectory('/data/store/consumequeue'), 'remove');
  await machine.until(machine.fileSystem.removeDirectory('/data/store/commitlog'), 'remove');
  await machine.until(machine.fileSystem.remove('/data/store/checkpoint'), 'remove');
  const next = await MachineBroker.start({ machine });
  assert.ok(next.lines.some((line) => line.includes('timercheck has offset 3')));
  await next.send('Work', 'new', inSeconds(2));
  await next.machine.advance(4_000);
  assert.deepEqual(await next.bodies('Work'), ['new']);
  await next.stop();
});

test('a store that fails under the timer files refuses sends, and the next start delivers', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'x', inSeconds(3));
  broker.machine.fileSystem.inject({ operation: 'sync', path: 'timerwheel', code: 'EIO' });
  await broker.machine.advance(1_500);
  // The wheel's first sync is that of its making, which may be tried again.
  broker.machine.fileSystem.inject({ operation: 'sync', path: 'timerwheel', code: 'EIO' });
  await broker.machine.advance(6_000);
  assert.equal(broker.store.failure?.code, 'STORE_FLUSH_FAILED');
  const next = await broker.cutPowerAndStart(1);
  await next.machine.advance(6_000);
  assert.deepEqual(Object.keys(counts(await next.bodies('Work'))), ['x']);
  await next.stop();
});

test('100,000 wait: reads and memory do not grow with them, and a due slot reads its own alone', async () => {
  const broker = await MachineBroker.start({
    machine: new Machine({ mappedFileSizeCommitLog: 64 * 1024 * 1024, mappedFileSizeConsumeQueue: 2_000_000 }),
    timerSlots: 128 * 1_000,
    config: { mappedFileSizeTimerLog: 16 * 1024 * 1024 },
  });
  const { machine, context } = broker;
  const now = machine.scheduler.now();
  const time = Math.ceil((now + 3_000_000) / 1_000) * 1_000;
  const WAITING = 100_000;
  const DUE = 10;
  const puts: Promise<unknown>[] = [];
  for (let i = 0; i < WAITING; i++) {
    // All but ten are due later, all over a day.
    const at = i < DUE ? time : time + 1_000 + (i % 50_000) * 1_000;
    const properties = property('TIMER_DELIVER_MS', String(at));
    puts.push(broker.begin('Work', `m${i}`, { properties }));
    if (puts.length < 1_000) continue;
    await machine.scheduler.complete(Promise.all(puts), 'puts', 1_000_000);
    puts.length = 0;
  }
  for (let i = 0; i < 600 && context.timer.waitingCount < WAITING; i++) {
    await machine.scheduler.complete(machine.scheduler.delay(4_000), 'intake', 5_000_000);
  }
  assert.equal(context.timer.waitingCount, WAITING);
  assert.ok(context.timer.cost.memoryBytes < 5 * 1024 * 1024, String(context.timer.cost.memoryBytes));
  await machine.scheduler.complete(machine.scheduler.delay(time - machine.scheduler.now() - 100), 'time', 5_000_000);
  const { readCalls } = context.timer.cost;
  const end = broker.store.maxPhyOffset;
  await machine.scheduler.complete(machine.scheduler.delay(300), 'the slot', 1_000_000);
  assert.equal(broker.store.getMaxOffsetInQueue('Work', 0), DUE, 'at the time and within 200 ms, no others');
  assert.ok(context.timer.cost.readCalls - readCalls <= 8, `${context.timer.cost.readCalls - readCalls} reads`);
  assert.ok(broker.store.maxPhyOffset - end < DUE * 500, 'ten records were put');
  assert.deepEqual(await broker.bodies(TIMER).then((list) => list.length), WAITING);
  broker.kill();
});
