import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createResponse, encodeFrame, isPlainKey, SendAnswer, SendAnswerForm, SerializeType } from '@vernier/remoting';
import fc from 'fast-check';
import { DECIMAL_CHARS_MAX, writeDecimal, writeHex64 } from '../../src/protocol/digits.ts';

const prefix = '7F00000100002A9F';
const key = fc.string({ unit: fc.constantFrom(...'0123456789ABCDEF'), minLength: 1, maxLength: 40 });
const safe = fc.nat(Number.MAX_SAFE_INTEGER);
const int32 = fc.nat(2 ** 31 - 1);

test('send answer: the same bytes as of the fields one by one, in both serializations', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(SerializeType.JSON, SerializeType.ROCKETMQ),
      ...([int32, safe, int32, safe, fc.option(key, { nil: undefined })] as const),
      ...([fc.constantFrom('DefaultRegion', 'é"\\', ''), fc.boolean()] as const),
      (serializeType, opaque, logOffset, queueId, queueOffset, uniqKey, region, traceOn) => {
        const form = new SendAnswerForm(prefix, region, traceOn);
        const answer = new SendAnswer({ opaque, serializeType }, form, logOffset, queueId, queueOffset, uniqKey);
        const general = createResponse({ opaque, serializeType }, answer.code, undefined, answer.extFields);
        assert.equal(encodeFrame(answer).toString('latin1'), encodeFrame(general).toString('latin1'));
        assert.ok(encodeFrame(answer).length - 8 <= answer.headerBytesMax);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('send answer: a key that JSON would have to escape is not plain', () => {
  for (const plain of ['7F0000010000', 'a-b_c#1', ' ']) assert.equal(isPlainKey(plain), true, plain);
  for (const odd of ['a"b', 'a\\b', 'a\nb', 'ä', '\u007f', 'x'.repeat(257)]) assert.equal(isPlainKey(odd), false, odd);
});

test('digits: every safe integer as JavaScript writes it', () => {
  const bytes = Buffer.alloc(DECIMAL_CHARS_MAX);
  fc.assert(
    fc.property(
      fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.constantFrom(0, 9, 10, 4294967295, 4294967296)),
      (value) => {
        assert.equal(bytes.toString('latin1', 0, writeDecimal(bytes, 0, value)), String(value));
      },
    ),
  );
  fc.assert(
    fc.property(safe, (value) => {
      assert.equal(
        bytes.toString('latin1', 0, writeHex64(bytes, 0, value)),
        value.toString(16).toUpperCase().padStart(16, '0'),
      );
    }),
  );
});
