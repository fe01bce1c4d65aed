import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createRequest,
  decodeFrame,
  type ExtFields,
  encodeFrame,
  HeaderReader,
  pullFieldsOf,
  RequestCode,
  SerializeType,
  sendFieldsOf,
} from '@vernier/remoting';
import { FieldTable } from '../../src/protocol/field-table.ts';

const { JSON: json, ROCKETMQ: binary } = SerializeType;
const serializations = [
  ['JSON', json],
  ['ROCKETMQ', binary],
] as const;
const v2: ExtFields = {
  a: 'producers',
  b: 'orders',
  c: 'TBW102',
  d: '8',
  e: '3',
  f: '4',
  g: '1700000000000',
  h: '-7',
  i: 'UNIQ_KEY\u0001K\u0002TAGS\u0001"a"\\\u0002',
  j: '2',
  k: 'true',
  l: '16',
  m: 'false',
  n: 'broker-a',
};
const long = 'producerGroup topic defaultTopic defaultTopicQueueNums queueId sysFlag bornTimestamp flag properties'
  .concat(' reconsumeTimes unitMode maxReconsumeTimes batch')
  .split(' ');
const v1: ExtFields = Object.fromEntries(long.map((name, index) => [name, v2['abcdefghijklm'.charAt(index)]]));

function frameOf(code: number, fields: ExtFields | undefined, serializeType: SerializeType, body?: Buffer): Buffer {
  return encodeFrame({ ...createRequest(code, fields, body), serializeType });
}

/** A frame whose JSON header is exactly this text. */
function frameWith(header: string): Buffer {
  const bytes = Buffer.from(header, 'utf8');
  const frame = Buffer.alloc(8 + bytes.length);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt32BE(bytes.length, 4);
  bytes.copy(frame, 8);
  return frame;
}

const read = (frame: Buffer, reader = new HeaderReader()) => decodeFrame(frame, 4, frame.length, reader);

for (const [name, serializeType] of serializations) {
  test(`header reader: a send in ${name}, both forms, is what the general decoder reads`, () => {
    for (const [code, fields] of [
      [RequestCode.SEND_MESSAGE_V2, v2],
      [RequestCode.SEND_BATCH_MESSAGE, v2],
      [RequestCode.SEND_MESSAGE, v1],
    ] as const) {
      const frame = frameOf(code, fields, serializeType, Buffer.from('body'));
      const command = read(frame);
      const { propertyBytes, ...send } = sendFieldsOf(command);
      assert.ok(command.send && propertyBytes, 'read from its bytes');
      assert.equal(propertyBytes.bytes.toString('latin1', propertyBytes.from, propertyBytes.to), v2.i);
      const general = decodeFrame(frame, 4, frame.length);
      assert.equal(general.send, undefined);
      assert.deepEqual({ ...send, properties: v2.i, propertyBytes: undefined }, sendFieldsOf(general));
      assert.deepEqual(
        { ...command, send: undefined, extFields: undefined },
        { ...general, send: undefined, pull: undefined, extFields: undefined },
      );
    }
  });

  test(`header reader: a pull in ${name} is what the general decoder reads`, () => {
    const fields: ExtFields = {
      ...{
        consumerGroup: 'g',
        topic: 'orders',
        queueId: '1',
        queueOffset: '123456789012',
        maxMsgNums: '32',
        sysFlag: '6',
      },
      ...{ commitOffset: '5', suspendTimeoutMillis: '15000', subVersion: '1700000000000', subscription: 'a || b' },
    };
    for (const more of [{}, { expressionType: 'TAG', maxMsgBytes: '262144' }, { commitOffset: undefined }]) {
      const frame = frameOf(RequestCode.PULL_MESSAGE, { ...fields, ...more }, serializeType);
      const command = read(frame);
      assert.ok(command.pull, 'read from its bytes');
      assert.deepEqual(pullFieldsOf(command), pullFieldsOf(decodeFrame(frame, 4, frame.length)));
    }
  });

  test(`header reader: what is unusual in ${name} is left to the general decoder`, () => {
    const unusual: [string, ExtFields | undefined][] = [
      ['no fields', undefined],
      ['a field that sends do not have', { ...v2, Signature: 'x' }],
      ['a number with a sign', { ...v2, e: '+3' }],
      ['a number with a blank', { ...v2, e: ' 3' }],
      ['a number that is none', { ...v2, g: '0x10' }],
      ['an empty number', { ...v2, f: '' }],
      ['a number of sixteen digits', { ...v2, g: '1234567890123456' }],
      ['a topic beyond ASCII', { ...v2, b: 'ördér' }],
      ['properties beyond ASCII', { ...v2, i: 'KEYS\u0001ö\u0002' }],
      ['properties of 40,000 bytes', { ...v2, i: `KEYS\u0001${'x'.repeat(40_000)}\u0002` }],
    ];
    for (const [situation, fields] of unusual) {
      if (serializeType === binary && situation.includes('40,000')) continue;
      const frame = frameOf(RequestCode.SEND_MESSAGE_V2, fields, serializeType);
      const command = read(frame);
      assert.equal(command.send, undefined, situation);
      assert.deepEqual(command, decodeFrame(frame, 4, frame.length), situation);
    }
  });
}

