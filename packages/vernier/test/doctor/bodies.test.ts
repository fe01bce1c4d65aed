import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import lz4 from 'lz4js';
import { BodyUnpacker } from '../../src/doctor/bodies.ts';
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
