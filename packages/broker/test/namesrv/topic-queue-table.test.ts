import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig, Perm, type QueueData, TopicSysFlag } from '@vernier/remoting';
import fc from 'fast-check';
import { TopicQueueTable } from '../../src/namesrv/topic-queue-table.ts';

const queue = (brokerName: string, more: Partial<QueueData> = {}): QueueData => ({
  ...{ brokerName, readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 },
  ...more,
});

test('routes of topics: a topic goes with its last broker, a broker with its last topic', () => {
  const table = new TopicQueueTable();
  table.put('T', queue('a'));
  table.put('T', queue('b'));
  table.put('U', queue('a'));
  table.remove('T', ['a', 'a', 'none']);
  assert.deepEqual([table.topics, table.entryCount], [['T', 'U'], 2]);
  table.remove('T', ['b']);
  assert.deepEqual([table.topics, table.queues('T')], [['U'], undefined]);
  table.removeBroker('a');
  table.removeBroker('a');
  table.remove('None');
  assert.deepEqual([table.size, table.entryCount, [...table.topicsOf(['a', 'b'])]], [0, 0, []]);
});

test('routes of topics: an entry that is put again is the same entry with other numbers', () => {
  const table = new TopicQueueTable();
  table.put('T', queue('a'));
  table.putConfig('a', createTopicConfig('T', { readQueueNums: 5, writeQueueNums: 7, perm: 4, topicSysFlag: 2 }));
  assert.equal(table.entryCount, 1);
  const numbers = { readQueueNums: 5, writeQueueNums: 7, perm: 4, topicSysFlag: 2 };
  assert.deepEqual(table.queues('T')?.get('a'), queue('a', numbers));
});

test('routes of topics: all but the excepted topics of one broker go, and none of another', () => {
  const table = new TopicQueueTable();
  for (const topic of ['T', 'U', 'V']) for (const broker of ['a', 'b']) table.put(topic, queue(broker));
  table.removeBroker('a', new Map([['U', 1]]));
  assert.deepEqual([...table.topicsOf(['a'])], ['U']);
  assert.deepEqual([...table.topicsOf(['b'])], ['T', 'U', 'V']);
  assert.equal(table.entryCount, 4);
});

test('routes of topics: write permission is taken from one broker’s entries alone, and a copy given out stays as it was', () => {
  const table = new TopicQueueTable();
  for (const topic of ['T', 'U']) for (const broker of ['a', 'b']) table.put(topic, queue(broker));
  table.put('V', queue('a', { perm: Perm.WRITE }));
  const given = table.queues('T')?.get('a');
  assert.equal(table.wipeWritePerm('a'), 3);
  assert.equal(table.wipeWritePerm('none'), 0);
  const perms = () => ['T', 'U', 'V'].map((topic) => ['a', 'b'].map((name) => table.queues(topic)?.get(name)?.perm));
  assert.deepEqual(perms(), [
    [4, 6],
    [4, 6],
    [0, undefined],
  ]);
  assert.equal(given?.perm, 6);
  assert.equal(table.addWritePerm('a'), 3);
  assert.deepEqual(perms(), [
    [6, 6],
    [6, 6],
    [6, undefined],
  ]);
});

test('routes of topics: unit flags are asked for each by itself', () => {
  const table = new TopicQueueTable();
  const flags = { None: 0, Unit: TopicSysFlag.UNIT, Sub: TopicSysFlag.UNIT_SUB, Both: 3 };
  for (const [topic, topicSysFlag] of Object.entries(flags)) table.put(topic, queue('a', { topicSysFlag }));
  const of = (unit: boolean | undefined, sub: boolean | undefined) => [...table.topicsByUnit(unit, sub)];
  assert.deepEqual(of(undefined, undefined), ['None', 'Unit', 'Sub', 'Both']);
  assert.deepEqual(of(true, undefined), ['Unit', 'Both']);
  assert.deepEqual(of(undefined, true), ['Sub', 'Both']);
  assert.deepEqual(of(false, true), ['Sub']);
  assert.deepEqual(of(false, false), ['None']);
});

test('routes of topics: whatever is put and removed, both ways of looking agree and every entry is counted once', () => {
  const seed = Number(process.env.VERNIER_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const step = fc.record({
    act: fc.constantFrom('put', 'put', 'remove', 'removeAll', 'broker', 'wipe'),
    ...{ topic: fc.constantFrom('T', 'U', '__proto__'), broker: fc.constantFrom('a', 'b', 'constructor') },
  });
  const run = (steps: { act: string; topic: string; broker: string }[]): void => {
    const table = new TopicQueueTable();
    const model = new Set<string>();
    const key = (topic: string, broker: string): string => JSON.stringify([topic, broker]);
    const forget = (matches: (topic: string, broker: string) => boolean): void => {
      for (const each of [...model]) if (matches(...(JSON.parse(each) as [string, string]))) model.delete(each);
    };
    for (const { act, topic, broker } of steps) {
      if (act === 'put') {
        table.put(topic, queue(broker));
        model.add(key(topic, broker));
      } else if (act === 'remove') {
        table.remove(topic, [broker]);
        model.delete(key(topic, broker));
      } else if (act === 'removeAll') {
        table.remove(topic);
        forget((of) => of === topic);
      } else if (act === 'broker') {
        table.removeBroker(broker);
        forget((_, of) => of === broker);
      } else table.wipeWritePerm(broker);
      const byTopic = table.topics.flatMap((name) =>
        [...(table.queues(name)?.keys() ?? [])].map((of) => key(name, of)),
      );
      assert.deepEqual(new Set(byTopic), model);
      assert.equal(table.entryCount, model.size);
      for (const name of ['a', 'b', 'constructor']) {
        for (const of of table.topicsOf([name])) assert.ok(model.has(key(of, name)));
      }
    }
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), run), { seed, numRuns: 200 });
});
