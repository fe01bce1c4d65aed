import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { systemClock } from '../../src/base/clock.ts';
import { ServiceLoop } from '../../src/base/service-loop.ts';

class Counting extends ServiceLoop {
  readonly died: unknown[] = [];
  rounds = 0;
  waitEnds = 0;
  interval: number | undefined;
  work: (() => Promise<void>) | undefined;

  protected override async run(): Promise<void> {
    while (!this.stopped) {
      await this.waitForRunning(this.interval);
      this.rounds++;
      await this.work?.();
    }
  }

  protected override onWaitEnd(): void {
    this.waitEnds++;
  }

  protected override onDied(error: unknown): void {
    this.died.push(error);
  }
}

test('service loop: a wakeup during the wait ends it once', async () => {
  const loop = new Counting(new ManualClock());
  loop.start();
  await settle();
  assert.equal(loop.rounds, 0);
  for (let i = 0; i < 10; i++) loop.wakeup();
  await settle();
  assert.equal(loop.rounds, 1);
  assert.equal(loop.waitEnds, 1);
  await loop.shutdown();
});

test('service loop: a wakeup while the service works is not lost, several are one', async () => {
  const loop = new Counting(new ManualClock());
  let release: () => void = () => {};
  loop.work = () =>
    new Promise<void>((resolve) => {
      release = resolve;
    });
  loop.start();
  loop.wakeup();
  await settle();
  assert.equal(loop.rounds, 1);
  loop.wakeup();
  loop.wakeup();
  loop.work = undefined;
  release();
  await settle();
  assert.equal(loop.rounds, 2, 'one more round, without another wakeup, and not two');
  await loop.shutdown();
});

test('service loop: a wakeup consumed by the timer does not end the next wait', async () => {
  const clock = new ManualClock();
  // Deferred calls are held back, so that the timer fires between the wakeup and its deferred call.
  const held: (() => void)[] = [];
  clock.defer = (callback) => held.push(callback);
  const loop = new Counting(clock);
  loop.interval = 10;
  loop.start();
  await settle();
  loop.wakeup();
  await clock.advance(10);
  assert.equal(loop.rounds, 1);
  for (const callback of held.splice(0)) callback();
  await settle();
  assert.equal(loop.rounds, 1, 'the late deferred call belongs to a wait that is over');
  held.length = 0;
  clock.defer = (callback) => callback();
  await loop.shutdown();
});

test('service loop: the interval ends the wait, without one nothing is armed', async () => {
  const clock = new ManualClock();
  const loop = new Counting(clock);
  loop.start();
  await settle();
  assert.equal(clock.timerCount, 0);
  await clock.advance(3_600_000);
  assert.equal(loop.rounds, 0, 'an idle service does no round');
  loop.interval = 10;
  loop.wakeup();
  await settle();
  assert.equal(clock.timerCount, 1);
  await clock.advance(10);
  assert.equal(loop.rounds, 2);
  const stopped = loop.shutdown();
  await settle();
  await stopped;
  assert.equal(clock.timerCount, 0, 'shutdown leaves no timer behind');
});

test('service loop: shutdown waits for the round at work and reports what it threw', async () => {
  const loop = new Counting(systemClock);
  loop.work = async () => {
    throw new Error('round failed');
  };
  loop.start();
  loop.wakeup();
  await assert.rejects(loop.shutdown(), /round failed/);
});

test('service loop: a loop that throws says so at once, and shutdown rejects with it', async () => {
  const loop = new Counting(new ManualClock());
  const fault = new Error('a fault of the program');
  loop.work = () => Promise.reject(fault);
  loop.start();
  loop.wakeup();
  await settle();
  assert.deepEqual(loop.died, [fault]);
  await assert.rejects(loop.shutdown(), fault);
});
