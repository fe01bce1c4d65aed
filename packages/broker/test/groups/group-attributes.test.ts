import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alterGroupAttributes } from '../../src/groups/group-attributes.ts';

test('group attributes: signed names change them, by the ranges of RocketMQ 5.5.0', () => {
  const signed = {
    '+priority.factor': '100',
    '+lite.bind.topic': 'T',
    '+lite.sub.model': 'Exclusive',
    '+lite.sub.reset.offset.exclusive': 'true',
    '+lite.sub.reset.offset.unsubscribe': 'FALSE',
    '+lite.sub.client.quota': '-1',
    '+lite.sub.client.max.event.cnt': '10',
    '+lite.sub.wildcard': '*',
  };
  const made = alterGroupAttributes(undefined, signed);
  assert.deepEqual(
    [...(made.attributes?.keys() ?? [])],
    Object.keys(signed).map((name) => name.slice(1)),
  );
  const changed = alterGroupAttributes(
    { 'priority.factor': '100' },
    { '-priority.factor': '', '+lite.sub.model': 'Shared' },
  );
  assert.deepEqual([...(changed.attributes ?? [])], [['lite.sub.model', 'Shared']]);
});

test('group attributes: anything else says why not', () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ 'priority.factor': '5' }, /wrong format key: priority.factor/],
    [{ '+priority.factor': '101' }, /from 0 to 100/],
    [{ '+priority.factor': 'x' }, /from 0 to 100/],
    [{ '+lite.sub.client.max.event.cnt': '9' }, /from 10 to/],
    [{ '+lite.sub.model': 'shared' }, /must be one of Shared, Exclusive/],
    [{ '+lite.bind.topic': '' }, /must be text/],
    [{ '+lite.bind.topic': 'x'.repeat(256) }, /must be text/],
    [{ '+lite.sub.wildcard': 'a\u0000' }, /must be text/],
    [{ '+nothing': '1' }, /unsupported key: nothing/],
    [{ '-priority.factor': '' }, /nonexistent/],
    [{ '+priority.factor': '5', '-priority.factor': '' }, /duplication/],
  ];
  for (const [signed, fault] of cases) assert.match(alterGroupAttributes(undefined, signed).fault ?? '', fault);
});
