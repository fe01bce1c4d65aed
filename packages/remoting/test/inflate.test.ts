import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { deflateSync } from 'node:zlib';
import { inflateBody } from '../src/inflate.ts';

test('inflate: a small body that becomes 64 MiB leaves the event loop to the others meanwhile', async () => {
  const bytes = 64 * 1024 * 1024;
  const packed = deflateSync(Buffer.alloc(bytes));
  let length = 0;
  const unpacked = inflateBody(packed, bytes).then((body) => {
    length = body.length;
  });
  let turns = 0;
  while (length === 0) {
    await turn();
    turns++;
  }
  await unpacked;
  assert.equal(length, bytes);
  assert.ok(turns > 10, `${turns} turns of the event loop`);
});
