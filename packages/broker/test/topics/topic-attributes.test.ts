import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alterAttributes } from '../../src/topics/topic-attributes.ts';

const current = new Map([
  ['message.type', 'FIFO'],
  ['queue.type', 'SimpleCQ'],
]);

test('attributes are added, changed and removed', () => {
  assert.deepEqual(
    [...(alterAttributes(undefined, '+queue.type=SimpleCQ,+reserve.time=-1').attributes ?? [])],
    [
      ['queue.type', 'SimpleCQ'],
      ['reserve.time', '-1'],
    ],
  );
  assert.equal(alterAttributes(current, '+message.type=DELAY').attributes?.get('message.type'), 'DELAY');
  assert.equal(alterAttributes(current, '-message.type').attributes?.has('message.type'), false);
  assert.deepEqual(alterAttributes(current, undefined).attributes, current);
  assert.deepEqual(alterAttributes(current, ' ').attributes, current);
  assert.equal(current.get('message.type'), 'FIFO', 'the old ones are not touched');
});

test('every value that RocketMQ 5.5.0 takes is taken, but for what is not there yet', () => {
  const values: Record<string, string[]> = {
    'message.type': ['UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'LITE', 'MIXED'],
    'cleanup.policy': ['DELETE'],
    'queue.type': ['SimpleCQ', 'BatchCQ'],
    'reserve.time': ['-1', '0', '+5', '9223372036854775807'],
    'lite.topic.expiration': ['-1', '0', '30', '43200'],
  };
  for (const [name, texts] of Object.entries(values)) {
    for (const text of texts) {
      assert.equal(alterAttributes(undefined, `+${name}=${text}`).attributes?.get(name), text, `${name}=${text}`);
    }
  }
});

test('what a topic on disk has stays while other attributes change', () => {
  const old = new Map([
    ['queue.type', 'BatchCQ'],
    ['cleanup.policy', 'COMPACTION'],
    ['message.type', 'MIXED'],
  ]);
  const change = alterAttributes(old, '+reserve.time=5');
  assert.deepEqual([...(change.attributes ?? [])], [...old, ['reserve.time', '5']]);
  assert.ok(change.attributes !== undefined);
  assert.deepEqual([...change.added], [['reserve.time', '5']], 'nobody asked for MIXED now');
});

test('changes that make no sense say why', () => {
  const cases: [ReadonlyMap<string, string> | undefined, string, RegExp][] = [
    [undefined, 'message.type=FIFO', /format is wrong/],
    [undefined, '+message.type', /format is wrong/],
    [undefined, '-message.type=FIFO', /format is wrong/],
    [undefined, '+=FIFO', /unsupported key: $/],
    [undefined, '+nonsense=1', /unsupported key: nonsense/],
    [undefined, '+constructor=1', /unsupported key: constructor/],
    [undefined, '+message.type=LOUD', /must be one of/],
    [undefined, '+message.type=', /must be one of/],
    [undefined, '+cleanup.policy=COMPACTION', /COMPACTION: is not supported by this broker yet/],
    [undefined, '+queue.type=RocksDBCQ', /must be one of BatchCQ, SimpleCQ/],
    [undefined, '+reserve.time=-2', /from -1 to 9223372036854775807/],
    [undefined, '+reserve.time=9223372036854775808', /from -1 to/],
    [undefined, '+reserve.time=1.5', /from -1 to/],
    [undefined, '+lite.topic.expiration=43201', /from -1 to 43200/],
    [undefined, '+message.type=FIFO,+message.type=DELAY', /duplication/],
    [undefined, '-message.type', /nonexistent/],
    [current, '+queue.type=SimpleCQ', /unchangeable/],
    [current, '-queue.type', /unchangeable/],
    [current, '+cleanup.policy=DELETE', /unchangeable/],
  ];
  for (const [from, modification, fault] of cases) {
    assert.match(alterAttributes(from, modification).fault ?? '', fault, modification);
  }
});
