import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import lz4 from 'lz4js';
import { BodyUnpacker } from '../src/bodies.ts';
import { zstdFrame } from './small-store.ts';

const text = Buffer.from('The body of a message, 消息的正文. '.repeat(50));
const unpacker = new BodyUnpacker();

for (const [name, sysFlag, packed] of [
  ['not packed', 0, text],
  ['zlib by its number', 0x301, deflateSync(text)],
  ['zlib of a producer before 4.9.4', 0x001, deflateSync(text)],
  ['LZ4', 0x101, Buffer.from(lz4.compress(text))],
  ['ZSTD', 0x201, zstdFrame(text)],
] as const) {
  test(`bodies: ${name}`, async () => {
    const { body, problem } = await unpacker.unpack(packed, sysFlag);
    assert.equal(problem, undefined);
    assert.deepEqual(body, text);
  });
}

for (const [name, sysFlag] of [
  ['zlib', 0x301],
  ['lz4', 0x101],
  ['zstd', 0x201],
] as const) {
  test(`bodies: what does not unpack as ${name} stays as it is, with the reason`, async () => {
    const garbage = Buffer.from('no frame of any kind');
    const { body, problem } = await unpacker.unpack(garbage, sysFlag);
    assert.deepEqual(body, garbage);
    assert.match(problem!, new RegExp(`does not unpack as ${name}`));
  });
}

test('bodies: a frame that claims terabytes is not made room for', async () => {
  // LZ4 frame: magic, flags with a content size, block size, the size.
  const frame = Buffer.from('04224d186870ffffff7f00000000ff', 'hex');
  const { problem } = await unpacker.unpack(frame, 0x101);
  assert.match(problem!, /does not unpack as lz4/);
});

const MiB = 1024 * 1024;

/** A ZSTD frame of blocks that each repeat one byte 128 KiB long; `window` is the byte that says how large its window is. */
function zstdRepeats(blocks: number, window: number): Buffer {
  const frame = Buffer.alloc(6 + blocks * 4);
  frame.writeUInt32LE(0xfd2fb528, 0);
  frame[5] = window;
  for (let block = 0; block < blocks; block++) {
    const last = block === blocks - 1 ? 1 : 0;
    frame.writeUIntLE(((128 * 1024) << 3) | 2 | last, 6 + block * 4, 3);
    frame[9 + block * 4] = 7;
  }
  return frame;
}

test('bodies: what unpacks to more than any broker takes is refused, of every kind', async () => {
  // The room for an LZ4 frame is counted in blocks of 4 MiB.
  const max = 8 * MiB;
  const small = new BodyUnpacker(max);
  const window128KiB = 7 << 3;
  for (const [sysFlag, fits, bomb] of [
    [0x301, deflateSync(Buffer.alloc(max)), deflateSync(Buffer.alloc(max + 1))],
    [0x101, Buffer.from(lz4.compress(Buffer.alloc(max / 4))), Buffer.from(lz4.compress(Buffer.alloc(4 * max)))],
    [0x201, zstdRepeats(64, window128KiB), zstdRepeats(65, window128KiB)],
  ] as const) {
    const unpacked = await small.unpack(fits, sysFlag);
    assert.deepEqual([unpacked.problem, unpacked.body.length], [undefined, sysFlag === 0x101 ? max / 4 : max]);
    const { body, problem } = await small.unpack(bomb, sysFlag);
    assert.match(problem ?? '', /does not unpack as/);
    assert.equal(body, bomb);
  }
});

test('bodies: a ZSTD frame that claims a large window or content is not made room for', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const largeContent = Buffer.from('28b52ffd' + 'e0' + 'ffffffffff000000' + '000000', 'hex');
  for (const frame of [zstdRepeats(1, 0xff), zstdRepeats(1, 21 << 3), largeContent]) {
    assert.match((await unpacker.unpack(frame, 0x201)).problem ?? '', /it claims \d+ bytes/);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * MiB);
});
