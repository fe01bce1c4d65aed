import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommitLogDispatcher } from '../../src/dispatch/commit-log-dispatcher.ts';
import { IndexService } from '../../src/key-index/index-service.ts';
import { IndexTarget } from '../../src/key-index/index-target.ts';
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { ConsumeQueueTarget } from '../../src/queue/consume-queue-target.ts';
import {
  TRANSACTION_COMMIT_TYPE,
  TRANSACTION_PREPARED_TYPE,
  TRANSACTION_ROLLBACK_TYPE,
} from '../../src/record/sys-flag.ts';
import { memoryContext, request } from '../queue/harness.ts';

function parts(withIndex = true) {
  const context = memoryContext({ maxHashSlotNum: 100, maxIndexNum: 100 });
  const queues = new ConsumeQueueStore(context);
  const index = new IndexService(context);
  const targets = [new ConsumeQueueTarget(queues), ...(withIndex ? [new IndexTarget(index)] : [])];
  const dispatcher = new CommitLogDispatcher(targets);
  const arrivals: unknown[][] = [];
  dispatcher.onMessageArriving((...arrival) => {
    // What a listener is told of can be read at once.
    assert.equal(queues.find(arrival[0], arrival[1])!.readHot(arrival[2] - 1, 1)!.length, 20);
    arrivals.push(arrival);
  });
  return { dispatcher, queues, index, arrivals };
}

test('dispatcher: a record gets its queue entry and its keys, and its arrival is told', async () => {
  const { dispatcher, queues, index, arrivals } = parts();
  dispatcher.dispatch(
    request({
      topic: 'A',
      queueId: 2,
      uniqKey: 'u',
      keys: 'k',
      tagsCode: -7,
      storeTimestamp: 123,
      commitLogOffset: 50,
    }),
  );
  assert.equal(queues.find('A', 2)!.maxOffsetInQueue, 1);
  assert.deepEqual((await index.queryOffset('A', 'k', 9, 0, 1e15)).phyOffsets, [50]);
  assert.deepEqual((await index.queryOffset('A', 'u', 9, 0, 1e15)).phyOffsets, [50]);
  assert.deepEqual(arrivals, [['A', 2, 1, -7, 123]]);
});

for (const [name, sysFlag, entry, indexed] of [
  ['plain', 0, true, true],
  ['committed', TRANSACTION_COMMIT_TYPE, true, true],
  ['prepared', TRANSACTION_PREPARED_TYPE, false, true],
  ['rolled back', TRANSACTION_ROLLBACK_TYPE, false, false],
] as const) {
  test(`dispatcher: a ${name} record ${entry ? 'gets' : 'gets no'} queue entry and ${indexed ? 'is' : 'is not'} indexed`, async () => {
    const { dispatcher, queues, index, arrivals } = parts();
    dispatcher.dispatch(request({ uniqKey: 'u', sysFlag: sysFlag | 0x1 | 0x300 }));
    assert.equal(queues.find('T', 0) !== undefined, entry);
    assert.equal(arrivals.length, entry ? 1 : 0);
    assert.equal((await index.queryOffset('T', 'u', 9, 0, 1e15)).phyOffsets.length, indexed ? 1 : 0);
  });
}

test('dispatcher: a record that comes again is told to nobody', () => {
  const { dispatcher, queues, arrivals } = parts();
  dispatcher.dispatch(request({ commitLogOffset: 100 }));
  dispatcher.dispatch(request({ commitLogOffset: 100 }));
  dispatcher.dispatch(request({ commitLogOffset: 200, consumeQueueOffset: 0 }));
  assert.equal(arrivals.length, 1);
  assert.equal(queues.find('T', 0)!.maxOffsetInQueue, 1);
});

test('dispatcher: with messageIndexEnable off nothing is indexed', () => {
  const { dispatcher, queues, index } = parts(false);
  dispatcher.dispatch(request({ uniqKey: 'u' }));
  assert.equal(queues.find('T', 0)!.maxOffsetInQueue, 1);
  assert.equal(index.fileCount, 0);
});
