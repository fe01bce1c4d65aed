import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerStats, PutTimes, RateCounter, TpsCounter } from '../../src/stats/broker-stats.ts';

const start = new Date(2026, 0, 1, 12).getTime();

test('the three rates forget what is older than their windows, without a timer', () => {
  const counter = new TpsCounter(start);
  for (let second = 0; second < 600; second++) counter.add(start + second * 1_000, 10);
  const now = start + 600_000;
  for (const windowMs of [10_000, 60_000, 600_000]) {
    const tps = counter.tps(now, windowMs);
    assert.ok(Math.abs(tps - 10) <= 1.01, `${windowMs}: ${tps}`);
  }
  assert.equal(counter.tps(now + 30_000, 10_000), 0);
  assert.ok(counter.tps(now + 30_000, 60_000) > 4);
  assert.equal(counter.tps(now + 3_600_000, 600_000), 0, 'an hour of silence');
  assert.equal(counter.print(now).split(' ').length, 3);
});

test('a counter younger than its window divides by its age', () => {
  const counter = new RateCounter(start);
  for (let second = 0; second < 10; second++) counter.add(start + second * 1_000, 5);
  const { sum, tps, avgpt } = counter.minute(start + 10_000);
  assert.deepEqual([sum, tps, avgpt], [50, 5, 5]);
  assert.equal(counter.minute(start + 200_000).sum, 0);
  assert.equal(counter.hour(start + 200_000).sum, 50);
  assert.equal(counter.day(start + 23 * 3_600_000).sum, 50);
});

test('totals of this morning and of yesterday’s', () => {
  const stats = new BrokerStats('c', start);
  const day = 86_400_000;
  stats.countPut(start, 'T', 3, 300);
  assert.equal(stats.runtimeInfo(start).msgPutTotalTodayMorning, '0');
  stats.countPut(start + day, 'T', 4, 400);
  let info = stats.runtimeInfo(start + day);
  assert.deepEqual(
    [info.msgPutTotalTodayNow, info.msgPutTotalTodayMorning, info.msgPutTotalYesterdayMorning],
    ['7', '3', '0'],
  );
  info = stats.runtimeInfo(start + 2 * day);
  assert.deepEqual([info.msgPutTotalTodayMorning, info.msgPutTotalYesterdayMorning], ['7', '3']);
  info = stats.runtimeInfo(start + 9 * day);
  assert.deepEqual([info.msgPutTotalTodayMorning, info.msgPutTotalYesterdayMorning], ['7', '7']);
});

test('counters of a deleted topic or group are forgotten', () => {
  const stats = new BrokerStats('c', start);
  stats.countPut(start, 'T', 1, 1);
  stats.countGet(start, 'g', 'T', 1, 1);
  stats.countGet(start, 'h', 'U', 1, 1);
  stats.forgetTopic('T');
  assert.equal(stats.find('TOPIC_PUT_NUMS', 'T'), undefined);
  assert.equal(stats.find('GROUP_GET_NUMS', 'T@g'), undefined);
  assert.ok(stats.find('GROUP_GET_NUMS', 'U@h'));
  stats.forgetGroup('h');
  assert.equal(stats.find('GROUP_GET_NUMS', 'U@h'), undefined);
});

test('put times fall into their classes', () => {
  const times = new PutTimes();
  for (const ms of [0, 0, 3, 10, 11, 20_000]) times.add(ms);
  assert.equal(times.max, 20_000);
  assert.match(times.print(), /^\[<=0ms\]:2 \[0~10ms\]:2 \[10~50ms\]:1 .* \[10000~ms\]:1$/);
});

test('stats: a clock that is set forward for a while does not stand in the way of the rates afterwards', () => {
  const counter = new RateCounter(start);
  const year = 365 * 86_400_000;
  for (let second = 0; second < 30; second++) counter.add(start + second * 1_000, 1);
  counter.add(start + year, 1);
  for (let second = 30; second < 400; second++) counter.add(start + second * 1_000, 1);
  const now = start + 400_000;
  const { sum, tps } = counter.minute(now);
  assert.ok(sum >= 55 && sum <= 66, `${sum} in the last minute`);
  assert.ok(tps <= 1.1, `${tps} a second`);
  assert.equal(counter.sum, 401, 'nothing is lost of the total');
  const ticks = new TpsCounter(start);
  for (let second = 0; second < 30; second++) ticks.add(start + second * 1_000, 1);
  ticks.add(start + year, 1);
  for (let second = 30; second < 400; second++) ticks.add(start + second * 1_000, 1);
  assert.ok(ticks.tps(now, 10_000) <= 1.2, `${ticks.tps(now, 10_000)} a second`);
  assert.ok(ticks.tps(now, 60_000) <= 1.1, `${ticks.tps(now, 60_000)} a second`);
});

