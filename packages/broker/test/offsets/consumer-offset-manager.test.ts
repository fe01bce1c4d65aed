import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsumerOffsetManager } from '../../src/offsets/consumer-offset-manager.ts';
import { roomy, tight } from '../budgets.ts';
import { fileOf, textOf } from '../table-fixtures.ts';

const RUNS = Number(process.env.VERNIER_PROPERTY_RUNS ?? 200);
const SEED = Number(process.env.VERNIER_SEED ?? Math.floor(Math.random() * 2 ** 31));

function open(budget = roomy()) {
  let now = 1_000;
  let changes = 0;
  const offsets = new ConsumerOffsetManager(
    () => now++,
    () => void changes++,
    budget,
  );
  return { offsets, budget, changes: () => changes };
}

/** The bytes of a table that holds just this. */
function bytesOf(file: unknown): number {
  const { offsets, budget } = open();
  offsets.load(file);
  return budget.usedBytes;
}

test('offsets: a commit beyond the budget is refused and leaves the table as it was', () => {
  const room = bytesOf({ offsetTable: { 'T@g': { 0: 1 } } });
  const { offsets, budget, changes } = open(tight(room));
  assert.equal(offsets.commit('g', 'T', 0, 1), true);
  const before = textOf(offsets);
  for (const [group, topic, queueId] of [
    ['g', 'T', 1],
    ['g', 'U', 0],
    ['h', 'T', 0],
  ] as const) {
    assert.equal(offsets.commit(group, topic, queueId, 5), false, `${topic}@${group} ${queueId}`);
    assert.equal(offsets.query(group, topic, queueId), -1);
  }
  assert.equal(textOf(offsets), before);
  assert.equal(changes(), 1, 'nobody is told to save what was refused');
  assert.equal(budget.usedBytes, room);
  assert.equal(budget.refusedCount, 3);
  assert.match(offsets.refusal, new RegExp(`${room} bytes are taken, testBytesMax is ${room}`));
  assert.equal(offsets.commit('g', 'T', 0, 2), true, 'a queue that is there goes on');
});

test('offsets: with room for exactly one queue more, that one is taken and the next is not', () => {
  const one = bytesOf({ offsetTable: { 'T@g': { 0: 1 } } });
  const two = bytesOf({ offsetTable: { 'T@g': { 0: 1, 1: 1 } } });
  const exact = open(tight(two)).offsets;
  assert.deepEqual([exact.commit('g', 'T', 0, 1), exact.commit('g', 'T', 1, 1)], [true, true]);
  assert.equal(exact.commit('g', 'T', 2, 1), false);
  const short = open(tight(two - 1)).offsets;
  assert.deepEqual([short.commit('g', 'T', 0, 1), short.commit('g', 'T', 1, 1)], [true, false]);
  assert.ok(two > one);
});

test('offsets: a pull’s place that has no room is not kept, and nothing else suffers', () => {
  const room = bytesOf({ offsetTable: { 'T@g': { 0: 1 } } });
  const { offsets, budget } = open(tight(room));
  offsets.commit('g', 'T', 0, 7);
  offsets.commitPull('g', 'T', 0, 9);
  assert.equal(offsets.queryPull('g', 'T', 0), -1);
  assert.equal(offsets.query('g', 'T', 0), 7);
  assert.equal(budget.usedBytes, room);
});

test('offsets: where pulls have got to is never saved', () => {
  const { offsets, changes } = open();
  offsets.commitPull('g', 'T', 0, 9);
  assert.equal(offsets.queryPull('g', 'T', 0), 9);
  assert.equal(offsets.query('g', 'T', 0), -1, 'a pull is no commit');
  assert.deepEqual(offsets.topicsOfGroup('g'), []);
  assert.equal(changes(), 0);
  assert.ok(!textOf(offsets).includes('T@g'));
});

test('offsets: the version moves with the first change after the table was written out, and never by a read', () => {
  const { offsets } = open();
  const counter = (): number => offsets.dataVersion.counter;
  offsets.commit('g', 'T', 0, 1);
  assert.equal(counter(), 1);
  offsets.commit('g', 'T', 0, 2);
  offsets.commit('g', 'T', 1, 2);
  assert.equal(counter(), 1, 'nobody has seen version 1 yet');
  const text = textOf(offsets);
  assert.equal(textOf(offsets), text, 'written twice, it says the same');
  offsets.query('g', 'T', 0);
  offsets.offsetsOf('g', 'T');
  offsets.groupsOfTopic('T');
  offsets.topicsByGroup();
  offsets.hasReset('g', 'T', 0);
  offsets.takeReset('g', 'T', 0);
  offsets.commit('g', 'T', 0, 2);
  offsets.removeTopic('U');
  offsets.removeGroup('h');
  assert.equal(counter(), 1);
  offsets.commit('g', 'T', 0, 3);
  assert.equal(counter(), 2);
  textOf(offsets);
  offsets.removeGroup('g');
  assert.equal(counter(), 3);
});

