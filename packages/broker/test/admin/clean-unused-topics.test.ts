import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MessageStore, silentLogger } from '@vernier/store';
import { cleanUnusedTopics } from '../../src/admin/clean-unused-topics.ts';
import { Tables } from '../table-fixtures.ts';

function open(names: string[]) {
  const tables = new Tables();
  const removed: string[] = [];
  const lines: object[] = [];
  const logger = { ...silentLogger, warn: (fields: object) => void lines.push(fields) };
  let onDelete = (_topic: string): void => {};
  const store = {
    queuesByTopic: () => new Map(names.map((name) => [name, [0]])),
    deleteTopic: async (topic: string) => {
      onDelete(topic);
      removed.push(topic);
    },
  } as unknown as MessageStore;
  const clean = () => cleanUnusedTopics(store, tables.topics, logger);
  return { tables, removed, lines, clean, during: (act: typeof onDelete) => (onDelete = act) };
}

test('unused topics: only queues of topics that neither the table nor the broker knows are removed', async () => {
  const { tables, removed, lines, clean } = open([
    ...['Known', 'Lost', 'SCHEDULE_TOPIC_XXXX', 'RMQ_SYS_TRACE_TOPIC', 'rmq_sys_anything', '%LMQ%light', '%RETRY%g'],
  ]);
  tables.topic('Known');
  const before = tables.shown();
  assert.deepEqual(await clean(), ['Lost', '%RETRY%g']);
  assert.deepEqual(removed, ['Lost', '%RETRY%g']);
  assert.deepEqual(lines, [{ topics: ['Lost', '%RETRY%g'] }]);
  assert.deepEqual(tables.shown(), before);
});

test('unused topics: one that a message makes before its turn comes stays', async () => {
  const { tables, removed, clean, during } = open(['Lost', 'Remade']);
  during(() => void tables.topic('Remade'));
  assert.deepEqual(await clean(), ['Lost']);
  assert.deepEqual(removed, ['Lost']);
});

test('unused topics: where there is none, nothing is removed and no line is written', async () => {
  const { tables, removed, lines, clean } = open(['Known']);
  tables.topic('Known');
  assert.deepEqual(await clean(), []);
  assert.deepEqual([removed, lines], [[], []]);
});

test('unused topics: a store that fails in the middle says so, and those before are gone', async () => {
  const { removed, clean, during } = open(['A', 'B', 'C']);
  during((topic) => {
    if (topic === 'B') throw new Error('EIO');
  });
  await assert.rejects(clean(), /EIO/);
  assert.deepEqual(removed, ['A']);
});
