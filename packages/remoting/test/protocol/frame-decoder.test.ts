import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeFrame, FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { createRequest, type RemotingCommand, SerializeType } from '../../src/protocol/remoting-command.ts';
import { golden } from '../support/golden.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

function prefixed(length: number, ...rest: number[]): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(length);
  return Buffer.concat([prefix, Buffer.from(rest)]);
}

function all(decoder: FrameDecoder): RemotingCommand[] {
  const commands: RemotingCommand[] = [];
  for (let command = decoder.next(); command !== undefined; command = decoder.next()) commands.push(command);
  return commands;
}

describe('FrameDecoder', () => {
  for (const [name, hex, serializeType] of [
    ['JSON', golden.requestJson, SerializeType.JSON],
    ['ROCKETMQ', golden.requestBinary, SerializeType.ROCKETMQ],
  ] as const) {
    it(`decodes a request that Java wrote, ${name} header`, () => {
      const frame = bytes(hex);
      const command = decodeFrame(frame, 4, frame.length);
      assert.equal(command.code, 310);
      assert.equal(command.flag, 0);
      assert.equal(command.opaque, 7);
      assert.equal(command.language, 0);
      assert.equal(command.version, 513);
      assert.equal(command.remark, 'rémark "q"');
      assert.deepEqual({ ...command.extFields }, { b: 'TopicTest', i: 'KEYS\u0001k1\u0002TAGS\u0001标签\u0002' });
      assert.equal(command.body?.toString(), 'hello');
      assert.equal(command.serializeType, serializeType);
    });

    it(`gives the same commands wherever the stream is cut, ${name} header`, () => {
      const stream = Buffer.concat([bytes(hex), bytes(golden.responseJson), bytes(hex)]);
      const whole = new FrameDecoder();
      whole.push(stream);
      const expected = all(whole);
      assert.equal(expected.length, 3);
      for (let cut = 1; cut < stream.length; cut++) {
        const decoder = new FrameDecoder();
        const commands: RemotingCommand[] = [];
        for (const chunk of [stream.subarray(0, cut), stream.subarray(cut)]) {
          decoder.push(Buffer.from(chunk));
          commands.push(...all(decoder));
        }
        assert.deepEqual(commands, expected, `cut at ${cut}`);
        assert.equal(decoder.bufferedBytes, 0);
      }
    });
  }

  it('decodes responses that Java wrote', () => {
    for (const hex of [golden.responseJson, golden.responseBinary]) {
      const frame = bytes(hex);
      const command = decodeFrame(frame, 4, frame.length);
      assert.deepEqual([command.code, command.flag, command.opaque, command.version], [0, 1, 7, 513]);
      assert.equal(command.remark, undefined);
      assert.equal(command.extFields, undefined);
      assert.equal(command.body, undefined);
    }
  });

  it('takes a stream byte by byte', () => {
    const stream = Buffer.concat([bytes(golden.requestBinary), bytes(golden.requestJson)]);
    const decoder = new FrameDecoder();
    const commands: RemotingCommand[] = [];
    for (const byte of stream) {
      decoder.push(Buffer.from([byte]));
      commands.push(...all(decoder));
    }
    assert.deepEqual(
      commands.map((command) => command.body?.toString()),
      ['hello', 'hello'],
    );
  });

  it('gives a body as a view when its frame lies in one chunk, as a copy when it crosses chunks', () => {
    const frame = bytes(golden.requestJson);
    const decoder = new FrameDecoder();
    decoder.push(frame);
    const view = decoder.next()?.body as Buffer;
    assert.equal(view.buffer, frame.buffer);
    decoder.push(frame.subarray(0, 50));
    assert.equal(decoder.next(), undefined);
    decoder.push(frame.subarray(50));
    const copy = decoder.next()?.body as Buffer;
    assert.notEqual(copy.buffer, frame.buffer);
    frame.fill(0);
    assert.equal(copy.toString(), 'hello');
  });

  it('puts a frame of many chunks together, and the next one starts right behind it', () => {
    const body = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index & 0xff));
    const stream = Buffer.concat([encodeFrame(createRequest(10, { a: '1' }, body)), bytes(golden.requestJson)]);
    const decoder = new FrameDecoder();
    const commands: RemotingCommand[] = [];
    for (let at = 0; at < stream.length; at += 7001) {
      decoder.push(stream.subarray(at, at + 7001));
      commands.push(...all(decoder));
    }
    assert.equal(commands.length, 2);
    assert.ok(commands[0]?.body?.equals(body));
    assert.equal(commands[1]?.body?.toString(), 'hello');
  });

  it('keeps chunks that come while nobody asks for frames', () => {
    const frame = bytes(golden.requestJson);
    const decoder = new FrameDecoder();
    for (let count = 0; count < 5; count++) decoder.push(frame);
    assert.equal(decoder.bufferedBytes, 5 * frame.length);
    assert.equal(all(decoder).length, 5);
  });

  it('memory follows the bytes that arrived, not the length that was announced', () => {
    const decoder = new FrameDecoder();
    decoder.push(prefixed(16_000_000, 0, 0, 0));
    assert.equal(decoder.next(), undefined);
    assert.equal(decoder.bufferedBytes, 7);
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 200 }, () => {
      const each = new FrameDecoder();
      each.push(prefixed(16_000_000, 0, 0, 0));
      each.next();
      return each;
    });
    assert.ok(process.memoryUsage().arrayBuffers - before < decoders.length * 128 * 1024);
  });

  const refused: [name: string, frame: Buffer, code: string][] = [
    ['a negative length', prefixed(-1, 0, 0, 0, 0), 'REMOTING_FRAME_INVALID'],
    ['the smallest negative length', prefixed(-2_147_483_648), 'REMOTING_FRAME_INVALID'],
    ['a length of 0', prefixed(0), 'REMOTING_FRAME_INVALID'],
    ['a length below the header word', prefixed(3, 0, 0, 0), 'REMOTING_FRAME_INVALID'],
    ['a length of 2 GiB', prefixed(0x7fffffff), 'REMOTING_FRAME_TOO_LARGE'],
    ['a length of one byte above the limit', prefixed(16_777_216 - 3), 'REMOTING_FRAME_TOO_LARGE'],
    ['a text protocol', Buffer.from('GET / HTTP/1.1\r\n'), 'REMOTING_FRAME_TOO_LARGE'],
    ['a header longer than its frame', prefixed(4, 0, 0, 0, 1), 'REMOTING_FRAME_INVALID'],
    ['an unknown serialize type', prefixed(4, 9, 0, 0, 0), 'REMOTING_FRAME_INVALID'],
    ['an empty JSON header', prefixed(4, 0, 0, 0, 0), 'REMOTING_FRAME_INVALID'],
    ['an empty binary header', prefixed(4, 1, 0, 0, 0), 'REMOTING_FRAME_INVALID'],
  ];
  for (const [name, frame, code] of refused) {
    it(`refuses ${name}`, () => {
      const decoder = new FrameDecoder();
      decoder.push(frame);
      assert.throws(() => decoder.next(), { code });
      const cut = new FrameDecoder();
      assert.throws(
        () => {
          for (const byte of frame) {
            cut.push(Buffer.from([byte]));
            cut.next();
          }
        },
        { code },
      );
    });
  }

  it('takes a frame of exactly the limit', () => {
    const empty = encodeFrame({ ...createRequest(10), opaque: 1 });
    const body = Buffer.alloc(1000 - empty.length);
    const frame = encodeFrame({ ...createRequest(10), opaque: 1, body });
    assert.equal(frame.length, 1000);
    const decoder = new FrameDecoder(1000);
    decoder.push(frame);
    assert.equal(decoder.next()?.body?.length, body.length);
    const small = new FrameDecoder(999);
    small.push(frame);
    assert.throws(() => small.next(), { code: 'REMOTING_FRAME_TOO_LARGE' });
  });
});
