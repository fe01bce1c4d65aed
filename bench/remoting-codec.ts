// CPU that a send costs in the wire's codecs: cutting and decoding the request, building and encoding the response.
// `node --import tsx --conditions=@vernier/source bench/remoting-codec.ts`; µs of CPU time, so that a busy machine
// shows less in it than in the clock. Budget: about 3 µs for both together.
import { RequestCode } from '../packages/remoting/src/codes/request-code.ts';
import { encodePropertiesString } from '../packages/remoting/src/message/properties.ts';
import { FrameDecoder } from '../packages/remoting/src/protocol/frame-decoder.ts';
import { encodeFrame, FrameEncoder } from '../packages/remoting/src/protocol/frame-encoder.ts';
import { createRequest, createResponse, SerializeType } from '../packages/remoting/src/protocol/remoting-command.ts';

const MESSAGES = 300_000;
const ROUNDS = 5;
const FRAME_BYTES_MAX = 16_777_216;
/** What a socket delivers at most in one chunk. */
const CHUNK_BYTES = 65_536;
/** Responses that leave in one write at 16 requests in flight on a connection. */
const RESPONSES_A_WRITE = 16;

const request = createRequest(
  RequestCode.SEND_MESSAGE_V2,
  {
    ...{ a: 'bench_producer', b: 'BenchmarkTopic', c: 'TBW102', d: '4', e: '3', f: '0', g: String(Date.now()), h: '0' },
    i: encodePropertiesString([
      ['UNIQ_KEY', '7F0000010A1B18B4AAC2000000010000'],
      ['WAIT', 'true'],
      ['TAGS', 'TagA'],
    ]),
    ...{ j: '0', k: 'false', m: 'false' },
  },
  Buffer.alloc(1024, 65),
);

function cpuMicros(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / MESSAGES;
}

function decodeAll(chunk: Buffer, framesInChunk: number): void {
  const decoder = new FrameDecoder();
  for (let count = 0; count < MESSAGES; count += framesInChunk) {
    decoder.push(chunk);
    while (decoder.next() !== undefined);
  }
}

function encodeAll(): void {
  const encoder = new FrameEncoder();
  for (let count = 1; count <= MESSAGES; count++) {
    const response = createResponse(request, 0, undefined, {
      msgId: '7F00000100002A9F0000000000010000',
      queueId: '3',
      queueOffset: String(1_000_000 + count),
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
    });
    encoder.append(response, FRAME_BYTES_MAX);
    if (count % RESPONSES_A_WRITE === 0) {
      encoder.take();
      encoder.recycle();
    }
  }
}

for (const [name, serializeType] of Object.entries(SerializeType)) {
  request.serializeType = serializeType;
  const frame = encodeFrame(request);
  const framesInChunk = Math.floor(CHUNK_BYTES / frame.length);
  const chunk = Buffer.concat(Array.from({ length: framesInChunk }, () => frame));
  const decode: number[] = [];
  const encode: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    decode.push(cpuMicros(() => decodeAll(chunk, framesInChunk)));
    encode.push(cpuMicros(encodeAll));
  }
  // The least of the rounds: what the code costs when nothing else gets in its way.
  const [least, leastEncode] = [Math.min(...decode), Math.min(...encode)];
  process.stdout.write(
    `${name}: decode ${least.toFixed(2)} µs, encode ${leastEncode.toFixed(2)} µs, together ${(least + leastEncode).toFixed(2)} µs\n`,
  );
}
