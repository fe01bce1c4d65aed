import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest, type RemotingConnection, RemotingError, RequestCode, ResponseCode } from '@vernier/remoting';
import { StoreError } from '@vernier/store';
import { Refusal } from '../../src/base/refusal.ts';
import {
  granted,
  guarded,
  isTrue,
  optionalFlag,
  optionalNumber,
  RequestFault,
  requiredNumber,
  requiredText,
} from '../../src/processors/requests.ts';

const fault = (message: RegExp) => (error: unknown) =>
  error instanceof RequestFault && error.responseCode === ResponseCode.INVALID_PARAMETER && message.test(error.message);

test('fields: a missing one is named, an empty one is there', () => {
  assert.throws(() => requiredText(undefined, 'topic'), fault(/^the field topic is missing$/));
  assert.throws(() => requiredText({ a: '1' }, 'topic'), fault(/the field topic is missing/));
  assert.equal(requiredText({ topic: '' }, 'topic'), '');
});

test('fields: a number that is none is refused by name, never taken for another', () => {
  for (const text of [
    '',
    ' 5',
    '5 ',
    '+5',
    '1.5',
    '1e3',
    '0x10',
    'NaN',
    'Infinity',
    '٥',
    '--5',
    '5\n',
    '1'.repeat(20),
  ]) {
    assert.throws(
      () => requiredNumber({ n: text }, 'n'),
      fault(/the field n is no whole number/),
      JSON.stringify(text),
    );
    if (text !== '')
      assert.throws(() => optionalNumber({ n: text }, 'n', 7), fault(/the field n/), JSON.stringify(text));
  }
  assert.throws(() => requiredNumber({}, 'n'), fault(/missing/));
  assert.equal(optionalNumber({}, 'n', 7), 7);
  assert.equal(optionalNumber({ n: '' }, 'n', 7), 7);
  assert.equal(optionalNumber(undefined, 'n', -1), -1);
});

test('fields: a Java long beyond the exact range is the range’s end and no inexact number', () => {
  const numbers: [string, number][] = [
    ['0', 0],
    ['-0', 0],
    ['007', 7],
    ['-1', -1],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740993', Number.MAX_SAFE_INTEGER],
    ['9223372036854775807', Number.MAX_SAFE_INTEGER],
    ['-9223372036854775808', Number.MIN_SAFE_INTEGER],
  ];
  for (const [text, number] of numbers) assert.equal(requiredNumber({ n: text }, 'n') + 0, number, text);
});

test('fields: a flag is true or false in any case; another word is refused and not taken for false', () => {
  const values = [undefined, '', 'false', 'FALSE', 'true', 'True'].map((on) =>
    optionalFlag(on === undefined ? {} : { on }, 'on'),
  );
  assert.deepEqual(values, [false, false, false, false, true, true]);
  for (const word of ['yes', '1', ' true', 'truely', 'falsetrue']) {
    assert.throws(() => optionalFlag({ on: word }, 'on'), fault(/the field on is neither true nor false/), word);
    assert.equal(isTrue(word), false);
  }
  assert.equal(isTrue(undefined), false);
});

test('granted: a refusal becomes its code and words, anything else is passed on', () => {
  for (const value of [undefined, 0, '', null, [], false]) assert.equal(granted(value), value);
  assert.throws(
    () => granted(new Refusal(ResponseCode.SYSTEM_BUSY, 'no room')),
    (error: unknown) => error instanceof RequestFault && error.responseCode === 2 && error.message === 'no room',
  );
});

test('guarded: what is the client’s fault is answered, thrown at once or later; what is ours is not hidden', async () => {
  const request = createRequest(RequestCode.GET_TOPIC_CONFIG, {});
  const connection = {} as RemotingConnection;
  const cases: [Error, number | undefined][] = [
    [new RequestFault(ResponseCode.TOPIC_NOT_EXIST, 'none'), ResponseCode.TOPIC_NOT_EXIST],
    [new RemotingError('REMOTING_BODY_INVALID', 'no body'), ResponseCode.INVALID_PARAMETER],
    [new RemotingError('REMOTING_JSON_INVALID', 'no JSON'), ResponseCode.INVALID_PARAMETER],
    [new RemotingError('REMOTING_TIMEOUT', 'late'), undefined],
    [new StoreError('STORE_READ_FAILED', 'EIO'), undefined],
    [new TypeError('x is undefined'), undefined],
  ];
  for (const [error, code] of cases) {
    const now = guarded(() => {
      throw error;
    });
    const later = guarded(() => Promise.reject(error));
    if (code === undefined) {
      assert.throws(() => now(request, connection), error);
      await assert.rejects(Promise.resolve(later(request, connection)), error);
      continue;
    }
    for (const answer of [now(request, connection), await later(request, connection)]) {
      assert.deepEqual([(await answer)?.code, (await answer)?.remark], [code, error.message]);
      assert.equal((await answer)?.opaque, request.opaque);
    }
  }
});

test('guarded: an answer that is there at once is given at once, without a promise', () => {
  const answer = createRequest(RequestCode.GET_TOPIC_CONFIG, {});
  assert.equal(guarded(() => answer)(answer, {} as RemotingConnection), answer);
  assert.equal(guarded(() => undefined)(answer, {} as RemotingConnection), undefined);
});
