import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForbiddenTopics } from '../../src/groups/forbidden-topics.ts';
import { roomy, tight } from '../budgets.ts';

const shown = (table: ForbiddenTopics): unknown => JSON.parse(`{${[...table.encode()].join(',')}}`);

test('forbidding one topic leaves the group’s others, and allowing it again too', () => {
  const table = new ForbiddenTopics(roomy());
  assert.equal(table.setReadable('g', 'T', true), false, 'it is allowed already');
  assert.equal(table.setReadable('g', 'T', false), true);
  assert.equal(table.setReadable('g', 'U', false), true);
  assert.equal(table.setReadable('g', 'U', false), false);
  assert.equal(table.setReadable('g', 'T', true), true);
  assert.equal(table.isReadForbidden('g', 'T'), false);
  assert.equal(table.isReadForbidden('g', 'U'), true, 'RocketMQ forgets the whole group here');
  assert.deepEqual(shown(table), { g: { U: 4 } });
});

test('names of members that every object has are names like others', () => {
  const table = new ForbiddenTopics(roomy());
  for (const name of ['__proto__', 'constructor', 'toString']) {
    assert.equal(table.isReadForbidden(name, name), false);
    table.setReadable(name, name, false);
    assert.equal(table.isReadForbidden(name, name), true);
  }
  const read = new ForbiddenTopics(roomy());
  assert.equal(read.load(shown(table)), 0);
  assert.deepEqual(shown(read), shown(table));
});

test('a file’s table: bits without a meaning are kept, what is no bits is left out and counted', () => {
  const table = new ForbiddenTopics(roomy());
  const file = { g: { T: 5, U: 0, V: -1, W: 1.5, X: '4', Y: 2 ** 31, Z: null }, h: {}, i: null };
  assert.equal(table.load(file), 5);
  assert.equal(table.isReadForbidden('g', 'T'), true);
  table.setReadable('g', 'T', true);
  assert.deepEqual(shown(table), { g: { T: 1 } });
  assert.throws(() => table.load({ g: [1] }), { code: 'REMOTING_BODY_INVALID' });
});

test('more than there is room for is refused and changes nothing; what goes gives its room back', () => {
  const budget = tight(2_000);
  const table = new ForbiddenTopics(budget);
  let count = 0;
  while (table.setReadable('g', `T${count}`, false) === true) count++;
  assert.ok(count > 3 && count < 9, `${count} entries`);
  assert.equal(table.isReadForbidden('g', `T${count}`), false);
  assert.equal(table.setReadable('g', 'T0', true), true);
  assert.equal(table.setReadable('g', `T${count}`, false), true);
  assert.equal(table.forgetGroup('g'), true);
  assert.equal(table.forgetGroup('g'), false);
  assert.equal(budget.usedBytes, 0);
  table.load({ g: Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`T${index}`, 4])) });
  assert.ok(budget.usedBytes > 2_000, 'what is on disk is loaded whatever it takes');
});
