import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeFrame, FrameCutter, HeaderField, patchDecimal, patchHex32 } from '../../bench/load/frames.ts';

const sizes = [0, 1, 3, 100, 5_000, 70_000];
const frames = sizes.map((size, opaque) => encodeFrame({ code: 0, opaque }, Buffer.alloc(size, opaque + 1)));
const stream = Buffer.concat(frames);

function cut(chunks: Buffer[]): string[] {
  const seen: string[] = [];
  const cutter = new FrameCutter((bytes, headerStart, bodyStart, end) => {
    const { opaque } = JSON.parse(bytes.toString('utf8', headerStart, bodyStart));
    const body = bytes.subarray(bodyStart, end);
    seen.push(`${opaque}:${body.length}:${body.every((byte) => byte === opaque + 1)}`);
  });
  for (const chunk of chunks) cutter.push(chunk, chunk.length);
  return seen;
}

const expected = sizes.map((size, opaque) => `${opaque}:${size}:true`);

for (const chunkSize of [1, 2, 3, 5, 7, 64, 1000, 65_536, stream.length]) {
  test(`frame cutter: every frame once and whole, in chunks of ${chunkSize}`, () => {
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; at += chunkSize) chunks.push(stream.subarray(at, at + chunkSize));
    assert.deepEqual(cut(chunks), expected);
  });
}

test('frame cutter: nothing is handed on before its last byte is there', () => {
  assert.deepEqual(cut([stream.subarray(0, stream.length - 1)]), expected.slice(0, -1));
});

test('frame cutter: a frame in another serialization is refused, not misread', () => {
  const frame = encodeFrame({ code: 0, opaque: 1 });
  frame[4] = 1;
  assert.throws(() => cut([frame]), /serialize type 1/);
});

test('header field: found again after its place moved, and its absence is an error', () => {
  const field = new HeaderField('"opaque":');
  const read = (text: string) => field.number(Buffer.from(text), 0, text.length);
  assert.equal(read('{"code":0,"opaque":17,"version":1}'), 17);
  assert.equal(read('{"code":0,"opaque":1234567890,"version":1}'), 1_234_567_890);
  assert.equal(read('{"code":0,"extFields":{"a":"b"},"opaque":-5,"remark":"x","version":1}'), -5);
  assert.throws(() => read('{"code":0,"opague":1}'), /no "opaque":/);
});

test('patching writes exactly its width', () => {
  const bytes = Buffer.from('..............');
  patchDecimal(bytes, 1, 6, 4207);
  assert.equal(bytes.toString(), '.004207.......');
  patchHex32(bytes, 1, 0xdeadbeef);
  assert.equal(bytes.toString(), '.DEADBEEF.....');
});
