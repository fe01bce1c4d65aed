import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyPool } from '../../src/pull/body-pool.ts';

test('body pool: memory given back is used again, in its own size class', () => {
  const pool = new BodyPool();
  const first = pool.take(20_000);
  assert.equal(first.length, 20_000);
  pool.give(first);
  assert.equal(pool.freeBytes, 32_768);
  const other = pool.take(10_000);
  assert.notEqual(other.buffer, first.buffer);
  const again = pool.take(32_768);
  assert.equal(again.buffer, first.buffer);
  assert.equal(pool.freeBytes, 0);
});

test('body pool: what it did not make, parts and giants are not kept; the free memory has a limit', () => {
  const pool = new BodyPool();
  pool.give(Buffer.from('small'));
  pool.give(pool.take(20_000).subarray(1));
  pool.give(pool.take(2 * 1024 * 1024));
  assert.equal(pool.freeBytes, 0);
  const many = Array.from({ length: 40 }, () => pool.take(500_000));
  for (const buffer of many) pool.give(buffer);
  assert.ok(pool.freeBytes <= 8 * 1024 * 1024);
  assert.ok(pool.freeBytes > 7 * 1024 * 1024);
});
