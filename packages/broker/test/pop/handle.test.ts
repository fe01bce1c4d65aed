import assert from 'node:assert/strict';
import test from 'node:test';
import { handleText, OffsetInfos, parseHandle, retryMark, topicOfMark } from '../../src/pop/handle.ts';

test('handle: what is written is read, as RocketMQ has it', () => {
  const handle = {
    ...{ startOffset: 7, popTime: 1_700_000_000_000, invisibleMs: 60_000, reviveQueueId: 3, brokerName: 'broker-a' },
    ...{ topic: '%RETRY%g_T', queueId: 0, queueOffset: 9 },
  };
  const text = handleText(handle);
  assert.equal(text, '7 1700000000000 60000 3 1 broker-a 0 9');
  const { topic: _t, queueId: _q, queueOffset: _o, ...rest } = handle;
  assert.deepEqual(parseHandle(text), rest);
  assert.deepEqual(parseHandle('7 1700000000000 60000 3 1 broker-a'), rest, 'of an old client');
});

test('handle: what is none is refused with what is wrong', () => {
  const bad: [string, RegExp][] = [
    ['', /1 fields/],
    ['1 2 3', /3 fields/],
    ['x 1 1 0 0 b 0 0', /queue offset is "x"/],
    ['-1 1 1 0 0 b 0 0', /queue offset/],
    ['99999999999999999999 1 1 0 0 b 0 0', /queue offset/],
    ['9223372036854775807 1 1 0 0 b 0 0', /queue offset/],
    ['1 9223372036854775807 1 0 0 b 0 0', /pop time/],
    ['1 1 9223372036854775807 0 0 b 0 0', /invisible time/],
    ['1 1 1.5 0 0 b 0 0', /invisible time/],
    ['1 1 1 2147483648 0 b 0 0', /revive queue/],
    ['1 1 1 -999 0 b 0 0', /revive queue/],
    ['1 1 1 0 0  0 0', /without a broker/],
    [`${'1 '.repeat(600)}`, /1200 characters/],
  ];
  for (const [text, why] of bad) assert.match(String(parseHandle(text)), why, text.slice(0, 40));
});

test('handle: the mark says which topic of retries', () => {
  assert.equal(retryMark('T'), '0');
  assert.equal(retryMark('%RETRY%g_T'), '1');
  assert.equal(retryMark('%RETRY%g+T'), '2');
  for (const mark of ['0', '1', '2']) assert.equal(retryMark(topicOfMark('T', 'g', mark)!), mark);
  assert.equal(topicOfMark('T', 'g', '3'), undefined);
  assert.equal(topicOfMark('T', 'g', ''), undefined);
});

test('offset infos: as RocketMQ’s clients read them', () => {
  const infos = new OffsetInfos();
  assert.equal(infos.startOffsetInfo, '');
  infos.addQueue('T', 3, 17, [17, 18, 20]);
  infos.addQueue('%RETRY%g_T', 0, 5, [5]);
  assert.equal(infos.startOffsetInfo, '0 3 17;1 0 5');
  assert.equal(infos.msgOffsetInfo, '0 3 17,18,20;1 0 5');
  infos.addCounts('T', 3, [17, 18], new Map([[17, 2]]));
  infos.addCounts('T', 4, [1], new Map([[1, 3]]));
  assert.equal(infos.orderCountInfo, '0 qo3%17 2;0 3 0;0 qo4%1 3;0 4 3');
});
