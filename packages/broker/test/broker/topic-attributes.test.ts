import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alterAttributes } from '../../src/broker/topic-attributes.ts';

const current = new Map([
  ['message.type', 'FIFO'],
  ['queue.type', 'SimpleCQ'],
]);

test('attributes are added, changed and removed', () => {
  assert.deepEqual(
    [...(alterAttributes(undefined, '+queue.type=BatchCQ,+reserve.time=-1').attributes ?? [])],
    [
      ['queue.type', 'BatchCQ'],
      ['reserve.time', '-1'],
    ],
  );
  assert.equal(alterAttributes(current, '+message.type=DELAY').attributes?.get('message.type'), 'DELAY');
  assert.equal(alterAttributes(current, '-message.type').attributes?.has('message.type'), false);
  assert.deepEqual(alterAttributes(current, undefined).attributes, current);
  assert.deepEqual(alterAttributes(current, ' ').attributes, current);
  assert.equal(current.get('message.type'), 'FIFO', 'the old ones are not touched');
});

test('changes that make no sense say why', () => {
  const cases: [ReadonlyMap<string, string> | undefined, string, RegExp][] = [
    [undefined, 'message.type=FIFO', /format is wrong/],
    [undefined, '+message.type', /format is wrong/],
    [undefined, '-message.type=FIFO', /format is wrong/],
    [undefined, '+nonsense=1', /unsupported key: nonsense/],
    [undefined, '+message.type=LOUD', /must be one of/],
    [undefined, '+reserve.time=-2', /-1 or more/],
    [undefined, '+message.type=FIFO,+message.type=DELAY', /duplication/],
    [undefined, '-message.type', /nonexistent/],
    [current, '+queue.type=BatchCQ', /unchangeable/],
    [current, '-queue.type', /unchangeable/],
  ];
  for (const [from, modification, fault] of cases) {
    assert.match(alterAttributes(from, modification).fault ?? '', fault, modification);
  }
});
