import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageStore, PutMessageResult } from '@vernier/store';
import { SCHEDULE_TOPIC } from '@vernier/store/internal';
import { Machine } from '../../../torture/test/machine.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { property } from '../harness.ts';
import { MachineBroker } from '../machine-broker.ts';

const delay = (level: number | string, more = ''): string => property('DELAY', String(level)) + more;
const CONFIG = '/data/store/config';

/** Offsets by level, as the file on the disk has them. */
const savedOffsets = (broker: MachineBroker): string | undefined =>
  /"offsetTable":(\{.*\})/.exec(broker.file('delayOffset.json') ?? '')?.[1];

test('a delayed message is not there before its time, and there at it, as RocketMQ leaves it', async () => {
  const broker = await MachineBroker.start();
  const { machine, store } = broker;
  const before = await broker.send('Work', 'first');
  assert.ok(!(before instanceof Refusal));
  const put = await broker.send('Work', 'later', delay(3, property('TAGS', 'A') + property('TIMER_DELAY_SEC', '9')), {
    ...{ queueId: 2, flag: 7, bornTimestamp: 99 },
  });
  assert.ok(!(put instanceof Refusal));
  assert.deepEqual([put.topic, put.queueId, put.queueOffset], ['Work', 2, 0], 'as Apache answers: where it will be');
  const [waiting] = await broker.read(SCHEDULE_TOPIC, 2);
  assert.equal(waiting?.properties.get('REAL_TOPIC'), 'Work');
  assert.equal(waiting?.properties.get('REAL_QID'), '2');
  assert.equal(waiting?.properties.get('TIMER_DELAY_SEC'), undefined, 'the level goes before a time');
  const [entry] = (await store.queueEntries(SCHEDULE_TOPIC, 2, 0, 1)) ?? [];
  assert.equal(entry?.tagsCode, waiting!.storeTimestamp + 10_000);

  await machine.advance(entry!.tagsCode - machine.scheduler.now() - 1);
  assert.deepEqual(await broker.bodies('Work', 2), []);
  await machine.advance(50);
  const [delivered] = await broker.read('Work', 2);
  assert.equal(delivered?.body.toString(), 'later');
  assert.ok(delivered!.storeTimestamp >= entry!.tagsCode);
  const { flag, bornTimestamp, bornHost, reconsumeTimes, properties } = delivered!;
  assert.deepEqual([flag, bornTimestamp, reconsumeTimes], [7, 99, 0]);
  assert.deepEqual(bornHost, waiting?.bornHost);
  assert.deepEqual(properties, waiting?.properties, 'DELAY, REAL_TOPIC and REAL_QID stay');
  const [tagged] = (await store.queueEntries('Work', 2, 0, 1)) ?? [];
  assert.equal(tagged?.tagsCode, 'A'.charCodeAt(0), 'filters see the tag again');
  await machine.advance(60_000);
  assert.equal((await broker.read('Work', 2)).length, 1);
  await broker.stop();
});

test('levels: 19 is the last one and said once a topic, 0 and -1 are now, what is no number is refused', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'seconds', delay(1959));
  await broker.send('Work', 'again', delay(19));
  await broker.send('Work', 'now', delay(0));
  await broker.send('Work', 'at once', delay(-1));
  assert.deepEqual(await broker.bodies(SCHEDULE_TOPIC, 17), ['seconds', 'again']);
  assert.equal((await broker.read(SCHEDULE_TOPIC, 17))[0]?.properties.get('DELAY'), '18');
  assert.deepEqual(await broker.bodies('Work'), ['now', 'at once']);
  assert.equal(broker.lines.filter((line) => line.includes('DELAY=')).length, 1);
  for (const wrong of ['x', '1s', '1.5', ' 1']) {
    const refused = await broker.send('Work', 'x', delay(wrong));
    assert.ok(refused instanceof Refusal, wrong);
    assert.equal(refused.code, 13);
  }
  await broker.stop();
});

test('what could not be stored when its time has come is refused at once', async () => {
  const broker = await MachineBroker.start();
  const { store } = broker;
  const topic = 'T'.repeat(127);
  const end = store.maxPhyOffset;
  // Fits a record of the schedule topic, whose name is shorter, and would not fit its own.
  const size = 16_384 - 8 - 91 - 19 - 260;
  const big = await broker.send(topic, 'x'.repeat(size), delay(1));
  assert.ok(big instanceof Refusal);
  assert.match(big.remark, /a file of the log holds/);
  store.messageFault = () => 'batch queues';
  assert.equal((await broker.send('Batches', 'x', delay(1))).code, 13);
  assert.equal(store.maxPhyOffset, end);
  await broker.stop();
});

