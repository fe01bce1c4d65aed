import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { type KeyQuery, MessageQuery } from '../../src/admin/message-query.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { defaultBrokerConfig } from '../../src/config.ts';

function open() {
  const asked: unknown[][] = [];
  const config = { ...defaultBrokerConfig };
  const found = { records: [] as Buffer[], indexLastUpdateTimestamp: 7, indexLastUpdatePhyoffset: 8 };
  const store = {
    queryMessage: async (...args: unknown[]) => {
      asked.push(args);
      return { ...found, records: [...found.records] };
    },
    selectOneMessageByOffset: async (offset: number) => {
      asked.push([offset]);
      return offset === 0 ? Buffer.from('first') : undefined;
    },
  } as unknown as MessageStore;
  return { config, found, asked, query: new MessageQuery(config, store) };
}

const byKey: KeyQuery = {
  ...{ topic: 'T', key: 'k', isUnique: false, isTag: false, maxNum: 5, begin: 1, end: 2 },
};

test('message query: the newest are found first and given in the order of the log', async () => {
  const { query, found } = open();
  found.records = ['c', 'b', 'a'].map((text) => Buffer.from(text));
  const { records, ...rest } = await query.byKey(byKey);
  assert.deepEqual(records.map(String), ['a', 'b', 'c']);
  assert.deepEqual(rest, { indexLastUpdateTimestamp: 7, indexLastUpdatePhyoffset: 8 });
  found.records = [];
  assert.deepEqual((await query.byKey(byKey)).records, []);
});

test('message query: a number that asks for nothing asks for one; a unique key has a number of its own', async () => {
  const { query, asked, config } = open();
  for (const maxNum of [0, -1, Number.MIN_SAFE_INTEGER, 1, 5]) await query.byKey({ ...byKey, maxNum });
  assert.deepEqual(
    asked.map((args) => args[2]),
    [1, 1, 1, 1, 5],
  );
  config.defaultQueryMaxNum = 77;
  await query.byKey({ ...byKey, isUnique: true, maxNum: 1_000_000 });
  assert.deepEqual(asked.at(-1), ['T', 'k', 77, 1, 2, 'key']);
});

test('message query: a tag is looked for as a tag, but for a unique key', async () => {
  const { query, asked } = open();
  await query.byKey({ ...byKey, isTag: true });
  await query.byKey({ ...byKey, isTag: true, isUnique: true });
  assert.deepEqual(
    asked.map((args) => args.at(-1)),
    ['tag', 'key'],
  );
});

test('message query: a place where no record begins is refused by its number; one before the log is not looked at', async () => {
  const { query, asked } = open();
  assert.equal(String(await query.at(0)), 'first');
  for (const offset of [1, 2 ** 52, -1, Number.MIN_SAFE_INTEGER]) {
    const outcome = await query.at(offset);
    assert.ok(outcome instanceof Refusal);
    assert.equal(outcome.code, ResponseCode.SYSTEM_ERROR);
    assert.equal(outcome.remark, `can not find message by the offset, ${offset}`);
  }
  assert.deepEqual(asked, [[0], [1], [2 ** 52]]);
});
