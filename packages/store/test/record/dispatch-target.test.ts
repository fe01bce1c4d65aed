import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from '../../../torture/test/machine.ts';
import type { MessageStore } from '../../src/message-store.ts';
import type { DispatchRequest } from '../../src/record/dispatch-request.ts';
import type { DispatchTarget, TargetPoint } from '../../src/record/dispatch-target.ts';
import { LogImage, StoreDirectory } from '../recovery/recovery-fixture.ts';

const QUICKLY = { flushConsumeQueueThoroughInterval: 10, flushIntervalConsumeQueue: 5 };

/** Opens and says how many records were dispatched again. */
async function opened(machine: Machine): Promise<{ store: MessageStore; dispatched: number }> {
  let dispatched = -1;
  const store = await machine.open({
    info: (fields, message) => {
      if (message === 'recovery: done') dispatched = (fields as { dispatched: number }).dispatched;
    },
  });
  return { store, dispatched };
}

test('targets: a killed store whose newest topic was deleted dispatches nothing again', async () => {
  for (const remade of [false, true]) {
    const machine = new Machine(QUICKLY);
    const { store } = await opened(machine);
    await machine.fill(store, 10, 1);
    await machine.put(store, 'newest', { topic: 'U' });
    await machine.advance(200);
    await machine.until(store.deleteTopic('U'), 'deletion');
    if (remade) {
      await machine.put(store, 'again', { topic: 'U' });
      await machine.advance(200);
      await machine.until(store.deleteTopic('U'), 'deletion');
    }
    const next = machine.kill();
    const again = await opened(next);
    assert.equal(again.dispatched, 0, `remade ${remade}`);
    assert.equal((await next.bodies(again.store, 1)).length, 10);
    next.kill();
  }
});

for (const [what, path] of [
  ['all queues', '/consumequeue/'],
  ['the queues of one topic, which has the newest message', '/consumequeue/T/'],
  ['the index', '/index/'],
] as const) {
  test(`targets: ${what} removed by hand: made anew from the log`, async () => {
    const machine = new Machine(QUICKLY);
    const { store } = await opened(machine);
    await machine.put(store, 'first', { topic: 'U' });
    await machine.put(store, 'gone', { topic: 'V' });
    await machine.fill(store, 10);
    await machine.advance(200);
    await machine.until(store.deleteTopic('V'), 'deletion');
    await machine.until(store.shutdown(), 'shutdown');
    const next = machine.kill();
    for (const file of next.fileSystem.paths()) if (file.includes(path)) await next.fileSystem.remove(file);
    for (let start = 0; start < 2; start++) {
      const again = await opened(next);
      assert.equal((await next.bodies(again.store)).length, 10);
      assert.deepEqual(await next.bodies(again.store, 0, 'U'), ['first']);
      assert.deepEqual([...again.store.queuesByTopic().keys()].sort(), ['T', 'U']);
      const { records } = await next.until(again.store.queryMessage('T', 'k3'), 'query');
      assert.equal(records.length, 1);
      assert.equal(again.dispatched > 0, start === 0, `start ${start} dispatched ${again.dispatched}`);
      await next.until(again.store.shutdown(), 'shutdown');
    }
    next.kill();
  });
}

/** Has everything in front of `completeWhere`. */
class Follower implements DispatchTarget {
  readonly name = 'index';
  readonly offsets: number[] = [];
  readonly #completeWhere: number;
  point: TargetPoint = { durableWhere: 0, newestWhere: undefined };

  constructor(completeWhere: number) {
    this.#completeWhere = completeWhere;
  }

  dispatch({ commitLogOffset }: DispatchRequest): boolean {
    this.offsets.push(commitLogOffset);
    return false;
  }

  dispatchRecovered(request: DispatchRequest): void {
    this.dispatch(request);
  }

  endRecovery(): void {}

  async makeDurable(): Promise<void> {}

  async recover() {
    return { completeWhere: this.#completeWhere, rebuildFrom: Number.POSITIVE_INFINITY, maxPhysicOffset: -1 };
  }

  async truncateDirty(where: number): Promise<void> {
    this.point = { durableWhere: where, newestWhere: undefined };
  }

  async destroy(): Promise<void> {}
}

test('targets: recovery starts at the smallest of their points and the log’s own', async (t) => {
  const image = new LogImage();
  image.appendMany(60);
  const at = (share: number): number => image.recordAt(share).offset;
  for (const [durable, queues, other, from] of [
    [1, 0.8, 0.4, 0.4],
    [1, 0.4, 0.8, 0.4],
    [0.2, 0.8, 0.8, 0.2],
    [1, 1, 1, 1],
  ] as const) {
    const directory = await StoreDirectory.make(t);
    await directory.writeLog(image);
    await directory.writeCheckpoint(image.end, 0);
    await directory.openAndShutDown(t);
    await directory.writeCheckpoint(durable === 1 ? image.end : at(durable), queues === 1 ? image.end : at(queues));
    await directory.writeAbort();
    const follower = new Follower(other === 1 ? image.end : at(other));
    const { result } = await directory.open(t, { targets: [follower] });
    const start = from === 1 ? image.end : at(from);
    const expected = image.records.filter(({ offset }) => offset >= start).map(({ offset }) => offset);
    assert.deepEqual(follower.offsets, expected, `${[durable, queues, other]}`);
    assert.equal(result.dispatched, expected.length);
  }
});
