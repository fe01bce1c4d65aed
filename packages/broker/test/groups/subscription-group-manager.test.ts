import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInGroups } from '../../src/base/names.ts';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { SubscriptionGroupManager } from '../../src/groups/subscription-group-manager.ts';
import { roomy } from '../budgets.ts';
import { fileOf, Tables, textOf } from '../table-fixtures.ts';

test('groups: a name that is none makes no group, however it is asked for', () => {
  const tables = new Tables();
  const before = tables.shown();
  for (const name of ['', ' ', 'a b', 'a@b', 'a/b', '..', 'ü', 'g\u0000', 'g\n', 'g'.repeat(121)]) {
    assert.equal(tables.groups.find(name), undefined, JSON.stringify(name));
    assert.equal(tables.groups.preview(name), undefined);
    assert.equal(tables.groups.has(name), false);
  }
  assert.deepEqual(tables.shown(), before);
});

test('groups: one that may not be made is not, and those that are there are found', () => {
  const tables = new Tables({ config: { autoCreateSubscriptionGroup: false } });
  const before = tables.shown();
  assert.equal(tables.groups.find('g'), undefined);
  assert.equal(tables.groups.preview('g'), undefined);
  for (const name of builtInGroups) assert.deepEqual(tables.groups.find(name), subscriptionGroup(name));
  assert.deepEqual(tables.shown(), before);
  tables.config.autoCreateSubscriptionGroup = true;
  assert.ok(tables.groups.find('g'), 'the setting counts at each use');
});

test('groups: a preview makes nothing and takes no room', () => {
  const tables = new Tables({ room: { groups: 0 } });
  const before = tables.shown();
  assert.deepEqual(tables.groups.preview('g'), subscriptionGroup('g'));
  assert.deepEqual(tables.shown(), before);
  assert.equal(tables.budgets.groups.refusedCount, 0);
});

test('groups: the group for which there is no room is not made, and nobody is told to save it', () => {
  const tables = new Tables({ room: { groups: 3_000 } });
  let made = 0;
  while (made < 100 && tables.groups.find(`g${made}`) !== undefined) made++;
  const before = tables.shown();
  assert.equal(tables.changes.groups, made);
  assert.equal(tables.groups.find('another'), undefined);
  assert.deepEqual(tables.shown(), before);
  assert.equal(tables.budgets.groups.refusedCount, 2);
  assert.match(tables.groups.noRoom, /there is no room for more of it/);
  tables.groups.delete('g0');
  assert.ok(tables.groups.find('another'), 'what goes makes room for one more');
  assert.equal(tables.groups.find('and-one-more'), undefined);
});

test('groups: the room is that of what is there, through growing, shrinking, replacing and deleting', () => {
  const tables = new Tables();
  const { groups, budgets } = tables;
  const empty = budgets.groups.usedBytes;
  groups.find('g');
  const plain = budgets.groups.usedBytes;
  const attributes = { 'lite.bind.topic': 'x'.repeat(255) };
  groups.update(subscriptionGroup('g', { attributes }));
  assert.ok(budgets.groups.usedBytes >= plain + 2 * 255);
  groups.update(subscriptionGroup('g'));
  assert.equal(budgets.groups.usedBytes, plain);
  assert.equal(groups.delete('g'), true);
  assert.equal(groups.delete('g'), false);
  assert.equal(groups.delete('constructor'), false);
  assert.equal(budgets.groups.usedBytes, empty);
});

test('groups: room is asked for the difference: what shrinks fits into a full table', () => {
  const tables = new Tables({ room: { groups: 3_000 } });
  const large = subscriptionGroup('g', { attributes: { 'lite.bind.topic': 'x'.repeat(255) } });
  tables.groups.update(large);
  for (let i = 0; i < 10; i++) tables.groups.find(`g${i}`);
  assert.equal(tables.groups.hasRoomFor([subscriptionGroup('g')]), true);
  assert.equal(tables.groups.hasRoomFor([large]), true);
  assert.equal(tables.groups.hasRoomFor([subscriptionGroup('g', { attributes: { a: 'x'.repeat(4_000) } })]), false);
});