test('messageDelayLevel: another table of levels, also for queues that are made anew from the log', async () => {
  const machine = new Machine({ messageDelayLevel: '2s 3s' });
  const broker = await MachineBroker.start({ machine });
  await broker.send('Work', 'second', delay(2));
  await broker.send('Work', 'beyond', delay(3));
  const next = await broker.cutPowerAndStart(1);
  const entries = (await next.store.queueEntries(SCHEDULE_TOPIC, 1, 0, 2)) ?? [];
  const records = await next.read(SCHEDULE_TOPIC, 1);
  assert.deepEqual(
    entries.map(({ tagsCode }) => tagsCode),
    records.map(({ storeTimestamp }) => storeTimestamp + 3_000),
  );
  await next.machine.advance(2_900);
  assert.deepEqual(await next.bodies('Work'), []);
  await next.machine.advance(200);
  assert.deepEqual(await next.bodies('Work'), ['second', 'beyond']);
  await next.stop();
});

test('a shorter table: what waits in a queue beyond it is delivered at its time', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'of level 4', delay(4));
  await broker.send('Work', 'of level 2', delay(2));
  await broker.stop();
  broker.machine.options.messageDelayLevel = '1s';
  const machine = broker.kill();
  const next = await MachineBroker.start({ machine });
  await machine.advance(4_900);
  assert.deepEqual(await next.bodies('Work'), [], 'not by the length that level 1 has now');
  await machine.advance(300);
  assert.deepEqual(await next.bodies('Work'), ['of level 2']);
  await machine.advance(25_000);
  assert.deepEqual(await next.bodies('Work'), ['of level 2', 'of level 4']);
  await next.stop();
});

test('the clock is set back by an hour: what waits is delivered at once and once', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  await broker.send('Work', 'x', delay(3));
  await machine.advance(100);
  machine.scheduler.stepWallClock(-3_600_000);
  await machine.advance(1_200);
  assert.deepEqual(await broker.bodies('Work'), ['x']);
  await machine.advance(3_700_000);
  assert.deepEqual(await broker.bodies('Work'), ['x']);
  await broker.stop();
});

test('the clock is corrected by a little, back and forth: nothing comes before its time, and nothing waits for the old one', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  await broker.send('Work', 'a');
  machine.scheduler.stepWallClock(-50);
  await broker.send('Work', 'x', delay(3));
  await machine.advance(9_990);
  assert.deepEqual(await broker.bodies('Work'), ['a']);
  await machine.advance(110);
  assert.deepEqual(await broker.bodies('Work'), ['a', 'x']);
  await broker.send('Work', 'an hour', delay(17));
  await machine.advance(100);
  machine.scheduler.stepWallClock(3_600_000);
  await machine.advance(1_100);
  assert.deepEqual(await broker.bodies('Work'), ['a', 'x', 'an hour']);
  await broker.stop();
});

test('a hundred messages of one time are delivered in their order, each once, within 200 ms', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  const bodies = Array.from({ length: 100 }, (_, i) => `message ${i}`);
  await machine.until(Promise.all(bodies.map((body) => broker.begin('Work', body, { properties: delay(1) }))), 'puts');
  await machine.advance(1_200);
  assert.deepEqual(await broker.bodies('Work'), bodies);
  assert.deepEqual([broker.context.delay.deliveredTotal, broker.context.delay.hasPending], [100, false]);
  await broker.stop();
});

test('what waits costs one timer a level and no look at a record, however much it is', async () => {
  const broker = await MachineBroker.start();
  const { machine, store } = broker;
  const many = Array.from({ length: 200 }, (_, i) => broker.begin('Work', `${i}`, { properties: delay(5 + (i % 2)) }));
  await machine.until(Promise.all(many), 'puts');
  await machine.advance(2_000);
  let [reads, timers] = [0, 0];
  const { getMessage } = store;
  store.getMessage = (...args) => {
    reads++;
    return getMessage.apply(store, args);
  };
  const { setTimer } = machine.scheduler;
  machine.scheduler.setTimer = (callback, ms) => {
    if (ms > 500) timers++;
    return setTimer.call(machine.scheduler, callback, ms);
  };
  await machine.advance(10_000);
  assert.equal(reads, 0);
  assert.ok(timers <= 2 * 11, `${timers} timers in ten seconds for two levels`);
  await broker.stop();
});

