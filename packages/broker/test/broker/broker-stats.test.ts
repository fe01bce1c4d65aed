import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerStats, PutTimes, RateCounter, TpsCounter } from '../../src/broker/broker-stats.ts';

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
