import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex, duplexPair } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { overwriteReads } from '../../../../test/support/overwritten-reads.ts';
import { inflateBody } from '../../src/inflate.ts';
import { type Connection, PauseReason } from '../../src/net/connection.ts';
import { ENDS_A_TURN, ReadBuffer } from '../../src/net/read-buffer.ts';
import { RemotingServer } from '../../src/net/server.ts';
import { REQUESTS_A_TURN } from '../../src/net/turn-budget.ts';
import type { RemotingServerOptions } from '../../src/net/types.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { sendFieldsOf } from '../../src/protocol/hot-fields.ts';
import {
  createRequest,
  createResponse,
  type RemotingCommand,
  SerializeType,
} from '../../src/protocol/remoting-command.ts';
import { latch, RawPeer, turns, until } from '../support/peers.ts';

overwriteReads();

const ECHO = 1;
const LATER = 2;
const ASK = 3;
const PARTS = 4;
const SEND = 10;

async function serve(t: TestContext, options: RemotingServerOptions = {}) {
  const server = new RemotingServer(options);
  server.registerProcessor(ECHO, (request) => createResponse(request, 0, undefined, request.extFields, request.body));
  const { port } = await server.listen({ port: 0 });
  const peers: RawPeer[] = [];
  cleanUp(t, async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    await server.shutdown(0);
  });
  const join = async (): Promise<RawPeer> => {
    const peer = await RawPeer.connect(port);
    peers.push(peer);
    return peer;
  };
  return { server, port, join };
}

/** A socket as a server accepts it, paused, and the peer's end of it. */
async function acceptOne(t: TestContext): Promise<{ accepted: Socket; peer: Socket; unbound: () => Promise<void> }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const peer = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [accepted] = await connected;
  const closed = once(server, 'close');
  server.close();
  cleanUp(t, () => {
    peer.destroy();
    accepted.destroy();
  });
  const unbound = async (): Promise<void> => void (await closed);
  return { accepted, peer, unbound };
}

test('read buffer: an accepted socket reads into it, and its end is still told to its server', async (t) => {
  const { accepted, peer, unbound } = await acceptOne(t);
  const buffer = new ReadBuffer();
  const got: string[] = [];
  const adopted = buffer.adopt(accepted, (chunk) => {
    assert.ok(buffer.holds(chunk));
    got.push(chunk.toString());
  });
  assert.ok(adopted !== undefined && adopted !== accepted);
  adopted.on('data', () => assert.fail('it gives its bytes out twice'));
  peer.write('before');
  await turns();
  assert.deepEqual(got, [], 'it reads before it is asked to');
  adopted.resume();
  await until(() => got.join('') === 'before');
  adopted.write('answer');
  assert.equal(String((await once(peer, 'data'))[0]), 'answer');
  const ended = once(adopted, 'close');
  peer.end();
  await ended;
  await unbound();
});

test('read buffer: a socket that its taker pauses is not read from until it is resumed', async (t) => {
  const { accepted, peer } = await acceptOne(t);
  let bytes = 0;
  const adopted = new ReadBuffer().adopt(accepted, (chunk) => {
    bytes += chunk.length;
    adopted.pause();
  })!;
  adopted.resume();
  peer.write(Buffer.alloc(1_000_000));
  await until(() => bytes > 0);
  const read = bytes;
  await turns(50);
  assert.equal(bytes, read, 'it read on');
  assert.ok(read <= 64 * 1024);
  adopted.resume();
  await until(() => bytes > read);
});

test('read buffer: what is no plain TCP socket of node stays as it was', async (t) => {
  const { accepted, peer } = await acceptOne(t);
  class OtherSocket extends (Object.getPrototypeOf(accepted).constructor as typeof Socket) {}
  const buffer = new ReadBuffer();
  const taken = (): void => assert.fail('nothing may be taken');
  assert.equal(buffer.adopt(new OtherSocket(), taken), undefined);
  assert.equal(buffer.adopt(new Duplex() as Socket, taken), undefined);
  // One whose handle cannot read into a given buffer.
  const handle = (accepted as unknown as { _handle: { useUserBuffer: unknown } })._handle;
  Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
  assert.equal(buffer.adopt(accepted, taken), undefined);
  peer.write('as ever');
  accepted.resume();
  assert.equal(String((await once(accepted, 'data'))[0]), 'as ever');
});