/** The next puts into the topic are answered so and not stored. */
function failPuts(store: MessageStore, topic: string, count: number, body?: string): { attempts: number } {
  const { asyncPutMessage } = store;
  const failing = { attempts: 0 };
  store.asyncPutMessage = (message, durability) => {
    const isMeant = message.topic === topic && (body === undefined || Buffer.from(message.body).toString() === body);
    if (!isMeant || failing.attempts >= count) return asyncPutMessage.call(store, message, durability);
    failing.attempts++;
    const refused: PutMessageResult = {
      ...{ status: 'OS_PAGE_CACHE_BUSY', wroteOffset: -1, wroteBytes: 0, queueOffset: -1, storeTimestamp: 0 },
      messageCount: 0,
    };
    return Promise.resolve(refused);
  };
  return failing;
}

test('a delivery that fails is tried again, later each time, until it succeeds; the others go before it, once', async () => {
  const broker = await MachineBroker.start();
  const { machine, store } = broker;
  for (const body of ['a', 'b', 'c']) await broker.send('Work', body, delay(1));
  const failing = failPuts(store, 'Work', 12, 'b');
  await machine.advance(1_100);
  assert.deepEqual(await broker.bodies('Work'), ['a', 'c']);
  await machine.advance(10_000);
  assert.ok(failing.attempts >= 5 && failing.attempts < 10, `${failing.attempts} attempts in ten seconds`);
  await machine.advance(100_000);
  assert.deepEqual(await broker.bodies('Work'), ['a', 'c', 'b']);
  await broker.send('Work', 'd', delay(1));
  await machine.advance(1_500);
  assert.deepEqual(await broker.bodies('Work'), ['a', 'c', 'b', 'd'], 'the level goes on');
  await broker.stop();
});

test('what nobody can be given is said and left out: deleted topic, no destination', async () => {
  const broker = await MachineBroker.start();
  const { machine, context, store } = broker;
  await broker.send('Work', 'before', delay(1));
  await broker.send('Other', 'other', delay(1));
  const deleted = machine.until(context.topicAdmin.delete('Work'), 'deletion');
  assert.equal(await deleted, undefined);
  assert.ok(store.deletedBelow('Work') > 0, 'although it had no message of its own');
  await broker.send('Work', 'after', delay(1));
  await machine.put(store, 'lost', { topic: SCHEDULE_TOPIC, queueId: 0, properties: delay(1) });
  await machine.advance(2_000);
  assert.deepEqual(await broker.bodies('Work'), ['after'], 'the topic of that name that was made anew');
  assert.deepEqual(await broker.bodies('Other'), ['other']);
  assert.equal(context.delay.droppedTotal, 2);
  assert.equal(broker.lines.filter((line) => line.includes('a delayed message is not delivered')).length, 2);
  await broker.stop();
});

test('a topic that a delayed message made is not in topics.json yet when the process is killed: the message is delivered', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Fresh', 'x', delay(1), { queueId: 3 });
  assert.ok(!broker.file('topics.json')?.includes('Fresh'), 'the moment that the test is about');
  const next = await broker.killAndStart();
  assert.equal(next.context.topics.select('Fresh'), undefined);
  await next.machine.advance(2_000);
  assert.deepEqual(await next.bodies('Fresh', 3), ['x']);
  assert.ok(next.context.topics.select('Fresh')!.readQueueNums > 3);
  await next.stop();
});

