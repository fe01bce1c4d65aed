import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { overwriteReads } from '../../../../test/support/overwritten-reads.ts';
import { RequestCode } from '../../src/codes/request-code.ts';
import { Connection, PauseReason } from '../../src/net/connection.ts';
import { RemotingServer } from '../../src/net/server.ts';
import type { RemotingConnection, RemotingServerOptions } from '../../src/net/types.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { sendFieldsOf } from '../../src/protocol/hot-fields.ts';
import { bodyObject } from '../../src/protocol/json-members.ts';
import {
  createRequest,
  createResponse,
  FLAG_ONEWAY,
  type RemotingCommand,
  SerializeType,
} from '../../src/protocol/remoting-command.ts';
import { jsonFrame } from '../support/frames.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { latch, RawPeer, turns, until } from '../support/peers.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

overwriteReads();

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
  cleanUp(t, async () => {
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
    assert.ok(first);
    assert.ok(first.connection.send(createResponse(first.request, 19)));
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

  for (const hostile of [
    '{"code":21,"opaque":5,"remark":{"toString":1,"valueOf":1}}',
    '{"code":21,"opaque":5,"language":{"toString":1,"valueOf":1}}',
    `{"code":21,"opaque":5,"remark":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    `{"code":21,"opaque":5,"language":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  ]) {
    it(`a frame that begins ${hostile.slice(0, 45)} closes its connection, with a line, and ends nothing else`, async (t) => {
      const { connect, logger } = await start(t);
      const [bad, good] = [await connect(), await connect()];
      bad.socket.write(jsonFrame(hostile));
      await bad.closed;
      good.send(createRequest(ECHO));
      assert.equal((await good.receive()).code, 0);
      assert.deepEqual(
        logger.lines
          .filter(({ level }) => level !== 'debug')
          .map(({ level, fields }) => [level, fields.code, fields.err]),
        [['warn', 'REMOTING_FRAME_INVALID', undefined]],
      );
    });
  }

  it('an error of ours while a peer is read or answered closes that connection alone, with its stack in the log', async (t) => {
    const { server, connect, logger } = await start(t);
    server.registerProcessor(9, (request) =>
      createResponse(request, 0, undefined, undefined, { length: 5000 } as unknown as Buffer),
    );
    const [bad, good] = [await connect(), await connect()];
    bad.send(createRequest(9));
    await bad.closed;
    good.send(createRequest(ECHO, undefined, Buffer.from('whole')));
    assert.equal((await good.receive()).body?.toString(), 'whole');
    const [line, ...more] = logger.at('error');
    assert.deepEqual(more, []);
    assert.ok(line?.fields.err instanceof Error);
    assert.equal(server.connections.size, 1);
  });

  it('whatever a handler throws is answered with a text', async (t) => {
    const { server, connect } = await start(t);
    server.registerProcessor(9, () => {
      throw { toString: 1, valueOf: 1 };
    });
    server.registerProcessor(10, () => Promise.reject(Object.create(null)));
    const peer = await connect();
    peer.send(createRequest(9), createRequest(10));
    assert.deepEqual([(await peer.receive()).code, (await peer.receive()).code], [1, 1]);
  });

  it('a request that is at fault is a line without a stack; a flood of them is a few lines', async (t) => {
    const clock = new ManualClock();
    const { server, connect, logger } = await start(t, { clock });
    server.registerProcessor(9, (request) => {
      bodyObject(request.body, 'thing');
      return createResponse(request, 0);
    });
    const peer = await connect();
    for (let round = 0; round < 500; round++) {
      peer.send(createRequest(9));
      assert.equal((await peer.receive()).code, 1);
    }
    assert.equal(logger.at('error').length, 0);
    assert.equal(logger.at('warn').length, 5);
    assert.ok(logger.at('warn').every(({ fields }) => fields.code === 'REMOTING_BODY_INVALID' && !('err' in fields)));
  });

  it('garbage connections without end are a few lines a second', async (t) => {
    const clock = new ManualClock();
    const { connect, logger } = await start(t, { clock });
    for (let round = 0; round < 100; round++) {
      const peer = await connect();
      peer.socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
      await peer.closed;
    }
    assert.equal(logger.at('warn').length, 5);
    clock.advance(1000);
    const peer = await connect();
    peer.socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await peer.closed;
    assert.match(logger.at('warn').at(-1)?.message ?? '', /\(95 more like this were left out\)$/);
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
    cleanUp(t, () => server.shutdown(0));
    const accepted = once(server, 'connection');
    const peer = await RawPeer.connect(port);
    cleanUp(t, () => peer.close());
    peer.send(createRequest(ECHO), createRequest(ECHO));
    await accepted;
    await turns();
    assert.equal(handled, 0);
    server.open();
    assert.equal((await peer.receive()).code, 0);
    assert.equal((await peer.receive()).code, 0);
    const late = await RawPeer.connect(port);
    cleanUp(t, () => late.close());
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

    it('gets neither notices nor questions beyond its mark, and is closed when it has taken nothing for the stall time', async (t) => {
      const clock = new ManualClock();
      const { connect, server, logger } = await start(t, { clock, outgoingBytesPause: 1024 * 1024, idleTimeoutMs: 0 });
      const slow = await connect();
      slow.send(createRequest(ECHO));
      await slow.receive();
      slow.socket.pause();
      const [connection] = server.connections;
      assert.ok(connection);
      let sent = 0;
      for (let count = 0; count < 500; count++) {
        if (connection.invokeOneway(createRequest(40, undefined, Buffer.alloc(100_000)))) sent++;
        await turns(1);
      }
      assert.ok(sent < 250, `${sent} notices of 100 KB were queued for a peer that does not read`);
      assert.ok(connection.outgoingBytes < 2 * 1024 * 1024, `${connection.outgoingBytes} bytes wait`);
      await assert.rejects(connection.invoke(createRequest(307), 1000), { code: 'REMOTING_TOO_MANY_REQUESTS' });
      clock.advance(29_000);
      assert.equal(connection.closed, false, 'not before the time is over');
      clock.advance(10_000);
      assert.equal(connection.closed, true);
      assert.match(logger.at('warn').at(-1)?.message ?? '', /bytes wait for it to read$/);
      clock.advance(10_000);
      assert.equal(clock.timers, 0, 'nobody is watched any more');
    });

    it('that takes a little now and then is not cut off while nobody waits for its room', async (t) => {
      const clock = new ManualClock();
      const { connect, server } = await start(t, { clock, outgoingBytesPause: 1024 * 1024, idleTimeoutMs: 0 });
      const slow = await connect();
      slow.socket.pause();
      const requests = Array.from({ length: 100 }, () => createRequest(ECHO, undefined, Buffer.alloc(1_000_000)));
      slow.send(...requests);
      const [connection] = await until(() => [...server.connections]);
      await until(() => (connection as Connection).isPausedFor(PauseReason.OUTGOING));
      for (let look = 0; look < 20; look++) {
        const before = (connection as Connection).takenBytes;
        // It reads until the server's side has moved on, and stops again.
        slow.socket.resume();
        await until(() => (connection as Connection).takenBytes > before || connection?.outgoingBytes === 0);
        slow.socket.pause();
        clock.advance(10_000);
        assert.equal(connection?.closed, false, `cut off at look ${look}`);
      }
      slow.socket.resume();
      for (const request of requests) assert.equal((await slow.receive()).opaque, request.opaque);
    });
  });

  describe('large answers', () => {
    const size = 1_000_000;

    /** Answers with a body of as many bytes as the request's field says, after it has asked for room. */
    async function startMaking(
      t: TestContext,
      options: RemotingServerOptions,
    ): Promise<Fixture & { made: () => number }> {
      const fixture = await start(t, options);
      let made = 0;
      fixture.server.registerProcessor(9, async (request, connection) => {
        const bytes = Number(request.extFields?.bytes ?? size);
        await connection.reserve(bytes);
        made++;
        const response = createResponse(request, 0, undefined, undefined, Buffer.alloc(bytes));
        response.reservedBytes = bytes;
        return response;
      });
      return { ...fixture, made: () => made };
    }

    it('all reach a peer that reads, whatever it asked for at once, and few of them are in memory', async (t) => {
      const { connect, server } = await startMaking(t, { outgoingBytesPause: 3 * size });
      const peer = await connect();
      const requests = Array.from({ length: 60 }, () => createRequest(9));
      peer.send(...requests);
      let most = 0;
      for (const request of requests) {
        const response = await peer.receive();
        assert.equal(response.opaque, request.opaque);
        assert.equal(response.body?.length, size);
        for (const connection of server.connections) most = Math.max(most, connection.outgoingBytes);
      }
      assert.ok(most < 5 * size, `${most} bytes waited at once`);
      assert.equal(server.budgets.answers.used, 0, 'all room is given back');
    });

    it('a peer that does not read has a bounded number of them made', async (t) => {
      const { connect, made, server } = await startMaking(t, { outgoingBytesPause: 3 * size });
      const peer = await connect();
      peer.socket.pause();
      peer.send(...Array.from({ length: 200 }, () => createRequest(9)));
      let before = -1;
      while (made() !== before) {
        before = made();
        await turns(50);
      }
      assert.ok(made() < 20, `${made()} made`);
      await peer.close();
      await until(() => server.connections.size === 0);
      await until(() => server.budgets.answers.used === 0);
      assert.equal(server.budgets.answers.waiting, 0);
    });

    it('peers that do not read leave room for one that does; what they hold together has a bound', async (t) => {
      const clock = new ManualClock();
      const answerBytesMax = 12 * size;
      const { connect, server } = await startMaking(t, { clock, outgoingBytesPause: 3 * size, answerBytesMax });
      const stalled = await Promise.all(Array.from({ length: 30 }, () => connect()));
      for (const peer of stalled) {
        peer.socket.pause();
        peer.send(...Array.from({ length: 40 }, () => createRequest(9)));
      }
      await turns(200);
      assert.ok(server.budgets.answers.used <= answerBytesMax + size, `${server.budgets.answers.used} bytes`);
      const reader = await connect();
      const small = createRequest(ECHO);
      reader.send(small);
      assert.equal((await reader.receive()).opaque, small.opaque, 'small answers wait for nobody');
      const requests = Array.from({ length: 20 }, () => createRequest(9));
      reader.send(...requests);
      const answers = (async () => {
        for (const request of requests) assert.equal((await reader.receive()).opaque, request.opaque);
        return 'all';
      })();
      // Those who hold the room are closed one after the other when others wait for it.
      for (let look = 0; look < 40; look++) {
        if ((await Promise.race([answers, turns(20)])) === 'all') break;
        clock.advance(10_000);
      }
      assert.equal(await Promise.race([answers, turns(200)]), 'all');
      assert.equal(reader.socket.destroyed, false);
    });

    it('an answer whose size is known beforehand counts while it is made', async (t) => {
      const { connect, server, release } = await start(t, { outgoingBytesPause: 3 * size });
      let begun = 0;
      const waiting: (() => void)[] = [];
      server.registerProcessor(
        9,
        async (request) => {
          begun++;
          await new Promise<void>((resolve) => waiting.push(resolve));
          return createResponse(request, 0);
        },
        { answerBytes: size },
      );
      const peer = await connect();
      const requests = Array.from({ length: 20 }, () => createRequest(9));
      peer.send(...requests);
      await until(() => begun > 0);
      await turns();
      assert.ok(begun <= 4, `${begun} begun at once`);
      for (let answered = 0; answered < requests.length; answered++) {
        await until(() => waiting.length > 0);
        waiting.shift()?.();
        await peer.receive();
      }
      assert.equal(server.budgets.answers.used, 0);
      release();
    });

    it('room for the answer to a oneway request is given back', async (t) => {
      const { connect, server, made } = await startMaking(t, {});
      const peer = await connect();
      peer.send({ ...createRequest(9), flag: FLAG_ONEWAY }, createRequest(ECHO));
      await peer.receive();
      await until(() => made() === 1);
      await turns();
      assert.equal(server.budgets.answers.used, 0);
    });
  });

  describe('memory for requests', () => {
    const frame = 500_000;
    const request = (): RemotingCommand => createRequest(LATER, undefined, Buffer.alloc(frame));

    it('pipelined requests of many connections are taken within the budget, in turn, and all are answered', async (t) => {
      const requestBytesMax = 4_000_000;
      const { connect, server, handled, release } = await start(t, { requestBytesMax });
      const peers = await Promise.all(Array.from({ length: 6 }, () => connect()));
      const each = 20;
      for (const peer of peers) peer.send(...Array.from({ length: each }, request));
      const answered = peers.map(() => 0);
      const roundsWithout = peers.map(() => 0);
      let most = 0;
      while (answered.some((count) => count < each)) {
        await turns(10);
        most = Math.max(most, server.budgets.requests.used);
        release();
        await turns(10);
        for (const [index, peer] of peers.entries()) {
          roundsWithout[index] = peer.unread > 0 || answered[index] === each ? 0 : (roundsWithout[index] ?? 0) + 1;
          for (; peer.unread > 0; answered[index]!++) void peer.receive();
        }
        assert.ok(Math.max(...roundsWithout) < 6, `one is passed over: ${answered} after rounds ${roundsWithout}`);
      }
      assert.equal(handled(), peers.length * each);
      assert.ok(most <= requestBytesMax, `${most} bytes in flight`);
      assert.ok(most > requestBytesMax / 2, 'the budget is used');
      assert.equal(server.budgets.requests.used, 0);
    });

    it('requests in flight of connections that are gone count until their handlers have finished', async (t) => {
      const requestBytesMax = 2_200_000;
      const { connect, server, handled, release } = await start(t, { requestBytesMax });
      for (let round = 1; round <= 3; round++) {
        const peer = await connect();
        peer.send(request());
        await until(() => handled() === round);
        await peer.close();
        await until(() => server.connections.size === 0);
      }
      const late = await Promise.all(Array.from({ length: 5 }, () => connect()));
      for (const peer of late) peer.send(request());
      await turns(100);
      assert.ok(handled() <= 4, `${handled()} taken at once, though peers came and went`);
      const { requests } = server.budgets;
      assert.ok(requests.used > 3 * frame && requests.used <= requestBytesMax, `${requests.used} bytes`);
      for (const peer of late) {
        await until(() => {
          release();
          return peer.unread > 0;
        });
      }
      assert.deepEqual([requests.used, requests.waiting], [0, 0]);
    });

    it('who fills the budget does not stop those with small requests', async (t) => {
      const { connect, server, release } = await start(t, { requestBytesMax: 2 * frame });
      const heavy = await Promise.all(Array.from({ length: 4 }, () => connect()));
      for (const peer of heavy) peer.send(...Array.from({ length: 10 }, request));
      await until(() => server.budgets.requests.waiting >= 3);
      const light = await connect();
      light.send(createRequest(ECHO), createRequest(LATER), createRequest(ECHO));
      assert.deepEqual([(await light.receive()).code, (await light.receive()).code], [0, 0]);
      await until(() => {
        release();
        return light.unread > 0;
      });
    });

    it('a request larger than the whole budget is handled when it is the only one', async (t) => {
      const { connect, handled, release } = await start(t, { requestBytesMax: 100_000, receivingBytesMax: 100_000 });
      const peer = await connect();
      peer.send(request(), request());
      await until(() => handled() === 1);
      await turns(50);
      assert.equal(handled(), 1);
      release();
      await until(() => handled() === 2);
      release();
      await until(() => peer.unread === 2);
    });

    it('a half-sent large frame holds up other large ones no longer than the stall time, and small ones not at all', async (t) => {
      const clock = new ManualClock();
      const options = { clock, receivingBytesMax: 2 * frame, stallTimeoutMs: 30_000, idleTimeoutMs: 0 };
      const { connect, server, logger } = await start(t, options);
      const bytes = encodeFrame(createRequest(ECHO, undefined, Buffer.alloc(frame - 1000)));
      const halves = await Promise.all([connect(), connect()]);
      for (const peer of halves) peer.socket.write(bytes.subarray(0, 200_000));
      await until(() => server.budgets.receiving.used > frame);
      const late = await connect();
      late.socket.write(bytes);
      await until(() => server.budgets.receiving.waiting === 1);
      const small = await connect();
      small.send(createRequest(ECHO, undefined, Buffer.alloc(20_000)));
      assert.equal((await small.receive()).body?.length, 20_000);
      for (let look = 0; look < 3; look++) {
        await turns();
        assert.equal(late.unread, 0);
        clock.advance(10_000);
      }
      assert.equal((await late.receive()).body?.length, frame - 1000);
      assert.match(logger.at('warn')[0]?.message ?? '', /its frame does not arrive/);
      await until(() => server.budgets.receiving.used === 0 || server.connections.size <= 3);
    });

    it('who announces large frames and sends nothing holds nothing', async (t) => {
      const { connect, server } = await start(t, { receivingBytesMax: 2 * frame });
      for (let count = 0; count < 50; count++) {
        const peer = await connect();
        peer.socket.write(Buffer.of(0, 0xf0, 0, 0, 0));
      }
      await until(() => server.connections.size === 50);
      await turns();
      // Each has announced 15 MiB. One of them gets a reservation at the most when nobody else has one.
      const good = await connect();
      good.send(createRequest(ECHO, undefined, Buffer.alloc(300_000)));
      assert.equal((await good.receive()).body?.length, 300_000);
    });

    it('a header longer than any real one closes the connection', async (t) => {
      const { connect, logger } = await start(t);
      const peer = await connect();
      peer.send(createRequest(ECHO, { a: 'x'.repeat(200_000) }));
      assert.equal((await peer.receive()).code, 0);
      peer.send(createRequest(ECHO, { a: 'x'.repeat(300_000) }));
      await peer.closed;
      assert.equal(logger.at('warn')[0]?.fields.code, 'REMOTING_FRAME_TOO_LARGE');
    });

    it('a send that waits for room has its own properties when its turn comes', async (t) => {
      const { connect, server } = await start(t, { hotFields: true, requestBytesMax: 2 * frame });
      const waiting: (() => void)[] = [];
      const seen: string[] = [];
      server.registerProcessor(RequestCode.SEND_MESSAGE_V2, async (received) => {
        const { properties, propertyBytes } = sendFieldsOf(received);
        const { bytes, from, to } = propertyBytes ?? { bytes: Buffer.from(properties), from: 0, to: properties.length };
        seen.push(bytes.toString('latin1', from, to));
        await new Promise<void>((resolve) => waiting.push(resolve));
        return createResponse(received, 0);
      });
      const properties = Array.from({ length: 8 }, (_, index) => `KEYS\u0001key-${index}-${'x'.repeat(index)}\u0002`);
      const peers = await Promise.all(properties.map(() => connect()));
      for (const [index, peer] of peers.entries()) {
        const fields = {
          a: 'g',
          b: 'T',
          c: 'TBW102',
          d: '4',
          e: '0',
          f: '0',
          g: '1',
          h: '0',
          j: '0',
          k: 'false',
          m: 'false',
        };
        const body = Buffer.alloc(frame);
        peer.send(createRequest(RequestCode.SEND_MESSAGE_V2, { ...fields, i: properties[index] }, body));
        await until(() => server.budgets.requests.waiting + seen.length > index);
      }
      assert.ok(server.budgets.requests.waiting >= 5, `${server.budgets.requests.waiting} wait`);
      for (const peer of peers) {
        await until(() => {
          waiting.shift()?.();
          return peer.unread > 0;
        });
      }
      assert.deepEqual(seen.toSorted(), properties.toSorted());
    });

    it('a request that is handled for long keeps no view of what the socket delivered', async (t) => {
      const { connect, server } = await start(t);
      const kept: RemotingCommand[] = [];
      const bodies: (string | undefined)[] = [];
      server.registerProcessor(9, async (received) => {
        kept.push(received);
        bodies.push(received.body?.toString());
        await Promise.resolve();
        return createResponse(received, 0);
      });
      const peer = await connect();
      peer.send(createRequest(9, undefined, Buffer.from('body')));
      await peer.receive();
      assert.deepEqual(bodies, ['body']);
      assert.equal(kept[0]?.body, undefined);
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
      cleanUp(t, () => other.close());
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
