import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PutMessageResult } from '@vernier/store';
import { Machine } from '../../../torture/test/machine.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { Stored } from '../../src/put/put-service.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const TIMER = 'rmq_sys_wheel_timer';
const at = (time: number): string => property('TIMER_DELIVER_MS', String(time));

const stored = (outcome: unknown): Stored => {
  assert.ok(!(outcome instanceof Refusal), String((outcome as Refusal).remark));
  return outcome as Stored;
};

/** The next whole second at least `ms` away. */
const secondAfter = (broker: MachineBroker, ms: number): number =>
  Math.ceil((broker.machine.scheduler.now() + ms) / 1_000) * 1_000;

const advanceTo = (broker: MachineBroker, time: number): Promise<void> =>
  broker.machine.advance(time - broker.machine.scheduler.now());

test('a timed message is not there before its time, and there at it, as RocketMQ leaves it', async () => {
  const broker = await MachineBroker.start();
  const time = secondAfter(broker, 5_000);
  const put = stored(
    await broker.send('Work', 'later', property('TAGS', 'A') + at(time), { queueId: 2, flag: 7, bornTimestamp: 99 }),
  );
  assert.deepEqual([put.topic, put.queueId, put.queueOffset, put.timerOutMs], ['Work', 2, 0, time - 1_000]);
  const [waiting] = await broker.read(TIMER);
  assert.equal(waiting?.properties.get('REAL_TOPIC'), 'Work');
  assert.equal(waiting?.properties.get('REAL_QID'), '2');
  assert.equal(waiting?.properties.get('TIMER_OUT_MS'), String(time - 1_000), 'an exact multiple is one unit lower');
  await advanceTo(broker, time - 1);
  assert.deepEqual(await broker.bodies('Work', 2), []);
  assert.equal(broker.context.timer.waitingCount, 1);
  await advanceTo(broker, time + 200);
  const [delivered] = await broker.read('Work', 2);
  assert.equal(delivered?.body.toString(), 'later');
  assert.ok(delivered!.storeTimestamp >= time);
  const { flag, bornTimestamp, properties } = delivered!;
  assert.deepEqual([flag, bornTimestamp], [7, 99]);
  assert.deepEqual(delivered?.bornHost, waiting?.bornHost);
  for (const [name, value] of waiting!.properties) assert.equal(properties.get(name), value, name);
  assert.ok(Number(properties.get('TIMER_DEQUEUE_MS')) >= time);
  assert.ok(Number(properties.get('TIMER_ENQUEUE_MS')) < time);
  const [tagged] = (await broker.store.queueEntries('Work', 2, 0, 1)) ?? [];
  assert.equal(tagged?.tagsCode, 'A'.charCodeAt(0), 'filters see the tag');
  await broker.machine.advance(60_000);
  assert.equal((await broker.read('Work', 2)).length, 1);
  assert.equal((await broker.read(TIMER)).length, 1, 'its slot fired once, and put nothing back');
  assert.equal(broker.context.timer.waitingCount, 0);
  await broker.stop();
});

for (const precision of [100, 1_000]) {
  test(`precision ${precision}: a time is rounded up, for each way to say it`, async () => {
    const broker = await MachineBroker.start({ config: { timerPrecisionMs: precision } });
    const begin = secondAfter(broker, 1_000);
    await advanceTo(broker, begin + 37);
    const times = new Map<string, number>();
    const send = async (body: string, name: string, value: number): Promise<void> => {
      const before = broker.machine.scheduler.now();
      stored(await broker.send('Work', body, property(name, String(value))));
      const wanted = name === 'TIMER_DELIVER_MS' ? value : before + value * (name === 'TIMER_DELAY_SEC' ? 1_000 : 1);
      times.set(body, Math.ceil(wanted / precision) * precision);
    };
    await send('sec', 'TIMER_DELAY_SEC', 2);
    await send('ms', 'TIMER_DELAY_MS', 1_501);
    await send('one', 'TIMER_DELIVER_MS', begin + 3_001);
    await send('exact', 'TIMER_DELIVER_MS', begin + 3_000);
    for (const [body, time] of [...times].sort(([, a], [, b]) => a - b)) {
      if (broker.machine.scheduler.now() < time - 1) {
        await advanceTo(broker, time - 1);
        assert.ok(!(await broker.bodies('Work')).includes(body), `${body} before its time`);
      }
      await advanceTo(broker, time + 200);
      assert.ok((await broker.bodies('Work')).includes(body), `${body} at its time`);
    }
    await broker.stop();
  });
}