test('read buffer: a server serves a stream that cannot have it', async (t) => {
  const { server } = await serve(t);
  const [near, far] = duplexPair();
  server.accept(far, { host: '127.0.0.1', port: 1 }, { host: '127.0.0.1', port: 2 });
  const decoder = new FrameDecoder();
  const answer = latch<RemotingCommand>();
  near.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    const command = decoder.next();
    if (command !== undefined) answer.open(command);
  });
  near.write(encodeFrame(createRequest(ECHO, undefined, Buffer.from('in memory'))));
  assert.equal((await answer.promise).body?.toString(), 'in memory');
  near.destroy();
});

test('read buffer: frames come out whole wherever the kernel cuts them, single bytes and large ones too', async (t) => {
  const { join } = await serve(t);
  const peers = await Promise.all([join(), join(), join()]);
  const small = Array.from({ length: 6 }, (_, i) => createRequest(ECHO, { a: `field ${i}` }, Buffer.from(`body ${i}`)));
  // Two peers send a byte at a time, turn about; every byte of one overwrites those of the other.
  const streams = [small.slice(0, 3), small.slice(3)].map((list) => Buffer.concat(list.map((one) => encodeFrame(one))));
  const large = createRequest(ECHO, undefined, Buffer.alloc(300_000, 'large'));
  peers[2]!.send(large);
  for (let i = 0; i < Math.max(streams[0]!.length, streams[1]!.length); i++) {
    for (const [index, stream] of streams.entries()) {
      if (i < stream.length) peers[index]!.socket.write(stream.subarray(i, i + 1));
    }
    await turns(1);
  }
  for (const [i, { opaque }] of small.entries()) {
    const answer = await peers[i < 3 ? 0 : 1]!.receive();
    assert.deepEqual(
      [answer.opaque, answer.extFields?.a, answer.body?.toString()],
      [opaque, `field ${i}`, `body ${i}`],
    );
  }
  assert.ok((await peers[2]!.receive()).body?.equals(large.body!));
});

test('read buffer: an answer in pieces that are the request’s is what was sent', async (t) => {
  const { server, join } = await serve(t);
  server.registerProcessor(PARTS, (request) => ({
    ...createResponse(request, 0),
    bodyParts: [request.body!.subarray(0, 3), request.body!.subarray(3)],
  }));
  const peer = await join();
  peer.send(createRequest(PARTS, undefined, Buffer.from('in pieces')));
  assert.equal((await peer.receive()).body?.toString(), 'in pieces');
});

for (const serializeType of [SerializeType.JSON, SerializeType.ROCKETMQ]) {
  const name = serializeType === SerializeType.JSON ? 'JSON' : 'ROCKETMQ';
  test(`read buffer: requests that wait for their turn keep body and property bytes, ${name} header`, async (t) => {
    const { server, join } = await serve(t, { hotFields: true, requestBytesMax: 10_000 });
    const release = latch();
    const seen: string[] = [];
    server.registerProcessor(SEND, async (request) => {
      const { propertyBytes } = sendFieldsOf(request);
      const { bytes, from, to } = propertyBytes!;
      seen.push(`${bytes.toString('latin1', from, to)} ${request.body!.toString()}`);
      await release.promise;
      return createResponse(request, 0);
    });
    const send = (of: string): RemotingCommand => {
      const fields = {
        ...{ topic: 't', defaultTopic: 'TBW102', defaultTopicQueueNums: '4', queueId: '0', sysFlag: '0' },
        ...{ bornTimestamp: '1', flag: '0', properties: `KEYS\u0001${of}`, reconsumeTimes: '0' },
        ...{ unitMode: 'false', batch: 'false' },
      };
      return { ...createRequest(SEND, fields, Buffer.from(`body ${of}`)), serializeType };
    };
    const names = [0, 1].map((peer) => Array.from({ length: 15 }, (_, i) => `${peer}-${i}`));
    const peers = await Promise.all([join(), join()]);
    for (const [index, peer] of peers.entries()) {
      peer.send(...names[index]!.map(send));
      await turns();
    }
    assert.ok(seen.length > 0 && seen.length < 15, `${seen.length} are handled, the others of both have to wait`);
    release.open();
    for (const peer of peers) for (const _ of names[0]!) assert.equal((await peer.receive()).code, 0);
    const expected = names.flat().map((of) => `KEYS\u0001${of} body ${of}`);
    assert.deepEqual(seen.toSorted(), expected.toSorted());
  });
}

