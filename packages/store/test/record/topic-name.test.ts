import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FoldedTopics, isTopicStorable, topicFault } from '../../src/record/topic-name.ts';

test('a topic is taken when a directory can have its name, and it comes back as it was given', () => {
  for (const topic of ['T', '%DLQ%a-b_c|d', '%RETRY%g', 'a.b', '...', 'Grüße', '温度', ' ', 'a\nb', 'x'.repeat(127)]) {
    assert.equal(topicFault(topic, 'linux'), undefined, JSON.stringify(topic));
    assert.ok(isTopicStorable(topic));
  }
  const refused: [string, RegExp][] = [
    ['', /0 bytes long, allowed are 1 to 127/],
    ['x'.repeat(128), /128 bytes/],
    ['ü'.repeat(64), /128 bytes/],
    [`%RETRY%${'x'.repeat(249)}`, /256 bytes long, allowed are 1 to 255/],
    ['devices/1/temp', /"devices\/1\/temp" cannot be the name of a directory/],
    ['/', /directory/],
    ['a\\b', /directory/],
    ['.', /directory/],
    ['..', /directory/],
    ['a\0b', /zero byte/],
    ['a\ud800', /surrogate/],
    ['\udc00a', /surrogate/],
  ];
  for (const [topic, fault] of refused) {
    assert.match(topicFault(topic, 'linux') ?? '', fault, JSON.stringify(topic));
    if (!/bytes/.test(String(fault))) assert.equal(isTopicStorable(topic), false, JSON.stringify(topic));
  }
  assert.equal(topicFault(`%RETRY%${'x'.repeat(248)}`, 'linux'), undefined);
});

test('on Windows a name that is a device, a stream or loses its end is refused too', () => {
  for (const topic of ['con', 'NUL', 'aux.log', 'lpt1', 'a:b', 'a|b', 'a?', 'a.', 'a ', 'a<b', 'a"b', 'a*']) {
    assert.match(topicFault(topic, 'win32') ?? '', /on Windows/, topic);
    assert.equal(topicFault(topic, 'linux'), undefined, topic);
  }
  for (const topic of ['console', 'T', 'a.b', '%RETRY%g']) assert.equal(topicFault(topic, 'win32'), undefined, topic);
});

test('folded topics: of two names that a file system takes for one, the second is told whose it is', () => {
  const topics = new FoldedTopics();
  assert.equal(topics.claim('Orders'), undefined);
  assert.equal(topics.claim('orders'), undefined, 'this file system tells them apart');
  topics.activate(['Orders', 'e\u0301']);
  assert.equal(topics.claim('orders'), 'Orders');
  assert.equal(topics.claim('Orders'), undefined);
  assert.equal(topics.claim('\u00e9'), 'e\u0301');
  assert.equal(topics.claim('other'), undefined);
  topics.release('orders');
  assert.equal(topics.claim('orders'), 'Orders', 'only the owner gives it up');
  topics.release('Orders');
  assert.equal(topics.claim('orders'), undefined);
});