test('stats: a clock that is set back keeps no rate from falling to 0, and makes none negative', () => {
  for (const back of [1, 4_999, 5_001, 60_000, 3_600_000, 365 * 86_400_000]) {
    const counter = new RateCounter(start);
    counter.add(start, 1_000);
    const before = start - back;
    for (const { sum, tps, avgpt } of [counter.minute(before), counter.hour(before), counter.day(before)]) {
      assert.ok(sum >= 0 && tps >= 0 && avgpt >= 0 && Number.isFinite(tps), `${back} ms: ${sum} ${tps} ${avgpt}`);
    }
    counter.add(before, 5);
    assert.equal(counter.minute(before + 61_000).sum, 0, `${back} ms back, and a minute of silence`);
    assert.equal(counter.minute(before + 61_000).tps, 0);
  }
});

test('stats: a short step back loses no more than the newest sample', () => {
  const counter = new RateCounter(start);
  for (let second = 0; second < 3_600; second += 5) counter.add(start + second * 1_000, 1);
  const now = start + 3_595_000 - 100;
  counter.add(now, 1);
  const { sum } = counter.hour(now);
  assert.ok(sum > 700, `${sum} of 721 in the hour`);
});

test('stats: the day’s totals go on when the clock was a year ahead for a moment', () => {
  const stats = new BrokerStats('c', start);
  const day = 86_400_000;
  stats.countPut(start, 'T', 3, 300);
  stats.countPut(start + 365 * day, 'T', 1, 1);
  stats.countPut(start, 'T', 1, 1);
  stats.countPut(start + day, 'T', 4, 400);
  const info = stats.runtimeInfo(start + day);
  assert.deepEqual([info.msgPutTotalTodayNow, info.msgPutTotalTodayMorning], ['9', '5']);
});

test('stats: midnight itself is the new day, the millisecond before is the old one', () => {
  const stats = new BrokerStats('c', start);
  const midnight = new Date(2026, 0, 2).getTime();
  stats.countPut(midnight - 1, 'T', 3, 3);
  assert.equal(stats.runtimeInfo(midnight - 1).msgPutTotalTodayMorning, '0');
  stats.countPut(midnight, 'T', 1, 1);
  const info = stats.runtimeInfo(midnight);
  assert.deepEqual([info.msgPutTotalTodayNow, info.msgPutTotalTodayMorning], ['4', '3']);
});

test('stats: to look at a counter makes none, by whatever name', () => {
  const stats = new BrokerStats('c', start);
  for (const [name, key] of [
    ['TOPIC_PUT_NUMS', 'T'],
    ['constructor', 'name'],
    ['__proto__', '__proto__'],
  ] as const) {
    assert.equal(stats.find(name, key), undefined);
    assert.equal(stats.tps(name as 'TOPIC_PUT_NUMS', key, start), 0);
    assert.equal(stats.find(name, key), undefined);
  }
  stats.countGetMiss(start);
  assert.equal(stats.find('BROKER_GET_NUMS', 'c'), undefined, 'what was not found counts for nobody');
  assert.equal(stats.runtimeInfo(start).msgGetTotalTodayNow, '0');
});

test('stats: one count is one in each of its places, and in no other', () => {
  const stats = new BrokerStats('c', start);
  stats.countPut(start, 'T', 2, 200);
  stats.countGet(start, 'g', 'T', 3, 300);
  stats.countSendBack(start, 'g', 'T');
  const sums = (
    [
      ['TOPIC_PUT_NUMS', 'T'],
      ['TOPIC_PUT_SIZE', 'T'],
      ['BROKER_PUT_NUMS', 'c'],
      ['GROUP_GET_NUMS', 'T@g'],
      ['GROUP_GET_SIZE', 'T@g'],
      ['BROKER_GET_NUMS', 'c'],
      ['SNDBCK_PUT_NUMS', 'T@g'],
    ] as const
  ).map(([name, key]) => stats.find(name, key)?.sum);
  assert.deepEqual(sums, [2, 200, 2, 3, 300, 3, 1]);
  assert.deepEqual([stats.put.sum, stats.getTransferred.sum, stats.getFound.sum, stats.getMiss.sum], [2, 3, 1, 0]);
  assert.equal(stats.find('GROUP_GET_NUMS', 'g@T'), undefined);
  assert.equal(stats.find('GROUP_GET_NUMS', 'T@g')?.minute(start).avgpt, 3);
});

