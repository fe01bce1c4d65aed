import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import {
  createRequest,
  decodeFrame,
  type ExtFields,
  encodeFrame,
  type RemotingCommand,
  SerializeType,
  sameSignature,
  sign,
  signatureOf,
  signedText,
} from '../../src/index.ts';

const credentials = { accessKey: 'rocketmq', secretKey: '12345678' };

const isSigned = ({ extFields = {}, version, body }: RemotingCommand, secretKey: string): boolean =>
  sameSignature(signatureOf(signedText(extFields, version), body, secretKey), extFields.Signature ?? '');

/** As the other end gets it. */
function received(request: RemotingCommand, serializeType: SerializeType): RemotingCommand {
  const frame = encodeFrame({ ...request, serializeType });
  return decodeFrame(frame, 4, frame.length);
}

test('signature: HMAC-SHA1 in base64 of the text and the body behind it (RFC 2202, cases 1 and 2)', () => {
  const hex = (text: string): string => Buffer.from(text, 'base64').toString('hex');
  assert.equal(hex(signatureOf('Hi There', undefined, '\x0b'.repeat(20))), 'b617318655057264e28bc0b6fb378c8ef146be00');
  const body = Buffer.from('for nothing?');
  assert.equal(hex(signatureOf('what do ya want ', body, 'Jefe')), 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79');
});

test('signature: values of all fields in the order of their names, without the signature', () => {
  const fields = { topic: 'T', a: '1', Z: 'big first', Signature: 'x', AccessKey: 'me', empty: '', gone: undefined };
  assert.equal(signedText(fields, 513), 'mebig first1T');
});

test('signature: _UNIQUE_KEY_QUERY is signed by clients newer than 4.9.3 alone', () => {
  const fields = { _UNIQUE_KEY_QUERY: 'true', topic: 'T' };
  assert.equal(signedText(fields, 399), 'T');
  assert.equal(signedText(fields, 400), 'trueT');
});

test('signature: a signed request is one at the other end, in both serializations, with texts beyond ASCII and no body', () => {
  const all: [ExtFields, Buffer | undefined][] = [
    [{ b: 'orders', i: 'KEYS\u0001a\u0002TAGS\u0001ü€😀\u0002' }, Buffer.from([0, 255, 1, 128])],
    [{ __proto: 'x', '': 'empty name', '10': 'ten', '9': 'nine' }, undefined],
    [{}, Buffer.from('only a body')],
  ];
  for (const [fields, body] of all) {
    for (const type of [SerializeType.JSON, SerializeType.ROCKETMQ]) {
      const request = createRequest(310, fields, body);
      sign(request, credentials);
      const command = received(request, type);
      assert.equal(command.extFields?.AccessKey, 'rocketmq');
      assert.ok(isSigned(command, '12345678'));
      assert.ok(!isSigned(command, '12345679'));
    }
  }
});

test('signature: is that of RocketMQ’s client, bytes of values and then the body', () => {
  const request = createRequest(12, { topic: 'T', key: 'ü' }, Buffer.from('body'));
  sign(request, credentials);
  const expected = createHmac('sha1', '12345678').update(Buffer.from('rocketmqüTbody')).digest('base64');
  assert.equal(request.extFields?.Signature, expected);
});

test('signature: whatever is changed, added, taken away or moved into another field breaks it', () => {
  const signed = (): RemotingCommand => {
    const request = createRequest(310, { a: 'group', b: 'orders', e: '1' }, Buffer.from('body'));
    sign(request, credentials);
    return request;
  };
  const changes: [string, (fields: ExtFields, request: RemotingCommand) => unknown][] = [
    ['topic', (fields) => Object.assign(fields, { b: 'secret' })],
    ['a field more', (fields) => Object.assign(fields, { m: 'true' })],
    ['a field less', (fields) => Object.assign(fields, { e: undefined })],
    ['name of the user', (fields) => Object.assign(fields, { AccessKey: 'root' })],
    ['body', (_, request) => Object.assign(request, { body: Buffer.from('bodz') })],
    ['no body', (_, request) => Object.assign(request, { body: undefined })],
    ['truncated', (fields) => Object.assign(fields, { Signature: fields.Signature?.slice(0, 10) })],
    ['none', (fields) => Object.assign(fields, { Signature: undefined })],
    ['lengthened', (fields) => Object.assign(fields, { Signature: `${fields.Signature}=` })],
  ];
  for (const [what, change] of changes) {
    const request = signed();
    change(request.extFields!, request);
    assert.ok(!isSigned(request, '12345678'), what);
  }
  assert.ok(isSigned(signed(), '12345678'));
});

test('signature: signing again takes the old one away', () => {
  const request = createRequest(10, { topic: 'T' });
  sign(request, { accessKey: 'x', secretKey: 'y' });
  sign(request, credentials);
  assert.ok(isSigned(request, '12345678'));
  assert.deepEqual(Object.keys(request.extFields ?? {}).sort(), ['AccessKey', 'Signature', 'topic']);
});
