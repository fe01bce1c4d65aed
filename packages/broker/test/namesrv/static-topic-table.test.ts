import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StaticTopicTable } from '../../src/namesrv/static-topic-table.ts';

const mapping = (more: object = {}): object => ({
  ...{ bname: 'b', currIdMap: { 0: 1 }, dirty: false, epoch: 7, scope: '__global__', topic: 'T', totalQueues: 2 },
  ...more,
});

test('static topics: what is no mapping is refused and leaves nothing', () => {
  const table = new StaticTopicTable();
  for (const sent of [undefined, null, 'x', 7, [], [mapping()]]) {
    assert.equal(table.put('T', 'b', sent), 'the mapping of the static topic T is none', String(sent));
  }
  assert.match(table.put('x'.repeat(10_000), 'b', null) ?? '', /^the mapping of the static topic x{255} is none$/);
  assert.deepEqual([table.of('T'), table.bytes], [undefined, 0]);
});

test('static topics: members of other types, and others than RocketMQ’s, are left out of what is kept', () => {
  const table = new StaticTopicTable();
  const wrong = { bname: 5, dirty: 'true', epoch: 1.5, scope: {}, topic: null, totalQueues: '2', more: mapping() };
  const ids = { 0: 1, '-1': 2, x: 3, 1.5: 4, 2: 'x', 3: 0.5, 99999999999: 1, __proto__: { 4: 4 } };
  assert.equal(table.put('T', 'b', { ...wrong, currIdMap: ids }), undefined);
  const kept = table.of('T')?.get('b');
  assert.deepEqual(JSON.parse(JSON.stringify(kept)), { currIdMap: { 0: 1, '-1': 2 }, dirty: false });
});

test('static topics: a mapping that is replaced or goes with its broker gives its bytes back exactly', () => {
  const table = new StaticTopicTable();
  table.put('T', 'a', mapping());
  const one = table.bytes;
  table.put('T', 'b', mapping({ scope: 'x'.repeat(100) }));
  const two = table.bytes;
  table.put('T', 'b', mapping({ scope: 'x'.repeat(1_000) }));
  assert.equal(table.bytes, two + 900);
  table.put('T', 'b', mapping({ scope: 'x'.repeat(100) }));
  assert.equal(table.bytes, two);
  table.removeBroker('b');
  table.removeBroker('b');
  table.removeBroker('none');
  assert.equal(table.bytes, one);
  assert.deepEqual([...(table.of('T')?.keys() ?? [])], ['a']);
  table.remove('T', 'b');
  table.remove('U', 'a');
  assert.equal(table.bytes, one);
  table.remove('T', 'a');
  assert.deepEqual([table.of('T'), table.bytes], [undefined, 0]);
  table.put('T', 'a', mapping());
  table.removeBroker('a');
  assert.deepEqual([table.of('T'), table.bytes], [undefined, 0]);
});

test('static topics: 65,536 bytes are the most of one mapping; a larger one leaves the known one as it is', () => {
  const table = new StaticTopicTable();
  table.put('T', 'b', mapping({ scope: '' }));
  const rest = table.bytes;
  assert.equal(table.put('T', 'b', mapping({ scope: 'x'.repeat(65_536 - rest) })), undefined);
  assert.equal(table.bytes, 65_536);
  const refusal = table.put('T', 'b', mapping({ scope: 'y'.repeat(65_537 - rest) }));
  assert.match(refusal ?? '', /static topic T has 65537 bytes, at most 65536 are allowed/);
  assert.match(JSON.stringify(table.of('T')?.get('b')), /"xxx/);
  assert.equal(table.bytes, 65_536);
});

test('static topics: beyond all the room there is, new ones are refused and known ones may shrink', () => {
  const table = new StaticTopicTable();
  const large = mapping({ scope: 'x'.repeat(60_000) });
  let count = 0;
  while (count < 1_000 && table.put(`T${count}`, 'b', large) === undefined) count++;
  assert.ok(count > 500 && count < 600, `${count} held`);
  const full = table.bytes;
  assert.match(table.put('Another', 'b', large) ?? '', new RegExp(`${count} mappings .* ${full} bytes are held`));
  assert.equal(table.of('Another'), undefined);
  assert.equal(table.bytes, full);
  assert.equal(table.put('T0', 'b', mapping()), undefined);
  assert.ok(table.bytes < full);
  assert.equal(table.put('Another', 'b', mapping()), undefined);
});

test('static topics: what is given out is a copy: whoever changes it changes nothing here', () => {
  const table = new StaticTopicTable();
  table.put('T', 'b', mapping());
  table.of('T')?.clear();
  assert.equal(table.of('T')?.size, 1);
});
