import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyPoll } from '../../src/net/busy-poll.ts';

/** A server whose clock the test moves. */
class Scene {
  now = 0;
  isBusy = false;
  readonly poll: BusyPoll;

  constructor(pollMs = 0.08) {
    this.poll = new BusyPoll(
      pollMs,
      () => this.isBusy,
      () => this.now,
    );
  }

  /** A request that comes so many ms after the last answer, and is answered at once. */
  request(gapMs: number): void {
    this.now += gapMs;
    this.poll.arrived();
    this.poll.answered();
  }

  requests(count: number, gapMs = 0.05): void {
    for (let number = 0; number < count; number++) this.request(gapMs);
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('busy poll: it begins when the next request came soon eight times in a row, and ends when none comes', async () => {
  const scene = new Scene();
  scene.requests(8);
  assert.equal(scene.poll.isPolling, false, 'the first one came out of a long silence');
  scene.request(0.05);
  assert.equal(scene.poll.isPolling, true);
  scene.now += 0.07;
  await turn();
  assert.equal(scene.poll.isPolling, true);
  scene.now += 0.02;
  await turn();
  await turn();
  assert.equal(scene.poll.isPolling, false);
  scene.requests(7);
  assert.equal(scene.poll.isPolling, false, 'it has to be shown again that somebody sends');
  scene.request(0.05);
  assert.equal(scene.poll.isPolling, true);
});

test('busy poll: a client that takes its time is not waited for', () => {
  const scene = new Scene();
  scene.requests(50, 0.21);
  assert.equal(scene.poll.isPolling, false);
  scene.requests(7);
  scene.request(1);
  scene.requests(7);
  assert.equal(scene.poll.isPolling, false, 'short ones in a row');
});

test('busy poll: it does not poll while a request is being handled', async () => {
  const scene = new Scene();
  scene.requests(9);
  scene.isBusy = true;
  await turn();
  await turn();
  assert.equal(scene.poll.isPolling, false);
  scene.request(0.05);
  assert.equal(scene.poll.isPolling, false);
  scene.isBusy = false;
  scene.request(0.05);
  assert.equal(scene.poll.isPolling, true, 'the disk was quick');
});

test('busy poll: a clock that stands still does not keep the loop awake for ever', async () => {
  const scene = new Scene();
  scene.requests(9);
  for (let number = 0; number < 1_100; number++) await turn();
  assert.equal(scene.poll.isPolling, false);
});

test('busy poll: 0 is never', () => {
  const scene = new Scene(0);
  scene.requests(100);
  assert.equal(scene.poll.isPolling, false);
});
