import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import type { PopResult } from '../../src/pop/pop-request.ts';
import { FakeClient } from '../fake-client.ts';
import { property } from '../harness.ts';
import { Asker, PopMachine, SECOND } from './pop-machine.ts';

const waiting = { pollMs: 20 * SECOND };

/** A pop that is waited for later, and what it came to. */
function held(pop: PopMachine, more: Parameters<PopMachine['begin']>[0] = {}, client = new FakeClient()) {
  const asker = new Asker();
  const state: { outcome?: PopResult | Refusal | undefined; isDone: boolean } = { isDone: false };
  const done = pop.begin({ ...waiting, ...more }, client, asker).then((outcome) => {
    state.outcome = outcome;
    state.isDone = true;
  });
  const bodies = (): string[] => {
    const { outcome } = state;
    if (outcome === undefined || outcome instanceof Refusal) return [];
    return pop.popped(outcome, pop.request(more)).map(({ body }) => body);
  };
  return { state, done, asker, bodies };
}

test('polling: a message wakes one pop of each group at once', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'old');
  await pop.bodies();
  await pop.bodies({ group: 'h' });
  const [first, second, other] = [held(pop), held(pop), held(pop, { group: 'h' })];
  await pop.advance(SECOND);
  assert.equal(first.asker.heldCount, 1);
  assert.equal(pop.context.pop.polling.countOf('g', 'T', 0), 2);
  assert.equal(first.asker.reserved, 0, 'what waits holds no room');
  await pop.send('T', 'new');
  await pop.advance(50);
  assert.deepEqual(first.bodies(), ['new']);
  assert.deepEqual(other.bodies(), ['new']);
  assert.equal(second.state.isDone, false);
  await pop.advance(21 * SECOND);
  assert.equal((second.state.outcome as PopResult).code, ResponseCode.POLLING_TIMEOUT);
  await pop.broker.stop();
});

test('polling: a redelivery wakes a pop within a second of the end', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies({ invisibleMs: 10 * SECOND });
  const one = held(pop, { queueId: -1 });
  await pop.advance(9.9 * SECOND);
  assert.equal(one.state.isDone, false);
  await pop.advance(SECOND);
  assert.deepEqual(one.bodies(), ['a']);
  await pop.broker.stop();
});

test('polling: what the filter does not want wakes nobody', async () => {
  const pop = await PopMachine.start();
  await pop.broker.send('T', 'first', property('TAGS', 'x'));
  await pop.bodies();
  const one = held(pop, { expression: 'x', expressionType: 'TAG' });
  await pop.advance(100);
  await pop.broker.send('T', 'b', property('TAGS', 'y'));
  await pop.advance(100);
  assert.equal(one.state.isDone, false);
  assert.equal(one.asker.heldCount, 1);
  await pop.broker.send('T', 'c', property('TAGS', 'x'));
  await pop.advance(100);
  assert.deepEqual(one.bodies(), ['c']);
  await pop.broker.stop();
});

test('polling: an ordered pop gets the next batch when the last one is acknowledged, and the same at its end', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a', 'b');
  const ordered = { isOrdered: true, maxMessages: 1, invisibleMs: 5 * SECOND };
  const [a] = await pop.pop(ordered);
  const next = held(pop, ordered);
  await pop.advance(SECOND);
  assert.equal(next.state.isDone, false);
  await pop.ack(a!);
  await pop.advance(50);
  assert.deepEqual(next.bodies(), ['b']);
  const again = held(pop, ordered);
  await pop.advance(4 * SECOND);
  assert.equal(again.state.isDone, false);
  await pop.advance(2.1 * SECOND);
  assert.deepEqual(again.bodies(), ['b']);
  await pop.broker.stop();
});

test('polling: too many are refused, those that are gone are dropped', async () => {
  const pop = await PopMachine.start({}, { popPollingSize: 1, maxPopPollingSize: 3 });
  await pop.send('T', 'a');
  await pop.bodies();
  const client = new FakeClient();
  const [, , third] = [held(pop, {}, client), held(pop, {}, client), held(pop)];
  await pop.advance(100);
  assert.equal((third!.state.outcome as PopResult).code, ResponseCode.POLLING_FULL);
  client.end();
  await pop.advance(100);
  assert.equal(pop.context.pop.polling.count, 0);
  await pop.broker.stop();
});

test('polling: a consumer’s clock that is off waits as long as it says', async () => {
  const pop = await PopMachine.start();
  await pop.send('T', 'a');
  await pop.bodies();
  for (const skew of [-3_600 * SECOND, 3_600 * SECOND]) {
    const one = held(pop, { bornTime: pop.now + skew, pollMs: 5 * SECOND });
    await pop.advance(4 * SECOND);
    assert.equal(one.state.isDone, false, `${skew}`);
    await pop.advance(2.1 * SECOND);
    assert.equal((one.state.outcome as PopResult).code, ResponseCode.POLLING_TIMEOUT);
  }
  const late = await pop.refusal({ bornTime: pop.now - 800, pollMs: 100 });
  assert.equal(late.code, ResponseCode.POLLING_TIMEOUT);
  await pop.broker.stop();
});

test('notification: says that there is something, and takes nothing', async () => {
  const pop = await PopMachine.start();
  const { notifications } = pop.context.pop;
  await pop.send('T', 'a');
  const request = {
    group: 'g',
    topic: 'T',
    queueId: -1,
    pollMs: 0,
    bornTime: 0,
    isOrdered: false,
    attemptId: undefined,
  };
  const ask = (more: Partial<typeof request> = {}) => {
    let count = 0;
    const held = (): void => void count++;
    return { outcome: notifications.whenMessage({ ...request, ...more }, new FakeClient(), held), held: () => count };
  };
  assert.deepEqual(await ask().outcome, { hasMessage: true, isPollingFull: false });
  assert.deepEqual(await pop.bodies(), ['a']);
  assert.deepEqual(await ask().outcome, { hasMessage: false, isPollingFull: false });
  const waits = ask({ pollMs: 20 * SECOND });
  await pop.advance(SECOND);
  assert.equal(waits.held(), 1);
  await pop.send('T', 'b');
  assert.deepEqual(await pop.broker.machine.until(waits.outcome, 'notification'), {
    ...{ hasMessage: true, isPollingFull: false },
  });
  await pop.bodies();
  const nothing = ask({ pollMs: 3 * SECOND });
  assert.deepEqual(await pop.broker.machine.until(nothing.outcome, 'notification'), {
    ...{ hasMessage: false, isPollingFull: false },
  });
  await pop.broker.stop();
});