test('of several times SEC goes before MS before DELIVER_MS, and a level before all of them', async () => {
  const broker = await MachineBroker.start();
  const later = at(secondAfter(broker, 100_000));
  await broker.send('Work', 'sec', later + property('TIMER_DELAY_MS', '50000') + property('TIMER_DELAY_SEC', '2'));
  await broker.send('Work', 'ms', later + property('TIMER_DELAY_MS', '2000'));
  await broker.send('Work', 'level', property('TIMER_DELAY_SEC', '100') + property('DELAY', '1'));
  await broker.machine.advance(3_500);
  assert.deepEqual((await broker.bodies('Work')).sort(), ['level', 'ms', 'sec']);
  await broker.stop();
});

test('a time that is past is now; one that is too far, or none, is refused and nothing stored', async () => {
  const broker = await MachineBroker.start({ config: { timerMaxDelaySec: 600 } });
  const now = broker.machine.scheduler.now();
  for (const [body, properties] of [
    ['past', at(now - 1)],
    ['zero', property('TIMER_DELAY_SEC', '0')],
    ['negative', property('TIMER_DELAY_MS', '-5')],
    ['very', property('TIMER_DELIVER_MS', `-${'9'.repeat(40)}`)],
  ] as const) {
    assert.equal(stored(await broker.send('Work', body, properties)).timerOutMs, undefined);
  }
  assert.deepEqual(await broker.bodies('Work'), ['past', 'zero', 'negative', 'very']);
  const end = broker.store.maxPhyOffset;
  for (const properties of [
    property('TIMER_DELAY_SEC', '602'),
    property('TIMER_DELAY_SEC', '9223372036854775807'),
    property('TIMER_DELAY_SEC', '9'.repeat(30)),
    property('TIMER_DELAY_MS', '1.5'),
    property('TIMER_DELIVER_MS', 'tomorrow'),
    at(now - 5) + property('TIMER_DEL_UNIQKEY', 'k'),
  ]) {
    const refused = await broker.send('Work', 'x', properties);
    assert.ok(refused instanceof Refusal, properties);
    assert.equal(refused.code, 13);
    assert.match(refused.remark, /timer message illegal/);
  }
  assert.equal(broker.store.maxPhyOffset, end);
  await broker.stop();
});

test('what could not be stored when its time has come is refused at once', async () => {
  const broker = await MachineBroker.start();
  const end = broker.store.maxPhyOffset;
  const size = 16_384 - 8 - 91 - 127 - 300;
  const big = await broker.send('T'.repeat(127), 'x'.repeat(size), property('TIMER_DELAY_SEC', '5'));
  assert.ok(big instanceof Refusal);
  assert.match(big.remark, /a file of the log holds/);
  const long = await broker.send('Work', 'x', property('A', 'a'.repeat(32_400)) + property('TIMER_DELAY_SEC', '5'));
  assert.ok(long instanceof Refusal);
  assert.equal(broker.store.maxPhyOffset, end);
  await broker.stop();
});

test('without timerWheelEnable timed messages are refused, and what waits waits on', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'waits', property('TIMER_DELAY_SEC', '5'));
  await broker.machine.advance(2_000);
  await broker.stop();
  const next = await MachineBroker.start({ machine: broker.kill(), config: { timerWheelEnable: false } });
  const refused = await next.send('Work', 'x', property('TIMER_DELAY_SEC', '5'));
  assert.ok(refused instanceof Refusal);
  assert.equal(refused.code, 1);
  await next.machine.advance(10_000);
  assert.deepEqual(await next.bodies('Work'), []);
  await next.stop();
  const last = await MachineBroker.start({ machine: next.kill() });
  await last.machine.advance(1_000);
  assert.deepEqual(await last.bodies('Work'), ['waits']);
  await last.stop();
});

