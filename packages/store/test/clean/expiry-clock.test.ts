import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@vernier/torture';
import { ExpiryClock } from '../../src/clean/expiry-clock.ts';

const HOUR = 3_600_000;

function make() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = (_: object, text: string): void => void lines.push(text);
  const expiry = new ExpiryClock({ clock, logger: { debug: log, info: log, warn: log, error: log } });
  /** Time passes, with a look each ten seconds. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10_000) {
      await clock.advance(Math.min(10_000, left));
      expiry.now();
    }
  };
  return { clock, lines, expiry, pass };
}

test('expiry clock: it is the wall clock while that goes as time goes, with the corrections of NTP', async () => {
  const { clock, lines, expiry, pass } = make();
  await pass(60_000);
  assert.equal(expiry.now(), clock.now());
  clock.stepWallClock(4_900);
  assert.equal(expiry.now(), clock.now());
  // A process that was not run for a day: both clocks went on.
  await clock.advance(24 * HOUR);
  assert.equal(expiry.now(), clock.now());
  assert.deepEqual(lines, []);
});

test('expiry clock: a step of 100 hours is believed after a day, and said when it is seen and when it is believed', async () => {
  const { clock, lines, expiry, pass } = make();
  clock.stepWallClock(100 * HOUR);
  assert.equal(expiry.now(), clock.now() - 100 * HOUR);
  assert.match(
    lines[0] ?? '',
    /the clock is 360,000 s ahead.*Until it has been so for 86,400 s, files expire by the time/,
  );
  await pass(24 * HOUR - 10_000);
  assert.equal(expiry.now(), clock.now() - 100 * HOUR, 'it runs on meanwhile');
  assert.equal(lines.length, 1);
  await pass(10_000);
  assert.equal(expiry.now(), clock.now());
  assert.equal(lines.length, 2);
  assert.match(lines[1] ?? '', /has kept the time/);
});

test('expiry clock: a short step is believed when it has stood for as long as it is wide', async () => {
  const { clock, expiry, pass } = make();
  clock.stepWallClock(HOUR);
  assert.equal(expiry.now(), clock.now() - HOUR);
  await pass(HOUR - 10_000);
  assert.equal(expiry.now(), clock.now() - HOUR);
  await pass(10_000);
  assert.equal(expiry.now(), clock.now());
});

test('expiry clock: a step that is taken back leaves no trace, and one back is followed at once', async () => {
  const { clock, lines, expiry, pass } = make();
  clock.stepWallClock(100 * HOUR);
  expiry.now();
  await pass(HOUR);
  clock.stepWallClock(-100 * HOUR);
  assert.equal(expiry.now(), clock.now());
  assert.match(lines[1] ?? '', /taken back/);
  await pass(48 * HOUR);
  assert.equal(expiry.now(), clock.now());
  clock.stepWallClock(-5 * HOUR);
  assert.equal(expiry.now(), clock.now());
});

test('expiry clock: a second step begins the wait anew', async () => {
  const { clock, expiry, pass } = make();
  clock.stepWallClock(2 * HOUR);
  expiry.now();
  await pass(HOUR);
  clock.stepWallClock(HOUR);
  assert.equal(expiry.now(), clock.now() - 3 * HOUR);
  await pass(2 * HOUR);
  assert.equal(expiry.now(), clock.now() - 3 * HOUR);
  await pass(HOUR);
  assert.equal(expiry.now(), clock.now());
});

test('expiry clock: at the start, a log that is older than files are kept is given an hour', async () => {
  const { clock, lines, expiry, pass } = make();
  expiry.opened(clock.now() - 72 * HOUR, 72 * HOUR);
  assert.equal(expiry.now(), clock.now(), 'as old as files are kept');
  assert.deepEqual(lines, []);
  expiry.opened(clock.now() - 73 * HOUR, 72 * HOUR);
  assert.equal(expiry.now(), clock.now() - 73 * HOUR);
  assert.match(lines[0] ?? '', /262,800 s ahead of the newest file of the log\. Until it has been so for 3,600 s/);
  await pass(HOUR);
  assert.equal(expiry.now(), clock.now());
  expiry.opened(clock.now() - 24 * HOUR, HOUR);
  assert.equal(expiry.now(), clock.now(), 'a machine may be off for a day');
});

test('expiry clock: an operator may say that the clock is right', () => {
  const { clock, expiry } = make();
  clock.stepWallClock(100 * HOUR);
  expiry.now();
  expiry.trust();
  assert.equal(expiry.now(), clock.now());
});
