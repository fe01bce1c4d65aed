import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { ByteBudget } from '../../src/net/byte-budget.ts';
import { Outgoing } from '../../src/net/outgoing.ts';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { FrameEncoder } from '../../src/protocol/frame-encoder.ts';
import { createRequest, type RemotingCommand } from '../../src/protocol/remoting-command.ts';
import { turns } from '../support/peers.ts';

const MiB = 1024 * 1024;

/** A stream whose other side takes what it is told to take. */
class Pipe extends Duplex {
  readonly decoder = new FrameDecoder();
  largestWrite = 0;
  #next: (() => void) | undefined;
  stalled = false;

  constructor(highWaterMark?: number) {
    super({ highWaterMark });
  }

  override _read(): void {}

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    const bytes = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.largestWrite = Math.max(this.largestWrite, bytes.length);
    this.decoder.push(bytes);
    if (this.stalled) this.#next = callback;
    else setImmediate(callback);
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this._writev([{ chunk }], callback);
  }

  goOn(): void {
    this.stalled = false;
    this.#next?.();
    this.#next = undefined;
  }
}

function fixture(options: { pause?: number; budget?: ByteBudget; highWaterMark?: number } = {}) {
  const socket = new Pipe(options.highWaterMark);
  const budget = options.budget ?? new ByteBudget(64 * MiB);
  const failures: unknown[] = [];
  const owner = {
    remoteAddress: 'peer:1',
    cannotEncode: (_: RemotingCommand, error: Error) => failures.push(error),
    failed: (cause: unknown) => failures.push(cause),
    outgoingChanged: () => {},
  };
  const outgoing = new Outgoing(
    owner,
    socket,
    new FrameEncoder(),
    { frameBytesMax: 16 * MiB, outgoingBytesPause: options.pause ?? 8 * MiB },
    budget,
  );
  socket.on('drain', () => outgoing.drained());
  return { socket, budget, outgoing, failures };
}

const command = (bytes: number): RemotingCommand => createRequest(1, undefined, Buffer.alloc(bytes, bytes & 0xff));

describe('Outgoing', () => {
  for (const highWaterMark of [undefined, 16 * MiB]) {
    it(`much leaves in pieces, whole and in order (high water mark ${highWaterMark ?? 'as usual'})`, async () => {
      const { socket, outgoing, budget, failures } = fixture({ highWaterMark });
      const commands = [10, 3 * MiB, 0, 70_000, 5 * MiB, 1].map(command);
      for (const each of commands.slice(0, 3)) outgoing.send(each);
      await turns(1);
      for (const each of commands.slice(3)) outgoing.send(each);
      for (const each of commands) {
        let got = socket.decoder.next();
        for (; got === undefined; got = socket.decoder.next()) await turns(1);
        assert.equal(got.opaque, each.opaque);
        assert.ok((got.body ?? Buffer.alloc(0)).equals(each.body as Buffer));
      }
      assert.ok(socket.largestWrite <= 256 * 1024 + 4096, `${socket.largestWrite} bytes in one write`);
      await turns();
      assert.deepEqual([outgoing.bytes, budget.used, failures], [0, 0, []]);
    });
  }

  it('what the peer has taken of one large answer shows before all of it is taken', async () => {
    const { socket, outgoing } = fixture();
    socket.stalled = true;
    outgoing.send(command(8 * MiB));
    await turns();
    assert.equal(outgoing.takenBytes, 0);
    socket.goOn();
    let before = 0;
    let steps = 0;
    while (outgoing.bytes > 0) {
      await turns(1);
      if (outgoing.takenBytes > before) steps++;
      before = outgoing.takenBytes;
    }
    assert.ok(steps > 10, `${steps} steps`);
    assert.ok(before >= 8 * MiB);
  });

  it('memory of an answer is given back at once when the kernel takes it at once, and not while it is on its way', async () => {
    const { socket, outgoing } = fixture();
    let released = 0;
    const large = { ...command(MiB), release: () => released++ };
    outgoing.send(large);
    await turns();
    assert.equal(released, 0);
    assert.equal(outgoing.bytes, 0);
    assert.ok(socket.decoder.next() !== undefined);
  });

  it('room is given in the order in which it was asked for; what is reserved counts until it is sent or given back', async () => {
    const { outgoing, budget } = fixture({ pause: 4 * MiB });
    assert.equal(outgoing.reserve(3 * MiB), undefined);
    const order: number[] = [];
    const second = outgoing.reserve(2 * MiB)?.then(() => order.push(2));
    const third = outgoing.reserve(1)?.then(() => order.push(3));
    assert.ok(second && third, 'both wait');
    assert.equal(outgoing.isAboveMark, true);
    await turns();
    assert.deepEqual(order, []);
    outgoing.unreserve(3 * MiB);
    await Promise.all([second, third]);
    assert.deepEqual(order, [2, 3]);
    outgoing.send({ ...command(MiB), reservedBytes: 2 * MiB });
    await turns();
    assert.equal(budget.used, 1);
    outgoing.unreserve(1);
    assert.equal(budget.used, 0);
  });

  it('when it closes, who waits for room is told, and all of it goes back, once', async () => {
    const { outgoing, budget } = fixture({ pause: MiB });
    outgoing.reserve(MiB);
    const waiting = outgoing.reserve(MiB);
    outgoing.promise(MiB);
    outgoing.close();
    await assert.rejects(waiting as Promise<void>, { code: 'REMOTING_CONNECTION_CLOSED' });
    await assert.rejects(outgoing.reserve(1) as Promise<void>, { code: 'REMOTING_CONNECTION_CLOSED' });
    outgoing.unreserve(MiB);
    outgoing.promise(-MiB);
    outgoing.close();
    assert.deepEqual([budget.used, budget.waiting], [0, 0]);
  });

  it('a connection that does not read leaves at least half of what is left to the others', () => {
    const budget = new ByteBudget(16 * MiB);
    const taken: number[] = [];
    for (let connection = 0; connection < 8; connection++) {
      const { outgoing } = fixture({ budget });
      let bytes = 0;
      while (outgoing.reserve(256 * 1024) === undefined) bytes += 256 * 1024;
      taken.push(bytes);
    }
    assert.ok((taken[0] ?? 0) <= 8 * MiB && (taken.at(-1) ?? 0) >= 256 * 1024, `${taken}`);
    assert.ok(budget.used <= 16 * MiB);
  });
});
