import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UniqKeys } from '../../src/put/uniq-keys.ts';

const NOW = 1_700_000_000_000;

test('unique keys: 32 upper-case hex digits, all different', () => {
  const keys = new UniqKeys();
  const made = new Set(Array.from({ length: 1_000 }, () => keys.next(NOW)));
  assert.equal(made.size, 1_000);
  for (const key of made) assert.match(key, /^[0-9A-F]{32}$/);
});

test('unique keys: the clock in seconds and a counter stand behind 16 digits of its own', () => {
  const keys = new UniqKeys();
  const [first, second] = [keys.next(NOW), keys.next(NOW + 1_000)];
  assert.equal(first.slice(16), '6553F10000000001');
  assert.equal(second.slice(16), '6553F10100000002');
  assert.equal(first.slice(0, 16), second.slice(0, 16));
});

test('unique keys: two that make them at the same time never make the same', () => {
  assert.notEqual(new UniqKeys().next(NOW), new UniqKeys().next(NOW));
});