test('offsets: names that begin or end alike are not each other', () => {
  const { offsets } = open();
  const pairs = [
    ['g', 'T'],
    ['gg', 'T'],
    ['g', 'TT'],
    ['g', '%RETRY%g'],
    ['%RETRY%g', 'T'],
  ] as const;
  for (const [group, topic] of pairs) offsets.commit(group, topic, 0, 1);
  assert.deepEqual(offsets.groupsOfTopic('T').sort(), ['%RETRY%g', 'g', 'gg']);
  assert.deepEqual(offsets.topicsOfGroup('g').sort(), ['%RETRY%g', 'T', 'TT']);
  offsets.removeTopic('T');
  assert.deepEqual(
    pairs.map(([group, topic]) => offsets.query(group, topic, 0)),
    [-1, -1, 1, 1, -1],
  );
  offsets.removeGroup('g');
  assert.deepEqual(offsets.topicsByGroup(), new Map());
});

test('offsets: a name that every object has is a name like another', () => {
  const { offsets } = open();
  for (const name of ['__proto__', 'constructor', 'toString']) {
    assert.equal(offsets.query(name, name, 0), -1);
    assert.deepEqual(offsets.offsetsOf(name, name), new Map());
    offsets.commit(name, name, 0, 3);
  }
  const again = open().offsets;
  again.load(fileOf(offsets));
  for (const name of ['__proto__', 'constructor', 'toString']) assert.equal(again.query(name, name, 0), 3, name);
  assert.deepEqual(again.topicsByGroup(), offsets.topicsByGroup());
});

test('offsets: a reset that has no room is none: nothing is pending, nothing is committed', () => {
  const { offsets, budget, changes } = open(tight(bytesOf({ offsetTable: { 'T@g': { 0: 1 } } })));
  offsets.commit('g', 'T', 0, 7);
  const used = budget.usedBytes;
  assert.equal(offsets.assignResets('g', 'T', new Map([[0, 3]])), false);
  assert.equal(offsets.hasReset('g', 'T', 0), false);
  assert.equal(offsets.takeReset('g', 'T', 0), undefined);
  assert.equal(offsets.query('g', 'T', 0), 7);
  assert.deepEqual([budget.usedBytes, changes()], [used, 1]);
});

test('offsets: of resets that do not all have room none is done', () => {
  const one = bytesOf({ offsetTable: { 'T@g': { 0: 1 } } });
  const queue = bytesOf({ offsetTable: { 'T@g': { 0: 1, 1: 1 } } }) - one;
  const targets = new Map([
    [0, 1],
    [1, 2],
    [2, 3],
  ]);
  const { offsets, budget } = open(tight(2 * one + 4 * queue - 1));
  offsets.commit('g', 'T', 0, 9);
  const before = textOf(offsets);
  assert.equal(offsets.assignResets('g', 'T', targets), false);
  for (const queueId of targets.keys()) assert.equal(offsets.hasReset('g', 'T', queueId), false, `queue ${queueId}`);
  assert.equal(textOf(offsets), before);
  assert.equal(budget.usedBytes, one);
  const roomier = open(tight(2 * one + 4 * queue)).offsets;
  roomier.commit('g', 'T', 0, 9);
  assert.equal(roomier.assignResets('g', 'T', targets), true, 'a byte more, and all are');
  assert.deepEqual(
    [...targets.keys()].map((queueId) => roomier.query('g', 'T', queueId)),
    [1, 2, 3],
  );
});

test('offsets: a pending reset is saved as the commit that it is, and is not pending after a start', () => {
  const { offsets } = open();
  offsets.commit('g', 'T', 0, 9);
  offsets.assignResets('g', 'T', new Map([[0, 4]]));
  const again = open().offsets;
  again.load(fileOf(offsets));
  assert.equal(again.query('g', 'T', 0), 4);
  assert.equal(again.hasReset('g', 'T', 0), false);
  assert.equal(offsets.takeReset('h', 'T', 0), undefined);
  assert.equal(offsets.takeReset('g', 'T', 1), undefined);
  assert.equal(offsets.takeReset('g', 'T', 0), 4, 'what somebody else asked for did not take it');
});

test('offsets: a removed topic or group takes its pending resets and pulls along', () => {
  const { offsets, budget } = open();
  for (const remove of [() => offsets.removeTopic('T'), () => offsets.removeGroup('g')]) {
    offsets.commit('g', 'T', 0, 9);
    offsets.commitPull('g', 'T', 0, 9);
    offsets.assignResets('g', 'T', new Map([[0, 4]]));
    remove();
    assert.deepEqual([offsets.query('g', 'T', 0), offsets.queryPull('g', 'T', 0)], [-1, -1]);
    assert.equal(offsets.takeReset('g', 'T', 0), undefined);
    assert.equal(budget.usedBytes, 0);
  }
});

