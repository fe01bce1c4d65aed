import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { clientHello } from '../../../../test/support/client-hello.ts';
import { createRequest } from '../../src/protocol/remoting-command.ts';
import { TLS_CONNECTION_BYTES } from '../../src/tls/tls-door.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { turns, until } from '../support/peers.ts';
import { clientOf, connectRaw, connectTls, ECHO, serveTls, soon } from '../support/tls.ts';

const TIMEOUT_MS = 10_000;

/** Begins a handshake and does not go on with it. */
async function halfOpen(t: TestContext, port: number): Promise<{ socket: Socket; isGone: () => boolean }> {
  const socket = await connectRaw(t, port);
  let gone = false;
  socket.resume().once('close', () => {
    gone = true;
  });
  socket.write(Buffer.from([0x16, 3, 1]));
  return { socket, isGone: () => gone };
}

test('tls door: a handshake that does not end is closed after its time', async (t) => {
  const clock = new ManualClock();
  const { server, port, logger } = await serveTls(t, {}, { clock, tlsLimits: { handshakeTimeoutMs: 5_000 } });
  const half = await halfOpen(t, port);
  await until(() => server.tls.pending === 1);
  // A byte now and then does not put it off.
  for (let second = 0; second < 4; second++) {
    clock.advance(1_000);
    half.socket.write(Buffer.from([1]));
    await turns();
  }
  assert.equal(half.isGone(), false);
  clock.advance(1_100);
  assert.ok(await soon(half.isGone));
  await until(() => server.connections.size === 0 && server.tls.usedBytes === 0);
  assert.match(logger.at('warn')[0]!.message, /TLS: the handshake was not done after 5000 ms/);
  assert.deepEqual(server.tls.counts, {
    ...{ handshakes: { ok: 0, failed: 0, timeout: 1, closed: 0, refused: 0 }, connections: 0 },
  });
});

test('tls door: a flood of half-open handshakes holds so many places, and gives them to those that wait', async (t) => {
  const clock = new ManualClock();
  const { server, port, address } = await serveTls(t, {}, { clock, tlsLimits: { handshakesMax: 4 } });
  const flood = await Promise.all(Array.from({ length: 12 }, () => halfOpen(t, port)));
  await until(() => server.tls.pending === 12);
  const client = clientOf(t, { trust: 'any' });
  let isAnswered = false;
  const answer = client.invoke(address, createRequest(ECHO), TIMEOUT_MS).then(() => {
    isAnswered = true;
  });
  await until(() => server.tls.pending === 13);
  await turns();
  assert.equal(isAnswered, false, 'all places are taken, and nobody has been slow yet');
  assert.equal(flood.filter(({ isGone }) => isGone()).length, 0);
  // Each second four that were slow give way to the next four.
  for (let second = 0; second < 3; second++) {
    clock.advance(1_020);
    await turns(50);
  }
  assert.ok(await soon(() => isAnswered));
  await answer;
  assert.ok(await soon(() => flood.filter(({ isGone }) => isGone()).length >= 9));
  assert.equal(flood.filter(({ isGone }) => !isGone()).length, 12 - 9, 'who has a place that nobody wants keeps it');
});

test('tls door: plaintext is not held up by a flood of handshakes', async (t) => {
  const { server, port, address } = await serveTls(t, {}, { tlsLimits: { handshakesMax: 2 } });
  await Promise.all(Array.from({ length: 50 }, () => halfOpen(t, port)));
  await until(() => server.tls.pending === 50);
  const plain = clientOf(t);
  assert.equal((await plain.invoke(address, createRequest(ECHO), TIMEOUT_MS)).code, 0);
});

test('tls door: what TLS holds for connections has a bound, and comes back', async (t) => {
  const tlsLimits = { tlsBytesMax: 2 * TLS_CONNECTION_BYTES };
  const { server, port, logger } = await serveTls(t, {}, { tlsLimits });
  const [first, second] = [await connectTls(t, port), await connectTls(t, port)];
  assert.equal(server.tls.usedBytes, tlsLimits.tlsBytesMax);
  await assert.rejects(connectTls(t, port));
  assert.match(logger.at('warn')[0]!.message, /TLS connections hold 131072 bytes, at most 131072/);
  assert.deepEqual(server.tls.counts!.handshakes, { ok: 2, failed: 0, timeout: 0, closed: 0, refused: 1 });
  assert.equal(server.tls.counts!.connections, 2);
  first.destroy();
  await until(() => server.tls.usedBytes === TLS_CONNECTION_BYTES);
  assert.equal(server.tls.counts!.connections, 1);
  const third = await connectTls(t, port);
  assert.ok(!third.destroyed && !second.destroyed);
});

/** Numbers that a seed decides (xorshift). */
function numbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

test('tls door: hostile handshakes end alone, and leave nothing behind', async (t) => {
  const { server, port, address } = await serveTls(t, {}, { tlsLimits: { handshakesMax: 16 } });
  const steady = clientOf(t, { trust: 'any' });
  const plain = clientOf(t);
  for (const client of [steady, plain]) await client.invoke(address, createRequest(ECHO), TIMEOUT_MS);
  const hellos = [await clientHello(), await clientHello({ maxVersion: 'TLSv1.2' })];
  for (let seed = 1; seed <= 300; seed++) {
    const draw = numbers(seed * 2_654_435_761);
    const bytes = Buffer.from(hellos[draw(2)]!);
    for (let change = draw(6); change > 0; change--) bytes[1 + draw(bytes.length - 1)] = draw(256);
    const socket = await connectRaw(t, port);
    socket.resume();
    socket.write(bytes.subarray(0, 1 + draw(bytes.length)));
    if (draw(3) === 0) socket.write(Buffer.from(Array.from({ length: draw(2_000) }, () => draw(256))));
    const end = draw(4);
    if (end === 0) socket.end();
    else if (end === 1) socket.resetAndDestroy();
    else if (end === 2) setImmediate(() => socket.destroy());
    else await Promise.race([once(socket, 'close'), turns(5)]);
    socket.destroy();
    if (seed % 50 !== 0) continue;
    for (const client of [steady, plain]) {
      assert.equal((await client.invoke(address, createRequest(ECHO), TIMEOUT_MS)).code, 0, `seed ${seed}`);
    }
  }
  await until(() => server.tls.pending === 0 && server.connections.size === 2);
  assert.equal(server.tls.usedBytes, TLS_CONNECTION_BYTES, 'that of the steady client');
  const { handshakes, connections } = server.tls.counts!;
  assert.equal(connections, 1);
  assert.equal(handshakes.refused + handshakes.timeout, 0);
  assert.ok(handshakes.ok >= 1 && handshakes.failed > 0 && handshakes.closed > 0, JSON.stringify(handshakes));
});

test('tls door: many clients at once are all let in', async (t) => {
  const { server, port } = await serveTls(t, {}, { tlsLimits: { handshakesMax: 8 } });
  const sockets = await Promise.all(Array.from({ length: 60 }, () => connectTls(t, port)));
  assert.equal(server.connections.size, 60);
  assert.ok(sockets.every((socket) => !socket.destroyed));
});