test('stats: what is forgotten is that topic’s or group’s alone', () => {
  const stats = new BrokerStats('c', start);
  for (const topic of ['T', 'TT', '%RETRY%g']) {
    stats.countPut(start, topic, 1, 1);
    for (const group of ['g', 'gg', 'T']) stats.countGet(start, group, topic, 1, 1);
  }
  const left = () => {
    const keys = ['T', 'TT', '%RETRY%g'].flatMap((topic) => ['g', 'gg', 'T'].map((group) => `${topic}@${group}`));
    return keys.filter((key) => stats.find('GROUP_GET_NUMS', key) !== undefined);
  };
  stats.forgetTopic('T');
  assert.deepEqual(left(), ['TT@g', 'TT@gg', 'TT@T', '%RETRY%g@g', '%RETRY%g@gg', '%RETRY%g@T']);
  assert.equal(stats.find('TOPIC_PUT_NUMS', 'T'), undefined);
  assert.equal(stats.find('TOPIC_PUT_NUMS', 'TT')?.sum, 1);
  stats.forgetGroup('g');
  assert.deepEqual(left(), ['TT@gg', 'TT@T', '%RETRY%g@gg', '%RETRY%g@T']);
  assert.equal(stats.find('BROKER_PUT_NUMS', 'c')?.sum, 3, 'the broker’s own go on');
});

test('stats: a topic that is remade after it was forgotten begins at 0', () => {
  const stats = new BrokerStats('c', start);
  stats.countPut(start, 'T', 5, 5);
  stats.forgetTopic('T');
  stats.countPut(start + 1_000, 'T', 1, 1);
  assert.equal(stats.find('TOPIC_PUT_NUMS', 'T')?.sum, 1);
  assert.equal(stats.put.sum, 6, 'the broker’s total does not fall');
});

test('put times: each bound belongs to the class below it, and the longest is remembered', () => {
  const times = new PutTimes();
  for (const bound of [0, 10, 50, 100, 200, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000]) {
    times.add(bound);
    times.add(bound + 1);
  }
  const counts = [...times.print().matchAll(/:(\d+)/g)].map(([, count]) => Number(count));
  assert.deepEqual(counts, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
  assert.equal(times.max, 10_001);
  times.add(3);
  assert.equal(times.max, 10_001);
});

test('stats: counters of names that clients invent have a bound in bytes; the idle go first, the broker’s own never', () => {
  const stats = new BrokerStats('c', start, () => 1024 * 1024);
  const later = start + 2 * 3_600_000;
  for (let i = 0; i < 50; i++) stats.countPut(start, `idle${i}`, 1, 1);
  for (let i = 0; i < 50; i++) stats.countPut(later, `busy${i}`, 1, 1);
  for (let i = 0; i < 130; i++) stats.countGet(later, 'g', `busy${i}`, 1, 1);
  assert.equal(stats.find('TOPIC_PUT_NUMS', 'idle0'), undefined);
  assert.equal(stats.find('TOPIC_PUT_NUMS', 'busy0')?.sum, 1);
  for (let i = 0; i < 10_000; i++) {
    stats.countGet(later, `g${i}`, 'T', 1, 1);
    assert.ok(stats.budget.usedBytes <= 1024 * 1024);
  }
  assert.equal(stats.find('GROUP_GET_NUMS', 'T@g9999')?.sum, 1);
  assert.equal(stats.find('BROKER_PUT_NUMS', 'c')?.sum, 100);
  assert.equal(stats.find('BROKER_GET_NUMS', 'c')?.sum, 10_130);
  assert.ok(stats.budget.refusedCount > 19_000);
  stats.forgetTopic('T');
  for (let i = 0; i < 130; i++) stats.forgetTopic(`busy${i}`);
  assert.ok(stats.budget.usedBytes < 8_000, 'the two of the broker');
});
