import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { Connection } from '../../src/net/connection.ts';
import { RemotingServer } from '../../src/net/server.ts';
import type { RemotingConnection, RemotingServerOptions } from '../../src/net/types.ts';
import {
  createRequest,
  createResponse,
  FLAG_ONEWAY,
  type RemotingCommand,
  SerializeType,
} from '../../src/protocol/remoting-command.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { latch, RawPeer, turns } from '../support/peers.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const ECHO = 1;
const FAIL = 2;
const LATER = 3;
const HOLD = 4;

interface Fixture {
  server: RemotingServer;
  port: number;
  logger: RecordingLogger;
  connect: () => Promise<RawPeer>;
  /** Answers the LATER requests that wait. */
  release: () => void;
  held: { request: RemotingCommand; connection: RemotingConnection }[];
  handled: () => number;
}

async function start(t: TestContext, options: RemotingServerOptions = {}): Promise<Fixture> {
  const logger = new RecordingLogger();
  const server = new RemotingServer({ logger, ...options });
  const held: Fixture['held'] = [];
  let waiting: (() => void)[] = [];
  let handled = 0;
  server.registerProcessor(ECHO, (request) => {
    handled++;
    return createResponse(request, 0, undefined, request.extFields, request.body);
  });
  server.registerProcessor(FAIL, (request) => {
    if (request.extFields?.how === 'reject') return Promise.reject(new Error('rejected on purpose'));
    throw new Error('thrown on purpose');
  });
  server.registerProcessor(LATER, async (request) => {
    handled++;
    await new Promise<void>((resolve) => waiting.push(resolve));
    return createResponse(request, 0);
  });
  server.registerProcessor(HOLD, (request, connection) => {
    held.push({ request, connection });
    return undefined;
  });
  const peers: RawPeer[] = [];
  const { port } = await server.listen({ port: 0 });
  t.after(async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    await server.shutdown(0);
  });
  return {
    server,
    port,
    logger,
    held,
    handled: () => handled,
    release: () => {
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    connect: async () => {
      const peer = await RawPeer.connect(port);
      peers.push(peer);
      return peer;
    },
  };
}

