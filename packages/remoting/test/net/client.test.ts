import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { RemotingClient } from '../../src/net/client.ts';
import { RemotingServer } from '../../src/net/server.ts';
import type { RemotingClientOptions, RemotingConnection } from '../../src/net/types.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { createRequest, createResponse } from '../../src/protocol/remoting-command.ts';
import { jsonFrame } from '../support/frames.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { latch, turns } from '../support/peers.ts';

function newClient(t: TestContext, options: RemotingClientOptions = {}): RemotingClient {
  const client = new RemotingClient(options);
  cleanUp(t, () => client.close());
  return client;
}

async function echoServer(
  t: TestContext,
  port = 0,
): Promise<{ server: RemotingServer; address: string; port: number }> {
  const server = new RemotingServer();
  server.registerProcessor(1, (request) => createResponse(request, 0, undefined, request.extFields, request.body));
  server.registerProcessor(2, () => undefined);
  const bound = await server.listen({ port });
  cleanUp(t, () => server.shutdown(0));
  return { server, address: `127.0.0.1:${bound.port}`, port: bound.port };
}

/** A server of bare sockets. */
async function rawServer(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

describe('RemotingClient', () => {
  it('many calls at once over one connection, each gets its own response', async (t) => {
    const { server, address } = await echoServer(t);
    const client = newClient(t);
    const calls = Array.from({ length: 500 }, (_, index) =>
      client.invoke(address, createRequest(1, { n: String(index) }), 5000),
    );
    const responses = await Promise.all(calls);
    responses.forEach((response, index) => {
      assert.equal(response.extFields?.n, String(index));
    });
    assert.equal(server.connections.size, 1);
  });

  it('hostile answers end the call with a code and harm no call to another server', async (t) => {
    for (const member of ['remark', 'language', 'extFields']) {
      for (const value of ['{"topic":{"toString":1,"valueOf":1}}', `${'['.repeat(200_000)}${']'.repeat(200_000)}`]) {
        const hostile = await rawServer(t, (socket) => {
          const decoder = new FrameDecoder();
          socket.on('data', (chunk) => {
            decoder.push(chunk);
            const request = decoder.next();
            if (request) socket.write(jsonFrame(`{"code":0,"flag":1,"opaque":${request.opaque},"${member}":${value}}`));
          });
        });
        const { address } = await echoServer(t);
        const client = newClient(t);
        const other = client.invoke(address, createRequest(1), 5000);
        await assert.rejects(client.invoke(hostile, createRequest(1), 5000), { code: 'REMOTING_CONNECTION_CLOSED' });
        assert.equal((await other).code, 0);
        assert.equal((await client.invoke(address, createRequest(1), 5000)).code, 0);
      }
    }
  });

  it('responses in another order than the requests', async (t) => {
    const address = await rawServer(t, (socket) => {
      const decoder = new FrameDecoder();
      const requests: Buffer[] = [];
      socket.on('data', (chunk) => {
        decoder.push(chunk);
        for (let request = decoder.next(); request !== undefined; request = decoder.next()) {
          requests.push(encodeFrame(createResponse(request, 0, request.extFields?.n)));
        }
        if (requests.length === 3) socket.write(Buffer.concat(requests.reverse()));
      });
    });
    const client = newClient(t);
    const calls = ['a', 'b', 'c'].map((n) => client.invoke(address, createRequest(1, { n }), 5000));
    assert.deepEqual(
      (await Promise.all(calls)).map((response) => response.remark),
      ['a', 'b', 'c'],
    );
  });

  it('a call without a response times out; its late response and a foreign opaque harm nothing', async (t) => {
    const clock = new ManualClock();
    const got = latch<ReturnType<FrameDecoder['next']>>();
    let peer: Socket | undefined;
    const address = await rawServer(t, (socket) => {
      peer = socket;
      const decoder = new FrameDecoder();
      socket.on('data', (chunk) => {
        decoder.push(chunk);
        got.open(decoder.next());
      });
    });
    const client = newClient(t, { clock });
    const call = client.invoke(address, createRequest(1), 1000);
    const request = await got.promise;
    assert.ok(request && peer);
    clock.advance(999);
    clock.advance(20);
    await assert.rejects(call, { code: 'REMOTING_TIMEOUT' });
    const next = client.invoke(address, createRequest(1), 1000);
    await once(peer, 'data');
    peer.write(encodeFrame(createResponse(request, 0, 'late')));
    peer.write(encodeFrame(createResponse({ ...request, opaque: 123_456_789 }, 0, 'foreign')));
    peer.write(encodeFrame(createResponse({ ...request, opaque: request.opaque + 1 }, 0, 'mine')));
    assert.equal((await next).remark, 'mine');
  });

  it('nobody listening: REMOTING_CONNECT_FAILED; an address that is none: REMOTING_ADDRESS_INVALID', async (t) => {
    const { server, address } = await echoServer(t);
    await server.shutdown(0);
    const client = newClient(t);
    await assert.rejects(client.invoke(address, createRequest(1), 1000), { code: 'REMOTING_CONNECT_FAILED' });
    await assert.rejects(client.invokeOneway(address, createRequest(1)), { code: 'REMOTING_CONNECT_FAILED' });
    for (const wrong of ['', 'x', ':1', 'h:0', 'h:70000', 'h:x']) {
      await assert.rejects(client.invoke(wrong, createRequest(1), 1000), { code: 'REMOTING_ADDRESS_INVALID' }, wrong);
    }
  });

  it('a connection that closes fails its calls; the next call connects again', async (t) => {
    const first = await echoServer(t);
    const client = newClient(t);
    await client.invoke(first.address, createRequest(1), 1000);
    const held = client.invoke(first.address, createRequest(2), 10_000);
    const failed = assert.rejects(held, { code: 'REMOTING_CONNECTION_CLOSED' });
    await turns();
    await first.server.shutdown(0);
    await failed;
    const second = await echoServer(t, first.port);
    const response = await client.invoke(second.address, createRequest(1, { again: 'yes' }), 1000);
    assert.equal(response.extFields?.again, 'yes');
  });

  it('a server that sends garbage is disconnected and its calls fail', async (t) => {
    const address = await rawServer(t, (socket) => socket.on('data', () => socket.write('SSH-2.0-OpenSSH_9.2\r\n')));
    const client = newClient(t);
    await assert.rejects(client.invoke(address, createRequest(1), 5000), (error: Error & { code: string }) => {
      assert.equal(error.code, 'REMOTING_CONNECTION_CLOSED');
      assert.match(error.message, /frame of \d+ bytes exceeds/);
      return true;
    });
  });

  it('answers what the server asks, and gets what it announces', async (t) => {
    const { server, address } = await echoServer(t);
    const client = newClient(t);
    const told = latch<string | undefined>();
    client.registerProcessor(307, (request) => createResponse(request, 0, 'running'));
    client.registerProcessor(40, (request) => {
      told.open(request.extFields?.consumerGroup);
      return undefined;
    });
    await client.invoke(address, createRequest(1), 1000);
    const [connection] = server.connections as Set<RemotingConnection>;
    assert.ok(connection);
    assert.equal((await connection.invoke(createRequest(307), 1000)).remark, 'running');
    assert.equal((await connection.invoke(createRequest(39), 1000)).code, 3);
    connection.invokeOneway(createRequest(40, { consumerGroup: 'g' }));
    assert.equal(await told.promise, 'g');
  });

  it('oneway requests arrive and leave nothing waiting', async (t) => {
    const { server, address } = await echoServer(t);
    const arrived = latch();
    server.registerProcessor(5, () => {
      arrived.open();
      return undefined;
    });
    const client = newClient(t);
    await client.invokeOneway(address, createRequest(5));
    await arrived.promise;
    assert.equal(client.deadlines.count, 0);
  });

  it('close fails waiting and later calls and leaves no timer', async (t) => {
    const clock = new ManualClock();
    const { address } = await echoServer(t);
    const client = new RemotingClient({ clock });
    await client.invoke(address, createRequest(1), 1000);
    const waiting = assert.rejects(client.invoke(address, createRequest(2), 10_000), {
      code: 'REMOTING_CONNECTION_CLOSED',
    });
    await client.close();
    await waiting;
    await assert.rejects(client.invoke(address, createRequest(1), 1000), { code: 'REMOTING_CLOSED' });
    assert.equal(clock.timers, 0);
    await client.close();
  });

  it('close while connecting fails the call', async (t) => {
    const { address } = await echoServer(t);
    const client = new RemotingClient();
    const call = client.invoke(address, createRequest(1), 1000);
    const failed = assert.rejects(call, { code: 'REMOTING_CLOSED' });
    await client.close();
    await failed;
  });
});
