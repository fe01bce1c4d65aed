import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallerSession, storeHostOf } from '../../src/base/caller.ts';

const session = () => new CallerSession('10.0.0.1:5000', { address: Uint8Array.of(10, 0, 0, 1), port: 5_000 });

test('caller: its end is signalled once to whoever listens, and is there for who asks later', () => {
  const caller = session();
  let heard = 0;
  caller.signal.addEventListener('abort', () => heard++);
  assert.deepEqual([caller.isGone, caller.signal.aborted], [false, false]);
  caller.end();
  caller.end();
  assert.equal(heard, 1);
  assert.deepEqual([caller.isGone, caller.signal.aborted], [true, true]);
  const late = session();
  late.end();
  assert.equal(late.signal.aborted, true, 'nobody asked for the signal before the end');
  assert.match(String(late.signal.reason), /the caller is gone/);
});

test('caller: one signal for all who ask, and no new reason with a stack for each end', () => {
  const caller = session();
  assert.equal(caller.signal, caller.signal);
  const other = session();
  caller.end();
  other.end();
  assert.equal(caller.signal.reason, other.signal.reason);
});

test('caller: before its first heartbeat nothing is known of it; a later one replaces what was said', () => {
  const caller = session();
  assert.deepEqual([caller.clientId, caller.language, caller.version], ['', -1, -1]);
  caller.identify('c', 0, 453);
  caller.identify('d', 9, 0);
  assert.deepEqual([caller.clientId, caller.language, caller.version], ['d', 9, 0]);
  assert.equal(caller.identity, undefined);
});

test('caller: an address is stored as its bytes; a name, which no record holds, is loopback', () => {
  const { address, port } = storeHostOf('10.1.2.3', 7);
  assert.deepEqual([[...address], port], [[10, 1, 2, 3], 7]);
  assert.equal(storeHostOf('::1', 7).address.length, 16);
  for (const name of ['localhost', '', '1.2.3', '1.2.3.4.5', '256.0.0.1', 'host:1', '10.0.0.1 ']) {
    assert.deepEqual([...storeHostOf(name, 7).address], [127, 0, 0, 1], name);
  }
});