describe('RemotingServer', () => {
  it('answers with the opaque and the serialization of the request', async (t) => {
    const { connect } = await start(t);
    const peer = await connect();
    for (const serializeType of Object.values(SerializeType)) {
      const request = { ...createRequest(ECHO, { a: 'ü' }, Buffer.from('body')), serializeType };
      peer.send(request);
      const response = await peer.receive();
      assert.deepEqual([response.opaque, response.flag, response.code], [request.opaque, 1, 0]);
      assert.equal(response.serializeType, serializeType);
      assert.equal(response.version, 513);
      assert.equal(response.extFields?.a, 'ü');
      assert.equal(response.body?.toString(), 'body');
    }
  });

  it('an unknown request code gets REQUEST_CODE_NOT_SUPPORTED and RocketMQ’s remark', async (t) => {
    const { connect } = await start(t);
    const peer = await connect();
    peer.send(createRequest(4711));
    const response = await peer.receive();
    assert.deepEqual([response.code, response.remark], [3, ' request type 4711 not supported']);
  });

  it('the default processor gets what has no processor of its own', async (t) => {
    const { server, connect } = await start(t);
    server.registerDefaultProcessor((request) => createResponse(request, 29, `default ${request.code}`));
    const peer = await connect();
    peer.send(createRequest(4711), createRequest(ECHO));
    assert.equal((await peer.receive()).remark, 'default 4711');
    assert.equal((await peer.receive()).code, 0);
  });

  for (const how of ['throw', 'reject']) {
    it(`a handler that fails (${how}) is answered with SYSTEM_ERROR, logged, and harms nobody else`, async (t) => {
      const { connect, logger } = await start(t);
      const peer = await connect();
      peer.send(createRequest(FAIL, { how }), createRequest(ECHO));
      const answers = [await peer.receive(), await peer.receive()].sort((a, b) => b.code - a.code);
      assert.equal(answers[0]?.code, 1);
      assert.match(answers[0]?.remark ?? '', /on purpose/);
      assert.equal(answers[1]?.code, 0);
      assert.equal(logger.at('error').length, 1);
    });
  }

  it('a oneway request is handled and never answered, not even when its handler fails or is missing', async (t) => {
    const { connect, handled } = await start(t);
    const peer = await connect();
    const oneway = (code: number): RemotingCommand => ({ ...createRequest(code), flag: FLAG_ONEWAY });
    const last = createRequest(ECHO);
    peer.send(oneway(ECHO), oneway(FAIL), { ...oneway(FAIL), extFields: { how: 'reject' } }, oneway(4711), last);
    assert.equal((await peer.receive()).opaque, last.opaque);
    await turns();
    assert.equal(peer.unread, 0);
    assert.equal(handled(), 2);
  });

  it('a held request is answered later on its connection', async (t) => {
    const { connect, held, server } = await start(t);
    const peer = await connect();
    const gone = once(server, 'close');
    const request = createRequest(HOLD);
    peer.send(request, createRequest(ECHO));
    assert.equal((await peer.receive()).code, 0);
    assert.equal(peer.unread, 0);
    const [first] = held;
    assert.ok(first?.connection.send(createResponse(first.request, 19)));
    const response = await peer.receive();
    assert.deepEqual([response.opaque, response.code, response.flag], [request.opaque, 19, 1]);
    await peer.close();
    await gone;
    assert.equal(first.connection.closed, true);
    assert.equal(first.connection.send(createResponse(first.request, 0)), false);
  });

  it('answers of one turn leave in one write', async (t) => {
    const { connect } = await start(t);
    const peer = await connect();
    const requests = Array.from({ length: 50 }, () => createRequest(ECHO));
    peer.send(...requests);
    for (const request of requests) assert.equal((await peer.receive()).opaque, request.opaque);
    assert.equal(peer.chunks.length, 1);
  });

  it('large and small answers arrive whole and in order', async (t) => {
    const { connect } = await start(t);
    const peer = await connect();
    const requests = [10, 100_000, 4096, 4097, 2_000_000, 0, 1].map((size) =>
      createRequest(ECHO, undefined, Buffer.alloc(size, size & 0xff)),
    );
    peer.send(...requests);
    for (const request of requests) {
      const response = await peer.receive();
      assert.equal(response.opaque, request.opaque);
      assert.ok((response.body ?? Buffer.alloc(0)).equals(request.body as Buffer));
    }
  });

  it('an answer that is too large becomes an error for that request alone', async (t) => {
    const { server, connect, logger } = await start(t);
    server.registerProcessor(9, (request) =>
      createResponse(request, 0, undefined, undefined, Buffer.alloc(17_000_000)),
    );
    const peer = await connect();
    const request = createRequest(9);
    peer.send(request, createRequest(ECHO));
    const response = await peer.receive();
    assert.deepEqual([response.opaque, response.code], [request.opaque, 1]);
    assert.match(response.remark ?? '', /exceeds the limit of 16777216/);
    assert.equal((await peer.receive()).code, 0);
    assert.equal(logger.at('error').length, 1);
  });

  it('a malformed frame closes that connection with a log line; others notice nothing', async (t) => {
    const { connect, logger, server } = await start(t);
    const bad = await connect();
    const good = await connect();
    bad.send(createRequest(ECHO));
    await bad.receive();
    bad.socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await bad.closed;
    good.send(createRequest(ECHO));
    assert.equal((await good.receive()).code, 0);
    assert.equal(server.connections.size, 1);
    const [line, ...more] = logger.at('warn');
    assert.deepEqual(more, []);
    assert.equal(line?.fields.code, 'REMOTING_FRAME_TOO_LARGE');
    assert.match(line?.message ?? '', /^closing the connection of 127\.0\.0\.1:\d+: frame of 1195725860 bytes/);
  });

  it('tells about connections with stable ids and both addresses', async (t) => {
    const { server, connect, port } = await start(t);
    const events: string[] = [];
    const gone = latch();
    server.on('connection', (connection) =>
      events.push(`open ${connection.id} ${connection.remoteAddress} ${connection.localAddress}`),
    );
    server.on('close', (connection) => {
      events.push(`close ${connection.id} ${connection.remoteAddress} ${connection.localAddress}`);
      gone.open();
    });
    const peer = await connect();
    peer.send(createRequest(ECHO));
    await peer.receive();
    const [connection] = server.connections;
    const expected = `${connection?.id} 127.0.0.1:${peer.socket.localPort} 127.0.0.1:${port}`;
    await peer.close();
    await gone.promise;
    assert.deepEqual(events, [`open ${expected}`, `close ${expected}`]);
    assert.equal(server.connections.size, 0);
  });

  it('reads nothing from connections accepted while paused, until open()', async (t) => {
    const server = new RemotingServer();
    let handled = 0;
    server.registerProcessor(ECHO, (request) => {
      handled++;
      return createResponse(request, 0);
    });
    const { port } = await server.listen({ port: 0, paused: true });
    t.after(() => server.shutdown(0));
    const accepted = once(server, 'connection');
    const peer = await RawPeer.connect(port);
    t.after(() => peer.close());
    peer.send(createRequest(ECHO), createRequest(ECHO));
    await accepted;
    await turns();
    assert.equal(handled, 0);
    server.open();
    assert.equal((await peer.receive()).code, 0);
    assert.equal((await peer.receive()).code, 0);
    const late = await RawPeer.connect(port);
    t.after(() => late.close());
    late.send(createRequest(ECHO));
    assert.equal((await late.receive()).code, 0);
  });

  it('connections above the limit are closed as they come', async (t) => {
    const { connect, server, logger } = await start(t, { connectionsMax: 2 });
    const first = await connect();
    const second = await connect();
    first.send(createRequest(ECHO));
    second.send(createRequest(ECHO));
    await Promise.all([first.receive(), second.receive()]);
    const third = await connect();
    await third.closed;
    const fourth = await connect();
    await fourth.closed;
    assert.equal(server.connections.size, 2);
    assert.equal(logger.at('warn').length, 1);
    first.send(createRequest(ECHO));
    assert.equal((await first.receive()).code, 0);
  });

  it('too many requests in flight: the connection is not read from until one finishes; others are', async (t) => {
    const { connect, release, handled } = await start(t, { inFlightRequestsMax: 3 });
    const busy = await connect();
    const other = await connect();
    const requests = Array.from({ length: 10 }, () => createRequest(LATER));
    busy.send(...requests);
    other.send(createRequest(ECHO));
    await other.receive();
    while (handled() < 4) await turns(1);
    await turns();
    assert.equal(handled(), 4, 'three of the busy one and the echo');
    for (let answered = 0; answered < 10; ) {
      release();
      await turns(2);
      answered += busy.unread;
      while (busy.unread > 0) await busy.receive();
    }
    assert.equal(handled(), 11);
  });

  describe('idle connections', () => {
    it('are closed after the idle time; one with traffic stays; no timer without connections', async (t) => {
      const clock = new ManualClock();
      const { connect, server } = await start(t, { clock, idleTimeoutMs: 120_000 });
      assert.equal(clock.timers, 0);
      const idle = await connect();
      const active = await connect();
      active.send(createRequest(ECHO));
      idle.send(createRequest(ECHO));
      await Promise.all([active.receive(), idle.receive()]);
      assert.equal(clock.timers, 1, 'one timer for all connections');
      for (let minute = 0; minute < 3; minute++) {
        clock.advance(60_000);
        active.send(createRequest(ECHO));
        await active.receive();
        if (minute === 0) assert.equal(server.connections.size, 2, 'not before its time');
      }
      await idle.closed;
      assert.equal(server.connections.size, 1);
      clock.advance(140_000);
      await active.closed;
      assert.equal(clock.timers, 0);
    });

    it('stay for ever with idleTimeoutMs 0', async (t) => {
      const clock = new ManualClock();
      const { connect, server } = await start(t, { clock, idleTimeoutMs: 0 });
      const peer = await connect();
      peer.send(createRequest(ECHO));
      await peer.receive();
      clock.advance(10_000_000);
      await turns();
      assert.equal(server.connections.size, 1);
    });
  });

  describe('a peer that does not read', () => {
    it('is no longer read from; memory stays bounded, others are served, and it goes on when it reads again', async (t) => {
      const limit = 1024 * 1024;
      const { connect, server, handled } = await start(t, { outgoingBytesPause: limit });
      const slow = await connect();
      const other = await connect();
      slow.socket.pause();
      const total = 1000;
      const requests = Array.from({ length: total }, () => createRequest(ECHO, undefined, Buffer.alloc(50_000)));
      slow.send(...requests);
      let before = -1;
      // Without reading nothing moves on: the sum of what the kernel and the limit hold is far below the 50 MB asked for.
      while (handled() !== before) {
        before = handled();
        await turns(50);
      }
      assert.ok(handled() < total / 2, `${handled()} handled`);
      const connections = [...server.connections];
      const outgoing = Math.max(...connections.map((connection) => connection.outgoingBytes));
      assert.ok(outgoing > limit / 2 && outgoing < 4 * limit, `${outgoing} bytes wait`);
      other.send(createRequest(ECHO));
      assert.equal((await other.receive()).code, 0);
      slow.socket.resume();
      for (const request of requests) assert.equal((await slow.receive()).opaque, request.opaque);
    });

    it('is disconnected when more than the hard limit waits for it', async (t) => {
      const { connect, server, logger } = await start(t, { outgoingBytesPause: 1000, outgoingBytesMax: 5_000_000 });
      const slow = await connect();
      slow.send(createRequest(ECHO));
      await slow.receive();
      slow.socket.pause();
      const [connection] = server.connections;
      for (let count = 0; count < 1000 && connection?.closed === false; count++) {
        connection.invokeOneway(createRequest(40, undefined, Buffer.alloc(100_000)));
        await turns(1);
      }
      assert.equal(connection?.closed, true);
      assert.equal(connection.outgoingBytes < 6_000_000, true);
      assert.equal(logger.at('warn').length, 1);
    });
  });

  describe('requests to a client', () => {
    it('are answered by opaque, whatever the order', async (t) => {
      const { connect, server } = await start(t);
      const peer = await connect();
      peer.send(createRequest(ECHO));
      await peer.receive();
      const [connection] = server.connections as Set<RemotingConnection>;
      assert.ok(connection);
      const first = connection.invoke(createRequest(307), 1000);
      const second = connection.invoke(createRequest(307), 1000);
      const [requestA, requestB] = [await peer.receive(), await peer.receive()];
      peer.send(createResponse(requestB, 0, 'second'), createResponse(requestA, 0, 'first'));
      assert.deepEqual([(await first).remark, (await second).remark], ['first', 'second']);
    });

    it('time out, and a response that nobody waits for changes nothing', async (t) => {
      const clock = new ManualClock();
      const { connect, server } = await start(t, { clock });
      const peer = await connect();
      peer.send(createRequest(ECHO));
      await peer.receive();
      const [connection] = server.connections as Set<RemotingConnection>;
      assert.ok(connection);
      const waiting = connection.invoke(createRequest(307), 1000);
      const request = await peer.receive();
      clock.advance(1100);
      await assert.rejects(waiting, { code: 'REMOTING_TIMEOUT' });
      assert.ok(connection instanceof Connection);
      assert.equal(connection.pendingInvocations, 0);
      peer.send(createResponse(request, 0), createResponse({ ...request, opaque: 99_999 }, 0), createRequest(ECHO));
      assert.equal((await peer.receive()).code, 0);
    });

    it('fail when the connection closes, and above the limit', async (t) => {
      const { connect, server } = await start(t, { pendingInvocationsMax: 1 });
      const peer = await connect();
      peer.send(createRequest(ECHO));
      await peer.receive();
      const [connection] = server.connections as Set<RemotingConnection>;
      assert.ok(connection);
      const waiting = connection.invoke(createRequest(307), 10_000);
      await assert.rejects(connection.invoke(createRequest(307), 10_000), { code: 'REMOTING_TOO_MANY_REQUESTS' });
      await peer.receive();
      peer.socket.destroy();
      await assert.rejects(waiting, { code: 'REMOTING_CONNECTION_CLOSED' });
      await assert.rejects(connection.invoke(createRequest(307), 10_000), { code: 'REMOTING_CONNECTION_CLOSED' });
    });

    it('oneway ones carry the flag', async (t) => {
      const { connect, server } = await start(t);
      const peer = await connect();
      peer.send(createRequest(ECHO));
      await peer.receive();
      for (const connection of server.connections) connection.invokeOneway(createRequest(40, { consumerGroup: 'g' }));
      const request = await peer.receive();
      assert.deepEqual([request.code, request.flag, request.extFields?.consumerGroup], [40, FLAG_ONEWAY, 'g']);
    });
  });

  describe('shutdown', () => {
    it('lets requests in flight finish, answers their clients, and then closes', async (t) => {
      const { connect, server, release, port, handled } = await start(t);
      const busy = await connect();
      const quiet = await connect();
      busy.send(createRequest(LATER));
      quiet.send(createRequest(ECHO));
      await quiet.receive();
      while (handled() < 2) await turns(1);
      const done = server.shutdown(60_000);
      await quiet.closed;
      await assert.rejects(RawPeer.connect(port));
      release();
      assert.equal((await busy.receive()).code, 0);
      await busy.closed;
      await done;
      assert.equal(server.connections.size, 0);
      await assert.rejects(server.listen({ port: 0 }), { code: 'REMOTING_CLOSED' });
    });

    it('meanwhile answers new requests of newer clients with GO_AWAY and serves older ones', async (t) => {
      const { connect, server, release, handled } = await start(t);
      const peer = await connect();
      peer.send(createRequest(LATER));
      while (handled() < 1) await turns(1);
      const done = server.shutdown(60_000);
      peer.send({ ...createRequest(ECHO), version: 476 }, { ...createRequest(ECHO), version: 475 });
      assert.equal((await peer.receive()).code, 1500);
      assert.equal((await peer.receive()).code, 0);
      release();
      assert.equal((await peer.receive()).code, 0);
      await done;
    });

    it('cuts off what is not done in time', async (t) => {
      const clock = new ManualClock();
      const { connect, server, handled } = await start(t, { clock });
      const peer = await connect();
      peer.send(createRequest(LATER));
      while (handled() === 0) await turns(1);
      const done = server.shutdown(3000);
      clock.advance(2999);
      await turns();
      assert.equal(server.connections.size, 1);
      clock.advance(1);
      await done;
      await peer.closed;
      assert.equal(peer.unread, 0);
      assert.equal(clock.timers, 0);
    });

    it('without connections it is done at once and leaves no timer', async () => {
      const clock = new ManualClock();
      const server = new RemotingServer({ clock });
      await server.listen({ port: 0 });
      await server.shutdown();
      assert.equal(clock.timers, 0);
    });
  });

  describe('listen', () => {
    it('says which port is in use', async (t) => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      t.after(() => other.close());
      const { port } = other.address() as { port: number };
      const server = new RemotingServer();
      await assert.rejects(server.listen({ port }), (error: Error & { code: string; details: object }) => {
        assert.equal(error.code, 'REMOTING_PORT_IN_USE');
        assert.equal(error.message, `127.0.0.1:${port} is in use by another process`);
        assert.deepEqual(error.details, { host: '127.0.0.1', port, errno: 'EADDRINUSE' });
        return true;
      });
    });

    it('says when the address is not ours', async () => {
      const server = new RemotingServer();
      await assert.rejects(server.listen({ host: '192.0.2.1', port: 0 }), {
        code: 'REMOTING_ADDRESS_UNAVAILABLE',
        message: '192.0.2.1 is not an address of this machine',
      });
    });
  });
});
