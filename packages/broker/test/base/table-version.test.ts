import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TableVersion } from '../../src/base/table-version.ts';

test('table version: a thousand changes between two writings are one version', () => {
  let now = 5;
  const version = new TableVersion(() => now);
  assert.deepEqual(version.current, { counter: 0, stateVersion: 0, timestamp: 5 });
  now = 7;
  for (let i = 0; i < 1_000; i++) version.changed();
  assert.deepEqual([version.current.counter, version.current.timestamp], [1, 7]);
  version.writtenOut();
  version.writtenOut();
  assert.equal(version.current.counter, 1, 'writing changes nothing');
  now = 9;
  version.changed();
  assert.deepEqual([version.current.counter, version.current.timestamp], [2, 9]);
});

test('table version: who was given a version does not see it change', () => {
  const version = new TableVersion(() => 0);
  const given = version.current;
  version.changed();
  assert.equal(given.counter, 0);
});

test('table version: one that was loaded goes on from there', () => {
  const version = new TableVersion(() => 3);
  version.current = { counter: 41, stateVersion: 2, timestamp: 1 };
  version.changed();
  assert.deepEqual(version.current, { counter: 42, stateVersion: 2, timestamp: 3 });
});
