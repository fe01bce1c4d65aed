import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { bodyBytes, encodeFrame, FrameEncoder } from '../../src/protocol/frame-encoder.ts';
import { createRequest, createResponse, type RemotingCommand } from '../../src/protocol/remoting-command.ts';

const MAX = 16_777_216;

function decodeAll(pieces: readonly Uint8Array[]): RemotingCommand[] {
  const decoder = new FrameDecoder();
  decoder.push(Buffer.concat(pieces));
  const commands: RemotingCommand[] = [];
  for (let command = decoder.next(); command !== undefined; command = decoder.next()) commands.push(command);
  assert.equal(decoder.bufferedBytes, 0);
  return commands;
}

describe('FrameEncoder', () => {
  it('lays small frames behind each other into one piece', () => {
    const encoder = new FrameEncoder();
    for (let index = 0; index < 20; index++)
      encoder.append(createRequest(index, { n: String(index) }, Buffer.alloc(9, index)), MAX);
    const pieces = encoder.take();
    assert.equal(pieces.length, 1);
    const commands = decodeAll(pieces);
    assert.deepEqual(
      commands.map((command) => [command.code, command.extFields?.n, command.body?.[8]]),
      Array.from({ length: 20 }, (_, index) => [index, String(index), index]),
    );
  });

  it('does not copy a large body and keeps the order around it', () => {
    const encoder = new FrameEncoder();
    const large = Buffer.alloc(100_000, 7);
    encoder.append(createRequest(1), MAX);
    encoder.append(createRequest(2, undefined, large), MAX);
    encoder.append(createRequest(3), MAX);
    const pieces = encoder.take();
    assert.equal(pieces.length, 3);
    assert.equal(pieces[1], large);
    assert.deepEqual(
      decodeAll(pieces).map((command) => [command.code, command.body?.length]),
      [
        [1, undefined],
        [2, 100_000],
        [3, undefined],
      ],
    );
  });

  it('writes body parts one after another, small and large', () => {
    for (const size of [10, 5000]) {
      const encoder = new FrameEncoder();
      const parts = [Buffer.alloc(size, 1), Buffer.alloc(0), Buffer.alloc(size, 2)];
      const response = createResponse(createRequest(11), 0);
      response.bodyParts = parts;
      assert.equal(bodyBytes(response), 2 * size);
      encoder.append(response, MAX);
      const [command] = decodeAll(encoder.take());
      assert.ok(command?.body?.equals(Buffer.concat(parts)));
    }
  });

  it('frames that were taken and not recycled are not overwritten', () => {
    const encoder = new FrameEncoder();
    const kept: { pieces: Uint8Array[]; copy: Buffer }[] = [];
    for (let round = 0; round < 400; round++) {
      for (let index = 0; index < 5; index++) {
        encoder.append(createRequest(round, { value: 'x'.repeat(index * 50) }, Buffer.alloc(200, round)), MAX);
      }
      const pieces = encoder.take();
      // Every third round somebody still holds the bytes; the others say that they are done with them.
      if (round % 3 === 0) kept.push({ pieces, copy: Buffer.concat(pieces) });
      else encoder.recycle();
    }
    for (const { pieces, copy } of kept) assert.ok(Buffer.concat(pieces).equals(copy));
  });

  it('uses the slab again after recycle', () => {
    const encoder = new FrameEncoder();
    encoder.append(createRequest(1), MAX);
    const first = encoder.take()[0] as Uint8Array;
    encoder.recycle();
    encoder.append(createRequest(1), MAX);
    const second = encoder.take()[0] as Uint8Array;
    assert.equal(second.buffer, first.buffer);
    assert.equal(second.byteOffset, first.byteOffset);
  });

  it('uses the slab again from its beginning when a take went over into it', () => {
    const encoder = new FrameEncoder();
    encoder.append(createRequest(1, undefined, Buffer.alloc(3000)), MAX);
    encoder.take();
    for (let count = 0; count < 25; count++) encoder.append(createRequest(1, undefined, Buffer.alloc(3000)), MAX);
    const pieces = encoder.take();
    assert.equal(pieces.length, 2, 'the rest of one slab and the beginning of the next');
    encoder.recycle();
    encoder.append(createRequest(1), MAX);
    const [next] = encoder.take();
    assert.equal(next?.buffer, pieces[1]?.buffer);
    assert.equal(next?.byteOffset, 0);
  });

  it('a header larger than the slab fits', () => {
    const value = 'ü'.repeat(100_000);
    const [command] = decodeAll([encodeFrame(createRequest(1, { value }))]);
    assert.equal(command?.extFields?.value, value);
  });

  it('a frame above the limit is refused and leaves the others as they are', () => {
    const encoder = new FrameEncoder();
    encoder.append(createRequest(1), 1000);
    assert.throws(() => encoder.append(createRequest(2, undefined, Buffer.alloc(1000)), 1000), {
      code: 'REMOTING_FRAME_TOO_LARGE',
    });
    encoder.append(createRequest(3), 1000);
    assert.deepEqual(
      decodeAll(encoder.take()).map((command) => command.code),
      [1, 3],
    );
  });
});
