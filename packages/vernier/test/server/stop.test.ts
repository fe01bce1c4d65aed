import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StopControl, type StopOptions } from '../../src/server/stop.ts';

// Promise.withResolvers, which Node 20 does not have.
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

function control(options: Partial<StopOptions> = {}): {
  control: StopControl;
  killed: string[];
  advance: (ms: number) => void;
} {
  const killed: string[] = [];
  let now = 0;
  return {
    control: new StopControl({
      stop: () => new Promise(() => {}),
      diskCalls: () => [],
      kill: (message) => killed.push(message),
      now: () => now,
      ...options,
    }),
    killed,
    advance: (ms) => {
      now += ms;
    },
  };
}

test('stop: a first signal stops once, cleanly, and nothing is killed', async () => {
  let stops = 0;
  const stopped = deferred<void>();
  const { control: stop, killed } = control({
    stop: async () => {
      stops += 1;
      stopped.resolve();
    },
  });
  stop.onSignal('SIGTERM');
  stop.onSignal('SIGTERM');
  await stopped.promise;
  assert.equal(stops, 1);
  assert.deepEqual(killed, []);
  stop.close();
});

test('stop: the same signal twice at once is one request (Ctrl-C reaches npm and the command)', () => {
  const { control: stop, killed, advance } = control();
  stop.onSignal('SIGINT');
  advance(99);
  stop.onSignal('SIGINT');
  assert.deepEqual(killed, []);
  stop.close();
});

test('stop: a second signal kills at once and says which disk call hangs and since when', () => {
  const {
    control: stop,
    killed,
    advance,
  } = control({
    diskCalls: () => [{ operation: 'fdatasync', file: '/data/commitlog/00000000000000000000', forMs: 12_340 }],
  });
  stop.onSignal('SIGTERM');
  advance(150);
  stop.onSignal('SIGTERM');
  assert.deepEqual(killed, [
    'vernier: a second SIGTERM came while stopping: fdatasync of /data/commitlog/00000000000000000000 has not returned for 12.3 s; ' +
      'ending with SIGKILL (exit code 137), the next start recovers\n',
  ]);
  stop.close();
});

test('stop: what does not end in time is killed', async () => {
  const killed = deferred<string>();
  const { control: stop } = control({ limitMs: 1, kill: killed.resolve, now: () => performance.now() });
  stop.onSignal('SIGTERM');
  assert.match(await killed.promise, /the stop did not get on for 1 ms: no disk call is under way/);
  stop.close();
});

test('stop: one that gets on is not killed until all of it takes too long', async () => {
  const killed = deferred<string>();
  let now = 0;
  let done = 0;
  const { control: stop } = control({
    limitMs: 18,
    totalLimitMs: 100,
    kill: killed.resolve,
    // Each look comes nearly a whole limit after the one before, and finds that one more call has come back.
    now: () => {
      now += 17;
      return now;
    },
    progress: () => ++done,
  });
  stop.onSignal('SIGTERM');
  assert.match(await killed.promise, /not stopped within 100 ms/);
  stop.close();
});