test('offsets: a file that is loaded over what is there counts each queue once', () => {
  const { offsets, budget } = open();
  const file = { offsetTable: { 'T@g': { 0: 1, 1: 2 }, 'U@g': { 0: 3 } } };
  offsets.load(file);
  const used = budget.usedBytes;
  offsets.load(file);
  assert.equal(budget.usedBytes, used);
  offsets.load({ offsetTable: { 'T@g': { 1: 5, 2: 6 } } });
  assert.deepEqual(
    [...offsets.offsetsOf('g', 'T')],
    [
      [0, 1],
      [1, 5],
      [2, 6],
    ],
  );
  offsets.removeGroup('g');
  assert.equal(budget.usedBytes, 0);
});

test('offsets: what is no table is refused; an entry that is no offset is passed over', () => {
  for (const file of [
    [],
    'x',
    7,
    { offsetTable: [] },
    { offsetTable: { 'T@g': [1] } },
    { offsetTable: { 'T@g': 5 } },
  ]) {
    assert.throws(() => open().offsets.load(file), { code: 'REMOTING_BODY_INVALID' }, JSON.stringify(file));
  }
  const { offsets } = open();
  offsets.load({
    offsetTable: { 'T@g': { 0: 5, x: 1, 1.5: 1, '': 4, ' ': 4, '-1': 3, 2: '7', 3: 1.5, 4: 2 ** 53, 5: null, 6: -4 } },
  });
  assert.deepEqual([...offsets.offsetsOf('g', 'T')], [[0, 5]]);
  const empty = open().offsets;
  empty.load({});
  assert.equal(empty.dataVersion.counter, 0);
});

test('offsets: whatever is committed, reset, removed and loaded: the bytes are those of what is there, and a start reads it', () => {
  const name = fc.constantFrom('a', 'aa', '__proto__', '%RETRY%a');
  const step = fc.record({
    act: fc.constantFrom('commit', 'commit', 'pull', 'reset', 'take', 'topic', 'group', 'reload'),
    ...{ group: name, topic: name, queueId: fc.nat(3), offset: fc.nat(1_000) },
  });
  const run = (steps: { act: string; group: string; topic: string; queueId: number; offset: number }[]): void => {
    const budget = tight(2_500);
    const { offsets } = open(budget);
    for (const { act, group, topic, queueId, offset } of steps) {
      const before = offsets.query(group, topic, queueId);
      if (act === 'commit' && !offsets.commit(group, topic, queueId, offset)) {
        assert.equal(offsets.query(group, topic, queueId), before);
      } else if (act === 'pull') offsets.commitPull(group, topic, queueId, offset);
      else if (act === 'reset') offsets.assignResets(group, topic, new Map([[queueId, offset]]));
      else if (act === 'take') offsets.takeReset(group, topic, queueId);
      else if (act === 'topic') offsets.removeTopic(topic);
      else if (act === 'group') offsets.removeGroup(group);
      else if (act === 'reload') offsets.load(fileOf(offsets));
      assert.ok(budget.usedBytes >= 0 && budget.usedBytes <= 2_500, `${budget.usedBytes} bytes`);
    }
    const again = open();
    again.offsets.load(fileOf(offsets));
    assert.equal(textOf(again.offsets), textOf(offsets));
    for (const each of ['a', 'aa', '__proto__', '%RETRY%a']) offsets.removeGroup(each);
    assert.equal(budget.usedBytes, 0, 'nothing is left of what has gone');
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), run), { seed: SEED, numRuns: RUNS });
});

test('offsets: a table of many is written in pieces of one group and topic each', () => {
  const { offsets } = open();
  for (let i = 0; i < 1_000; i++) offsets.commit(`g${i}`, 'T', 0, i);
  const pieces = [...offsets.encode()];
  assert.equal(pieces.length, 1_002);
  assert.ok(pieces.every((piece) => piece.length < 100));
  const first = offsets.encode()[Symbol.iterator]();
  first.next();
  first.next();
  offsets.removeGroup('g500');
  const rest: string[] = [];
  for (let piece = first.next(); piece.done !== true; piece = first.next()) rest.push(piece.value);
  assert.ok(!rest.join('').includes('"T@g500"'), 'what goes while it is written is not in it');
  assert.equal(rest.length, 999);
});

test('offsets: a topic is not taken for one whose name goes on behind an @', () => {
  const { offsets } = open();
  offsets.commit('g', '%LMQ%a', 0, 1);
  offsets.commit('g', '%LMQ%a@b', 0, 2);
  assert.deepEqual(offsets.groupsOfTopic('%LMQ%a'), ['g']);
  offsets.removeTopic('%LMQ%a');
  assert.equal(offsets.query('g', '%LMQ%a', 0), -1);
  assert.equal(offsets.query('g', '%LMQ%a@b', 0), 2);
});