test('groups: the version moves with each change and with nothing else', () => {
  const tables = new Tables();
  const { groups } = tables;
  const counter = () => groups.dataVersion.counter;
  assert.equal(counter(), 0);
  groups.find('g');
  assert.equal(counter(), 1);
  groups.find('g');
  groups.preview('h');
  groups.has('h');
  groups.find('bad name');
  groups.delete('h');
  groups.hasRoomFor([subscriptionGroup('h')]);
  groups.isReadForbidden('g', 'T');
  assert.equal(textOf(groups), textOf(groups));
  assert.equal(counter(), 1);
  groups.delete('g');
  assert.equal(counter(), 2);
  assert.equal(tables.changes.groups, 2);
});

test('groups: what is forbidden is read, kept and written back, and forbids no more than it says', () => {
  const { groups } = new Tables();
  groups.load({ forbiddenTable: { g: { T: 4, U: 2, V: 7 }, h: {} } });
  const forbidden = [
    ['g', 'T'],
    ['g', 'U'],
    ['g', 'V'],
    ['g', 'W'],
    ['h', 'T'],
    ['none', 'T'],
    ['__proto__', 'toString'],
    ['constructor', 'name'],
  ].map(([group, topic]) => groups.isReadForbidden(group!, topic!));
  assert.deepEqual(forbidden, [true, false, true, false, false, false, false, false]);
  const again = new Tables().groups;
  again.load(fileOf(groups));
  assert.equal(again.isReadForbidden('g', 'T'), true);
  assert.equal(again.isReadForbidden('g', 'U'), false);
});

test('groups: a file with members that cannot be is read with their defaults and one line a group', () => {
  const lines: string[] = [];
  const log = (_fields: object, line: string): void => void lines.push(line);
  const logger = { debug: log, info: log, warn: log, error: log };
  const groups = new SubscriptionGroupManager(new Tables().config, {
    ...{ logger, budget: roomy(), now: () => 0 },
    changed: () => assert.fail('loading is no change'),
  });
  groups.load({
    subscriptionGroupTable: {
      g: { groupName: 'another', retryQueueNums: 1.5, retryMaxTimes: 3, consumeEnable: 'no' },
      good: { retryMaxTimes: 5 },
      none: null,
    },
    dataVersion: { counter: 7 },
  });
  assert.deepEqual(groups.find('g'), subscriptionGroup('g', { retryMaxTimes: 3 }), 'its name is that of its entry');
  assert.equal(groups.has('another'), false);
  assert.equal(groups.find('good')?.retryMaxTimes, 5);
  assert.equal(groups.dataVersion.counter, 7);
  assert.deepEqual(lines, [
    'subscriptionGroup.json: defaults of group g stand in',
    'subscriptionGroup.json: defaults of group none stand in',
  ]);
});

test('groups: what is no table is refused; a file without members leaves the built-in groups', () => {
  for (const file of [[], 'x', 5, { subscriptionGroupTable: [] }, { forbiddenTable: 'x' }]) {
    assert.throws(() => new Tables().groups.load(file), { code: 'REMOTING_BODY_INVALID' }, JSON.stringify(file));
  }
  const { groups } = new Tables();
  groups.load({});
  assert.deepEqual([...groups.table.keys()], [...builtInGroups]);
});

test('groups: a table larger than its budget is loaded whole; only what is new is refused', () => {
  const large = new Tables();
  for (let i = 0; i < 100; i++) large.groups.find(`g${i}`);
  const tables = new Tables({ room: { groups: 1_000 } });
  tables.groups.load(fileOf(large.groups));
  assert.deepEqual(tables.groups.table, large.groups.table);
  assert.equal(tables.budgets.groups.usedBytes, large.budgets.groups.usedBytes);
  assert.equal(tables.groups.find('new'), undefined);
  assert.ok(tables.groups.find('g99'));
});
