import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeFrame } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { createRequest, type RemotingCommand, SerializeType } from '../../src/protocol/remoting-command.ts';
import { jsonFrame } from '../support/frames.ts';
import { golden } from '../support/golden.ts';
import { eachMemberAs, hostileValues } from '../support/hostile.ts';

const int32 = fc.integer({ min: -2_147_483_648, max: 2_147_483_647 });
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', '"\\\u0001\u0002\n', 'x'),
);

function command(serializeType: SerializeType): fc.Arbitrary<RemotingCommand> {
  const binary = serializeType === SerializeType.ROCKETMQ;
  return fc.record({
    code: binary ? fc.integer({ min: -32768, max: 32767 }) : int32,
    flag: int32,
    opaque: int32,
    language: fc.integer({ min: 0, max: 13 }),
    version: binary ? fc.integer({ min: -32768, max: 32767 }) : int32,
    remark: fc.option(
      text.filter((value) => value !== ''),
      { nil: undefined },
    ),
    extFields: fc.option(fc.dictionary(text, text, { minKeys: 1 }), { nil: undefined }),
    body: fc.option(
      fc.uint8Array({ minLength: 1, maxLength: 6000 }).map((body) => Buffer.from(body)),
      { nil: undefined },
    ),
    bodyParts: fc.constant(undefined),
    serializeType: fc.constant(serializeType),
  });
}

function decoded(frame: Buffer): RemotingCommand {
  return decodeFrame(frame, 4, frame.length);
}

/** Own members only, so that two dictionaries with different prototypes compare. */
function plain(value: RemotingCommand): unknown {
  const fields = value.extFields;
  return {
    ...value,
    extFields: fields === undefined ? undefined : Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)),
    body: value.body?.toString('hex'),
  };
}

const soundHeader = {
  code: 21,
  extFields: { topic: 't', group: 'g' },
  flag: 0,
  language: 'JAVA',
  opaque: 5,
  remark: 'r',
  version: 513,
};

describe('headers with hostile members', () => {
  it('what comes out is of its type, or the frame is refused', () => {
    let refused = 0;
    for (const hostile of hostileValues) {
      for (const [path, text] of eachMemberAs(soundHeader, hostile)) {
        const where = `${path} = ${hostile.slice(0, 60)}`;
        try {
          const value = decoded(jsonFrame(text));
          for (const name of ['code', 'flag', 'opaque', 'language', 'version'] as const) {
            assert.ok(Number.isInteger(value[name]), `${where}: ${name}`);
          }
          assert.ok(value.remark === undefined || typeof value.remark === 'string', where);
          assert.equal(Object.getPrototypeOf(value.extFields ?? {}), Object.prototype, where);
          for (const field of Object.values(value.extFields ?? {})) assert.equal(typeof field, 'string', where);
          // A processor answers in the same serialization; the header has to be writable again.
          encodeFrame(value);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'REMOTING_FRAME_INVALID', `${where}: ${error}`);
          assert.ok((error as Error).message.length < 400, where);
          refused++;
        }
      }
    }
    assert.ok(refused > 50, `${refused} refused`);
  });

  it('an object is no remark and no language', () => {
    for (const name of ['remark', 'language']) {
      for (const value of ['{"toString":1,"valueOf":1}', '{}', '[]', `${'['.repeat(200_000)}${']'.repeat(200_000)}`]) {
        const frame = jsonFrame(`{"code":21,"opaque":5,"${name}":${value}}`);
        assert.throws(() => decoded(frame), { code: 'REMOTING_FRAME_INVALID' });
      }
    }
    assert.equal(decoded(jsonFrame('{"code":1,"language":"NO_SUCH"}')).language, 7);
    assert.equal(decoded(jsonFrame('{"code":1,"language":5}')).language, 7);
    assert.equal(decoded(jsonFrame('{"code":1,"remark":5}')).remark, '5');
  });
});