test('header reader: members may stand in any order, extFields in front of the code too', () => {
  const fields = JSON.stringify(v2);
  for (const header of [
    `{"code":310,"extFields":${fields},"flag":0,"language":"JAVA","opaque":7,"version":513}`,
    `{"extFields":${fields},"opaque":7,"version":513,"language":"GO","flag":2,"remark":"","code":310}`,
  ]) {
    const command = read(frameWith(header));
    assert.equal(command.send?.topic, 'orders');
    assert.deepEqual([command.code, command.opaque, command.version], [310, 7, 513]);
  }
});

test('header reader: a header that another reader would refuse or read in another way is not taken', () => {
  const fields = JSON.stringify(v2);
  for (const [situation, header] of [
    ['a blank', `{"code":310, "extFields":${fields},"opaque":7}`],
    ['a member twice', `{"code":310,"code":10,"extFields":${fields},"opaque":7}`],
    ['a field twice', `{"code":310,"extFields":{"b":"one","b":"two","e":"1"},"opaque":7}`],
    ['a member that nobody knows', `{"code":310,"x":1,"extFields":${fields},"opaque":7}`],
    ['a number with a leading zero', `{"code":0310,"extFields":${fields},"opaque":7}`],
    ['a number of 33 bits', `{"code":310,"extFields":${fields},"opaque":4294967296}`],
    ['a number that is a string', `{"code":310,"extFields":${fields},"opaque":"7"}`],
    ['a field that is a number', `{"code":310,"extFields":{"b":"t","e":1},"opaque":7}`],
    ['an escape in a topic', `{"code":310,"extFields":{"b":"\\u0074","e":"1"},"opaque":7}`],
    ['bytes behind the header', `{"code":310,"extFields":${fields},"opaque":7}}`],
    ['no end', `{"code":310,"extFields":${fields},"opaque":7`],
    ['a null', `{"code":310,"extFields":${fields},"opaque":7,"remark":null}`],
  ] as const) {
    const bytes = frameWith(header);
    assert.equal(new HeaderReader().json(bytes, 8, bytes.length, undefined), undefined, situation);
  }
});

test('header reader: every other request is left alone', () => {
  for (const code of [0, 12, 34, 105, 312, 200_050]) {
    assert.equal(read(frameOf(code, { b: 'orders', e: '1', topic: 't' }, json)).send, undefined);
  }
});

test('header reader: names of the same length and place in the cache are told apart', () => {
  const reader = new HeaderReader();
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 2_000; index++) {
      const topic = `topic-${index}`;
      assert.equal(read(frameOf(RequestCode.SEND_MESSAGE_V2, { ...v2, b: topic }, binary), reader).send?.topic, topic);
    }
  }
});

test('header reader: the bytes of properties are another request’s once the next header is read', () => {
  const reader = new HeaderReader();
  const first = read(frameOf(RequestCode.SEND_MESSAGE_V2, { ...v2, i: 'A\u00011\u0002' }, json), reader).send!;
  const kept = Buffer.from(first.propertyBytes!.bytes.subarray(first.propertyBytes!.from, first.propertyBytes!.to));
  read(frameOf(RequestCode.SEND_MESSAGE_V2, { ...v2, i: 'B\u00012\u0002' }, json), reader);
  assert.equal(kept.toString('latin1'), 'A\u00011\u0002');
  assert.equal(first.propertyBytes!.bytes.toString('latin1', 0, 1), 'B');
});

test('field table: a name that begins, ends and measures like a known one is none', () => {
  const table = new FieldTable({ queueId: 'integer', topic: 'name' });
  assert.equal(table.find(Buffer.from('queueId'), 0, 7), 0);
  assert.equal(table.find(Buffer.from('quXueId'), 0, 7), -1);
  assert.equal(table.find(Buffer.from('topic'), 0, 5), 1);
  assert.equal(table.find(Buffer.from('t'), 0, 1), -1);
});