test('read buffer: a connection that is paused again before it has resumed is not read from', async (t) => {
  const { server, join } = await serve(t);
  const peer = await join();
  const [connection] = (await until(() => server.connections.size === 1 && [...server.connections])) as Connection[];
  connection!.pauseReading(PauseReason.NOT_OPEN);
  await turns();
  connection!.resumeReading(PauseReason.NOT_OPEN);
  connection!.pauseReading(PauseReason.NOT_OPEN);
  const request = createRequest(ECHO, undefined, Buffer.alloc(2_000_000, 'x'));
  peer.send(request);
  await turns(50);
  assert.equal(connection!.receivedBytes, 0);
  connection!.resumeReading(PauseReason.NOT_OPEN);
  assert.ok((await peer.receive()).body?.equals(request.body!));
});

test('read buffer: frames behind the one at which a connection is paused stay what they were', async (t) => {
  const { server, join } = await serve(t, { inFlightRequestsMax: 1 });
  const release: (() => void)[] = [];
  const seen: string[] = [];
  server.registerProcessor(LATER, async (request) => {
    seen.push(request.body!.toString());
    await new Promise<void>((resolve) => release.push(resolve));
    return createResponse(request, 0);
  });
  const peer = await join();
  const bodies = Array.from({ length: 20 }, (_, i) => `behind ${i}`);
  peer.send(...bodies.map((body) => createRequest(LATER, undefined, Buffer.from(body))));
  for (let i = 0; i < bodies.length; i++) {
    await until(() => release.length > i);
    assert.equal(seen.length, i + 1, 'no more is handled than may be in flight');
    release[i]!();
    assert.equal((await peer.receive()).code, 0);
  }
  assert.deepEqual(seen, bodies);
});

test('read buffer: what a client answers stays for whoever asked it', async (t) => {
  const { server, join } = await serve(t);
  const peer = await join();
  const [connection] = await until(() => server.connections.size === 1 && [...server.connections]);
  const asked = connection!.invoke(createRequest(ASK), 5_000);
  const question = await peer.receive();
  peer.send({ ...createResponse(question, 0, 'remark', { a: 'b' }), body: Buffer.from('answer') });
  const answer = await asked;
  await turns();
  assert.deepEqual([answer.remark, answer.extFields?.a, answer.body?.toString()], ['remark', 'b', 'answer']);
});

test('read buffer: a compressed body that waits for another is unpacked as it came', async () => {
  const bodies = ['first', 'second', 'third'].map((text) => deflateSync(text));
  const unpacked = bodies.map((body) => inflateBody(body, 1_000));
  for (const body of bodies) body.fill(0xdd);
  assert.deepEqual((await Promise.all(unpacked)).map(String), ['first', 'second', 'third']);
});

/** How often `count` went up in the turn of the event loop in which it went up most. */
async function mostInOneTurn(count: () => number, total: number): Promise<number> {
  let most = 0;
  for (let before = count(); before < total; ) {
    await turns(1);
    const now = count();
    most = Math.max(most, now - before);
    before = now;
  }
  return most;
}

for (const how of ['end', 'resetAndDestroy'] as const) {
  test(`read buffer: connections that end at once (${how}) go some a turn, and all of them`, async (t) => {
    const { server, join } = await serve(t);
    const count = 5 * ENDS_A_TURN;
    const peers = await Promise.all(Array.from({ length: count }, () => join()));
    await until(() => server.connections.size === count);
    let closed = 0;
    server.on('close', () => closed++);
    // All ends are there before the server looks at the first.
    for (const { socket } of peers) socket[how]();
    const most = await mostInOneTurn(() => closed, count);
    // What ends in one turn is told in it or in the next one.
    assert.ok(most <= 2 * ENDS_A_TURN, `${most} in one turn`);
    assert.equal(server.connections.size, 0);
  });
}

test('server: thousands of requests at once are handled some a turn, each answered in its order', async (t) => {
  const { server, join } = await serve(t);
  let handled = 0;
  server.registerProcessor(LATER, (request) => {
    handled++;
    return createResponse(request, 0, undefined, request.extFields);
  });
  const peers = await Promise.all([join(), join(), join()]);
  const each = 2_000;
  for (const peer of peers)
    peer.send(...Array.from({ length: each }, (_, i) => createRequest(LATER, { i: String(i) })));
  const most = await mostInOneTurn(() => handled, peers.length * each);
  assert.ok(most <= REQUESTS_A_TURN, `${most} in one turn`);
  for (const peer of peers) {
    for (let i = 0; i < each; i++) assert.equal((await peer.receive()).extFields?.i, String(i));
  }
});
