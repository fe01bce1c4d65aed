import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '@vernier/store';
import { HealthState } from '../src/health.ts';

const store = (more: object = {}) => ({
  ...{ failure: undefined, readOnlyReason: undefined, diskFull: undefined, isClosed: false },
  ...more,
});

test('health: from the first moment to the last', () => {
  let now = 1_000;
  const state = new HealthState(() => now);
  const status = () => [state.health.status, state.health.isReady];
  assert.deepEqual(status(), ['starting', false]);
  state.recovering(0, 4_000);
  now += 500;
  state.recovering(1_000, 4_000);
  assert.deepEqual(state.health.recovery, {
    ...{ doneBytes: 1_000, totalBytes: 4_000, percent: 25, bytesPerSecond: 2_000, elapsedMs: 500 },
  });
  assert.deepEqual(status(), ['recovering', false]);
  state.opened(store());
  assert.deepEqual(status(), ['unregistered', false], 'clients cannot find it yet');
  state.routable();
  assert.deepEqual(status(), ['ready', true]);
  state.stopping();
  assert.deepEqual(status(), ['stopping', false]);
});

test('health: a recovery that is not done is never said to be whole', () => {
  const state = new HealthState(() => 0);
  state.recovering(999_999, 1_000_000);
  assert.equal(state.health.recovery!.percent, 99);
  state.recovering(0, 0);
  assert.equal(state.health.recovery!.percent, 100);
  assert.equal(state.health.recovery!.bytesPerSecond, 0);
});

test('health: a store that takes no messages is not ready and says why', () => {
  const state = new HealthState();
  const of: Record<string, unknown> = store();
  state.opened(of as never);
  state.routable();
  of.readOnlyReason = 'the disk of /data is 99.0 % full, 10 bytes are free';
  of.diskFull = { path: '/data', freeBytes: 10, totalBytes: 1_000, usedRatio: 0.99, limitRatio: 0.9 };
  assert.deepEqual(state.health, {
    ...{ status: 'read-only', isReady: false, cause: { code: 'DISK_FULL', message: of.readOnlyReason } },
    disk: { path: '/data', freeBytes: 10, totalBytes: 1_000 },
  });
  of.diskFull = undefined;
  assert.equal(state.health.cause?.code, 'DISPATCH_BEHIND');
  of.readOnlyReason = undefined;
  assert.equal(state.health.isReady, true, 'there is room again');
  of.failure = new StoreError('STORE_FLUSH_FAILED', 'fdatasync failed: EIO');
  assert.deepEqual(state.health, {
    ...{ status: 'read-only', isReady: false },
    cause: { code: 'STORE_FLUSH_FAILED', message: 'fdatasync failed: EIO' },
  });
  of.isClosed = true;
  assert.equal(state.health.status, 'stopping');
});
