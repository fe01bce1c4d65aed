import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DecodedMessage } from '@vernier/remoting';
import { mergeByTime, parseFrom, tagFilter } from '../../src/client/pull.ts';
import type { CliError } from '../../src/errors.ts';

const message = (queueId: number, storeTimestamp: number, tags = ''): DecodedMessage =>
  ({ queueId, storeTimestamp, properties: new Map([['TAGS', tags]]) }) as DecodedMessage;

async function* stream(...messages: DecodedMessage[]): AsyncGenerator<DecodedMessage, void, undefined> {
  yield* messages;
}

test('parseFrom: first, last, an ISO time, Unix milliseconds; anything else is refused', () => {
  assert.equal(parseFrom('first'), 'first');
  assert.equal(parseFrom('last'), 'last');
  assert.deepEqual(parseFrom('2026-01-31T12:00:00Z'), { timestamp: Date.UTC(2026, 0, 31, 12) });
  assert.deepEqual(parseFrom('1769860800000'), { timestamp: 1_769_860_800_000 });
  assert.throws(
    () => parseFrom('beginning'),
    (error: CliError) => error.code === 'CLI_USAGE',
  );
});

test('tagFilter: a star takes all, names take exactly themselves', () => {
  assert.equal(tagFilter('*')(message(0, 0, 'x')), true);
  const some = tagFilter('paid || shipped');
  assert.deepEqual(
    ['paid', 'shipped', 'pai', ''].map((tag) => some(message(0, 0, tag))),
    [true, true, false, false],
  );
});

test('mergeByTime: one stream by store time, the order within a queue untouched', async () => {
  const merged: string[] = [];
  const streams = [
    stream(message(0, 1), message(0, 9), message(0, 4)),
    stream(),
    stream(message(2, 2), message(2, 10)),
  ];
  for await (const { queueId, storeTimestamp } of mergeByTime(streams)) merged.push(`${queueId}:${storeTimestamp}`);
  // Queue 0 has a clock that went back: its 4 stays behind its 9.
  assert.deepEqual(merged, ['0:1', '2:2', '0:9', '0:4', '2:10']);
});