test('a client cannot write to the timer topic itself', async () => {
  const broker = await MachineBroker.start();
  const refused = await broker.send(TIMER, 'x', property('REAL_TOPIC', 'Work') + property('TIMER_OUT_MS', '1'));
  assert.ok(refused instanceof Refusal);
  await broker.stop();
});

test('a message that was delivered by a timer and is sent once more with a time of its own waits for that', async () => {
  const broker = await MachineBroker.start();
  const time = secondAfter(broker, 3_000);
  await broker.send('Work', 'forged', at(time) + property('TIMER_OUT_MS', '1') + property('REAL_TOPIC', 'Other'));
  await advanceTo(broker, time - 1);
  assert.deepEqual(await broker.bodies('Work'), []);
  await advanceTo(broker, time + 200);
  assert.deepEqual(await broker.bodies('Work'), ['forged']);
  await broker.stop();
});

test('a retry is not kept from its group by the time of its first delivery', async () => {
  const broker = await MachineBroker.start();
  broker.context.groups.find('g');
  await broker.begin('%RETRY%g', 'again', { properties: at(secondAfter(broker, 50_000)) }, 'send-back').catch(() => {});
  await broker.machine.advance(500);
  assert.deepEqual(await broker.bodies(TIMER), []);
  await broker.stop();
});

test('messages of one slot come in their order', async () => {
  const broker = await MachineBroker.start();
  const time = secondAfter(broker, 5_000);
  const bodies = Array.from({ length: 150 }, (_, i) => `m${i}`);
  for (const body of bodies) await broker.send('Work', body, at(time));
  await advanceTo(broker, time + 200);
  assert.deepEqual(await broker.bodies('Work'), bodies);
  await broker.stop();
});

test('a delivery that is refused is tried until it succeeds, and none comes twice for it', async () => {
  const broker = await MachineBroker.start();
  const time = secondAfter(broker, 3_000);
  for (const body of ['a', 'b', 'c']) await broker.send('Work', body, at(time));
  await advanceTo(broker, time - 500);
  const { store } = broker;
  const real = store.asyncPutMessage.bind(store);
  let refusals = 5;
  store.asyncPutMessage = (message, durability) => {
    if (message.topic !== 'Work' || message.body.toString() !== 'b' || refusals-- <= 0)
      return real(message, durability);
    const refused: PutMessageResult = {
      ...{ status: 'OS_PAGE_CACHE_BUSY', wroteOffset: -1, wroteBytes: 0, queueOffset: 0, storeTimestamp: 0 },
      messageCount: 0,
    };
    return Promise.resolve(refused);
  };
  await advanceTo(broker, time + 10_000);
  assert.deepEqual((await broker.bodies('Work')).sort(), ['a', 'b', 'c']);
  assert.ok(refusals <= 0);
  await broker.stop();
});

test('an idle broker reads nothing and has no timer for it', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'x', property('TIMER_DELAY_SEC', '1'));
  await broker.machine.advance(5_000);
  const { readCalls } = broker.context.timer.cost;
  await broker.machine.advance(3_600_000);
  assert.equal(broker.context.timer.cost.readCalls, readCalls);
  await broker.stop();
});

test('longer than the roll window: stored anew at its end, and delivered at the time', async () => {
  const broker = await MachineBroker.start({ config: { timerRollWindowSlot: 10 } });
  const time = secondAfter(broker, 60_000);
  await broker.send('Work', 'far', at(time));
  await advanceTo(broker, time - 1);
  assert.deepEqual(await broker.bodies('Work'), []);
  const rolls = await broker.read(TIMER);
  assert.ok(rolls.length >= 6, `rolled ${rolls.length - 1} times`);
  assert.deepEqual(
    rolls.map(({ properties }) => properties.get('TIMER_ROLL_TIMES')),
    rolls.map((_, i) => (i === 0 ? undefined : String(i))),
  );
  await advanceTo(broker, time + 200);
  assert.deepEqual(await broker.bodies('Work'), ['far']);
  await broker.machine.advance(100_000);
  assert.deepEqual(await broker.bodies('Work'), ['far']);
  await broker.stop();
});

