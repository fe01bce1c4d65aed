import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { javaMapEntries, parseJavaJson, parseJavaJsonBody, writeJavaJson } from '../../src/protocol/java-json.ts';

describe('parseJavaJson', () => {
  it('reads standard JSON as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        assert.deepEqual(parseJavaJson(text), JSON.parse(text));
      }),
    );
  });

  it('reads any JSON value inside a text that is not standard', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        assert.deepEqual(parseJavaJson(`{0:${text}}`), { 0: JSON.parse(text) });
      }),
    );
  });

  it('reads bare integer keys, negative ones and quoted ones beside them', () => {
    assert.deepEqual(parseJavaJson('{"offsetTable":{0:5, 1 :6,-1:7,"2":8}}\n\t '), {
      offsetTable: { 0: 5, 1: 6, '-1': 7, 2: 8 },
    });
  });

  it('reads object keys as a Map, nested maps and empty ones too', () => {
    const value = parseJavaJson(
      '{"t":{{"brokerName":"b","queueId":0,"topic":"t"}:123,{"queueId":1}:{0:[]}},"e":{},"a":[]}',
    );
    assert.deepEqual(value, {
      t: new Map<unknown, unknown>([
        [{ brokerName: 'b', queueId: 0, topic: 't' }, 123],
        [{ queueId: 1 }, { 0: [] }],
      ]),
      e: {},
      a: [],
    });
  });

  it('takes escapes, quotes and backslashes in strings', () => {
    assert.deepEqual(parseJavaJson(String.raw`{0:"a\"b\\",1:"\\\"","\u0041\n":"中"}`), {
      0: 'a"b\\',
      1: '\\"',
      'A\n': '中',
    });
  });

  it('a key named __proto__ is a member like any other', () => {
    const value = parseJavaJson('{0:1,"__proto__":{"x":1}}') as object;
    assert.deepEqual(Object.keys(value), ['0', '__proto__']);
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
  });

  for (const [text, position] of [
    ['', 0],
    ['{0:5', 4],
    ['{0:5}x', 5],
    ['{0 5}', 3],
    ['{a:5}', 1],
    ['{0:}', 3],
    ['{0:"abc', 3],
    ['{0:"\\x"}', 3],
    ['{0:5,}', 5],
    ['[0:1]', 2],
    ['{0:01}', 4],
    ['{0:tru}', 3],
    ["{0:'x'}", 3],
    ['{"x":1', 6],
  ] as const) {
    it(`refuses ${JSON.stringify(text)} at ${position}`, () => {
      assert.throws(
        () => parseJavaJson(text),
        (error: { code: string; details: { position: number } }) =>
          error.code === 'REMOTING_JSON_INVALID' && error.details.position === position,
      );
    });
  }

  it('refuses nesting without end instead of exhausting the stack', () => {
    assert.throws(() => parseJavaJson(`{0:${'['.repeat(100_000)}`), { code: 'REMOTING_JSON_INVALID' });
    assert.throws(() => parseJavaJson('{'.repeat(100_000)), { code: 'REMOTING_JSON_INVALID' });
  });

  it('takes long strings', () => {
    const long = 'x\\n'.repeat(200_000);
    assert.equal((parseJavaJson(`{0:"${long}"}`) as Record<string, string>)['0']?.length, 400_000);
  });

  it('an empty body is no value', () => {
    assert.equal(parseJavaJsonBody(undefined), undefined);
    assert.equal(parseJavaJsonBody(Buffer.alloc(0)), undefined);
    assert.deepEqual(parseJavaJsonBody(Buffer.from('{0:"é"}')), { 0: 'é' });
  });
});

describe('javaMapEntries', () => {
  it('gives the same entries for an object key written bare and as text', () => {
    const expected = [[{ queueId: 1 }, 5]];
    assert.deepEqual(javaMapEntries(parseJavaJson('{{"queueId":1}:5}')), expected);
    assert.deepEqual(javaMapEntries(parseJavaJson(String.raw`{"{\"queueId\":1}":5}`)), expected);
    assert.deepEqual(javaMapEntries({ a: 1 }), [['a', 1]]);
    assert.deepEqual(javaMapEntries(null), []);
  });
});

describe('writeJavaJson', () => {
  it('writes integer keys bare or quoted, object keys as objects, and leaves undefined out', () => {
    const value = {
      b: new Map([
        [0, 'x'],
        [1, 'y'],
      ]),
      u: undefined,
      l: [1, undefined],
      o: new Map([[{ q: 1 }, 2]]),
    };
    assert.equal(writeJavaJson(value), '{"b":{"0":"x","1":"y"},"l":[1,null],"o":{{"q":1}:2}}');
    assert.equal(writeJavaJson(value, { integerKeys: 'bare' }), '{"b":{0:"x",1:"y"},"l":[1,null],"o":{{"q":1}:2}}');
  });

  it('what is written is read', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.integer(), (value, key) => {
        const text = writeJavaJson(new Map([[key, value]]), { integerKeys: 'bare' });
        assert.deepEqual(parseJavaJson(text), { [key]: JSON.parse(JSON.stringify(value)) });
      }),
    );
  });
});