test('a clean stop saves the offsets, and the next start delivers nothing again', async () => {
  const broker = await MachineBroker.start();
  for (const level of [1, 2]) await broker.send('Work', `level ${level}`, delay(level));
  await broker.machine.advance(2_000);
  assert.equal(savedOffsets(broker), undefined, 'not before ten seconds have passed');
  await broker.stop();
  assert.match(savedOffsets(broker) ?? '', /^\{1:1,2:0,/);
  const next = await broker.killAndStart();
  await next.machine.advance(10_000);
  assert.deepEqual(await next.bodies('Work'), ['level 1', 'level 2']);
  await next.stop();
});

test('offsets are saved ten seconds after they changed; a kill before that delivers again, one after it does not', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  await broker.send('Work', 'early', delay(1));
  await machine.advance(11_100);
  assert.match(savedOffsets(broker) ?? '', /^\{1:1,/);
  await broker.send('Work', 'late', delay(1));
  await machine.advance(1_100);
  const next = await broker.killAndStart();
  await next.machine.advance(2_000);
  assert.deepEqual(await next.bodies('Work'), ['early', 'late', 'late']);
  await next.stop();
});

test('an offset is on disk only behind the copies: a power cut takes no delayed message, under ASYNC_FLUSH neither', async () => {
  const settings = {
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLog: 3_000,
    flushCommitLogThoroughInterval: 3_000,
  };
  const machine = new Machine(settings as ConstructorParameters<typeof Machine>[0]);
  const broker = await MachineBroker.start({ machine, config: { flushDelayOffsetInterval: 10 } });
  await broker.send('Work', 'x', delay(1));
  await machine.until(broker.store.flush(), 'flush');
  await machine.advance(1_050);
  assert.deepEqual(await broker.bodies('Work'), ['x'], 'delivered');
  assert.match(savedOffsets(broker) ?? '', /^\{1:1,/, 'and saved');
  const next = await broker.cutPowerAndStart(7);
  await next.machine.advance(5_000);
  assert.deepEqual(await next.bodies('Work'), ['x']);
  await next.stop();
});

test('an offset that the queue does not have is the nearest one it has, and is saved; the level is not stuck', async () => {
  const broker = await MachineBroker.start();
  const { machine } = broker;
  await broker.send('Work', 'x', delay(1));
  await broker.stop();
  const { fileSystem } = machine;
  const file = await machine.until(fileSystem.open(`${CONFIG}/delayOffset.json`, 'create'), 'open');
  const content = Buffer.from('{"dataVersion":{"counter":9,"stateVersion":0,"timestamp":5},"offsetTable":{1:77,3:5}}');
  await machine.until(file.write(content, 0), 'write');
  await machine.until(file.truncate(content.length), 'length');
  await machine.until(file.close(), 'close');
  const next = await broker.killAndStart();
  assert.equal(next.lines.filter((line) => line.startsWith('delayOffset.json has')).length, 2);
  await next.send('Work', 'y', delay(1));
  await next.machine.advance(11_500);
  assert.deepEqual(await next.bodies('Work'), ['y'], 'x was behind the offset that the file had');
  assert.match(savedOffsets(next) ?? '', /^\{1:2,2:0,3:0,/);
  const version = JSON.parse(/"dataVersion":(\{.*?\})/.exec(next.file('delayOffset.json')!)![1]!);
  assert.ok(version.counter > 9);
  await next.stop();
});

test('without a save nothing is written over: a start that fails before its tables are read leaves delayOffset.json', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'x', delay(1));
  await broker.machine.advance(1_500);
  await broker.stop();
  const before = broker.file('delayOffset.json');
  const machine = broker.kill();
  const started = MachineBroker.start({
    machine,
    prepare: () => {
      machine.fileSystem.intercept = (operation, path) => {
        if (operation === 'readFile' && path.endsWith('topics.json')) throw new Error('not now');
      };
    },
  });
  await assert.rejects(started, /topics\.json/);
  machine.fileSystem.intercept = undefined;
  await machine.advance(60_000);
  assert.equal(machine.fileSystem.volatileContent(`${CONFIG}/delayOffset.json`).toString(), before);
});

test('operators see how far each level is', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'x', delay(1));
  await broker.send('Work', 'y', delay(5));
  await broker.machine.advance(2_000);
  const { scheduleMessageOffset_1, scheduleMessageOffset_5 } = broker.context.delay.runtimeInfo();
  assert.deepEqual([scheduleMessageOffset_1, scheduleMessageOffset_5], ['1,1', '0,1']);
  assert.match(broker.context.delay.offsetsText(), /"offsetTable":\{1:1,2:0,3:0,4:0,5:0,/);
  await broker.stop();
});

test('a queue that the topic has not any more can be read again when a message that waited comes into it', async () => {
  const broker = await MachineBroker.start();
  await broker.send('Work', 'x', delay(1), { queueId: 3 });
  const { topics } = broker.context;
  topics.update({ ...topics.select('Work')!, readQueueNums: 2, writeQueueNums: 2 });
  await broker.machine.advance(2_000);
  assert.deepEqual(await broker.bodies('Work', 3), ['x']);
  const { readQueueNums, writeQueueNums } = topics.select('Work')!;
  assert.deepEqual([readQueueNums, writeQueueNums], [4, 2]);
  assert.ok(broker.lines.some((line) => line.includes('gets 4 queues to read')));
  await broker.stop();
});
