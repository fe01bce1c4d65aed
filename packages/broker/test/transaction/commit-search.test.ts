import assert from 'node:assert/strict';
import { test } from 'node:test';
import { property } from '../harness.ts';
import {
  COMMIT,
  type Half,
  MINUTE,
  ROLLBACK,
  ROUND,
  SECOND,
  SUCCESS,
  SYSTEM_BUSY,
  SYSTEM_ERROR,
  TransactionMachine,
} from './transaction-machine.ts';

/**
 * As many halves of one message. All are asked about, the first one is committed, and then a kill comes and their file of
 * the log goes: copies and message are left. Where the copies are.
 */
async function withoutFirstHalves(count: number, committedForMs: number) {
  const settings = {
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLog: 200,
    mappedFileSizeCommitLog: 16_384,
    fileReservedTime: 1,
    deleteWhen: '',
    cleanResourceInterval: 50,
  } as const;
  const broker = await TransactionMachine.start(settings);
  const halves: Half[] = [];
  for (let i = 0; i < count; i++) halves.push(await broker.send('a', { bornTimestamp: 1 }));
  const filler = property('KEYS', 'k') + property('x', 'x'.repeat(12_000));
  for (let i = 0; i < 2; i++) await broker.machine.put(broker.store, 'filler', { topic: 'Other', properties: filler });
  broker.producer();
  await broker.advance(ROUND);
  const copies = (await broker.halves()).slice(count);
  assert.equal(copies.length, count, 'each is asked about, and copied');
  assert.equal(await broker.end(halves[0]!, COMMIT), SUCCESS);
  await broker.advance(committedForMs);
  broker.machine.scheduler.stepWallClock(2 * 60 * MINUTE);
  await broker.kill();
  broker.store.deleteExpiredFiles();
  await broker.advance(SECOND);
  const { minPhyOffset } = broker.store;
  assert.ok(halves.at(-1)!.logOffset < minPhyOffset && minPhyOffset <= copies[0]!.commitLogOffset, `${minPhyOffset}`);
  return { broker, copies: copies.map(({ queueOffset, commitLogOffset: logOffset }) => ({ queueOffset, logOffset })) };
}

test('a message is known by a copy of its half when the first half is gone with its file', async () => {
  for (const isMarked of [false, true]) {
    const { broker, copies } = await withoutFirstHalves(1, isMarked ? 4 * SECOND : 0);
    assert.equal((await broker.ended()).includes(copies[0]!.queueOffset), isMarked);
    assert.equal(await broker.end(copies[0]!, ROLLBACK), SYSTEM_ERROR, 'it was committed');
    assert.equal(await broker.end(copies[0]!, COMMIT), SUCCESS);
    const producer = broker.producer();
    await broker.advance(2 * ROUND);
    assert.deepEqual([producer.checks.length, await broker.bodies(), await broker.givenUp()], [0, ['a'], []]);
  }
});

test('a message does not count for another half of the same key and time when the first halves are gone', async () => {
  const { broker, copies } = await withoutFirstHalves(2, 0);
  assert.equal(await broker.end(copies[1]!, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies(), ['a', 'a']);
  assert.equal(await broker.end(copies[0]!, COMMIT), SUCCESS);
  assert.equal(await broker.end(copies[0]!, ROLLBACK), SYSTEM_ERROR);
  assert.deepEqual(await broker.bodies(), ['a', 'a']);
});

test('while queues and index are late, nobody is told that what was committed is rolled back', async () => {
  const broker = await TransactionMachine.start({ flushDiskType: 'SYNC_FLUSH' });
  const half = await broker.send('a');
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  await broker.advance(SECOND);
  // Dispatch is held, as when the disk has had no room for queues and index for long.
  const { store } = broker;
  const found = store.queryMessage;
  store.queryMessage = () =>
    Promise.resolve({ ...{ indexLastUpdateTimestamp: 0, indexLastUpdatePhyoffset: 0 }, records: [], messages: [] });
  Object.defineProperty(store, 'dispatchedWhere', { value: half.logOffset + 1, configurable: true });
  assert.equal(await broker.end(half, ROLLBACK), SYSTEM_BUSY);
  assert.equal(await broker.end(half, COMMIT), SYSTEM_BUSY);
  store.queryMessage = found;
  assert.equal(await broker.end(half, ROLLBACK), SYSTEM_ERROR);
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
});

test('under load the log is always ahead of queues and index: an end that comes again is answered', async () => {
  const broker = await TransactionMachine.start({ flushDiskType: 'SYNC_FLUSH' });
  const half = await broker.send('a');
  assert.equal(await broker.end(half, ROLLBACK), SUCCESS);
  await broker.advance(SECOND);
  const { store } = broker;
  const { flushedWhere } = store;
  // At each look both have come further, and what is flushed is ahead.
  let looks = 0;
  Object.defineProperty(store, 'dispatchedWhere', { get: () => flushedWhere - 1_000 + looks++ * 200 });
  Object.defineProperty(store, 'flushedWhere', { get: () => flushedWhere + looks * 200 });
  assert.equal(await broker.end(half, ROLLBACK), SUCCESS);
  assert.ok(looks > 5, 'it waited');
  assert.equal(await broker.end(half, COMMIT), SYSTEM_ERROR);
});
