import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import { ProducerManager } from '../../src/clients/producer-manager.ts';
import { roomy, tight } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';

const member = (client: FakeClient, lastSeen = 0) => ({ client, lastUpdateTimestamp: lastSeen, lastSeen });

test('producers: a group without members is refused by name and is none', () => {
  const producers = new ProducerManager(roomy());
  for (const group of ['p', '', '__proto__']) {
    const outcome = producers.online(group);
    assert.ok(outcome instanceof Refusal);
    assert.deepEqual(
      [outcome.code, outcome.remark],
      [ResponseCode.SYSTEM_ERROR, `the producer group[${group}] not exist`],
    );
    assert.equal(producers.members(group), undefined);
    assert.deepEqual(producers.inTurn(group), []);
  }
  assert.equal(producers.groupCount, 0);
});

test('producers: those of a group are asked in turn, each once, and nobody who is gone', () => {
  const producers = new ProducerManager(roomy());
  const clients = ['a', 'b', 'c'].map((id) => new FakeClient(id));
  for (const client of clients) producers.register('p', member(client));
  const ids = (): string[] => producers.inTurn('p').map(({ clientId }) => clientId);
  assert.deepEqual(
    [ids(), ids(), ids(), ids()],
    [
      ['a', 'b', 'c'],
      ['b', 'c', 'a'],
      ['c', 'a', 'b'],
      ['a', 'b', 'c'],
    ],
  );
  Object.defineProperty(clients[1], 'isGone', { get: () => true });
  for (let i = 0; i < 4; i++) assert.deepEqual(ids().sort(), ['a', 'c']);
});

test('producers: a client that comes back on another connection is found there, and its old end does not hide it', () => {
  const producers = new ProducerManager(roomy());
  const [before, after] = [new FakeClient('c'), new FakeClient('c')];
  producers.register('p', member(before));
  producers.register('p', member(after));
  assert.equal(producers.findClient('c'), after);
  before.end();
  assert.equal(producers.findClient('c'), after);
  after.end();
  assert.equal(producers.findClient('c'), undefined);
  assert.equal(producers.groupCount, 0);
});

test('producers: the newer one goes first, and the older one is found again', () => {
  const producers = new ProducerManager(roomy());
  const [older, newer] = [new FakeClient('c'), new FakeClient('c')];
  producers.register('p', member(older));
  producers.register('q', member(newer));
  newer.end();
  assert.equal(producers.findClient('c'), older);
});

test('producers: a client that calls itself something else is not found by its old name', () => {
  const producers = new ProducerManager(roomy());
  const client = new FakeClient('old');
  producers.register('p', member(client));
  client.identify('new', 0, 0);
  assert.equal(producers.findClient('old'), client, 'until it says so');
  producers.register('p', member(client));
  assert.deepEqual([producers.findClient('old'), producers.findClient('new')], [undefined, client]);
  client.end();
  assert.equal(producers.findClient('new'), undefined);
});

test('producers: one that leaves a group is still found while it is in another', () => {
  const producers = new ProducerManager(roomy());
  const client = new FakeClient('c');
  producers.register('p', member(client));
  producers.register('q', member(client));
  assert.equal(producers.unregister('p', client), true);
  assert.equal(producers.unregister('p', client), false);
  assert.equal(producers.unregister('none', client), false);
  assert.equal(producers.findClient('c'), client);
  assert.deepEqual(producers.groups(), ['q']);
  producers.unregister('q', client);
  assert.equal(producers.findClient('c'), undefined);
});

test('producers: a client for which there is no room is in no group and is not found', () => {
  const budget = tight(0);
  const producers = new ProducerManager(budget);
  const client = new FakeClient('c');
  assert.equal(producers.register('p', member(client)), undefined);
  assert.equal(producers.groupCount, 0);
  assert.equal(producers.members('p'), undefined);
  assert.equal(producers.findClient('c'), undefined);
  client.end();
  assert.equal(budget.usedBytes, 0, 'and its end gives nothing back');
});

test('producers: silence is that of a membership; who speaks in one group and not in another is silent', () => {
  const producers = new ProducerManager(roomy());
  const [quiet, half, lively] = [new FakeClient('q'), new FakeClient('h'), new FakeClient('l')];
  producers.register('p', member(quiet, 10));
  producers.register('p', member(half, 10));
  producers.register('p', member(lively, 10));
  producers.register('q', member(half, 50));
  producers.register('p', member(lively, 50));
  assert.deepEqual([...producers.silentSince(10)], [], 'the moment itself is none');
  assert.deepEqual(new Set(producers.silentSince(11)), new Set([quiet, half]));
  assert.deepEqual(new Set(producers.silentSince(51)), new Set([quiet, half, lively]));
});