test('the clock goes forward: what is due is delivered; it goes back: nothing comes early, nothing is stuck', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  const time = secondAfter(broker, 300_000);
  await broker.send('Work', 'first', at(time));
  await machine.advance(1_500);
  machine.scheduler.stepWallClock(400_000);
  await machine.advance(1_500);
  assert.deepEqual(await broker.bodies('Work'), ['first']);
  machine.scheduler.stepWallClock(-400_000);
  const soon = secondAfter(broker, 5_000);
  await broker.send('Work', 'second', at(soon));
  await advanceTo(broker, soon - 1);
  assert.deepEqual(await broker.bodies('Work'), ['first']);
  await advanceTo(broker, soon + 1_200);
  assert.deepEqual(await broker.bodies('Work'), ['first', 'second']);
  await machine.advance(500_000);
  assert.deepEqual(await broker.bodies('Work'), ['first', 'second']);
  await broker.stop();
});

test('the clock was ahead by more than the wheel holds: what it put does not keep others waiting, nor comes early', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  machine.scheduler.stepWallClock(30 * 86_400_000);
  const far = secondAfter(broker, 20_000);
  await broker.send('Work', 'far', at(far));
  await machine.advance(1_000);
  machine.scheduler.stepWallClock(-30 * 86_400_000);
  const soon = secondAfter(broker, 5_000);
  await broker.send('Work', 'soon', at(soon));
  await advanceTo(broker, soon + 1_200);
  assert.deepEqual(await broker.bodies('Work'), ['soon']);
  assert.equal(broker.context.timer.waitingCount, 1);
  machine.scheduler.stepWallClock(30 * 86_400_000);
  await machine.advance(40_000);
  assert.deepEqual(await broker.bodies('Work'), ['soon', 'far']);
  await broker.stop();
});

test('a start that is late by more than a turn of the wheel delivers everything, and takes up what came last', async () => {
  const broker = await MachineBroker.start();
  for (let i = 1; i <= 5; i++) await broker.send('Work', `m${i}`, property('TIMER_DELAY_SEC', String(i * 100)));
  await broker.machine.advance(2_000);
  // Not in the files yet when the process ends.
  await broker.send('Work', 'unread', property('TIMER_DELAY_SEC', '100'));
  const killed = broker.kill();
  const late = new Machine(killed.options, killed.fileSystem, killed.scheduler.now() + 5 * 86_400_000);
  const next = await MachineBroker.start({ machine: late });
  await next.machine.advance(2_000);
  assert.deepEqual((await next.bodies('Work')).sort(), ['m1', 'm2', 'm3', 'm4', 'm5', 'unread']);
  await next.stop();
});

test('a topic that was deleted gets none of what waited for it', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'x', property('TIMER_DELAY_SEC', '3'));
  await broker.machine.advance(1_500);
  assert.equal(await broker.machine.until(broker.context.topicAdmin.delete('Work'), 'delete'), undefined);
  await broker.machine.advance(5_000);
  assert.equal(broker.context.topics.select('Work'), undefined);
  assert.equal(broker.context.timer.droppedTotal, 1);
  assert.equal(broker.context.timer.waitingCount, 0);
  await broker.stop();
});

test('runtime info, checkpoint and metrics say what waits', async () => {
  const broker = await MachineBroker.start();
  const { timer } = broker.context;
  for (let i = 0; i < 3; i++) await broker.send('Work', `m${i}`, property('TIMER_DELAY_SEC', '100'));
  await broker.machine.advance(2_000);
  const info = await broker.context.runtimeInfo();
  assert.deepEqual([info.timerReadBehind, info.timerOffsetBehind, info.timerCongestNum], ['0', '0', '3']);
  assert.match(info.timerEnqueueTps ?? '', /^\d+\.\d$/);
  assert.equal(JSON.parse(timer.metricsText()).timingCount.Work.count, 3);
  assert.equal(timer.checkpoint()?.readBigInt64BE(16), 3n);
  await broker.machine.advance(120_000);
  assert.deepEqual(JSON.parse(timer.metricsText()).timingCount, {});
  await broker.stop();
});
