// What a hostile client, a damaged disk and an operator who changes settings do to messages that wait.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UNIT_BYTES } from '@vernier/store/internal';
import { Machine } from '../../../torture/test/machine.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { Stored } from '../../src/put/put-service.ts';
import { encodeRecallHandle } from '../../src/timer/recall-handle.ts';
import { ensureRetryTopic } from '../../src/topics/retry-topics.ts';
import { property } from '../harness.ts';
import { caller, MachineBroker } from '../machine-broker.ts';

const TIMER = 'rmq_sys_wheel_timer';
const WHEEL = '/data/store/timerwheel';
const LOG = `/data/store/timerlog/${'0'.repeat(20)}`;
const at = (time: number): string => property('TIMER_DELIVER_MS', String(time));

const secondAfter = (broker: MachineBroker, ms: number): number =>
  Math.ceil((broker.machine.scheduler.now() + ms) / 1_000) * 1_000;

const advanceTo = (broker: MachineBroker, time: number): Promise<void> =>
  broker.machine.advance(time - broker.machine.scheduler.now());

/** Overwrites bytes of a file of a broker that does not run. */
async function overwrite(machine: Machine, path: string, bytes: Buffer, position: number): Promise<void> {
  const file = await machine.until(machine.fileSystem.open(path, 'write'), 'open');
  await machine.until(file.write(bytes, position), 'write');
  await machine.until(file.sync(), 'sync');
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

/** Where the wheel has the slot of a message that is due at `time`. */
const slotAt = (time: number, slots = 1_280): number => ((time / 1_000 - 1) % slots) * 32;

test('a recall that names no message is refused, and its note is no message for anybody', async () => {
  const broker = await MachineBroker.start({ config: { recallMessageEnable: true } });
  const time = secondAfter(broker, 5_000);
  const put = (await broker.send('Work', 'x', at(time))) as Stored;
  const end = broker.store.maxPhyOffset;
  const handle = {
    ...{ topic: 'Work', brokerName: broker.context.config.brokerName },
    ...{ timestamp: put.timerOutMs! + 1, messageId: '' },
  };
  const asked = { topic: 'Work', handle: encodeRecallHandle(handle), producerGroup: 'p' };
  const refused = await broker.machine.until(broker.context.recall.recall(asked, caller), 'recall');
  assert.ok(refused instanceof Refusal, 'an id without characters');
  assert.equal(refused.code, 604);
  assert.equal(broker.store.maxPhyOffset, end);
  await advanceTo(broker, time + 2_000);
  assert.deepEqual(await broker.bodies('Work'), ['x']);
  await broker.stop();
});

test('a slot that leads to the units of another one: those do not come before their time, and its own do', async () => {
  const broker = await MachineBroker.start();
  const [soon, far] = [secondAfter(broker, 10_000), secondAfter(broker, 60_000)];
  await broker.send('Work', 'soon', at(soon));
  await broker.send('Work', 'far', at(far));
  await broker.machine.advance(3_000);
  await broker.stop();
  const machine = broker.kill();
  await overwrite(machine, WHEEL, int64(UNIT_BYTES), slotAt(soon) + 16);
  const next = await MachineBroker.start({ machine });
  await advanceTo(next, far - 1);
  assert.deepEqual(await next.bodies('Work'), ['soon']);
  await advanceTo(next, far + 200);
  assert.deepEqual(await next.bodies('Work'), ['soon', 'far']);
  await next.stop();
});

test('a unit that forgot that its message waits longer: it does not come before its time', async () => {
  const config = { timerRollWindowSlot: 10 };
  const broker = await MachineBroker.start({ config });
  const time = secondAfter(broker, 60_000);
  await broker.send('Work', 'far', at(time));
  await broker.machine.advance(3_000);
  await broker.stop();
  const machine = broker.kill();
  await overwrite(machine, LOG, Buffer.from([0, 0, 0, 1]), 12);
  const next = await MachineBroker.start({ machine, config });
  await advanceTo(next, time - 1);
  assert.deepEqual(await next.bodies('Work'), []);
  await advanceTo(next, time + 200);
  assert.deepEqual(await next.bodies('Work'), ['far']);
  await next.stop();
});

test('a wheel with positions at which no unit begins, or more messages than units: all come at their time', async () => {
  for (const [at_, bytes] of [
    [8, int64(UNIT_BYTES + 1)],
    [16, int64(UNIT_BYTES + 1)],
    [24, Buffer.from([0x7f, 0xff, 0xff, 0xff])],
  ] as const) {
    const broker = await MachineBroker.start();
    const time = secondAfter(broker, 20_000);
    for (const body of ['a', 'b', 'c']) await broker.send('Work', body, at(time));
    await broker.machine.advance(3_000);
    await broker.stop();
    const machine = broker.kill();
    await overwrite(machine, WHEEL, bytes, slotAt(time) + at_);
    if (at_ === 8) await overwrite(machine, WHEEL, Buffer.from([0, 0, 0, 1]), slotAt(time) + 28);
    const next = await MachineBroker.start({ machine });
    await next.send('Work', 'd', at(time));
    await advanceTo(next, time - 1);
    assert.deepEqual(await next.bodies('Work'), []);
    await advanceTo(next, time + 2_000);
    assert.deepEqual(await next.bodies('Work'), ['a', 'b', 'c', 'd'], `field at ${at_}`);
    assert.equal(next.context.timer.waitingCount, 0);
    await next.stop();
  }
});

test('another precision while messages are not taken up yet: refused, or they would come before their time', async () => {
  for (const flushed of [true, false]) {
    const broker = await MachineBroker.start();
    if (flushed) {
      await broker.send('Work', 'first', property('TIMER_DELAY_SEC', '1'));
      await broker.machine.advance(5_000);
    }
    const time = secondAfter(broker, 5_000);
    await broker.send('Work', 'x', at(time));
    const machine = broker.kill();
    await assert.rejects(MachineBroker.start({ machine, config: { timerPrecisionMs: 100 } }), {
      code: 'STORE_TIMER_PRECISION_MISMATCH',
    });
    const again = await MachineBroker.start({ machine: machine.kill() });
    await advanceTo(again, time + 1_200);
    assert.equal((await again.bodies('Work')).at(-1), 'x');
    await again.stop();
  }
});

test('a recall in time that waits behind many messages at a start counts', async () => {
  const config = { recallMessageEnable: true, timerWheelEnable: true };
  const broker = await MachineBroker.start({ config });
  const time = secondAfter(broker, 8_000);
  const put = (await broker.send('Work', 'recalled', at(time))) as Stored;
  await broker.machine.advance(2_500);
  // Nothing is taken up from here on: the wheel is behind, as after a life without it.
  await broker.machine.until(broker.context.follow.stop(), 'stop of the intake');
  for (let i = 0; i < 300; i++) await broker.send('Work', `m${i}`, at(time + 100_000));
  const handle = encodeRecallHandle({
    ...{ topic: 'Work', brokerName: broker.context.config.brokerName },
    ...{ timestamp: put.timerOutMs! + 1, messageId: put.uniqKey! },
  });
  const asked = broker.context.recall.recall({ topic: 'Work', handle, producerGroup: 'p' }, caller);
  assert.equal(await broker.machine.until(asked, 'recall'), put.uniqKey);
  const machine = broker.kill();
  await machine.advance(time + 1_000 - machine.scheduler.now());
  const next = await MachineBroker.start({ machine, config });
  // A disk on which the intake takes seconds.
  const { store } = next;
  const real = store.getMessage.bind(store);
  store.getMessage = async (group, topic, ...more) => {
    if (topic === TIMER) await machine.scheduler.delay(400);
    return real(group, topic, ...more);
  };
  await next.machine.advance(60_000);
  assert.ok(!(await next.bodies('Work')).includes('recalled'));
  await next.stop();
});

test('a dead letter does not wait for the time of its first delivery', async () => {
  const broker = await MachineBroker.start();
  const { groups, topics } = broker.context;
  groups.find('g');
  ensureRetryTopic(topics, '%RETRY%g', 1, false);
  const times = { reconsumeTimes: 5, maxReconsumeTimes: 3 };
  await broker.send('%RETRY%g', 'dead', property('TIMER_DELAY_SEC', '50') + property('RETRY_TOPIC', 'Work'), times);
  await broker.machine.advance(2_000);
  assert.deepEqual(await broker.bodies('%DLQ%g'), ['dead']);
  assert.deepEqual(await broker.bodies(TIMER), []);
  await broker.stop();
});

test('a unit that came to a slot after it had fired does not hide what the power cut took of its deliveries', async () => {
  let hasLateUnit = 0;
  for (let seed = 1; seed <= 24; seed++) {
    const broker = await MachineBroker.start({
      machine: new Machine({ flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 3_600_000 }),
    });
    const { machine, store } = broker;
    const time = secondAfter(broker, 10_000);
    for (const body of ['a', 'b', 'c']) await broker.send('Work', body, at(time));
    await machine.until(store.flush(), 'flush');
    await machine.advance(4_000);
    const real = store.getMessage.bind(store);
    store.getMessage = async (group, topic, ...more) => {
      if (topic === TIMER) await machine.scheduler.delay(time + 2_000 - machine.scheduler.now());
      return real(group, topic, ...more);
    };
    await broker.send('Work', 'late', at(time));
    await machine.until(store.flush(), 'flush');
    const held = machine.fileSystem.hold('sync', /commitlog\/\d+$/);
    await advanceTo(broker, time + 8_000);
    machine.scheduler.stop();
    broker.context.housekeeping.stop();
    const { options, fileSystem } = machine.powerCut(seed, 0.5);
    held.release();
    hasLateUnit += fileSystem.volatileContent(LOG).readInt32BE(UNIT_BYTES * 3) === UNIT_BYTES ? 1 : 0;
    const next = await MachineBroker.start({ machine: new Machine(options, fileSystem, machine.scheduler.now()) });
    await next.machine.advance(5_000);
    const found = new Set(await next.bodies('Work'));
    assert.deepEqual([...found].sort(), ['a', 'b', 'c', 'late'], `seed ${seed}`);
    assert.equal(next.context.timer.waitingCount, 0);
    await next.stop();
  }
  assert.ok(hasLateUnit > 0, 'the unit was on the disk in some of them');
});

test('recalls with long keys take no room away from those that come behind them', async () => {
  const config = { recallMessageEnable: true };
  const broker = await MachineBroker.start({ machine: new Machine({ mappedFileSizeCommitLog: 1024 * 1024 }), config });
  const time = secondAfter(broker, 60_000);
  const put = (await broker.send('Work', 'recalled', at(time))) as Stored;
  for (let i = 0; i < 300; i++) {
    const key = `${i}-`.padEnd(30_000, 'k');
    const note = await broker.send('Work', '0', at(time) + property('TIMER_DEL_UNIQKEY', key));
    assert.ok(!(note instanceof Refusal), (note as Refusal).remark);
  }
  const handle = encodeRecallHandle({
    ...{ topic: 'Work', brokerName: broker.context.config.brokerName },
    ...{ timestamp: put.timerOutMs! + 1, messageId: put.uniqKey! },
  });
  const asked = broker.context.recall.recall({ topic: 'Work', handle, producerGroup: 'p' }, caller);
  assert.equal(await broker.machine.until(asked, 'recall'), put.uniqKey);
  await advanceTo(broker, time + 2_000);
  assert.deepEqual(await broker.bodies('Work'), []);
  assert.deepEqual(
    broker.lines.filter((line) => line.includes('too many recalls')),
    [],
  );
  await broker.stop();
});

test('a recall takes back the message of its handle, whatever key its producer gave it', async () => {
  const broker = await MachineBroker.start({ config: { recallMessageEnable: true } });
  const time = secondAfter(broker, 20_000);
  const keys = ['order', 'order 7', ' ', 'é'.repeat(2_000)];
  for (const key of keys) {
    const put = (await broker.send('Work', key, at(time) + property('UNIQ_KEY', key))) as Stored;
    if (key === 'order') continue;
    const handle = encodeRecallHandle({
      ...{ topic: 'Work', brokerName: broker.context.config.brokerName },
      ...{ timestamp: put.timerOutMs! + 1, messageId: put.uniqKey! },
    });
    const asked = broker.context.recall.recall({ topic: 'Work', handle, producerGroup: 'p' }, caller);
    assert.equal(await broker.machine.until(asked, 'recall'), key);
  }
  await advanceTo(broker, time + 2_000);
  assert.deepEqual(await broker.bodies('Work'), ['order']);
  await broker.stop();
});