describe('headers', () => {
  for (const [name, type] of Object.entries(SerializeType)) {
    it(`${name}: what is encoded is decoded`, () => {
      fc.assert(
        fc.property(command(type), (value) => {
          assert.deepEqual(plain(decoded(encodeFrame(value))), plain(value));
        }),
      );
    });

    it(`${name}: garbage is refused or decoded, never anything else`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
          const frame = Buffer.alloc(8 + garbage.length);
          frame.writeInt32BE(4 + garbage.length);
          frame.writeInt32BE((type << 24) | garbage.length, 4);
          frame.set(garbage, 8);
          try {
            decoded(frame);
          } catch (error) {
            assert.equal((error as { code: string }).code, 'REMOTING_FRAME_INVALID');
          }
        }),
      );
    });

    it(`${name}: a damaged header is refused or decoded, never anything else`, () => {
      const frame = encodeFrame({
        ...createRequest(310, { a: 'b', long: 'x'.repeat(40) }),
        serializeType: type,
        remark: 'r',
      });
      for (let at = 8; at < frame.length; at++) {
        for (const value of [0, 0x7f, 0x80, 0xff]) {
          const damaged = Buffer.from(frame);
          damaged[at] = value;
          try {
            decoded(damaged);
          } catch (error) {
            assert.equal((error as { code: string }).code, 'REMOTING_FRAME_INVALID', `byte ${at} = ${value}`);
          }
        }
      }
    });
  }

  it('JSON: bytes of a response are those that Java writes', () => {
    const response = { ...createRequest(0), flag: 1, opaque: 7 };
    assert.equal(encodeFrame(response).toString('hex'), golden.responseJson);
  });

  it('ROCKETMQ: bytes of a request and a response are those that Java writes', () => {
    const response = { ...createRequest(0), flag: 1, opaque: 7, serializeType: SerializeType.ROCKETMQ };
    assert.equal(encodeFrame(response).toString('hex'), golden.responseBinary);
    const request = createRequest(
      310,
      { b: 'TopicTest', i: 'KEYS\u0001k1\u0002TAGS\u0001标签\u0002' },
      Buffer.from('hello'),
    );
    const same = { ...request, opaque: 7, remark: 'rémark "q"', serializeType: SerializeType.ROCKETMQ };
    assert.equal(encodeFrame(same).toString('hex'), golden.requestBinary);
  });

  const jsonFrame = (header: string): Buffer => {
    const bytes = Buffer.from(header);
    const frame = Buffer.alloc(8 + bytes.length);
    frame.writeInt32BE(4 + bytes.length);
    frame.writeInt32BE(bytes.length, 4);
    bytes.copy(frame, 8);
    return frame;
  };

  it('JSON: members in another order, unknown ones and missing ones are taken', () => {
    const command = decoded(
      jsonFrame(' {"version":1,"suspended":false,"x":[{}],"language":"GO","code":5,"extFields":null} '),
    );
    assert.deepEqual([command.code, command.flag, command.opaque, command.language, command.version], [5, 0, 0, 9, 1]);
    assert.equal(command.extFields, undefined);
  });

  it('JSON: fields that are not strings become their text, null ones go', () => {
    const command = decoded(jsonFrame('{"code":5,"extFields":{"a":1,"b":true,"c":null,"d":"x"},"language":"KLINGON"}'));
    assert.deepEqual({ ...command.extFields }, { a: '1', b: 'true', d: 'x' });
    assert.equal(command.language, 7);
  });

  it('JSON: a header that is no object, has no code or nests fields is refused', () => {
    for (const header of [
      '[]',
      '5',
      'null',
      '{}',
      '{"code":"5"}',
      '{"code":1.5}',
      '{"code":3000000000}',
      '{"code":5,"opaque":"x"}',
    ]) {
      assert.throws(() => decoded(jsonFrame(header)), { code: 'REMOTING_FRAME_INVALID' }, header);
    }
    assert.throws(() => decoded(jsonFrame('{"code":5,"extFields":{"a":{}}}')), { code: 'REMOTING_FRAME_INVALID' });
    assert.throws(() => decoded(jsonFrame('{"code":5,"extFields":[1]}')), { code: 'REMOTING_FRAME_INVALID' });
  });

  it('a field named __proto__ is a field and changes nobody', () => {
    for (const serializeType of Object.values(SerializeType)) {
      const fields = Object.fromEntries([
        ['__proto__', 'p'],
        ['a', 'b'],
      ]);
      const command = decoded(encodeFrame({ ...createRequest(5, fields), serializeType }));
      assert.deepEqual(Object.keys(command.extFields ?? {}).sort(), ['__proto__', 'a']);
      assert.equal(Object.getPrototypeOf(command.extFields), Object.prototype);
    }
  });

  it('ROCKETMQ: a code that does not fit 16 bits is refused, not cut', () => {
    const command = { ...createRequest(200_050), serializeType: SerializeType.ROCKETMQ };
    assert.throws(() => encodeFrame(command), { code: 'REMOTING_HEADER_TOO_LARGE' });
  });
});
