import assert from 'node:assert/strict';
import test from 'node:test';
import {
  decodeAck,
  decodeCheckPoint,
  encodeAck,
  encodeCheckPoint,
  indexOfAck,
  mergeKeyOf,
  type PopCheckPoint,
} from '../../src/pop/check-point.ts';

const point: PopCheckPoint = {
  ...{ topic: 'T', group: 'g', queueId: 2, startOffset: 7, diffs: [0, 2, 5], popTime: 1_000, invisibleMs: 60_000 },
  ...{ brokerName: 'broker-a', rePutTimes: 3 },
};
const ack = { ...point, queueOffsets: [9] };

test('checkpoint: what is written is read', () => {
  assert.deepEqual(decodeCheckPoint(encodeCheckPoint(point), 'own'), point);
  const { invisibleMs: _i, diffs: _d, rePutTimes: _r, ...rest } = ack;
  assert.deepEqual(decodeAck(encodeAck(ack, false), 'own'), rest);
  assert.deepEqual(decodeAck(encodeAck({ ...ack, queueOffsets: [7, 9] }, true), 'own')?.queueOffsets, [7, 9]);
  assert.equal(mergeKeyOf(point), mergeKeyOf(ack));
  assert.deepEqual(
    [7, 8, 9, 12, 6].map((offset) => indexOfAck(point, offset)),
    [0, -1, 1, 2, -1],
  );
});

test('checkpoint: RocketMQ’s texts, of the last version and of older ones', () => {
  const text = `{"bm":0,"bn":"broker-a","c":"g","d":[0,2,5],"it":60000,"n":3,"pt":1000,"q":2,"reviveTime":61000,"ro":0,"rp":"3","so":7,"t":"T"}`;
  assert.equal(encodeCheckPoint(point).toString(), text);
  assert.deepEqual(decodeCheckPoint(Buffer.from(text), 'own'), point);
  const old = `{"bm":0,"cId":"g","it":60000,"n":2,"pt":1000,"q":2,"so":7,"t":"T"}`;
  assert.deepEqual(decodeCheckPoint(Buffer.from(old), 'own'), {
    ...{ ...point, diffs: [0, 1], brokerName: 'own', rePutTimes: 0 },
  });
  const oldAck = `{"ackOffset":9,"consumerGroup":"g","popTime":1000,"queueId":2,"startOffset":7,"topic":"T"}`;
  assert.deepEqual(decodeAck(Buffer.from(oldAck), 'own')?.queueOffsets, [9]);
});

test('checkpoint: a count of tries that is no number is taken for many', () => {
  for (const rp of ['{"toString":null}', '[[{"toString":{}}]]', 'true', '"x"', '1e999']) {
    const text = encodeCheckPoint(point).toString().replace('"rp":"3"', `"rp":${rp}`);
    assert.equal(decodeCheckPoint(Buffer.from(text), 'own')?.rePutTimes, 127, rp);
  }
});

test('checkpoint: what is none is none', () => {
  const bad = [
    ...['', 'x', 'null', '[]', '{}', '"text"', '{"t":1}', '{"t":"T","c":"g","q":-1,"so":0,"pt":1,"it":1,"n":1}'],
    ...['{"t":"T","c":"g","q":0,"so":1e30,"pt":1,"it":1,"n":1}', '{"t":"T","c":"","q":0,"so":0,"pt":1,"it":1,"n":1}'],
    `{"t":"T","c":"g","q":0,"so":0,"pt":1,"it":1,"n":1,"d":[${'0,'.repeat(32)}0]}`,
    `${'['.repeat(500)}`,
  ];
  for (const text of bad) {
    assert.equal(decodeCheckPoint(Buffer.from(text), 'own'), undefined, text.slice(0, 40));
  }
  for (const text of ['{"t":"T","c":"g","q":0,"so":0,"pt":1}', '{"t":"T","c":"g","q":0,"so":0,"pt":1,"aol":["x"]}']) {
    assert.equal(decodeAck(Buffer.from(text), 'own'), undefined, text);
  }
  assert.equal(decodeCheckPoint(Buffer.alloc(70_000, 32), 'own'), undefined);
});
