import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { type MessageStore, silentLogger } from '@vernier/store';
import { OffsetReset, type ResetRequest } from '../../src/admin/offset-reset.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { Tables, type TablesOptions } from '../table-fixtures.ts';

/** Queue 0 holds the offsets from 10 to 20, each other queue nothing. A time is its own offset. */
const store = {
  getMinOffsetInQueue: (_topic: string, queueId: number) => (queueId === 0 ? 10 : -1),
  getMaxOffsetInQueue: (_topic: string, queueId: number) => (queueId === 0 ? 20 : 0),
  getOffsetInQueueByTime: async (_topic: string, queueId: number, timestamp: number) => {
    if (timestamp === FAILS_IN_QUEUE_2 && queueId === 2) throw new Error('EIO');
    return queueId === 0 ? Math.min(20, Math.max(10, timestamp)) : 0;
  },
} as unknown as MessageStore;
const FAILS_IN_QUEUE_2 = 15;

function open(options: TablesOptions = {}) {
  const tables = new Tables(options);
  tables.topic('T');
  tables.groups.find('g');
  const { topics, groups, offsets } = tables;
  const reset = new OffsetReset({
    ...{ store, topics, groups, offsets, file: tables.file('offsets'), logger: silentLogger },
    ...{ hasBatch: () => false, batchesFile: { save: () => Promise.resolve() } },
  });
  const run = async (more: Partial<ResetRequest> = {}, giveTurn = async (): Promise<void> => {}) => {
    const request = { topic: 'T', group: 'g', queueId: -1, timestamp: -1, offset: -1, ...more };
    const queueIds = reset.queuesOf(request);
    return queueIds instanceof Refusal ? queueIds : reset.reset(request, queueIds, giveTurn);
  };
  return { tables, offsets, run };
}

function refusedWith(outcome: unknown, code: number, remark: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
}

test('offset reset: a topic, a group or a queue that is not there is refused and leaves nothing behind', async () => {
  const { tables, run } = open();
  tables.topic('Unread', { readQueueNums: 0 });
  const before = tables.shown();
  const cases: [Partial<ResetRequest>, number, RegExp][] = [
    [{ topic: 'None' }, ResponseCode.TOPIC_NOT_EXIST, /Topic None does not exist/],
    [{ topic: '' }, ResponseCode.TOPIC_NOT_EXIST, /Topic {2}does not exist/],
    [{ group: 'none' }, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, /Group none does not exist/],
    [{ topic: 'Unread' }, ResponseCode.SYSTEM_ERROR, /No queues to reset/],
    [{ queueId: 65_536 }, ResponseCode.INVALID_PARAMETER, /queue 65536: allowed are queues from 0 to 65535/],
    [{ queueId: Number.MAX_SAFE_INTEGER }, ResponseCode.INVALID_PARAMETER, /allowed are queues/],
    [{ queueId: 0, offset: 9 }, ResponseCode.SYSTEM_ERROR, /Target offset 9 not in consume queue range \[10-20\]/],
    [{ queueId: 0, offset: 22 }, ResponseCode.SYSTEM_ERROR, /Target offset 22 not in/],
    [{ queueId: 0, offset: -2 }, ResponseCode.SYSTEM_ERROR, /Target offset -2 not in/],
    [{ queueId: 1, offset: 2 }, ResponseCode.SYSTEM_ERROR, /Target offset 2 not in consume queue range \[-1-0\]/],
  ];
  for (const [request, code, remark] of cases) refusedWith(await run(request), code, remark);
  assert.deepEqual(tables.shown(), before);
  assert.equal(tables.groups.has('none'), false, 'to reset a group makes none');
  assert.deepEqual(tables.log, [], 'and no file is written');
});

test('offset reset: an offset at either end of the queue’s range is taken', async () => {
  const { run, offsets } = open();
  for (const offset of [10, 20, 21]) {
    assert.deepEqual(await run({ queueId: 0, offset }), new Map([[0, offset]]));
    assert.equal(offsets.query('g', 'T', 0), offset);
  }
});

test('offset reset: an offset without a queue is not taken for all of them', async () => {
  const { run } = open();
  const targets = await run({ offset: 15, timestamp: 12 });
  assert.deepEqual(
    targets,
    new Map([
      [0, 12],
      [1, 0],
      [2, 0],
      [3, 0],
    ]),
    'the time counts',
  );
});

test('offset reset: by time every queue that can be read, by a negative time each queue’s end', async () => {
  const { run, offsets, tables } = open();
  tables.topic('T', { readQueueNums: 2, writeQueueNums: 8 });
  assert.deepEqual(
    await run(),
    new Map([
      [0, 20],
      [1, 0],
    ]),
  );
  assert.equal(offsets.query('g', 'T', 2), -1, 'a queue that nobody reads has no place');
});

test('offset reset: the offsets are on disk before it is answered', async () => {
  const { run, tables } = open();
  await run({ timestamp: 12 });
  assert.deepEqual(tables.log, ['offsets']);
  tables.failing = 'offsets';
  await assert.rejects(run({ timestamp: 13 }), /no space left/);
});

test('offset reset: a look at a queue that fails leaves every queue where it was', async () => {
  const { run, offsets, tables } = open();
  offsets.commit('g', 'T', 0, 18);
  const before = tables.shown();
  await assert.rejects(run({ timestamp: FAILS_IN_QUEUE_2 }), /EIO/);
  assert.deepEqual(tables.shown(), before);
  assert.equal(offsets.hasReset('g', 'T', 0), false);
  assert.equal(offsets.query('g', 'T', 0), 18);
});

test('offset reset: without room for all of the queues none is reset', async () => {
  const { run, offsets, tables } = open({ room: { offsets: 1_000 } });
  tables.topic('T', { readQueueNums: 100, writeQueueNums: 100 });
  const before = tables.shown();
  refusedWith(await run({ timestamp: 12 }), ResponseCode.SYSTEM_BUSY, /there is no room for more of it/);
  assert.deepEqual(tables.shown(), before);
  for (let queueId = 0; queueId < 100; queueId++) {
    assert.equal(offsets.hasReset('g', 'T', queueId), false, `queue ${queueId}`);
  }
  assert.deepEqual(tables.log, []);
});

test('offset reset: each queue gives the event loop its turn, and nothing is committed before the last', async () => {
  const { run, offsets } = open();
  let turns = 0;
  await run({ timestamp: 12 }, async () => {
    turns++;
    assert.equal(offsets.query('g', 'T', 0), -1);
  });
  assert.equal(turns, 4);
});

test('offset reset: a topic or a group that is deleted while its queues are looked at gets no offsets', async () => {
  const cases = [
    { delete: 'topic', code: ResponseCode.TOPIC_NOT_EXIST },
    { delete: 'group', code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST },
  ];
  for (const { delete: what, code } of cases) {
    const { run, tables, offsets } = open();
    const outcome = await run({ timestamp: 12 }, async () => {
      if (what === 'topic') tables.topics.delete('T');
      else tables.groups.delete('g');
    });
    refusedWith(outcome, code, /does not exist/);
    assert.deepEqual(offsets.topicsOfGroup('g'), [], what);
    assert.equal(tables.budgets.offsets.usedBytes, 0);
  }
});

test('offset reset: an asker that is gone ends it before anything is committed', async () => {
  const { run, tables } = open();
  const before = tables.shown();
  const gone = run({ timestamp: 12 }, () => Promise.reject(new Error('gone')));
  await assert.rejects(gone, /gone/);
  assert.deepEqual(tables.shown(), before);
});
